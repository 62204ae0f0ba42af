/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/clock.h"
#include "base/result.h"
#include <stdbool.h>

/* GCRA (ITU-T I.371 Annex A, virtual scheduling): a rate that refills steadily, and a burst. State is one number, the
 * theoretical arrival time. Pure: reads no clock, allocates nothing, never fails. */
struct bucket_rule {
    int64_t period_ns; /* in which `count` calls refill; 1 s .. 1 day (more is refused by the settings) */
    int64_t count;     /* 1 .. 10^9 */
    int64_t burst;     /* how many calls may come at once when nothing was used; 1 .. 10^9 */
};
struct bucket {
    int64_t tat_ns; /* 0: as good as new; monotonic */
};

struct bucket_state {
    bool allowed;
    int64_t remaining; /* calls of cost 1 that would be allowed now, after this one */
    int64_t wait_ns;   /* until a call of this cost would be allowed; 0 when allowed; INT64_MAX: never (cost > burst) */
    int64_t reset_ns;  /* until the bucket is as good as new */
};

/* What would a call of `cost` (>= 0) meet? Changes nothing. */
struct bucket_state bucket_look(const struct bucket *b, const struct bucket_rule *rule, int64_t cost, int64_t now_ns);
/* The same, and counts it when allowed. */
struct bucket_state bucket_take(struct bucket *b, const struct bucket_rule *rule, int64_t cost, int64_t now_ns);
/* Says nothing any more: dropping it changes no answer. */
bool bucket_is_new(const struct bucket *b, int64_t now_ns);
