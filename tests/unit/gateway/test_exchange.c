/* SPDX-License-Identifier: MIT */
/* Exchanges are used again and again: nothing of the last caller may speak for the next. */
#include "gateway/exchange.h"

#include "rig.h"

static struct stage s;

/* Two requests on one connection, which one exchange serves after the other. */
static void ask_twice(const char *one, const char *two) {
    int client = ask(&s, one), upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(s.loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    ck_assert_int_eq(hear(&s, client), 200);
    rig_send(s.loop, client, str_of(two));
    see(&s, upstream);
    rig_send(s.loop, upstream, STR(OK_HI));
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream);
}

START_TEST(a_users_token_does_not_speak_for_the_next_request) {
    stage_open(&s, "");
    ask_twice(GET(&s, "/rest/v1/x", bearer(&s, ADA)), GET(&s, "/rest/v1/y", ""));
    ck_assert_ptr_null(SEEN(&s, "authorization"));
    ck_assert_ptr_null(strstr(FIELD(&s, "RateLimit"), "per_user"));
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), "per_ip"));
    stage_close(&s);
}
END_TEST

START_TEST(a_user_is_not_taken_for_the_one_before) {
    stage_open(&s, "plans: { default: free, tiers: { free: { default: [ { name: one, rate: 1/hour "
                   "} ] } } }\n");
    ask_twice(GET(&s, "/rest/v1/x", bearer(&s, ADA)),
              GET(&s, "/rest/v1/y", bearer(&s, "\"sub\":\"bob\"")));
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", bearer(&s, ADA))), 429);
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", bearer(&s, "\"sub\":\"bob\""))), 429);
    stage_close(&s);
}
END_TEST

START_TEST(ids_traces_and_addresses_are_new_for_each) {
    stage_open(&s, "trust: { client_ip: fly }\n");
    ask_twice(GET(&s, "/rest/v1/x",
                  "X-Request-Id: the-first-one\r\nFly-Client-IP: 203.0.113.9\r\nX-Forwarded-Proto: "
                  "https\r\n"
                  "apikey: " ANON "\r\n"),
              GET(&s, "/rest/v1/y",
                  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"));
    ck_assert_str_ne(SEEN(&s, "X-Request-Id"), "the-first-one");
    ck_assert_str_eq(SEEN(&s, "X-Forwarded-For"), "127.0.0.1");
    ck_assert_str_eq(SEEN(&s, "X-Forwarded-Proto"), "http");
    ck_assert_str_eq(SEEN(&s, "apikey"), PUBLISHABLE);
    ck_assert_str_eq(SEEN(&s, "traceparent"),
                     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    stage_close(&s);
}
END_TEST

START_TEST(a_refusal_leaves_nothing_behind) {
    stage_open(&s, "");
    int client = ask(&s, GET(&s, "/none", bearer(&s, ADA)));
    ck_assert_int_eq(hear(&s, client), 404);
    rig_send(s.loop, client, str_of(GET(&s, "/rest/v1/x", "apikey: " SECRET "\r\n")));
    ck_assert_int_eq(hear(&s, client), 403);
    ASSERT_SAYS(&s, "code", "service_caller_refused");
    rig_send(s.loop, client, str_of(GET(&s, "/_jotgate/usage", "")));
    ck_assert_int_eq(hear(&s, client), 200);
    ASSERT_SAYS(&s, "caller", "anonymous");
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order_by_their_own_callers) {
    stage_open(&s, "");
    const char *user = bearer(&s, ADA);
    int client =
        ask(&s, TEXT(&s, "%s%s%s", GET(&s, "/_jotgate/usage", user), GET(&s, "/_jotgate/usage", ""),
                     GET(&s, "/_jotgate/usage", "Connection: close\r\n")));
    static const char *const callers[] = {"user", "anonymous", "anonymous"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(hear(&s, client), 200);
        ASSERT_SAYS(&s, "caller", callers[i]);
    }
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(many_at_once_end_well) {
    enum { N = 100 }; /* more than are kept */
    int clients[N], upstreams[N];
    stage_open(&s, "");
    for (size_t i = 0; i < N; i++) {
        clients[i] = ask(&s, GET(&s, "/rest/v1/x", ""));
        upstreams[i] = rig_accept(s.loop, s.upstream_listener);
    }
    ck_assert_uint_eq(gateway_count_requests(s.gateway), N);
    for (size_t i = 0; i < N; i++) {
        see(&s, upstreams[i]);
        rig_send(s.loop, upstreams[i], STR(OK_HI));
    }
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(hear(&s, clients[i]), 200);
        close(clients[i]), close(upstreams[i]);
    }
    rig_settle(s.loop);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 0);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/exchange", a_users_token_does_not_speak_for_the_next_request,
           a_user_is_not_taken_for_the_one_before, ids_traces_and_addresses_are_new_for_each,
           a_refusal_leaves_nothing_behind,
           pipelined_requests_are_answered_in_order_by_their_own_callers, many_at_once_end_well)
