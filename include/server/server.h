/* SPDX-License-Identifier: MIT */
#pragma once
#include "settings/settings.h"

/* The process: key source, workers, admin listener; start, drain, stop. */
struct server;

/* -EADDRINUSE and the like with why (which listener, what to do). Signals that the server waits for are blocked in all threads from here on. */
int server_start(struct server **out, struct settings *settings, char why[256]) MUST_USE;
/* Waits for SIGTERM or SIGINT, then drains: readiness fails, accepting goes on for drain.delay, then requests finish within
 * drain.timeout. A second signal ends it at once. Returns when all is ended. */
void server_run(struct server *server);
void server_free(struct server *server); /* takes NULL; stops at once what still runs */

/* The cores that this process may use: affinity and the cgroup's quota; at least 1. */
size_t server_count_cores(void);
