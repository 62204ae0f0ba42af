/* SPDX-License-Identifier: MIT */
/* Proves io/redis.h against a Redis that this thread plays, word by word. A real one: test_redis_server.c. */
#include "redis_peer.h"
#include <fcntl.h>

#define PING_ASKED "*1\r\n$4\r\nPING\r\n"
#define A_ASKED    "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define TIMEOUT_NS PEER_TIMEOUT_NS

static void says(struct peer *peer, const char *text) { peer_says(peer, text); }
static void hears(struct peer *peer, const char *text) { peer_hears(peer, text); }
static bool is_cut(struct peer *peer) { return peer_is_cut(peer); }

static void meet(struct peer *peer) {
    peer_meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
}

/* ---- greeting */

START_TEST(greeting_logs_in_chooses_the_database_and_asks_the_time) {
    struct peer *peer = peer_listen("redis://me:pass@127.0.0.1:%u/3");
    peer_accept(peer);
    hears(peer, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\npass\r\n*2\r\n$6\r\nSELECT\r\n$"
                "1\r\n3\r\n" TIME_ASKED);
    says(peer, "+OK\r\n+OK\r\n");
    rig_settle(peer->client.loop);
    ck_assert(!IS_UP(&peer->client));
    says(peer, TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    int64_t now_us = redis_now_us(peer->client.redis, STR_NONE);
    ck_assert_int_ge(now_us, 1700000000123456);
    ck_assert_int_lt(now_us, 1700000000123456 + 30000000);
    peer_close(peer);
}
END_TEST

START_TEST(greeting_with_a_password_alone_names_no_user) {
    struct peer *peer = peer_listen("redis://:pass@127.0.0.1:%u");
    peer_accept(peer);
    hears(peer, "*2\r\n$4\r\nAUTH\r\n$4\r\npass\r\n" TIME_ASKED);
    peer_close(peer);
}
END_TEST

START_TEST(greetings_that_are_refused_or_nonsense_keep_it_away) {
    static const char *const answers[] = {
        "-WRONGPASS invalid username-password pair\r\n",
        "-NOAUTH Authentication required.\r\n",
        "+PONG\r\n",
        ":1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
        "$-1\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "*1000000000\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_listen("redis://127.0.0.1:%u");
        struct asked asked = {0};
        peer_accept(peer);
        hears(peer, TIME_ASKED);
        says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, is_cut(peer));
        ck_assert(!IS_UP(&peer->client));
        ck_assert_int_eq(answer(&peer->client, &asked, "PING"), REDIS_AWAY);
        meet(peer); /* and it still comes back by itself */
        peer_close(peer);
    }
}
END_TEST

START_TEST(who_looks_sees_why_it_is_away_and_since_when) {
    struct peer *peer = peer_listen("redis://127.0.0.1:%u");
    struct redis_sight sight = redis_look(peer->client.redis);
    ck_assert(sight.n_servers == 1 && sight.n_up == 0 && sight.away_since_ns == 0);
    meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    sight = redis_look(peer->client.redis);
    ck_assert(sight.n_servers == 1 && sight.n_up == 1 && sight.away_since_ns == 0);
    int64_t before_ns = loop_now(peer->client.loop)->mono_ns;
    close(peer->fd);
    peer->fd = -1;
    RUN_UNTIL(peer->client.loop, !IS_UP(&peer->client));
    sight = redis_look(peer->client.redis);
    ck_assert(sight.n_servers == 1 && sight.n_up == 0);
    ck_assert_int_ge(sight.away_since_ns, before_ns);
    char server[32];
    snprintf(server, sizeof(server), "127.0.0.1:%u", peer->port);
    ck_assert_str_eq(sight.server, server);
    ck_assert_int_gt(strlen(sight.reason), 0);
    meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    ck_assert_uint_eq(redis_look(peer->client.redis).n_up, 0); /* the next answer says it */
    hears(peer, TIME_ASKED);
    says(peer, TIME_TOLD);
    RUN_UNTIL(peer->client.loop, redis_look(peer->client.redis).n_up == 1);
    ck_assert_int_eq(redis_look(peer->client.redis).away_since_ns, 0);
    peer_close(peer);
}
END_TEST

/* ---- calls */

START_TEST(calls_before_it_is_up_end_away_at_once) {
    struct peer *peer = peer_listen("redis://127.0.0.1:%u");
    struct asked asked = {0};
    int64_t start_ns = clock_now().mono_ns;
    ck_assert_int_eq(answer(&peer->client, &asked, "PING"), REDIS_AWAY);
    ck_assert_int_lt(clock_now().mono_ns - start_ns, TIMEOUT_NS);
    peer_close(peer);
}
END_TEST

START_TEST(calls_are_pipelined_and_answered_in_order) {
    struct peer *peer = peer_up();
    struct asked asked[3] = {0};
    ask(&peer->client, &asked[0], "GET a");
    ask(&peer->client, &asked[1], "GET b");
    ask(&peer->client, &asked[2], "GET c");
    hears(peer, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$"
                "1\r\nc\r\n");
    ck_assert_uint_eq(redis_stats(peer->client.redis).n_under_way, 3);
    says(peer, "$1\r\n1\r\n:2\r\n-ERR thr");
    ck_assert_int_eq(wait_for(&peer->client, &asked[1]), REDIS_ANSWERED);
    ck_assert_int_eq(asked[0].n_ended, 1);
    ck_assert_str_eq(asked[0].text, "1");
    ck_assert(asked[1].kind == REPLY_INTEGER && asked[1].integer == 2);
    ck_assert_int_eq(asked[2].n_ended, 0);
    says(peer, "ee\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked[2]), REDIS_ERROR);
    ck_assert_str_eq(asked[2].text, "ERR three");
    ck_assert(IS_UP(&peer->client)); /* its own affair */
    struct redis_stats stats = redis_stats(peer->client.redis);
    ck_assert_uint_eq(stats.ended[REDIS_ANSWERED], 2);
    ck_assert_uint_eq(stats.ended[REDIS_ERROR], 1);
    ck_assert_uint_eq(stats.n_under_way, 0);
    ck_assert_uint_eq(stats.connects, 1);
    ck_assert(stats.n_servers == 1 && stats.n_up == 1);
    peer_close(peer);
}
END_TEST

START_TEST(cancelled_calls_are_not_heard_of_again_and_others_keep_their_replies) {
    struct peer *peer = peer_up();
    struct asked first = {0}, second = {0};
    ask(&peer->client, &first, "GET a");
    ask(&peer->client, &second, "GET b");
    redis_cancel(&first.call);
    redis_cancel(&first.call);
    hears(peer, A_ASKED);
    says(peer, ":1\r\n:2\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &second), REDIS_ANSWERED);
    ck_assert_int_eq(second.integer, 2);
    ck_assert_int_eq(first.n_ended, 0);
    peer_close(peer);
}
END_TEST

START_TEST(calls_may_be_made_from_inside_on_done) {
    struct peer *peer = peer_up();
    struct asked again = {0}, asked = {.then = &peer->client, .again = &again};
    ask(&peer->client, &asked, "GET a");
    hears(peer, A_ASKED);
    says(peer, ":1\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_ANSWERED);
    hears(peer, PING_ASKED);
    says(peer, "+PONG\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &again), REDIS_ANSWERED);
    peer_close(peer);
}
END_TEST

START_TEST(calls_under_way_end_silently_when_the_client_is_freed) {
    struct peer *peer = peer_up();
    struct asked asked = {0}, away = {0};
    ask(&peer->client, &asked, "GET a");
    close(peer->fd);
    peer->fd = -1;
    ask(&peer->client, &away, "GET b");
    peer_close(peer);
    ck_assert_int_eq(asked.n_ended + away.n_ended, 0);
    ck_assert_ptr_null(asked.call.pending);
}
END_TEST

START_TEST(more_than_may_be_under_way_is_not_sent) {
    struct peer *peer = peer_up();
    struct asked *asked = calloc(1100, sizeof(*asked));
    size_t n_overloaded = 0;
    for (size_t i = 0; i < 1100; i++)
        ask(&peer->client, &asked[i], "PING");
    rig_settle(peer->client.loop);
    for (size_t i = 0; i < 1100; i++)
        n_overloaded += asked[i].n_ended == 1 && asked[i].verdict == REDIS_OVERLOADED;
    ck_assert_uint_gt(n_overloaded, 0);
    ck_assert_uint_lt(n_overloaded, 200);
    for (size_t i = 0; i < 1100 - n_overloaded; i++)
        says(peer, "+PONG\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked[0]), REDIS_ANSWERED);
    peer_close(peer);
    free(asked);
}
END_TEST

START_TEST(arguments_beyond_bounds_are_not_taken) {
    struct peer *peer = peer_up();
    struct asked asked = {0};
    struct str words[97];
    char *big = calloc(1, 65 * 1024);
    for (size_t i = 0; i < 97; i++)
        words[i] = STR("x");
    ck_assert_int_eq(redis_call(peer->client.redis, &asked.call, STR_NONE, words, 97, on_asked),
                     -E2BIG);
    words[1] = (struct str){big, 65 * 1024};
    ck_assert_int_eq(redis_call(peer->client.redis, &asked.call, STR_NONE, words, 2, on_asked),
                     -E2BIG);
    ck_assert_ptr_null(asked.call.pending);
    peer_close(peer);
    free(big);
}
END_TEST

/* ---- deadlines and the breaker */

START_TEST(late_replies_are_matched_with_their_calls_and_dropped) {
    struct peer *peer = peer_up();
    struct asked first = {0}, second = {0}, third = {0};
    ask(&peer->client, &first, "GET a");
    hears(peer, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &first), REDIS_LATE);
    ck_assert(!IS_UP(&peer->client));
    ck_assert_int_eq(answer(&peer->client, &second, "GET b"), REDIS_AWAY);
    hears(peer, TIME_ASKED); /* the probe, on the same connection */
    says(peer, ":1\r\n" TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    ask(&peer->client, &third, "GET c");
    hears(peer, "*2\r\n$3\r\nGET\r\n$1\r\nc\r\n");
    says(peer, ":3\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &third), REDIS_ANSWERED);
    ck_assert_int_eq(third.integer, 3);
    ck_assert_int_eq(first.n_ended, 1);
    struct redis_stats stats = redis_stats(peer->client.redis);
    ck_assert(stats.openings == 1 && stats.connects == 1);
    peer_close(peer);
}
END_TEST

/* ---- replies that come too late, and whoever heeds them */

struct heeded {
    struct redis_call call;
    int n_ended, n_heard;
    enum redis_verdict ended, heard;
    bool was_pending; /* when it ended */
    int64_t integer;
};

static void on_ended(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct heeded *heeded = CONTAINER_OF(call, struct heeded, call);
    (void)reply;
    heeded->n_ended++;
    heeded->ended = verdict;
    heeded->was_pending = call->pending != NULL;
}

static void on_heard(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct heeded *heeded = CONTAINER_OF(call, struct heeded, call);
    heeded->n_heard++;
    heeded->heard = verdict;
    heeded->integer = reply ? reply->integer : -1;
    ck_assert_ptr_null(call->pending);
    ck_assert_int_eq(reply != NULL, verdict == REDIS_ANSWERED || verdict == REDIS_ERROR);
}

static void ask_heeding(struct peer *peer, struct heeded *heeded) {
    const struct str get[] = {STR("GET"), STR("a")};
    *heeded = (struct heeded){0};
    ck_assert_int_eq(redis_call(peer->client.redis, &heeded->call, STR_NONE, get, 2, on_ended), 0);
    redis_heed_late(&heeded->call, on_heard);
}

static void ask_and_wait_till_late(struct peer *peer, struct heeded *heeded) {
    ask_heeding(peer, heeded);
    RUN_UNTIL(peer->client.loop, heeded->n_ended == 1);
    ck_assert(heeded->ended == REDIS_LATE && heeded->was_pending && heeded->n_heard == 0);
    ck_assert_uint_eq(redis_stats(peer->client.redis).n_under_way, 0);
}

START_TEST(late_replies_are_told_once_to_who_heeds_them) {
    static const char *const says_late[] = {":1\r\n" TIME_TOLD, "-LATE it was\r\n" TIME_TOLD};
    static const enum redis_verdict verdicts[] = {REDIS_ANSWERED, REDIS_ERROR};
    for (size_t i = 0; i < 2; i++) {
        struct peer *peer = peer_up();
        struct heeded heeded;
        ask_and_wait_till_late(peer, &heeded);
        says(peer, says_late[i]);
        RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
        ck_assert(heeded.n_ended == 1 && heeded.n_heard == 1 && heeded.heard == verdicts[i]);
        ck_assert_int_eq(heeded.integer, i == 0 ? 1 : 0);
        ck_assert_uint_eq(redis_stats(peer->client.redis).ended[REDIS_LATE], 1);
        peer_close(peer);
    }
}
END_TEST

START_TEST(replies_in_time_are_not_told_twice) {
    struct peer *peer = peer_up();
    struct heeded heeded;
    ask_heeding(peer, &heeded);
    hears(peer, A_ASKED);
    says(peer, ":1\r\n");
    RUN_UNTIL(peer->client.loop, heeded.n_ended == 1);
    ck_assert(heeded.ended == REDIS_ANSWERED && !heeded.was_pending);
    peer_close(peer);
    ck_assert_int_eq(heeded.n_heard, 0);
}
END_TEST

START_TEST(a_reply_that_never_comes_is_told_as_such) {
    struct peer *peer = peer_up();
    struct heeded heeded[2];
    ask_heeding(peer, &heeded[1]);
    ask_and_wait_till_late(peer, &heeded[0]);
    rig_reset(peer->fd);
    peer->fd = -1;
    RUN_UNTIL(peer->client.loop, heeded[1].n_heard == 1);
    ck_assert(heeded[0].n_heard == 1 && heeded[0].heard == REDIS_LOST);
    meet(peer);
    ask_and_wait_till_late(peer, &heeded[0]);
    RUN_UNTIL(peer->client.loop, heeded[0].n_heard == 1); /* a second of silence */
    ck_assert_int_eq(heeded[0].heard, REDIS_LATE);
    peer_close(peer);
}
END_TEST

START_TEST(who_does_not_wait_any_more_hears_nothing) {
    struct peer *peer = peer_up();
    struct heeded cancelled, freed;
    ask_heeding(peer, &freed);
    ask_and_wait_till_late(peer, &cancelled);
    redis_cancel(&cancelled.call);
    says(peer, ":1\r\n:2\r\n" TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    ck_assert_int_eq(cancelled.n_heard, 0);
    ck_assert_int_eq(freed.n_heard, 1);
    ask_and_wait_till_late(peer, &freed);
    peer_close(peer);
    ck_assert_int_eq(freed.n_heard, 0);
    ck_assert_ptr_null(freed.call.pending);
}
END_TEST

START_TEST(silence_is_noticed_without_any_call) {
    struct peer *peer = peer_up();
    hears(peer, TIME_ASKED); /* a second later */
    ck_assert(IS_UP(&peer->client));
    int64_t start_ns = clock_now().mono_ns;
    RUN_UNTIL(peer->client.loop, !IS_UP(&peer->client));
    ck_assert_int_lt(clock_now().mono_ns - start_ns, 10 * TIMEOUT_NS);
    peer_close(peer);
}
END_TEST

START_TEST(a_connection_that_stays_silent_is_given_up_for_a_new_one) {
    struct peer *peer = peer_up();
    struct asked asked = {0};
    ck_assert_int_eq(answer(&peer->client, &asked, "PING"), REDIS_LATE);
    RUN_UNTIL(peer->client.loop, recv(peer->fd, (char[64]){0}, 64, MSG_DONTWAIT) == 0);
    meet(peer);
    ck_assert_uint_eq(redis_stats(peer->client.redis).connects, 2);
    peer_close(peer);
}
END_TEST

START_TEST(a_lost_connection_ends_what_is_under_way_and_comes_back) {
    struct peer *peer = peer_up();
    struct asked first = {0}, second = {0};
    ask(&peer->client, &first, "GET a");
    ask(&peer->client, &second, "GET b");
    hears(peer, "*2\r\n$3\r\nGET\r\n");
    says(peer, ":1\r\n");
    rig_reset(peer->fd);
    peer->fd = -1;
    ck_assert_int_eq(wait_for(&peer->client, &second), REDIS_LOST);
    ck_assert(!IS_UP(&peer->client));
    ck_assert_int_eq(answer(&peer->client, &second, "GET c"), REDIS_AWAY);
    meet(peer);
    hears(peer, ""); /* nothing is sent again */
    ck_assert_int_eq(recv(peer->fd, (char[1]){0}, 1, MSG_DONTWAIT), -1);
    peer_close(peer);
}
END_TEST

START_TEST(replies_that_say_it_cannot_open_the_breaker) {
    static const char *const answers[] = {
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        "-BUSY Redis is busy running a script.\r\n",
        "-MISCONF Redis is configured to save RDB snapshots\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
        "-MOVED 3999 127.0.0.1:6381\r\n",
        "-ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM command "
        "not "
        "allowed when used memory > 'maxmemory'.\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_up();
        struct asked asked = {0};
        ask(&peer->client, &asked, "PING");
        hears(peer, PING_ASKED);
        says(peer, answers[i]);
        ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_REFUSED);
        ck_assert(!IS_UP(&peer->client));
        meet(peer);
        ck_assert_uint_eq(redis_stats(peer->client.redis).openings, 1);
        peer_close(peer);
    }
}
END_TEST

START_TEST(what_is_not_the_protocol_ends_the_connection) {
    static const char *const answers[] = {
        "nonsense\r\n", "$5\r\nabcdefgh", "*1000000000\r\n", "+OK\r\n+OK\r\n", "\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_up();
        struct asked asked = {0};
        ask(&peer->client, &asked, "PING");
        hears(peer, PING_ASKED);
        says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, is_cut(peer));
        RUN_UNTIL(peer->client.loop, asked.n_ended == 1);
        ck_assert(asked.verdict == REDIS_NONSENSE || asked.verdict == REDIS_ANSWERED);
        meet(peer);
        peer_close(peer);
    }
}
END_TEST

START_TEST(a_huge_reply_is_not_read_to_its_end) {
    struct peer *peer = peer_up();
    struct asked asked = {0};
    char part[4096];
    size_t n_sent = 0;
    memset(part, 'x', sizeof(part));
    ask(&peer->client, &asked, "PING");
    hears(peer, PING_ASKED);
    says(peer, "$1000000000\r\n");
    while (asked.n_ended == 0 && n_sent < 64 << 20) {
        ssize_t n = send(peer->fd, part, sizeof(part), MSG_NOSIGNAL | MSG_DONTWAIT);
        n_sent += n > 0 ? (size_t)n : 0;
        rig_turn(peer->client.loop);
    }
    ck_assert_int_eq(asked.verdict, REDIS_NONSENSE);
    peer_close(peer);
}
END_TEST

START_TEST(a_server_that_is_not_there_is_tried_again_and_nothing_waits) {
    struct client client;
    struct endpoint at;
    struct asked asked = {0};
    char url[64];
    int deaf = rig_deaf(&at);
    ck_assert_int_eq(fcntl(deaf, F_SETFL, O_NONBLOCK), 0);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", rig_port(&at));
    client_open(&client, url, NULL, TIMEOUT_NS);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_AWAY);
        rig_settle(client.loop);
    }
    ck_assert_int_eq(listen(deaf, 4), 0);
    close(rig_accept(client.loop, deaf));
    client_close(&client);
    close(deaf);
}
END_TEST

/* ---- scripts */

/* The call that `run` makes, whatever its deadline. */
static void hears_script(struct peer *peer) {
    char rest[600];
    hears(peer, "*6\r\n$7\r\nEVALSHA\r\n");
    RUN_UNTIL(peer->client.loop, recv(peer->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0);
}

START_TEST(a_server_that_can_read_and_not_write_is_not_back) {
    struct peer *peer = peer_up();
    struct redis_script script;
    struct asked asked = {0};
    ck_assert_int_eq(redis_script_init(&script, "return 1"), 0);
    run(&peer->client, &asked, &script, "key", "x");
    hears_script(peer);
    says(peer, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_REFUSED);
    meet(peer);
    ask(&peer->client, &asked, "GET a");
    hears(peer, A_ASKED);
    says(peer, "$1\r\nx\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_ANSWERED);
    ck_assert_uint_eq(redis_look(peer->client.redis).n_up, 0);
    run(&peer->client, &asked, &script, "key", "x");
    hears_script(peer);
    says(peer, ":1\r\n:2\r\n"); /* nor when more comes than was asked for */
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_ANSWERED);
    ck_assert_uint_eq(redis_look(peer->client.redis).n_up, 0);
    meet(peer);
    run(&peer->client, &asked, &script, "key", "x");
    hears_script(peer);
    says(peer, ":1\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_ANSWERED);
    ck_assert_uint_eq(redis_look(peer->client.redis).n_up, 1);
    peer_close(peer);
    redis_script_fini(&script);
}
END_TEST

START_TEST(scripts_are_called_by_name_with_a_deadline_of_redis_time) {
    struct peer *peer = peer_up();
    struct redis_script script;
    struct asked asked = {0};
    char expected[200], got[200];
    ck_assert_int_eq(redis_script_init(&script, "return ARGV[2]"), 0);
    run(&peer->client, &asked, &script, "key", "x");
    snprintf(expected, sizeof(expected),
             "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$3\r\nkey\r\n$16\r\n", script.sha1);
    hears(peer, expected);
    RUN_UNTIL(peer->client.loop, recv(peer->fd, got, 16, MSG_DONTWAIT) == 16);
    uint64_t deadline_us;
    ck_assert(str_to_u64((struct str){got, 16}, &deadline_us));
    ck_assert_uint_ge(deadline_us, 1700000000123456);
    ck_assert_uint_le(deadline_us, 1700000000123456 + 30000000);
    hears(peer, "\r\n$1\r\nx\r\n");
    says(peer, "-LATE the deadline has passed\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_LATE);
    ck_assert(IS_UP(&peer->client));
    hears(peer, TIME_ASKED); /* its clock may have been set */
    says(peer, "*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n");
    RUN_UNTIL(peer->client.loop, redis_now_us(peer->client.redis, STR_NONE) >= 1800000000000000);
    peer_close(peer);
    redis_script_fini(&script);
}
END_TEST

START_TEST(a_script_that_is_not_known_is_sent_once) {
    struct peer *peer = peer_up();
    struct redis_script script;
    struct asked asked = {0};
    char expected[600];
    ck_assert_int_eq(redis_script_init(&script, "return 1"), 0);
    for (int i = 0; i < 2; i++) {
        run(&peer->client, &asked, &script, "key", "x");
        hears_script(peer);
        says(peer, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        snprintf(expected, sizeof(expected), "*6\r\n$4\r\nEVAL\r\n$%zu\r\n%s\r\n",
                 strlen(script.source), script.source);
        hears(peer, expected);
        RUN_UNTIL(peer->client.loop, recv(peer->fd, expected, sizeof(expected), MSG_DONTWAIT) > 0);
        says(peer, i == 0 ? ":7\r\n" : "-NOSCRIPT again\r\n");
        ck_assert_int_eq(wait_for(&peer->client, &asked), i == 0 ? REDIS_ANSWERED : REDIS_ERROR);
    }
    peer_close(peer);
    redis_script_fini(&script);
}
END_TEST

START_TEST(slots_are_those_of_redis_cluster) {
    /* Redis Cluster specification, appendix A and "Hash tags"; CLUSTER KEYSLOT */
    ck_assert_uint_eq(redis_slot(STR("123456789")), 0x31c3);
    ck_assert_uint_eq(redis_slot(STR("foo")), 12182);
    ck_assert_uint_eq(redis_slot(STR("{user1000}.following")), redis_slot(STR("user1000")));
    ck_assert_uint_eq(redis_slot(STR("foo{}{bar}")), 8363);
    ck_assert_uint_eq(redis_slot(STR("foo{{bar}}zap")), redis_slot(STR("{bar")));
    ck_assert_uint_eq(redis_slot(STR("foo{bar}{zap}")), redis_slot(STR("bar")));
    ck_assert_uint_eq(redis_slot(STR("")), 0);
}
END_TEST

START_TEST(verdicts_have_names) {
    for (int i = 0; i < REDIS_VERDICTS; i++)
        ck_assert_uint_gt(strlen(redis_verdict_name((enum redis_verdict)i)), 0);
}
END_TEST

RIG_MAIN("io/redis", greeting_logs_in_chooses_the_database_and_asks_the_time,
         greeting_with_a_password_alone_names_no_user,
         greetings_that_are_refused_or_nonsense_keep_it_away,
         who_looks_sees_why_it_is_away_and_since_when, calls_before_it_is_up_end_away_at_once,
         calls_are_pipelined_and_answered_in_order,
         cancelled_calls_are_not_heard_of_again_and_others_keep_their_replies,
         calls_may_be_made_from_inside_on_done,
         calls_under_way_end_silently_when_the_client_is_freed,
         more_than_may_be_under_way_is_not_sent, arguments_beyond_bounds_are_not_taken,
         late_replies_are_matched_with_their_calls_and_dropped,
         late_replies_are_told_once_to_who_heeds_them, replies_in_time_are_not_told_twice,
         a_reply_that_never_comes_is_told_as_such, who_does_not_wait_any_more_hears_nothing,
         silence_is_noticed_without_any_call,
         a_connection_that_stays_silent_is_given_up_for_a_new_one,
         a_lost_connection_ends_what_is_under_way_and_comes_back,
         replies_that_say_it_cannot_open_the_breaker, what_is_not_the_protocol_ends_the_connection,
         a_huge_reply_is_not_read_to_its_end,
         a_server_that_is_not_there_is_tried_again_and_nothing_waits,
         scripts_are_called_by_name_with_a_deadline_of_redis_time,
         a_server_that_can_read_and_not_write_is_not_back, a_script_that_is_not_known_is_sent_once,
         slots_are_those_of_redis_cluster, verdicts_have_names)
