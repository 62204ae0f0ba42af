/* SPDX-License-Identifier: MIT */
#include "gateway/metrics.h"

#include "suite.h"
#include <stdio.h>

static struct settings *settings;
static struct metrics *metrics;

static void report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

static struct settings *settings_of(const char *yaml) {
    struct settings *made = NULL;
    ck_assert_int_eq(settings_parse(&made, str_of(yaml), "test", report, NULL), 0);
    return made;
}

static void begin(void) {
    static const char yaml[] =
        "supabase: { url: \"http://127.0.0.1:1\" }\nbuiltin: none\n"
        "limits: { a: { key: ip, rate: 1/hour }, b: { key: ip, rate: 1/hour, shadow: true } }\n"
        "routes: [ { path: /one, access: open }, { path: '/t\"wo', access: open } ]\n";
    settings = settings_of(yaml);
    metrics = metrics_new(settings, 2);
    ck_assert_ptr_nonnull(metrics);
}

static void end(void) {
    metrics_unref(metrics);
    settings_unref(settings);
}

static bool shows(const char *line) {
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(metrics, &text), 0);
    size_t n = strlen(line);
    bool is_there = false;
    for (struct str rest = buffer_bytes(&text), part; str_split(&rest, '\n', &part);)
        is_there |= part.n == n && memcmp(part.at, line, n) == 0;
    buffer_release(&text);
    return is_there;
}
#define ASSERT_SHOWS(line) ck_assert_msg(shows(line), "%s", (line))

static void count_request(size_t worker, size_t route, int status, enum problem problem,
                          int64_t ms) {
    const struct metrics_request request = {route, status, problem, ms * NS_PER_MS, -1, 3, 5};
    metrics_count_request(metrics, worker, &request);
}

START_TEST(requests_are_told_apart_by_route_and_class) {
    begin();
    count_request(0, 0, 200, PROBLEM_NONE, 1);
    count_request(1, 0, 204, PROBLEM_NONE, 1);
    count_request(0, 0, 0, PROBLEM_NONE, 1);
    count_request(0, 1, 502, PROBLEM_UPSTREAM_UNREACHABLE, 1);
    count_request(1, SIZE_MAX, 404, PROBLEM_NO_ROUTE, 1);
    ASSERT_SHOWS("jotgate_requests_total{route=\"/one\",class=\"2xx\"} 2");
    ASSERT_SHOWS("jotgate_requests_total{route=\"/one\",class=\"left\"} 1");
    ASSERT_SHOWS("jotgate_requests_total{route=\"/t\\\"wo\",class=\"5xx\"} 1");
    ASSERT_SHOWS("jotgate_requests_total{route=\"none\",class=\"4xx\"} 1");
    ck_assert(!shows("jotgate_requests_total{route=\"/one\",class=\"5xx\"} 0"));
    ASSERT_SHOWS("jotgate_body_bytes_total{direction=\"in\"} 15");
    ASSERT_SHOWS("jotgate_body_bytes_total{direction=\"out\"} 25");
    end();
}
END_TEST

START_TEST(every_verdict_has_a_row_from_the_start) {
    begin();
    for (int p = PROBLEM_NONE + 1; p < PROBLEM_COUNT; p++) {
        char line[128];
        snprintf(line, sizeof(line), "jotgate_refusals_total{verdict=\"%s\"} 0",
                 problem_row((enum problem)p)->name);
        ASSERT_SHOWS(line);
    }
    count_request(0, 0, 429, PROBLEM_RATE_LIMITED, 1);
    ASSERT_SHOWS("jotgate_refusals_total{verdict=\"rate_limited\"} 1");
    end();
}
END_TEST

START_TEST(a_histogram_counts_what_is_below_each_bound) {
    begin();
    count_request(0, 0, 200, PROBLEM_NONE, 1);
    count_request(0, 0, 200, PROBLEM_NONE, 3);
    count_request(1, 0, 200, PROBLEM_NONE, 90000);
    ASSERT_SHOWS("jotgate_request_seconds_bucket{le=\"0.001\"} 1");
    ASSERT_SHOWS("jotgate_request_seconds_bucket{le=\"0.0025\"} 1");
    ASSERT_SHOWS("jotgate_request_seconds_bucket{le=\"0.005\"} 2");
    ASSERT_SHOWS("jotgate_request_seconds_bucket{le=\"60\"} 2");
    ASSERT_SHOWS("jotgate_request_seconds_bucket{le=\"+Inf\"} 3");
    ASSERT_SHOWS("jotgate_request_seconds_count 3");
    ASSERT_SHOWS("jotgate_request_seconds_sum 90.004000");
    ASSERT_SHOWS("jotgate_upstream_seconds_count 0");
    end();
}
END_TEST

START_TEST(limits_are_counted_by_policy_and_mode) {
    begin();
    metrics_count_limit(metrics, 0, &settings->limits[1].policy, true);
    metrics_count_limit(metrics, 1, &settings->limits[1].policy, false);
    ASSERT_SHOWS("jotgate_limits_total{policy=\"a\",mode=\"enforce\",result=\"refused\"} 1");
    ASSERT_SHOWS("jotgate_limits_total{policy=\"a\",mode=\"enforce\",result=\"passed\"} 1");
    ASSERT_SHOWS("jotgate_limits_total{policy=\"b\",mode=\"shadow\",result=\"refused\"} 0");
    end();
}
END_TEST

START_TEST(a_gauge_stands_at_the_sum_of_what_the_workers_said_last) {
    begin();
    metrics_set(metrics, 0, GAUGE_CONNECTIONS, 7);
    metrics_set(metrics, 1, GAUGE_CONNECTIONS, 5);
    metrics_set(metrics, 0, GAUGE_CONNECTIONS, 2);
    metrics_set(metrics, 1, GAUGE_UPSTREAM_RETRIES, 1);
    ASSERT_SHOWS("jotgate_connections 7");
    ASSERT_SHOWS("jotgate_upstream_retries_total 1");
    ASSERT_SHOWS("jotgate_requests_open 0");
    end();
}
END_TEST

/* Prometheus text format 0.0.4: a family's HELP and TYPE come once, before its samples, and every line is one of these. */
START_TEST(every_family_is_described_once) {
    begin();
    count_request(0, 0, 200, PROBLEM_NONE, 1);
    metrics_count_token(metrics, 0, 0, TOKEN_EXPIRED, true);
    ASSERT_SHOWS("jotgate_tokens_total{issuer=\"supabase\",verdict=\"expired\"} 1");
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(metrics, &text), 0);
    char family[64] = "";
    struct str rest = buffer_bytes(&text), line;
    ck_assert(str_ends(rest, STR("\n")));
    while (str_split(&rest, '\n', &line)) {
        if (str_starts(line, STR("# TYPE "))) {
            snprintf(family, sizeof(family), "%.*s", (int)str_index(str_skip(line, 7), ' '),
                     line.at + 7);
        } else if (line.n > 0 && !str_starts(line, STR("# HELP "))) {
            ck_assert_msg(str_starts(line, str_of(family)), STR_FMT, STR_ARG(line));
            ck_assert(str_contains(line, STR(" ")));
        }
    }
    buffer_release(&text);
    end();
}
END_TEST

/* Newer settings: /two is gone, /new comes first, and the policy a is counted in shadow now. */
static struct metrics *renumber(void) {
    struct settings *newer =
        settings_of("supabase: { url: \"http://127.0.0.1:1\" }\nbuiltin: none\n"
                    "limits: { a: { key: ip, rate: 1/hour, shadow: true } }\n"
                    "routes: [ { path: /new, access: open }, { path: /one, access: open } ]\n");
    struct metrics *next = metrics_next(metrics, newer);
    ck_assert_ptr_nonnull(next);
    settings_unref(newer);
    return next;
}

START_TEST(newer_settings_count_on_where_a_name_stood) {
    begin();
    count_request(0, 0, 200, PROBLEM_NONE, 1);
    count_request(0, 1, 500, PROBLEM_NONE, 1);
    metrics_count_token(metrics, 0, 0, TOKEN_EXPIRED, false);
    metrics_set(metrics, 1, GAUGE_CONNECTIONS, 7);
    struct metrics *next = renumber(), *before = metrics;
    metrics = next;
    count_request(1, 1, 200, PROBLEM_NONE, 1);
    count_request(1, 0, 404, PROBLEM_NO_ROUTE, 1);
    count_request(1, SIZE_MAX, 404, PROBLEM_NO_ROUTE, 1);
    metrics_count_token(metrics, 1, 0, TOKEN_EXPIRED, false);
    metrics_set(metrics, 1, GAUGE_CONNECTIONS, 5);
    ASSERT_SHOWS("jotgate_requests_total{route=\"/one\",class=\"2xx\"} 2");
    ASSERT_SHOWS("jotgate_requests_total{route=\"/new\",class=\"4xx\"} 1");
    ASSERT_SHOWS("jotgate_requests_total{route=\"none\",class=\"4xx\"} 1");
    ASSERT_SHOWS("jotgate_requests_total{route=\"/t\\\"wo\",class=\"5xx\"} 1");
    ASSERT_SHOWS("jotgate_tokens_total{issuer=\"supabase\",verdict=\"expired\"} 2");
    ASSERT_SHOWS("jotgate_request_seconds_count 5");
    ASSERT_SHOWS("jotgate_connections 5");
    metrics_unref(before);
    end();
}
END_TEST

START_TEST(a_policy_that_changes_its_mode_is_another_row) {
    begin();
    metrics_count_limit(metrics, 0, &settings->limits[1].policy, true);
    struct metrics *next = renumber();
    metrics_unref(metrics);
    metrics = next;
    ASSERT_SHOWS("jotgate_limits_total{policy=\"a\",mode=\"enforce\",result=\"refused\"} 1");
    ASSERT_SHOWS("jotgate_limits_total{policy=\"a\",mode=\"shadow\",result=\"refused\"} 0");
    end();
}
END_TEST

START_TEST(who_still_holds_the_older_view_counts_into_the_same_rows) {
    begin();
    struct metrics *next = renumber(), *before = metrics;
    count_request(0, 0, 200, PROBLEM_NONE, 1); /* under the older one, where /one is the first */
    metrics = next;
    ASSERT_SHOWS("jotgate_requests_total{route=\"/one\",class=\"2xx\"} 1");
    metrics_unref(before);
    end();
}
END_TEST

START_TEST(two_routes_of_one_path_are_one_row) {
    begin();
    metrics_unref(metrics);
    settings_unref(settings);
    settings = settings_of("supabase: { url: \"http://127.0.0.1:1\" }\nbuiltin: none\nroutes:\n"
                           "- { path: /a, methods: [GET], access: open }\n"
                           "- { path: /a, methods: [POST], access: open }\n");
    metrics = metrics_new(settings, 2);
    count_request(0, 0, 200, PROBLEM_NONE, 1);
    count_request(0, 1, 200, PROBLEM_NONE, 1);
    ASSERT_SHOWS("jotgate_requests_total{route=\"/a\",class=\"2xx\"} 2");
    end();
}
END_TEST

START_TEST(nothing_is_freed_without_complaint) { metrics_unref(NULL); }
END_TEST

START_TEST(handshakes_are_told_apart_by_how_they_went) {
    static const char *const results[HANDSHAKE_COUNT] = {
        [HANDSHAKE_FULL] = "full",        [HANDSHAKE_RESUMED] = "resumed",
        [HANDSHAKE_FAILED] = "failed",    [HANDSHAKE_PLAIN] = "plain_http",
        [HANDSHAKE_LEFT] = "client_left", [HANDSHAKE_LATE] = "timeout",
    };
    begin();
    for (int i = 0; i < HANDSHAKE_COUNT; i++) {
        metrics_set(metrics, 0, (enum metrics_gauge)(GAUGE_TLS_HANDSHAKES + i), 10 + i);
        metrics_set(metrics, 1, (enum metrics_gauge)(GAUGE_TLS_HANDSHAKES + i), 100);
    }
    for (int i = 0; i < HANDSHAKE_COUNT; i++) {
        char line[80];
        snprintf(line, sizeof(line), "jotgate_tls_handshakes_total{result=\"%s\"} %d", results[i],
                 110 + i);
        ASSERT_SHOWS(line);
    }
    end();
}
END_TEST

SUITE_MAIN("gateway/metrics", requests_are_told_apart_by_route_and_class,
           every_verdict_has_a_row_from_the_start, a_histogram_counts_what_is_below_each_bound,
           limits_are_counted_by_policy_and_mode,
           a_gauge_stands_at_the_sum_of_what_the_workers_said_last, every_family_is_described_once,
           newer_settings_count_on_where_a_name_stood,
           a_policy_that_changes_its_mode_is_another_row,
           who_still_holds_the_older_view_counts_into_the_same_rows,
           two_routes_of_one_path_are_one_row, nothing_is_freed_without_complaint,
           handshakes_are_told_apart_by_how_they_went)
