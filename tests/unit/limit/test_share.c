/* SPDX-License-Identifier: MIT */
#include "limit/share.h"

#include "suite.h"

static const struct now now = {5000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S};

/* How many calls all machines admit together from `seen`, when each gets many. */
static int64_t admitted(const struct limit_policy *policy, const union limit_counter *seen,
                        int64_t machines, int64_t seconds) {
    const struct limit_charge charge = {.policy = policy, .cost = 1};
    int64_t n = 0;
    for (int64_t m = 0; m < machines; m++) {
        union limit_counter own = *seen;
        struct share share;
        share_of(&share, &charge, machines);
        for (int64_t ms = 0; ms <= seconds * 1000; ms += 5) {
            const struct now later = {now.mono_ns + ms * NS_PER_MS, now.wall_ns + ms * NS_PER_MS};
            n += limit_counter_take(&own, &share.charge, &later).allowed;
        }
    }
    return n;
}

START_TEST(machines_together_admit_what_the_limit_allows) {
    const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 600, 100}};
    const union limit_counter nothing = {0};
    for (int64_t machines = 1; machines <= 10; machines++) {
        int64_t n = admitted(&policy, &nothing, machines, 10);
        ck_assert_int_le(n, 100 + 100);
        ck_assert_int_ge(n, 100 + 100 - 2 * machines);
    }
}
END_TEST

START_TEST(what_was_used_when_redis_went_away_stays_used) {
    const struct limit_policy policy = {.kind = LIMIT_QUOTA,
                                        .quota = {WINDOW_DAY, 1, 1000, &ZONE_UTC}};
    const struct limit_charge charge = {.policy = &policy, .cost = 700};
    union limit_counter seen = {0};
    ck_assert(limit_counter_take(&seen, &charge, &now).allowed);
    ck_assert_int_eq(admitted(&policy, &seen, 4, 10), 300);
    ck_assert_int_eq(admitted(&policy, &seen, 7, 10), 294);
}
END_TEST

START_TEST(a_burst_smaller_than_the_fleet_lets_each_admit_one) {
    const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {3600 * NS_PER_S, 1, 3}};
    const union limit_counter nothing = {0};
    ck_assert_int_eq(admitted(&policy, &nothing, 8, 10), 8);
}
END_TEST

START_TEST(one_machine_is_as_before_and_its_own_charge_is_left_alone) {
    const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 7, 7}};
    const struct limit_charge charge = {.policy = &policy, .cost = 3};
    struct share share;
    share_of(&share, &charge, 1);
    ck_assert_int_eq(share.charge.cost, 3);
    share_of(&share, &charge, 4);
    ck_assert_int_eq(share.charge.cost, 12);
    ck_assert_ptr_eq(charge.policy, &policy);
    ck_assert_int_eq(charge.cost, 3);
}
END_TEST

SUITE_MAIN("limit/share", machines_together_admit_what_the_limit_allows,
           what_was_used_when_redis_went_away_stays_used,
           a_burst_smaller_than_the_fleet_lets_each_admit_one,
           one_machine_is_as_before_and_its_own_charge_is_left_alone)
