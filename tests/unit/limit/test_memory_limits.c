/* SPDX-License-Identifier: MIT */
#include "limit/memory_limits.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>

#define START_NS  (INT64_C(5000) * NS_PER_S)
#define AT(ns)    (&(struct now){(ns), INT64_C(1700000000) * NS_PER_S + (ns)})
#define HOUR_NS   (3600 * NS_PER_S)
#define N_THREADS 4

/* ck_assert tells its parent process of every success: too slow for millions. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("%s", #condition); \
    } while (0)

static struct limit_policy policy_of(const char *id, enum limit_key key, int64_t burst) {
    return (struct limit_policy){.name = str_of(id),
                                 .id = str_of(id),
                                 .counter = str_of(id),
                                 .key = key,
                                 .rate = {HOUR_NS, burst, burst}};
}

static struct memory_limits *limits_of(size_t n_per_kind) {
    struct memory_limits *limits =
        memory_limits_new(&(struct memory_limits_options){.n_per_kind = n_per_kind});
    ck_assert_ptr_nonnull(limits);
    return limits;
}

static bool take(struct memory_limits *limits, const struct limit_policy *policy, struct str key,
                 int64_t now_ns) {
    const struct limit_charge charge = {policy, key, 1, 0};
    struct limit_state state;
    return memory_limits_pass(limits, &charge, 1, AT(now_ns), true, &state);
}

static int64_t remaining(struct memory_limits *limits, const struct limit_policy *policy,
                         struct str key, int64_t now_ns) {
    const struct limit_charge charge = {policy, key, 0, 0};
    struct limit_state state;
    EXPECT(memory_limits_pass(limits, &charge, 1, AT(now_ns), false, &state));
    return state.remaining;
}

struct numbered {
    char text[24];
};
static struct str number(struct numbered *out, int64_t i) {
    return (struct str){out->text,
                        (size_t)snprintf(out->text, sizeof(out->text), "k%jd", (intmax_t)i)};
}

static size_t take_many(struct memory_limits *limits, const struct limit_policy *policy,
                        int64_t from, int64_t to, int64_t now_ns) {
    size_t n_allowed = 0;
    struct numbered text;
    for (int64_t i = from; i < to; i++)
        n_allowed += take(limits, policy, number(&text, i), now_ns);
    return n_allowed;
}

START_TEST(keys_policies_and_kinds_are_counted_apart) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy one = policy_of("one", LIMIT_KEY_SUBJECT, 1),
                        other = policy_of("other", LIMIT_KEY_SUBJECT, 1),
                        by_ip = policy_of("one", LIMIT_KEY_IP, 1);
    ck_assert(take(limits, &one, STR("ann"), START_NS));
    ck_assert(!take(limits, &one, STR("ann"), START_NS));
    ck_assert(take(limits, &one, STR("bob"), START_NS));
    ck_assert(take(limits, &other, STR("ann"), START_NS));
    ck_assert(take(limits, &by_ip, STR("ann"), START_NS));
    ck_assert(!take(limits, &by_ip, STR("ann"), START_NS));
    memory_limits_free(limits);
}
END_TEST

START_TEST(no_spelling_of_a_key_reaches_another_policys_bucket) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy a = policy_of("a", LIMIT_KEY_SUBJECT, 1),
                        ab = policy_of("ab", LIMIT_KEY_SUBJECT, 1),
                        a_b = policy_of("a:b", LIMIT_KEY_SUBJECT, 1);
    ck_assert(take(limits, &ab, STR("c"), START_NS));
    ck_assert(take(limits, &a, STR("bc"), START_NS));
    ck_assert(take(limits, &a, STR("b:c"), START_NS));
    ck_assert(take(limits, &a_b, STR("c"), START_NS));
    ck_assert(take(limits, &a, STR(""), START_NS));
    ck_assert(take(limits, &a, ((struct str){"b\0c", 3}), START_NS));
    ck_assert(take(limits, &a, STR("b"), START_NS));
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_policy_whose_rate_changed_starts_anew) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 7);
    for (int i = 0; i < 7; i++)
        ck_assert(take(limits, &policy, STR("ann"), START_NS));
    ck_assert(!take(limits, &policy, STR("ann"), START_NS));
    struct limit_policy changed = policy;
    changed.rate.burst = 3;
    changed.rate.count = 2;
    for (int i = 0; i < 3; i++)
        ck_assert(take(limits, &changed, STR("ann"), START_NS));
    ck_assert(!take(limits, &changed, STR("ann"), START_NS));
    changed = policy;
    changed.rate.burst = 6;
    ck_assert_int_eq(remaining(limits, &changed, STR("ann"), START_NS), 6);
    changed = policy;
    changed.is_shadow = true; /* the same rate, the same count */
    ck_assert_int_eq(remaining(limits, &changed, STR("ann"), START_NS), 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_global_policy_is_one_bucket) {
    struct memory_limits *limits = limits_of(1 << 20);
    struct limit_policy global = policy_of("g", LIMIT_KEY_GLOBAL, 100);
    for (int i = 0; i < 100; i++)
        ck_assert(take(limits, &global, STR_NONE, START_NS));
    ck_assert(!take(limits, &global, STR_NONE, START_NS));
    ck_assert_uint_eq(memory_limits_stats(limits).n_counters[LIMIT_KEY_GLOBAL], 1);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_bucket_named_twice_in_a_call_is_charged_twice_or_not_at_all) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 5);
    const struct limit_charge twice[] = {{&policy, STR("ann"), 1, 0}, {&policy, STR("ann"), 1, 0}};
    struct limit_state states[2];
    ck_assert(memory_limits_pass(limits, twice, 2, AT(START_NS), true, states));
    ck_assert_int_eq(states[1].remaining, 3);
    ck_assert(memory_limits_pass(limits, twice, 2, AT(START_NS), true, states));
    ck_assert(!memory_limits_pass(limits, twice, 2, AT(START_NS), true, states));
    ck_assert(states[0].allowed && !states[1].allowed);
    ck_assert_int_eq(states[0].remaining, 1);
    ck_assert_int_eq(remaining(limits, &policy, STR("ann"), START_NS), 1);
    memory_limits_free(limits);
}
END_TEST

START_TEST(an_older_clock_neither_breaks_nor_forgives) {
    struct memory_limits *limits = limits_of(100);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 50, START_NS), 50);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 50, START_NS - 5000), 0);
    ck_assert_uint_eq(take_many(limits, &policy, 50, 100, START_NS - 5000), 50);
    ck_assert_uint_eq(take_many(limits, &policy, 100, 200, START_NS - 9000), 1);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 100, START_NS), 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_pass_that_does_not_count_changes_nothing) {
    struct memory_limits *limits = limits_of(100);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    const struct limit_charge charge = {&policy, STR("ann"), 1, 0};
    struct limit_state state;
    for (int i = 0; i < 3; i++)
        ck_assert(memory_limits_pass(limits, &charge, 1, AT(START_NS), false, &state));
    ck_assert(take(limits, &policy, STR("ann"), START_NS));
    ck_assert(!memory_limits_pass(limits, &charge, 1, AT(START_NS), false, &state));
    memory_limits_free(limits);
}
END_TEST

/* ---- quotas ---- */

#define DAY_NS (86400 * NS_PER_S)

static struct limit_policy quota_of(const char *id, int64_t limit) {
    return (struct limit_policy){.name = str_of(id),
                                 .id = str_of(id),
                                 .counter = STR("plan/default/daily"),
                                 .kind = LIMIT_QUOTA,
                                 .quota = {WINDOW_DAY, 1, limit, &ZONE_UTC}};
}

START_TEST(what_was_used_of_a_quota_survives_a_change_of_plan) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy free_daily = quota_of("free/default/daily", 10),
                        pro_daily = quota_of("pro/default/daily", 100);
    for (int i = 0; i < 10; i++)
        ck_assert(take(limits, &free_daily, STR("ann"), START_NS));
    ck_assert(!take(limits, &free_daily, STR("ann"), START_NS));
    ck_assert_int_eq(remaining(limits, &pro_daily, STR("ann"), START_NS), 90);
    for (int i = 0; i < 90; i++)
        ck_assert(take(limits, &pro_daily, STR("ann"), START_NS));
    ck_assert(!take(limits, &pro_daily, STR("ann"), START_NS));
    ck_assert_int_eq(remaining(limits, &free_daily, STR("ann"), START_NS), 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_quota_per_day_and_one_per_month_of_one_name_are_counted_apart) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy daily = quota_of("free/default/daily", 1), monthly = daily;
    monthly.quota.kind = WINDOW_MONTH;
    ck_assert(take(limits, &daily, STR("ann"), START_NS));
    ck_assert(take(limits, &monthly, STR("ann"), START_NS));
    memory_limits_free(limits);
}
END_TEST

START_TEST(quotas_that_are_not_over_are_never_dropped_for_strangers) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy daily = quota_of("daily", 1);
    ck_assert_uint_eq(take_many(limits, &daily, 0, 1000, START_NS), 1000);
    ck_assert_uint_eq(take_many(limits, &daily, 1000, 5000, START_NS), 1); /* they share one */
    ck_assert_uint_eq(take_many(limits, &daily, 0, 1000, START_NS + NS_PER_S), 0);
    ck_assert_uint_eq(take_many(limits, &daily, 0, 1000, START_NS + DAY_NS), 1000);
    memory_limits_free(limits);
}
END_TEST

START_TEST(what_a_call_cost_in_truth_is_settled_where_it_was_taken) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy rate = policy_of("p", LIMIT_KEY_SUBJECT, 10), daily = quota_of("daily", 10);
    const struct limit_charge charges[] = {{&rate, STR("ann"), 3, 0}, {&daily, STR("ann"), 3, 0}};
    struct limit_state states[2];
    ck_assert(memory_limits_pass(limits, charges, 2, AT(START_NS), true, states));
    for (int i = 0; i < 2; i++)
        memory_limits_settle(limits, &charges[i], -2, &states[i], AT(START_NS));
    ck_assert_int_eq(remaining(limits, &rate, STR("ann"), START_NS), 9);
    ck_assert_int_eq(remaining(limits, &daily, STR("ann"), START_NS), 9);
    for (int i = 0; i < 2; i++)
        memory_limits_settle(limits, &charges[i], 19, &states[i], AT(START_NS));
    ck_assert(!take(limits, &rate, STR("ann"), START_NS + HOUR_NS)); /* 20 of 10: an hour pays 10 */
    ck_assert(take(limits, &rate, STR("ann"), START_NS + HOUR_NS + HOUR_NS / 10));
    ck_assert(!take(limits, &daily, STR("ann"), START_NS));
    ck_assert_int_eq(remaining(limits, &daily, STR("bob"), START_NS), 10);
    memory_limits_free(limits);
}
END_TEST

START_TEST(looks_and_refusals_leave_nothing_behind) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1),
                        closed = policy_of("closed", LIMIT_KEY_GLOBAL, 1);
    ck_assert(take(limits, &closed, STR_NONE, START_NS));
    struct numbered text;
    for (int i = 0; i < 5000; i++) {
        const struct limit_charge charges[] = {{&policy, number(&text, i), 1, 0},
                                               {&closed, STR_NONE, 1, 0}};
        struct limit_state states[2];
        EXPECT(remaining(limits, &policy, charges[0].key, START_NS) == 1);
        EXPECT(!memory_limits_pass(limits, charges, 2, AT(START_NS), true, states));
    }
    ck_assert_uint_eq(memory_limits_stats(limits).n_counters[LIMIT_KEY_SUBJECT], 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_million_counters_take_at_most_64_bytes_each) {
    const size_t sizes[] = {100000, 300000, 1000000};
    for (size_t bound = 1 << 20, n_sizes = 3; bound <= 4 << 20; bound *= 4, n_sizes = 2) {
        struct memory_limits *limits = limits_of(bound);
        struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
        size_t n = 0;
        for (size_t i = 0; i < n_sizes; i++) {
            n += take_many(limits, &policy, (int64_t)n, (int64_t)sizes[i], START_NS);
            EXPECT(n == sizes[i]);
            struct memory_limits_stats stats = memory_limits_stats(limits);
            ck_assert_uint_eq(stats.n_counters[LIMIT_KEY_SUBJECT], n);
            ck_assert_uint_eq(stats.n_shared, 0);
            ck_assert_uint_le(stats.total_bytes, 64 * n);
        }
        ck_assert_uint_eq(take_many(limits, &policy, 0, (int64_t)n, START_NS), 0);
        memory_limits_free(limits);
    }
}
END_TEST

START_TEST(an_empty_table_is_small) {
    struct memory_limits *limits = limits_of(MEMORY_LIMITS_DEFAULT.n_per_kind);
    ck_assert_uint_le(memory_limits_stats(limits).total_bytes, 512 * 1024);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_full_table_keeps_refusing_whom_it_refused) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 1000, START_NS), 1000);
    for (int64_t round = 0; round < 20; round++) {
        int64_t now_ns = START_NS + round * NS_PER_S;
        ck_assert_uint_eq(take_many(limits, &policy, 0, 1000, now_ns), 0);
        /* A flood of strangers passes once, all together. */
        ck_assert_uint_eq(
            take_many(limits, &policy, 1000 + round * 5000, 6000 + round * 5000, now_ns),
            round == 0);
    }
    struct memory_limits_stats stats = memory_limits_stats(limits);
    ck_assert_uint_eq(stats.n_counters[LIMIT_KEY_SUBJECT], 1001); /* and the shared one */
    ck_assert_uint_eq(stats.n_shared, 20 * 5000);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_full_table_holds_many_shards_to_the_bound) {
    const size_t bound = 100000;
    struct memory_limits *limits = limits_of(bound);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_IP, 1);
    size_t n_allowed = take_many(limits, &policy, 0, 300000, START_NS);
    struct memory_limits_stats stats = memory_limits_stats(limits);
    ck_assert_uint_le(stats.n_counters[LIMIT_KEY_IP], bound + 64);
    ck_assert_uint_ge(stats.n_counters[LIMIT_KEY_IP], bound - 64);
    ck_assert_uint_eq(n_allowed, stats.n_counters[LIMIT_KEY_IP]);
    ck_assert_uint_le(stats.total_bytes, 64 * bound);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 50000, START_NS), 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(strangers_share_a_bucket_per_policy_when_full) {
    struct memory_limits *limits = limits_of(10);
    struct limit_policy full = policy_of("full", LIMIT_KEY_SUBJECT, 1),
                        two = policy_of("two", LIMIT_KEY_SUBJECT, 2),
                        three = policy_of("three", LIMIT_KEY_SUBJECT, 3);
    ck_assert_uint_eq(take_many(limits, &full, 0, 10, START_NS), 10);
    ck_assert_uint_eq(take_many(limits, &two, 0, 10, START_NS), 2);
    ck_assert_uint_eq(take_many(limits, &three, 0, 10, START_NS), 3);
    ck_assert_uint_eq(memory_limits_stats(limits).n_counters[LIMIT_KEY_SUBJECT], 12);
    struct limit_policy elsewhere = policy_of("elsewhere", LIMIT_KEY_CLAIM, 1);
    ck_assert_uint_eq(take_many(limits, &elsewhere, 0, 10, START_NS), 10);
    memory_limits_free(limits);
}
END_TEST

START_TEST(without_room_even_for_a_shared_bucket_a_call_is_refused) {
    struct memory_limits *limits = limits_of(1);
    static char ids[100][16];
    size_t n_allowed = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(ids[i], sizeof(ids[i]), "p%d", i);
        struct limit_policy policy = policy_of(ids[i], LIMIT_KEY_SUBJECT, 5);
        const struct limit_charge charge = {&policy, STR("ann"), 1, 0};
        struct limit_state state;
        bool allowed = memory_limits_pass(limits, &charge, 1, AT(START_NS), true, &state);
        ck_assert(state.allowed == allowed);
        ck_assert(allowed == (state.wait_ns == 0));
        n_allowed += allowed;
    }
    ck_assert_uint_ge(n_allowed, 10);
    ck_assert_uint_le(n_allowed, 17);
    memory_limits_free(limits);
}
END_TEST

START_TEST(what_is_as_good_as_new_makes_room) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    int64_t now_ns = START_NS;
    for (int64_t hour = 0; hour < 20; hour++, now_ns += HOUR_NS) {
        ck_assert_uint_eq(take_many(limits, &policy, hour * 1000, hour * 1000 + 1000, now_ns),
                          1000);
        ck_assert_uint_eq(take_many(limits, &policy, hour * 1000, hour * 1000 + 1000, now_ns), 0);
    }
    ck_assert_uint_le(memory_limits_stats(limits).n_counters[LIMIT_KEY_SUBJECT], 1000);
    ck_assert_uint_eq(memory_limits_stats(limits).n_shared, 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_full_table_is_swept_now_and_then_not_for_every_stranger) {
    struct memory_limits *limits = limits_of(1000);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    ck_assert_uint_eq(take_many(limits, &policy, 0, 1000, START_NS), 1000);
    int64_t almost_ns = START_NS + HOUR_NS - NS_PER_MS, over_ns = START_NS + HOUR_NS;
    ck_assert_uint_eq(take_many(limits, &policy, 1000, 1100, almost_ns), 1);
    ck_assert_uint_eq(take_many(limits, &policy, 1100, 1200, over_ns), 0);
    ck_assert_uint_eq(take_many(limits, &policy, 1100, 1200, almost_ns + 100 * NS_PER_MS), 100);
    memory_limits_free(limits);
}
END_TEST

START_TEST(a_table_shrinks_when_few_are_left) {
    struct memory_limits *limits = limits_of(1 << 20);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 1);
    size_t empty = memory_limits_stats(limits).total_bytes;
    EXPECT(take_many(limits, &policy, 0, 200000, START_NS) == 200000);
    size_t full = memory_limits_stats(limits).total_bytes;
    /* Strangers come slowly: an hour's worth is 3,600. */
    struct numbered text;
    for (int64_t i = 0; i < 250000; i++)
        EXPECT(take(limits, &policy, number(&text, 1000000 + i), START_NS + (i + 3600) * NS_PER_S));
    struct memory_limits_stats stats = memory_limits_stats(limits);
    ck_assert_uint_le(stats.total_bytes - empty, (full - empty) / 16);
    ck_assert_uint_eq(stats.n_shared, 0);
    memory_limits_free(limits);
}
END_TEST

/* ---- threads ----------------------------------------------------------------------------------- */

struct crowd {
    struct memory_limits *limits;
    const struct limit_policy *first, *second;
    int n_takes;
    bool is_reversed, is_spread;
    size_t n_allowed;
};

static void *crowd_run(void *arg) {
    struct crowd *crowd = arg;
    struct numbered text;
    for (int i = 0; i < crowd->n_takes; i++) {
        struct str key = crowd->is_spread ? number(&text, i) : STR("ann");
        struct limit_charge charges[] = {{crowd->first, key, 1, 0},
                                         {crowd->second, STR("all"), 1, 0}};
        if (crowd->is_reversed) {
            struct limit_charge swap = charges[0];
            charges[0] = charges[1];
            charges[1] = swap;
        }
        struct limit_state states[2];
        crowd->n_allowed +=
            memory_limits_pass(crowd->limits, charges, 2, AT(START_NS - i % 7), true, states);
    }
    return NULL;
}

static size_t run_crowds(struct crowd crowds[N_THREADS], const struct crowd *model) {
    pthread_t threads[N_THREADS];
    size_t n_allowed = 0;
    for (int i = 0; i < N_THREADS; i++) {
        crowds[i] = *model;
        crowds[i].is_reversed = i % 2;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        n_allowed += crowds[i].n_allowed;
    }
    return n_allowed;
}

START_TEST(what_was_seen_elsewhere_stands_here_from_then_on) {
    struct memory_limits *limits = limits_of(16);
    struct limit_policy policy = policy_of("p", LIMIT_KEY_SUBJECT, 10);
    const struct limit_charge charge = {&policy, STR("u"), 7, 0};
    union limit_counter seen = {0};
    ck_assert(take(limits, &policy, STR("u"), START_NS));
    ck_assert(limit_counter_take(&seen, &charge, AT(START_NS)).allowed);
    memory_limits_put(limits, &charge, &seen, AT(START_NS));
    ck_assert_int_eq(remaining(limits, &policy, STR("u"), START_NS), 3);
    union limit_counter got = memory_limits_get(limits, &charge, AT(START_NS));
    ck_assert_int_eq(got.bucket.tat_ns, seen.bucket.tat_ns);
    const struct limit_charge stranger = {.policy = &policy, .key = STR("v")};
    got = memory_limits_get(limits, &stranger, AT(START_NS));
    ck_assert_int_eq(got.bucket.tat_ns, 0);
    memory_limits_put(limits, &charge, &(union limit_counter){0}, AT(START_NS));
    ck_assert_int_eq(remaining(limits, &policy, STR("u"), START_NS), 10);
    memory_limits_free(limits);
}
END_TEST

START_TEST(threads_at_one_bucket_get_exactly_the_burst) {
    struct memory_limits *limits = limits_of(100000);
    struct limit_policy subject = policy_of("s", LIMIT_KEY_SUBJECT, 1000),
                        ip = policy_of("i", LIMIT_KEY_IP, 5000);
    struct crowd crowds[N_THREADS];
    ck_assert_uint_eq(run_crowds(crowds, &(struct crowd){limits, &subject, &ip, 20000, 0, 0, 0}),
                      1000);
    /* All or nothing: whoever the first refused did not count in the second. */
    ck_assert_int_eq(remaining(limits, &ip, STR("all"), START_NS), 4000);
    ck_assert_int_eq(remaining(limits, &subject, STR("ann"), START_NS), 0);
    memory_limits_free(limits);
}
END_TEST

START_TEST(threads_that_bring_strangers_while_shards_grow_count_each_exactly) {
    struct memory_limits *limits = limits_of(100000);
    struct limit_policy subject = policy_of("s", LIMIT_KEY_SUBJECT, 3),
                        all = policy_of("all", LIMIT_KEY_SUBJECT, 50000);
    struct crowd crowds[N_THREADS];
    ck_assert_uint_eq(run_crowds(crowds, &(struct crowd){limits, &subject, &all, 10000, 0, 1, 0}),
                      30000);
    ck_assert_int_eq(remaining(limits, &all, STR("all"), START_NS), 20000);
    memory_limits_free(limits);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limit/memory_limits");
    TCase *count = tcase_create("count");
    tcase_add_test(count, keys_policies_and_kinds_are_counted_apart);
    tcase_add_test(count, what_was_seen_elsewhere_stands_here_from_then_on);
    tcase_add_test(count, no_spelling_of_a_key_reaches_another_policys_bucket);
    tcase_add_test(count, a_policy_whose_rate_changed_starts_anew);
    tcase_add_test(count, a_global_policy_is_one_bucket);
    tcase_add_test(count, a_bucket_named_twice_in_a_call_is_charged_twice_or_not_at_all);
    tcase_add_test(count, an_older_clock_neither_breaks_nor_forgives);
    tcase_add_test(count, a_pass_that_does_not_count_changes_nothing);
    tcase_add_test(count, looks_and_refusals_leave_nothing_behind);
    tcase_add_test(count, what_was_used_of_a_quota_survives_a_change_of_plan);
    tcase_add_test(count, a_quota_per_day_and_one_per_month_of_one_name_are_counted_apart);
    tcase_add_test(count, quotas_that_are_not_over_are_never_dropped_for_strangers);
    tcase_add_test(count, what_a_call_cost_in_truth_is_settled_where_it_was_taken);
    suite_add_tcase(suite, count);
    TCase *bound = tcase_create("bound");
    tcase_set_timeout(bound, 20);
    tcase_add_test(bound, a_million_counters_take_at_most_64_bytes_each);
    tcase_add_test(bound, an_empty_table_is_small);
    tcase_add_test(bound, a_full_table_keeps_refusing_whom_it_refused);
    tcase_add_test(bound, a_full_table_holds_many_shards_to_the_bound);
    tcase_add_test(bound, strangers_share_a_bucket_per_policy_when_full);
    tcase_add_test(bound, without_room_even_for_a_shared_bucket_a_call_is_refused);
    tcase_add_test(bound, what_is_as_good_as_new_makes_room);
    tcase_add_test(bound, a_full_table_is_swept_now_and_then_not_for_every_stranger);
    tcase_add_test(bound, a_table_shrinks_when_few_are_left);
    suite_add_tcase(suite, bound);
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, 20);
    tcase_add_test(threads, threads_at_one_bucket_get_exactly_the_burst);
    tcase_add_test(threads, threads_that_bring_strangers_while_shards_grow_count_each_exactly);
    suite_add_tcase(suite, threads);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
