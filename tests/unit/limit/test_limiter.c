/* SPDX-License-Identifier: MIT */
#include "limit/limiter.h"

#include <check.h>

#define START_NS (INT64_C(5000) * NS_PER_S)
#define AT(ns)   (&(struct now){(ns), INT64_C(1700000000) * NS_PER_S + (ns)})
#define POLICY(id_, burst_) \
    { \
        .name = {id_, sizeof(id_) - 1}, .id = {id_, sizeof(id_) - 1}, \
        .counter = {id_, sizeof(id_) - 1}, .key = LIMIT_KEY_SUBJECT, .rate = { \
            .period_ns = 60 * NS_PER_S, \
            .count = 60, \
            .burst = burst_ \
        } \
    }

static const struct limit_policy TWO = POLICY("two", 2), THREE = POLICY("three", 3),
                                 HUNDRED = POLICY("hundred", 100);
static struct limit_policy shadow_two = POLICY("shadow_two", 2);
static struct memory_limits *limits;

static void set_up(void) {
    limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT);
    ck_assert_ptr_nonnull(limits);
    shadow_two.is_shadow = true;
}

static void tear_down(void) { memory_limits_free(limits); }

static struct limit_charge charge(const struct limit_policy *policy, int64_t cost) {
    return (struct limit_charge){policy, STR("ann"), cost, 0};
}

static int64_t remaining(const struct limit_policy *policy) {
    struct limit_charge alone = charge(policy, 1);
    return limiter_look(limits, &alone, 1, AT(START_NS)).states[0].remaining;
}

START_TEST(no_charges_are_allowed) {
    struct limit_outcome outcome = limiter_take(limits, NULL, 0, AT(START_NS));
    ck_assert(outcome.allowed);
    ck_assert(!outcome.shadow_refused);
    ck_assert_uint_eq(outcome.n, 0);
}
END_TEST

START_TEST(all_policies_count_when_all_allow) {
    const struct limit_charge charges[] = {charge(&TWO, 1), charge(&HUNDRED, 5)};
    struct limit_outcome outcome = limiter_take(limits, charges, 2, AT(START_NS));
    ck_assert(outcome.allowed);
    ck_assert_int_eq(outcome.states[0].remaining, 1);
    ck_assert_int_eq(outcome.states[1].remaining, 95);
    ck_assert_int_eq(remaining(&TWO), 1);
    ck_assert_int_eq(remaining(&HUNDRED), 95);
}
END_TEST

START_TEST(nothing_is_counted_unless_everything_allows) {
    const struct limit_charge charges[] = {charge(&HUNDRED, 1), charge(&TWO, 1)};
    for (int i = 0; i < 50; i++) {
        struct limit_outcome outcome = limiter_take(limits, charges, 2, AT(START_NS));
        ck_assert(outcome.allowed == (i < 2));
        ck_assert_int_eq(outcome.states[0].remaining, i < 2 ? 99 - i : 98);
        ck_assert(outcome.states[0].allowed);
    }
    ck_assert_int_eq(remaining(&HUNDRED), 98);
}
END_TEST

START_TEST(nothing_is_counted_whatever_the_order) {
    const struct limit_charge charges[] = {charge(&TWO, 3), charge(&HUNDRED, 1)};
    ck_assert(!limiter_take(limits, charges, 2, AT(START_NS)).allowed);
    ck_assert_int_eq(remaining(&TWO), 2);
    ck_assert_int_eq(remaining(&HUNDRED), 100);
}
END_TEST

START_TEST(the_longest_wait_binds_a_refusal) {
    const struct limit_charge charges[] = {charge(&THREE, 3), charge(&TWO, 1), charge(&TWO, 1),
                                           charge(&HUNDRED, 1)};
    ck_assert(limiter_take(limits, charges, 4, AT(START_NS)).allowed);
    const struct limit_charge again[] = {charge(&HUNDRED, 1), charge(&TWO, 1), charge(&THREE, 3)};
    struct limit_outcome outcome = limiter_take(limits, again, 3, AT(START_NS));
    ck_assert(!outcome.allowed);
    ck_assert_uint_eq(outcome.binding, 2);
    ck_assert_int_eq(outcome.states[2].wait_ns, 3 * NS_PER_S);
    ck_assert_int_eq(outcome.states[1].wait_ns, NS_PER_S);
}
END_TEST

START_TEST(a_cost_that_never_fits_binds_before_any_wait) {
    const struct limit_charge charges[] = {charge(&TWO, 3), charge(&HUNDRED, 101)};
    struct limit_outcome outcome = limiter_take(limits, charges, 2, AT(START_NS));
    ck_assert(!outcome.allowed);
    ck_assert_uint_eq(outcome.binding, 0);
    ck_assert_int_eq(outcome.states[0].wait_ns, INT64_MAX);
}
END_TEST

START_TEST(the_least_left_in_proportion_binds_an_allowance) {
    const struct limit_charge charges[] = {charge(&TWO, 1), charge(&HUNDRED, 90),
                                           charge(&THREE, 1)};
    struct limit_outcome outcome = limiter_take(limits, charges, 3, AT(START_NS));
    ck_assert(outcome.allowed);
    ck_assert_uint_eq(outcome.binding, 1); /* 10 of 100, before 1 of 2 */
}
END_TEST

START_TEST(a_shadow_policy_counts_reports_and_refuses_nobody) {
    const struct limit_charge charges[] = {charge(&shadow_two, 1), charge(&HUNDRED, 1)};
    for (int i = 0; i < 5; i++) {
        struct limit_outcome outcome = limiter_take(limits, charges, 2, AT(START_NS));
        ck_assert(outcome.allowed);
        ck_assert(outcome.shadow_refused == (i >= 2));
        ck_assert(outcome.states[0].allowed == (i < 2));
        ck_assert_uint_eq(outcome.binding, 1);
    }
    ck_assert_int_eq(remaining(&shadow_two), 0);
    ck_assert_int_eq(remaining(&HUNDRED), 95);
}
END_TEST

START_TEST(a_shadow_policy_is_not_counted_when_another_refuses) {
    const struct limit_charge charges[] = {charge(&shadow_two, 1), charge(&THREE, 4)};
    struct limit_outcome outcome = limiter_take(limits, charges, 2, AT(START_NS));
    ck_assert(!outcome.allowed);
    ck_assert(!outcome.shadow_refused);
    ck_assert_uint_eq(outcome.binding, 1);
    ck_assert_int_eq(remaining(&shadow_two), 2);
}
END_TEST

START_TEST(a_lone_shadow_policy_binds) {
    const struct limit_charge charges[] = {charge(&shadow_two, 3)};
    struct limit_outcome outcome = limiter_take(limits, charges, 1, AT(START_NS));
    ck_assert(outcome.allowed);
    ck_assert(outcome.shadow_refused);
    ck_assert_uint_eq(outcome.binding, 0);
}
END_TEST

START_TEST(a_look_counts_nothing_and_refuses_nobody) {
    const struct limit_charge charges[] = {charge(&TWO, 1), charge(&HUNDRED, 200)};
    for (int i = 0; i < 10; i++) {
        struct limit_outcome outcome = limiter_look(limits, charges, 2, AT(START_NS));
        ck_assert(outcome.allowed);
        ck_assert_int_eq(outcome.states[0].remaining, 2);
        ck_assert_int_eq(outcome.states[1].remaining, 100);
    }
}
END_TEST

START_TEST(retry_after_is_whole_seconds_rounded_up_and_at_least_one) {
    const struct {
        int64_t wait_ns, seconds;
    } cases[] = {{0, 1},
                 {1, 1},
                 {NS_PER_S, 1},
                 {NS_PER_S + 1, 2},
                 {90 * NS_PER_S - 1, 90},
                 {INT64_MAX, LIMIT_NEVER_S}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct limit_state state = {.wait_ns = cases[i].wait_ns};
        ck_assert_int_eq(limit_retry_after_s(&state), cases[i].seconds);
    }
}
END_TEST

START_TEST(a_call_passes_after_retry_after_and_not_a_second_before) {
    const struct limit_charge all[] = {charge(&TWO, 2)};
    ck_assert(limiter_take(limits, all, 1, AT(START_NS)).allowed);
    struct limit_outcome outcome = limiter_take(limits, all, 1, AT(START_NS + 1));
    ck_assert(!outcome.allowed);
    int64_t after_s = limit_retry_after_s(&outcome.states[outcome.binding]);
    ck_assert_int_eq(after_s, 2);
    ck_assert(!limiter_take(limits, all, 1, AT(START_NS + 1 + (after_s - 1) * NS_PER_S)).allowed);
    ck_assert(limiter_take(limits, all, 1, AT(START_NS + 1 + after_s * NS_PER_S)).allowed);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limit/limiter");
    TCase *outcome = tcase_create("outcome");
    tcase_add_checked_fixture(outcome, set_up, tear_down);
    tcase_add_test(outcome, no_charges_are_allowed);
    tcase_add_test(outcome, all_policies_count_when_all_allow);
    tcase_add_test(outcome, nothing_is_counted_unless_everything_allows);
    tcase_add_test(outcome, nothing_is_counted_whatever_the_order);
    tcase_add_test(outcome, the_longest_wait_binds_a_refusal);
    tcase_add_test(outcome, a_cost_that_never_fits_binds_before_any_wait);
    tcase_add_test(outcome, the_least_left_in_proportion_binds_an_allowance);
    tcase_add_test(outcome, a_shadow_policy_counts_reports_and_refuses_nobody);
    tcase_add_test(outcome, a_shadow_policy_is_not_counted_when_another_refuses);
    tcase_add_test(outcome, a_lone_shadow_policy_binds);
    tcase_add_test(outcome, a_look_counts_nothing_and_refuses_nobody);
    tcase_add_test(outcome, retry_after_is_whole_seconds_rounded_up_and_at_least_one);
    tcase_add_test(outcome, a_call_passes_after_retry_after_and_not_a_second_before);
    suite_add_tcase(suite, outcome);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
