/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/token_cache.h"
#include "gateway/metrics.h"
#include "io/front.h"
#include "io/key_source.h"
#include "io/upstream.h"
#include "limit/memory_limits.h"

/* One worker's gateway: what its exchanges share. One thread. It turns the front's and the upstream's events into steps of the pipeline. */
struct gateway;

/* What a gateway borrows for its life: shared by all workers, or this worker's own. */
struct gateway_parts {
    struct loop *loop;
    struct settings *settings;
    struct resolver *resolver;
    struct tls_client *tls;
    struct key_source *keys;
    struct memory_limits *limits;
    struct metrics *metrics;
    size_t worker; /* the metrics' row */
    size_t n_workers;
    struct str via_id; /* the pseudonym in Via, unique to this process */
};

struct gateway *gateway_new(const struct gateway_parts *parts) MUST_USE; /* NULL, errno set */
int gateway_listen(struct gateway *gateway, int listen_fd) MUST_USE;     /* takes the fd; -errno */
void gateway_free(struct gateway *gateway); /* takes NULL; cuts what is open */

/* The newest keys; requests that waited for them go on. */
void gateway_set_keyring(struct gateway *gateway, struct keyring *ring);

/* Draining: from now on answers close; then listening stops; then it is empty sooner or later. */
void gateway_drain(struct gateway *gateway);
void gateway_stop_listening(struct gateway *gateway);
size_t gateway_count_requests(const struct gateway *gateway);
size_t gateway_count_connections(const struct gateway *gateway);
