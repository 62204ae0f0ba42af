/* SPDX-License-Identifier: MIT */
/* The story's refusals, in its order: each one before anything reaches the upstream. */
#include "gateway/pipeline.h"

#include "rig.h"

static struct stage s;

/* ---- route */

START_TEST(a_path_without_a_route_is_404_and_says_so) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/pg/tables", "")), 404);
    ASSERT_SAYS(&s, "code", "no_route");
    ck_assert_int_eq(refuse(&s, GET(&s, "/", "")), 404);
    stage_close(&s);
}
END_TEST

START_TEST(a_denied_route_answers_as_if_it_were_not_there) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/realtime/v1/api/tenants/x", "")), 404);
    ASSERT_SAYS(&s, "code", "no_route");
    ck_assert_int_eq(
        refuse(
            &s,
            TEXT(
                &s,
                "OPTIONS /realtime/v1/api/tenants HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n"
                "Access-Control-Request-Method: GET\r\n\r\n")),
        404);
    stage_close(&s);
}
END_TEST

START_TEST(a_path_that_can_be_read_in_two_ways_is_400) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/auth/v1/../../rest/v1/x", "")), 400);
    ck_assert_int_eq(refuse(&s, GET(&s, "/auth%2fv1/x", "")), 400);
    ASSERT_SAYS(&s, "code", "bad_request");
    stage_close(&s);
}
END_TEST

START_TEST(a_target_that_is_none_is_400) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/%zz", "")), 400);
    ck_assert_int_eq(refuse(&s, GET(&s, "ftp://gw.test/rest/v1/x", "")), 400);
    stage_close(&s);
}
END_TEST

START_TEST(a_method_that_no_route_takes_is_405_with_allow) {
    stage_open(&s, "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\", methods: "
                   "[GET, POST] } ]\n");
    ck_assert_int_eq(refuse(&s, TEXT(&s, "DELETE /api/x HTTP/1.1\r\nHost: a\r\n\r\n")), 405);
    ASSERT_SAYS(&s, "code", "method_not_allowed");
    ck_assert_str_eq(FIELD(&s, "Allow"), "GET, HEAD, POST");
    ck_assert_int_eq(refuse(&s, TEXT(&s, "TRACE /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n")), 405);
    stage_close(&s);
}
END_TEST

START_TEST(a_request_that_passed_here_before_is_508) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", "Via: 1.1 a, 1.1 jotgate-test\r\n")), 508);
    ASSERT_SAYS(&s, "code", "loop_detected");
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", "Via: 1.1 jotgate-other\r\n")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_handshake_without_a_key_is_400) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/realtime/v1/websocket",
                                    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")),
                     400);
    ASSERT_SAYS(&s, "code", "bad_request");
    stage_close(&s);
}
END_TEST

START_TEST(an_upgrade_to_another_protocol_is_ignored) {
    stage_open(&s, "");
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x",
                                  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                  "HTTP2-Settings: AAMAAABk\r\n")),
                     200);
    ck_assert_ptr_null(SEEN(&s, "upgrade"));
    ck_assert_ptr_null(SEEN(&s, "http2-settings"));
    stage_close(&s);
}
END_TEST

START_TEST(an_upgrade_field_that_connection_does_not_name_is_nobodys) {
    stage_open(&s, "");
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", "Upgrade: h2c\r\n")), 200);
    ck_assert_ptr_null(SEEN(&s, "Upgrade"));
    stage_close(&s);
}
END_TEST

START_TEST(a_length_above_the_routes_is_413_before_any_byte_of_it) {
    stage_open(
        &s, "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\", max_body: 4 } ]\n");
    ck_assert_int_eq(refuse(&s, "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), 413);
    ASSERT_SAYS(&s, "code", "payload_too_large");
    ck_assert_int_eq(pass(&s, POST(&s, "/api", "", "1234")), 200);
    ck_assert_str_eq(body_of(&s, &s.seen), "1234");
    stage_close(&s);
}
END_TEST

START_TEST(a_preflight_is_answered_here_and_counts_nothing) {
    stage_open(&s, "limits: { per_ip: { key: ip, rate: 1/hour } }\n"
                   "routes: [ { path: /api, access: user, upstream: \"${UPSTREAM}\", methods: "
                   "[PUT], limits: [per_ip] } ]\n");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            refuse(&s, TEXT(&s, "OPTIONS /api HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n"
                                "Access-Control-Request-Method: "
                                "PUT\r\nAccess-Control-Request-Headers: apikey, x-new\r\n\r\n")),
            204);
        ck_assert_str_eq(FIELD(&s, "Access-Control-Allow-Headers"), "apikey, x-new");
    }
    ck_assert_int_eq(pass(&s, TEXT(&s, "PUT /api HTTP/1.1\r\nHost: a\r\n%s\r\n", bearer(&s, ADA))),
                     200);
    stage_close(&s);
}
END_TEST

START_TEST(options_without_an_origin_is_a_request_like_any_other) {
    stage_open(&s, "");
    ck_assert_int_eq(pass(&s, TEXT(&s, "OPTIONS /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
    ck_assert_str_eq(seen_line(&s), "OPTIONS /rest/v1/x");
    stage_close(&s);
}
END_TEST

/* ---- authenticate */

#define USER_ROUTE \
    "routes: [ { path: /rest/v1/mine, access: user }, { path: /app, access: user, upstream: " \
    "\"${UPSTREAM}\" } ]\n"

START_TEST(no_token_where_one_is_needed_is_401_without_an_error) {
    stage_open(&s, USER_ROUTE);
    ck_assert_int_eq(refuse(&s, GET(&s, "/app", "")), 401);
    ASSERT_SAYS(&s, "code", "no_authorization");
    ck_assert_str_eq(FIELD(&s, "WWW-Authenticate"), "Bearer realm=\"jotgate\"");
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/app",
                       "apikey: " PUBLISHABLE "\r\nAuthorization: Bearer " PUBLISHABLE "\r\n")),
        401);
    ASSERT_SAYS(&s, "code", "no_authorization");
    stage_close(&s);
}
END_TEST

START_TEST(a_bad_token_is_401_and_says_why) {
    stage_open(&s, USER_ROUTE);
    const char *token = token_of(&s, ADA);
    size_t n = strlen(token);
    const char *forged = TEXT(&s, "%.*s%c%s", (int)(n - 20), token,
                              token[n - 20] == 'A' ? 'B' : 'A', token + n - 19);
    ck_assert_int_eq(refuse(&s, GET(&s, "/app", TEXT(&s, "Authorization: Bearer %s\r\n", forged))),
                     401);
    ASSERT_SAYS(&s, "code", "bad_jwt");
    ck_assert_ptr_nonnull(
        strstr(FIELD(&s, "WWW-Authenticate"),
               "error=\"invalid_token\", error_description=\"the token's signature"));
    ck_assert_int_eq(refuse(&s, GET(&s, "/app", "Authorization: Bearer nonsense\r\n")), 401);
    ASSERT_SAYS(&s, "code", "bad_jwt");
    ck_assert_int_eq(refuse(&s, GET(&s, "/app", "Authorization: Bearer\r\n")), 401);
    stage_close(&s);
}
END_TEST

START_TEST(an_expired_token_has_a_code_of_its_own) {
    stage_open(&s, USER_ROUTE);
    const char *expired =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600));
    ck_assert_int_eq(refuse(&s, GET(&s, "/app", expired)), 401);
    ASSERT_SAYS(&s, "code", "token_expired");
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/mine", expired)), 401);
    ASSERT_SAYS(&s, "code", "PGRST303");
    ASSERT_SAYS(&s, "message", "JWT expired");
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/public", expired)), 401);
    ASSERT_SAYS(&s, "code", "PGRST303");
    stage_close(&s);
}
END_TEST

START_TEST(two_credentials_of_a_kind_are_400) {
    stage_open(&s, "");
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/rest/v1/x", TEXT(&s, "%s%s", bearer(&s, ADA), bearer(&s, ADA)))), 400);
    ASSERT_SAYS(&s, "code", "invalid_request");
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "WWW-Authenticate"), "error=\"invalid_request\""));
    ck_assert_int_eq(refuse(&s, GET(&s, "/auth/v1/user", "apikey: a\r\napikey: b\r\n")), 400);
    stage_close(&s);
}
END_TEST

START_TEST(keys_that_were_never_had_are_503_not_401) {
    stage_prepare(&s, "");
    stage_start(&s);
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", bearer(&s, ADA))), 503);
    ASSERT_SAYS(&s, "code", "keys_unavailable");
    ck_assert_str_eq(FIELD(&s, "Retry-After"), "5");
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", "apikey: " PUBLISHABLE "\r\n")), 200);
    stage_close(&s);
}
END_TEST

/* ---- authorize */

START_TEST(a_service_key_from_outside_is_403) {
    stage_open(&s, "");
    ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", "apikey: " SECRET "\r\n")), 403);
    ASSERT_SAYS(&s, "code", "service_caller_refused");
    ck_assert_ptr_null(FIELD(&s, "WWW-Authenticate"));
    stage_close(&s);
}
END_TEST

START_TEST(claims_that_do_not_allow_it_are_403) {
    stage_open(&s, "routes: [ { path: /admin, access: user, upstream: \"${UPSTREAM}\", require: { "
                   "app_metadata.role: admin } } ]\n");
    ck_assert_int_eq(refuse(&s, GET(&s, "/admin", bearer(&s, ADA))), 403);
    ASSERT_SAYS(&s, "code", "insufficient_scope");
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "WWW-Authenticate"), "error=\"insufficient_scope\""));
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/admin", bearer(&s, ADA ",\"app_metadata\":{\"role\":\"adm\"}"))), 403);
    ck_assert_int_eq(
        pass(&s, GET(&s, "/admin", bearer(&s, ADA ",\"app_metadata\":{\"role\":\"admin\"}"))), 200);
    stage_close(&s);
}
END_TEST

START_TEST(scopes_are_words_in_any_order) {
    static const char *const MET[] = {"\"read write\"", "\"write\"", "[\"read\",\"write\"]",
                                      "\"manage everything\"", "[\"everything\",\"manage\"]"};
    static const char *const UNMET[] = {
        "\"rewrite\"", "\"writes read\"", "\"\"",  "[\"read\"]",    "\"read,write\"",
        "\"WRITE\"",   "\"everything\"",  "\" \"", "{\"write\":1}", "\"read\\twrite\""};
    stage_open(&s, "routes: [ { path: /x, access: user, upstream: \"${UPSTREAM}\", require: { "
                   "scope: [write, everything manage] } } ]\n");
    for (size_t i = 0; i < sizeof(MET) / sizeof(MET[0]); i++)
        ck_assert_int_eq(pass(&s, GET(&s, "/x", bearer(&s, TEXT(&s, ADA ",\"scope\":%s", MET[i])))),
                         200);
    for (size_t i = 0; i < sizeof(UNMET) / sizeof(UNMET[0]); i++)
        ck_assert_int_eq(
            refuse(&s, GET(&s, "/x", bearer(&s, TEXT(&s, ADA ",\"scope\":%s", UNMET[i])))), 403);
    stage_close(&s);
}
END_TEST

START_TEST(only_the_claim_scope_is_words) {
    stage_open(&s, "routes: [ { path: /x, access: user, upstream: \"${UPSTREAM}\", require: { "
                   "app_metadata.scope: write } } ]\n");
    ck_assert_int_eq(
        refuse(&s, GET(&s, "/x", bearer(&s, ADA ",\"app_metadata\":{\"scope\":\"read write\"}"))),
        403);
    ck_assert_int_eq(
        pass(&s, GET(&s, "/x", bearer(&s, ADA ",\"app_metadata\":{\"scope\":\"write\"}"))), 200);
    stage_close(&s);
}
END_TEST

START_TEST(who_shows_no_claims_meets_no_rule) {
    stage_open(&s, "routes: [ { path: /staff, access: public, upstream: \"${UPSTREAM}\", "
                   "require: { staff: \"true\" } } ]\n");
    ck_assert_int_eq(refuse(&s, GET(&s, "/staff", "")), 403);
    ASSERT_SAYS(&s, "code", "insufficient_scope");
    ck_assert_int_eq(pass(&s, GET(&s, "/staff", bearer(&s, ADA ",\"staff\":true"))), 200);
    stage_close(&s);
}
END_TEST

/* ---- limit */

#define TWO_AN_HOUR \
    "plans: { default: free, tiers: { free: { default: [ { name: burst, rate: 60/hour, burst: 2 " \
    "} ] } } }\n" \
    "limits: { per_ip: { key: ip, rate: 60/hour, burst: 1, for: anonymous } }\n"

START_TEST(a_used_up_limit_is_429_with_whole_seconds) {
    stage_open(&s, TWO_AN_HOUR);
    const char *request = GET(&s, "/rest/v1/x", bearer(&s, ADA));
    ck_assert_int_eq(pass(&s, request), 200);
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"burst\";q=2;w=120");
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), "\"burst\";r=1;t="));
    ck_assert_int_eq(pass(&s, request), 200);
    ck_assert_int_eq(refuse(&s, request), 429);
    ASSERT_SAYS(&s, "code", "rate_limited");
    uint64_t wait_s;
    ck_assert(str_to_u64(str_of(FIELD(&s, "Retry-After")), &wait_s));
    ck_assert_uint_ge(wait_s, 50);
    ck_assert_uint_le(wait_s, 60);
    ck_assert_str_eq(FIELD(&s, "RateLimit"),
                     TEXT(&s, "\"burst\";r=0;t=%llu", (unsigned long long)wait_s));
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", bearer(&s, "\"sub\":\"bob\""))), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_refused_token_costs_its_owner_nothing) {
    stage_open(&s, TWO_AN_HOUR);
    const char *expired =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(refuse(&s, GET(&s, "/rest/v1/x", expired)), 401);
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", bearer(&s, ADA))), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_refresh_is_never_refused_by_a_4xx) {
    stage_open(&s, "limits: { auth_refresh: { key: ip, rate: 60/hour, burst: 1 } }\n");
    const char *refresh = POST(&s, "/auth/v1/token?grant_type=refresh_token", "", "{}");
    ck_assert_int_eq(pass(&s, refresh), 200);
    ck_assert_int_eq(refuse(&s, refresh), 503);
    ASSERT_SAYS(&s, "code", "over_request_rate_limit");
    ASSERT_SAYS(&s, "error_code", "over_request_rate_limit");
    ck_assert_ptr_nonnull(FIELD(&s, "Retry-After"));
    ck_assert_int_eq(pass(&s, POST(&s, "/auth/v1/token?grant_type=password", "", "{}")), 200);
    stage_close(&s);
}
END_TEST

START_TEST(only_a_refresh_meets_the_refresh_ceiling) {
    stage_open(&s, "limits: { auth_refresh: { key: ip, rate: 60/hour, burst: 1 }, "
                   "per_ip: { key: ip, rate: 60/hour, burst: 3 } }\n");
    ck_assert_int_eq(pass(&s, POST(&s, "/auth/v1/otp?grant_type=refresh_token", "", "{}")), 200);
    ck_assert_int_eq(pass(&s, GET(&s, "/auth/v1/token?grant_type=refresh_token", "")), 200);
    const char *two = "/auth/v1/token?grant_type=refresh_token&grant_type=password";
    ck_assert_int_eq(pass(&s, POST(&s, two, "", "{}")), 200);
    ck_assert_int_eq(refuse(&s, POST(&s, "/auth/v1/otp?grant_type=refresh_token", "", "{}")), 429);
    stage_close(&s);
}
END_TEST

START_TEST(auths_own_limit_speaks_auths_language) {
    stage_open(&s, TWO_AN_HOUR);
    ck_assert_int_eq(pass(&s, POST(&s, "/auth/v1/otp", "", "{}")), 200);
    ck_assert_int_eq(refuse(&s, POST(&s, "/auth/v1/otp", "", "{}")), 429);
    ASSERT_SAYS(&s, "code", "over_request_rate_limit");
    ASSERT_SAYS(&s, "error_code", "over_request_rate_limit");
    stage_close(&s);
}
END_TEST

START_TEST(a_shadow_limit_refuses_nobody) {
    stage_open(&s, "limits_mode: shadow\n" TWO_AN_HOUR);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", "")), 200);
    ck_assert_ptr_null(FIELD(&s, "RateLimit"));
    stage_close(&s);
}
END_TEST

/* ---- forward */

START_TEST(an_upstream_that_is_not_there_is_502) {
    struct endpoint deaf;
    char url[64];
    int fd = rig_deaf(&deaf);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", rig_port(&deaf));
    setenv("DEAF", url, 1);
    stage_open(&s, "routes: [ { path: /deaf, access: open, upstream: \"${DEAF}\" } ]\n");
    ck_assert_int_eq(refuse(&s, GET(&s, "/deaf", "")), 502);
    ASSERT_SAYS(&s, "code", "upstream_unreachable");
    stage_close(&s);
    close(fd);
}
END_TEST

START_TEST(an_upstream_that_breaks_before_an_answer_is_502) {
    stage_open(&s, "");
    ck_assert_int_eq(pass_with(&s, POST(&s, "/rest/v1/x", "", "1"), ""), 502);
    ASSERT_SAYS(&s, "code", "upstream_broken");
    ck_assert_int_eq(pass_with(&s, POST(&s, "/rest/v1/x", "", "1"),
                               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
                     502);
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_that_does_not_answer_in_time_is_504) {
    stage_open(&s, "routes: [ { path: /slow, access: open, upstream: \"${UPSTREAM}\", timeouts: { "
                   "first_byte: 30ms } } ]\n");
    int client = ask(&s, GET(&s, "/slow", "")), upstream = rig_accept(s.loop, s.upstream_listener);
    ck_assert_int_eq(hear(&s, client), 504);
    ASSERT_SAYS(&s, "code", "upstream_timeout");
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/pipeline", a_path_without_a_route_is_404_and_says_so,
           a_denied_route_answers_as_if_it_were_not_there,
           a_path_that_can_be_read_in_two_ways_is_400, a_target_that_is_none_is_400,
           a_method_that_no_route_takes_is_405_with_allow, a_request_that_passed_here_before_is_508,
           a_handshake_without_a_key_is_400, an_upgrade_to_another_protocol_is_ignored,
           an_upgrade_field_that_connection_does_not_name_is_nobodys,
           a_length_above_the_routes_is_413_before_any_byte_of_it,
           a_preflight_is_answered_here_and_counts_nothing,
           options_without_an_origin_is_a_request_like_any_other,
           no_token_where_one_is_needed_is_401_without_an_error, a_bad_token_is_401_and_says_why,
           an_expired_token_has_a_code_of_its_own, two_credentials_of_a_kind_are_400,
           keys_that_were_never_had_are_503_not_401, a_service_key_from_outside_is_403,
           claims_that_do_not_allow_it_are_403, scopes_are_words_in_any_order,
           only_the_claim_scope_is_words, who_shows_no_claims_meets_no_rule,
           a_used_up_limit_is_429_with_whole_seconds, a_refused_token_costs_its_owner_nothing,
           a_refresh_is_never_refused_by_a_4xx, only_a_refresh_meets_the_refresh_ceiling,
           auths_own_limit_speaks_auths_language, a_shadow_limit_refuses_nobody,
           an_upstream_that_is_not_there_is_502, an_upstream_that_breaks_before_an_answer_is_502,
           an_upstream_that_does_not_answer_in_time_is_504)
