/* SPDX-License-Identifier: MIT */
/* Proves gateway/denials.h: who is shut out is refused at each request, and what he has open is ended. */
#include "gateway/denials.h"

#include "http/websocket.h"
#include "socket_stage.h"

static struct stage s;

#define FULL           ADA ",\"session_id\":\"s1\",\"jti\":\"j1\",\"iat\":1000"
#define GET_AS(claims) GET(&s, "/ws", bearer(&s, claims))

START_TEST(nobody_is_denied_before_anybody_says_so) {
    stage_open(&s, WS);
    ck_assert_int_eq(pass(&s, GET_AS(FULL)), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_denied_subject_is_forbidden_although_its_token_is_remembered) {
    stage_open(&s, WS);
    const char *request = GET_AS(FULL);
    ck_assert_int_eq(pass(&s, request), 200);
    stage_deny(&s, "subject:ada", false);
    ck_assert_int_eq(refuse(&s, request), 403);
    ASSERT_SAYS(&s, "code", "access_denied");
    ck_assert_int_eq(pass(&s, GET_AS("\"sub\":\"bob\"")), 200);
    stage_deny(&s, "subject:ada", true);
    ck_assert_int_eq(pass(&s, request), 200);
    stage_close(&s);
}
END_TEST

START_TEST(revoked_tokens_and_sessions_are_told_to_sign_in_anew) {
    static const char *const names[] = {"session_id:s1", "jti:j1", "issued:1000:ada"};
    stage_open(&s, WS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        stage_deny(&s, names[i], false);
        ck_assert_int_eq(refuse(&s, GET_AS(FULL)), 401);
        ASSERT_SAYS(&s, "code", "bad_jwt");
        ck_assert_ptr_nonnull(strstr(FIELD(&s, "www-authenticate"), "error=\"invalid_token\""));
        ck_assert_int_eq(pass(&s, GET_AS(ADA ",\"session_id\":\"s2\",\"jti\":\"j2\",\"iat\":1001")),
                         200);
        stage_deny(&s, names[i], true);
        ck_assert_int_eq(pass(&s, GET_AS(FULL)), 200);
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_denied_address_is_forbidden_with_and_without_a_token) {
    stage_open(&s, WS);
    stage_deny(&s, "ip:127.0.0.1", false);
    ck_assert_int_eq(refuse(&s, GET_AS(FULL)), 403);
    ck_assert_int_eq(refuse(&s, GET(&s, "/ws", "")), 403);
    ASSERT_SAYS(&s, "code", "access_denied");
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/health", "")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(what_a_denied_caller_has_open_is_ended) {
    stage_open(&s, WS);
    struct pair adas = open_socket_with(&s, "/ws", bearer(&s, FULL), "");
    struct pair bobs = open_socket_with(&s, "/ws", bearer(&s, "\"sub\":\"bob\""), "");
    stage_deny(&s, "session_id:s1", false);
    rig_expect(s.loop, adas.client,
               STR("\x88\x13\x03\xf0"
                   "access was denied"));
    ck_assert_int_eq(rig_expect_end(s.loop, adas.client), 0);
    rig_send(s.loop, bobs.upstream, STR("still"));
    rig_expect(s.loop, bobs.client, STR("still"));
    close(adas.client), close(adas.upstream);
    close_socket(&s, &bobs);
    stage_close(&s);
}
END_TEST

/* The upstream takes its time to answer. */
static struct pair ask_for(const char *request) {
    struct pair pair = {.client = ask(&s, request)};
    pair.upstream = rig_accept(s.loop, s.upstream_listener);
    see_head(&s, pair.upstream);
    return pair;
}

START_TEST(who_is_denied_before_his_stream_begins_gets_none_of_it) {
    static const char *const names[] = {"subject:ada", "session_id:s1", "jti:j1", "issued:1000:ada",
                                        "ip:127.0.0.1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        stage_open(&s, WS);
        struct pair events = ask_for(GET_AS(FULL)), plain = ask_for(GET_AS(FULL)),
                    socket = ask_for(GET(&s, "/ws", TEXT(&s, SHAKE "%s", bearer(&s, FULL))));
        stage_deny(&s, names[i], false);
        rig_send(s.loop, events.upstream, STR(EVENTS));
        ck_assert_int_eq(hear_head(&s, events.client), 200);
        rig_expect(s.loop, events.client, STR("0\r\n\r\n"));
        rig_send(s.loop, socket.upstream, STR(SWITCHES "\x81\x02hi"));
        ck_assert_int_eq(hear_head(&s, socket.client), 101);
        rig_expect(s.loop, socket.client,
                   STR("\x88\x13\x03\xf0"
                       "access was denied"));
        ck_assert_int_eq(rig_expect_end(s.loop, socket.client), 0);
        rig_send(s.loop, plain.upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
        ck_assert_int_eq(hear(&s, plain.client), 200); /* it was let in */
        close(events.client), close(events.upstream), close(plain.client), close(plain.upstream);
        close_socket(&s, &socket);
        stage_close(&s);
    }
}
END_TEST

START_TEST(who_is_denied_and_let_in_again_before_his_stream_begins_keeps_it) {
    stage_open(&s, WS);
    struct pair events = ask_for(GET_AS(FULL));
    stage_deny(&s, "subject:bob", false);
    stage_deny(&s, "subject:ada", false);
    stage_deny(&s, "subject:ada", true);
    rig_send(s.loop, events.upstream, STR(EVENTS));
    ck_assert_int_eq(hear_head(&s, events.client), 200);
    rig_expect(s.loop, events.client, STR("9\r\ndata: 1\n\n\r\n"));
    close(events.client), close(events.upstream);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/denials", nobody_is_denied_before_anybody_says_so,
           a_denied_subject_is_forbidden_although_its_token_is_remembered,
           revoked_tokens_and_sessions_are_told_to_sign_in_anew,
           a_denied_address_is_forbidden_with_and_without_a_token,
           what_a_denied_caller_has_open_is_ended,
           who_is_denied_before_his_stream_begins_gets_none_of_it,
           who_is_denied_and_let_in_again_before_his_stream_begins_keeps_it)
