/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"
#include "limit/lease.h"
#include "limit/limiter.h"

/* The limits of one request counted in Redis: one script and one round trip for all of
 * them (on a Cluster one for each key that is limited), by Redis' own clock. Nothing is counted
 * unless everything allows: what an earlier script of the same request took is given back when a
 * later one refuses.
 *
 * A counter is one key, which expires when it says nothing any more:
 *
 *   PREFIX{KIND:KEY}COUNTER:RATE       jotgate:{subject:7d1f...}plan/default/burst:600/60
 *   PREFIX{KIND:KEY}COUNTER:WINDOW     jotgate:{ip:192.0.2.1}daily:day
 *
 * KIND is the limit's key (subject, ip ...), KEY whom it counts; one that is longer than 64 bytes or
 * has other bytes than letters, digits and -_.:@+|/ is its SHA-256, as #HEX, so that no caller can
 * spell another's. What stands between the braces decides the slot, so all counters of one caller
 * are together. The value is two numbers, A:B, or while
 * something is lent to machines (lease.h) five, A:B:EPOCH:LENT:BEFORE:
 *
 *   a rate      the theoretical arrival time (bucket.h), A microseconds and B parts of 1/COUNT us
 *   a quota     B calls in the window that ends at A (unix seconds)
 *   the ledger  LENT calls were lent in EPOCH (unix time / 10 s) and BEFORE in the one before it
 *
 * Where nothing is lent, over all machines, in any window of T, the calls admitted by a rate are at most
 * burst + count * T / period, and in any calendar window those admitted by a quota at most its limit,
 * while Redis keeps its data. A restart or failover that loses writes forgets them. */
struct redis_limits;

/* `prefix` is borrowed until redis_limits_free, as is `redis`, which is freed first. NULL: memory is
 * out. */
struct redis_limits *redis_limits_new(struct redis *redis, struct str prefix) MUST_USE;
void redis_limits_free(struct redis_limits *limits); /* takes NULL */

/* Embedded in its owner; all zeros is idle. */
struct redis_taking {
    /* ANSWERED: `outcome` says what the charges met; else nothing is known of them together, and what was taken is
     * given back as far as Redis can be reached. One charge that refuses is an answer, also where the node of another
     * could not be asked: of that outcome says as if nothing were used. */
    void (*on_done)(struct redis_taking *taking, enum redis_verdict verdict);
    /* May be set once it is under way. Where redis_taking_may_be_heard in on_done, once: the answer came too late, and Redis
     * counted the charges in `counted` after all (bits; 0: none, or nobody will know). */
    void (*on_heard)(struct redis_taking *taking, unsigned counted);
    struct limit_outcome outcome;

    struct redis_limits *limits; /* the rest is the mechanism's */
    const struct limit_charge *charges;
    const struct lease_wish *wishes;
    struct redis_call call;
    bool counts, is_refused;
    enum redis_verdict last;              /* of the calls */
    unsigned asking, asked, taken, heard; /* of the charges, as bits */
    int64_t now_us[LIMITER_CHARGES_MAX];
    int64_t lent[LIMITER_CHARGES_MAX], epochs[LIMITER_CHARGES_MAX];
    union limit_counter before[LIMITER_CHARGES_MAX];
};

/* Takes them all, or none; without `counts` it only looks. 1 <= n <= LIMITER_CHARGES_MAX. `wishes`, one for each charge or NULL for none:
 * the leases that are over come back first, whatever comes of the charges, and what is taken is lent more. Both are borrowed
 * until on_done, which never comes from inside. -ENOMEM, -E2BIG. */
int redis_limits_take(struct redis_limits *limits, struct redis_taking *taking,
                      const struct limit_charge *charges, const struct lease_wish *wishes, size_t n,
                      bool counts,
                      void (*on_done)(struct redis_taking *, enum redis_verdict)) MUST_USE;
/* When it is done: was charge i's counter told? What follows is of such. */
bool redis_taking_was_heard(const struct redis_taking *taking, size_t i);
/* How charge i's counter stands now, its bucket in the monotonic clock's time. */
union limit_counter redis_taking_found(const struct redis_taking *taking, size_t i,
                                       int64_t mono_ns);
/* What charge i was lent. On a Cluster also when another charge refused, or could not be asked. */
struct lease_grant redis_taking_grant(const struct redis_taking *taking, size_t i);
/* May charge i have reached Redis, heard or not? */
bool redis_taking_was_sent(const struct redis_taking *taking, size_t i);
/* In on_done: is on_heard still to come? What the taking points to is borrowed until then. */
bool redis_taking_may_be_heard(const struct redis_taking *taking);
void redis_limits_cancel(struct redis_taking *taking); /* no on_done, no on_heard; fine when idle */

/* What a taken charge cost in truth became known: charge `change` more to each, or give back
 * (limit_counter_settle). Nobody waits for it; with Redis away it is lost,
 * and a call that follows at once may come before it. */
void redis_limits_settle(struct redis_limits *limits, const struct limit_charge *charges,
                         const struct limit_outcome *outcome, int64_t change);

/* A lease that nobody asks for any more goes back to the counter with this key (redis_limits_key); `rate` is a rate's. Nobody waits for it. */
void redis_limits_return(struct redis_limits *limits, struct str key, enum limit_kind kind,
                         const struct bucket_rule *rate, const struct lease_rest *rest);
#define REDIS_LIMITS_KEY_MAX 512
/* False: it is too long, or the library fails. */
bool redis_limits_key(const struct redis_limits *limits, const struct limit_charge *charge,
                      char out[REDIS_LIMITS_KEY_MAX]) MUST_USE;
