/* SPDX-License-Identifier: MIT */
/* Proves io/settling.h against a real redis-server, and against one that the test plays. */
#include "io/settling.h"

#include "limits_rig.h"
#include "redis_peer.h"
#include "redis_server.h"

#define PATIENT_NS (5 * NS_PER_S)

static struct server server;
static struct client client;
static struct redis_limits *limits;
static struct arrears *arrears;
static struct settling *settling;

static void prepare(struct client *of) {
    limits = redis_limits_new(of->redis, STR("jotgate:"));
    arrears = arrears_new(1000);
    settling = settling_new(&(struct settling_parts){
        .loop = of->loop, .redis = of->redis, .prefix = STR("jotgate:"), .arrears = arrears});
    ck_assert(limits && arrears && settling);
}

static void open_up(void) {
    char url[64];
    server_start(&server, "");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    client_open(&client, url, NULL, PATIENT_NS);
    prepare(&client);
    RUN_UNTIL(client.loop, IS_UP(&client));
}

static void forget(struct client *of) {
    redis_free(of->redis);
    of->redis = NULL;
    settling_free(settling);
    arrears_free(arrears);
    redis_limits_free(limits);
}

static void close_all(void) {
    forget(&client);
    client_close(&client);
    server_stop(&server);
}

static const struct limit_charge charges[] = {{.policy = &policy_quota, .key = STR("u"), .cost = 1},
                                              {.policy = &policy_rate, .key = STR("u"), .cost = 1}};

/* `calls` passed as a share of one machine: the whole limit. */
static void owe(struct client *of, const struct limit_charge *all, size_t n, int64_t calls) {
    struct limit_outcome outcome = {.allowed = true, .n = n};
    int64_t each[LIMITER_CHARGES_MAX];
    for (size_t i = 0; i < n; i++) {
        union limit_counter counter = {0};
        struct limit_charge charge = all[i];
        charge.cost = calls;
        outcome.states[i] = limit_counter_take(&counter, &charge, loop_now(of->loop));
        ck_assert(outcome.states[i].allowed);
        each[i] = calls;
    }
    settling_owe(settling, all, &outcome, each, 1);
}

static void undo(const struct limit_outcome *outcome) {
    int64_t now_ns = loop_now(client.loop)->mono_ns;
    for (size_t i = 0; i < outcome->n; i++)
        settling_undo(settling, &charges[i], &outcome->states[i], now_ns);
}

static bool is_settled(const struct client *of) {
    return arrears_count(arrears) == 0 && redis_stats(of->redis).n_under_way == 0;
}

START_TEST(what_passed_is_counted_in_redis) {
    open_up();
    owe(&client, charges, 2, 3);
    owe(&client, charges, 2, 1);
    RUN_UNTIL(client.loop, is_settled(&client));
    const struct limit_outcome *outcome = take(&client, limits, charges, 2, false);
    ck_assert_int_eq(outcome->states[0].remaining, 8 - 4 - 1);
    ck_assert_int_eq(outcome->states[1].remaining, 5 - 4 - 1);
    close_all();
}
END_TEST

START_TEST(it_comes_on_top_of_what_redis_has) {
    open_up();
    ck_assert(take(&client, limits, charges, 2, true)->allowed);
    owe(&client, charges, 2, 2);
    RUN_UNTIL(client.loop, is_settled(&client));
    const struct limit_outcome *outcome = take(&client, limits, charges, 2, true);
    ck_assert_int_eq(outcome->states[0].remaining, 8 - 4);
    ck_assert_int_eq(outcome->states[1].remaining, 5 - 4);
    close_all();
}
END_TEST

START_TEST(what_redis_counted_too_late_is_taken_back) {
    open_up();
    ck_assert(take(&client, limits, charges, 2, true)->allowed);
    undo(take(&client, limits, charges, 2, true));
    RUN_UNTIL(client.loop, is_settled(&client));
    const struct limit_outcome *outcome = take(&client, limits, charges, 2, true);
    ck_assert_int_eq(outcome->states[0].remaining, 8 - 2);
    ck_assert_int_eq(outcome->states[1].remaining, 5 - 2);
    close_all();
}
END_TEST

START_TEST(what_was_forgotten_or_is_of_another_window_is_not_taken_back) {
    open_up();
    struct asked asked = {0};
    struct limit_outcome outcome = *take(&client, limits, charges, 2, true);
    ck_assert_int_eq(answer(&client, &asked, "FLUSHALL"), REDIS_ANSWERED);
    undo(&outcome);
    RUN_UNTIL(client.loop, is_settled(&client));
    outcome = *take(&client, limits, charges, 2, true);
    ck_assert_int_eq(outcome.states[0].remaining, 8 - 1);
    ck_assert_int_eq(outcome.states[1].remaining, 5 - 1);
    outcome.states[0].window.end_s = loop_now(client.loop)->wall_ns / NS_PER_S - 1;
    outcome.n = 1;
    undo(&outcome);
    RUN_UNTIL(client.loop, is_settled(&client));
    ck_assert_int_eq(take(&client, limits, charges, 2, true)->states[0].remaining, 8 - 2);
    close_all();
}
END_TEST

START_TEST(what_redis_counted_and_passed_alone_too_is_counted_once) {
    open_up();
    struct limit_outcome outcome = *take(&client, limits, charges, 2, true);
    owe(&client, charges, 2, 1);
    undo(&outcome);
    RUN_UNTIL(client.loop, is_settled(&client)); /* of which Redis hears nothing */
    owe(&client, charges, 2, 1);
    RUN_UNTIL(client.loop, is_settled(&client));
    undo(&outcome); /* later than that */
    RUN_UNTIL(client.loop, is_settled(&client));
    outcome = *take(&client, limits, charges, 2, true);
    ck_assert_int_eq(outcome.states[0].remaining, 8 - 2);
    ck_assert_int_eq(outcome.states[1].remaining, 5 - 2);
    close_all();
}
END_TEST

START_TEST(what_is_lent_to_machines_stays_lent) {
    open_up();
    struct asked asked = {0};
    char command[200];
    snprintf(command, sizeof(command),
             "SET jotgate:{subject:u}plan/default/monthly:month %lld:2:7:4:1 PX 3600000000",
             (long long)clock_now().wall_ns / NS_PER_S + 1000);
    ck_assert_int_eq(answer(&client, &asked, command), REDIS_ANSWERED);
    owe(&client, charges, 1, 3);
    RUN_UNTIL(client.loop, is_settled(&client));
    ck_assert_int_eq(answer(&client, &asked, "GET jotgate:{subject:u}plan/default/monthly:month"),
                     REDIS_ANSWERED);
    ck_assert_msg(strstr(asked.text, ":5:7:4:1") != NULL, "%s", asked.text);
    ck_assert_int_eq(answer(&client, &asked, "PTTL jotgate:{subject:u}plan/default/monthly:month"),
                     REDIS_ANSWERED);
    ck_assert_int_gt(asked.integer, 3000000000);
    close_all();
}
END_TEST

START_TEST(many_counters_go_a_few_at_a_time) {
    open_up();
    char keys[300][8];
    for (int i = 0; i < 300; i++) {
        snprintf(keys[i], sizeof(keys[i]), "u%d", i);
        struct limit_charge charge = charges[0];
        charge.key = str_of(keys[i]);
        owe(&client, &charge, 1, 2);
    }
    ck_assert_uint_eq(arrears_count(arrears), 300);
    RUN_UNTIL(client.loop, is_settled(&client));
    struct limit_charge last = charges[0];
    last.key = str_of(keys[299]);
    ck_assert_int_eq(take(&client, limits, &last, 1, true)->states[0].remaining, 8 - 2 - 1);
    close_all();
}
END_TEST

START_TEST(while_redis_is_away_it_waits) {
    open_up();
    server_kill(&server);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    owe(&client, charges, 1, 3);
    int64_t until_ns = clock_now().mono_ns + 300 * NS_PER_MS;
    RUN_UNTIL(client.loop, clock_now().mono_ns > until_ns); /* three ticks */
    ck_assert_uint_eq(arrears_count(arrears), 1);
    server_start(&server, "");
    RUN_UNTIL(client.loop, is_settled(&client));
    ck_assert_int_eq(take(&client, limits, charges, 1, true)->states[0].remaining, 8 - 3 - 1);
    close_all();
}
END_TEST

/* The number that it was told with, out of what the peer hears. */
static void hear_number(struct peer *peer, char number[17]) {
    char heard[8192];
    size_t n = 0;
    const char *at = NULL;
    while (!at || strlen(at) < 6 + 16) {
        ssize_t got = -1;
        RUN_UNTIL(peer->client.loop,
                  (got = recv(peer->fd, heard + n, sizeof(heard) - 1 - n, MSG_DONTWAIT)) > 0);
        n += (size_t)got;
        heard[n] = '\0';
        at = strstr(heard, ":told:");
    }
    memcpy(number, at + 6, 16);
    number[16] = '\0';
}

START_TEST(what_may_have_been_counted_is_told_with_the_same_number) {
    struct peer *peer = peer_up();
    char first[17], second[17];
    prepare(&peer->client);
    owe(&peer->client, charges, 1, 3);
    hear_number(peer, first);
    RUN_UNTIL(peer->client.loop, !IS_UP(&peer->client)); /* no reply in time */
    peer_meet(peer);
    hear_number(peer, second);
    ck_assert_str_eq(first, second);
    forget(&peer->client);
    peer_close(peer);
}
END_TEST

START_TEST(the_same_number_counts_once) {
    open_up();
    struct asked asked = {0};
    owe(&client, charges, 1, 3);
    RUN_UNTIL(client.loop, is_settled(&client));
    ck_assert_int_eq(answer(&client, &asked, "EVAL return(#redis.call('KEYS','*:told:*')) 0"),
                     REDIS_ANSWERED);
    ck_assert_int_eq(asked.integer, 1);
    ck_assert_int_eq(answer(&client, &asked,
                            "EVAL return(redis.call('PTTL',redis.call('KEYS','*:told:*')[1])) 0"),
                     REDIS_ANSWERED);
    ck_assert_int_gt(asked.integer, 300000);
    ck_assert_int_le(asked.integer, 600000);
    close_all();
}
END_TEST

START_TEST(a_key_that_holds_something_else_is_given_up) {
    open_up();
    struct asked asked = {0};
    const char *command = "LPUSH jotgate:{subject:u}plan/default/monthly:month x";
    ck_assert_int_eq(answer(&client, &asked, command), REDIS_ANSWERED);
    owe(&client, charges, 1, 3);
    RUN_UNTIL(client.loop, is_settled(&client));
    ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_ANSWERED);
    close_all();
}
END_TEST

RIG_MAIN("io/settling", what_passed_is_counted_in_redis, it_comes_on_top_of_what_redis_has,
         what_redis_counted_too_late_is_taken_back,
         what_was_forgotten_or_is_of_another_window_is_not_taken_back,
         what_redis_counted_and_passed_alone_too_is_counted_once,
         what_is_lent_to_machines_stays_lent, many_counters_go_a_few_at_a_time,
         while_redis_is_away_it_waits, what_may_have_been_counted_is_told_with_the_same_number,
         the_same_number_counts_once, a_key_that_holds_something_else_is_given_up)
