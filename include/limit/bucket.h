/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/state.h"

/* A rate that refills steadily, and a burst. Source: ITU-T I.371 Annex A (GCRA, virtual scheduling);
 * the state is one point in time, the theoretical arrival time. Pure: reads no clock, allocates
 * nothing, never fails. Exact: a rate that does not divide its period (7/minute) does not drift.
 *
 * In any window of T the calls admitted are at most burst + count * T / period. */
struct bucket_rule {
    int64_t period_ns; /* in which `count` calls refill; 1 s .. 1 day */
    int64_t count;     /* 1 .. 10^9 */
    int64_t burst;     /* how many calls may come at once when nothing was used; 1 .. 10^9 */
};
#define BUCKET_COUNT_MAX     INT64_C(1000000000)
#define BUCKET_PERIOD_MIN_NS NS_PER_S
#define BUCKET_PERIOD_MAX_NS (86400 * NS_PER_S)
/* The longest time that an empty bucket may take to be full again: 100 years. */
#define BUCKET_REFILL_MAX_NS (36525 * BUCKET_PERIOD_MAX_NS)

/* All three in their ranges, and burst * period / count within BUCKET_REFILL_MAX_NS. The settings
 * refuse other rules; below they are bugs. */
bool bucket_rule_is_valid(const struct bucket_rule *rule);

/* Theoretical arrival time: monotonic, tat_ns + tat_parts / rule->count. {0, 0}: as good as new.
 * Belongs to one rule for life: under another rule's count the parts would mean something else. */
struct bucket {
    int64_t tat_ns;
    uint32_t tat_parts;
};

/* What would a call of `cost` (>= 0) meet? Changes nothing. now_ns >= 0 may run backwards a little,
 * as clocks read by several threads do: the bucket only looks fuller then. */
struct limit_state bucket_look(const struct bucket *b, const struct bucket_rule *rule, int64_t cost,
                               int64_t now_ns);
/* The same, and counts it when allowed. */
struct limit_state bucket_take(struct bucket *b, const struct bucket_rule *rule, int64_t cost,
                               int64_t now_ns);
/* Charge a difference that became known later: `change` more calls, or fewer. Refuses nothing: the bucket may become fuller than full, and nobody
 * passes until that has leaked. What is given back cannot make it emptier than empty.
 *
 * A call that reserved is a loan: with reserves, the calls admitted in any window of T are at most burst + count * T / period + the reserves
 * under way at the window's start, and debts: what settling added. */
void bucket_settle(struct bucket *b, const struct bucket_rule *rule, int64_t change,
                   int64_t now_ns);
/* How many calls were used and have not refilled, a part of one counting whole; above the burst: debt. */
int64_t bucket_used(const struct bucket *b, const struct bucket_rule *rule, int64_t now_ns);
/* Says nothing any more: dropping it changes no answer. */
bool bucket_is_new(const struct bucket *b, int64_t now_ns);
