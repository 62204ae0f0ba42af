/* SPDX-License-Identifier: MIT */
/* Columns of one counters table, laid out when the settings are known:
 *
 *     requests[route][class]  problems[]  tokens[issuer][verdict]  limits[policy][passed|refused]  histograms  sums  gauges
 */
#include "gateway/metrics.h"

#include "base/counters.h"
#include <assert.h>
#include <stdlib.h>

#define N_CLASSES 6 /* 0: the client left; 1..5 */
#define N_BOUNDS  14

static const double bounds_s[N_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                          0.25,  0.5,    1,     2.5,  5,     10,   60};

enum sum { SUM_BYTES_IN, SUM_BYTES_OUT, SUM_CACHE_HITS, SUM_CACHE_MISSES, SUM_COUNT };

struct metrics {
    const struct settings *settings;
    struct counters *counters;
    size_t requests, problems, tokens, limits, durations, upstreams, sums,
        gauges;            /* first columns */
    int64_t *gauge_values; /* [worker][gauge]: what each worker last set; only that worker's */
};

static size_t take(size_t *columns, size_t n) {
    size_t first = *columns;
    *columns += n;
    return first;
}

struct metrics *metrics_new(const struct settings *settings, size_t n_workers) {
    struct metrics *m = calloc(1, sizeof(*m));
    size_t columns = 0;
    if (!m)
        return NULL;
    m->settings = settings;
    m->requests = take(&columns, (settings->n_routes + 1) * N_CLASSES);
    m->problems = take(&columns, PROBLEM_COUNT);
    m->tokens = take(&columns, settings->tokens.n_issuers * TOKEN_VERDICT_COUNT);
    m->limits = take(&columns, settings->n_policies * 2);
    m->durations = take(&columns, N_BOUNDS + 2); /* and +Inf, and the sum */
    m->upstreams = take(&columns, N_BOUNDS + 2);
    m->sums = take(&columns, SUM_COUNT);
    m->gauges = take(&columns, GAUGE_COUNT);
    m->counters = counters_new(n_workers, columns);
    m->gauge_values = calloc(n_workers * GAUGE_COUNT, sizeof(int64_t));
    if (m->counters && m->gauge_values)
        return m;
    metrics_free(m);
    return NULL;
}

void metrics_free(struct metrics *m) {
    if (!m)
        return;
    counters_free(m->counters);
    free(m->gauge_values);
    free(m);
}

static void observe(struct metrics *m, size_t worker, size_t histogram, int64_t ns) {
    double s = (double)ns / (double)NS_PER_S;
    size_t i = 0;
    while (i < N_BOUNDS && s > bounds_s[i])
        i++;
    counters_add(m->counters, worker, histogram + i, 1);
    counters_add(m->counters, worker, histogram + N_BOUNDS + 1, ns);
}

void metrics_count_request(struct metrics *m, size_t worker, const struct metrics_request *r) {
    size_t route = r->route == SIZE_MAX ? m->settings->n_routes : r->route;
    size_t class = r->status >= 100 && r->status < 600 ? (size_t)r->status / 100 : 0;
    counters_add(m->counters, worker, m->requests + route * N_CLASSES + class, 1);
    if (r->problem != PROBLEM_NONE)
        counters_add(m->counters, worker, m->problems + r->problem, 1);
    counters_add(m->counters, worker, m->sums + SUM_BYTES_IN, (int64_t)r->bytes_in);
    counters_add(m->counters, worker, m->sums + SUM_BYTES_OUT, (int64_t)r->bytes_out);
    observe(m, worker, m->durations, r->duration_ns);
    if (r->upstream_ns >= 0)
        observe(m, worker, m->upstreams, r->upstream_ns);
}

void metrics_count_token(struct metrics *m, size_t worker, size_t issuer,
                         enum token_verdict verdict, bool cache_hit) {
    assert(issuer < m->settings->tokens.n_issuers);
    counters_add(m->counters, worker, m->tokens + issuer * TOKEN_VERDICT_COUNT + verdict, 1);
    counters_add(m->counters, worker, m->sums + (cache_hit ? SUM_CACHE_HITS : SUM_CACHE_MISSES), 1);
}

void metrics_count_limit(struct metrics *m, size_t worker, const struct limit_policy *policy,
                         bool refused) {
    assert(policy->index < m->settings->n_policies);
    counters_add(m->counters, worker, m->limits + policy->index * 2 + refused, 1);
}

void metrics_set(struct metrics *m, size_t worker, enum metrics_gauge gauge, int64_t value) {
    int64_t *last = &m->gauge_values[worker * GAUGE_COUNT + gauge];
    counters_add(m->counters, worker, m->gauges + gauge, value - *last);
    *last = value;
}

/* ---- Prometheus text ---- */

static int put_head(struct buffer *out, const char *name, const char *type, const char *help) {
    return buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Label values are the operator's own words; JSON's escapes are a superset of the exposition format's for what can stand in them. */
static int put_label(struct buffer *out, const char *name, struct str value) {
    TRY(buffer_printf(out, "%s=", name));
    return put_json_string(out, value);
}

static int put_requests(const struct metrics *m, struct buffer *out) {
    static const char *const classes[N_CLASSES] = {"left", "1xx", "2xx", "3xx", "4xx", "5xx"};
    TRY(put_head(out, "jotgate_requests_total", "counter",
                 "Requests by route and status class; left: the client left first."));
    for (size_t r = 0; r <= m->settings->n_routes; r++)
        for (size_t c = 0; c < N_CLASSES; c++) {
            int64_t n = counters_sum(m->counters, m->requests + r * N_CLASSES + c);
            if (n == 0)
                continue;
            TRY(buffer_append(out, STR("jotgate_requests_total{")));
            TRY(put_label(out, "route",
                          r < m->settings->n_routes ? m->settings->routes[r].label : STR("none")));
            TRY(buffer_printf(out, ",class=\"%s\"} %lld\n", classes[c], (long long)n));
        }
    return 0;
}

static int put_problems(const struct metrics *m, struct buffer *out) {
    TRY(put_head(out, "jotgate_refusals_total", "counter",
                 "Answers of the gateway's own, by verdict."));
    for (size_t p = PROBLEM_NONE + 1; p < PROBLEM_COUNT; p++)
        TRY(buffer_printf(out, "jotgate_refusals_total{verdict=\"%s\"} %lld\n",
                          problem_row((enum problem)p)->name,
                          (long long)counters_sum(m->counters, m->problems + p)));
    return 0;
}

static int put_tokens(const struct metrics *m, struct buffer *out) {
    TRY(put_head(out, "jotgate_tokens_total", "counter",
                 "Tokens looked at, by issuer and verdict."));
    for (size_t i = 0; i < m->settings->tokens.n_issuers; i++)
        for (size_t v = 0; v < TOKEN_VERDICT_COUNT; v++) {
            int64_t n = counters_sum(m->counters, m->tokens + i * TOKEN_VERDICT_COUNT + v);
            if (n == 0)
                continue;
            TRY(buffer_append(out, STR("jotgate_tokens_total{")));
            TRY(put_label(out, "issuer", m->settings->tokens.issuers[i].name));
            TRY(buffer_printf(out, ",verdict=\"%s\"} %lld\n",
                              token_verdict_name((enum token_verdict)v), (long long)n));
        }
    TRY(put_head(out, "jotgate_token_cache_total", "counter",
                 "Tokens answered by the verified-token cache, or not."));
    return buffer_printf(out,
                         "jotgate_token_cache_total{result=\"hit\"} "
                         "%lld\njotgate_token_cache_total{result=\"miss\"} %lld\n",
                         (long long)counters_sum(m->counters, m->sums + SUM_CACHE_HITS),
                         (long long)counters_sum(m->counters, m->sums + SUM_CACHE_MISSES));
}

static int put_limits(const struct metrics *m, struct buffer *out) {
    static const char *const results[2] = {"passed", "refused"};
    TRY(put_head(out, "jotgate_limits_total", "counter",
                 "Policies met, by what they said; shadow policies refuse nobody."));
    for (size_t p = 0; p < m->settings->n_policies; p++)
        for (size_t refused = 0; refused < 2; refused++) {
            const struct limit_policy *policy = m->settings->policies[p];
            TRY(buffer_append(out, STR("jotgate_limits_total{")));
            TRY(put_label(out, "policy", policy->id));
            TRY(buffer_printf(out, ",mode=\"%s\",result=\"%s\"} %lld\n",
                              policy->is_shadow ? "shadow" : "enforce", results[refused],
                              (long long)counters_sum(m->counters, m->limits + p * 2 + refused)));
        }
    return 0;
}

static int put_histogram(const struct metrics *m, struct buffer *out, size_t first,
                         const char *name, const char *help) {
    int64_t below = 0;
    TRY(put_head(out, name, "histogram", help));
    for (size_t i = 0; i < N_BOUNDS; i++) {
        below += counters_sum(m->counters, first + i);
        TRY(buffer_printf(out, "%s_bucket{le=\"%g\"} %lld\n", name, bounds_s[i], (long long)below));
    }
    below += counters_sum(m->counters, first + N_BOUNDS);
    return buffer_printf(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.6f\n%s_count %lld\n", name,
                         (long long)below, name,
                         (double)counters_sum(m->counters, first + N_BOUNDS + 1) / (double)NS_PER_S,
                         name, (long long)below);
}

static int put_gauges(const struct metrics *m, struct buffer *out) {
    /* clang-format off */
    static const struct { const char *name, *type, *help; } rows[GAUGE_COUNT] = {
        [GAUGE_CONNECTIONS]        = {"jotgate_connections", "gauge", "Open client connections."},
        [GAUGE_REQUESTS]           = {"jotgate_requests_open", "gauge", "Requests under way."},
        [GAUGE_UPSTREAM_OPEN]      = {"jotgate_upstream_connections_busy", "gauge", "Upstream connections with a request."},
        [GAUGE_UPSTREAM_IDLE]      = {"jotgate_upstream_connections_idle", "gauge", "Upstream connections kept for reuse."},
        [GAUGE_CACHED_TOKENS]      = {"jotgate_cached_tokens", "gauge", "Verified tokens held."},
        [GAUGE_CACHED_TOKEN_BYTES] = {"jotgate_cached_token_bytes", "gauge", "Bytes of the verified tokens held."},
        [GAUGE_UPSTREAM_CONNECTS]  = {"jotgate_upstream_connects_total", "counter", "Upstream connections made."},
        [GAUGE_UPSTREAM_REUSES]    = {"jotgate_upstream_reuses_total", "counter", "Requests on a kept connection."},
        [GAUGE_UPSTREAM_RETRIES]   = {"jotgate_upstream_retries_total", "counter", "Requests sent again after a stale connection."},
    };
    /* clang-format on */
    for (size_t g = 0; g < GAUGE_COUNT; g++) {
        TRY(put_head(out, rows[g].name, rows[g].type, rows[g].help));
        TRY(buffer_printf(out, "%s %lld\n", rows[g].name,
                          (long long)counters_sum(m->counters, m->gauges + g)));
    }
    return 0;
}

int metrics_render(const struct metrics *m, struct buffer *out) {
    TRY(put_requests(m, out));
    TRY(put_problems(m, out));
    TRY(put_tokens(m, out));
    TRY(put_limits(m, out));
    TRY(put_histogram(m, out, m->durations, "jotgate_request_seconds",
                      "From a request's head to its end."));
    TRY(put_histogram(m, out, m->upstreams, "jotgate_upstream_seconds",
                      "From handing over to the upstream's head."));
    TRY(put_head(out, "jotgate_body_bytes_total", "counter", "Bytes of bodies relayed."));
    TRY(buffer_printf(out,
                      "jotgate_body_bytes_total{direction=\"in\"} "
                      "%lld\njotgate_body_bytes_total{direction=\"out\"} %lld\n",
                      (long long)counters_sum(m->counters, m->sums + SUM_BYTES_IN),
                      (long long)counters_sum(m->counters, m->sums + SUM_BYTES_OUT)));
    return put_gauges(m, out);
}
