/* SPDX-License-Identifier: MIT */
#include "limit/bucket.h"

#include <check.h>
#include <stdlib.h>

static const struct bucket_rule PER_MINUTE_7 = {60 * NS_PER_S, 7, 7};
static const struct bucket_rule PER_MINUTE_600_BURST_200 = {60 * NS_PER_S, 600, 200};
static const struct bucket_rule PER_NS = {NS_PER_S, BUCKET_COUNT_MAX, BUCKET_COUNT_MAX};
static const struct bucket_rule PER_MINUTE_1 = {60 * NS_PER_S, 1, 1};
/* ck_assert tells its parent process of every success: too slow for millions. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("%s", #condition); \
    } while (0)
#define START_NS (INT64_C(5000) * NS_PER_S)

static int64_t take_all(struct bucket *b, const struct bucket_rule *rule, int64_t now_ns) {
    int64_t n = 0;
    while (bucket_take(b, rule, 1, now_ns).allowed)
        n++;
    return n;
}

START_TEST(new_bucket_allows_its_burst_at_once_and_no_more) {
    struct bucket b = {0};
    ck_assert_int_eq(take_all(&b, &PER_MINUTE_600_BURST_200, START_NS), 200);
    struct limit_state state = bucket_take(&b, &PER_MINUTE_600_BURST_200, 1, START_NS);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.remaining, 0);
    ck_assert_int_eq(state.wait_ns, 100 * NS_PER_MS);
    ck_assert_int_eq(state.reset_ns, 20 * NS_PER_S);
}
END_TEST

START_TEST(new_bucket_at_time_zero_is_like_any_other) {
    struct bucket b = {0};
    ck_assert_int_eq(take_all(&b, &PER_MINUTE_7, 0), 7);
    ck_assert(!bucket_take(&b, &PER_MINUTE_7, 1, 0).allowed);
}
END_TEST

START_TEST(remaining_and_reset_count_this_call_in) {
    struct bucket b = {0};
    struct limit_state state = bucket_take(&b, &PER_MINUTE_600_BURST_200, 1, START_NS);
    ck_assert(state.allowed);
    ck_assert_int_eq(state.remaining, 199);
    ck_assert_int_eq(state.wait_ns, 0);
    ck_assert_int_eq(state.reset_ns, 100 * NS_PER_MS);
}
END_TEST

START_TEST(what_is_used_is_rounded_up) {
    struct bucket b = {0};
    ck_assert_int_eq(bucket_used(&b, &PER_MINUTE_7, START_NS), 0);
    ck_assert(bucket_take(&b, &PER_MINUTE_7, 2, START_NS).allowed);
    ck_assert_int_eq(bucket_used(&b, &PER_MINUTE_7, START_NS), 2);
    ck_assert_int_eq(bucket_used(&b, &PER_MINUTE_7, START_NS + 60 * NS_PER_S / 7), 2);
    ck_assert_int_eq(bucket_used(&b, &PER_MINUTE_7, START_NS + 60 * NS_PER_S / 7 + 1), 1);
    ck_assert_int_eq(bucket_used(&b, &PER_MINUTE_7, START_NS + 60 * NS_PER_S), 0);
}
END_TEST

START_TEST(exhausted_bucket_says_how_long_to_wait_to_the_ns) {
    struct bucket b = {0};
    ck_assert(bucket_take(&b, &PER_MINUTE_1, 1, START_NS).allowed);
    struct limit_state state = bucket_take(&b, &PER_MINUTE_1, 1, START_NS + 1);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.wait_ns, 60 * NS_PER_S - 1);
    ck_assert(!bucket_look(&b, &PER_MINUTE_1, 1, START_NS + 60 * NS_PER_S - 1).allowed);
    ck_assert(bucket_look(&b, &PER_MINUTE_1, 1, START_NS + 60 * NS_PER_S).allowed);
}
END_TEST

START_TEST(a_rate_that_does_not_divide_its_period_does_not_drift) {
    struct bucket b = {0};
    int64_t now_ns = START_NS, n = take_all(&b, &PER_MINUTE_7, now_ns);
    /* A year, always one call as soon as it is allowed: exactly 7 a minute. */
    for (int64_t minutes = 365 * 1440; n < 7 + 7 * minutes; n++) {
        struct limit_state state = bucket_look(&b, &PER_MINUTE_7, 1, now_ns);
        EXPECT(!state.allowed);
        now_ns += state.wait_ns;
        EXPECT(bucket_take(&b, &PER_MINUTE_7, 1, now_ns).allowed);
    }
    ck_assert_int_eq(now_ns, START_NS + INT64_C(365) * 86400 * NS_PER_S);
}
END_TEST

START_TEST(a_call_a_ns_is_counted_without_rounding) {
    struct bucket b = {0};
    EXPECT(bucket_take(&b, &PER_NS, BUCKET_COUNT_MAX, START_NS).allowed);
    ck_assert_int_eq(bucket_look(&b, &PER_NS, 1, START_NS).wait_ns, 1);
    for (int64_t ns = 1; ns <= 1000; ns++) {
        EXPECT(bucket_take(&b, &PER_NS, 1, START_NS + ns).allowed);
        EXPECT(!bucket_take(&b, &PER_NS, 1, START_NS + ns).allowed);
    }
}
END_TEST

START_TEST(a_rate_just_below_a_call_a_ns_is_not_halved) {
    const struct bucket_rule rule = {NS_PER_S, BUCKET_COUNT_MAX - 1, 1000};
    struct bucket b = {0};
    ck_assert_int_eq(take_all(&b, &rule, START_NS), 1000);
    int64_t n = 0;
    for (int64_t ns = 1; ns <= 100000; ns++)
        n += take_all(&b, &rule, START_NS + ns);
    ck_assert_int_eq(n, 99999);
}
END_TEST

START_TEST(idle_time_is_not_saved_up_beyond_the_burst) {
    struct bucket b = {0};
    ck_assert(bucket_take(&b, &PER_MINUTE_7, 1, START_NS).allowed);
    ck_assert_int_eq(take_all(&b, &PER_MINUTE_7, START_NS + 86400 * NS_PER_S), 7);
}
END_TEST

START_TEST(a_refused_call_costs_nothing) {
    struct bucket b = {0};
    ck_assert_int_eq(take_all(&b, &PER_MINUTE_7, START_NS), 7);
    struct bucket before = b;
    for (int i = 0; i < 1000; i++)
        ck_assert(!bucket_take(&b, &PER_MINUTE_7, 3, START_NS + i).allowed);
    ck_assert_int_eq(b.tat_ns, before.tat_ns);
    ck_assert_uint_eq(b.tat_parts, before.tat_parts);
}
END_TEST

START_TEST(a_look_changes_nothing) {
    struct bucket b = {0};
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(bucket_look(&b, &PER_MINUTE_7, 2, START_NS).remaining, 5);
    ck_assert(bucket_is_new(&b, 0));
}
END_TEST

START_TEST(a_cost_above_the_burst_is_never_allowed_and_says_so) {
    struct bucket b = {0};
    struct limit_state state = bucket_take(&b, &PER_MINUTE_7, 8, START_NS);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.wait_ns, INT64_MAX);
    ck_assert_int_eq(state.remaining, 7);
    ck_assert_int_eq(state.reset_ns, 0);
    state = bucket_take(&b, &PER_MINUTE_7, INT64_MAX, START_NS);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.wait_ns, INT64_MAX);
}
END_TEST

START_TEST(a_cost_of_several_is_refused_when_too_few_are_left) {
    struct bucket b = {0};
    ck_assert(bucket_take(&b, &PER_MINUTE_600_BURST_200, 198, START_NS).allowed);
    struct limit_state state = bucket_take(&b, &PER_MINUTE_600_BURST_200, 5, START_NS);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.remaining, 2);
    ck_assert_int_eq(state.wait_ns, 300 * NS_PER_MS);
    ck_assert(bucket_take(&b, &PER_MINUTE_600_BURST_200, 2, START_NS).allowed);
}
END_TEST

START_TEST(a_cost_of_nothing_is_always_allowed_and_counts_nothing) {
    struct bucket b = {0};
    ck_assert(bucket_take(&b, &PER_MINUTE_1, 0, START_NS).allowed);
    ck_assert(bucket_is_new(&b, START_NS));
    ck_assert(bucket_take(&b, &PER_MINUTE_1, 1, START_NS).allowed);
    struct limit_state state = bucket_take(&b, &PER_MINUTE_1, 0, START_NS);
    ck_assert(state.allowed);
    ck_assert_int_eq(state.remaining, 0);
    ck_assert(!bucket_take(&b, &PER_MINUTE_1, 1, START_NS).allowed);
}
END_TEST

START_TEST(an_older_clock_gives_nothing_away) {
    struct bucket b = {0};
    ck_assert_int_eq(take_all(&b, &PER_MINUTE_7, START_NS), 7);
    struct limit_state state = bucket_take(&b, &PER_MINUTE_7, 1, START_NS - 5000);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.remaining, 0);
    ck_assert(bucket_take(&b, &PER_MINUTE_7, 0, START_NS - 5000).allowed);
    ck_assert(!bucket_look(&b, &PER_MINUTE_7, 1, START_NS - 5000 + state.wait_ns - 1).allowed);
    ck_assert(bucket_look(&b, &PER_MINUTE_7, 1, START_NS - 5000 + state.wait_ns).allowed);
    ck_assert(!bucket_take(&b, &PER_MINUTE_7, 1, START_NS).allowed);
    state = bucket_look(&b, &PER_MINUTE_7, 1, START_NS - 60 * NS_PER_S); /* older by many calls */
    ck_assert_int_eq(state.remaining, 0);
}
END_TEST

START_TEST(a_bucket_is_new_again_exactly_when_it_said) {
    struct bucket b = {0};
    struct limit_state state = bucket_take(&b, &PER_MINUTE_7, 1, START_NS);
    ck_assert_int_eq(state.reset_ns, 60 * NS_PER_S / 7 + 1);
    ck_assert(!bucket_is_new(&b, START_NS + state.reset_ns - 1));
    ck_assert(bucket_is_new(&b, START_NS + state.reset_ns));
}
END_TEST

START_TEST(rules_out_of_range_are_invalid) {
    const struct bucket_rule good = {60 * NS_PER_S, 600, 200};
    ck_assert(bucket_rule_is_valid(&good));
    const struct bucket_rule bad[] = {
        {0, 600, 200},
        {NS_PER_S - 1, 600, 200},
        {BUCKET_PERIOD_MAX_NS + 1, 600, 200},
        {-60 * NS_PER_S, 600, 200},
        {60 * NS_PER_S, 0, 200},
        {60 * NS_PER_S, -1, 200},
        {60 * NS_PER_S, BUCKET_COUNT_MAX + 1, 200},
        {60 * NS_PER_S, 600, 0},
        {60 * NS_PER_S, 600, -1},
        {60 * NS_PER_S, 600, BUCKET_COUNT_MAX + 1},
        {BUCKET_PERIOD_MAX_NS, 1, 36526}, /* a hundred years and a day to refill */
        {BUCKET_PERIOD_MAX_NS, 1, BUCKET_COUNT_MAX},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_msg(!bucket_rule_is_valid(&bad[i]), "rule %zu", i);
}
END_TEST

START_TEST(the_longest_refill_still_fits) {
    const struct bucket_rule rule = {BUCKET_PERIOD_MAX_NS, 1, 36525};
    ck_assert(bucket_rule_is_valid(&rule));
    struct bucket b = {0};
    int64_t now_ns = BUCKET_REFILL_MAX_NS; /* up for a century */
    ck_assert_int_eq(take_all(&b, &rule, now_ns), 36525);
    ck_assert_int_eq(bucket_look(&b, &rule, 1, now_ns).wait_ns, BUCKET_PERIOD_MAX_NS);
    ck_assert_int_eq(bucket_look(&b, &rule, 1, now_ns).reset_ns, BUCKET_REFILL_MAX_NS);
}
END_TEST

/* ---- against the definition -------------------------------------------------------------------- */

/* The definition itself: a call is allowed exactly when no window that ends with it holds more than
 * burst + rate * T. With C(i) all cost admitted before call i at t(i), the window from i to now holds
 * C(now) - C(i), so only the least of C(i) * period - t(i) * count need be remembered. */
struct windows {
    __int128 admitted, least;
    bool has_any;
};

static bool windows_allow(struct windows *w, const struct bucket_rule *rule, int64_t cost,
                          int64_t now_ns) {
    __int128 start = w->admitted * rule->period_ns - (__int128)now_ns * rule->count;
    if (!w->has_any || start < w->least)
        w->least = start;
    w->has_any = true;
    __int128 end = (w->admitted + cost) * rule->period_ns - (__int128)now_ns * rule->count;
    if (end - w->least > (__int128)rule->burst * rule->period_ns)
        return false;
    w->admitted += cost;
    return true;
}

static uint64_t random_state = 0x9e3779b97f4a7c15;
static int64_t random_below(int64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int64_t)(random_state % (uint64_t)n);
}

/* Of any magnitude alike. */
static int64_t random_size(int64_t max) {
    int64_t top = INT64_C(1) << random_below(62);
    return 1 + random_below(top < max ? top : max);
}

static struct bucket_rule random_rule(void) {
    for (;;) {
        struct bucket_rule rule = {BUCKET_PERIOD_MIN_NS + random_size(BUCKET_PERIOD_MAX_NS) - 1,
                                   random_size(BUCKET_COUNT_MAX), random_size(BUCKET_COUNT_MAX)};
        if (bucket_rule_is_valid(&rule))
            return rule;
    }
}

static void check_promises(const struct bucket *b, const struct bucket_rule *rule, int64_t cost,
                           int64_t now_ns, const struct limit_state *state) {
    if (state->allowed) {
        EXPECT(bucket_look(b, rule, state->remaining, now_ns).allowed);
        EXPECT(!bucket_look(b, rule, state->remaining + 1, now_ns).allowed);
    } else if (cost > rule->burst) {
        EXPECT(state->wait_ns == INT64_MAX);
    } else {
        EXPECT(bucket_look(b, rule, cost, now_ns + state->wait_ns).allowed);
        EXPECT(!bucket_look(b, rule, cost, now_ns + state->wait_ns - 1).allowed);
    }
    EXPECT(bucket_is_new(b, now_ns + state->reset_ns));
    EXPECT(state->reset_ns == 0 || !bucket_is_new(b, now_ns + state->reset_ns - 1));
}

static int64_t random_step(const struct limit_state *last, const struct bucket_rule *rule) {
    switch (random_below(6)) {
    case 0:
        return 0;
    case 1:
        return random_below(10);
    case 2:
        return last->wait_ns == INT64_MAX ? 0 : last->wait_ns;
    case 3:
        return last->wait_ns == INT64_MAX || last->wait_ns == 0 ? 0 : last->wait_ns - 1;
    case 4:
        return random_below(last->reset_ns + 2);
    default:
        return random_below(rule->period_ns / rule->count * 2 + 2);
    }
}

START_TEST(every_window_holds_at_most_burst_plus_rate_and_no_call_is_refused_without_need) {
    int64_t n_allowed = 0, n_refused = 0;
    for (int r = 0; r < 2000; r++) {
        struct bucket_rule rule = random_rule();
        struct windows windows = {0};
        struct bucket b = {0};
        struct limit_state state = {0};
        int64_t now_ns = random_size(1000000 * NS_PER_S);
        for (int i = 0; i < 550; i++) {
            if (now_ns < BUCKET_REFILL_MAX_NS / 2)
                now_ns += random_step(&state, &rule);
            int64_t cost = random_below(3) ? 1 : random_below(rule.burst + 2);
            state = bucket_take(&b, &rule, cost, now_ns);
            bool allowed = cost == 0 || windows_allow(&windows, &rule, cost, now_ns);
            EXPECT(state.allowed == allowed);
            check_promises(&b, &rule, cost, now_ns, &state);
            n_allowed += allowed;
            n_refused += !allowed;
        }
    }
    /* The dice are worth something only when both happen often. */
    ck_assert_int_gt(n_allowed, 200000);
    ck_assert_int_gt(n_refused, 200000);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limit/bucket");
    TCase *take = tcase_create("take");
    tcase_add_test(take, new_bucket_allows_its_burst_at_once_and_no_more);
    tcase_add_test(take, new_bucket_at_time_zero_is_like_any_other);
    tcase_add_test(take, remaining_and_reset_count_this_call_in);
    tcase_add_test(take, exhausted_bucket_says_how_long_to_wait_to_the_ns);
    tcase_add_test(take, idle_time_is_not_saved_up_beyond_the_burst);
    tcase_add_test(take, a_refused_call_costs_nothing);
    tcase_add_test(take, a_look_changes_nothing);
    tcase_add_test(take, a_cost_above_the_burst_is_never_allowed_and_says_so);
    tcase_add_test(take, a_cost_of_several_is_refused_when_too_few_are_left);
    tcase_add_test(take, a_cost_of_nothing_is_always_allowed_and_counts_nothing);
    tcase_add_test(take, an_older_clock_gives_nothing_away);
    tcase_add_test(take, what_is_used_is_rounded_up);
    tcase_add_test(take, a_bucket_is_new_again_exactly_when_it_said);
    suite_add_tcase(suite, take);
    TCase *exact = tcase_create("exact");
    tcase_add_test(exact, a_rate_that_does_not_divide_its_period_does_not_drift);
    tcase_add_test(exact, a_call_a_ns_is_counted_without_rounding);
    tcase_add_test(exact, a_rate_just_below_a_call_a_ns_is_not_halved);
    tcase_add_test(exact, rules_out_of_range_are_invalid);
    tcase_add_test(exact, the_longest_refill_still_fits);
    tcase_add_test(exact,
                   every_window_holds_at_most_burst_plus_rate_and_no_call_is_refused_without_need);
    suite_add_tcase(suite, exact);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
