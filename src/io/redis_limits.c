/* SPDX-License-Identifier: MIT */
/* What a state means is told by limit/ alone: a script answers with what it found, and the very functions that
 * judge counters in memory judge that. */
#include "io/redis_limits.h"

#include "limit_scripts.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Of each charge: how it stands, and of a lease what and when. */
#define ANSWERS       2
#define LEASE_ANSWERS 4

struct redis_limits {
    struct redis *redis;
    struct str prefix;
    struct limit_scripts scripts;
};

struct redis_limits *redis_limits_new(struct redis *redis, struct str prefix) {
    struct redis_limits *limits = calloc(1, sizeof(*limits));
    if (!limits)
        return NULL;
    limits->redis = redis;
    limits->prefix = prefix;
    if (limit_scripts_init(&limits->scripts) == 0)
        return limits;
    redis_limits_free(limits);
    return NULL;
}

void redis_limits_free(struct redis_limits *limits) {
    if (!limits)
        return;
    limit_scripts_fini(&limits->scripts);
    free(limits);
}

/* ---- groups: what one call can carry */

/* On a Cluster the charges that share their key with the first of `left`; else all of them. */
static unsigned group_of(const struct redis_limits *limits, const struct limit_charge *charges,
                         size_t n, unsigned left) {
    unsigned group = 0;
    const struct limit_charge *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!(left & 1u << i))
            continue;
        if (!first)
            first = &charges[i];
        assert(first != NULL);
        if (!redis_is_cluster(limits->redis) ||
            (charges[i].policy->key == first->policy->key && str_eq(charges[i].key, first->key)))
            group |= 1u << i;
    }
    return group;
}

static unsigned all_of(size_t n) { return (1u << n) - 1; }

static int64_t now_us_for(const struct redis_limits *limits, const char *name) {
    int64_t now_us = redis_now_us(limits->redis, str_of(name));
    return now_us > 0 ? now_us : clock_now().wall_ns / 1000; /* away: it will not be sent */
}

/* Nobody waits for it. Without memory it is as lost as with Redis away. */
static void run_unheard(struct redis_limits *limits, const struct redis_script *script,
                        const struct telling *t) {
    (void)!redis_run(limits->redis, NULL, script, t->keys, t->n_keys, t->arguments, 1 + t->n_keys,
                     NULL);
}

static void settle_group(struct redis_limits *limits, const struct limit_charge *charges, size_t n,
                         unsigned group, const int64_t changes[LIMITER_CHARGES_MAX],
                         const int64_t taken_end_s[LIMITER_CHARGES_MAX]) {
    struct telling t;
    telling_begin(&t, true);
    for (size_t i = 0; i < n; i++)
        if (group & 1u << i && changes[i] != 0 &&
            redis_counter_key(limits->prefix, &charges[i], t.names[t.n_keys]))
            tell_settling(&t, &charges[i], changes[i], taken_end_s[i],
                          now_us_for(limits, t.names[t.n_keys]));
    if (t.n_keys > 0)
        run_unheard(limits, &limits->scripts.settle, &t);
}

/* ---- taking */

static void give_back(struct redis_taking *taking) {
    const struct limit_outcome *outcome = &taking->outcome;
    int64_t changes[LIMITER_CHARGES_MAX] = {0}, ends_s[LIMITER_CHARGES_MAX] = {0};
    for (size_t i = 0; i < outcome->n; i++) {
        bool was_taken = taking->taken & 1u << i && outcome->states[i].allowed;
        changes[i] = was_taken ? -taking->charges[i].cost : 0;
        ends_s[i] = outcome->states[i].window.end_s;
    }
    while (taking->taken) {
        unsigned group = group_of(taking->limits, taking->charges, outcome->n, taking->taken);
        settle_group(taking->limits, taking->charges, outcome->n, group, changes, ends_s);
        taking->taken &= ~group;
    }
}

static struct limit_state look(const struct redis_taking *taking, size_t i) {
    struct limit_charge nothing = taking->charges[i];
    const struct now now = {.wall_ns = taking->now_us[i] * 1000};
    nothing.cost = 0;
    return limit_counter_look(&taking->before[i], &nothing, &now);
}

/* Nothing was taken of those that would have allowed it: what stands. */
static void look_at_others(struct redis_taking *taking) {
    struct limit_outcome *outcome = &taking->outcome;
    for (size_t i = 0; i < outcome->n; i++) {
        if (!redis_taking_was_heard(taking, i))
            outcome->states[i] = (struct limit_state){
                .allowed = true, .remaining = limit_capacity(taking->charges[i].policy)};
        else if (outcome->states[i].allowed)
            outcome->states[i] = look(taking, i);
    }
}

static void finish(struct redis_taking *taking, enum redis_verdict verdict) {
    if (verdict != REDIS_ANSWERED || taking->is_refused)
        give_back(taking);
    taking->outcome.allowed = !taking->is_refused;
    if (verdict == REDIS_ANSWERED && taking->is_refused)
        look_at_others(taking);
    if (verdict == REDIS_ANSWERED)
        limit_outcome_conclude(&taking->outcome, taking->charges);
    if (!taking->on_heard)
        redis_limits_cancel(taking);
    taking->on_done(taking, verdict);
}

/* What was lent counts as used. */
static bool read_charge(struct redis_taking *taking, size_t i, const struct redis_reply *answers,
                        const struct now *now) {
    struct limit_charge charge = taking->charges[i];
    struct limit_state *state = &taking->outcome.states[i];
    int64_t lent = taking->wishes ? answers[2].integer : 0;
    int64_t epoch = taking->wishes ? answers[3].integer : 0;
    if (!redis_counter_read(charge.policy, answers, &taking->before[i]) || lent < 0 || epoch < 0 ||
        (lent > 0 && lent > taking->wishes[i].wanted) || epoch > REDIS_COUNTER_MAX / 1000000)
        return false;
    taking->now_us[i] = now->wall_ns / 1000;
    taking->lent[i] = lent;
    taking->epochs[i] = epoch;
    *state = limit_counter_look(&taking->before[i], &charge, now);
    if (lent == 0)
        return true;
    charge.cost += lent;
    *state = limit_counter_look(&taking->before[i], &charge, now);
    return state->allowed;
}

static bool read_group(struct redis_taking *taking, const struct redis_reply *reply) {
    const struct redis_reply *list = reply->list;
    size_t at = 2, n_answers = taking->wishes ? LEASE_ANSWERS : ANSWERS;
    bool is_allowed = true;
    if (reply->kind != REPLY_ARRAY || reply->n < 2 || list[0].integer <= 0 ||
        list[0].integer > REDIS_COUNTER_MAX / 2)
        return false;
    struct now now = {.wall_ns = list[0].integer * 1000};
    for (size_t i = 0; i < taking->outcome.n; i++) {
        const struct limit_charge *charge = &taking->charges[i];
        if (!(taking->asking & 1u << i))
            continue;
        if (at + n_answers > reply->n || !read_charge(taking, i, &list[at], &now))
            return false;
        at += n_answers;
        is_allowed &= taking->outcome.states[i].allowed || charge->policy->is_shadow;
    }
    taking->is_refused |= !is_allowed;
    return at == reply->n && is_allowed == (list[1].integer == 1);
}

static int ask_next(struct redis_taking *taking);

static enum redis_verdict note_group(struct redis_taking *taking, enum redis_verdict verdict,
                                     const struct redis_reply *reply) {
    bool has_counted = taking->counts && !taking->is_refused;
    taking->asked |= taking->asking;
    if (verdict == REDIS_ANSWERED && !read_group(taking, reply))
        verdict = REDIS_NONSENSE;
    if (verdict == REDIS_ANSWERED && has_counted && !taking->is_refused)
        taking->taken |= taking->asking;
    if (verdict == REDIS_ANSWERED)
        taking->heard |= taking->asking;
    return taking->last = verdict;
}

static void on_group(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct redis_taking *taking = CONTAINER_OF(call, struct redis_taking, call);
    bool was_refused = taking->is_refused;
    verdict = note_group(taking, verdict, reply);
    if (verdict == REDIS_ANSWERED && taking->asked != all_of(taking->outcome.n)) {
        if (ask_next(taking) == 0)
            return;
        verdict = REDIS_OVERLOADED;
        was_refused = taking->is_refused;
    }
    finish(taking, was_refused ? REDIS_ANSWERED : verdict);
}

/* on_done has been, and what earlier groups took was given back. */
static void on_group_heard(struct redis_call *call, enum redis_verdict verdict,
                           const struct redis_reply *reply) {
    struct redis_taking *taking = CONTAINER_OF(call, struct redis_taking, call);
    note_group(taking, verdict, reply);
    unsigned counted = taking->taken;
    for (size_t i = 0; i < taking->outcome.n; i++)
        if (!taking->outcome.states[i].allowed)
            counted &= ~(1u << i);
    taking->on_heard(taking, counted);
}

static int ask_next(struct redis_taking *taking) {
    struct redis_limits *limits = taking->limits;
    size_t n = taking->outcome.n;
    struct telling t;
    taking->asking = group_of(limits, taking->charges, n, all_of(n) & ~taking->asked);
    telling_begin(&t, taking->counts && !taking->is_refused);
    for (size_t i = 0; i < n; i++) {
        if (!(taking->asking & 1u << i))
            continue;
        if (!redis_counter_key(limits->prefix, &taking->charges[i], t.names[t.n_keys]))
            return -E2BIG;
        int64_t now_us = now_us_for(limits, t.names[t.n_keys]);
        if (taking->wishes)
            tell_lending(&t, &taking->charges[i], &taking->wishes[i], now_us);
        else
            tell_taking(&t, &taking->charges[i], now_us);
    }
    const struct redis_script *script =
        taking->wishes ? &limits->scripts.lend : &limits->scripts.take;
    TRY(redis_run(limits->redis, &taking->call, script, t.keys, t.n_keys, t.arguments, 1 + t.n_keys,
                  on_group));
    redis_heed_late(&taking->call, on_group_heard);
    return 0;
}

int redis_limits_take(struct redis_limits *limits, struct redis_taking *taking,
                      const struct limit_charge *charges, const struct lease_wish *wishes, size_t n,
                      bool counts, void (*on_done)(struct redis_taking *, enum redis_verdict)) {
    assert(n >= 1 && n <= LIMITER_CHARGES_MAX);
    assert(!taking->call.pending);
    *taking = (struct redis_taking){.on_done = on_done,
                                    .limits = limits,
                                    .charges = charges,
                                    .wishes = wishes,
                                    .counts = counts};
    taking->outcome.n = n;
    return ask_next(taking);
}

union limit_counter redis_taking_found(const struct redis_taking *taking, size_t i,
                                       int64_t mono_ns) {
    struct limit_charge charge = taking->charges[i];
    struct now now = {.wall_ns = taking->now_us[i] * 1000};
    union limit_counter found = taking->before[i];
    bool is_taken = taking->taken & 1u << i && taking->outcome.states[i].allowed;
    charge.cost = (is_taken ? charge.cost : 0) + taking->lent[i];
    (void)limit_counter_take(&found, &charge, &now);
    if (charge.policy->kind == LIMIT_RATE)
        found.bucket.tat_ns += mono_ns;
    return found;
}

struct lease_grant redis_taking_grant(const struct redis_taking *taking, size_t i) {
    struct limit_state state = taking->outcome.states[i];
    return lease_grant_at(taking->charges[i].policy->kind, &state, taking->lent[i],
                          taking->epochs[i], taking->now_us[i] * 1000);
}

void redis_limits_return(struct redis_limits *limits, struct str key, enum limit_kind kind,
                         const struct bucket_rule *rate, const struct lease_rest *rest) {
    struct telling t;
    telling_begin(&t, true);
    snprintf(t.names[0], sizeof(t.names[0]), STR_FMT, STR_ARG(key));
    tell_return(&t, kind, rate, rest);
    run_unheard(limits, &limits->scripts.lend, &t);
}

bool redis_taking_was_heard(const struct redis_taking *taking, size_t i) {
    return taking->heard & 1u << i;
}

bool redis_taking_was_sent(const struct redis_taking *taking, size_t i) {
    if (redis_taking_was_heard(taking, i))
        return true;
    return taking->asked & 1u << i && taking->last != REDIS_AWAY &&
           taking->last != REDIS_OVERLOADED && taking->last != REDIS_REFUSED;
}

bool redis_taking_may_be_heard(const struct redis_taking *taking) { return taking->call.pending; }

void redis_limits_cancel(struct redis_taking *taking) { redis_cancel(&taking->call); }

void redis_limits_settle(struct redis_limits *limits, const struct limit_charge *charges,
                         const struct limit_outcome *outcome, int64_t change) {
    int64_t changes[LIMITER_CHARGES_MAX] = {0}, ends_s[LIMITER_CHARGES_MAX] = {0};
    for (size_t i = 0; i < outcome->n; i++) {
        changes[i] = outcome->states[i].allowed ? change : 0;
        ends_s[i] = outcome->states[i].window.end_s;
    }
    for (unsigned left = all_of(outcome->n); left;) {
        unsigned group = group_of(limits, charges, outcome->n, left);
        settle_group(limits, charges, outcome->n, group, changes, ends_s);
        left &= ~group;
    }
}

bool redis_limits_key(const struct redis_limits *limits, const struct limit_charge *charge,
                      char out[REDIS_LIMITS_KEY_MAX]) {
    return redis_counter_key(limits->prefix, charge, out);
}
