/* SPDX-License-Identifier: MIT */
/* Proves io/redis_limits.h against a real redis-server, and against limits in memory, which must say the same. On a
 * Cluster: test_redis_groups.c. */
#include "limits_rig.h"
#include "redis_peer.h"
#include "redis_server.h"

#define PATIENT_NS (5 * NS_PER_S)

static struct server server;
static struct client client;
static struct redis_limits *limits;

static void open_up(void) {
    serve(&server, &client, PATIENT_NS);
    limits = redis_limits_new(client.redis, STR("jotgate:"));
    ck_assert_ptr_nonnull(limits);
}

static void close_all(void) {
    client_close(&client);
    redis_limits_free(limits);
    server_stop(&server);
}

static struct limit_charge of(const struct limit_policy *policy, const char *key, int64_t cost) {
    return (struct limit_charge){.policy = policy, .key = str_of(key), .cost = cost};
}

static void says(const char *question, const char *text) {
    struct asked asked = {0};
    ck_assert_int_eq(answer(&client, &asked, question), REDIS_ANSWERED);
    ck_assert_str_eq(asked.text, text);
}

static void settle(const struct limit_charge *charges, const struct limit_outcome *outcome,
                   int64_t change) {
    redis_limits_settle(limits, charges, outcome, change);
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
}

START_TEST(a_burst_passes_and_then_the_wait_is_told) {
    open_up();
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    for (int64_t i = 1; i <= 5; i++) {
        const struct limit_outcome *outcome = take(&client, limits, &charge, 1, true);
        ck_assert(outcome->allowed);
        ck_assert_int_eq(outcome->states[0].remaining, 5 - i);
    }
    const struct limit_outcome *outcome = take(&client, limits, &charge, 1, true);
    ck_assert(!outcome->allowed && !outcome->states[0].allowed);
    ck_assert_int_gt(outcome->states[0].wait_ns, 86400 / 7 * NS_PER_S - 60 * NS_PER_S);
    ck_assert_int_le(outcome->states[0].wait_ns, 86400 * NS_PER_S / 7 + 1000);
    const struct limit_charge dear = of(&policy_rate, "v", 6);
    ck_assert_int_eq(take(&client, limits, &dear, 1, true)->states[0].wait_ns, INT64_MAX);
    const struct limit_charge free_of_charge = of(&policy_rate, "u", 0);
    ck_assert(take(&client, limits, &free_of_charge, 1, true)->allowed);
    close_all();
}
END_TEST

START_TEST(nothing_is_counted_unless_everything_allows) {
    open_up();
    const struct limit_charge both[] = {of(&policy_quota, "u", 1), of(&policy_rate, "u", 5)};
    ck_assert(take(&client, limits, both, 2, true)->allowed);
    for (int i = 0; i < 3; i++) {
        const struct limit_outcome *outcome = take(&client, limits, both, 2, true);
        ck_assert(!outcome->allowed);
        ck_assert(outcome->states[0].allowed && !outcome->states[1].allowed);
        ck_assert_int_eq(outcome->states[0].remaining, 7);
        ck_assert_uint_eq(outcome->binding, 1);
    }
    ck_assert_int_eq(take(&client, limits, both, 1, false)->states[0].remaining, 6);
    ck_assert_int_eq(take(&client, limits, both, 1, false)->states[0].remaining, 6);
    close_all();
}
END_TEST

START_TEST(shadow_policies_refuse_nobody_and_are_not_taken_when_they_would) {
    open_up();
    struct limit_policy shadow = policy_ip;
    shadow.is_shadow = true;
    const struct limit_charge both[] = {of(&policy_quota, "u", 1), of(&shadow, "u", 3)};
    const struct limit_outcome *outcome = take(&client, limits, both, 2, true);
    ck_assert(outcome->allowed && !outcome->shadow_refused);
    outcome = take(&client, limits, both, 2, true);
    ck_assert(outcome->allowed && outcome->shadow_refused);
    ck_assert_int_eq(outcome->states[0].remaining, 6);
    ck_assert_uint_eq(outcome->binding, 0);
    close_all();
}
END_TEST

START_TEST(keys_are_named_as_documented_and_expire) {
    struct asked asked = {0};
    open_up();
    const struct limit_charge charges[] = {
        of(&policy_rate, "7d1f-9", 1),
        of(&policy_quota, "7d1f-9", 1),
        {.policy = &policy_ip, .key = STR("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"), .cost = 1}};
    ck_assert(take(&client, limits, charges, 3, true)->allowed);
    says("TYPE jotgate:{subject:7d1f-9}plan/default/burst:7/86400", "string");
    says("TYPE jotgate:{subject:7d1f-9}plan/default/monthly:month", "string");
    says("TYPE jotgate:{ip:192.0.2.1}per_ip:1/86400", "string");
    ck_assert_int_eq(answer(&client, &asked, "DBSIZE"), REDIS_ANSWERED);
    ck_assert_int_eq(asked.integer, 3);
    ck_assert_int_eq(answer(&client, &asked, "PTTL jotgate:{ip:192.0.2.1}per_ip:1/86400"),
                     REDIS_ANSWERED);
    ck_assert_int_gt(asked.integer, 86000 * 1000);
    ck_assert_int_le(asked.integer, 86400 * 1000 + 2);
    ck_assert_int_eq(
        answer(&client, &asked, "PTTL jotgate:{subject:7d1f-9}plan/default/monthly:month"),
        REDIS_ANSWERED);
    ck_assert_int_gt(asked.integer, 0);
    ck_assert_int_le(asked.integer, INT64_C(31) * 86400 * 1000 + 1);
    close_all();
}
END_TEST

START_TEST(no_subject_can_name_anothers_key) {
    static const char *const strange[] = {
        "a}b",      "{a",
        "a b",      "a\nb",
        "#2",       "a*",
        "\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123456789",
    };
    struct asked asked = {0};
    open_up();
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        const struct limit_charge charge = of(&policy_rate, strange[i], 1);
        ck_assert_int_eq(take(&client, limits, &charge, 1, true)->states[0].remaining, 4);
    }
    ck_assert_int_eq(answer(&client, &asked, "DBSIZE"), REDIS_ANSWERED);
    ck_assert_uint_eq((size_t)asked.integer, sizeof(strange) / sizeof(strange[0]));
    /* printf 'a b' | sha256sum */
    says("TYPE "
         "jotgate:{subject:#c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65}plan/"
         "default/burst:7/86400",
         "string");
    close_all();
}
END_TEST

START_TEST(values_that_nobody_of_us_wrote_do_no_harm) {
    open_up();
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    says("SET jotgate:{subject:u}plan/default/burst:7/86400 nonsense", "OK");
    ck_assert_int_eq(take(&client, limits, &charge, 1, true)->states[0].remaining, 4);
    struct asked asked = {0};
    struct taken taken = {0};
    ck_assert_int_eq(answer(&client, &asked, "DEL jotgate:{subject:u}plan/default/burst:7/86400"),
                     REDIS_ANSWERED);
    ck_assert_int_eq(
        answer(&client, &asked, "LPUSH jotgate:{subject:u}plan/default/burst:7/86400 x"),
        REDIS_ANSWERED);
    ck_assert_int_eq(redis_limits_take(limits, &taken.taking, &charge, NULL, 1, true, on_taken), 0);
    RUN_UNTIL(client.loop, taken.n_ended == 1);
    ck_assert_int_eq(taken.verdict, REDIS_ERROR);
    close_all();
}
END_TEST

/* Some of a fleet may lend while others count each call. */
START_TEST(what_is_lent_stays_written_when_a_call_is_counted) {
    open_up();
    struct asked asked = {0};
    const char *key = "jotgate:{subject:u}plan/default/burst:7/86400";
    char command[100];
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    snprintf(command, sizeof(command), "SET %s 1:0:5:40:2", key);
    says(command, "OK");
    ck_assert(take(&client, limits, &charge, 1, true)->allowed);
    snprintf(command, sizeof(command), "GET %s", key);
    ck_assert_int_eq(answer(&client, &asked, command), REDIS_ANSWERED);
    ck_assert_str_eq(strchr(strchr(asked.text, ':') + 1, ':'), ":5:40:2");
    snprintf(command, sizeof(command), "SET %s 1:0:not:a:ledger", key);
    says(command, "OK");
    ck_assert(take(&client, limits, &charge, 1, true)->allowed);
    snprintf(command, sizeof(command), "GET %s", key);
    ck_assert_int_eq(answer(&client, &asked, command), REDIS_ANSWERED);
    ck_assert_ptr_null(strchr(strchr(asked.text, ':') + 1, ':'));
    close_all();
}
END_TEST

START_TEST(what_it_cost_in_truth_is_settled) {
    open_up();
    const struct limit_charge both[] = {of(&policy_quota, "u", 2), of(&policy_rate, "u", 2)};
    struct limit_outcome outcome = *take(&client, limits, both, 2, true);
    settle(both, &outcome, -1);
    const struct limit_outcome *now = take(&client, limits, both, 2, false);
    ck_assert_int_eq(now->states[0].remaining, 7 - 2);
    ck_assert_int_eq(now->states[1].remaining, 4 - 2);
    settle(both, &outcome, 20); /* debt */
    now = take(&client, limits, both, 2, true);
    ck_assert(!now->allowed && !now->states[0].allowed && !now->states[1].allowed);
    ck_assert_int_gt(now->states[1].wait_ns, 10 * 86400 * NS_PER_S / 7);
    settle(both, &outcome, -1000); /* no emptier than empty */
    now = take(&client, limits, both, 2, true);
    ck_assert_int_eq(now->states[0].remaining, 6);
    ck_assert_int_eq(now->states[1].remaining, 3);
    close_all();
}
END_TEST

/* Slow rates, so that the time between the two does not matter. */
START_TEST(redis_and_memory_say_the_same) {
    open_up();
    struct memory_limits *memory = memory_limits_new(&MEMORY_LIMITS_DEFAULT);
    struct limit_policy policies[4] = {policy_rate, policy_quota, policy_ip, policy_rate};
    policies[3].counter = STR("other");
    policies[3].is_shadow = true;
    uint64_t dice = 88172645463325252u;
    size_t n_refused = 0;
    for (int step = 0; step < 1500; step++) {
        struct limit_charge charges[4];
        char keys[4][8];
        size_t n = 0;
        for (size_t i = 0; i < 4; i++) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            if (dice % 3 == 0)
                continue;
            snprintf(keys[n], sizeof(keys[n]), "k%d", (int)(dice >> 8) % 60);
            charges[n] = of(&policies[i], keys[n], (int64_t)(dice >> 20) % 4);
            n++;
        }
        if (n == 0)
            continue;
        struct now now = clock_now();
        struct limit_outcome expected = limiter_take(memory, charges, n, &now);
        struct limit_outcome outcome = *take(&client, limits, charges, n, true);
        ck_assert_int_eq(outcome.allowed, expected.allowed);
        ck_assert_int_eq(outcome.shadow_refused, expected.shadow_refused);
        n_refused += !outcome.allowed;
        for (size_t i = 0; i < n; i++) {
            ck_assert_int_eq(outcome.states[i].allowed, expected.states[i].allowed);
            ck_assert_int_eq(outcome.states[i].remaining, expected.states[i].remaining);
        }
        int64_t change = (int64_t)(dice >> 40) % 3 - 1;
        if (outcome.allowed && change != 0 && dice >> 62 == 0) {
            settle(charges, &outcome, change);
            limiter_settle(memory, charges, &expected, change, &now);
        }
    }
    ck_assert_uint_gt(n_refused, 100);
    memory_limits_free(memory);
    close_all();
}
END_TEST

#define GATEWAYS 4
#define CALLS    2000

START_TEST(several_gateways_admit_exactly_the_limit) {
    static struct taken taken[GATEWAYS][CALLS / GATEWAYS];
    struct limit_policy quota = policy_quota;
    struct client clients[GATEWAYS];
    struct redis_limits *each[GATEWAYS];
    char url[64];
    size_t n_admitted = 0;
    quota.quota.limit = 1000;
    open_up();
    const struct limit_charge charge = of(&quota, "u", 1);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    for (size_t g = 0; g < GATEWAYS; g++) {
        client_open(&clients[g], url, NULL, 10 * NS_PER_S);
        each[g] = redis_limits_new(clients[g].redis, STR("jotgate:"));
        RUN_UNTIL(clients[g].loop, IS_UP(&clients[g]));
    }
    for (size_t i = 0; i < CALLS / GATEWAYS; i++)
        for (size_t g = 0; g < GATEWAYS; g++)
            ck_assert_int_eq(
                redis_limits_take(each[g], &taken[g][i].taking, &charge, NULL, 1, true, on_taken),
                0);
    for (size_t g = 0; g < GATEWAYS; g++)
        rig_turn(clients[g].loop); /* all have sent before anybody hears */
    for (size_t g = 0; g < GATEWAYS; g++)
        for (size_t i = 0; i < CALLS / GATEWAYS; i++) {
            RUN_UNTIL(clients[g].loop, taken[g][i].n_ended == 1);
            ck_assert_int_eq(taken[g][i].verdict, REDIS_ANSWERED);
            n_admitted += taken[g][i].taking.outcome.allowed;
        }
    ck_assert_uint_eq(n_admitted, 1000);
    for (size_t g = 0; g < GATEWAYS; g++) {
        client_close(&clients[g]);
        redis_limits_free(each[g]);
    }
    close_all();
}
END_TEST

START_TEST(with_redis_away_nothing_waits) {
    struct taken taken = {0};
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    open_up();
    server_kill(&server);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    ck_assert_int_eq(redis_limits_take(limits, &taken.taking, &charge, NULL, 1, true, on_taken), 0);
    ck_assert_int_eq(taken.n_ended, 0);
    rig_settle(client.loop);
    ck_assert_int_eq(taken.n_ended, 1);
    ck_assert_int_eq(taken.verdict, REDIS_AWAY);
    redis_limits_settle(limits, &charge, &(struct limit_outcome){.n = 1}, 1);
    close_all();
}
END_TEST

static void each_is_nonsense(const char *const answers[], size_t n, const struct lease_wish *wish) {
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    for (size_t i = 0; i < n; i++) {
        struct peer *peer = peer_up();
        struct taken taken = {0};
        struct redis_limits *own = redis_limits_new(peer->client.redis, STR(""));
        ck_assert_int_eq(redis_limits_take(own, &taken.taking, &charge, wish, 1, true, on_taken),
                         0);
        peer_hears(peer, "*7\r\n$7\r\nEVALSHA\r\n");
        peer_says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, taken.n_ended == 1);
        ck_assert_msg(taken.verdict == REDIS_NONSENSE, "%s: %s", answers[i],
                      redis_verdict_name(taken.verdict));
        peer_close(peer);
        redis_limits_free(own);
    }
}

START_TEST(answers_that_are_no_answers_are_nonsense) {
    static const char *const answers[] = {
        ":1\r\n",
        "*0\r\n",
        "*2\r\n:1\r\n:1\r\n",
        "*3\r\n:1700000000000000\r\n:1\r\n:0\r\n",
        "*4\r\n:0\r\n:1\r\n:0\r\n:0\r\n",
        "*4\r\n:1700000000000000\r\n:0\r\n:0\r\n:0\r\n", /* refused, but why? */
        "*4\r\n:1700000000000000\r\n:1\r\n:-1\r\n:0\r\n",
        "*4\r\n:1700000000000000\r\n:1\r\n:0\r\n:7\r\n",
        "*4\r\n:1700000000000000\r\n:1\r\n:9223372036854775807\r\n:0\r\n",
        "*4\r\n:1700000000000000\r\n:1\r\n+a\r\n+b\r\n",
        "*4\r\n:9223372036854775807\r\n:1\r\n:0\r\n:0\r\n",
        "*4\r\n:1700000000000000\r\n:1\r\n:900000000000000\r\n:0\r\n", /* allowed, but full */
        "*6\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",   /* nobody wanted a lease */
    };
    static const char *const lent[] = {
        "*4\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n",
        "*6\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n:2\r\n:0\r\n", /* more than was wanted */
        "*6\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n:-1\r\n:0\r\n",
        "*6\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n:0\r\n:-1\r\n",
        "*6\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n:0\r\n:9223372036854775807\r\n",
    };
    const struct lease_wish wish = {.wanted = 1};
    each_is_nonsense(answers, sizeof(answers) / sizeof(answers[0]), NULL);
    each_is_nonsense(lent, sizeof(lent) / sizeof(lent[0]), &wish);
}
END_TEST

/* ---- answers that come too late */

#define COUNTED     "*4\r\n:1700000000000000\r\n:1\r\n:0\r\n:0\r\n"
#define NOT_COUNTED "*4\r\n:1700000000000000\r\n:0\r\n:61714285715\r\n:0\r\n"

static struct {
    int n;
    unsigned counted;
} heard;

static void on_taking_heard(struct redis_taking *taking, unsigned counted) {
    ck_assert(!redis_taking_may_be_heard(taking));
    heard.n++;
    heard.counted = counted;
}

static void take_and_wait_till_late(struct peer *peer, struct redis_limits *own,
                                    struct taken *taken, const struct limit_charge *charge,
                                    bool heeds) {
    *taken = (struct taken){0};
    heard.n = 0;
    ck_assert_int_eq(redis_limits_take(own, &taken->taking, charge, NULL, 1, true, on_taken), 0);
    taken->taking.on_heard = heeds ? on_taking_heard : NULL;
    RUN_UNTIL(peer->client.loop, taken->n_ended == 1);
    ck_assert_int_eq(taken->verdict, REDIS_LATE);
    ck_assert_int_eq(redis_taking_may_be_heard(&taken->taking), heeds);
    ck_assert_int_eq(heard.n, 0);
}

START_TEST(late_answers_say_what_was_counted_after_all) {
    static const struct {
        const char *answer;
        unsigned counted;
    } cases[] = {{COUNTED TIME_TOLD, 1},
                 {NOT_COUNTED TIME_TOLD, 0},
                 {"-LATE the deadline has passed\r\n" TIME_TOLD, 0},
                 {"-NOSCRIPT No matching script.\r\n" TIME_TOLD, 0},
                 {"*0\r\n" TIME_TOLD, 0},
                 {"HTTP/1.1 400 Bad Request\r\n\r\n", 0}};
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer *peer = peer_up();
        struct taken taken;
        struct redis_limits *own = redis_limits_new(peer->client.redis, STR(""));
        take_and_wait_till_late(peer, own, &taken, &charge, true);
        peer_says(peer, cases[i].answer);
        RUN_UNTIL(peer->client.loop, heard.n == 1);
        ck_assert_msg(heard.counted == cases[i].counted, "%s", cases[i].answer);
        if (heard.counted)
            ck_assert_int_eq(taken.taking.outcome.states[0].remaining, 5 - 1);
        ck_assert_int_eq(taken.n_ended, 1);
        peer_close(peer);
        redis_limits_free(own);
    }
}
END_TEST

/* One allows, the other refuses: nothing was counted. */
START_TEST(a_late_answer_that_refuses_one_counts_none) {
    const struct limit_charge charges[] = {of(&policy_quota, "u", 1), of(&policy_rate, "u", 1)};
    struct peer *peer = peer_up();
    struct taken taken = {0};
    struct redis_limits *own = redis_limits_new(peer->client.redis, STR(""));
    heard.n = 0;
    ck_assert_int_eq(redis_limits_take(own, &taken.taking, charges, NULL, 2, true, on_taken), 0);
    taken.taking.on_heard = on_taking_heard;
    RUN_UNTIL(peer->client.loop, taken.n_ended == 1);
    peer_says(peer, "*6\r\n:1700000000000000\r\n:0\r\n:1701388800\r\n:0\r\n"
                    ":61714285715\r\n:0\r\n" TIME_TOLD);
    RUN_UNTIL(peer->client.loop, heard.n == 1);
    ck_assert(taken.taking.outcome.states[0].allowed && !taken.taking.outcome.states[1].allowed);
    ck_assert_uint_eq(heard.counted, 0);
    peer_close(peer);
    redis_limits_free(own);
}
END_TEST

START_TEST(who_does_not_heed_late_answers_hears_none) {
    const struct limit_charge charge = of(&policy_rate, "u", 1);
    struct peer *peer = peer_up();
    struct taken taken;
    struct redis_limits *own = redis_limits_new(peer->client.redis, STR(""));
    take_and_wait_till_late(peer, own, &taken, &charge, false);
    peer_says(peer, COUNTED TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    take_and_wait_till_late(peer, own, &taken, &charge, true);
    redis_limits_cancel(&taken.taking);
    peer_says(peer, COUNTED TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    ck_assert_int_eq(heard.n, 0);
    peer_close(peer);
    redis_limits_free(own);
}
END_TEST

RIG_MAIN("io/redis_limits", a_burst_passes_and_then_the_wait_is_told,
         nothing_is_counted_unless_everything_allows,
         shadow_policies_refuse_nobody_and_are_not_taken_when_they_would,
         keys_are_named_as_documented_and_expire, no_subject_can_name_anothers_key,
         values_that_nobody_of_us_wrote_do_no_harm,
         what_is_lent_stays_written_when_a_call_is_counted, what_it_cost_in_truth_is_settled,
         redis_and_memory_say_the_same, several_gateways_admit_exactly_the_limit,
         with_redis_away_nothing_waits, answers_that_are_no_answers_are_nonsense,
         late_answers_say_what_was_counted_after_all, a_late_answer_that_refuses_one_counts_none,
         who_does_not_heed_late_answers_hears_none)
