/* SPDX-License-Identifier: MIT */
/* Proves io/redis_usage.h against a real redis-server, whose counters io/redis_limits.h takes meanwhile. */
#include "io/redis_usage.h"
#include "limits_rig.h"
#include "redis_peer.h"
#include "redis_server.h"

#define PATIENT_NS (5 * NS_PER_S)
#define RATE_KEY   "jotgate:{subject:u}plan/default/burst:7/86400"

static struct server server;
static struct client client;
static struct redis_limits *limits;
static struct redis_usage *usage;
static const struct limit_charge both[] = {{.policy = &policy_quota, .key = STR("u"), .cost = 1},
                                           {.policy = &policy_rate, .key = STR("u"), .cost = 1}};

static void open_up(void) {
    serve(&server, &client, PATIENT_NS);
    limits = redis_limits_new(client.redis, STR("jotgate:"));
    usage = redis_usage_new(client.redis, STR("jotgate:"));
    ck_assert(limits && usage);
}

static void close_all(void) {
    client_close(&client);
    redis_limits_free(limits);
    redis_usage_free(usage);
    server_stop(&server);
}

static struct {
    struct redis_usage_call call;
    int n_ended;
    enum redis_verdict verdict;
} done;

static void on_done(struct redis_usage_call *call, enum redis_verdict verdict) {
    ck_assert_ptr_eq(call, &done.call);
    done.n_ended++;
    done.verdict = verdict;
}

static void run_at(struct loop *loop, struct redis_usage *at, enum usage_act act, int64_t change) {
    done.n_ended = 0;
    done.call = (struct redis_usage_call){0};
    ck_assert_int_eq(redis_usage_run(at, &done.call, act, both, 2, change, on_done), 0);
    ck_assert_int_eq(done.n_ended, 0);
    RUN_UNTIL(loop, done.n_ended == 1);
}

/* What is used of the quota and of the rate. */
static void act(enum usage_act what, int64_t change, int64_t quota, int64_t rate) {
    run_at(client.loop, usage, what, change);
    ck_assert_msg(done.verdict == REDIS_ANSWERED, "%s", redis_verdict_name(done.verdict));
    const struct now now = {.wall_ns = done.call.now_us * 1000};
    ck_assert_int_eq(limit_counter_used(&done.call.found[0], &policy_quota, &now), quota);
    ck_assert_int_eq(limit_counter_used(&done.call.found[1], &policy_rate, &now), rate);
}

static struct asked ask_about(const char *command) {
    struct asked asked = {0};
    ck_assert_int_eq(answer(&client, &asked, command), REDIS_ANSWERED);
    return asked;
}

START_TEST(a_look_says_what_was_taken_and_writes_nothing) {
    open_up();
    act(USAGE_LOOK, 0, 0, 0);
    ck_assert_int_eq(ask_about("DBSIZE").integer, 0);
    ck_assert(take(&client, limits, both, 2, true)->allowed);
    ck_assert(take(&client, limits, both, 2, true)->allowed);
    act(USAGE_LOOK, 99, 2, 2);
    act(USAGE_LOOK, 0, 2, 2);
    close_all();
}
END_TEST

START_TEST(what_is_charged_may_be_debt_and_grants_give_it_back) {
    open_up();
    act(USAGE_CHANGE, 9, 9, 9);
    const struct limit_outcome *outcome = take(&client, limits, both, 2, true);
    ck_assert(!outcome->states[0].allowed && !outcome->states[1].allowed);
    act(USAGE_CHANGE, -6, 3, 3);
    outcome = take(&client, limits, both, 2, true);
    ck_assert(outcome->allowed);
    ck_assert_int_eq(outcome->states[0].remaining, 4);
    ck_assert_int_eq(outcome->states[1].remaining, 1);
    close_all();
}
END_TEST

START_TEST(nothing_is_emptier_than_empty_nor_deeper_in_debt_than_can_be_told) {
    open_up();
    act(USAGE_CHANGE, -1000000000, 0, 0);
    for (int i = 0; i < 300; i++)
        run_at(client.loop, usage, USAGE_CHANGE, 1000000000);
    ck_assert_int_eq(done.verdict, REDIS_ANSWERED);
    ck_assert(!take(&client, limits, both, 2, true)->allowed);
    act(USAGE_RESET, 0, 0, 0);
    ck_assert(take(&client, limits, both, 2, true)->allowed);
    close_all();
}
END_TEST

START_TEST(what_is_lent_trails_a_change_and_is_forgotten_by_a_reset) {
    open_up();
    ck_assert(take(&client, limits, both, 2, true)->allowed);
    ck_assert_int_gt(ask_about("APPEND " RATE_KEY " :17:2:0").integer, 0);
    ck_assert_int_eq(ask_about("PEXPIRE " RATE_KEY " 900000000").integer, 1);
    act(USAGE_CHANGE, -1, 0, 0);
    struct asked value = ask_about("GET " RATE_KEY);
    ck_assert_msg(str_ends(str_of(value.text), STR(":17:2:0")), "%s", value.text);
    ck_assert_int_gt(ask_about("PTTL " RATE_KEY).integer, 890000000);
    act(USAGE_RESET, 0, 0, 0);
    value = ask_about("GET " RATE_KEY);
    ck_assert_msg(!str_ends(str_of(value.text), STR(":17:2:0")), "%s", value.text);
    close_all();
}
END_TEST

START_TEST(every_key_expires) {
    open_up();
    act(USAGE_CHANGE, 1, 1, 1);
    ck_assert_int_eq(ask_about("DBSIZE").integer, 2);
    ck_assert_int_gt(ask_about("PTTL " RATE_KEY).integer, 0);
    ck_assert_int_gt(ask_about("PTTL jotgate:{subject:u}plan/default/monthly:month").integer, 0);
    close_all();
}
END_TEST

START_TEST(with_redis_away_nothing_waits) {
    open_up();
    server_kill(&server);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    run_at(client.loop, usage, USAGE_CHANGE, 1);
    ck_assert_int_eq(done.verdict, REDIS_AWAY);
    close_all();
}
END_TEST

START_TEST(who_does_not_wait_any_more_hears_nothing) {
    open_up();
    done.n_ended = 0;
    done.call = (struct redis_usage_call){0};
    ck_assert_int_eq(redis_usage_run(usage, &done.call, USAGE_LOOK, both, 2, 0, on_done), 0);
    redis_usage_cancel(&done.call);
    redis_usage_cancel(&done.call);
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
    ck_assert_int_eq(done.n_ended, 0);
    close_all();
}
END_TEST

START_TEST(answers_that_are_no_answers_are_nonsense) {
    static const char *const answers[] = {
        ":1\r\n",
        "*0\r\n",
        "*3\r\n:1700000000000000\r\n:1800000000\r\n:0\r\n",
        "*5\r\n:0\r\n:1800000000\r\n:0\r\n:0\r\n:0\r\n",
        "*5\r\n+a\r\n:1800000000\r\n:0\r\n:0\r\n:0\r\n",
        "*5\r\n:1700000000000000\r\n:-1\r\n:0\r\n:0\r\n:0\r\n",
        "*5\r\n:1700000000000000\r\n:1800000000\r\n:0\r\n:0\r\n:7\r\n",
        "*5\r\n:9223372036854775807\r\n:1800000000\r\n:0\r\n:0\r\n:0\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_up();
        struct redis_usage *own = redis_usage_new(peer->client.redis, STR(""));
        done.n_ended = 0;
        done.call = (struct redis_usage_call){0};
        ck_assert_int_eq(redis_usage_run(own, &done.call, USAGE_LOOK, both, 2, 0, on_done), 0);
        peer_hears(peer, "*21\r\n$7\r\nEVALSHA\r\n");
        peer_says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, done.n_ended == 1);
        ck_assert_msg(done.verdict == REDIS_NONSENSE, "%s: %s", answers[i],
                      redis_verdict_name(done.verdict));
        peer_close(peer);
        redis_usage_free(own);
    }
}
END_TEST

RIG_MAIN("io/redis_usage", a_look_says_what_was_taken_and_writes_nothing,
         what_is_charged_may_be_debt_and_grants_give_it_back,
         nothing_is_emptier_than_empty_nor_deeper_in_debt_than_can_be_told,
         what_is_lent_trails_a_change_and_is_forgotten_by_a_reset, every_key_expires,
         with_redis_away_nothing_waits, who_does_not_wait_any_more_hears_nothing,
         answers_that_are_no_answers_are_nonsense)
