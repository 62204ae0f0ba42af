/* SPDX-License-Identifier: MIT */
/* Gauges are other rooms' state: copied out by the worker itself when it is called upon, so that a scrape never touches its memory. */
#include "gateway/gateway.h"

#include "gateway/api_keys.h"
#include "gateway/checks.h"
#include "gateway/counting.h"
#include "gateway_internal.h"
#include "io/redis_sights.h"
#include "io/tls_server.h"

static void copy_redis_gauges(struct gateway *gateway) {
    struct metrics *metrics = gateway->parts.metrics;
    size_t worker = gateway->parts.worker;
    if (!gateway->redis)
        return;
    struct redis_sight sight = redis_look(gateway->redis);
    if (gateway->parts.sights)
        redis_sights_tell(gateway->parts.sights, worker, &sight);
    struct redis_stats redis = redis_stats(gateway->redis);
    metrics_set(metrics, worker, GAUGE_REDIS_UP, (int64_t)redis.n_up);
    metrics_set(metrics, worker, GAUGE_REDIS_AWAY, (int64_t)(redis.n_servers - redis.n_up));
    if (worker == 0) /* of the process, not of each of its workers */
        metrics_set(metrics, worker, GAUGE_REDIS_MACHINES,
                    (int64_t)counting_machines(gateway->parts.counting));
    metrics_set(metrics, worker, GAUGE_REDIS_UNSETTLED,
                (int64_t)counting_unsettled(gateway->parts.counting, worker == 0));
    metrics_set(metrics, worker, GAUGE_REDIS_OPENINGS, (int64_t)redis.openings);
    metrics_set(metrics, worker, GAUGE_REDIS_CONNECTS, (int64_t)redis.connects);
    metrics_set(metrics, worker, GAUGE_REDIS_MICROSECONDS, (int64_t)(redis.latency_sum_ns / 1000));
    for (size_t i = 0; i < REDIS_VERDICTS; i++)
        metrics_set(metrics, worker, (enum metrics_gauge)(GAUGE_REDIS_CALLS + i),
                    (int64_t)redis.ended[i]);
}

static void copy_api_key_gauges(struct gateway *gateway) {
    struct metrics *metrics = gateway->parts.metrics;
    size_t worker = gateway->parts.worker;
    struct api_keys_stats keys = api_keys_stats(gateway->api_keys);
    for (size_t i = 0; i < API_KEYS_RESULTS; i++)
        metrics_set(metrics, worker, (enum metrics_gauge)(GAUGE_API_KEYS_GOOD + i),
                    (int64_t)keys.results[i]);
    metrics_set(metrics, worker, GAUGE_API_KEY_FETCHES, (int64_t)keys.fetches);
    metrics_set(metrics, worker, GAUGE_API_KEYS_HELD, (int64_t)keys.n_held);
}

void gateway_show(struct gateway *gateway) {
    struct metrics *metrics = gateway->parts.metrics;
    size_t worker = gateway->parts.worker;
    struct upstream_stats pool = upstream_pool_stats(gateway->pool);
    struct token_cache_stats cache = token_cache_stats(gateway->cache);
    struct front_stats front =
        gateway->front ? front_stats(gateway->front) : (struct front_stats){0};

    metrics_set(metrics, worker, GAUGE_CONNECTIONS,
                (int64_t)(gateway->front ? front_count(gateway->front) : 0));
    metrics_set(metrics, worker, GAUGE_REQUESTS,
                (int64_t)(gateway->front ? front_count_requests(gateway->front) : 0));
    metrics_set(metrics, worker, GAUGE_ACCEPTED, (int64_t)front.n_accepted);
    metrics_set(metrics, worker, GAUGE_REFUSED_FULL, (int64_t)front.n_refused_full);
    metrics_set(metrics, worker, GAUGE_REFUSED_PER_IP, (int64_t)front.n_refused_per_ip);
    metrics_set(metrics, worker, GAUGE_EVICTED, (int64_t)front.n_evicted);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_OPEN, (int64_t)pool.n_open);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_IDLE, (int64_t)pool.n_idle);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_QUEUED, (int64_t)pool.n_queued);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_EJECTED, (int64_t)pool.n_ejected);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_EJECTIONS, (int64_t)pool.n_ejections);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_OVERLOADS, (int64_t)pool.n_overloads);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_CONNECTS, (int64_t)pool.n_connects);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_REUSES, (int64_t)pool.n_reuses);
    metrics_set(metrics, worker, GAUGE_UPSTREAM_RETRIES, (int64_t)pool.n_retries);
    metrics_set(metrics, worker, GAUGE_WEBSOCKETS, (int64_t)gateway->n_tunnels);
    metrics_set(metrics, worker, GAUGE_WEBSOCKET_BYTES_IN, (int64_t)gateway->tunnel_bytes_in);
    metrics_set(metrics, worker, GAUGE_WEBSOCKET_BYTES_OUT, (int64_t)gateway->tunnel_bytes_out);
    metrics_set(metrics, worker, GAUGE_WEBSOCKETS_OVER_IP, (int64_t)gateway->n_over_ip);
    metrics_set(metrics, worker, GAUGE_WEBSOCKETS_OVER_SUBJECT, (int64_t)gateway->n_over_subject);
    for (size_t i = 0; i < HANDSHAKE_COUNT; i++)
        metrics_set(metrics, worker, (enum metrics_gauge)(GAUGE_TLS_HANDSHAKES + i),
                    (int64_t)front.n_handshakes[i]);
    copy_redis_gauges(gateway);
    copy_api_key_gauges(gateway);
    const struct checks *checks = &gateway->checks;
    metrics_set(metrics, worker, GAUGE_CHECKS, (int64_t)checks->n_checked);
    metrics_set(metrics, worker, GAUGE_CHECK_MICROSECONDS, checks->total_ns / 1000);
    metrics_set(metrics, worker, GAUGE_CHECKS_QUEUED, (int64_t)checks->n_queued);
    metrics_set(metrics, worker, GAUGE_CHECKS_REFUSED, (int64_t)checks->n_refused);
    metrics_set(metrics, worker, GAUGE_CHECKS_WAITING, (int64_t)check_queue_count(checks->queue));
    metrics_set(metrics, worker, GAUGE_CACHED_TOKENS, (int64_t)cache.n_entries);
    metrics_set(metrics, worker, GAUGE_CACHED_TOKEN_BYTES, (int64_t)cache.total_bytes);
}
