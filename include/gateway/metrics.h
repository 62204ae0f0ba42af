/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "http/problem.h"
#include "io/front.h"
#include "io/redis.h"
#include "settings/settings.h"

/* What the gateway counts, per worker without locks, and its Prometheus text. Labels are bounded: route, status class, verdict, issuer,
 * policy; never subjects, addresses or paths. */
struct metrics;

struct metrics *metrics_new(const struct settings *settings,
                            size_t n_workers) MUST_USE; /* NULL when memory is out */
/* The same counters as newer settings number them: whatever bears the name that it had counts on where it stood, and what is gone
 * stays to be read. `before` is the newest so far; by one thread. NULL when memory is out. */
struct metrics *metrics_next(struct metrics *before, const struct settings *settings) MUST_USE;
struct metrics *metrics_ref(struct metrics *metrics); /* references are atomic */
void metrics_unref(struct metrics *metrics);          /* takes NULL */

/* One finished exchange. */
struct metrics_request {
    size_t route; /* SIZE_MAX: none matched */
    int status;   /* 0: the client left before an answer */
    enum problem problem;
    int64_t duration_ns;
    int64_t upstream_ns; /* to its head; -1: none */
    uint64_t bytes_in, bytes_out;
};
void metrics_count_request(struct metrics *metrics, size_t worker,
                           const struct metrics_request *request);
void metrics_count_token(struct metrics *metrics, size_t worker, size_t issuer,
                         enum token_verdict verdict, bool cache_hit);
void metrics_count_limit(struct metrics *metrics, size_t worker, const struct limit_policy *policy,
                         bool refused);

/* How limits were decided while Redis was away. */
enum degraded {
    DEGRADED_NOT,
    DEGRADED_SHARE,
    DEGRADED_OPEN,
    DEGRADED_CLOSED,
    DEGRADED_COUNT,
};
const char *degraded_name(enum degraded how); /* "", "share", "open", "closed" */
void metrics_count_degraded(struct metrics *metrics, size_t worker, enum degraded how);

/* What is not as it should be, is coped with, and is told in the log once. True for the first of the process' life. */
enum metrics_oddity {
    ODDITY_UNKNOWN_PLAN, /* a token names a tier that is not there */
    ODDITY_UNSETTLED,    /* an answer did not say what the call had cost */
    ODDITY_REDIS,        /* Redis ran a script, and it is no count that it answers */
    ODDITY_COUNT,
};
bool metrics_count_oddity(struct metrics *metrics, size_t worker, enum metrics_oddity oddity);

/* Things that stand at a value; each worker sets its own, the reader sums. */
enum metrics_gauge {
    GAUGE_CONNECTIONS,
    GAUGE_REQUESTS,
    GAUGE_ACCEPTED,
    GAUGE_REFUSED_FULL,
    GAUGE_REFUSED_PER_IP,
    GAUGE_EVICTED,
    GAUGE_UPSTREAM_OPEN,
    GAUGE_UPSTREAM_IDLE,
    GAUGE_UPSTREAM_QUEUED,
    GAUGE_UPSTREAM_EJECTED,
    GAUGE_CHECKS,
    GAUGE_CHECK_MICROSECONDS,
    GAUGE_CHECKS_QUEUED,
    GAUGE_CHECKS_REFUSED,
    GAUGE_CHECKS_WAITING,
    GAUGE_CACHED_TOKENS,
    GAUGE_CACHED_TOKEN_BYTES,
    GAUGE_UPSTREAM_CONNECTS,
    GAUGE_UPSTREAM_REUSES,
    GAUGE_UPSTREAM_RETRIES,
    GAUGE_UPSTREAM_EJECTIONS,
    GAUGE_UPSTREAM_OVERLOADS,
    GAUGE_WEBSOCKETS,
    GAUGE_WEBSOCKET_BYTES_IN,
    GAUGE_WEBSOCKET_BYTES_OUT,
    GAUGE_WEBSOCKETS_OVER_IP,
    GAUGE_WEBSOCKETS_OVER_SUBJECT,
    GAUGE_REDIS_UP,
    GAUGE_REDIS_AWAY,
    GAUGE_REDIS_MACHINES,
    GAUGE_REDIS_UNSETTLED,
    GAUGE_REDIS_OPENINGS,
    GAUGE_REDIS_CONNECTS,
    GAUGE_REDIS_MICROSECONDS,
    GAUGE_API_KEYS_GOOD, /* in the order of enum api_keys_result */
    GAUGE_API_KEYS_STALE,
    GAUGE_API_KEYS_EXPIRED,
    GAUGE_API_KEYS_UNKNOWN,
    GAUGE_API_KEYS_UNAVAILABLE,
    GAUGE_API_KEY_FETCHES,
    GAUGE_API_KEYS_HELD,
    GAUGE_REDIS_CALLS, /* one for each enum redis_verdict */
    GAUGE_TLS_HANDSHAKES =
        GAUGE_REDIS_CALLS + REDIS_VERDICTS, /* one for each enum front_handshake */
    GAUGE_COUNT = GAUGE_TLS_HANDSHAKES + HANDSHAKE_COUNT,
};
void metrics_set(struct metrics *metrics, size_t worker, enum metrics_gauge gauge, int64_t value);

/* Prometheus text format 0.0.4 of everything counted here. From any thread. */
int metrics_render(const struct metrics *metrics, struct buffer *out) MUST_USE;
