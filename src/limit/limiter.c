/* SPDX-License-Identifier: MIT */
/* Which of several limits speaks for a request. The counting is memory_limits'. */
#include "limit/limiter.h"

#include <assert.h>

int64_t limit_retry_after_s(const struct limit_state *state) {
    int64_t wait_s = state->wait_ns / NS_PER_S + (state->wait_ns % NS_PER_S > 0);
    return wait_s > 0 ? wait_s : 1;
}

/* A refusal speaks before an allowance, a longer wait before a shorter, less left before more. */
static bool binds_more(const struct limit_state *a, const struct limit_policy *a_policy,
                       const struct limit_state *b, const struct limit_policy *b_policy) {
    if (a->allowed != b->allowed)
        return b->allowed;
    if (!a->allowed)
        return a->wait_ns > b->wait_ns;
    /* Both at most 10^9: the products fit. */
    return a->remaining * b_policy->rate.burst < b->remaining * a_policy->rate.burst;
}

/* Shadow policies refuse nobody, so they bind only where there is no other. */
static size_t find_binding(const struct limit_outcome *outcome,
                           const struct limit_charge *charges) {
    size_t best = 0;
    for (size_t i = 1; i < outcome->n; i++) {
        const struct limit_policy *policy = charges[i].policy, *best_policy = charges[best].policy;
        if (policy->is_shadow != best_policy->is_shadow) {
            if (best_policy->is_shadow)
                best = i;
        } else if (binds_more(&outcome->states[i], policy, &outcome->states[best], best_policy)) {
            best = i;
        }
    }
    return best;
}

static struct limit_outcome pass(struct memory_limits *limits, const struct limit_charge *charges,
                                 size_t n, int64_t now_ns, bool counts) {
    assert(n <= LIMITER_CHARGES_MAX);
    struct limit_outcome outcome = {0};
    outcome.allowed = memory_limits_pass(limits, charges, n, now_ns, counts, outcome.states);
    outcome.n = n;
    for (size_t i = 0; i < n; i++)
        if (charges[i].policy->is_shadow && !outcome.states[i].allowed)
            outcome.shadow_refused = true;
    outcome.binding = find_binding(&outcome, charges);
    assert(n == 0 || outcome.allowed || !outcome.states[outcome.binding].allowed);
    return outcome;
}

struct limit_outcome limiter_take(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, int64_t now_ns) {
    return pass(limits, charges, n, now_ns, true);
}

struct limit_outcome limiter_look(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, int64_t now_ns) {
    assert(n <= LIMITER_CHARGES_MAX);
    struct limit_charge free_of_cost[LIMITER_CHARGES_MAX];
    for (size_t i = 0; i < n; i++)
        free_of_cost[i] = (struct limit_charge){charges[i].policy, charges[i].key, 0};
    return pass(limits, free_of_cost, n, now_ns, false);
}
