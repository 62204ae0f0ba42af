/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* How several machines use one allowance without asking for every call. A machine that asks may be lent more than the call costs; what is lent counts
 * as used where all count (Redis), so machines can only spend what nobody else can. Pure: Redis' script does what lease_take and
 * lease_return do, in the same order.
 *
 * The promise. Let lent(s) be what machines hold unspent at the time s. In any window of T that begins at s,
 *
 *     admitted <= burst + rate * T + lent(s),   and   lent(s) <= LEASE_SHARE_PERCENT of the burst
 *
 * Why: a call that is admitted in the window was paid from the counter within the window, which never gives more than burst + rate * T (bucket.h), or
 * from a lease that was held at s. What is given back makes room in the counter for as much, and was spent by nobody. A quota's leases
 * die with its window, so there admitted <= limit, always.
 *
 * lent(s) is bounded by what was lent in this epoch and in the one before and not returned, for a lease dies at the end of the epoch after its own:
 *
 *     epoch    |---- 7 ----|---- 8 ----|---- 9 ----|
 *     lease          taken ======================> dead     life: LEASE_EPOCH_NS to twice that
 *
 * This holds while the shared clock goes on steadily: where it jumps forward over a lease's death, machines hold up to twice the share until their
 * own clocks have come as far. */
#define LEASE_EPOCH_NS      (10 * NS_PER_S)
#define LEASE_SHARE_PERCENT 5
#define LEASE_NEAR_PERCENT  10 /* with less than this left nothing is lent: one question a call */
#define LEASE_WANTED_MAX    INT64_C(1000000)

/* ---- where all count */

struct lease_ledger {
    int64_t epoch, lent, lent_before; /* in it, and in the one before */
};
/* At most this much is held unspent. */
int64_t lease_lent(const struct lease_ledger *ledger, int64_t wall_ns);

struct lease_shared {
    union limit_counter counter;
    struct lease_ledger ledger;
};
struct lease_grant {
    struct limit_state state; /* what the call met; with what was lent gone from `remaining` */
    int64_t lent;             /* >= 0; 0 when the call was refused */
    int64_t life_ns;          /* from now; lent or not */
    int64_t epoch;
};
/* Take `charge` and lend up to `wanted` (>= 0) more: no more than half of what the share still has, so that no machine takes it all, and nothing near
 * the limit. Capacities below 100 / LEASE_SHARE_PERCENT lend nothing. */
struct lease_grant lease_take(struct lease_shared *shared, const struct limit_charge *charge,
                              int64_t wanted, const struct now *now);
/* What was lent in `epoch`, and how long it lives from wall_ns on. */
struct lease_grant lease_grant_at(enum limit_kind kind, const struct limit_state *state,
                                  int64_t lent, int64_t epoch, int64_t wall_ns);

/* A lease that is over. All zero: there was none. */
struct lease_rest {
    int64_t left;               /* of what was lent: not spent */
    int64_t lent, epoch, end_s; /* as it was lent; when a quota's window ends */
};
/* Once: what is left comes back, and none of it counts as lent any more. Machines do it before they ask for the next, and when they go
 * idle; of what died first, or was forgotten where all count, nothing comes back. */
void lease_return(struct lease_shared *shared, const struct limit_charge *charge,
                  const struct lease_rest *rest, const struct now *now);

/* What a machine asks for beside the call. All zero: nothing. */
struct lease_wish {
    int64_t wanted; /* up to LEASE_WANTED_MAX */
    struct lease_rest rest;
};

/* ---- at one machine */

/* All zero: never asked. */
struct lease {
    int64_t given, left;
    int64_t wanted;  /* when it was asked for */
    int64_t dies_ns; /* monotonic */
    int64_t epoch, end_s;
};
/* Pay from the lease. False: it is spent or dead; ask. */
bool lease_spend(struct lease *lease, int64_t cost, int64_t mono_ns);
/* How much more to ask for: nothing for who comes seldom, several times as much when the last lease was spent before it died, what was spent of it when not. */
int64_t lease_wanted(const struct lease *lease, int64_t mono_ns);
/* Hold what was lent. `asked_ns` is when the question was sent (monotonic): the life counts from there. */
void lease_hold(struct lease *lease, const struct lease_grant *grant, int64_t wanted,
                int64_t asked_ns);
/* It is over: what has to go back. */
struct lease_rest lease_end(struct lease *lease);
