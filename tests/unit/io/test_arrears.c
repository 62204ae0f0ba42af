/* SPDX-License-Identifier: MIT */
/* Proves io/arrears.h. */
#include "io/arrears.h"

#include "base/log.h"
#include "limit/memory_limits.h"
#include "limit/share.h"
#include "rig.h"

#define START_NS (1000 * NS_PER_S)
#define MACHINES 4

static const struct limit_policy rate = {.name = STR("r"),
                                         .id = STR("r"),
                                         .counter = STR("r"),
                                         .key = LIMIT_KEY_SUBJECT,
                                         .kind = LIMIT_RATE,
                                         .rate = {.period_ns = NS_PER_S, .count = 1, .burst = 400}};
static const struct limit_policy quota = {
    .name = STR("q"),
    .id = STR("q"),
    .counter = STR("q"),
    .key = LIMIT_KEY_SUBJECT,
    .kind = LIMIT_QUOTA,
    .quota = {.kind = WINDOW_DAY, .anchor_day = 1, .limit = 100, .zone = &ZONE_UTC}};

static struct arrears *arrears;
static struct now now;
static union limit_counter counter; /* what this machine knows of it */

static void open_up(size_t n_most) {
    now = (struct now){.mono_ns = START_NS, .wall_ns = 86400 * NS_PER_S * 20000};
    counter = (union limit_counter){0};
    arrears = arrears_new(n_most);
    ck_assert_ptr_nonnull(arrears);
}

static void wait_s(int64_t s) {
    now.mono_ns += s * NS_PER_S;
    now.wall_ns += s * NS_PER_S;
}

static bool note(const char *name, const struct limit_policy *policy, int64_t calls,
                 const struct limit_state *state) {
    return arrears_note(arrears,
                        &(struct arrears_call){.name = str_of(name),
                                               .policy = policy,
                                               .calls = calls,
                                               .machines = MACHINES,
                                               .state = state},
                        &now);
}

/* Calls that pass as a share. */
static void pass(const struct limit_policy *policy, int64_t calls) {
    struct limit_charge charge = {.policy = policy, .key = STR("u"), .cost = calls};
    struct share share;
    share_of(&share, &charge, MACHINES);
    struct limit_state state = limit_counter_take(&counter, &share.charge, &now);
    ck_assert(state.allowed);
    ck_assert(note("k", policy, calls, &state));
}

static bool any(const void *arg, struct str name) {
    return !arg || str_eq(name, str_of((const char *)arg));
}

static int64_t owed(void) {
    struct arrear *arrear = arrears_take(arrears, any, NULL);
    ck_assert_ptr_nonnull(arrear);
    int64_t owed = arrear_owed(arrear, &now);
    free(arrear);
    return owed;
}

START_TEST(calls_of_a_quota_are_summed_and_told_once) {
    open_up(10);
    pass(&quota, 1);
    pass(&quota, 3);
    ck_assert_uint_eq(arrears_count(arrears), 1);
    ck_assert_int_eq(owed(), 4);
    ck_assert_uint_eq(arrears_count(arrears), 0);
    ck_assert_ptr_null(arrears_take(arrears, any, NULL));
    arrears_free(arrears);
}
END_TEST

START_TEST(a_window_that_is_over_needs_no_telling) {
    open_up(10);
    pass(&quota, 5);
    wait_s(86400);
    pass(&quota, 1);
    ck_assert_int_eq(owed(), 1);
    pass(&quota, 2);
    wait_s(86400);
    ck_assert_int_eq(owed(), 0);
    arrears_free(arrears);
}
END_TEST

START_TEST(calls_of_a_rate_are_owed_in_time) {
    open_up(10);
    pass(&rate, 3);
    pass(&rate, 2);
    ck_assert_int_eq(owed(), 5 * 1000000);
    arrears_free(arrears);
}
END_TEST

/* A machine of four has a fourth of the rate: 40 s pay for 10 calls. */
START_TEST(time_pays_for_what_was_used_of_a_rate) {
    open_up(10);
    pass(&rate, 30);
    wait_s(40);
    ck_assert_int_eq(owed(), 20 * 1000000);
    for (int i = 0; i < 3600; i++) {
        pass(&rate, 1);
        wait_s(4);
    }
    ck_assert_int_le(owed(), 100 * 1000000); /* the share of the burst, not an hour of calls */
    arrears_free(arrears);
}
END_TEST

/* It is Redis' own, and time pays for it first. */
START_TEST(what_redis_was_seen_to_hold_is_not_told_to_it) {
    open_up(10);
    struct limit_charge charge = {.policy = &rate, .key = STR("u"), .cost = 200};
    ck_assert(limit_counter_take(&counter, &charge, &now).allowed);
    pass(&rate, 10);
    ck_assert_int_eq(owed(), 10 * 1000000);
    pass(&rate, 10);
    wait_s(100);
    ck_assert_int_eq(owed(), 10 * 1000000);
    arrears_free(arrears);
}
END_TEST

START_TEST(never_more_is_owed_than_passed) {
    open_up(10);
    struct limit_state state = {.allowed = true, .reset_ns = 300 * NS_PER_S};
    ck_assert(note("k", &rate, 1, &state));
    ck_assert(note("k", &rate, 1, &state));
    ck_assert_int_le(owed(), 2 * 1000000);
    arrears_free(arrears);
}
END_TEST

START_TEST(what_a_call_cost_in_truth_is_owed) {
    open_up(10);
    struct limit_state state = {.allowed = true, .window = {0, 86400 * INT64_C(20001)}};
    pass(&quota, 5);
    ck_assert(note("k", &quota, -3, &state));
    ck_assert_int_eq(owed(), 2);
    pass(&quota, 5);
    ck_assert(note("k", &quota, -30, &state));
    ck_assert_int_eq(owed(), 0);
    ck_assert(note("k", &quota, -1, &state)); /* told already: it stays counted */
    ck_assert_uint_eq(arrears_count(arrears), 0);
    arrears_free(arrears);
}
END_TEST

static bool undo(const char *name, const struct limit_policy *policy, int64_t calls, int64_t s) {
    const struct arrears_undone undone = {.name = str_of(name),
                                          .policy = policy,
                                          .calls = calls,
                                          .end_s = s,
                                          .dry_ns = now.mono_ns + s * NS_PER_S};
    return arrears_undo(arrears, &undone, &now);
}

START_TEST(what_redis_counted_besides_is_taken_back) {
    const int64_t end_s = 86400 * INT64_C(20001);
    open_up(10);
    ck_assert(undo("k", &quota, 2, end_s));
    ck_assert_int_eq(owed(), -2);
    ck_assert(undo("k", &quota, 2, end_s));
    pass(&quota, 3);
    ck_assert(undo("k", &quota, 1, end_s));
    ck_assert_int_eq(owed(), 0); /* the two meet */
    ck_assert(undo("k", &quota, 2, end_s));
    ck_assert(undo("k", &quota, 5, end_s - 86400)); /* of a window that is over */
    ck_assert_int_eq(owed(), -2);
    ck_assert(undo("k", &quota, 2, end_s));
    wait_s(86400);
    pass(&quota, 1);
    ck_assert_int_eq(owed(), 1);
    arrears_free(arrears);
}
END_TEST

/* Redis was asked by others too, so it holds more than what is taken back. */
START_TEST(what_redis_counted_of_a_rate_is_taken_back_until_time_has_paid) {
    open_up(10);
    ck_assert(undo("k", &rate, 2, 10));
    ck_assert_int_eq(owed(), -2 * 1000000);
    ck_assert(undo("k", &rate, 2, 10));
    wait_s(9);
    ck_assert_int_eq(owed(), -1 * 1000000);
    ck_assert(undo("k", &rate, 2, 1));
    wait_s(1);
    ck_assert(undo("k", &rate, 1, 10)); /* what was paid for does not come again */
    ck_assert_int_eq(owed(), -1 * 1000000);
    ck_assert(undo("k", &rate, 1, 10));
    wait_s(11);
    ck_assert_int_eq(owed(), 0);
    arrears_free(arrears);
}
END_TEST

START_TEST(what_passed_alone_and_was_counted_by_redis_too_needs_no_telling) {
    open_up(10);
    pass(&rate, 3);
    ck_assert(undo("k", &rate, 3, 3));
    ck_assert_int_eq(owed(), 0);
    pass(&rate, 3);
    ck_assert(undo("k", &rate, 1, 1));
    ck_assert_int_eq(owed(), 2 * 1000000);
    arrears_free(arrears);
}
END_TEST

START_TEST(beyond_the_bound_nothing_is_kept) {
    open_up(2);
    struct limit_state state = {.allowed = true, .window = {0, 86400 * INT64_C(20001)}};
    ck_assert(note("a", &quota, 1, &state));
    ck_assert(note("b", &quota, 1, &state));
    ck_assert(!note("c", &quota, 1, &state));
    ck_assert(note("a", &quota, 1, &state));
    ck_assert(!undo("c", &quota, 1, state.window.end_s));
    ck_assert(undo("a", &quota, 1, state.window.end_s));
    ck_assert_uint_eq(arrears_count(arrears), 2);
    arrears_free(arrears);
}
END_TEST

START_TEST(only_what_is_wanted_is_taken_and_the_oldest_first) {
    open_up(10);
    struct limit_state state = {.allowed = true, .window = {0, 86400 * INT64_C(20001)}};
    ck_assert(note("a", &quota, 1, &state) && note("b", &quota, 2, &state));
    ck_assert_ptr_null(arrears_take(arrears, any, "c"));
    struct arrear *arrear = arrears_take(arrears, any, "b");
    ck_assert(str_eq(arrear_name(arrear), STR("b")));
    free(arrear);
    ck_assert_int_eq(owed(), 1);
    arrears_free(arrears);
}
END_TEST

RIG_MAIN("io/arrears", calls_of_a_quota_are_summed_and_told_once,
         a_window_that_is_over_needs_no_telling, calls_of_a_rate_are_owed_in_time,
         time_pays_for_what_was_used_of_a_rate, what_redis_was_seen_to_hold_is_not_told_to_it,
         never_more_is_owed_than_passed, what_a_call_cost_in_truth_is_owed,
         what_redis_counted_besides_is_taken_back,
         what_redis_counted_of_a_rate_is_taken_back_until_time_has_paid,
         what_passed_alone_and_was_counted_by_redis_too_needs_no_telling,
         beyond_the_bound_nothing_is_kept, only_what_is_wanted_is_taken_and_the_oldest_first)
