/* SPDX-License-Identifier: MIT */
/* Proves gateway/holds.h: so many at once of whatever a limit counts by, from the request to its end. */
#include "gateway/holds.h"

#include "socket_stage.h"

static struct stage s;

#define ROUTE(limits) \
    "routes: [ { path: /ws, access: public, upstream: \"${UPSTREAM}\", limits: [" limits "] } ]\n"
#define TWO "limits: { streams: { key: ip, concurrent: 2 } }\n" ROUTE("streams")

/* A request that is under way: the upstream has it, and has not answered. */
static struct pair begin_with(const char *fields) {
    struct pair pair = {.client = ask(&s, GET(&s, "/ws", fields))};
    pair.upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, pair.upstream);
    return pair;
}

static struct pair begin(void) { return begin_with(""); }

static int end(struct pair *pair, const char *answer) {
    rig_send(s.loop, pair->upstream, str_of(answer));
    close(pair->upstream);
    int status = hear(&s, pair->client);
    close(pair->client);
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
    return status;
}

static void leave(struct pair *pair) {
    close(pair->client);
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
    close(pair->upstream);
}

static int refused(const char *fields) { return refuse(&s, GET(&s, "/ws", fields)); }

START_TEST(one_too_many_is_429_until_an_answer_has_ended) {
    stage_open(&s, "limits: { streams: { key: ip, concurrent: 1 } }\n" ROUTE("streams"));
    struct pair first = begin();
    ck_assert_int_eq(refused(""), 429);
    ASSERT_SAYS(&s, "code", "too_many_streams");
    ASSERT_SAYS(&s, "details", "policy \\\"streams\\\": 1 at once");
    ck_assert_str_eq(FIELD(&s, "Retry-After"), "5");
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"streams\";q=1;qu=\"concurrent-requests\"");
    ck_assert_str_eq(FIELD(&s, "RateLimit"), "\"streams\";r=0");
    ck_assert_int_eq(end(&first, OK_HI), 200);
    ck_assert_str_eq(FIELD(&s, "RateLimit"), "\"streams\";r=0"); /* as it was let in */
    ck_assert_int_eq(pass(&s, GET(&s, "/ws", "")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_body_that_goes_on_holds_its_slot) {
    stage_open(&s, "limits: { streams: { key: ip, concurrent: 1 } }\n" ROUTE("streams"));
    struct pair first = begin();
    rig_send(s.loop, first.upstream,
             STR("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                 "Connection: close\r\n\r\ndata: 1\n\n"));
    ck_assert_int_eq(hear_head(&s, first.client), 200);
    ck_assert_int_eq(refused(""), 429);
    leave(&first);
    ck_assert_int_eq(pass(&s, GET(&s, "/ws", "")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(whatever_ends_a_request_frees_its_slot) {
    stage_open(&s, "limits: { streams: { key: ip, concurrent: 1 } }\n" ROUTE("streams"));
    struct pair left = begin();
    leave(&left);
    struct pair failed = begin();
    ck_assert_int_eq(end(&failed, ""), 502);
    struct pair cut = begin();
    rig_send(s.loop, cut.upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"));
    ck_assert_int_eq(hear_head(&s, cut.client), 200);
    close(cut.upstream);
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
    close(cut.client);
    struct pair answered = begin();
    ck_assert_int_eq(end(&answered, OK_HI), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_websocket_holds_its_slot_to_its_end) {
    stage_open(&s, TWO);
    struct pair first = open_socket(&s), second = begin();
    ck_assert_int_eq(refused(""), 429);
    ck_assert_int_eq(refused(SHAKE), 429);
    close(second.client), close(second.upstream);
    close_socket(&s, &first);
    first = begin(), second = begin();
    ck_assert_int_eq(refused(""), 429);
    close(first.client), close(first.upstream);
    leave(&second);
    stage_close(&s);
}
END_TEST

START_TEST(callers_are_counted_apart) {
    stage_open(&s, "limits: { streams: { key: subject, concurrent: 1 } }\n" ROUTE("streams"));
    const char *ada = bearer(&s, ADA), *bob = bearer(&s, "\"sub\":\"bob\"");
    struct pair adas = begin_with(ada);
    ck_assert_int_eq(refused(ada), 429);
    struct pair bobs = begin_with(bob), nobodys = begin();
    ck_assert_int_eq(refused(bob), 429);
    ck_assert_int_eq(refused(""), 429);
    close(adas.client), close(adas.upstream), close(bobs.client), close(bobs.upstream);
    leave(&nobodys);
    stage_close(&s);
}
END_TEST

START_TEST(a_callers_key_reaches_no_other_limits_slots) {
    stage_open(&s, "limits: { a: { key: \"header:x\", concurrent: 1 }, b: { key: subject, "
                   "concurrent: 1 } }\n" ROUTE("a, b"));
    struct pair adas = begin_with(TEXT(&s, "X: bob\r\n%s", bearer(&s, ADA)));
    struct pair bobs = begin_with(TEXT(&s, "X: ada\r\n%s", bearer(&s, "\"sub\":\"bob\"")));
    close(adas.client), close(adas.upstream);
    leave(&bobs);
    stage_close(&s);
}
END_TEST

START_TEST(what_another_limit_refuses_holds_nothing) {
    stage_open(&s, "limits: { streams: { key: ip, concurrent: 1 }, few: { key: ip, rate: 1/day, "
                   "burst: 1 } }\n" ROUTE("streams, few"));
    struct pair first = begin();
    ck_assert_int_eq(refused(""), 429); /* and is counted by nobody */
    ASSERT_SAYS(&s, "code", "too_many_streams");
    ck_assert_int_eq(end(&first, OK_HI), 200);
    int client = ask(&s, GET(&s, "/ws", ""));
    ck_assert_int_eq(hear(&s, client), 429);
    ASSERT_SAYS(&s, "code", "rate_limited");
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"),
                     "\"few\";q=1;w=86400, \"streams\";q=1;qu=\"concurrent-requests\"");
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), "\"streams\";r=1"));
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(all_slots_or_none) {
    stage_open(&s, "limits: { one: { key: ip, concurrent: 2 }, all: { key: global, concurrent: 1 } "
                   "}\n" ROUTE("one, all"));
    struct pair first = begin();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(refused(""), 429);
    ASSERT_SAYS(&s, "details", "policy \\\"all\\\": 1 at once");
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "")), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "{\"policy\":\"one\",\"key\":\"ip\",\"limit\":2,"
                                           "\"remaining\":1,\"reset_seconds\":0,"
                                           "\"unit\":\"concurrent-requests\"}"));
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"limit\":1,\"remaining\":0"));
    leave(&first);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "")), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"limit\":1,\"remaining\":1"));
    stage_close(&s);
}
END_TEST

START_TEST(shadow_counts_and_refuses_nobody) {
    stage_open(&s,
               "limits: { streams: { key: ip, concurrent: 1, shadow: true } }\n" ROUTE("streams"));
    struct pair first = begin(), second = begin();
    rig_send(s.loop, first.upstream, STR(OK_HI));
    ck_assert_int_eq(hear(&s, first.client), 200);
    ck_assert_ptr_null(FIELD(&s, "RateLimit"));
    close(first.client), close(first.upstream);
    leave(&second);
    stage_close(&s);
}
END_TEST

START_TEST(a_tier_says_how_many_and_a_cost_does_not_matter) {
    stage_open(&s, "plans: { default: free, tiers: { free: { default: [ { name: calls, concurrent: "
                   "1 } ] } } }\nroutes: [ { path: /ws, access: public, upstream: "
                   "\"${UPSTREAM}\", limits: [plan], cost: 7 } ]\n");
    const char *ada = bearer(&s, ADA);
    struct pair first = begin_with(ada);
    ck_assert_int_eq(refused(ada), 429);
    ck_assert_int_eq(end(&first, OK_HI), 200);
    stage_close(&s);
}
END_TEST

START_TEST(without_limits_nobody_holds_anything) {
    stage_open(&s, "limits_mode: off\n" TWO);
    struct pair pairs[3] = {begin(), begin(), begin()};
    for (size_t i = 0; i < 3; i++)
        close(pairs[i].client), close(pairs[i].upstream);
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
    stage_close(&s);
}
END_TEST

START_TEST(a_session_refresh_is_never_told_429) {
    stage_open(&s, "limits: { auth_refresh: { key: ip, concurrent: 1 } }\n");
    const char *request =
        TEXT(&s, "POST /auth/v1/token?grant_type=refresh_token HTTP/1.1\r\nHost: a\r\n"
                 "Content-Length: 2\r\n\r\n{}");
    struct pair first = {.client = ask(&s, request)};
    first.upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, first.upstream);
    ck_assert_int_eq(refuse(&s, request), 503);
    ck_assert_int_eq(end(&first, OK_HI), 200);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/holds", one_too_many_is_429_until_an_answer_has_ended,
           a_body_that_goes_on_holds_its_slot, whatever_ends_a_request_frees_its_slot,
           a_websocket_holds_its_slot_to_its_end, callers_are_counted_apart,
           a_callers_key_reaches_no_other_limits_slots, what_another_limit_refuses_holds_nothing,
           all_slots_or_none, shadow_counts_and_refuses_nobody,
           a_tier_says_how_many_and_a_cost_does_not_matter, without_limits_nobody_holds_anything,
           a_session_refresh_is_never_told_429)
