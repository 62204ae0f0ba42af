/* SPDX-License-Identifier: MIT */
#include "limit/policy.h"

#include <check.h>

START_TEST(every_key_has_the_name_that_the_settings_use) {
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_SUBJECT), "subject");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_IP), "ip");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_APIKEY), "apikey");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_CLAIM), "claim");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_HEADER), "header");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_GLOBAL), "global");
}
END_TEST

START_TEST(no_two_keys_share_a_name) {
    for (int i = 0; i < LIMIT_KEY_COUNT; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(limit_key_name((enum limit_key)i), limit_key_name((enum limit_key)j));
}
END_TEST

#define WALL_NS (INT64_C(1700049600) * NS_PER_S) /* 2023-11-15 12:00:00 UTC */
static const struct now now = {5000 * NS_PER_S, WALL_NS};
static const struct limit_policy rate = {
    .kind = LIMIT_RATE, .rate = {.period_ns = 60 * NS_PER_S, .count = 60, .burst = 7}};
static const struct limit_policy monthly = {.kind = LIMIT_QUOTA,
                                            .quota = {WINDOW_MONTH, 1, 9, &ZONE_UTC}};

START_TEST(capacity_is_the_burst_or_the_quota) {
    ck_assert_int_eq(limit_capacity(&rate), 7);
    ck_assert_int_eq(limit_capacity(&monthly), 9);
}
END_TEST

START_TEST(what_counts_by_subject_is_a_rate_or_a_quota_of_a_subject_or_a_claim) {
    static const enum limit_kind kinds[] = {LIMIT_RATE, LIMIT_QUOTA, LIMIT_CONCURRENT};
    for (size_t k = 0; k < 3; k++)
        for (unsigned key = 0; key < LIMIT_KEY_COUNT; key++) {
            const struct limit_policy policy = {.kind = kinds[k], .key = (enum limit_key)key};
            bool is_theirs = key == LIMIT_KEY_SUBJECT || key == LIMIT_KEY_CLAIM;
            ck_assert_int_eq(limit_policy_is_of_subjects(&policy),
                             is_theirs && kinds[k] != LIMIT_CONCURRENT);
        }
}
END_TEST

START_TEST(policy_is_called_by_its_name_and_by_its_id) {
    const struct limit_policy policy = {.name = STR("daily"), .id = STR("free/default/daily")};
    ck_assert(limit_policy_is_called(&policy, STR("daily")));
    ck_assert(limit_policy_is_called(&policy, STR("free/default/daily")));
    ck_assert(!limit_policy_is_called(&policy, STR("Daily")));
    ck_assert(!limit_policy_is_called(&policy, STR("default/daily")));
    ck_assert(!limit_policy_is_called(&policy, STR("dail")));
    ck_assert(!limit_policy_is_called(&policy, STR_NONE));
}
END_TEST

START_TEST(rates_ask_the_monotonic_clock_and_quotas_the_calendar) {
    union limit_counter c = {0};
    const struct now later = {now.mono_ns + 7 * NS_PER_S, WALL_NS};
    struct limit_charge charge = {.policy = &rate, .cost = 7};
    ck_assert(limit_counter_take(&c, &charge, &now).allowed);
    ck_assert(!limit_counter_look(&c, &charge, &now).allowed);
    ck_assert(limit_counter_look(&c, &charge, &later).allowed);
    ck_assert(limit_counter_is_new(&c, LIMIT_RATE, &later));
    c = (union limit_counter){0};
    charge = (struct limit_charge){.policy = &monthly, .cost = 9};
    const struct now december = {now.mono_ns, INT64_C(1701388800) * NS_PER_S};
    ck_assert(limit_counter_take(&c, &charge, &now).allowed);
    ck_assert_int_eq(limit_counter_look(&c, &charge, &later).wait_ns, december.wall_ns - WALL_NS);
    ck_assert(limit_counter_look(&c, &charge, &december).allowed);
    ck_assert(limit_counter_is_new(&c, LIMIT_QUOTA, &december));
}
END_TEST

START_TEST(a_subscribers_anchor_day_wins_over_the_policys) {
    union limit_counter c = {0};
    const struct limit_charge charge = {.policy = &monthly, .cost = 1, .anchor_day = 20};
    struct limit_state state = limit_counter_take(&c, &charge, &now);
    ck_assert_int_eq(state.window.start_s, 1697760000); /* 2023-10-20 */
    ck_assert_int_eq(state.window.end_s, 1700438400);   /* 2023-11-20 */
}
END_TEST

START_TEST(an_anchor_day_means_nothing_to_a_daily_quota) {
    struct limit_policy daily = monthly;
    daily.quota.kind = WINDOW_DAY;
    union limit_counter c = {0};
    const struct limit_charge charge = {.policy = &daily, .cost = 1, .anchor_day = 20};
    ck_assert_int_eq(limit_counter_look(&c, &charge, &now).window.start_s, 1700006400);
}
END_TEST

START_TEST(debt_of_a_rate_is_paid_by_the_rate) {
    union limit_counter c = {0};
    const struct limit_charge charge = {.policy = &rate, .cost = 1};
    struct limit_state taken = limit_counter_take(&c, &charge, &now);
    limit_counter_settle(&c, &charge, 99, &taken, &now);
    struct limit_state state = limit_counter_look(&c, &charge, &now);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.remaining, 0);
    ck_assert_int_eq(state.wait_ns, 94 * NS_PER_S);
    limit_counter_settle(&c, &charge, -1000, &taken, &now);
    ck_assert(limit_counter_is_new(&c, LIMIT_RATE, &now));
}
END_TEST

START_TEST(no_debt_is_too_large_to_be_told) {
    union limit_counter c = {0};
    const struct limit_charge charge = {.policy = &rate, .cost = 1};
    struct limit_state taken = limit_counter_take(&c, &charge, &now);
    for (int i = 0; i < 100; i++)
        limit_counter_settle(&c, &charge, INT64_C(1) << 60, &taken, &now);
    ck_assert(!limit_counter_look(&c, &charge, &now).allowed);
    ck_assert_int_gt(limit_counter_look(&c, &charge, &now).wait_ns, 0);
}
END_TEST

START_TEST(what_was_used_is_told_to_the_debt_and_a_part_of_a_call_is_a_call) {
    const struct limit_charge charges[] = {{.policy = &rate, .cost = 3},
                                           {.policy = &monthly, .cost = 3}};
    const struct now later = {now.mono_ns + 1, INT64_C(1701388800) * NS_PER_S};
    for (size_t i = 0; i < 2; i++) {
        union limit_counter c = {0};
        ck_assert_int_eq(limit_counter_used(&c, charges[i].policy, &now), 0);
        struct limit_state taken = limit_counter_take(&c, &charges[i], &now);
        ck_assert_int_eq(limit_counter_used(&c, charges[i].policy, &now), 3);
        limit_counter_settle(&c, &charges[i], 97, &taken, &now);
        ck_assert_int_eq(limit_counter_used(&c, charges[i].policy, &now), 100);
        ck_assert_int_eq(limit_counter_used(&c, charges[i].policy, &later), i == 0 ? 100 : 0);
    }
}
END_TEST

static bool same_hash(const struct limit_policy *a, const struct limit_policy *b) {
    static const struct hash_key key = {1, 2};
    struct hash128 of_a = limit_policy_hash(&key, a), of_b = limit_policy_hash(&key, b);
    return of_a.lo == of_b.lo && of_a.hi == of_b.hi;
}

START_TEST(counters_are_told_apart_by_names_of_any_length) {
    char a[600], b[600];
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    for (size_t n = 1; n <= sizeof(a); n++) {
        struct limit_policy of_a = {.counter = {a, n}, .rate = rate.rate}, of_b = of_a;
        of_b.counter.at = b;
        ck_assert(same_hash(&of_a, &of_b));
        b[n - 1] = 'y';
        ck_assert(!same_hash(&of_a, &of_b));
        b[n - 1] = 'x';
        of_b.counter.n--;
        ck_assert(!same_hash(&of_a, &of_b));
    }
}
END_TEST

START_TEST(a_rates_counter_belongs_to_its_rule) {
    const struct limit_policy steady = {.name = STR("one"),
                                        .counter = STR("plan/default/burst"),
                                        .key = LIMIT_KEY_SUBJECT,
                                        .kind = LIMIT_RATE,
                                        .rate = {.period_ns = NS_PER_S, .count = 10, .burst = 5}};
    struct limit_policy other = steady;
    other.name = STR("two");
    other.is_shadow = true;
    ck_assert(same_hash(&steady, &other));
    other.rate.burst++;
    ck_assert(!same_hash(&steady, &other));
    other = steady, other.rate.count++;
    ck_assert(!same_hash(&steady, &other));
    other = steady, other.rate.period_ns++;
    ck_assert(!same_hash(&steady, &other));
    other = steady, other.key = LIMIT_KEY_IP;
    ck_assert(!same_hash(&steady, &other));
    other = steady, other.counter = STR("plan/default/bursts");
    ck_assert(!same_hash(&steady, &other));
}
END_TEST

START_TEST(a_quotas_counter_outlives_its_limit) {
    const struct limit_policy by_month = {
        .counter = STR("plan/default/by_month"),
        .key = LIMIT_KEY_SUBJECT,
        .kind = LIMIT_QUOTA,
        .quota = {.kind = WINDOW_MONTH, .limit = 8, .zone = &ZONE_UTC}};
    struct limit_policy other = by_month;
    other.quota.limit = 80;
    ck_assert(same_hash(&by_month, &other));
    other.quota.kind = WINDOW_DAY;
    ck_assert(!same_hash(&by_month, &other));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limit/policy");
    TCase *names = tcase_create("names");
    tcase_add_test(names, every_key_has_the_name_that_the_settings_use);
    tcase_add_test(names, no_two_keys_share_a_name);
    suite_add_tcase(suite, names);
    TCase *counters = tcase_create("counters");
    tcase_add_test(counters, capacity_is_the_burst_or_the_quota);
    tcase_add_test(counters, what_counts_by_subject_is_a_rate_or_a_quota_of_a_subject_or_a_claim);
    tcase_add_test(counters, policy_is_called_by_its_name_and_by_its_id);
    tcase_add_test(counters, rates_ask_the_monotonic_clock_and_quotas_the_calendar);
    tcase_add_test(counters, a_subscribers_anchor_day_wins_over_the_policys);
    tcase_add_test(counters, an_anchor_day_means_nothing_to_a_daily_quota);
    tcase_add_test(counters, debt_of_a_rate_is_paid_by_the_rate);
    tcase_add_test(counters, no_debt_is_too_large_to_be_told);
    tcase_add_test(counters, what_was_used_is_told_to_the_debt_and_a_part_of_a_call_is_a_call);
    tcase_add_test(counters, counters_are_told_apart_by_names_of_any_length);
    tcase_add_test(counters, a_rates_counter_belongs_to_its_rule);
    tcase_add_test(counters, a_quotas_counter_outlives_its_limit);
    suite_add_tcase(suite, counters);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
