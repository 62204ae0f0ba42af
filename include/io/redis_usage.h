/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"
#include "limit/memory_limits.h"

/* What the operator sees and changes of the counters that io/redis_limits.h keeps, by Redis' clock. Nothing is refused: debt may stand.
 * What else a counter's value says behind its two numbers stays as it is, unless all is reset. */
struct redis_usage;

/* Borrows both until redis_usage_free; `redis` is freed first. NULL: memory is out. */
struct redis_usage *redis_usage_new(struct redis *redis, struct str prefix) MUST_USE;
void redis_usage_free(struct redis_usage *usage); /* takes NULL */

enum usage_act {
    USAGE_LOOK,
    USAGE_CHANGE, /* so much more was used, or (below 0) given back */
    USAGE_RESET,  /* as if nothing had been used, debts included */
};

/* Embedded in its owner; all zeros is idle. */
struct redis_usage_call {
    void (*on_done)(struct redis_usage_call *call, enum redis_verdict verdict);
    /* ANSWERED: how they stand now, at now_us (unix); buckets in a monotonic clock's time that is 0 then. */
    union limit_counter found[LIMITER_CHARGES_MAX];
    int64_t now_us;

    const struct limit_charge *charges; /* the rest is the mechanism's */
    size_t n;
    struct redis_call call;
};

/* All of `charges` (their costs do not matter) or none; 1 <= n <= LIMITER_CHARGES_MAX, on a Cluster of one kind of key and one key. They are
 * borrowed until on_done, which never comes from inside. -ENOMEM, -E2BIG. */
int redis_usage_run(struct redis_usage *usage, struct redis_usage_call *call, enum usage_act act,
                    const struct limit_charge *charges, size_t n, int64_t change,
                    void (*on_done)(struct redis_usage_call *, enum redis_verdict)) MUST_USE;
void redis_usage_cancel(struct redis_usage_call *call); /* no on_done; fine when idle */
