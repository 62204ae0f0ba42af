/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/memory_limits.h"

/* All the limits of one request at once: nothing is counted unless everything allows. */
struct limit_outcome {
    bool allowed;        /* by all policies that are not shadow */
    bool shadow_refused; /* a shadow policy would have refused */
    size_t n;
    struct limit_state states[LIMITER_CHARGES_MAX]; /* in the charges' order */
    /* The charge that refused with the longest wait, or (allowed) has the least left in proportion.
     * A shadow one only where there is no other. */
    size_t binding;
};

/* Whole seconds, rounded up, at least 1: what Retry-After says; a call after it passes if nobody else
 * came. For a call that never passes (wait_ns of INT64_MAX): LIMIT_NEVER_S, by when the settings may be others. */
#define LIMIT_NEVER_S 86400
int64_t limit_retry_after_s(const struct limit_state *state);

/* Whoever keeps the counters fills `allowed` and states[0..n); this finds the rest. */
void limit_outcome_conclude(struct limit_outcome *outcome, const struct limit_charge *charges);

/* n <= LIMITER_CHARGES_MAX. Thread-safe. */
struct limit_outcome limiter_take(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, const struct now *now) MUST_USE;
/* What stands, without counting (cost 0 of each). */
struct limit_outcome limiter_look(struct memory_limits *limits, const struct limit_charge *charges,
                                  size_t n, const struct now *now) MUST_USE;
/* What a taken charge cost in truth became known: charge the difference to each (limit_counter_settle). `outcome` is what it met. */
void limiter_settle(struct memory_limits *limits, const struct limit_charge *charges,
                    const struct limit_outcome *outcome, int64_t change, const struct now *now);
