/* SPDX-License-Identifier: MIT */
/* One question, four ways to its answer:
 *
 *     no redis ───────────────────────────────────────────────► memory
 *     redis, leased ──► a lease pays, a denial stands ─────────► at once
 *           └──► asked ──► answered ────────────────────────────► Redis' word; memory learns what it saw
 *                    └──► away, late, nonsense ──► on_failure ─► memory's share of what it saw last | all pass | none
 *                                                                └──► and Redis is told of it when it is back
 */
#include "gateway/counting.h"

#include "asking.h"
#include "io/machines.h"
#include "io/news.h"
#include "io/settling.h"
#include "limit/share.h"
#include <assert.h>
#include <stdlib.h>

/* What the purses said to the charges of a request. */
struct purses_met {
    unsigned asks;
    bool is_refused;
};

struct counting {
    const struct redis_settings *settings;
    struct asker asker;
    struct machines *machines;
    struct arrears *arrears;
    struct settling *settling;
};

struct counting *counting_new(const struct counting_parts *parts) {
    struct counting *counting = calloc(1, sizeof(*counting));
    if (!counting)
        return NULL;
    counting->settings = parts->settings;
    counting->arrears = parts->arrears;
    counting->settling = settling_new(&(struct settling_parts){.loop = parts->loop,
                                                               .redis = parts->redis,
                                                               .prefix = parts->settings->prefix,
                                                               .arrears = parts->arrears});
    counting->asker = (struct asker){
        .loop = parts->loop,
        .redis = parts->redis,
        .limits = redis_limits_new(parts->redis, parts->settings->prefix),
        .settling = counting->settling,
        .purses = parts->purses,
        .worker = parts->worker,
        .n_workers = parts->n_workers,
        .on_counted = parts->on_counted,
    };
    counting->machines =
        machines_new(parts->loop, parts->redis, parts->settings->prefix, parts->machine);
    if (counting->asker.limits && counting->machines && counting->settling) {
        asker_start(&counting->asker);
        return counting;
    }
    counting_free(counting);
    return NULL;
}

void counting_free(struct counting *counting) {
    if (!counting)
        return;
    asker_stop(&counting->asker);
    settling_free(counting->settling);
    machines_free(counting->machines);
    redis_limits_free(counting->asker.limits);
    free(counting);
}

void counting_heed(struct counting *counting, const struct news *before, const struct news *news) {
    struct purses *purses = counting->asker.purses;
    const struct news_change *changes;
    size_t n;
    if (!purses)
        return;
    if (!news_since(news, before->next, &changes, &n))
        purses_forget_all(purses);
    for (size_t i = 0; i < n; i++)
        if (changes[i].event == FEED_GRANT || changes[i].event == FEED_SUBJECT)
            purses_forget(purses, changes[i].of);
}

void counting_drain(struct counting *counting) { asker_drain(&counting->asker); }

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
        x->outcome = (struct limit_outcome){0};
        verdict = COUNTING_UNAVAILABLE;
        break;
    }
    metrics_count_degraded(x->metrics, x->parts->worker, x->count.degraded);
    return verdict;
}

/* ---- in Redis */

static enum counting_verdict ask(struct exchange *x, unsigned which, bool counts) {
    if (!asking_start(&x->parts->counting->asker, x, which, counts)) {
        asking_unpay(&x->parts->counting->asker, x);
        return decide_alone(x, counts);
    }
    x->count.step = COUNT_ASKING;
    return COUNTING_LATER;
}

static void refuse_here(struct exchange *x, const struct purses_met *met) {
    for (size_t i = 0; i < x->n_charges; i++)
        if (met->asks & 1u << i)
            x->outcome.states[i] =
                purses_look(x->parts->counting->asker.purses, &x->charges[i], exchange_now(x));
    asking_unpay(&x->parts->counting->asker, x);
    x->outcome.allowed = false;
}

/* What is paid from leases needs nobody; what is left is asked for, all at once. A denial stands only while Redis could say
 * otherwise: `on_failure` may. */
static enum counting_verdict take_leased(struct exchange *x) {
    struct counting *counting = x->parts->counting;
    bool heeds_denials = redis_is_up(counting->asker.redis, STR_NONE);
    struct purses_met met = {0};
    x->outcome = (struct limit_outcome){.allowed = true, .n = x->n_charges};
    for (size_t i = 0; i < x->n_charges; i++) {
        switch (purses_pay(counting->asker.purses, &x->charges[i], heeds_denials, exchange_now(x),
                           &x->outcome.states[i])) {
        case PURSE_PAYS:
            x->count.paid |= 1u << i;
            break;
        case PURSE_REFUSES:
            met.is_refused |= !x->charges[i].policy->is_shadow;
            break;
        case PURSE_ASKS:
            met.asks |= 1u << i;
            break;
        }
    }
    if (met.asks && !met.is_refused)
        return ask(x, met.asks, true);
    if (met.is_refused)
        refuse_here(x, &met);
    limit_outcome_conclude(&x->outcome, x->charges);
    return COUNTING_DONE;
}

static enum counting_verdict take_in_redis(struct exchange *x, bool counts) {
    if (counts && x->parts->counting->asker.purses)
        return take_leased(x);
    x->outcome = (struct limit_outcome){.n = x->n_charges};
    return ask(x, (1u << x->n_charges) - 1, counts);
}

/* What stands is reckoned: the settling's own answer would come too late for this one. */
static void settle_in_redis(struct exchange *x, int64_t change) {
    asking_settle(&x->parts->counting->asker, x, change);
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
        return take_in_redis(x, counts);
    case COUNT_ASKING:
        return COUNTING_LATER;
    case COUNT_ANSWERED:
        return COUNTING_DONE;
    case COUNT_FAILED:
        break;
    }
    asking_unpay(&x->parts->counting->asker, x);
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
    asking_leave(x);
    x->count.step = COUNT_NOT_ASKED;
}
