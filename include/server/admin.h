/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/metrics.h"
#include "io/feed.h"
#include "io/key_source.h"
#include "io/redis_sights.h"
#include "io/roll.h"
#include "limit/memory_limits.h"
#include <pthread.h>
#include <stdatomic.h>

/* The operator's listener: /healthz, /readyz, /metrics, /status, and a page that shows them. Reads only. */
struct admin {
    struct key_source *keys;
    struct memory_limits *limits;
    struct feed *feed;
    const struct redis_settings *redis; /* of the start */
    struct redis_sights *sights;        /* NULL: no Redis */
    struct roll
        *roll; /* of the workers: called before what they tell is read; NULL: there are none */
    size_t n_workers;
    int64_t started_wall_s, started_mono_ns;
    atomic_bool is_draining;

    pthread_mutex_t lock; /* what follows; all zeros is open */
    struct metrics *metrics;
    int64_t loaded_wall_s; /* the settings in force */
    uint64_t n_reloads, n_refusals;
    char refusal[256]; /* why the last reload was refused; empty when it was not */
};

/* Other settings are in force: their view of the counters (a reference is taken). */
void admin_note_settings(struct admin *admin, struct metrics *metrics);
void admin_note_refusal(struct admin *admin, const char *why);
void admin_fini(struct admin *admin);

struct service_request;
struct service_answer;
/* A service_handler; `arg` is a struct admin. */
void admin_handle(void *arg, const struct service_request *request, struct service_answer *answer);
