/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* What this process let pass by itself while Redis was away, until Redis has heard of it. Summed by counter, so it takes no more
 * memory than there are callers, and bounded: beyond n_most counters nothing is kept. One for all workers, under one lock; what is
 * taken out is one worker's, so nothing is told twice. */
struct arrears;

struct arrears *arrears_new(size_t n_most) MUST_USE; /* NULL: memory is out */
void arrears_free(struct arrears *arrears);          /* takes NULL; what was never told is logged */

struct arrears_call {
    struct str name; /* of the counter's key in Redis */
    const struct limit_policy *policy;
    int64_t calls;                   /* that passed; negative: fewer than was said before */
    int64_t machines;                /* among which the limit was shared, >= 1 */
    const struct limit_state *state; /* as they left it, in the share's terms (limit/share.h) */
};
/* False: there is no room, or no memory. */
bool arrears_note(struct arrears *arrears, const struct arrears_call *call, const struct now *now);

/* Redis counted calls of which it said so too late: whoever asked had gone on alone, and that counts. They are taken back. */
struct arrears_undone {
    struct str name;
    const struct limit_policy *policy;
    int64_t calls;
    int64_t end_s;  /* LIMIT_QUOTA: of the window in which they were counted, unix */
    int64_t dry_ns; /* LIMIT_RATE: when time would have paid for them, monotonic */
};
/* False likewise. */
bool arrears_undo(struct arrears *arrears, const struct arrears_undone *undone,
                  const struct now *now) MUST_USE;
size_t arrears_count(struct arrears *arrears); /* counters */

/* One counter's arrears.
 *
 * Of a rate time pays for what was used, so an hour of calls is not an hour of debt. While Redis was away this machine's calls filled
 * a bucket, each as if it were as many as there are machines, on top of what Redis was last seen to hold; what they still stand for:
 *
 *     level |      ____         calls of ours, x machines
 *           |  ___|    \____
 *           | |             \           owed = (level - what is left of seen) / machines
 *      seen |-|- - - - - - - -\- - -
 *           +--------------------> */
struct arrear {
    struct arrear *next, *previous; /* the ledger's */
    enum limit_kind kind;
    int64_t calls;           /* passed, and not told */
    int64_t end_s;           /* LIMIT_QUOTA: of their window, unix */
    struct bucket_rule rate; /* LIMIT_RATE, and what follows */
    struct bucket level;     /* monotonic */
    int64_t seen_ns;         /* when what Redis held has run dry */
    int64_t machines;
    int64_t undone, dry_ns; /* of arrears_undone; in the same window */
    size_t name_bytes;
    char name[];
};
static inline struct str arrear_name(const struct arrear *arrear) {
    return (struct str){arrear->name, arrear->name_bytes};
}

/* Takes out one that is wanted, the oldest first; it is the caller's, to free(). NULL: none. `is_wanted` is called under the lock. */
struct arrear *arrears_take(struct arrears *arrears,
                            bool (*is_wanted)(const void *arg, struct str name),
                            const void *arg) MUST_USE;
/* How much Redis has to add now, or (negative) to take back: microseconds of a rate, calls of a quota; 0: nothing any more. Pure. */
int64_t arrear_owed(const struct arrear *arrear, const struct now *now);
