/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/metrics.h"
#include "io/key_source.h"
#include "limit/memory_limits.h"
#include <stdatomic.h>

/* The operator's listener: /healthz, /readyz, /metrics, /status, and a page that shows them. Reads only. */
struct admin {
    const struct settings *settings;
    struct key_source *keys;
    struct metrics *metrics;
    struct memory_limits *limits;
    size_t n_workers;
    int64_t started_wall_s, started_mono_ns;
    atomic_bool is_draining;
};

struct service_request;
struct service_answer;
/* A service_handler; `arg` is a struct admin. */
void admin_handle(void *arg, const struct service_request *request, struct service_answer *answer);
