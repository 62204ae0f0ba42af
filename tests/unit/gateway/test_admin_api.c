/* SPDX-License-Identifier: MIT */
/* Proves gateway/admin_api.h without Redis; with one, tests/story/test_subjects.py does. */
#include "gateway/admin_api.h"

#include "rig.h"

#define PLANS \
    "# with an admin token\n" \
    "plans: { default: free, tiers: {\n" \
    "  free: { default: [ { name: daily, quota: 2/day } ] },\n" \
    "  pro: { default: [ { name: daily, quota: 9/day } ] } } }\n" \
    "deny_list: { max: 2, keep: 1h }\nsubjects: { max: 2 }\n" \
    "routes:\n" \
    "  - { path: /a, access: user, limits: [plan], upstream: \"${UPSTREAM}\" }\n"
#define TOKEN "Authorization: Bearer " ADMIN_TOKEN "\r\n"

static struct stage s;

static int call(const char *method, const char *path, const char *fields, const char *body) {
    return refuse(&s, TEXT(&s, "%s %s HTTP/1.1\r\nHost: gw.test\r\n%sContent-Length: %zu\r\n\r\n%s",
                           method, path, fields, strlen(body), body));
}
static int put(const char *path, const char *body) { return call("PUT", path, TOKEN, body); }
static int post(const char *path, const char *body) { return call("POST", path, TOKEN, body); }

/* The answer's line of a policy. */
static void says_of(const char *policy, int limit, int remaining, int used) {
    const char *row = strstr(BODY(&s), TEXT(&s,
                                            "{\"policy\":\"%s\",\"key\":\"subject\",\"limit\":%d,"
                                            "\"remaining\":%d,\"reset_seconds\":",
                                            policy, limit, remaining));
    ck_assert_msg(row != NULL, "%s", BODY(&s));
    const char *end = strchr(row, '}'), *says_used = TEXT(&s, ",\"used\":%d}", used);
    ck_assert_msg(strncmp(end + 1 - strlen(says_used), says_used, strlen(says_used)) == 0, "%s",
                  row);
}

/* What a worker's loop does with the feed's mail. */
static void hear_news(void) {
    struct news *news = feed_news(s.feed);
    gateway_set_news(s.gateway, news);
    news_unref(news);
}

static const char *as_ada(void) { return GET(&s, "/a", bearer(&s, ADA ",\"iat\":1000")); }

START_TEST(without_a_token_in_the_settings_the_paths_do_not_exist) {
    stage_open(&s, "");
    ck_assert_int_eq(put("/_jotgate/subjects/ada", "{}"), 404);
    ck_assert_int_eq(post("/_jotgate/deny", "{}"), 404);
    stage_close(&s);
}
END_TEST

START_TEST(who_has_not_the_token_is_refused_and_soon_not_even_looked_at) {
    stage_open(&s, PLANS "auth_failures: { rate: 3/hour }\n");
    ck_assert_int_eq(call("PUT", "/_jotgate/subjects/ada", "", "{}"), 401);
    ck_assert_int_eq(
        call("PUT", "/_jotgate/subjects/ada", "Authorization: Bearer " ADMIN_TOKEN "4\r\n", "{}"),
        401);
    ck_assert_int_eq(call("PUT", "/_jotgate/subjects/ada", "Authorization: Bearer admin\r\n", "{}"),
                     401);
    ck_assert_int_eq(call("PUT", "/_jotgate/subjects/ada", "", "{}"), 429);
    ASSERT_SAYS(&s, "code", "too_many_failures");
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"auth_failures\";q=3;w=3600");
    ck_assert_int_eq(put("/_jotgate/subjects/ada", "{}"), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_record_is_written_read_and_forgotten) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(put("/_jotgate/subjects/a%2Fd%61", "{\"plan\":\"pro\",\"anchor_day\":3}"),
                     200);
    ck_assert_str_eq(BODY(&s), "{\"subject\":\"a/da\",\"plan\":\"pro\",\"status\":null,"
                               "\"anchor_day\":3}\n");
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/a%2fda", TOKEN, ""), 200);
    ASSERT_SAYS(&s, "plan", "pro");
    ck_assert_int_eq(put("/_jotgate/subjects/a%2Fda", "{}"), 200);
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/a%2fda", TOKEN, ""), 200);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "\"plan\":null"));
    stage_close(&s);
}
END_TEST

START_TEST(a_payer_is_let_in) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(refuse(&s, as_ada()), 429);
    ck_assert_int_eq(put("/_jotgate/subjects/ada", "{\"plan\":\"pro\"}"), 200);
    hear_news();
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    stage_close(&s);
}
END_TEST

START_TEST(what_was_used_is_given_back_and_charged) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/charge", "{\"policy\":\"daily\",\"n\":2}"), 200);
    says_of("free/default/daily", 2, 0, 2);
    says_of("pro/default/daily", 9, 7, 2);
    ck_assert_int_eq(refuse(&s, as_ada()), 429);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant", "{\"policy\":\"daily\",\"n\":1}"), 200);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(refuse(&s, as_ada()), 429);
    stage_close(&s);
}
END_TEST

START_TEST(what_was_used_is_told_and_forgotten) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/ada/usage", TOKEN, ""), 200);
    says_of("free/default/daily", 2, 1, 1);
    says_of("pro/default/daily", 9, 8, 1);
    ck_assert_int_eq(
        post("/_jotgate/subjects/ada/charge", "{\"policy\":\"free/default/daily\",\"n\":5}"), 200);
    says_of("free/default/daily", 2, 0, 6); /* the debt, too */
    ck_assert_int_eq(refuse(&s, as_ada()), 429);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/reset", ""), 200);
    says_of("free/default/daily", 2, 2, 0);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/bob/usage", TOKEN, ""), 200);
    says_of("free/default/daily", 2, 2, 0);
    stage_close(&s);
}
END_TEST

START_TEST(what_shares_no_counter_is_changed_in_each) {
    stage_open(&s, "# with an admin token\n"
                   "plans: { default: free, tiers: {\n"
                   "  free: { default: [ { name: burst, rate: 60/hour, burst: 5 },"
                   "                     { name: streams, concurrent: 2 } ] },\n"
                   "  pro: { default: [ { name: burst, rate: 60/hour, burst: 9 } ] } } }\n"
                   "limits: { per_ip: { key: ip, rate: 7/hour } }\n");
    ck_assert_int_eq(post("/_jotgate/subjects/ada/charge", "{\"policy\":\"burst\",\"n\":3}"), 200);
    says_of("free/default/burst", 5, 2, 3);
    says_of("pro/default/burst", 9, 6, 3);
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/ada/usage", TOKEN, ""), 200);
    ck_assert_ptr_nonnull(
        strstr(BODY(&s), "{\"policy\":\"free/default/streams\",\"key\":\"subject\",\"limit\":2,"
                         "\"remaining\":2,\"reset_seconds\":0,"
                         "\"unit\":\"concurrent-requests\",\"used\":0}"));
    ck_assert_ptr_null(strstr(BODY(&s), "per_ip"));
    ck_assert_ptr_null(FIELD(&s, "RateLimit")); /* the subject's, not the operator's */
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant", "{\"policy\":\"streams\",\"n\":1}"), 400);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant", "{\"policy\":\"per_ip\",\"n\":1}"), 400);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant", "{\"policy\":\"\",\"n\":1}"), 400);
    stage_close(&s);
}
END_TEST

START_TEST(who_was_revoked_signs_in_anew) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/revoke", ""), 200);
    hear_news();
    ck_assert_int_eq(refuse(&s, as_ada()), 401);
    struct now now = clock_now();
    ck_assert_int_eq(
        pass(&s,
             GET(&s, "/a", bearer(&s, TEXT(&s, ADA ",\"iat\":%lld", (long long)now_s(&now) + 2)))),
        200);
    stage_close(&s);
}
END_TEST

START_TEST(who_is_denied_is_out_until_it_is_lifted) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(post("/_jotgate/deny", "{\"subject\":\"ada\",\"for\":\"1h\"}"), 200);
    ASSERT_SAYS(&s, "denied", "subject:ada");
    hear_news();
    ck_assert_int_eq(refuse(&s, as_ada()), 403);
    ck_assert_int_eq(post("/_jotgate/deny", "{\"for\":\"0s\",\"subject\":\"ada\"}"), 200);
    hear_news();
    ck_assert_int_eq(pass(&s, as_ada()), 200);
    ck_assert_int_eq(post("/_jotgate/deny", "{\"jti\":\"1\"}"), 200);
    ck_assert_int_eq(post("/_jotgate/deny", "{\"jti\":\"2\"}"), 200);
    ck_assert_int_eq(post("/_jotgate/deny", "{\"jti\":\"3\"}"), 503);
    stage_close(&s);
}
END_TEST

START_TEST(garbage_is_refused_and_told_what_is_wrong) {
    static const struct {
        const char *path, *body, *says;
    } rows[] = {
        {"/_jotgate/deny", "", "JSON object"},
        {"/_jotgate/deny", "{}", "expected one of"},
        {"/_jotgate/deny", "{\"subject\":\"\"}", "not empty"},
        {"/_jotgate/deny", "{\"subject\":7}", "subject: expected a string that is not empty"},
        {"/_jotgate/deny", "{\"jti\":\"\"}", "jti: expected a string that is not empty"},
        {"/_jotgate/deny", "[]", "the body: expected one JSON object"},
        {"/_jotgate/deny", "{", "the body: expected a JSON object; "},
        {"/_jotgate/deny", "{\"jti\":\"a\",\"jti\":\"b\"}", "the body: expected a JSON object; "},
        {"/_jotgate/deny", "{\"subject\":\"a\",\"ip\":\"::1\"}", "expected one of"},
        {"/_jotgate/deny", "{\"ip\":\"10.0.0.0/8\"}", "ip: expected an address like"},
        {"/_jotgate/deny", "{\"jti\":\"a\",\"for\":\"soon\"}", "for:"},
        {"/_jotgate/deny", "{\"jti\":\"a\",\"for\":3600}", "for:"},
        {"/_jotgate/deny", "{\"jti\":\"a\",\"until\":\"1h\"}", "expected one of"},
        {"/_jotgate/subjects/ada/grant", "{\"policy\":\"daily\"}", "policy and n"},
        {"/_jotgate/subjects/ada/grant", "{\"policy\":\"weekly\",\"n\":1}", "policy:"},
        {"/_jotgate/subjects/ada/grant", "{\"policy\":\"daily\",\"n\":0}", "n:"},
        {"/_jotgate/subjects/ada/grant", "{\"policy\":\"daily\",\"n\":-1}", "n:"},
        {"/_jotgate/subjects/ada/charge", "{\"policy\":\"daily\",\"n\":1e3}", "n:"},
        {"/_jotgate/subjects/ada/charge", "{\"policy\":\"daily\",\"n\":99999999999999999999999}",
         "a number is out of range"},
        {"/_jotgate/subjects/%/revoke", "", "subject"},
        {"/_jotgate/subjects/%ff/revoke", "", "UTF-8"},
        {"/_jotgate/subjects/%ed%a0%80/revoke", "", "UTF-8"},
        {"/_jotgate/subjects/caf%c3/revoke", "", "UTF-8"},
        {"/_jotgate/subjects/a%0Ab/revoke", "", "subject"},
        {"/_jotgate/subjects//revoke", "", "subject"},
    };
    stage_open(&s, PLANS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(post(rows[i].path, rows[i].body) == 400, "%s %s", rows[i].path, rows[i].body);
        ck_assert_msg(strstr(BODY(&s), rows[i].says) || strchr(rows[i].path, '%'), "%s: %s",
                      rows[i].body, BODY(&s));
    }
    ck_assert_int_eq(put("/_jotgate/subjects/ada", "{\"plan\":\"gold\"}"), 400);
    ck_assert_ptr_nonnull(strstr(BODY(&s), "plans.tiers"));
    ck_assert_int_eq(put("/_jotgate/subjects/ada", "plan=pro"), 400);
    stage_close(&s);
}
END_TEST

START_TEST(other_paths_and_methods_are_told_so) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(post("/_jotgate/subjects/ada", "{}"), 405);
    ck_assert_str_eq(FIELD(&s, "allow"), "GET, PUT");
    ASSERT_SAYS(&s, "detail", "this path takes GET and PUT");
    ASSERT_SAYS(&s, "hint", "See the Allow header.");
    ck_assert_int_eq(
        call("GET", "/_jotgate/deny", TOKEN "Accept: application/problem+json\r\n", ""), 405);
    ck_assert_str_eq(FIELD(&s, "allow"), "POST");
    ck_assert_str_eq(FIELD(&s, "content-type"), "application/problem+json");
    ASSERT_SAYS(&s, "detail", "this path takes POST alone");
    ck_assert_int_eq(post("/_jotgate/subjects/ada/forget", "{}"), 404);
    ASSERT_SAYS(&s, "detail",
                "no such path: expected /_jotgate/subjects/SUBJECT, alone or with /usage, /grant, "
                "/charge, /reset or /revoke behind it");
    ASSERT_SAYS(&s, "hint", "Check the path; the gateway takes these in one spelling only.");
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant", "{}"), 400);
    ASSERT_SAYS(&s, "hint", "Nothing was changed; correct it and send it again.");
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/ada", "", ""), 401);
    ASSERT_SAYS(&s, "hint", "Send JOTGATE_ADMIN_TOKEN as 'Authorization: Bearer <token>'.");
    ck_assert_int_eq(post("/_jotgate/subjects/ada/promote", "{}"), 404);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/grant/", "{}"), 404);
    ck_assert_int_eq(post("/_jotgate/subjects/ada/usage", "{}"), 405);
    ASSERT_SAYS(&s, "detail", "this path takes GET alone");
    ck_assert_int_eq(call("GET", "/_jotgate/subjects/ada/reset", TOKEN, ""), 405);
    stage_close(&s);
}
END_TEST

START_TEST(a_body_is_at_most_64_kib) {
    stage_open(&s, PLANS);
    char *body = malloc(70001);
    memset(body, ' ', 70000);
    body[70000] = '\0';
    int client = ask(&s, TEXT(&s, "PUT /_jotgate/subjects/a HTTP/1.1\r\nHost: a\r\n" TOKEN
                                  "Content-Length: 70000\r\n\r\n"));
    rig_send(s.loop, client, str_of(body));
    ck_assert_int_eq(hear(&s, client), 413);
    close(client);
    free(body);
    stage_close(&s);
}
END_TEST

START_TEST(browsers_are_not_let_in) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(
        call("PUT", "/_jotgate/subjects/a", TOKEN "Origin: https://a.example\r\n", "{}"), 200);
    ck_assert_ptr_null(FIELD(&s, "access-control-allow-origin"));
    ck_assert_int_ne(call("OPTIONS", "/_jotgate/subjects/a",
                          "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n",
                          ""),
                     204);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/admin_api", without_a_token_in_the_settings_the_paths_do_not_exist,
           who_has_not_the_token_is_refused_and_soon_not_even_looked_at,
           a_record_is_written_read_and_forgotten, a_payer_is_let_in,
           what_was_used_is_given_back_and_charged, what_was_used_is_told_and_forgotten,
           what_shares_no_counter_is_changed_in_each, who_was_revoked_signs_in_anew,
           who_is_denied_is_out_until_it_is_lifted, garbage_is_refused_and_told_what_is_wrong,
           other_paths_and_methods_are_told_so, a_body_is_at_most_64_kib, browsers_are_not_let_in)
