/* SPDX-License-Identifier: MIT */
/* The gateway's own answers, and what it adds to everybody's. */
#include "gateway/answer.h"

#include "rig.h"

static struct stage s;

#define ORIGIN "Origin: https://app.test\r\n"

static bool exposes(const char *name) {
    struct fields fields = s.answer.head.fields;
    return fields_list_has(fields, FIELD_AC_EXPOSE_HEADERS, str_of(name));
}

/* ---- one body for every client */

START_TEST(a_problem_reads_well_in_every_client) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/none", "")), 404);
    ck_assert_str_eq(FIELD(&s, "Content-Type"), "application/json");
    ck_assert_str_eq(FIELD(&s, "Cache-Control"), "no-store");
    ck_assert_str_eq(FIELD(&s, "Proxy-Status"),
                     "jotgate; error=destination_not_found; details=\"no route matches the path\"");
    ASSERT_SAYS(&s, "message", "no route matches the path");
    ASSERT_SAYS(&s, "detail", "no route matches the path");
    ASSERT_SAYS(&s, "title", "No route for this path");
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"status\":404"));
    ck_assert(!says(&s, "error_code", "no_route"));
    ck_assert_ptr_null(FIELD(&s, "X-Relay-Error"));
    stage_close(&s);
}
END_TEST

START_TEST(auth_and_functions_hear_their_own_dialects) {
    stage_open(&s, "routes: [ { path: /functions/v1/ai, access: user } ]\n");
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/auth/v1/user",
                       "apikey: a\r\napikey: b\r\nX-Supabase-Api-Version: 2024-01-01\r\n")),
        400);
    ASSERT_SAYS(&s, "error_code", "invalid_request");
    ASSERT_SAYS(&s, "msg", "more than one apikey header");
    ck_assert_str_eq(FIELD(&s, "X-Supabase-Api-Version"), "2024-01-01");
    ck_assert_int_eq(refuse(&s, GET(&s, "/functions/v1/ai", "")), 401);
    ck_assert_str_eq(FIELD(&s, "X-Relay-Error"), "true");
    ck_assert_ptr_null(FIELD(&s, "X-Supabase-Api-Version"));
    stage_close(&s);
}
END_TEST

START_TEST(who_accepts_problem_json_gets_it) {
    stage_open(&s, "");
    refuse(&s, GET(&s, "/none", "Accept: text/html, application/problem+json;q=0.9\r\n"));
    ck_assert_str_eq(FIELD(&s, "Content-Type"), "application/problem+json");
    stage_close(&s);
}
END_TEST

START_TEST(head_gets_the_same_fields_and_no_body) {
    stage_open(&s, "");
    refuse(&s, GET(&s, "/none", ""));
    const char *length = FIELD(&s, "Content-Length");
    int client = ask(&s, "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\nHEAD /none HTTP/1.1\r\nHost: "
                         "a\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(hear_head(&s, client), 404);
        ck_assert_str_eq(FIELD(&s, "Content-Length"), length);
        ck_assert_str_eq(FIELD(&s, "Content-Type"), "application/json");
    }
    ck_assert_int_eq(rig_expect_end(s.loop, client), 0);
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(what_is_no_request_is_answered_and_closed) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, "GET /rest/v1/x HTTP/1.1\r\n\r\n"), 400);
    ASSERT_SAYS(&s, "code", "bad_request");
    ck_assert_str_eq(FIELD(&s, "Connection"), "close");
    ck_assert_ptr_nonnull(FIELD(&s, "X-Request-Id"));
    ck_assert_int_eq(refuse(&s, "GET / HTTP/2.0\r\n\r\n"), 505);
    ck_assert_int_eq(
        refuse(&s, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    stage_close(&s);
}
END_TEST

/* ---- CORS */

START_TEST(refusals_carry_cors_for_browsers_alone) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/none", ORIGIN)), 404);
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "*");
    ck_assert(exposes("Retry-After") && exposes("RateLimit") && exposes("X-Request-Id") &&
              exposes("Proxy-Status"));
    ck_assert_int_eq(refuse(&s, GET(&s, "/none", "")), 404);
    ck_assert_ptr_null(FIELD(&s, "Access-Control-Allow-Origin"));
    ck_assert_ptr_null(FIELD(&s, "Access-Control-Expose-Headers"));
    stage_close(&s);
}
END_TEST

START_TEST(an_upstreams_own_cors_is_left_alone) {
    stage_open(&s, "");
    pass_with(&s, GET(&s, "/rest/v1/x", ORIGIN),
              "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: "
              "https://app.test\r\nAccess-Control-Expose-Headers: X-Theirs\r\n"
              "Content-Length: 0\r\nConnection: close\r\n\r\n");
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "https://app.test");
    ck_assert(exposes("X-Theirs") && exposes("RateLimit"));
    pass(&s, GET(&s, "/rest/v1/x", ORIGIN));
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "*");
    stage_close(&s);
}
END_TEST

START_TEST(only_named_origins_are_allowed) {
    stage_open(&s, "cors: { origins: [\"https://app.test\", \"https://two.test\"] }\n");
    refuse(&s, GET(&s, "/none", "Origin: https://two.test\r\n"));
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "https://two.test");
    ck_assert_str_eq(FIELD(&s, "Vary"), "Origin");
    refuse(&s, GET(&s, "/none", "Origin: https://app.test.evil\r\n"));
    ck_assert_ptr_null(FIELD(&s, "Access-Control-Allow-Origin"));
    ck_assert_str_eq(FIELD(&s, "Vary"), "Origin");
    refuse(&s, GET(&s, "/none", "Origin: null\r\n"));
    ck_assert_ptr_null(FIELD(&s, "Access-Control-Allow-Origin"));
    stage_close(&s);
}
END_TEST

START_TEST(a_preflight_allows_what_was_asked_for) {
    stage_open(&s, "");
    const char *request = "OPTIONS /rest/v1/x HTTP/1.1\r\nHost: a\r\n" ORIGIN
                          "Access-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: "
                          "authorization, x-y\r\n\r\n";
    ck_assert_int_eq(refuse(&s, request), 204);
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "*");
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Headers"), "authorization, x-y");
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "Access-Control-Allow-Methods"), "PATCH"));
    ck_assert_str_eq(FIELD(&s, "Access-Control-Max-Age"), "3600");
    ck_assert_ptr_null(FIELD(&s, "Content-Length"));
    ck_assert_ptr_nonnull(FIELD(&s, "X-Request-Id"));
    stage_close(&s);
}
END_TEST

START_TEST(a_preflight_from_elsewhere_is_allowed_nothing) {
    stage_open(&s, "cors: { origins: [\"https://app.test\"] }\n");
    ck_assert_int_eq(
        refuse(&s, "OPTIONS /rest/v1/x HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.test\r\n"
                   "Access-Control-Request-Method: PATCH\r\n\r\n"),
        204);
    ck_assert_ptr_null(FIELD(&s, "Access-Control-Allow-Origin"));
    stage_close(&s);
}
END_TEST

/* ---- limits */

START_TEST(every_limit_that_was_met_is_reported) {
    stage_open(
        &s,
        "limits: { a: { key: ip, rate: 60/minute, burst: 10 }, b: { key: global, rate: 7/hour },\n"
        "  c: { key: ip, rate: 1/hour, shadow: true } }\n"
        "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\", limits: [a, c, b] } ]\n");
    pass(&s, GET(&s, "/api", ""));
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"a\";q=10;w=10, \"b\";q=7;w=3600");
    ck_assert_str_eq(FIELD(&s, "RateLimit"), "\"a\";r=9;t=1, \"b\";r=6;t=515");
    pass(&s, GET(&s, "/api", ""));
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), "\"b\";r=5;t="));
    stage_close(&s);
}
END_TEST

START_TEST(a_limits_refusal_names_the_policy_and_the_wait) {
    stage_open(
        &s, "limits: { a: { key: ip, rate: 2/hour, burst: 1 } }\n"
            "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\", limits: [a] } ]\n");
    pass(&s, GET(&s, "/api", ""));
    ck_assert_int_eq(refuse(&s, GET(&s, "/api", ORIGIN)), 429);
    ASSERT_SAYS(&s, "message", "Too many requests");
    ck_assert_ptr_nonnull(
        strstr(BODY(&s), "\"details\":\"policy \\\"a\\\": 2 requests per hour, 1 at once\""));
    ASSERT_SAYS(&s, "hint", TEXT(&s, "Retry in %s seconds.", FIELD(&s, "Retry-After")));
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "*");
    stage_close(&s);
}
END_TEST

START_TEST(a_quota_reports_its_window_and_the_instant_of_its_return) {
    stage_open(
        &s,
        "limits: { d: { key: ip, quota: 1/day }, w: { key: ip, quota: 9/week } }\n"
        "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\", limits: [d, w] } ]\n");
    pass(&s, GET(&s, "/api", ""));
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"d\";q=1;w=86400, \"w\";q=9;w=604800");
    int64_t midnight_s = 86400 - (now_s(loop_now(s.loop)) % 86400);
    ck_assert_int_eq(refuse(&s, GET(&s, "/api", "")), 429);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"code\":\"quota_exceeded\""));
    ck_assert_ptr_nonnull(strstr(
        BODY(&s), "\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded"));
    ck_assert_ptr_nonnull(strstr(BODY(&s), "policy \\\"d\\\": 1 per day (UTC)"));
    int64_t after_s = atoll(FIELD(&s, "Retry-After"));
    ck_assert_int_le(after_s, midnight_s);
    ck_assert_int_ge(after_s, midnight_s - 60);
    char t[64];
    snprintf(t, sizeof(t), "\"d\";r=0;t=%lld, \"w\";r=8;t=", (long long)after_s);
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), t));
    stage_close(&s);
}
END_TEST

START_TEST(what_cannot_be_retried_sends_no_retry_after) {
    stage_open(&s, "");
    refuse(&s, GET(&s, "/none", ""));
    ck_assert_ptr_null(FIELD(&s, "Retry-After"));
    ck_assert_ptr_null(FIELD(&s, "RateLimit"));
    ck_assert_ptr_null(FIELD(&s, "WWW-Authenticate"));
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/answer", a_problem_reads_well_in_every_client,
           auth_and_functions_hear_their_own_dialects, who_accepts_problem_json_gets_it,
           head_gets_the_same_fields_and_no_body, what_is_no_request_is_answered_and_closed,
           refusals_carry_cors_for_browsers_alone, an_upstreams_own_cors_is_left_alone,
           only_named_origins_are_allowed, a_preflight_allows_what_was_asked_for,
           a_preflight_from_elsewhere_is_allowed_nothing, every_limit_that_was_met_is_reported,
           a_limits_refusal_names_the_policy_and_the_wait,
           a_quota_reports_its_window_and_the_instant_of_its_return,
           what_cannot_be_retried_sends_no_retry_after)
