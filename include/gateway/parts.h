/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/metrics.h"
#include "io/key_source.h"
#include "io/resolver.h"
#include "limit/memory_limits.h"

struct arrears;
struct counting;
struct feed;
struct purses;
struct redis_sights;
struct redis_slots;
struct roll;
struct slots;
struct tls_client;
struct tls_server;

/* What a gateway borrows for its life: shared by all workers, or this worker's own. */
struct gateway_parts {
    struct loop *loop;
    struct settings *settings;
    struct resolver *resolver;
    struct tls_client *tls;
    struct tls_server *public_tls; /* of the listener; NULL: plain HTTP */
    struct key_source *keys;
    struct memory_limits *limits;
    struct purses *purses;     /* leases of all workers; NULL: limits are not leased */
    struct counting *counting; /* the gateway's own; NULL: limits are counted in memory */
    struct arrears *arrears;   /* what Redis has to be told, over all workers */
    struct redis_slots *lent; /* the gateway's own; NULL: what is concurrent is counted in memory */
    struct redis_sights *sights;          /* where it tells how Redis looks; NULL: nowhere */
    struct feed *feed;                    /* NULL: nobody is ever denied */
    struct slots *connections, *requests; /* open now, by address, over all workers */
    struct slots *held;                   /* of limits that say `concurrent`, over all workers */
    struct slots *sockets_by_ip, *sockets_by_subject; /* open WebSockets, over all workers */
    struct metrics *metrics;
    struct roll *roll; /* the worker joins it: who reads the metrics calls it. NULL: nobody does */
    size_t worker;     /* the metrics' row */
    size_t n_workers;
    uint32_t
        n_connections; /* of this worker: its share of http.max_connections, or less where descriptors are few */
    struct str via_id; /* the pseudonym in Via, unique to this process */
};
