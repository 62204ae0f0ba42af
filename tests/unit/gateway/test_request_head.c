/* SPDX-License-Identifier: MIT */
/* What the upstream sees of a request: the caller's own, untouched, and what the gateway says. */
#include "gateway/request_head.h"

#include "rig.h"

static struct stage s;

#define OPEN(route) \
    "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}/base\"" route " } ]\n"

static void seen_is(const char *name, const char *value) {
    const char *found = SEEN(&s, name);
    ck_assert_msg(found && strcmp(found, value) == 0, "%s: '%s' is not '%s'", name,
                  found ? found : "(none)", value);
}
static void seen_nothing_of(const char *name) {
    ck_assert_msg(!SEEN(&s, name), "%s: %s", name, SEEN(&s, name));
}

/* ---- the request line */

START_TEST(method_raw_path_and_query_arrive_as_they_were_sent) {
    stage_open(&s, "");
    const char *target = "/storage/v1/object/a%2Fb%20c/%C3%A9?x=%2f&&y=a+b&apikey=k?";
    ck_assert_int_eq(pass(&s, GET(&s, target, "")), 200);
    ck_assert_str_eq(seen_line(&s), TEXT(&s, "GET %s", target));
    ck_assert_int_eq(pass(&s, TEXT(&s, "PURGE /rest/v1/x? HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
    ck_assert_str_eq(seen_line(&s), "PURGE /rest/v1/x?");
    stage_close(&s);
}
END_TEST

START_TEST(the_upstreams_base_path_stands_before_the_path) {
    stage_open(&s, OPEN(""));
    pass(&s, GET(&s, "/api/x?q", ""));
    ck_assert_str_eq(seen_line(&s), "GET /base/api/x?q");
    seen_nothing_of("x-forwarded-prefix");
    stage_close(&s);
}
END_TEST

START_TEST(a_stripped_prefix_is_named_and_leaves_a_path) {
    stage_open(&s, OPEN(", strip: /api"));
    pass(&s, GET(&s, "/api/x%2fy?q", ""));
    ck_assert_str_eq(seen_line(&s), "GET /base/x%2fy?q");
    seen_is("x-forwarded-prefix", "/api");
    pass(&s, GET(&s, "/api?q", ""));
    ck_assert_str_eq(seen_line(&s), "GET /base/?q");
    stage_close(&s);
}
END_TEST

START_TEST(the_host_is_the_upstreams_and_the_callers_is_forwarded) {
    stage_open(&s, "");
    pass(&s, TEXT(&s, "GET /rest/v1/x HTTP/1.1\r\nHost: app.test:8443\r\n\r\n"));
    seen_is("host", TEXT(&s, "127.0.0.1:%u", rig_port(&s.upstream_at)));
    seen_is("x-forwarded-host", "app.test:8443");
    seen_is("x-forwarded-port", "8443");
    pass(&s, TEXT(&s, "GET http://other.test/rest/v1/x HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    ck_assert_str_eq(seen_line(&s), "GET /rest/v1/x");
    seen_is("x-forwarded-host", "other.test");
    seen_is("x-forwarded-port", "80");
    pass(&s, TEXT(&s, "GET /rest/v1/x HTTP/1.1\r\nHost: [::1]\r\n\r\n"));
    seen_is("x-forwarded-port", "80");
    stage_close(&s);
}
END_TEST

/* ---- the caller's fields */

START_TEST(end_to_end_fields_keep_their_order_case_and_repetition) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x",
                 "X-B: 1\r\nprefer: a, b\r\nX-Empty:\r\nX-B: 2\r\nCookie: c=\"d\"; e\r\nAccept: "
                 "*/*\r\n"));
    ck_assert_ptr_nonnull(strstr(
        TEXT(&s, STR_FMT, STR_ARG(buffer_bytes(&s.seen.bytes))),
        "X-B: 1\r\nprefer: a, b\r\nX-Empty: \r\nX-B: 2\r\nCookie: c=\"d\"; e\r\nAccept: */*\r\n"));
    stage_close(&s);
}
END_TEST

START_TEST(hop_by_hop_fields_end_here) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x",
                 "Connection: keep-alive, X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: "
                 "timeout=5\r\nTE: trailers\r\nTrailer: x\r\n"
                 "Proxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\nX-Yours: 2\r\n"));
    static const char *const gone[] = {"connection", "x-mine",           "keep-alive",         "te",
                                       "trailer",    "proxy-connection", "proxy-authorization"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        seen_nothing_of(gone[i]);
    seen_is("x-yours", "2");
    stage_close(&s);
}
END_TEST

START_TEST(fields_that_the_gateway_owns_never_pass) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x",
                 "X-Jotgate-Sub: root\r\nx_jotgate_role: root\r\nSb-Forwarded-For: "
                 "1.2.3.4\r\nsb-api-key: k\r\nX-Api-Key: k\r\n"
                 "Fly-Client-IP: 1.2.3.4\r\nFly-Region: ams\r\nX-Forwarded-Server: "
                 "evil\r\nX_Forwarded_For: 1.2.3.4\r\n"));
    static const char *const gone[] = {"x-jotgate-sub", "x_jotgate_role",     "sb-forwarded-for",
                                       "sb-api-key",    "x-api-key",          "fly-client-ip",
                                       "fly-region",    "x-forwarded-server", "x_forwarded_for"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        seen_nothing_of(gone[i]);
    stage_close(&s);
}
END_TEST

START_TEST(connection_cannot_take_the_gateways_own_fields_away) {
    stage_open(&s, "");
    pass(&s,
         POST(&s, "/rest/v1/x",
              "Connection: x-forwarded-for, via, host, x-request-id, content-length, apikey\r\n",
              "12"));
    seen_is("x-forwarded-for", "127.0.0.1");
    seen_is("via", "1.1 jotgate-test");
    seen_is("content-length", "2");
    seen_is("apikey", PUBLISHABLE);
    ck_assert_ptr_nonnull(SEEN(&s, "x-request-id"));
    ck_assert_ptr_nonnull(SEEN(&s, "host"));
    stage_close(&s);
}
END_TEST

/* ---- what the gateway says of the way */

START_TEST(forwarded_fields_are_rebuilt_from_what_is_known) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x",
                 "X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
                 "evil.test\r\nX-Forwarded-Port: 1\r\n"
                 "X-Forwarded-Prefix: /evil\r\nForwarded: for=10.0.0.9\r\n"));
    seen_is("x-forwarded-for", "127.0.0.1");
    seen_is("x-forwarded-proto", "http");
    seen_is("x-forwarded-host", "gw.test");
    seen_is("x-forwarded-port", "80");
    seen_is("forwarded", "for=127.0.0.1;proto=http;host=\"gw.test\"");
    seen_nothing_of("x-forwarded-prefix");
    stage_close(&s);
}
END_TEST

START_TEST(a_trusted_proxys_word_is_passed_on) {
    stage_open(&s, "trust: { client_ip: fly }\n");
    pass(&s, GET(&s, "/rest/v1/x", "Fly-Client-IP: 2001:db8::7\r\nX-Forwarded-Proto: https\r\n"));
    seen_is("x-forwarded-for", "2001:db8::7");
    seen_is("x-forwarded-proto", "https");
    seen_is("x-forwarded-port", "443");
    seen_is("forwarded", "for=\"[2001:db8::7]\";proto=https;host=\"gw.test\"");
    stage_close(&s);
}
END_TEST

START_TEST(via_grows_by_one) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x", "Via: 2 edge\r\nVia:\r\nVia: 1.1 mid (x)\r\n"));
    seen_is("via", "2 edge, 1.1 mid (x), 1.1 jotgate-test");
    pass(&s, TEXT(&s, "GET /rest/v1/x HTTP/1.0\r\nHost: a\r\n\r\n"));
    seen_is("via", "1.0 jotgate-test");
    stage_close(&s);
}
END_TEST

START_TEST(a_good_trace_passes_and_any_other_begins_anew) {
    stage_open(&s, "");
    static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "traceparent: %s\r\ntracestate: a=1\r\n", good)));
    seen_is("traceparent", good);
    seen_is("tracestate", "a=1");
    pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "traceparent: cc%s-new\r\n", good + 2)));
    seen_is("traceparent", TEXT(&s, "cc%s-new", good + 2));
    const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "traceparent: %s\r\ntracestate: a=1\r\n", bad[i])));
        ck_assert_uint_eq(strlen(SEEN(&s, "traceparent")), 55);
        ck_assert_str_ne(SEEN(&s, "traceparent"), bad[i]);
        seen_nothing_of("tracestate");
    }
    pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "traceparent: %s\r\ntraceparent: %s\r\n", good, good)));
    ck_assert_uint_eq(strlen(SEEN(&s, "traceparent")), 55);
    ck_assert_str_ne(SEEN(&s, "traceparent"), good);
    stage_close(&s);
}
END_TEST

/* ---- framing */

START_TEST(a_body_keeps_its_framing) {
    stage_open(&s, "");
    pass(&s, POST(&s, "/rest/v1/x", "", "hello"));
    seen_is("content-length", "5");
    ck_assert_str_eq(body_of(&s, &s.seen), "hello");
    pass(&s, TEXT(&s, "POST /rest/v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"));
    seen_is("transfer-encoding", "chunked");
    seen_nothing_of("content-length");
    seen_nothing_of("T");
    ck_assert_str_eq(body_of(&s, &s.seen), "abcde");
    pass(&s, POST(&s, "/rest/v1/x", "", ""));
    seen_is("content-length", "0");
    pass(&s, GET(&s, "/rest/v1/x", ""));
    seen_nothing_of("content-length");
    seen_nothing_of("transfer-encoding");
    stage_close(&s);
}
END_TEST

START_TEST(an_expectation_passes_with_the_body_that_it_is_about) {
    stage_open(&s, "");
    pass(&s, POST(&s, "/rest/v1/x", "Expect: 100-Continue\r\n", "ok"));
    seen_is("expect", "100-continue");
    ck_assert_str_eq(body_of(&s, &s.seen), "ok");
    pass(&s, GET(&s, "/rest/v1/x", "Expect: 100-continue\r\n")); /* none to continue with */
    seen_nothing_of("expect");
    stage_close(&s);
}
END_TEST

/* ---- credentials */

START_TEST(a_tokens_scheme_is_spelt_as_supabase_reads_it) {
    stage_open(&s, "");
    const char *token = token_of(&s, ADA);
    pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "authorization: bEARER   %s\r\n", token)));
    seen_is("authorization", TEXT(&s, "Bearer %s", token));
    pass(&s, GET(&s, "/storage/v1/s3/x",
                 "Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=c\r\n"));
    seen_is("authorization", "AWS4-HMAC-SHA256 Credential=a/b, Signature=c");
    stage_close(&s);
}
END_TEST

START_TEST(an_apikey_is_filled_in_where_there_is_none) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x", bearer(&s, ADA)));
    seen_is("apikey", PUBLISHABLE);
    pass(&s, GET(&s, "/rest/v1/x", "apikey: mine\r\n"));
    seen_is("apikey", "mine");
    pass(&s, GET(&s, "/rest/v1/x?apikey=mine", ""));
    seen_nothing_of("apikey");
    pass(&s, GET(&s, "/rest/v1/x", "apikey: " ANON "\r\n"));
    seen_is("apikey", ANON);
    stage_close(&s);
}
END_TEST

START_TEST(an_apikey_is_kept_as_it_is) {
    stage_open(&s, "supabase: { url: \"${UPSTREAM}\", publishable_key: " PUBLISHABLE
                   ", apikey: keep }\n");
    pass(&s, GET(&s, "/rest/v1/x", ""));
    seen_nothing_of("apikey");
    stage_close(&s);
}
END_TEST

START_TEST(a_legacy_apikey_is_replaced) {
    stage_open(&s, "supabase: { url: \"${UPSTREAM}\", publishable_key: " PUBLISHABLE
                   ", anon_key: " ANON ", apikey: replace }\n");
    pass(&s, GET(&s, "/rest/v1/x", "apikey: " ANON "\r\n"));
    seen_is("apikey", PUBLISHABLE);
    pass(&s, GET(&s, "/rest/v1/x", ""));
    seen_is("apikey", PUBLISHABLE);
    pass(&s, GET(&s, "/rest/v1/x", "apikey: another\r\n"));
    seen_is("apikey", "another");
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_that_is_not_supabase_gets_no_key_of_ours) {
    stage_open(&s, OPEN(""));
    pass(&s, GET(&s, "/api", ""));
    seen_nothing_of("apikey");
    seen_nothing_of("x-jotgate-sub");
    stage_close(&s);
}
END_TEST

START_TEST(a_service_route_speaks_with_the_secret_key_for_the_user) {
    stage_open(&s,
               "routes: [ { path: /rest/v1/rpc/admin_*, access: user, credential: service } ]\n");
    pass(&s, POST(&s, "/rest/v1/rpc/admin_x",
                  TEXT(&s, "%sapikey: mine\r\nUser-Agent: Mozilla/5.0\r\nX-Jotgate-Sub: root\r\n",
                       bearer(&s, ADA)),
                  "{}"));
    seen_is("apikey", SECRET);
    seen_nothing_of("authorization");
    seen_is("user-agent", "jotgate/" JG_VERSION);
    seen_is("x-jotgate-sub", "ada");
    pass(&s, POST(&s, "/rest/v1/rpc/other",
                  TEXT(&s, "%sUser-Agent: Mozilla/5.0\r\n", bearer(&s, ADA)), "{}"));
    seen_is("apikey", PUBLISHABLE);
    seen_is("user-agent", "Mozilla/5.0");
    seen_nothing_of("x-jotgate-sub");
    stage_close(&s);
}
END_TEST

START_TEST(a_legacy_service_key_is_a_token_of_its_own) {
    stage_open(&s,
               "supabase: { url: \"${UPSTREAM}\", service_role_key: legacy.service.key }\n"
               "routes: [ { path: /rest/v1/rpc/admin_*, access: user, credential: service } ]\n");
    pass(&s, POST(&s, "/rest/v1/rpc/admin_x", bearer(&s, ADA), "{}"));
    seen_is("apikey", "legacy.service.key");
    seen_is("authorization", "Bearer legacy.service.key");
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/request_head", method_raw_path_and_query_arrive_as_they_were_sent,
           the_upstreams_base_path_stands_before_the_path,
           a_stripped_prefix_is_named_and_leaves_a_path,
           the_host_is_the_upstreams_and_the_callers_is_forwarded,
           end_to_end_fields_keep_their_order_case_and_repetition, hop_by_hop_fields_end_here,
           fields_that_the_gateway_owns_never_pass,
           connection_cannot_take_the_gateways_own_fields_away,
           forwarded_fields_are_rebuilt_from_what_is_known, a_trusted_proxys_word_is_passed_on,
           via_grows_by_one, a_good_trace_passes_and_any_other_begins_anew,
           a_body_keeps_its_framing, an_expectation_passes_with_the_body_that_it_is_about,
           a_tokens_scheme_is_spelt_as_supabase_reads_it,
           an_apikey_is_filled_in_where_there_is_none, an_apikey_is_kept_as_it_is,
           a_legacy_apikey_is_replaced, an_upstream_that_is_not_supabase_gets_no_key_of_ours,
           a_service_route_speaks_with_the_secret_key_for_the_user,
           a_legacy_service_key_is_a_token_of_its_own)
