/* SPDX-License-Identifier: MIT */
/* One question, three ways to its answer:
 *
 *     no redis ───────────────────────────────────────────────► memory
 *     redis ──► asked ──► answered ────────────────────────────► Redis' word; memory learns what it saw
 *                    └──► away, late, nonsense ──► on_failure ─► memory's share of what it saw last | all pass | none
 *                                                                └──► and Redis is told of it when it is back
 */
#include "gateway/counting.h"

#include "base/log.h"
#include "io/machines.h"
#include "io/redis_limits.h"
#include "io/settling.h"
#include "limit/share.h"
#include <assert.h>
#include <stdlib.h>

struct counting {
    const struct redis_settings *settings;
    void (*on_counted)(struct exchange *x);
    struct redis_limits *limits;
    struct machines *machines;
    struct arrears *arrears;
    struct settling *settling;
};

struct counting *counting_new(const struct counting_parts *parts) {
    struct counting *counting = calloc(1, sizeof(*counting));
    if (!counting)
        return NULL;
    counting->settings = parts->settings;
    counting->on_counted = parts->on_counted;
    counting->arrears = parts->arrears;
    counting->limits = redis_limits_new(parts->redis, parts->settings->prefix);
    counting->machines =
        machines_new(parts->loop, parts->redis, parts->settings->prefix, parts->machine);
    counting->settling = settling_new(&(struct settling_parts){.loop = parts->loop,
                                                               .redis = parts->redis,
                                                               .prefix = parts->settings->prefix,
                                                               .arrears = parts->arrears});
    if (counting->limits && counting->machines && counting->settling)
        return counting;
    counting_free(counting);
    return NULL;
}

void counting_free(struct counting *counting) {
    if (!counting)
        return;
    settling_free(counting->settling);
    machines_free(counting->machines);
    redis_limits_free(counting->limits);
    free(counting);
}

size_t counting_machines(const struct counting *counting) {
    size_t n = machines_seen(counting->machines);
    return n > 0 ? n : counting->settings->expected_machines;
}

size_t counting_unsettled(const struct counting *counting, bool all) {
    return settling_under_way(counting->settling) + (all ? arrears_count(counting->arrears) : 0);
}

enum redis_on_failure counting_on_failure(const struct counting *counting) {
    return (enum redis_on_failure)counting->settings->on_failure;
}

/* ---- in memory */

static void take_in_memory(struct exchange *x, bool counts) {
    struct memory_limits *limits = x->parts->limits;
    x->outcome = counts ? limiter_take(limits, x->charges, x->n_charges, exchange_now(x))
                        : limiter_look(limits, x->charges, x->n_charges, exchange_now(x));
}

static void settle_in_memory(struct exchange *x, int64_t change) {
    struct memory_limits *limits = x->parts->limits;
    limiter_settle(limits, x->charges, &x->outcome, change, exchange_now(x));
    struct limit_outcome stands = limiter_look(limits, x->charges, x->n_charges, exchange_now(x));
    for (size_t i = 0; i < x->n_charges; i++)
        if (x->outcome.states[i].allowed)
            x->outcome.states[i] = stands.states[i];
}

/* ---- with Redis away */

/* As if each call were as many as there are machines. */
static void share_all(const struct exchange *x, struct share shares[LIMITER_CHARGES_MAX],
                      struct limit_charge charges[LIMITER_CHARGES_MAX]) {
    size_t machines = counting_machines(x->parts->counting);
    for (size_t i = 0; i < x->n_charges; i++) {
        share_of(&shares[i], &x->charges[i], (int64_t)machines);
        charges[i] = shares[i].charge;
    }
}

/* Redis has to hear of what each charge cost, and of `change` more. */
static void owe(const struct exchange *x, const struct limit_charge *costs, int64_t change,
                int64_t machines) {
    int64_t calls[LIMITER_CHARGES_MAX];
    for (size_t i = 0; i < x->n_charges; i++)
        calls[i] = (costs ? costs[i].cost : 0) + change;
    settling_owe(x->parts->counting->settling, x->charges, &x->outcome, calls, machines);
}

static void take_share(struct exchange *x, bool counts) {
    struct share shares[LIMITER_CHARGES_MAX];
    struct limit_charge charges[LIMITER_CHARGES_MAX];
    struct memory_limits *limits = x->parts->limits;
    int64_t machines = (int64_t)counting_machines(x->parts->counting);
    share_all(x, shares, charges);
    x->outcome = counts ? limiter_take(limits, charges, x->n_charges, exchange_now(x))
                        : limiter_look(limits, charges, x->n_charges, exchange_now(x));
    if (counts && x->outcome.allowed)
        owe(x, x->charges, 0, machines);
    for (size_t i = 0; i < x->n_charges; i++)
        x->outcome.states[i].remaining /= machines;
}

static void settle_share(struct exchange *x, int64_t change) {
    struct share shares[LIMITER_CHARGES_MAX];
    struct limit_charge charges[LIMITER_CHARGES_MAX];
    int64_t machines = (int64_t)counting_machines(x->parts->counting);
    share_all(x, shares, charges);
    limiter_settle(x->parts->limits, charges, &x->outcome, change * machines, exchange_now(x));
    owe(x, NULL, change, machines);
}

static enum counting_verdict decide_alone(struct exchange *x, bool counts) {
    enum counting_verdict verdict = COUNTING_DONE;
    switch ((enum redis_on_failure)x->parts->counting->settings->on_failure) {
    case REDIS_SHARE:
        x->count.degraded = DEGRADED_SHARE;
        take_share(x, counts);
        break;
    case REDIS_OPEN:
        x->count.degraded = DEGRADED_OPEN;
        x->n_charges = 0;
        x->outcome = (struct limit_outcome){.allowed = true};
        break;
    case REDIS_CLOSED:
        x->count.degraded = DEGRADED_CLOSED;
        x->n_charges = 0;
        verdict = COUNTING_UNAVAILABLE;
        break;
    }
    metrics_count_degraded(x->metrics, x->parts->worker, x->count.degraded);
    return verdict;
}

/* ---- in Redis */

/* Should Redis go away, this machine goes on from here. */
static void remember(struct exchange *x) {
    const struct redis_taking *taking = &x->count.taking;
    for (size_t i = 0; i < x->n_charges; i++) {
        union limit_counter seen = redis_taking_found(taking, i, exchange_now(x)->mono_ns);
        memory_limits_put(x->parts->limits, &x->charges[i], &seen, exchange_now(x));
    }
}

/* Of other failures the client's own log tells, which has a breaker for the server; this is perhaps one key's. */
static void tell_odd(const struct exchange *x, enum redis_verdict verdict) {
    if ((verdict == REDIS_ERROR || verdict == REDIS_NONSENSE) &&
        metrics_count_oddity(x->metrics, x->parts->worker, ODDITY_REDIS))
        log_warn("Redis answers what is no count; on_failure decides, as if it were away",
                 F_TEXT("verdict", redis_verdict_name(verdict)));
}

static void on_taken(struct redis_taking *taking, enum redis_verdict verdict) {
    struct exchange *x = CONTAINER_OF(taking, struct exchange, count.taking);
    tell_odd(x, verdict);
    x->count.step = verdict == REDIS_ANSWERED ? COUNT_ANSWERED : COUNT_FAILED;
    if (verdict == REDIS_ANSWERED) {
        x->outcome = taking->outcome;
        remember(x);
    }
    x->parts->counting->on_counted(x);
}

static enum counting_verdict ask(struct exchange *x, bool counts) {
    struct counting *counting = x->parts->counting;
    for (size_t i = 0; i < x->n_charges && !counts; i++)
        x->charges[i].cost = 0; /* what stands, not what one more would meet */
    if (redis_limits_take(counting->limits, &x->count.taking, x->charges, NULL, x->n_charges,
                          counts, on_taken) < 0)
        return decide_alone(x, counts);
    x->count.step = COUNT_ASKING;
    return COUNTING_LATER;
}

/* What stands is reckoned: the settling's own answer would come too late for this one. */
static void settle_in_redis(struct exchange *x, int64_t change) {
    redis_limits_settle(x->parts->counting->limits, x->charges, &x->outcome, change);
    for (size_t i = 0; i < x->n_charges; i++) {
        struct limit_state *state = &x->outcome.states[i];
        int64_t capacity = limit_capacity(x->charges[i].policy);
        int64_t remaining = state->remaining - change;
        if (state->allowed)
            state->remaining = remaining < 0 ? 0 : remaining > capacity ? capacity : remaining;
    }
}

/* ---- use */

enum counting_verdict counting_take(struct exchange *x, bool counts) {
    assert(x->n_charges >= 1);
    if (!x->parts->counting) {
        take_in_memory(x, counts);
        return COUNTING_DONE;
    }
    switch (x->count.step) {
    case COUNT_NOT_ASKED:
        return ask(x, counts);
    case COUNT_ASKING:
        return COUNTING_LATER;
    case COUNT_ANSWERED:
        return COUNTING_DONE;
    case COUNT_FAILED:
        break;
    }
    return decide_alone(x, counts);
}

void counting_settle(struct exchange *x, int64_t change) {
    if (!x->parts->counting)
        settle_in_memory(x, change);
    else if (x->count.degraded == DEGRADED_SHARE)
        settle_share(x, change);
    else
        settle_in_redis(x, change);
}

void counting_cancel(struct exchange *x) {
    if (x->count.step == COUNT_ASKING)
        redis_limits_cancel(&x->count.taking);
    x->count.step = COUNT_NOT_ASKED;
}
