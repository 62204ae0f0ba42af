/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/clock.h"
#include "base/hash.h"

/* When something is asked for next, and how often it has failed since it last went well. */
struct key_schedule {
    int64_t due_ns; /* monotonic; INT64_MAX: never */
    unsigned n_failed;
};

#define KEY_BACKOFF_MAX_S 30

/* It failed: again after 1, 2, 4 ... 30 s. */
static inline void key_schedule_again(struct key_schedule *schedule) {
    int64_t delay_s = schedule->n_failed < 5 ? INT64_C(1) << schedule->n_failed : KEY_BACKOFF_MAX_S;
    schedule->n_failed++;
    schedule->due_ns = clock_now().mono_ns + delay_s * NS_PER_S;
}

/* It went well: again after delay_s, or up to a tenth sooner, so that many machines do not ask in step. */
static inline void key_schedule_after(struct key_schedule *schedule, int64_t delay_s) {
    uint32_t dice;
    random_bytes(&dice, sizeof(dice));
    int64_t delay_ns = delay_s * NS_PER_S;
    schedule->n_failed = 0;
    schedule->due_ns =
        clock_now().mono_ns + delay_ns - delay_ns / 10 * (int64_t)(dice >> 16) / 65536;
}
