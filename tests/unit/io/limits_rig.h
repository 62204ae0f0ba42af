/* SPDX-License-Identifier: MIT */
#pragma once
/* Policies, and what became of taking charges of them in Redis. */
#include "io/redis_limits.h"
#include "redis_rig.h"

static const struct limit_policy policy_rate
    __attribute__((unused)) = {.name = STR("burst"),
                               .id = STR("burst"),
                               .counter = STR("plan/default/burst"),
                               .key = LIMIT_KEY_SUBJECT,
                               .kind = LIMIT_RATE,
                               .rate = {.period_ns = 86400 * NS_PER_S, .count = 7, .burst = 5}};
static const struct limit_policy policy_quota __attribute__((unused)) = {
    .name = STR("monthly"),
    .id = STR("monthly"),
    .counter = STR("plan/default/monthly"),
    .key = LIMIT_KEY_SUBJECT,
    .kind = LIMIT_QUOTA,
    .quota = {.kind = WINDOW_MONTH, .anchor_day = 1, .limit = 8, .zone = &ZONE_UTC}};
static const struct limit_policy policy_ip
    __attribute__((unused)) = {.name = STR("per_ip"),
                               .id = STR("per_ip"),
                               .counter = STR("per_ip"),
                               .key = LIMIT_KEY_IP,
                               .kind = LIMIT_RATE,
                               .rate = {.period_ns = 86400 * NS_PER_S, .count = 1, .burst = 3}};

struct taken {
    struct redis_taking taking;
    int n_ended;
    enum redis_verdict verdict;
};

__attribute__((unused)) static void on_taken(struct redis_taking *taking,
                                             enum redis_verdict verdict) {
    struct taken *taken = CONTAINER_OF(taking, struct taken, taking);
    taken->n_ended++;
    taken->verdict = verdict;
}

__attribute__((unused)) static const struct limit_outcome *take(struct client *client,
                                                                struct redis_limits *limits,
                                                                const struct limit_charge *charges,
                                                                size_t n, bool counts) {
    static struct taken taken;
    taken = (struct taken){0};
    ck_assert_int_eq(redis_limits_take(limits, &taken.taking, charges, NULL, n, counts, on_taken),
                     0);
    ck_assert_int_eq(taken.n_ended, 0);
    RUN_UNTIL(client->loop, taken.n_ended == 1);
    ck_assert_msg(taken.verdict == REDIS_ANSWERED, "%s", redis_verdict_name(taken.verdict));
    return &taken.taking.outcome;
}
