/* SPDX-License-Identifier: MIT */
/* The events of front and upstream become calls of pipeline and relay; nothing is decided here. */
#include "gateway/gateway.h"

#include "base/hash.h"
#include "base/log.h"
#include "gateway/admin_api.h"
#include "gateway/answer.h"
#include "gateway/api_keys.h"
#include "gateway/checks.h"
#include "gateway/counting.h"
#include "gateway/holds.h"
#include "gateway/lifetime.h"
#include "gateway/pipeline.h"
#include "gateway/records.h"
#include "gateway/relay.h"
#include "gateway/streams.h"
#include "gateway_internal.h"
#include "io/feed.h"
#include "io/redis.h"
#include "io/redis_slots.h"
#include "io/redis_usage.h"
#include "io/tls_server.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void on_request(void *arg, struct client *client) {
    struct exchange *x = exchange_new(arg, client, true);
    if (!x) {
        client_cut(client);
        return;
    }
    pipeline_advance(x);
}

static void on_malformed(void *arg, struct client *client, enum problem problem,
                         const char *reason) {
    struct exchange *x = exchange_new(arg, client, false);
    if (!x) {
        client_cut(client);
        return;
    }
    x->problem = problem;
    x->reason = reason;
    answer_problem(x);
}

static void on_client_body(void *arg, struct client *client) {
    struct exchange *x = client_owner(client);
    (void)arg;
    if (x->admin)
        admin_api_body(x);
    else
        relay_request_body(x);
}

static void on_client_writable(void *arg, struct client *client) {
    (void)arg;
    relay_answer_body(client_owner(client));
}

static void on_client_done(void *arg, struct client *client) {
    (void)arg;
    exchange_finish(client_owner(client));
}

static void on_client_gone(void *arg, struct client *client, const char *reason) {
    (void)arg;
    struct exchange *x = client_owner(client);
    if (!x)
        return;
    x->is_abandoned = true;
    if (!x->reason)
        x->reason = reason;
    exchange_finish(x);
}

static const struct front_events front_events = {
    .on_request = on_request,
    .on_malformed = on_malformed,
    .on_body = on_client_body,
    .on_writable = on_client_writable,
    .on_done = on_client_done,
    .on_gone = on_client_gone,
};

static void on_upstream_head(void *owner, struct upstream_call *call) {
    (void)call;
    relay_answer_head(owner);
}

static void on_upstream_continue(void *owner, struct upstream_call *call) {
    (void)call;
    relay_continue(owner);
}

static void on_upstream_body(void *owner, struct upstream_call *call) {
    (void)call;
    relay_answer_body(owner);
}

static void on_upstream_writable(void *owner, struct upstream_call *call) {
    (void)call;
    relay_request_body(owner);
}

static void on_upstream_failed(void *owner, struct upstream_call *call,
                               enum upstream_failure failure, const char *reason) {
    (void)call;
    relay_failed(owner, failure, reason);
}

static const struct upstream_events upstream_events = {
    .on_head = on_upstream_head,
    .on_continue = on_upstream_continue,
    .on_body = on_upstream_body,
    .on_writable = on_upstream_writable,
    .on_failed = on_upstream_failed,
};

static struct front_limits front_limits_of(const struct gateway_parts *parts) {
    const struct http_limits *http = &parts->settings->http;
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.head = (struct head_limits){http->max_request_line, http->max_head, http->max_fields};
    limits.head_ns = http->head_timeout_ns;
    limits.body_ns = http->body_timeout_ns;
    limits.body_rate = http->min_body_rate;
    limits.request_ns = http->request_timeout_ns;
    limits.idle_ns = http->idle_timeout_ns;
    limits.write_ns = http->write_timeout_ns;
    limits.n_connections = parts->n_connections;
    limits.n_connections_per_ip = http->max_connections_per_ip;
    limits.peers = parts->connections;
    return limits;
}

void gateway_random(struct gateway *gateway, void *at, size_t n) {
    assert(n <= sizeof(gateway->random));
    if (gateway->random_used + n > sizeof(gateway->random)) {
        random_bytes(gateway->random, sizeof(gateway->random));
        gateway->random_used = 0;
    }
    memcpy(at, gateway->random + gateway->random_used, n);
    gateway->random_used += n;
}

static struct upstream_limits upstream_limits_of(const struct settings *settings) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.n_idle = settings->upstream_max_idle;
    limits.n_open = settings->upstream_max_open;
    limits.idle_ns = settings->upstream_idle_ns;
    limits.n_queued = settings->upstream_max_queue;
    limits.queue_ns = settings->upstream_queue_ns;
    limits.health =
        (struct health_rule){settings->upstream_eject_failures, settings->upstream_eject_ns};
    limits.head = (struct head_limits){settings->http.max_request_line, settings->http.max_head,
                                       settings->http.max_fields};
    return limits;
}

static struct token_cache *make_cache(const struct settings *settings) {
    struct token_cache_limits limits = TOKEN_CACHE_LIMITS_DEFAULT;
    limits.n_entries = settings->token_cache_entries;
    limits.total_bytes = settings->token_cache_bytes;
    return token_cache_new(&limits);
}

/* ---- life ---- */

static void check_waiting(struct deferred *turn) {
    struct gateway *gateway = CONTAINER_OF(turn, struct gateway, checks.turn);
    struct exchange *x;
    while ((x = checks_next(gateway)))
        pipeline_advance(x);
}

static void on_slot(void *owner, struct redis_slot *slot) {
    (void)slot;
    if (holds_heard(owner))
        pipeline_advance(owner);
}

static int start_counting(struct gateway *gateway) {
    gateway->parts.lent =
        redis_slots_new(&(struct redis_slots_parts){.loop = gateway->parts.loop,
                                                    .redis = gateway->redis,
                                                    .prefix = gateway->first->redis.prefix,
                                                    .machine = gateway->parts.via_id,
                                                    .worker = gateway->parts.worker,
                                                    .on_done = on_slot});
    gateway->parts.counting =
        counting_new(&(struct counting_parts){.loop = gateway->parts.loop,
                                              .redis = gateway->redis,
                                              .arrears = gateway->parts.arrears,
                                              .settings = &gateway->first->redis,
                                              .machine = gateway->parts.via_id,
                                              .purses = gateway->parts.purses,
                                              .worker = gateway->parts.worker,
                                              .n_workers = gateway->parts.n_workers,
                                              .on_counted = pipeline_advance});
    gateway->usage = redis_usage_new(gateway->redis, gateway->first->redis.prefix);
    return gateway->parts.counting && gateway->parts.lent && gateway->usage ? 0 : -ENOMEM;
}

static int start_redis(struct gateway *gateway) {
    const struct redis_settings *settings = &gateway->first->redis;
    char why[160];
    if (settings->url.n == 0)
        return 0;
    gateway->redis = redis_new(gateway->parts.loop, gateway->parts.resolver, &settings->target,
                               settings->timeout_ns, why);
    if (gateway->redis)
        return start_counting(gateway);
    log_error("redis", F_TEXT("error", why));
    return -EINVAL;
}

static struct gateway *give_up(struct gateway *gateway, int failure) {
    gateway_free(gateway);
    errno = -failure;
    return NULL;
}

struct gateway *gateway_new(const struct gateway_parts *parts) {
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (!gateway)
        return NULL;
    const struct settings *settings = parts->settings;
    struct upstream_limits upstream = upstream_limits_of(settings);

    gateway->parts = *parts;
    gateway->first = settings_ref(parts->settings);
    gateway->random_used = sizeof(gateway->random);
    gateway->epoch = epoch_new(&(struct epoch_parts){.settings = parts->settings,
                                                     .metrics = parts->metrics,
                                                     .public_tls = parts->public_tls,
                                                     .n_connections = parts->n_connections});
    gateway->open.next = gateway->open.previous = &gateway->open;
    gateway->checks.on_turn = check_waiting;
    gateway->checks.queue = check_queue_new(settings->check_queue);
    gateway->keyring = keyring_new(settings->tokens.n_issuers);
    gateway->news = parts->feed ? feed_news(parts->feed) : news_new();
    gateway->records = records_new(gateway, pipeline_advance);
    gateway->api_keys = api_keys_new(gateway, pipeline_advance);
    gateway->cache = make_cache(settings);
    gateway->pool =
        upstream_pool_new(parts->loop, parts->resolver, parts->tls, &upstream, &upstream_events);
    if (!gateway->epoch || !gateway->checks.queue || !gateway->keyring || !gateway->news ||
        !gateway->records || !gateway->api_keys || !gateway->cache || !gateway->pool)
        return give_up(gateway, -ENOMEM);
    int failure = start_redis(gateway);
    if (failure < 0)
        return give_up(gateway, failure);
    gateway_show(gateway);
    return gateway;
}

int gateway_listen(struct gateway *gateway, int listen_fd) {
    struct front_limits limits = front_limits_of(&gateway->parts);
    gateway->front = front_new(gateway->parts.loop, listen_fd, &limits, &front_events, gateway);
    if (!gateway->front)
        return -errno;
    gateway_set_tls(gateway, gateway->parts.public_tls);
    return 0;
}

void gateway_set_tls(struct gateway *gateway, struct tls_server *tls) {
    front_set_tls(gateway->front, tls);
}

static void abandon_all(struct gateway *gateway) {
    while (gateway->open.next != &gateway->open) {
        struct exchange *x = gateway->open.next;
        struct client *client = x->client;
        x->is_cut = true;
        exchange_finish(x);
        client_cut(client);
    }
}

void gateway_free(struct gateway *gateway) {
    if (!gateway)
        return;
    streams_stop(gateway);
    loop_defer_cancel(gateway->parts.loop, &gateway->checks.turn);
    abandon_all(gateway);
    front_free(gateway->front);
    if (gateway->pool)
        upstream_pool_free(gateway->pool);
    check_queue_free(gateway->checks.queue);
    records_free(gateway->records);
    api_keys_free(gateway->api_keys);
    redis_free(gateway->redis);
    counting_free(gateway->parts.counting);
    redis_usage_free(gateway->usage);
    redis_slots_free(gateway->parts.lent);
    token_cache_free(gateway->cache);
    keyring_unref(gateway->keyring);
    news_unref(gateway->news);
    settings_unref(gateway->first);
    exchange_free_spares(gateway);
    buffer_release(&gateway->scratch);
    buffer_release(&gateway->scratch_body);
    if (gateway->epoch)
        epoch_release(gateway->epoch);
    free(gateway);
}

void gateway_set_keyring(struct gateway *gateway, struct keyring *ring) {
    struct keyring *old = gateway->keyring;
    if (ring->layout != gateway->epoch->layout)
        return;
    gateway->keyring = keyring_ref(ring);
    keyring_unref(old);

    /* Advancing may finish exchanges: collect first, so that the walk never stands on a finished one. */
    struct exchange *waiting = NULL;
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next) {
        if (!x->waits_for_keys)
            continue;
        x->waits_for_keys = false;
        x->next_waiting = waiting;
        waiting = x;
    }
    while (waiting) {
        struct exchange *x = waiting;
        waiting = x->next_waiting;
        pipeline_advance(x);
    }
}

void gateway_set_news(struct gateway *gateway, struct news *news) {
    struct news *before = gateway->news;
    gateway->news = news_ref(news);
    records_heed(gateway->records, before, news);
    api_keys_heed(gateway->api_keys, before, news);
    if (gateway->parts.counting)
        counting_heed(gateway->parts.counting, before, news);
    if (news->denials != before->denials)
        streams_end_denied(gateway);
    news_unref(before);
}

/* ---- other settings ---- */

struct epoch *epoch_new(const struct epoch_parts *parts) {
    struct epoch *epoch = malloc(sizeof(*epoch));
    if (epoch)
        *epoch = (struct epoch){
            .settings = settings_ref(parts->settings),
            .metrics = metrics_ref(parts->metrics),
            .public_tls = parts->public_tls ? tls_server_ref(parts->public_tls) : NULL,
            .n_connections = parts->n_connections,
            .layout = parts->layout,
            .n_holders = 1,
        };
    return epoch;
}

void epoch_free(struct epoch *epoch) {
    if (!epoch)
        return;
    settings_unref(epoch->settings);
    metrics_unref(epoch->metrics);
    tls_server_unref(epoch->public_tls);
    free(epoch);
}

void epoch_release(struct epoch *epoch) {
    assert(epoch->n_holders > 0);
    if (--epoch->n_holders == 0)
        epoch_free(epoch);
}

/* A cache of another size is another cache; without memory for it the old one has to do. */
static void change_cache(struct gateway *gateway, const struct settings *before,
                         const struct settings *after) {
    bool keeps_size = before->token_cache_entries == after->token_cache_entries &&
                      before->token_cache_bytes == after->token_cache_bytes;
    struct token_cache *other = keeps_size ? NULL : make_cache(after);
    if (other) {
        token_cache_free(gateway->cache);
        gateway->cache = other;
    } else if (!token_cache_outlives(&before->tokens, &after->tokens)) {
        token_cache_clear(gateway->cache);
    }
}

void gateway_change(struct gateway *gateway, struct epoch *epoch, struct keyring *ring) {
    struct epoch *before = gateway->epoch;
    if (ring->layout != epoch->layout) {
        epoch_free(epoch);
        return;
    }
    gateway->epoch = epoch;
    gateway->parts.settings = epoch->settings;
    gateway->parts.metrics = epoch->metrics;
    gateway->parts.public_tls = epoch->public_tls;
    gateway->parts.n_connections = epoch->n_connections;

    struct front_limits front = front_limits_of(&gateway->parts);
    struct upstream_limits upstream = upstream_limits_of(epoch->settings);
    if (gateway->front) {
        front_set_limits(gateway->front, &front);
        gateway_set_tls(gateway, epoch->public_tls);
    }
    upstream_pool_set_limits(gateway->pool, &upstream);
    change_cache(gateway, before->settings, epoch->settings);
    api_keys_change(gateway->api_keys, epoch->settings);
    check_queue_resize(gateway->checks.queue, epoch->settings->check_queue);

    /* What they were told of an issuer's number is not so any more. */
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next)
        if (x->waits_for_keys || x->check.line || x->shows)
            exchange_begin_anew(x);
    epoch_release(before);
    gateway_set_keyring(gateway, ring);
}

/* ---- draining ---- */

void gateway_drain(struct gateway *gateway) {
    gateway->is_draining = true;
    if (gateway->parts.counting)
        counting_drain(gateway->parts.counting);
    if (gateway->front)
        front_drain(gateway->front);
}

void gateway_turn_away(struct gateway *gateway) {
    if (gateway->front)
        front_turn_away(gateway->front);
}

void gateway_stop_listening(struct gateway *gateway) {
    if (gateway->front)
        front_stop_listening(gateway->front);
    streams_drain(gateway, gateway->parts.settings->drain_timeout_ns);
}

size_t gateway_count_requests(const struct gateway *gateway) {
    return gateway->front ? front_count_requests(gateway->front) : 0;
}

size_t gateway_count_connections(const struct gateway *gateway) {
    return gateway->front ? front_count(gateway->front) : 0;
}
