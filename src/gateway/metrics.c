/* SPDX-License-Identifier: MIT */
/* A view of the counters as one reading of the settings numbers them. What is counted is not the view's: it stands in rows that
 * are found again by their labels (ledger), and in tables that no settings change.
 *
 *     settings: route 0, 1, 2 ──► view: row of 0, 1, 2 ──► ledger: route="/a" [left 1xx .. 5xx], route="/b" ..., "/gone" ...
 *     newer settings: route 0 ──► view: row of 0 ────────────────────────────────────────────┘
 */
#include "gateway/metrics.h"

#include "base/cleanup.h"
#include "gateway/ledger.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define N_CLASSES 6 /* 0: the client left; 1..5 */
#define N_BOUNDS  14

static const double bounds_s[N_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                          0.25,  0.5,    1,     2.5,  5,     10,   60};

enum sum {
    SUM_BYTES_IN,
    SUM_BYTES_OUT,
    SUM_CACHE_HITS,
    SUM_CACHE_MISSES,
    SUM_DEGRADED,
    SUM_ODDITIES = SUM_DEGRADED + DEGRADED_COUNT,
    SUM_COUNT = SUM_ODDITIES + ODDITY_COUNT
};

/* Columns of the table that knows no settings. */
enum {
    PROBLEMS = 0,
    DURATIONS = PROBLEMS + PROBLEM_COUNT,
    UPSTREAMS = DURATIONS + N_BOUNDS + 2, /* bounds, +Inf, and the sum */
    SUMS = UPSTREAMS + N_BOUNDS + 2,
    GAUGES = SUMS + SUM_COUNT,
    N_FIXED = GAUGES + GAUGE_COUNT,
};

/* One family: the rows in the settings' order, and all there ever were. */
struct rows {
    struct row **at;
    size_t n;
    struct row **all;
    size_t n_all;
};

struct metrics {
    _Atomic unsigned references;
    struct ledger *ledger;
    struct rows rows[LEDGER_FAMILY_COUNT];
};

/* ---- life ---- */

static void rows_fini(struct rows *rows) {
    free(rows->at);
    free(rows->all);
}

void metrics_unref(struct metrics *m) {
    if (!m || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t f = 0; f < LEDGER_FAMILY_COUNT; f++)
        rows_fini(&m->rows[f]);
    ledger_unref(m->ledger);
    free(m);
}

struct metrics *metrics_ref(struct metrics *m) {
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
    return m;
}

/* Label values are the operator's own words; JSON's escapes are a superset of the exposition format's for what can stand in them. */
static int put_label(struct buffer *out, const char *name, struct str value) {
    TRY(buffer_printf(out, "%s=", name));
    return put_json_string(out, value);
}

static int put_route(const struct settings *s, size_t i, struct buffer *out) {
    return put_label(out, "route", i < s->n_routes ? s->routes[i].label : STR("none"));
}

static int put_issuer(const struct settings *s, size_t i, struct buffer *out) {
    return put_label(out, "issuer", s->tokens.issuers[i].name);
}

static int put_policy(const struct settings *s, size_t i, struct buffer *out) {
    TRY(put_label(out, "policy", s->policies[i]->id));
    return buffer_printf(out, ",mode=\"%s\"", s->policies[i]->is_shadow ? "shadow" : "enforce");
}

static int look_up(struct metrics *m, enum ledger_family family, size_t n,
                   int (*put)(const struct settings *, size_t, struct buffer *),
                   const struct settings *settings) {
    CLEANUP(buffer_release) struct buffer labels = {0};
    struct rows *rows = &m->rows[family];
    rows->at = calloc(n + 1, sizeof(struct row *));
    if (!rows->at)
        return -ENOMEM;
    for (rows->n = 0; rows->n < n; rows->n++) {
        buffer_clear(&labels);
        TRY(put(settings, rows->n, &labels));
        rows->at[rows->n] = ledger_row(m->ledger, family, buffer_bytes(&labels));
        if (!rows->at[rows->n])
            return -ENOMEM;
    }
    const struct family *all = &m->ledger->families[family];
    rows->all = calloc(all->n + 1, sizeof(struct row *));
    if (!rows->all)
        return -ENOMEM;
    for (rows->n_all = 0; rows->n_all < all->n; rows->n_all++)
        rows->all[rows->n_all] = all->rows[rows->n_all];
    return 0;
}

/* Takes the ledger's reference. */
static struct metrics *view(struct ledger *ledger, const struct settings *s) {
    struct metrics *m = calloc(1, sizeof(*m));
    if (!m) {
        ledger_unref(ledger);
        return NULL;
    }
    atomic_init(&m->references, 1);
    m->ledger = ledger;
    if (look_up(m, LEDGER_ROUTES, s->n_routes + 1, put_route, s) == 0 &&
        look_up(m, LEDGER_ISSUERS, s->tokens.n_issuers, put_issuer, s) == 0 &&
        look_up(m, LEDGER_POLICIES, s->n_policies, put_policy, s) == 0)
        return m;
    metrics_unref(m);
    return NULL;
}

struct metrics *metrics_new(const struct settings *settings, size_t n_workers) {
    struct ledger *ledger =
        ledger_new(&(struct ledger_shape){.n_workers = n_workers,
                                          .n_fixed = N_FIXED,
                                          .n_gauges = GAUGE_COUNT,
                                          .n_columns = {[LEDGER_ROUTES] = N_CLASSES,
                                                        [LEDGER_ISSUERS] = TOKEN_VERDICT_COUNT,
                                                        [LEDGER_POLICIES] = 2}});
    return ledger ? view(ledger, settings) : NULL;
}

struct metrics *metrics_next(struct metrics *before, const struct settings *settings) {
    return view(ledger_ref(before->ledger), settings);
}

/* ---- counting ---- */

static void add(struct metrics *m, size_t worker, size_t column, int64_t amount) {
    counters_add(m->ledger->fixed, worker, column, amount);
}

static void add_to_row(struct metrics *m, enum ledger_family family, size_t index, size_t worker,
                       size_t column) {
    assert(index < m->rows[family].n);
    counters_add(m->rows[family].at[index]->counters, worker, column, 1);
}

static void observe(struct metrics *m, size_t worker, size_t histogram, int64_t ns) {
    double s = (double)ns / (double)NS_PER_S;
    size_t i = 0;
    while (i < N_BOUNDS && s > bounds_s[i])
        i++;
    add(m, worker, histogram + i, 1);
    add(m, worker, histogram + N_BOUNDS + 1, ns);
}

void metrics_count_request(struct metrics *m, size_t worker, const struct metrics_request *r) {
    size_t none = m->rows[LEDGER_ROUTES].n - 1;
    size_t class = r->status >= 100 && r->status < 600 ? (size_t)r->status / 100 : 0;
    add_to_row(m, LEDGER_ROUTES, r->route == SIZE_MAX ? none : r->route, worker, class);
    if (r->problem != PROBLEM_NONE)
        add(m, worker, PROBLEMS + r->problem, 1);
    add(m, worker, SUMS + SUM_BYTES_IN, (int64_t)r->bytes_in);
    add(m, worker, SUMS + SUM_BYTES_OUT, (int64_t)r->bytes_out);
    observe(m, worker, DURATIONS, r->duration_ns);
    if (r->upstream_ns >= 0)
        observe(m, worker, UPSTREAMS, r->upstream_ns);
}

void metrics_count_token(struct metrics *m, size_t worker, size_t issuer,
                         enum token_verdict verdict, bool cache_hit) {
    add_to_row(m, LEDGER_ISSUERS, issuer, worker, verdict);
    add(m, worker, SUMS + (cache_hit ? SUM_CACHE_HITS : SUM_CACHE_MISSES), 1);
}

void metrics_count_limit(struct metrics *m, size_t worker, const struct limit_policy *policy,
                         bool refused) {
    add_to_row(m, LEDGER_POLICIES, policy->index, worker, refused);
}

void metrics_count_degraded(struct metrics *m, size_t worker, enum degraded how) {
    add(m, worker, SUMS + SUM_DEGRADED + how, 1);
}

void metrics_set(struct metrics *m, size_t worker, enum metrics_gauge gauge, int64_t value) {
    int64_t *last = &m->ledger->gauges[worker * GAUGE_COUNT + gauge];
    add(m, worker, GAUGES + gauge, value - *last);
    *last = value;
}

/* ---- Prometheus text ---- */

static int put_head(struct buffer *out, const char *name, const char *type, const char *help) {
    return buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int64_t sum(const struct metrics *m, size_t column) {
    return counters_sum(m->ledger->fixed, column);
}

bool metrics_count_oddity(struct metrics *m, size_t worker, enum metrics_oddity oddity) {
    bool is_first = sum(m, SUMS + SUM_ODDITIES + oddity) == 0;
    add(m, worker, SUMS + SUM_ODDITIES + oddity, 1);
    return is_first;
}

static int put_row(struct buffer *out, const char *name, const struct row *row, size_t column,
                   const char *label, const char *value) {
    return buffer_printf(out, "%s{%s,%s=\"%s\"} %lld\n", name, row->labels, label, value,
                         (long long)counters_sum(row->counters, column));
}

static int put_requests(const struct metrics *m, struct buffer *out) {
    static const char *const classes[N_CLASSES] = {"left", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const struct rows *rows = &m->rows[LEDGER_ROUTES];
    TRY(put_head(out, "jotgate_requests_total", "counter",
                 "Requests by route and status class; left: the client left first."));
    for (size_t r = 0; r < rows->n_all; r++)
        for (size_t c = 0; c < N_CLASSES; c++)
            if (counters_sum(rows->all[r]->counters, c) > 0)
                TRY(put_row(out, "jotgate_requests_total", rows->all[r], c, "class", classes[c]));
    return 0;
}

static int put_problems(const struct metrics *m, struct buffer *out) {
    TRY(put_head(out, "jotgate_refusals_total", "counter",
                 "Answers of the gateway's own, by verdict."));
    for (size_t p = PROBLEM_NONE + 1; p < PROBLEM_COUNT; p++)
        TRY(buffer_printf(out, "jotgate_refusals_total{verdict=\"%s\"} %lld\n",
                          problem_row((enum problem)p)->name, (long long)sum(m, PROBLEMS + p)));
    return 0;
}

static int put_tokens(const struct metrics *m, struct buffer *out) {
    const struct rows *rows = &m->rows[LEDGER_ISSUERS];
    TRY(put_head(out, "jotgate_tokens_total", "counter",
                 "Tokens looked at, by issuer and verdict."));
    for (size_t i = 0; i < rows->n_all; i++)
        for (size_t v = 0; v < TOKEN_VERDICT_COUNT; v++)
            if (counters_sum(rows->all[i]->counters, v) > 0)
                TRY(put_row(out, "jotgate_tokens_total", rows->all[i], v, "verdict",
                            token_verdict_name((enum token_verdict)v)));
    TRY(put_head(out, "jotgate_token_cache_total", "counter",
                 "Tokens answered by the verified-token cache, or not."));
    return buffer_printf(out,
                         "jotgate_token_cache_total{result=\"hit\"} "
                         "%lld\njotgate_token_cache_total{result=\"miss\"} %lld\n",
                         (long long)sum(m, SUMS + SUM_CACHE_HITS),
                         (long long)sum(m, SUMS + SUM_CACHE_MISSES));
}

static int put_limits(const struct metrics *m, struct buffer *out) {
    static const char *const results[2] = {"passed", "refused"};
    const struct rows *rows = &m->rows[LEDGER_POLICIES];
    TRY(put_head(out, "jotgate_limits_total", "counter",
                 "Policies met, by what they said; shadow policies refuse nobody."));
    for (size_t p = 0; p < rows->n_all; p++)
        for (size_t r = 0; r < 2; r++)
            TRY(put_row(out, "jotgate_limits_total", rows->all[p], r, "result", results[r]));
    return 0;
}

static int put_histogram(const struct metrics *m, struct buffer *out, size_t first,
                         const char *name, const char *help) {
    int64_t below = 0;
    TRY(put_head(out, name, "histogram", help));
    for (size_t i = 0; i < N_BOUNDS; i++) {
        below += sum(m, first + i);
        TRY(buffer_printf(out, "%s_bucket{le=\"%g\"} %lld\n", name, bounds_s[i], (long long)below));
    }
    below += sum(m, first + N_BOUNDS);
    return buffer_printf(
        out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.6f\n%s_count %lld\n", name, (long long)below,
        name, (double)sum(m, first + N_BOUNDS + 1) / (double)NS_PER_S, name, (long long)below);
}

const char *degraded_name(enum degraded degraded) {
    static const char *const names[DEGRADED_COUNT] = {"", "share", "open", "closed"};
    return names[degraded];
}

static int put_degraded(const struct metrics *m, struct buffer *out) {
    TRY(put_head(out, "jotgate_limits_degraded_total", "counter",
                 "Requests whose limits were decided without Redis, by how."));
    for (size_t how = DEGRADED_NOT + 1; how < DEGRADED_COUNT; how++)
        TRY(buffer_printf(out, "jotgate_limits_degraded_total{how=\"%s\"} %lld\n",
                          degraded_name((enum degraded)how),
                          (long long)sum(m, SUMS + SUM_DEGRADED + how)));
    return 0;
}

/* No labels, so the names say it. */
static int put_oddities(const struct metrics *m, struct buffer *out) {
    static const struct {
        const char *name, *help;
    } rows[ODDITY_COUNT] = {
        [ODDITY_UNKNOWN_PLAN] = {"jotgate_unknown_plans_total",
                                 "Requests whose token names a tier that is not there."},
        [ODDITY_UNSETTLED] =
            {"jotgate_unsettled_total",
             "Answers that did not say what the call had cost; the reserve stood."},
        [ODDITY_REDIS] = {"jotgate_redis_odd_answers_total",
                          "Answers of Redis to a count that were none."},
    };
    for (size_t i = 0; i < ODDITY_COUNT; i++) {
        TRY(put_head(out, rows[i].name, "counter", rows[i].help));
        TRY(buffer_printf(out, "%s %lld\n", rows[i].name,
                          (long long)sum(m, SUMS + SUM_ODDITIES + i)));
    }
    return 0;
}

/* clang-format off */
static const struct {
    const char *name, *type, *help, *label;
} GAUGE_ROWS[GAUGE_COUNT] = {
    [GAUGE_CONNECTIONS]        = {"jotgate_connections", "gauge", "Open client connections.", NULL},
    [GAUGE_REQUESTS]           = {"jotgate_requests_open", "gauge", "Requests under way.", NULL},
    [GAUGE_ACCEPTED]           = {"jotgate_connections_accepted_total", "counter", "Client connections accepted.", NULL},
    [GAUGE_REFUSED_FULL]       = {"jotgate_connections_refused_total", "counter", "Client connections refused, by reason.", "{reason=\"full\"}"},
    [GAUGE_REFUSED_PER_IP]     = {"jotgate_connections_refused_total", NULL, NULL, "{reason=\"per_ip\"}"},
    [GAUGE_EVICTED]            = {"jotgate_connections_evicted_total", "counter", "Idle client connections closed to make room for new ones.", NULL},
    [GAUGE_UPSTREAM_OPEN]      = {"jotgate_upstream_connections_busy", "gauge", "Upstream connections with a request.", NULL},
    [GAUGE_UPSTREAM_IDLE]      = {"jotgate_upstream_connections_idle", "gauge", "Upstream connections kept for reuse.", NULL},
    [GAUGE_UPSTREAM_QUEUED]    = {"jotgate_upstream_queued", "gauge", "Requests that wait for a place at an upstream.", NULL},
    [GAUGE_UPSTREAM_EJECTED]   = {"jotgate_upstream_ejected", "gauge", "Upstream addresses ejected, summed over the workers.", NULL},
    [GAUGE_CHECKS]             = {"jotgate_token_checks_total", "counter", "Tokens checked that were not in the cache.", NULL},
    [GAUGE_CHECK_MICROSECONDS] = {"jotgate_token_check_microseconds_total", "counter", "Time of the workers that these checks took.", NULL},
    [GAUGE_CHECKS_QUEUED]      = {"jotgate_token_checks_queued_total", "counter", "Checks that had to wait for their turn.", NULL},
    [GAUGE_CHECKS_REFUSED]     = {"jotgate_token_checks_refused_total", "counter", "Checks refused because too many waited.", NULL},
    [GAUGE_CHECKS_WAITING]     = {"jotgate_token_checks_waiting", "gauge", "Checks waiting for their turn.", NULL},
    [GAUGE_CACHED_TOKENS]      = {"jotgate_cached_tokens", "gauge", "Verified tokens held.", NULL},
    [GAUGE_CACHED_TOKEN_BYTES] = {"jotgate_cached_token_bytes", "gauge", "Bytes of the verified tokens held.", NULL},
    [GAUGE_UPSTREAM_CONNECTS]  = {"jotgate_upstream_connects_total", "counter", "Upstream connections made.", NULL},
    [GAUGE_UPSTREAM_REUSES]    = {"jotgate_upstream_reuses_total", "counter", "Requests on a kept connection.", NULL},
    [GAUGE_UPSTREAM_RETRIES]   = {"jotgate_upstream_retries_total", "counter", "Requests sent again after a stale connection.", NULL},
    [GAUGE_UPSTREAM_EJECTIONS] = {"jotgate_upstream_ejections_total", "counter", "Ejections of upstream addresses, summed over the workers.", NULL},
    [GAUGE_UPSTREAM_OVERLOADS] = {"jotgate_upstream_overloads_total", "counter", "Requests that got no place at an upstream.", NULL},
    [GAUGE_WEBSOCKETS]         = {"jotgate_websockets_open", "gauge", "Open WebSockets.", NULL},
    [GAUGE_WEBSOCKET_BYTES_IN]  = {"jotgate_websocket_received_bytes_total", "counter", "Bytes from clients over WebSockets.", NULL},
    [GAUGE_WEBSOCKET_BYTES_OUT] = {"jotgate_websocket_sent_bytes_total", "counter", "Bytes to clients over WebSockets.", NULL},
    [GAUGE_WEBSOCKETS_OVER_IP]  = {"jotgate_websockets_over_ip_limit_total", "counter", "WebSockets above max_per_ip, refused unless limits are in shadow.", NULL},
    [GAUGE_WEBSOCKETS_OVER_SUBJECT] = {"jotgate_websockets_over_subject_limit_total", "counter", "WebSockets above max_per_subject, refused unless limits are in shadow.", NULL},
    [GAUGE_REDIS_UP]           = {"jotgate_redis_up", "gauge", "Redis servers that are needed and answer, summed over the workers.", NULL},
    [GAUGE_REDIS_AWAY]         = {"jotgate_redis_breakers_open", "gauge", "Redis servers that are needed and do not answer, summed over the workers.", NULL},
    [GAUGE_REDIS_MACHINES]     = {"jotgate_redis_machines", "gauge", "Processes that share the limits, as last seen.", NULL},
    [GAUGE_REDIS_UNSETTLED]    = {"jotgate_redis_unsettled", "gauge", "Counters of which Redis has not heard yet what passed while it was away.", NULL},
    [GAUGE_REDIS_OPENINGS]     = {"jotgate_redis_breaker_openings_total", "counter", "Times that a Redis server stopped answering.", NULL},
    [GAUGE_REDIS_CONNECTS]     = {"jotgate_redis_connects_total", "counter", "Connections to Redis made.", NULL},
    [GAUGE_REDIS_MICROSECONDS] = {"jotgate_redis_call_microseconds_total", "counter", "Waiting for Redis' answers, summed over the calls.", NULL},
    [GAUGE_API_KEYS_GOOD]      = {"jotgate_api_keys_total", "counter", "Callers who showed an API key, by what it was worth; stale: remembered, while Redis is away.", "{result=\"good\"}"},
    [GAUGE_API_KEYS_STALE]     = {"jotgate_api_keys_total", NULL, NULL, "{result=\"stale\"}"},
    [GAUGE_API_KEYS_EXPIRED]   = {"jotgate_api_keys_total", NULL, NULL, "{result=\"expired\"}"},
    [GAUGE_API_KEYS_UNKNOWN]   = {"jotgate_api_keys_total", NULL, NULL, "{result=\"unknown\"}"},
    [GAUGE_API_KEYS_UNAVAILABLE] = {"jotgate_api_keys_total", NULL, NULL, "{result=\"unavailable\"}"},
    [GAUGE_API_KEY_FETCHES]    = {"jotgate_api_key_fetches_total", "counter", "API keys that Redis was asked for.", NULL},
    [GAUGE_API_KEYS_HELD]      = {"jotgate_api_keys_held", "gauge", "API keys remembered, summed over the workers.", NULL},
    [GAUGE_REDIS_CALLS + REDIS_ANSWERED]   = {"jotgate_redis_calls_total", "counter", "Calls to Redis, by how they ended.", "{verdict=\"answered\"}"},
    [GAUGE_REDIS_CALLS + REDIS_ERROR]      = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"error\"}"},
    [GAUGE_REDIS_CALLS + REDIS_AWAY]       = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"away\"}"},
    [GAUGE_REDIS_CALLS + REDIS_OVERLOADED] = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"overloaded\"}"},
    [GAUGE_REDIS_CALLS + REDIS_REFUSED]    = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"refused\"}"},
    [GAUGE_REDIS_CALLS + REDIS_LATE]       = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"late\"}"},
    [GAUGE_REDIS_CALLS + REDIS_LOST]       = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"lost\"}"},
    [GAUGE_REDIS_CALLS + REDIS_NONSENSE]   = {"jotgate_redis_calls_total", NULL, NULL, "{verdict=\"nonsense\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_FULL] = {"jotgate_tls_handshakes_total", "counter", "TLS handshakes of clients, by how they went.", "{result=\"full\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_RESUMED] = {"jotgate_tls_handshakes_total", NULL, NULL, "{result=\"resumed\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_FAILED] = {"jotgate_tls_handshakes_total", NULL, NULL, "{result=\"failed\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_PLAIN] = {"jotgate_tls_handshakes_total", NULL, NULL, "{result=\"plain_http\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_LEFT] = {"jotgate_tls_handshakes_total", NULL, NULL, "{result=\"client_left\"}"},
    [GAUGE_TLS_HANDSHAKES + HANDSHAKE_LATE] = {"jotgate_tls_handshakes_total", NULL, NULL, "{result=\"timeout\"}"},
};
/* clang-format on */

static int put_gauges(const struct metrics *m, struct buffer *out) {
    for (size_t g = 0; g < GAUGE_COUNT; g++) {
        if (GAUGE_ROWS[g].type) /* the first of its name */
            TRY(put_head(out, GAUGE_ROWS[g].name, GAUGE_ROWS[g].type, GAUGE_ROWS[g].help));
        TRY(buffer_printf(out, "%s%s %lld\n", GAUGE_ROWS[g].name,
                          GAUGE_ROWS[g].label ? GAUGE_ROWS[g].label : "",
                          (long long)sum(m, GAUGES + g)));
    }
    return 0;
}

int metrics_render(const struct metrics *m, struct buffer *out) {
    TRY(put_requests(m, out));
    TRY(put_problems(m, out));
    TRY(put_tokens(m, out));
    TRY(put_limits(m, out));
    TRY(put_histogram(m, out, DURATIONS, "jotgate_request_seconds",
                      "From a request's head to its end."));
    TRY(put_histogram(m, out, UPSTREAMS, "jotgate_upstream_seconds",
                      "From handing over to the upstream's head."));
    TRY(put_head(out, "jotgate_body_bytes_total", "counter", "Bytes of bodies relayed."));
    TRY(buffer_printf(out,
                      "jotgate_body_bytes_total{direction=\"in\"} "
                      "%lld\njotgate_body_bytes_total{direction=\"out\"} %lld\n",
                      (long long)sum(m, SUMS + SUM_BYTES_IN),
                      (long long)sum(m, SUMS + SUM_BYTES_OUT)));
    TRY(put_degraded(m, out));
    TRY(put_oddities(m, out));
    return put_gauges(m, out);
}
