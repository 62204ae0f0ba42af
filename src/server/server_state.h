/* SPDX-License-Identifier: MIT */
#pragma once
/* What the server's own files share: server.c (start, drain, stop), reload.c (other settings). One thread: the main one. */
#include "base/hash.h"
#include "io/roll.h"
#include "server/admin.h"
#include "server/worker.h"
#include "settings/settings.h"

#define WORKERS_MAX 256

/* Settings that are what they were at the start until the next one, each as the hash of what it said: they may be secret. */
enum fixed {
    FIXED_LISTEN,
    FIXED_ADMIN,
    FIXED_WORKERS,
    FIXED_LOG,
    FIXED_BUCKETS,
    FIXED_REDIS,
    FIXED_DENIALS,
    FIXED_COUNT
};
struct fixed_settings {
    struct hash_key key;
    struct hash128 said[FIXED_COUNT];
};

struct server {
    struct settings *settings; /* in force */
    char *file;                /* that they are read from; empty: the environment */
    struct fixed_settings fixed;
    struct tls_server *tls; /* of the public listener; NULL: plain HTTP */
    struct resolver *resolver;
    struct key_source *keys;
    struct memory_limits *limits;
    struct arrears *arrears;
    struct purses *purses;       /* NULL: limits are not leased */
    struct redis_sights *sights; /* NULL: no Redis */
    struct feed *feed;
    struct settings *first; /* of the start: what the feed borrows of `redis` */
    struct slots *connections, *requests, *held, *sockets_by_ip, *sockets_by_subject;
    struct metrics *metrics;
    struct roll roll; /* of the workers */
    struct admin admin;
    struct service *service;
    struct worker *workers[WORKERS_MAX];
    unsigned n_beats[WORKERS_MAX], n_still[WORKERS_MAX]; /* as last seen; looks since then */
    size_t n_wanted, n_workers; /* how many there are to be; how many there are */
    char via_id[32];
};

/* server.c: what `s` says of the issuers, for the key source; an array to be freed, NULL when memory is out. */
struct key_origin *server_origins(const struct settings *s, struct key_times *times) MUST_USE;
/* server.c: a worker's share of the connections that `s` allows. */
uint32_t server_share_connections(const struct server *server, const struct settings *s);

/* reload.c */
int fixed_note(struct fixed_settings *fixed, const struct settings *s) MUST_USE; /* -ENOMEM */
/* Read the settings again, and take them on, or keep those in force and say why. */
void server_reload(struct server *server);
