/* SPDX-License-Identifier: MIT */
/* Location and Content-Location: the upstream's own URLs name the gateway, all others pass. */
#include "gateway/location.h"

#include "rig.h"

static const struct origin plain = {
    .host = {"up.test", 7}, .port = 80, .host_header = {"up.test", 7}};
static const struct origin tls = {.is_tls = true,
                                  .host = {"up.test", 7},
                                  .port = 443,
                                  .host_header = {"up.test", 7},
                                  .base_path = {"/base", 5}};
static const struct origin with_port = {
    .host = {"up.test", 7}, .port = 8000, .host_header = {"up.test:8000", 12}};

static void expect_rest(const struct origin *upstream, const char *url, const char *rest) {
    struct str got;
    ck_assert_msg(location_is_upstreams(upstream, str_of(url), &got), "%s", url);
    ck_assert_msg(str_eq(got, str_of(rest)), "%s: " STR_FMT, url, STR_ARG(got));
}

START_TEST(the_upstreams_own_urls_are_known_in_every_spelling) {
    expect_rest(&plain, "http://up.test/a/b?c=d#e", "/a/b?c=d#e");
    expect_rest(&plain, "HTTP://UP.Test/a", "/a");
    expect_rest(&plain, "http://up.test:80/a", "/a");
    expect_rest(&plain, "http://up.test", "");
    expect_rest(&plain, "http://up.test?q", "?q");
    expect_rest(&with_port, "http://up.test:8000/a", "/a");
    expect_rest(&tls, "https://up.test/base/a", "/a");
    expect_rest(&tls, "https://up.test:443/base", "");
    expect_rest(&tls, "https://up.test/base#x", "#x");
}
END_TEST

START_TEST(every_other_url_is_somebody_elses) {
    static const struct {
        const struct origin *upstream;
        const char *url;
    } rows[] = {
        {&plain, ""},
        {&plain, "/a"},
        {&plain, "a"},
        {&plain, "//up.test/a"},
        {&plain, "https://up.test/a"},
        {&plain, "http://up.test:8000/a"},
        {&plain, "http://up.test:443/a"},
        {&plain, "http://up.test.evil.test/a"},
        {&plain, "http://evil.test/http://up.test/a"},
        {&plain, "http://evil.test?http://up.test/a"},
        {&plain, "http://user@up.test/a"},
        {&plain, "http://up.test@evil.test/a"},
        {&plain, "http://up.test:80@evil.test/a"},
        {&plain, "http://up.tes"},
        {&plain, "http:/up.test/a"},
        {&with_port, "http://up.test/a"},
        {&with_port, "http://up.test:80/a"},
        {&tls, "https://up.test/a"},
        {&tls, "https://up.test/basement"},
        {&tls, "https://up.test"},
        {&tls, "http://up.test/base/a"},
        {&tls, "https://accounts.example/o/oauth2/auth?redirect_uri=https://up.test/base/a"},
    };
    struct str rest;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(!location_is_upstreams(rows[i].upstream, str_of(rows[i].url), &rest), "%s",
                      rows[i].url);
}
END_TEST

/* ---- through a route */

#define ROUTES \
    "trust: { client_ip: { x-forwarded-for: 1 } }\n" \
    "routes:\n" \
    "  - { path: /api, access: open, upstream: \"${UPSTREAM}/base\", strip: /api }\n" \
    "  - { path: /plain, access: open, upstream: \"${UPSTREAM}\" }\n"

/* What the caller of `request` gets for a Location at the upstream's /path. */
static const char *seen_by(struct stage *s, const char *request, const char *name,
                           const char *path) {
    char at[128];
    endpoint_text(&s->upstream_at, at);
    ck_assert_int_eq(pass_with(s, request,
                               TEXT(s,
                                    "HTTP/1.1 201 Created\r\n%s: http://%s%s\r\nContent-Length: "
                                    "0\r\nConnection: close\r\n\r\n",
                                    name, at, path)),
                     201);
    return FIELD(s, name);
}

START_TEST(the_way_back_is_the_way_of_the_request_reversed) {
    struct stage s;
    stage_open(&s, ROUTES);
    const char *https = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n";
    ck_assert_str_eq(seen_by(&s, GET(&s, "/plain", ""), "Location", "/plain/1?a"),
                     "http://gw.test/plain/1?a");
    ck_assert_str_eq(seen_by(&s, GET(&s, "/plain", https), "Location", "/plain/1"),
                     "https://gw.test/plain/1");
    ck_assert_str_eq(seen_by(&s, GET(&s, "/plain", ""), "Content-Location", "/plain/1"),
                     "http://gw.test/plain/1");
    ck_assert_str_eq(seen_by(&s, GET(&s, "/api/x", ""), "Location", "/base/x/1"),
                     "http://gw.test/api/x/1");
    ck_assert_str_eq(seen_by(&s, GET(&s, "/api/x", ""), "Location", "/base"), "http://gw.test/api");
    stage_close(&s);
}
END_TEST

START_TEST(a_caller_without_a_host_gets_a_path) {
    struct stage s;
    stage_open(&s, ROUTES);
    ck_assert_str_eq(seen_by(&s, "GET /plain HTTP/1.0\r\n\r\n", "Location", "/plain/1"),
                     "/plain/1");
    ck_assert_str_eq(seen_by(&s, "GET /plain HTTP/1.0\r\n\r\n", "Location", ""), "/");
    ck_assert_str_eq(seen_by(&s, "GET /plain HTTP/1.0\r\n\r\n", "Location", "?q"), "/?q");
    ck_assert_str_eq(seen_by(&s, "GET /api/x HTTP/1.0\r\n\r\n", "Location", "/base/1"), "/api/1");
    stage_close(&s);
}
END_TEST

START_TEST(other_fields_and_redirects_of_auth_pass_as_they_came) {
    struct stage s;
    stage_open(&s, ROUTES);
    char at[128];
    endpoint_text(&s.upstream_at, at);
    const char *as_it_was = TEXT(&s, "http://%s/plain/1", at);
    ck_assert_str_eq(seen_by(&s, GET(&s, "/plain", ""), "X-Location", "/plain/1"), as_it_was);
    ck_assert_str_eq(seen_by(&s, GET(&s, "/api", ""), "Location", "/plain/1"), as_it_was);
    ck_assert_str_eq(seen_by(&s, GET(&s, "/auth/v1/verify", ""), "Location", "/plain/1"),
                     as_it_was);
    ck_assert_str_eq(seen_by(&s, GET(&s, "/storage/v1/upload/resumable", ""), "Location",
                             "/storage/v1/upload/resumable/1"),
                     "http://gw.test/storage/v1/upload/resumable/1");
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/location", the_upstreams_own_urls_are_known_in_every_spelling,
           every_other_url_is_somebody_elses, the_way_back_is_the_way_of_the_request_reversed,
           a_caller_without_a_host_gets_a_path,
           other_fields_and_redirects_of_auth_pass_as_they_came)
