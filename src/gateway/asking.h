/* SPDX-License-Identifier: MIT */
#pragma once
/* How gateway/counting.h asks Redis, and pays from leases what needs no question. */
#include "base/stock.h"
#include "gateway/exchange.h"
#include "io/redis_limits.h"
#include "limit/purses.h"

struct asker {
    struct loop *loop;
    struct redis *redis;
    struct redis_limits *limits;
    struct settling *settling;
    struct purses *purses; /* NULL: nothing is leased */
    size_t worker, n_workers;
    void (*on_counted)(struct exchange *x);

    struct asking *first; /* the rest is the mechanism's */
    struct stock stock;   /* of what asks */
    struct timer collect_timer;
    bool is_draining; /* nothing is lent to us any more */
};
/* What is set before stays; sends back leases that nobody spends, again and again. */
void asker_start(struct asker *asker);
void asker_drain(struct asker *asker); /* sends all back */
void asker_stop(struct asker *asker);  /* when Redis' client is gone */

/* Asks Redis for the charges of x whose bits are in `which`, and then advances x: x->count.step says how it went, and x->outcome what
 * all charges met. A question that may bring a lease outlives its exchange. False: memory is out. */
bool asking_start(struct asker *asker, struct exchange *x, unsigned which, bool counts) MUST_USE;
void asking_leave(struct exchange *x); /* nobody waits any more; fine when nobody did */

/* Gives back what x paid here, for another charge refused. */
void asking_unpay(struct asker *asker, struct exchange *x);
/* Charges, or gives back, `change` of each that was taken: to its lease, or else in Redis. */
void asking_settle(struct asker *asker, struct exchange *x, int64_t change);
