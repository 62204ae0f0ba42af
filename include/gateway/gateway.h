/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/parts.h"

/* One worker's gateway: what its exchanges share. One thread. It turns the front's and the upstream's events into steps of the pipeline. */
struct gateway;

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
