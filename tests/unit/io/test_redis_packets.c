/* SPDX-License-Identifier: MIT */
/* Proves how io/redis.h asks: two packets on the way, what gathers meanwhile in the next, and nothing unsent that could be. */
#include "redis_peer.h"

#define GET(key) "*2\r\n$3\r\nGET\r\n$1\r\n" key "\r\n"

/* In one piece, as it was written. */
static void hears_at_once(struct peer *peer, const char *text) {
    char got[4096];
    ssize_t n = -1;
    RUN_UNTIL(peer->client.loop, (n = recv(peer->fd, got, sizeof(got), MSG_DONTWAIT)) > 0);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(got, text, strlen(text));
}

static void hears_nothing(struct peer *peer) {
    rig_settle(peer->client.loop);
    ck_assert_int_eq(recv(peer->fd, (char[1]){0}, 1, MSG_DONTWAIT), -1);
}

/* The second of two packets on the way. */
static void fill_up(struct peer *peer) {
    static struct asked other;
    other = (struct asked){0};
    ask(&peer->client, &other, "GET z");
    hears_at_once(peer, GET("z"));
}

START_TEST(what_is_asked_meanwhile_goes_as_one_when_the_first_is_answered) {
    struct peer *peer = peer_up();
    struct asked asked[4] = {0};
    ask(&peer->client, &asked[0], "GET a");
    hears_at_once(peer, GET("a")); /* nothing was on the way */
    fill_up(peer);
    ask(&peer->client, &asked[1], "GET b");
    hears_nothing(peer);
    ask(&peer->client, &asked[2], "GET c");
    hears_nothing(peer);
    ask(&peer->client, &asked[3], "GET d");
    hears_nothing(peer);
    ck_assert_uint_eq(redis_stats(peer->client.redis).n_under_way, 5);
    peer_says(peer, ":1\r\n");
    hears_at_once(peer, GET("b") GET("c") GET("d"));
    peer_says(peer, ":0\r\n:2\r\n:3\r\n:4\r\n");
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(wait_for(&peer->client, &asked[i]), REDIS_ANSWERED);
        ck_assert_int_eq(asked[i].integer, i + 1);
    }
    peer_close(peer);
}
END_TEST

START_TEST(a_packet_counts_as_answered_with_its_last_reply) {
    struct peer *peer = peer_up();
    struct asked asked[3] = {0};
    ask(&peer->client, &asked[0], "GET a");
    ask(&peer->client, &asked[1], "GET b");
    hears_at_once(peer, GET("a") GET("b"));
    fill_up(peer);
    ask(&peer->client, &asked[2], "GET c");
    peer_says(peer, ":1\r\n:");
    ck_assert_int_eq(wait_for(&peer->client, &asked[0]), REDIS_ANSWERED);
    hears_nothing(peer);
    peer_says(peer, "2\r\n");
    hears_at_once(peer, GET("c"));
    peer_close(peer);
}
END_TEST

START_TEST(errors_and_cancelled_calls_answer_a_packet_too) {
    struct peer *peer = peer_up();
    struct asked asked[3] = {0};
    ask(&peer->client, &asked[0], "GET a");
    ask(&peer->client, &asked[1], "GET b");
    hears_at_once(peer, GET("a") GET("b"));
    fill_up(peer);
    ask(&peer->client, &asked[2], "GET c");
    redis_cancel(&asked[1].call);
    peer_says(peer, "-ERR one\r\n:2\r\n");
    hears_at_once(peer, GET("c"));
    ck_assert_int_eq(asked[0].verdict, REDIS_ERROR);
    ck_assert_int_eq(asked[1].n_ended, 0);
    peer_close(peer);
}
END_TEST

START_TEST(cancelled_calls_that_wait_leave_others_their_replies) {
    struct peer *peer = peer_up();
    struct asked asked[3] = {0};
    ask(&peer->client, &asked[0], "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    ask(&peer->client, &asked[1], "GET b");
    ask(&peer->client, &asked[2], "GET c");
    redis_cancel(&asked[1].call);
    peer_says(peer, ":1\r\n");
    hears_at_once(peer, GET("b") GET("c"));
    peer_says(peer, ":0\r\n:2\r\n:3\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &asked[2]), REDIS_ANSWERED);
    ck_assert_int_eq(asked[2].integer, 3);
    ck_assert_int_eq(asked[1].n_ended, 0);
    peer_close(peer);
}
END_TEST

START_TEST(what_waits_when_it_falls_silent_ends_away_and_is_never_sent) {
    struct peer *peer = peer_up();
    struct asked first = {0}, waiting = {0}, after = {0};
    ask(&peer->client, &first, "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    ask(&peer->client, &waiting, "GET b");
    ck_assert_int_eq(wait_for(&peer->client, &first), REDIS_LATE);
    ck_assert_int_eq(waiting.n_ended, 1);
    ck_assert(waiting.verdict == REDIS_AWAY || waiting.verdict == REDIS_OVERLOADED);
    hears_at_once(peer, TIME_ASKED); /* the probe waits for nobody */
    peer_says(peer, ":1\r\n:0\r\n" TIME_TOLD);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    hears_nothing(peer);
    ask(&peer->client, &after, "GET c");
    hears_at_once(peer, GET("c"));
    peer_says(peer, ":3\r\n");
    ck_assert_int_eq(wait_for(&peer->client, &after), REDIS_ANSWERED);
    peer_close(peer);
}
END_TEST

START_TEST(what_waits_when_the_connection_breaks_ends_away_and_is_never_sent) {
    struct peer *peer = peer_up();
    struct asked first = {0}, waiting = {0}, after = {0};
    ask(&peer->client, &first, "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    ask(&peer->client, &waiting, "GET b");
    rig_reset(peer->fd);
    peer->fd = -1;
    ck_assert_int_eq(wait_for(&peer->client, &first), REDIS_LOST);
    ck_assert_int_eq(waiting.n_ended, 1);
    ck_assert_int_eq(waiting.verdict, REDIS_AWAY);
    ck_assert_uint_eq(redis_stats(peer->client.redis).n_under_way, 0);
    peer_meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    hears_nothing(peer);
    ask(&peer->client, &after, "GET c"); /* nothing of the old packet holds it */
    hears_at_once(peer, GET("c"));
    peer_close(peer);
}
END_TEST

START_TEST(what_waits_past_its_own_deadline_ends_overloaded) {
    struct peer *peer = peer_listen("redis://127.0.0.1:%u");
    struct redis_script script;
    struct asked first = {0}, twice = {0}, behind = {0};
    client_close(&peer->client);
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", peer->port);
    client_open(&peer->client, url, NULL, 2 * NS_PER_S);
    peer_meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    ck_assert_int_eq(redis_script_init(&script, "return 1"), 0);

    ask(&peer->client, &first, "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    run(&peer->client, &twice, &script, "key", "x");
    int64_t now_ns = clock_now().mono_ns;
    RUN_UNTIL(peer->client.loop, clock_now().mono_ns - now_ns > 500 * NS_PER_MS);
    ask(&peer->client, &behind, "GET b"); /* due later, in the same packet */
    peer_says(peer, ":1\r\n");
    peer_hears(peer, "*6\r\n$7\r\nEVALSHA\r\n");
    peer_says(peer, ":0\r\n");
    rig_settle(peer->client.loop);
    while (recv(peer->fd, (char[64]){0}, 64, MSG_DONTWAIT) > 0)
        continue;
    fill_up(peer);
    peer_says(peer, "-NOSCRIPT No matching script.\r\n"); /* now it waits for b, or z */
    ck_assert_int_eq(wait_for(&peer->client, &twice), REDIS_OVERLOADED);
    peer_close(peer);
    redis_script_fini(&script);
}
END_TEST

START_TEST(more_than_may_wait_is_overloaded_at_once) {
    struct peer *peer = peer_up();
    struct asked *asked = calloc(1100, sizeof(*asked));
    size_t n_overloaded = 0;
    ask(&peer->client, &asked[0], "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    for (size_t i = 1; i < 1100; i++)
        ask(&peer->client, &asked[i], "PING");
    rig_settle(peer->client.loop);
    for (size_t i = 0; i < 1100; i++)
        n_overloaded += asked[i].n_ended == 1 && asked[i].verdict == REDIS_OVERLOADED;
    ck_assert_uint_gt(n_overloaded, 0);
    ck_assert_uint_lt(n_overloaded, 200);
    peer_close(peer);
    free(asked);
}
END_TEST

START_TEST(bytes_beyond_bounds_do_not_wait) {
    struct peer *peer = peer_up();
    struct asked asked[80] = {0};
    struct str words[] = {STR("ECHO"), {calloc(1, 60000), 60000}};
    ask(&peer->client, &asked[0], "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    for (size_t i = 1; i < 80; i++) /* 80 times 60 kB are more than 4 MiB */
        ck_assert_int_eq(
            redis_call(peer->client.redis, &asked[i].call, STR_NONE, words, 2, on_asked), 0);
    rig_settle(peer->client.loop);
    ck_assert_int_eq(asked[60].n_ended, 0);
    ck_assert_int_eq(asked[79].n_ended, 1);
    ck_assert_int_eq(asked[79].verdict, REDIS_OVERLOADED);
    peer_close(peer);
    free((void *)(uintptr_t)words[1].at);
}
END_TEST

START_TEST(calls_that_wait_end_silently_when_the_client_is_freed) {
    struct peer *peer = peer_up();
    struct asked first = {0}, waiting = {0};
    ask(&peer->client, &first, "GET a");
    hears_at_once(peer, GET("a"));
    fill_up(peer);
    ask(&peer->client, &waiting, "GET b");
    peer_close(peer);
    ck_assert_int_eq(first.n_ended + waiting.n_ended, 0);
    ck_assert_ptr_null(waiting.call.pending);
}
END_TEST

RIG_MAIN("io/redis", what_is_asked_meanwhile_goes_as_one_when_the_first_is_answered,
         a_packet_counts_as_answered_with_its_last_reply,
         errors_and_cancelled_calls_answer_a_packet_too,
         cancelled_calls_that_wait_leave_others_their_replies,
         what_waits_when_it_falls_silent_ends_away_and_is_never_sent,
         what_waits_when_the_connection_breaks_ends_away_and_is_never_sent,
         what_waits_past_its_own_deadline_ends_overloaded, more_than_may_wait_is_overloaded_at_once,
         bytes_beyond_bounds_do_not_wait, calls_that_wait_end_silently_when_the_client_is_freed)
