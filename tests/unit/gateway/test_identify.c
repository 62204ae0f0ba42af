/* SPDX-License-Identifier: MIT */
/* The worker's keys, cache and rules bound to the decision of auth/access; /_jotgate/usage says who was seen. */
#include "gateway/identify.h"

#include "rig.h"

static struct stage s;

static const char *caller(const char *fields) {
    int status = refuse(&s, GET(&s, "/_jotgate/usage", fields));
    if (status != 200)
        return TEXT(&s, "%d", status);
    const char *from = strstr(BODY(&s), "\"caller\":\"") + strlen("\"caller\":\"");
    return TEXT(&s, "%.*s", (int)strcspn(from, "\""), from);
}

static bool counted(const char *line) {
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(s.metrics, &text), 0);
    bool is_there = str_contains(buffer_bytes(&text), str_of(TEXT(&s, "%s\n", line)));
    buffer_release(&text);
    return is_there;
}

START_TEST(a_verified_token_makes_a_user) {
    stage_open(&s, "");
    ck_assert_str_eq(caller(bearer(&s, ADA)), "user");
    ASSERT_SAYS(&s, "subject", "ada");
    stage_close(&s);
}
END_TEST

START_TEST(supabases_other_credentials_are_anonymous) {
    stage_open(&s, "");
    ck_assert_str_eq(caller(""), "anonymous");
    ck_assert_str_eq(caller("apikey: " PUBLISHABLE "\r\nAuthorization: Bearer " PUBLISHABLE "\r\n"),
                     "anonymous");
    ck_assert_str_eq(caller("apikey: " ANON "\r\nAuthorization: Bearer " ANON "\r\n"), "anonymous");
    ck_assert_str_eq(caller("Authorization: Basic eDp5\r\n"), "anonymous");
    ck_assert_str_eq(caller("Authorization: Bearer something-opaque\r\n"), "anonymous");
    stage_close(&s);
}
END_TEST

START_TEST(a_bad_token_is_nobody) {
    stage_open(&s, "");
    struct forge other = forge_key(ALGORITHM_ES256, "k1");
    ck_assert_str_eq(
        caller(TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &other, "k1", ADA, 600))),
        "401");
    ck_assert_str_eq(
        caller(TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -60))),
        "401");
    ck_assert_str_eq(caller(bearer(&s, "\"role\":\"authenticated\"")), "401");
    ck_assert_str_eq(caller("Authorization: Bearer a b\r\n"), "401");
    EVP_PKEY_free(other.key);
    stage_close(&s);
}
END_TEST

START_TEST(service_callers_come_as_the_settings_say) {
    stage_open(&s, "supabase: { url: \"${UPSTREAM}\", secret_key: " SECRET
                   ", service_callers: [\"203.0.113.0/24\"] }\n"
                   "trust: { client_ip: fly }\n");
    ck_assert_str_eq(caller("apikey: " SECRET "\r\n"), "403");
    ck_assert_str_eq(caller("apikey: " SECRET "\r\nFly-Client-IP: 203.0.113.9\r\n"), "service");
    ck_assert_str_eq(
        caller("apikey: sb_secret_of_another_project\r\nFly-Client-IP: 203.0.113.9\r\n"),
        "anonymous");
    ck_assert_str_eq(caller("apikey: sb_secret_of_another_project\r\n"), "403");
    stage_close(&s);
}
END_TEST

START_TEST(an_open_route_looks_at_no_token) {
    stage_open(&s, "");
    const char *expired =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600));
    ck_assert_int_eq(pass(&s, GET(&s, "/auth/v1/user", expired)), 200);
    ck_assert(!counted("jotgate_tokens_total{issuer=\"main\",verdict=\"expired\"} 1"));
    stage_close(&s);
}
END_TEST

START_TEST(tokens_are_counted_by_issuer_verdict_and_cache) {
    stage_open(&s, "");
    caller(bearer(&s, "\"sub\":\"bob\""));
    const char *again = bearer(&s, ADA);
    caller(again), caller(again);
    caller(TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600)));
    caller("");
    ck_assert(counted("jotgate_tokens_total{issuer=\"main\",verdict=\"valid\"} 3"));
    ck_assert(counted("jotgate_tokens_total{issuer=\"main\",verdict=\"expired\"} 1"));
    ck_assert(counted("jotgate_token_cache_total{result=\"hit\"} 1"));
    ck_assert(counted("jotgate_token_cache_total{result=\"miss\"} 3"));
    stage_close(&s);
}
END_TEST

START_TEST(a_token_of_another_issuer_is_counted_nowhere) {
    stage_open(&s, "");
    char *token = forge_token(&s.key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
                              "{\"iss\":\"https://else.test\",\"sub\":\"x\",\"exp\":9999999999}");
    ck_assert_str_eq(caller(TEXT(&s, "Authorization: Bearer %s\r\n", token)), "anonymous");
    free(token);
    ck_assert(counted("jotgate_token_cache_total{result=\"miss\"} 0"));
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/identify", a_verified_token_makes_a_user,
           supabases_other_credentials_are_anonymous, a_bad_token_is_nobody,
           service_callers_come_as_the_settings_say, an_open_route_looks_at_no_token,
           tokens_are_counted_by_issuer_verdict_and_cache,
           a_token_of_another_issuer_is_counted_nowhere)
