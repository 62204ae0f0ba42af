/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/gateway.h"

/* One thread's life: a loop, a gateway on it, a listening socket. Created and freed on the server's thread. */
struct worker;

/* `parts`: loop, tls and worker are filled in here. Takes listen_fd. NULL with why. */
struct worker *worker_new(const struct gateway_parts *parts, size_t index, int listen_fd,
                          char why[160]) MUST_USE;
int worker_start(struct worker *worker) MUST_USE; /* starts the thread; -errno */

/* From the server's thread; each returns at once. */
void worker_change(struct worker *worker, struct epoch *epoch); /* takes the epoch */
void worker_drain(struct worker *worker);                       /* answers say Connection: close */
void worker_turn_away(struct worker *worker); /* newcomers are not heard any more */
/* empty the accept queue, stop listening, end when the last request has */
void worker_finish(struct worker *worker);
void worker_stop(struct worker *worker); /* end now; what is open is cut */
/* Grows with every second that the worker lives through. */
unsigned worker_beats(const struct worker *worker);
bool worker_has_ended(const struct worker *worker);
void worker_free(struct worker *worker); /* takes NULL; stops, joins */
