/* SPDX-License-Identifier: MIT */
#pragma once
/* What the files of this room know of the gateway beyond its contract. */
#include "gateway/check_queue.h"
#include "gateway/exchange.h"
#include "io/news.h"

/* One reading of the settings, as one worker lives through it. It ends with the last exchange that began in it. */
struct epoch {
    struct settings *settings;
    struct metrics *metrics;
    struct tls_server *public_tls;
    uint32_t n_connections;
    uint64_t layout;  /* of the keyrings that number its issuers as it does */
    size_t n_holders; /* exchanges, and the gateway while it is the present one: one thread */
};
void epoch_release(struct epoch *epoch);

/* Signature checks: gateway/checks.h. */
struct checks {
    struct check_queue *queue;
    struct deferred turn; /* somebody waits: on_turn is called at this turn's end */
    void (*on_turn)(struct deferred *turn);
    int64_t turn_ns, spent_ns; /* the newest turn with a check, and what checks took of it */
    int64_t total_ns;
    uint64_t n_checked, n_queued, n_refused;
};

struct gateway {
    struct gateway_parts parts; /* settings, metrics, n_connections: the present epoch's */
    struct epoch *epoch;
    struct front *front;
    struct upstream_pool *pool;
    struct token_cache *cache;
    struct keyring *keyring;   /* one reference; an empty one until the first is published */
    struct redis *redis;       /* NULL: none is configured */
    struct redis_usage *usage; /* NULL likewise */
    struct settings *first;    /* of the start: `redis` there is what holds until a restart */
    struct news *news;         /* one reference */
    struct records *records;
    struct api_keys *api_keys;
    struct exchange
        open; /* sentinel of the open exchanges' ring: only next and previous are used */
    struct exchange *spare; /* finished ones with warm arenas, linked by next */
    size_t n_spare;
    size_t n_admitted; /* requests under way that admission has counted */
    struct checks checks;
    struct timer drain_timer; /* streams.c */
    int64_t drain_end_ns;
    size_t n_tunnels;
    uint64_t tunnel_bytes_in, tunnel_bytes_out;
    uint64_t n_over_ip, n_over_subject;  /* sockets.c */
    struct buffer scratch, scratch_body; /* heads and bodies of our own while they are written */
    unsigned char random[4096];          /* from the kernel, used up from the front */
    size_t random_used;
    bool is_draining;
};

/* n random bytes, from the kernel in larger lots. */
void gateway_random(struct gateway *gateway, void *at, size_t n);
