/* SPDX-License-Identifier: MIT */
/* Proves gateway/streams.h: what lasts is ended in order, by whoever asks. */
#include "gateway/streams.h"

#include "http/websocket.h"
#include "socket_stage.h"

static struct stage s;

static struct pair open_events(const char *fields) {
    struct pair pair;
    pair.client = ask(&s, GET(&s, "/ws", fields));
    pair.upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, pair.upstream);
    rig_send(s.loop, pair.upstream, STR(EVENTS));
    ck_assert_int_eq(hear_head(&s, pair.client), 200);
    rig_expect(s.loop, pair.client, STR("9\r\ndata: 1\n\n\r\n"));
    return pair;
}

static bool is_of(const struct exchange *x, const void *subject) {
    return str_eq(x->caller.subject, str_of(subject));
}

START_TEST(those_of_one_subject_end_and_others_stay) {
    stage_open(&s, WS);
    const char *ada = bearer(&s, ADA), *bob = bearer(&s, "\"sub\":\"bob\"");
    struct pair adas = open_socket_with(&s, "/ws", ada, ""),
                bobs = open_socket_with(&s, "/ws", bob, "");
    struct pair events = open_events(ada);
    streams_end(s.gateway, is_of, "ada", WEBSOCKET_POLICY, "signed out");
    rig_expect(s.loop, adas.client, STR("\x88\x0c\x03\xf0signed out"));
    ck_assert_int_eq(rig_expect_end(s.loop, adas.client), 0);
    rig_expect(s.loop, adas.upstream, ((struct str){"\x88\x8c\0\0\0\0\x03\xf0signed out", 18}));
    ck_assert_int_eq(rig_expect_end(s.loop, adas.upstream), 0);
    rig_expect(s.loop, events.client, STR("0\r\n\r\n"));
    rig_send(s.loop, bobs.upstream, STR("still"));
    rig_expect(s.loop, bobs.client, STR("still"));
    close(adas.client), close(adas.upstream), close(events.client), close(events.upstream);
    close_socket(&s, &bobs);
    stage_close(&s);
}
END_TEST

START_TEST(an_answer_whose_length_was_told_is_none) {
    stage_open(&s, WS);
    int client = ask(&s, GET(&s, "/ws", "")), upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(
        s.loop, upstream,
        STR("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 4\r\n\r\nab"));
    ck_assert_int_eq(hear_head(&s, client), 200);
    rig_expect(s.loop, client, STR("ab"));
    streams_end(s.gateway, NULL, NULL, WEBSOCKET_GOING_AWAY, "all of them");
    rig_send(s.loop, upstream, STR("cd"));
    rig_expect(s.loop, client, STR("cd"));
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(they_end_with_their_token_when_the_settings_say_so) {
    stage_open(&s, "close_streams_at_expiry: true\n" WS);
    const char *last =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -29));
    struct pair socket = open_socket_with(&s, "/ws", last, ""), events = open_events(last);
    rig_expect(s.loop, socket.client, STR("\x88\x17\x03\xf0the token has expired"));
    rig_expect(s.loop, events.client, STR("0\r\n\r\n"));
    close(events.client), close(events.upstream);
    close_socket(&s, &socket);
    stage_close(&s);
}
END_TEST

START_TEST(in_a_drain_all_end_before_they_are_cut) {
    stage_open(&s, "drain: { delay: 0s, timeout: 400ms }\n" WS);
    struct pair sockets[4], events = open_events("");
    for (int i = 0; i < 4; i++)
        sockets[i] = open_socket(&s);
    int64_t began_ns = clock_now().mono_ns;
    gateway_drain(s.gateway);
    gateway_stop_listening(s.gateway);
    for (int i = 0; i < 4; i++) {
        rig_expect(s.loop, sockets[i].client, STR("\x88\x1b\x03\xe9the gateway is going away"));
        ck_assert_int_eq(rig_expect_end(s.loop, sockets[i].client), 0);
    }
    ck_assert_int_ge(clock_now().mono_ns - began_ns, 150 * NS_PER_MS);
    rig_expect(s.loop, events.client, STR("0\r\n\r\n"));
    for (int i = 0; i < 4; i++)
        close(sockets[i].client), close(sockets[i].upstream);
    close_socket(&s, &events);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/streams", those_of_one_subject_end_and_others_stay,
           an_answer_whose_length_was_told_is_none,
           they_end_with_their_token_when_the_settings_say_so,
           in_a_drain_all_end_before_they_are_cut)
