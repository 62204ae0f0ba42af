/* SPDX-License-Identifier: MIT */
#include "gateway/own_paths.h"

#include "rig.h"

static struct stage s;

/* A route for everything: what is reserved must not reach it. */
#define EVERYTHING \
    "builtin: none\nroutes: [ { path: /, access: public, upstream: \"${UPSTREAM}\" } ]\n"

START_TEST(alive_is_alive) {
    stage_open(&s, EVERYTHING);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/health", "")), 200);
    ck_assert_str_eq(BODY(&s), "{\"status\":\"ok\"}\n");
    ck_assert_str_eq(FIELD(&s, "Cache-Control"), "no-store");
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/_jotgate/health?x=1", "Authorization: Bearer nonsense\r\n")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(who_drains_is_not_well) {
    stage_open(&s, EVERYTHING);
    gateway_drain(s.gateway);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/health", "")), 503);
    ASSERT_SAYS(&s, "code", "draining");
    ck_assert_str_eq(FIELD(&s, "Connection"), "close");
    stage_close(&s);
}
END_TEST

START_TEST(every_spelling_stays_here) {
    static const char *const spellings[] = {
        "/_jotgate",
        "/_jotgate/",
        "/_jotgate/other",
        "/_JOTGATE/health",
        "/%5Fjotgate/health",
        "/_jotgate%2Fhealth",
        "//_jotgate/health",
        "/x/../_jotgate/usage",
        "/%255fjotgate/health",
        "/_jotgate;x/health",
        "/%5fjotgate/%252e%252e/x",
    };
    stage_open(&s, EVERYTHING);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
        ck_assert_msg(refuse(&s, GET(&s, spellings[i], "")) == 404, "%s: %d", spellings[i],
                      s.answer.head.status);
    ASSERT_SAYS(&s, "detail", "no such path: expected /_jotgate/usage or /_jotgate/health");
    ASSERT_SAYS(&s, "hint", "Check the path; the gateway takes these in one spelling only.");
    ck_assert_int_eq(pass(&s, GET(&s, "/_jotgates", "")), 200);
    ck_assert_int_eq(pass(&s, GET(&s, "/x/_jotgate/health", "")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(only_reading_is_allowed) {
    stage_open(&s, EVERYTHING);
    ck_assert_int_eq(refuse(&s, POST(&s, "/_jotgate/usage", "", "{}")), 405);
    ck_assert_str_eq(FIELD(&s, "Allow"), "GET, HEAD");
    ck_assert_int_eq(refuse(&s, TEXT(&s, "DELETE /_jotgate/health HTTP/1.1\r\nHost: a\r\n\r\n")),
                     405);
    stage_close(&s);
}
END_TEST

START_TEST(an_app_may_ask_from_a_browser) {
    stage_open(&s, EVERYTHING);
    ck_assert_int_eq(
        refuse(&s, "OPTIONS /_jotgate/usage HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n"
                   "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: "
                   "authorization\r\n\r\n"),
        204);
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Headers"), "authorization");
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "Origin: https://a.test\r\n")), 200);
    ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Origin"), "*");
    stage_close(&s);
}
END_TEST

#define LIMITS \
    "plans: { default: free, tiers: { free: { default: [ { name: burst, rate: 60/hour, burst: 9 " \
    "} ] } } }\n" \
    "limits: { per_ip: { key: ip, rate: 60/hour, burst: 5, for: anonymous } }\n"

START_TEST(a_user_sees_what_is_left_and_uses_none_of_it) {
    stage_open(&s, LIMITS EVERYTHING);
    const char *user = bearer(&s, ADA);
    pass(&s, GET(&s, "/x", user));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", user)), 200);
        ck_assert_ptr_nonnull(strstr(BODY(&s),
                                     "{\"caller\":\"user\",\"subject\":\"ada\",\"limits\":[{"
                                     "\"policy\":\"burst\",\"key\":\"subject\","
                                     "\"limit\":9,\"remaining\":8,\"reset_seconds\":"));
        ck_assert_ptr_null(strstr(BODY(&s), "per_ip"));
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_user_sees_every_group_of_the_plan_and_no_other_plans) {
    stage_open(&s, "plans: { default: free, tiers: { free: { ai: [ { name: burst, rate: 60/hour, "
                   "burst: 3 }, { name: runs, concurrent: 2 } ], default: [ { name: burst, rate: "
                   "60/hour, burst: 9 } ] }, pro: { gold: [ { name: gold, quota: 7/day } ] } } }\n"
                   "routes: [ { path: /ai, access: user, upstream: \"${UPSTREAM}\", limits: "
                   "[plan.ai] } ]\n");
    const char *user = bearer(&s, ADA);
    pass(&s, GET(&s, "/ai", user));
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit-Policy"), "\"burst\";q=3"));
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", user)), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"limits\":[{\"policy\":\"burst\",\"key\":\"subject\","
                                           "\"limit\":9,\"remaining\":9,\"reset_seconds\":0}"));
    ck_assert_ptr_nonnull(strstr(BODY(&s), "{\"policy\":\"burst\",\"key\":\"subject\",\"limit\":3,"
                                           "\"remaining\":2,"));
    ck_assert_ptr_nonnull(strstr(BODY(&s), ",\"group\":\"ai\"},{\"policy\":\"runs\""));
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"unit\":\"concurrent-requests\",\"group\":\"ai\"}]}"));
    ck_assert_ptr_null(strstr(BODY(&s), "gold"));
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"burst\";q=9;w=540");
    stage_close(&s);
}
END_TEST

/* As many as one request may meet are told; of more it is said that they are there. */
START_TEST(limits_that_are_left_out_are_counted) {
    for (int n = 7; n <= 11; n++) {
        char yaml[2048], said[32];
        size_t used =
            (size_t)snprintf(yaml, sizeof(yaml),
                             "plans: { default: free, tiers: { free: { default: [ { name: "
                             "main, rate: 60/hour } ], more: [");
        for (int i = 1; i < n; i++)
            used += (size_t)snprintf(yaml + used, sizeof(yaml) - used,
                                     "%s{ name: l%d, quota: 5/day }", i > 1 ? ", " : " ", i);
        snprintf(yaml + used, sizeof(yaml) - used, "] } } }\n" EVERYTHING);
        stage_open(&s, yaml);
        ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", bearer(&s, ADA))), 200);
        snprintf(said, sizeof(said), ",\"left_out\":%d,\"limits\":[", n - LIMITER_CHARGES_MAX);
        if (n > LIMITER_CHARGES_MAX)
            ck_assert_msg(strstr(BODY(&s), said), "%s", BODY(&s));
        else
            ck_assert_ptr_null(strstr(BODY(&s), "left_out"));
        ck_assert_ptr_null(strstr(BODY(&s), "degraded"));
        stage_close(&s);
    }
}
END_TEST

START_TEST(an_anonymous_caller_sees_the_limits_of_the_address) {
    stage_open(&s, LIMITS EVERYTHING);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "")), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "{\"caller\":\"anonymous\",\"subject\":null,\"limits\":["
                                           "{\"policy\":\"per_ip\",\"key\":\"ip\","
                                           "\"limit\":5,\"remaining\":5,\"reset_seconds\":0}]}"));
    stage_close(&s);
}
END_TEST

START_TEST(a_quota_says_when_its_window_begins_and_ends) {
    stage_open(&s, "limits: { per_ip: { key: ip, quota: 5/month, timezone: Asia/Kathmandu, for: "
                   "anonymous } }\n" EVERYTHING);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "")), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"limit\":5,\"remaining\":5,\"reset_seconds\":0,"
                                           "\"per\":\"month\",\"timezone\":\"Asia/Kathmandu\","
                                           "\"window_start\":\""));
    ck_assert_ptr_nonnull(strstr(BODY(&s), "T18:15:00.000Z\"}]}"));
    stage_close(&s);
}
END_TEST

START_TEST(usage_wants_no_bad_token) {
    stage_open(&s, LIMITS EVERYTHING);
    const char *expired =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600));
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", expired)), 401);
    ck_assert_int_eq(refuse(&s, GET(&s, "/_jotgate/usage", "apikey: " SECRET "\r\n")), 403);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/own_paths", alive_is_alive, who_drains_is_not_well, every_spelling_stays_here,
           only_reading_is_allowed, an_app_may_ask_from_a_browser,
           a_user_sees_what_is_left_and_uses_none_of_it,
           a_user_sees_every_group_of_the_plan_and_no_other_plans,
           limits_that_are_left_out_are_counted, an_anonymous_caller_sees_the_limits_of_the_address,
           a_quota_says_when_its_window_begins_and_ends, usage_wants_no_bad_token)
