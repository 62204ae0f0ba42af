/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/hash.h"
#include "limit/denial.h"
#include "limit/lease.h"

/* What this process holds of allowances that are counted elsewhere (Redis), shared by its workers: of each caller under each policy the lease
 * (lease.h), the last denial (denial.h), and the counter as it was last seen. Most calls are decided here; whoever is not asks
 * where all count, and tells the answer. Bounded: a table of PURSES_MAX, each place with a few neighbours, each part of it under its own
 * lock, found by keyed hashes. Whoever finds no place asks at each call; what is forgotten for another's sake holds nothing. */
struct purses;

#define PURSES_MAX 32768
struct purses *purses_new(void) MUST_USE; /* NULL: memory is out */
void purses_free(struct purses *purses);  /* takes NULL */

enum purse_verdict {
    PURSE_PAYS,    /* the lease did; `state` says what stands */
    PURSE_REFUSES, /* a denial stands; `state` says for how long */
    PURSE_ASKS,    /* nobody here knows */
};
/* Pays the charge, if that can be done here. Without `heeds_denials` nobody is refused. */
enum purse_verdict purses_pay(struct purses *purses, const struct limit_charge *charge,
                              bool heeds_denials, const struct now *now, struct limit_state *state);
/* What a paid charge cost in truth: takes `change` more of the lease, or puts it back (the charge itself, where the call was refused by
 * another). `taken_end_s`: of the window in which it was paid, 0: a rate. False: the lease cannot, and it must be settled where all
 * count. */
bool purses_settle(struct purses *purses, const struct limit_charge *charge, int64_t change,
                   int64_t taken_end_s, const struct now *now) MUST_USE;
/* What stands, as far as it is known here. */
struct limit_state purses_look(struct purses *purses, const struct limit_charge *charge,
                               const struct now *now);
int64_t purses_left(struct purses *purses, const struct limit_charge *charge,
                    const struct now *now); /* of the lease */

/* ---- asking: each question ends in exactly one of purses_answer and purses_fail; purses_answer_late may follow the latter */

struct purse_question {
    struct lease_wish wish; /* all zero where somebody else has asked for a lease already */
    uint64_t version;       /* the rest is the table's */
    struct hash128 hash;
    int64_t asked_ns;
    bool is_lender;
};
/* Without `lends` no lease is asked for; an old one goes back all the same. */
void purses_ask(struct purses *purses, const struct limit_charge *charge, bool lends,
                const struct now *now, struct purse_question *question);
struct purse_answer {
    const struct limit_charge *charge;
    const struct lease_grant *grant; /* its state as where all count */
    union limit_counter seen;        /* after it, with what was lent; a bucket in our own time */
    bool is_refused;                 /* by this charge */
    struct str name;                 /* of the counter, for its return: copied */
};
/* True: `answer->grant` was lent and there is no place for it: it has to go back. */
bool purses_answer(struct purses *purses, const struct purse_question *question,
                   const struct purse_answer *answer, const struct now *now) MUST_USE;
/* The answer came after purses_fail: the lease is held where nobody holds or asks for another. True likewise. */
bool purses_answer_late(struct purses *purses, const struct purse_question *question,
                        const struct purse_answer *answer, const struct now *now) MUST_USE;
/* No answer. `was_sent`: it may have been heard all the same, so what was to go back is gone. */
void purses_fail(struct purses *purses, const struct purse_question *question, bool was_sent);

/* ---- what ends */

/* What the caller with this key (a subject, a claim's value) has used was changed by others, or what it may: its denials are
 * forgotten, and its leases go back with the next question. */
void purses_forget(struct purses *purses, struct str key);
void purses_forget_all(struct purses *purses);

/* A lease that goes back because nobody spends it. */
struct purse_return {
    char *name; /* the counter's; the caller frees it */
    enum limit_kind kind;
    struct bucket_rule rate;
    struct lease_rest rest;
};
#define PURSES_RETURN_NS (2 * NS_PER_S) /* before their death */
/* At most n of what dies within PURSES_RETURN_NS, or of all that is held, in part `part` of `n_parts`. */
size_t purses_collect(struct purses *purses, size_t part, size_t n_parts, bool all,
                      const struct now *now, struct purse_return *out, size_t n);
