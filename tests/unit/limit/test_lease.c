/* SPDX-License-Identifier: MIT */
/* A million random steps of buckets, windows and leases against models that are slow to think and easy to believe. */
#include "limit/lease.h"

#include "suite.h"
#include <stdlib.h>
#include <time.h>

#define MACHINES 6
#define WALL_NS  (INT64_C(1700000000) * NS_PER_S)

/* ck_assert tells its parent process of every success: too slow for millions. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("seed %u, step %ld: %s", seed_of_run, step, #condition); \
    } while (0)

static unsigned seed_of_run, seed;
static long step;

static int64_t below(int64_t n) {
    return (int64_t)(((uint64_t)(unsigned)rand_r(&seed) << 31 | (unsigned)rand_r(&seed)) %
                     (uint64_t)n);
}

/* The promise about a rate, over all windows at once. With A(s, t] the calls admitted after s and up to t, and lent(s) what was held unspent,
 *
 *     worst(t) = max over s <= t of  A(s, t] - rate * (t - s) - lent(s)   must be <= burst.
 *
 * It follows time by itself: it falls with the rate, is never below what a window that begins now would have (-lent), and rises with every call. In units of
 * 1 / period, so that nothing is rounded. */
struct worst {
    const struct bucket_rule *rule;
    __int128 value;
    int64_t at_ns;
};

static void worst_pass(struct worst *w, int64_t now_ns, int64_t lent) {
    w->value -= (__int128)(now_ns - w->at_ns) * w->rule->count;
    w->at_ns = now_ns;
    __int128 fresh = -(__int128)lent * w->rule->period_ns;
    if (w->value < fresh)
        w->value = fresh;
}

static bool worst_fits(const struct worst *w, int64_t cost) {
    return w->value + (__int128)cost * w->rule->period_ns <=
           (__int128)w->rule->burst * w->rule->period_ns;
}

static void worst_admit(struct worst *w, int64_t cost) {
    w->value += (__int128)cost * w->rule->period_ns;
}

static struct limit_policy random_rate(void) {
    static const int64_t periods_s[] = {1, 60, 3600, 86400};
    return (struct limit_policy){
        .kind = LIMIT_RATE,
        .rate = {periods_s[below(4)] * NS_PER_S, 1 + below(5000), 1 + below(2000)}};
}

/* From far too fast to far too slow for the rule. */
static int64_t random_pause(const struct limit_policy *policy) {
    int64_t call_ns =
        policy->kind == LIMIT_RATE ? policy->rate.period_ns / policy->rate.count : 600 * NS_PER_S;
    int64_t longest_ns = below(3) ? call_ns : below(50) ? 20 * call_ns : 3000 * call_ns;
    return below(longest_ns + 1);
}

/* Without leases the model decides alone: a call passes exactly when it fits every window. */
START_TEST(a_bucket_admits_exactly_what_every_window_allows) {
    for (seed_of_run = 1; seed_of_run <= 400; seed_of_run++) {
        seed = seed_of_run;
        struct limit_policy policy = random_rate();
        struct worst worst = {&policy.rate, 0, 0};
        struct bucket bucket = {0};
        int64_t now_ns = 0;
        for (step = 0; step < 1000; step++) {
            now_ns += random_pause(&policy);
            int64_t cost = below(5) ? 1 : below(policy.rate.burst + 2);
            worst_pass(&worst, now_ns, 0);
            struct limit_state state = bucket_take(&bucket, &policy.rate, cost, now_ns);
            EXPECT(state.allowed == (cost == 0 || worst_fits(&worst, cost)));
            if (state.allowed)
                worst_admit(&worst, cost);
            EXPECT(state.remaining == 0 || worst_fits(&worst, state.remaining));
            EXPECT(!worst_fits(&worst, state.remaining + 1));
        }
    }
}
END_TEST

/* ---- windows: the model counts by the date that the C library says */

static int64_t number_of(enum window_kind kind, int64_t unix_s) {
    time_t time_s = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&time_s, &tm);
    switch (kind) {
    case WINDOW_DAY:
        return tm.tm_year * 1000 + tm.tm_yday;
    case WINDOW_WEEK:
        return (unix_s / 86400 + 3) / 7; /* a Thursday is the fourth day */
    case WINDOW_MONTH:
        break;
    }
    return tm.tm_year * 100 + tm.tm_mon;
}

START_TEST(a_window_admits_exactly_its_limit_and_what_settling_says) {
    for (seed_of_run = 1; seed_of_run <= 300; seed_of_run++) {
        seed = seed_of_run;
        struct window_rule rule = {(enum window_kind)below(3), 1, 1 + below(300), &ZONE_UTC};
        struct window_count count = {0};
        int64_t wall_ns = WALL_NS + below(86400 * 365) * NS_PER_S, used = 0, number = -1;
        for (step = 0; step < 1000; step++) {
            wall_ns += below(below(10) ? 3600 : 86400 * 20) * NS_PER_S;
            if (number_of(rule.kind, wall_ns / NS_PER_S) != number) {
                number = number_of(rule.kind, wall_ns / NS_PER_S);
                used = 0;
            }
            int64_t cost = below(20);
            struct limit_state state = window_take(&count, &rule, cost, wall_ns);
            EXPECT(state.allowed == (cost == 0 || used + cost <= rule.limit));
            used += state.allowed ? cost : 0;
            EXPECT(state.remaining == (used < rule.limit ? rule.limit - used : 0));
            if (!state.allowed || below(4))
                continue;
            int64_t change = below(30) - cost; /* what it cost in truth */
            window_settle(&count, &rule, change, state.window.end_s, wall_ns);
            used += change;
        }
    }
}
END_TEST

/* ---- leases: a fleet, whose machines die, give back, and ask late */

struct machine {
    struct lease lease;
};

struct fleet {
    struct limit_policy policy;
    struct lease_shared shared;
    struct machine machines[MACHINES];
    struct now now;
    int64_t n_asked, n_admitted;
};

static int64_t held(const struct fleet *f) {
    int64_t sum = 0;
    for (size_t i = 0; i < MACHINES; i++)
        if (f->now.mono_ns < f->machines[i].lease.dies_ns)
            sum += f->machines[i].lease.left;
    return sum;
}

static void give_back(struct fleet *f, struct machine *m) {
    const struct limit_charge charge = {.policy = &f->policy};
    const struct lease_rest rest = lease_end(&m->lease);
    lease_return(&f->shared, &charge, &rest, &f->now);
}

static bool call(struct fleet *f, struct machine *m, int64_t cost) {
    const struct limit_charge charge = {.policy = &f->policy, .cost = cost};
    if (lease_spend(&m->lease, cost, f->now.mono_ns))
        return true;
    int64_t wanted = lease_wanted(&m->lease, f->now.mono_ns);
    give_back(f, m);
    const struct lease_grant grant = lease_take(&f->shared, &charge, wanted, &f->now);
    lease_hold(&m->lease, &grant, wanted, f->now.mono_ns);
    f->n_asked++;
    return grant.state.allowed;
}

static void pass_time(struct fleet *f, int64_t ns) {
    f->now.mono_ns += ns;
    f->now.wall_ns += ns;
}

/* One random thing happens; returns what was admitted by it. */
static int64_t happen(struct fleet *f) {
    struct machine *m = &f->machines[below(MACHINES)];
    int64_t cost = below(6) ? 1 : below(12);
    pass_time(f, random_pause(&f->policy));
    switch (below(100)) {
    case 0: /* dies with all it has */
        *m = (struct machine){0};
        return 0;
    case 1: /* goes idle */
        give_back(f, m);
        return 0;
    default:
        return call(f, m, cost) ? cost : 0;
    }
}

static void expect_small_loans(const struct fleet *f) {
    int64_t lent = lease_lent(&f->shared.ledger, f->now.wall_ns);
    EXPECT(held(f) <= lent);
    EXPECT(lent * 100 <= limit_capacity(&f->policy) * LEASE_SHARE_PERCENT);
}

START_TEST(a_fleet_admits_burst_and_rate_and_what_was_lent) {
    for (seed_of_run = 1; seed_of_run <= 400; seed_of_run++) {
        seed = seed_of_run;
        struct fleet f = {.policy = random_rate(), .now = {0, WALL_NS + below(100) * NS_PER_S}};
        struct worst worst = {&f.policy.rate, 0, 0};
        for (step = 0; step < 1000; step++) {
            /* A window may begin before what happens and after the time that passed: look at what is held then. */
            struct fleet before = f;
            unsigned same = seed;
            (void)below(MACHINES);
            (void)(below(6) ? 1 : below(12));
            pass_time(&before, random_pause(&f.policy));
            seed = same;
            worst_pass(&worst, before.now.mono_ns, held(&before));
            int64_t admitted = happen(&f);
            worst_admit(&worst, admitted);
            EXPECT(worst_fits(&worst, 0));
            expect_small_loans(&f);
        }
    }
}
END_TEST

START_TEST(a_fleet_never_admits_more_than_a_quota) {
    for (seed_of_run = 1; seed_of_run <= 300; seed_of_run++) {
        seed = seed_of_run;
        struct fleet f = {.now = {0, WALL_NS}};
        f.policy = (struct limit_policy){.kind = LIMIT_QUOTA,
                                         .quota = {WINDOW_DAY, 1, 20 + below(2000), &ZONE_UTC}};
        int64_t day = -1, admitted = 0;
        for (step = 0; step < 1000; step++) {
            int64_t more = happen(&f);
            if (f.now.wall_ns / NS_PER_S / 86400 != day) {
                day = f.now.wall_ns / NS_PER_S / 86400;
                admitted = 0;
            }
            admitted += more;
            EXPECT(admitted <= f.policy.quota.limit);
            expect_small_loans(&f);
        }
    }
}
END_TEST

/* ---- what it is for */

static void run_steadily(struct fleet *f, size_t n_machines, int64_t n, int64_t pause_ns) {
    for (int64_t i = 0; i < n; i++) {
        pass_time(f, pause_ns);
        f->n_admitted += call(f, &f->machines[(size_t)i % n_machines], 1);
    }
}

START_TEST(a_hot_subject_at_a_tenth_of_its_limit_asks_50_times_in_1000) {
    struct fleet f = {.policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 6000, 6000}},
                      .now = {0, WALL_NS}};
    run_steadily(&f, 1, 10000, NS_PER_S / 10);
    ck_assert_int_eq(f.n_admitted, 10000);
    ck_assert_int_le(f.n_asked, 500);
}
END_TEST

START_TEST(near_the_limit_every_call_asks_and_nothing_is_stranded) {
    struct fleet f = {.policy = {.kind = LIMIT_QUOTA, .quota = {WINDOW_DAY, 1, 1000, &ZONE_UTC}},
                      .now = {0, WALL_NS}};
    run_steadily(&f, 4, 1500, NS_PER_S / 100);
    ck_assert_int_le(f.n_admitted, 1000);
    ck_assert_int_ge(f.n_admitted, 990);
}
END_TEST

START_TEST(small_limits_are_never_lent) {
    struct fleet f = {.policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 10, 19}},
                      .now = {0, WALL_NS}};
    run_steadily(&f, 2, 15, NS_PER_MS);
    ck_assert_int_eq(f.n_asked, 15);
    ck_assert_int_eq(f.n_admitted, 15);
}
END_TEST

START_TEST(a_quotas_leases_die_with_its_window) {
    const struct limit_policy policy = {.kind = LIMIT_QUOTA,
                                        .quota = {WINDOW_DAY, 1, 1000, &ZONE_UTC}};
    const struct limit_charge charge = {.policy = &policy, .cost = 1};
    const int64_t midnight_s = 1700006400;
    const struct now now = {NS_PER_S, midnight_s * NS_PER_S - 3 * NS_PER_S};
    struct lease_shared shared = {0};
    struct lease_grant grant = lease_take(&shared, &charge, 10, &now);
    struct lease lease = {0};
    lease_hold(&lease, &grant, 10, now.mono_ns);
    ck_assert_int_eq(grant.lent, 10);
    ck_assert_int_eq(grant.life_ns, 3 * NS_PER_S);
    ck_assert(lease_spend(&lease, 1, now.mono_ns + 3 * NS_PER_S - 1));
    ck_assert(!lease_spend(&lease, 1, now.mono_ns + 3 * NS_PER_S));
}
END_TEST

START_TEST(a_refused_call_is_lent_nothing) {
    const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {60 * NS_PER_S, 1, 1000}};
    struct limit_charge charge = {.policy = &policy, .cost = 1000};
    const struct now now = {NS_PER_S, WALL_NS};
    struct lease_shared shared = {0};
    ck_assert(lease_take(&shared, &charge, 100, &now).state.allowed);
    struct lease_grant grant = lease_take(&shared, &charge, 100, &now);
    ck_assert(!grant.state.allowed);
    ck_assert_int_eq(grant.lent, 0);
    ck_assert_int_eq(lease_lent(&shared.ledger, WALL_NS), 0);
}
END_TEST

START_TEST(what_was_forgotten_meanwhile_does_not_come_back) {
    const struct limit_policy policy = {.kind = LIMIT_QUOTA,
                                        .quota = {WINDOW_DAY, 1, 1000, &ZONE_UTC}};
    const struct limit_charge charge = {.policy = &policy, .cost = 1};
    const struct now now = {NS_PER_S, WALL_NS};
    struct lease_shared shared = {0};
    struct lease lease = {0};
    struct lease_grant grant = lease_take(&shared, &charge, 10, &now);
    lease_hold(&lease, &grant, 10, now.mono_ns);
    shared = (struct lease_shared){0}; /* a reset */
    for (int i = 0; i < 20; i++)
        (void)lease_take(&shared, &charge, 0, &now);
    struct lease_rest rest = lease_end(&lease);
    ck_assert_int_eq(rest.left, 10);
    lease_return(&shared, &charge, &rest, &now);
    ck_assert_int_eq(shared.counter.window.used, 20);
    rest = lease_end(&lease);
    ck_assert_int_eq(rest.lent, 0);
}
END_TEST

START_TEST(a_shared_clock_that_goes_back_lends_no_more) {
    const struct limit_policy policy = {.kind = LIMIT_RATE, .rate = {NS_PER_S, 1000, 1000}};
    const struct limit_charge charge = {.policy = &policy, .cost = 1};
    struct lease_shared shared = {0};
    int64_t lent = 0;
    for (int i = 0; i < 50; i++) {
        const struct now now = {NS_PER_S, WALL_NS - i * NS_PER_S};
        struct lease_grant grant = lease_take(&shared, &charge, 1000, &now);
        lent += grant.lent;
        ck_assert_int_le(grant.life_ns, 2 * LEASE_EPOCH_NS);
    }
    ck_assert_int_le(lent, 50);
}
END_TEST

SUITE_MAIN("limit/lease", a_bucket_admits_exactly_what_every_window_allows,
           a_window_admits_exactly_its_limit_and_what_settling_says,
           a_fleet_admits_burst_and_rate_and_what_was_lent, a_fleet_never_admits_more_than_a_quota,
           a_hot_subject_at_a_tenth_of_its_limit_asks_50_times_in_1000,
           near_the_limit_every_call_asks_and_nothing_is_stranded, small_limits_are_never_lent,
           a_quotas_leases_die_with_its_window, a_refused_call_is_lent_nothing,
           what_was_forgotten_meanwhile_does_not_come_back,
           a_shared_clock_that_goes_back_lends_no_more)
