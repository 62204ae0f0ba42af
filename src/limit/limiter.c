/* SPDX-License-Identifier: MIT */
/* Which of several limits speaks for a request. The counting is memory_limits'. */
#include "limit/limiter.h"

#include <assert.h>

int64_t limit_retry_after_s(const struct limit_state *state) {
    int64_t wait_s = state->wait_ns / NS_PER_S + (state->wait_ns % NS_PER_S > 0);
    if (state->wait_ns == INT64_MAX)
        return LIMIT_NEVER_S;
    return wait_s > 0 ? wait_s : 1;
}

/* A refusal speaks before an allowance, a longer wait before a shorter, less left before more. */
static bool binds_more(const struct limit_state *a, const struct limit_policy *a_policy,
                       const struct limit_state *b, const struct limit_policy *b_policy) {
    if (a->allowed != b->allowed)
        return b->allowed;
    if (!a->allowed)
        return a->wait_ns > b->wait_ns;
    return (__int128)a->remaining * limit_capacity(b_policy) <
           (__int128)b->remaining * limit_capacity(a_policy);
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

void limit_outcome_conclude(struct limit_outcome *outcome, const struct limit_charge *charges) {
    assert(outcome->n <= LIMITER_CHARGES_MAX);
    for (size_t i = 0; i < outcome->n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it loses sight of n */
        if (charges[i].policy->is_shadow && !outcome->states[i].allowed)
            outcome->shadow_refused = true;
    outcome->binding = find_binding(outcome, charges);
    assert(outcome->n == 0 || outcome->allowed || !outcome->states[outcome->binding].allowed);
}

static struct limit_outcome pass(struct memory_limits *limits, const struct limit_charge *charges,
                                 size_t n, const struct now *now, bool counts) {
    assert(n <= LIMITER_CHARGES_MAX);
    struct limit_outcome outcome = {.n = n};
    outcome.allowed = memory_limits_pass(limits, charges, n, now, counts, outcome.states);
    limit_outcome_conclude(&outcome, charges);
    return outcome;
}

struct limit_outcome limiter_take(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, const struct now *now) {
    return pass(limits, charges, n, now, true);
}

struct limit_outcome limiter_look(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, const struct now *now) {
    assert(n <= LIMITER_CHARGES_MAX);
    struct limit_charge free_of_cost[LIMITER_CHARGES_MAX];
    for (size_t i = 0; i < n; i++) {
        free_of_cost[i] = charges[i];
        free_of_cost[i].cost = 0;
    }
    return pass(limits, free_of_cost, n, now, false);
}

/* A shadow charge that was refused took nothing, so there is nothing to correct. */
void limiter_settle(struct memory_limits *limits, const struct limit_charge *charges,
                    const struct limit_outcome *outcome, int64_t change, const struct now *now) {
    for (size_t i = 0; outcome->allowed && i < outcome->n; i++)
        if (outcome->states[i].allowed)
            memory_limits_settle(limits, &charges[i], change, &outcome->states[i], now);
}
