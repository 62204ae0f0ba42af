/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Where a request's charges are counted: in this process' memory, or, where `redis` is configured, in Redis for all machines. The answer is
 * there now, or comes later. With Redis away `redis.on_failure` decides: each machine its share of what was left when it was last seen, counted in
 * memory; no limits; or nobody passes. Whatever was decided so bears the mark x->count.degraded; what passed as a share is told to Redis once it is
 * back, and what Redis counted of it too late to be heeded is taken back there. Where the connection is lost first nobody knows: it may count twice. */
struct counting;
struct news;
struct purses;
struct redis;

struct counting_parts {
    struct loop *loop;
    struct redis *redis;     /* freed after redis_free: its calls are cancelled there */
    struct arrears *arrears; /* the process' */
    const struct redis_settings *settings;  /* of the start */
    struct str machine;                     /* this process' name among all */
    struct purses *purses;                  /* NULL: Redis is asked at every call */
    size_t worker, n_workers;               /* whose share of the purses is looked after */
    void (*on_counted)(struct exchange *x); /* advances the pipeline */
};
/* Borrows all of it. NULL when memory is out. */
struct counting *counting_new(const struct counting_parts *parts) MUST_USE;
void counting_free(struct counting *counting); /* takes NULL; after redis_free */
/* Counters of which Redis has still to be told, by this worker; with `all` those too that wait for any. */
size_t counting_unsettled(const struct counting *counting, bool all);
size_t counting_machines(const struct counting *counting); /* last seen, this one included; >= 1 */
enum redis_on_failure counting_on_failure(const struct counting *counting);

enum counting_verdict {
    COUNTING_DONE,  /* x->outcome says what the charges met (of none: there are no limits now) */
    COUNTING_LATER, /* on_counted when it is there: then ask again */
    COUNTING_UNAVAILABLE, /* nobody knows, and the settings say that nobody passes */
};
/* Take all of x->charges, or none; without `counts` only look. n_charges >= 1. */
enum counting_verdict counting_take(struct exchange *x, bool counts);
/* What a taken charge cost in truth became known: charge `change` more; x->outcome says what stands. */
void counting_settle(struct exchange *x, int64_t change);
/* What the feed said is forgotten: denials, leases. */
void counting_heed(struct counting *counting, const struct news *before, const struct news *news);
void counting_drain(
    struct counting *counting);           /* what was lent goes back, and nothing more is lent */
void counting_cancel(struct exchange *x); /* nobody waits any more; fine when nobody did */
