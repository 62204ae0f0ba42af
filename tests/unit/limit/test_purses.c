/* SPDX-License-Identifier: MIT */
/* Proves limit/purses.h against limit/lease.h's shared side, which stands in for Redis. */
#include "limit/purses.h"

#include "suite.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define WALL_NS (INT64_C(1700000000) * NS_PER_S)

static const struct limit_policy rate = {.counter = STR("burst"),
                                         .key = LIMIT_KEY_SUBJECT,
                                         .kind = LIMIT_RATE,
                                         .rate = {60 * NS_PER_S, 6000, 6000}};
static const struct limit_policy quota = {.counter = STR("daily"),
                                          .key = LIMIT_KEY_SUBJECT,
                                          .kind = LIMIT_QUOTA,
                                          .quota = {WINDOW_DAY, 1, 100, &ZONE_UTC}};

static struct purses *purses;
static struct lease_shared shared;
static struct now now;

static void begin(void) {
    purses = purses_new();
    ck_assert_ptr_nonnull(purses);
    shared = (struct lease_shared){0};
    now = (struct now){NS_PER_S, WALL_NS};
}

static void pass(int64_t ns) {
    now.mono_ns += ns;
    now.wall_ns += ns;
}

static struct limit_charge of(const struct limit_policy *policy, const char *key, int64_t cost) {
    return (struct limit_charge){.policy = policy, .key = str_of(key), .cost = cost};
}

/* Asks the shared side, and tells its answer. */
static struct lease_grant answer(const struct limit_charge *charge,
                                 const struct purse_question *question) {
    lease_return(&shared, charge, &question->wish.rest, &now);
    struct lease_grant grant = lease_take(&shared, charge, question->wish.wanted, &now);
    const struct purse_answer told = {.charge = charge,
                                      .grant = &grant,
                                      .seen = shared.counter,
                                      .is_refused = !grant.state.allowed,
                                      .name = STR("key")};
    ck_assert(!purses_answer(purses, question, &told, &now));
    return grant;
}

static struct lease_grant ask(const struct limit_charge *charge) {
    struct purse_question question;
    purses_ask(purses, charge, true, &now, &question);
    return answer(charge, &question);
}

static enum purse_verdict pay(const struct limit_charge *charge, struct limit_state *state) {
    return purses_pay(purses, charge, true, &now, state);
}

/* Calls until a lease of at least n is held. */
static void borrow(const struct limit_charge *charge, int64_t n) {
    struct limit_state state;
    for (int i = 0; i < 200 && purses_left(purses, charge, &now) < n; i++)
        if (pay(charge, &state) == PURSE_ASKS)
            ck_assert(ask(charge).state.allowed);
    ck_assert_int_ge(purses_left(purses, charge, &now), n);
}

START_TEST(who_was_never_seen_asks) {
    struct limit_state state;
    const struct limit_charge charge = of(&rate, "u", 1);
    begin();
    ck_assert_int_eq(pay(&charge, &state), PURSE_ASKS);
    ck_assert_int_eq(ask(&charge).lent, 0); /* who comes once needs no lease */
    ck_assert_int_eq(pay(&charge, &state), PURSE_ASKS);
    ck_assert_int_gt(ask(&charge).lent, 0);
    ck_assert_int_eq(pay(&charge, &state), PURSE_PAYS);
    const struct limit_charge stranger = of(&rate, "v", 1), other = of(&quota, "u", 1);
    ck_assert_int_eq(pay(&stranger, &state), PURSE_ASKS);
    ck_assert_int_eq(pay(&other, &state), PURSE_ASKS);
    purses_free(purses);
}
END_TEST

START_TEST(a_lease_answers_what_memory_would) {
    const struct limit_charge charge = of(&rate, "u", 1);
    union limit_counter memory = {0};
    size_t n_paid = 0;
    begin();
    for (int i = 0; i < 3000; i++) {
        struct limit_state state, expected = limit_counter_take(&memory, &charge, &now);
        if (pay(&charge, &state) == PURSE_PAYS) {
            n_paid++;
            ck_assert(state.allowed && state.wait_ns == 0);
            ck_assert_int_eq(state.remaining, expected.remaining);
            ck_assert_int_eq(state.reset_ns, expected.reset_ns);
        } else {
            (void)ask(&charge);
        }
        pass(NS_PER_S / 10);
    }
    ck_assert_uint_ge(n_paid, 2850); /* at a tenth of its limit: 50 questions in 1,000 */
    purses_free(purses);
}
END_TEST

START_TEST(only_one_asks_for_a_lease_at_a_time) {
    const struct limit_charge charge = of(&rate, "u", 1);
    struct purse_question first, second, third;
    begin();
    (void)ask(&charge);
    purses_ask(purses, &charge, true, &now, &first);
    purses_ask(purses, &charge, true, &now, &second);
    ck_assert_int_gt(first.wish.wanted, 0);
    ck_assert_int_eq(second.wish.wanted, 0);
    int64_t lent = answer(&charge, &first).lent;
    (void)answer(&charge, &second); /* leaves the lease alone */
    ck_assert_int_eq(purses_left(purses, &charge, &now), lent);
    purses_ask(purses, &charge, true, &now, &third);
    ck_assert_int_eq(third.wish.rest.left, lent);
    ck_assert_int_eq(purses_left(purses, &charge, &now), 0); /* it is on its way back */
    purses_fail(purses, &third, false);
    ck_assert_int_eq(purses_left(purses, &charge, &now), lent);
    purses_ask(purses, &charge, false, &now, &third);
    ck_assert_int_eq(third.wish.wanted, 0); /* draining: nothing more */
    purses_fail(purses, &third, true);
    ck_assert_int_eq(purses_left(purses, &charge, &now), 0);
    purses_free(purses);
}
END_TEST

/* What the shared side lent, told after whoever asked had given up. */
static bool answer_late(const struct limit_charge *charge, const struct purse_question *question,
                        int64_t lent) {
    const struct lease_grant grant = {
        .state = {.allowed = true}, .lent = lent, .life_ns = 10 * NS_PER_S, .epoch = 1};
    const struct purse_answer told = {.charge = charge, .grant = &grant, .name = STR("key")};
    return purses_answer_late(purses, question, &told, &now);
}

START_TEST(a_lease_that_comes_too_late_is_held_unless_another_is) {
    const struct limit_charge charge = of(&rate, "u", 1);
    struct purse_question late, other;
    begin();
    purses_ask(purses, &charge, true, &now, &late);
    purses_fail(purses, &late, true);
    ck_assert(!answer_late(&charge, &late, 0));
    ck_assert(!answer_late(&charge, &late, 5));
    ck_assert_int_eq(purses_left(purses, &charge, &now), 5);
    ck_assert(answer_late(&charge, &late, 7)); /* one is held */
    ck_assert_int_eq(purses_left(purses, &charge, &now), 5);
    pass(11 * NS_PER_S);
    purses_ask(purses, &charge, true, &now, &late);
    purses_fail(purses, &late, true);
    purses_ask(purses, &charge, true, &now, &other);
    ck_assert(answer_late(&charge, &late, 7)); /* one is asked for */
    ck_assert_int_eq(purses_left(purses, &charge, &now), 0);
    purses_free(purses);
}
END_TEST

START_TEST(a_denial_stands_and_is_asked_for_every_few_seconds) {
    const struct limit_charge charge = of(&quota, "u", 1), all = of(&quota, "u", 100);
    struct limit_state state;
    size_t n_asked = 0;
    begin();
    ck_assert(ask(&all).state.allowed);
    ck_assert(!ask(&charge).state.allowed);
    for (int i = 0; i < 1000; i++, pass(NS_PER_S / 50)) {
        if (pay(&charge, &state) == PURSE_ASKS) {
            n_asked++;
            (void)ask(&charge);
            continue;
        }
        ck_assert(!state.allowed);
        ck_assert_int_eq(state.remaining, 0);
        ck_assert_int_gt(state.wait_ns, 0);
        ck_assert_int_le(state.wait_ns, 86400 * NS_PER_S);
    }
    ck_assert_uint_le(n_asked, 7); /* in 20 seconds */
    ck_assert_uint_ge(n_asked, 5);
    ck_assert_int_eq(purses_pay(purses, &charge, false, &now, &state), PURSE_ASKS);
    purses_free(purses);
}
END_TEST

START_TEST(news_of_a_caller_forget_denials_and_send_leases_back) {
    const struct limit_charge charge = of(&quota, "u", 1), much = of(&rate, "u", 1),
                              all = of(&quota, "u", 100);
    struct limit_state state;
    struct purse_question question;
    begin();
    borrow(&much, 20);
    shared = (struct lease_shared){0};
    (void)ask(&all);
    (void)ask(&charge);
    ck_assert_int_eq(pay(&charge, &state), PURSE_REFUSES);
    ck_assert_int_eq(pay(&much, &state), PURSE_PAYS);
    purses_forget(purses, STR("somebody else"));
    ck_assert_int_eq(pay(&charge, &state), PURSE_REFUSES);
    purses_forget(purses, STR("u"));
    ck_assert_int_eq(pay(&charge, &state), PURSE_ASKS);
    ck_assert_int_eq(pay(&much, &state), PURSE_ASKS);
    purses_ask(purses, &much, true, &now, &question);
    ck_assert_int_gt(question.wish.rest.left, 0);
    purses_fail(purses, &question, true);

    /* What was asked before the news is no answer to them. */
    purses_ask(purses, &charge, true, &now, &question);
    purses_forget_all(purses);
    ck_assert(!answer(&charge, &question).state.allowed);
    ck_assert_int_eq(pay(&charge, &state), PURSE_ASKS);
    purses_free(purses);
}
END_TEST

START_TEST(another_limit_of_the_same_counter_asks_anew) {
    struct limit_policy more = quota;
    const struct limit_charge charge = of(&quota, "u", 1), all = of(&quota, "u", 100),
                              paid = of(&more, "u", 1);
    struct limit_state state;
    more.quota.limit = 1000; /* the caller's new plan */
    begin();
    (void)ask(&all);
    (void)ask(&charge);
    ck_assert_int_eq(pay(&charge, &state), PURSE_REFUSES);
    ck_assert_int_eq(pay(&paid, &state), PURSE_ASKS);
    ck_assert(ask(&paid).state.allowed);
    ck_assert_int_ne(pay(&paid, &state), PURSE_REFUSES); /* the old plan's denial is gone */
    purses_free(purses);
}
END_TEST

START_TEST(what_it_cost_is_settled_with_the_lease_while_it_holds) {
    const struct limit_charge charge = of(&rate, "u", 2);
    struct limit_state state;
    begin();
    borrow(&charge, 20);
    int64_t left = purses_left(purses, &charge, &now);
    ck_assert_int_eq(pay(&charge, &state), PURSE_PAYS);
    ck_assert(purses_settle(purses, &charge, 5, 0, &now));
    ck_assert_int_eq(purses_left(purses, &charge, &now), left - 7);
    ck_assert(purses_settle(purses, &charge, -7, 0, &now));
    ck_assert_int_eq(purses_left(purses, &charge, &now), left);
    ck_assert(!purses_settle(purses, &charge, -1000000, 0, &now)); /* more than was lent */
    ck_assert(!purses_settle(purses, &charge, 1000000, 0, &now));
    ck_assert(!purses_settle(purses, &charge, -1, 17, &now)); /* of another window */
    pass(2 * LEASE_EPOCH_NS);
    ck_assert(!purses_settle(purses, &charge, 1, 0, &now));
    ck_assert(!purses_settle(purses, &charge, -1, 0, &now));
    const struct limit_charge stranger = of(&rate, "v", 1);
    ck_assert(!purses_settle(purses, &stranger, 1, 0, &now));
    purses_free(purses);
}
END_TEST

START_TEST(leases_go_back_before_they_die) {
    const struct limit_charge charge = of(&rate, "u", 1);
    struct purse_return returns[4];
    struct limit_state state;
    begin();
    borrow(&charge, 100);
    ck_assert_int_eq(pay(&charge, &state), PURSE_PAYS);
    int64_t left = purses_left(purses, &charge, &now);
    ck_assert_uint_eq(purses_collect(purses, 0, 1, false, &now, returns, 4), 0);
    size_t n = 0;
    for (int i = 0; i < 40 && n == 0; i++, pass(NS_PER_S / 2))
        n = purses_collect(purses, 0, 1, false, &now, returns, 4);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(returns[0].name, "key");
    ck_assert_int_eq(returns[0].rest.left, left);
    ck_assert_int_eq(returns[0].rate.count, 6000);
    free(returns[0].name);
    ck_assert_int_eq(purses_left(purses, &charge, &now), 0);
    lease_return(&shared, &charge, &returns[0].rest, &now);
    ck_assert_int_eq(lease_lent(&shared.ledger, now.wall_ns), 0);

    borrow(&charge, 20);
    n = 0;
    for (size_t part = 0; part < 3; part++)
        n += purses_collect(purses, part, 3, true, &now, returns + n, 4 - n);
    ck_assert_uint_eq(n, 1); /* of all that is held */
    free(returns[0].name);
    purses_free(purses);
}
END_TEST

START_TEST(a_table_full_of_leases_makes_newcomers_ask_and_loses_none) {
    const int many = 2 * PURSES_MAX;
    int64_t held = 0;
    size_t n_lent = 0, n_back = 0, n;
    struct purse_return returns[64];
    char key[16];
    begin();
    for (int i = 0; i < many; i++) {
        snprintf(key, sizeof(key), "u%d", i);
        const struct limit_charge charge = of(&rate, key, 1);
        shared = (struct lease_shared){0};
        (void)ask(&charge);
        n_lent += ask(&charge).lent > 0;
        held += purses_left(purses, &charge, &now);
    }
    ck_assert_int_gt(held, 0);
    ck_assert_uint_le(n_lent, PURSES_MAX);
    ck_assert_uint_gt(n_lent, PURSES_MAX / 2);
    while ((n = purses_collect(purses, 0, 1, true, &now, returns, 64)) > 0) {
        n_back += n;
        for (size_t i = 0; i < n; i++) {
            held -= returns[i].rest.left;
            free(returns[i].name);
        }
    }
    ck_assert_uint_eq(n_back, n_lent);
    ck_assert_int_eq(held, 0);
    purses_free(purses);
}
END_TEST

#define THREADS 4
#define CALLS   20000

static void *spend(void *arg) {
    const struct limit_charge charge = of(&rate, "u", 1);
    int64_t *n_paid = arg;
    struct limit_state state;
    for (int i = 0; i < CALLS; i++)
        *n_paid += pay(&charge, &state) == PURSE_PAYS;
    return NULL;
}

START_TEST(workers_spend_one_lease_together) {
    const struct limit_charge charge = of(&rate, "u", 1);
    pthread_t threads[THREADS];
    int64_t paid[THREADS] = {0}, sum = 0;
    begin();
    borrow(&charge, 100);
    int64_t left = purses_left(purses, &charge, &now);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, spend, &paid[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        sum += paid[i];
    }
    ck_assert_int_eq(sum, left);
    purses_free(purses);
}
END_TEST

SUITE_MAIN("limit/purses", who_was_never_seen_asks, a_lease_answers_what_memory_would,
           only_one_asks_for_a_lease_at_a_time,
           a_lease_that_comes_too_late_is_held_unless_another_is,
           a_denial_stands_and_is_asked_for_every_few_seconds,
           news_of_a_caller_forget_denials_and_send_leases_back,
           another_limit_of_the_same_counter_asks_anew,
           what_it_cost_is_settled_with_the_lease_while_it_holds, leases_go_back_before_they_die,
           a_table_full_of_leases_makes_newcomers_ask_and_loses_none,
           workers_spend_one_lease_together)
