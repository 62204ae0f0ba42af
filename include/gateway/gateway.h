/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/parts.h"

/* One worker's gateway: what its exchanges share. One thread. It turns the front's and the upstream's events into steps of the pipeline. */
struct gateway;

struct gateway *gateway_new(const struct gateway_parts *parts) MUST_USE; /* NULL, errno set */
int gateway_listen(struct gateway *gateway, int listen_fd) MUST_USE;     /* takes the fd; -errno */
/* What the listener speaks from now on, for connections to come; takes a reference, or NULL for plain HTTP. */
void gateway_set_tls(struct gateway *gateway, struct tls_server *tls);
void gateway_free(struct gateway *gateway); /* takes NULL; cuts what is open */

/* The newest keys; requests that waited for them go on. A ring of another layout is not for these settings, and left alone. */
void gateway_set_keyring(struct gateway *gateway, struct keyring *ring);

/* What came by the feed: who is denied now has his streams ended. */
struct news;
void gateway_set_news(struct gateway *gateway, struct news *news);

/* What other settings mean to one worker, made beforehand by whoever reloads them, so that nothing can fail when they are taken on. */
struct epoch;
struct epoch_parts {
    struct settings *settings;
    struct metrics *metrics;
    struct tls_server *public_tls; /* NULL: plain HTTP */
    uint32_t n_connections;
    uint64_t layout; /* of the keyrings that fit the settings */
};
/* Takes references. NULL when memory is out. */
struct epoch *epoch_new(const struct epoch_parts *parts) MUST_USE;
void epoch_free(struct epoch *epoch); /* one that was not taken on; takes NULL */
/* From now on requests are served by `epoch`, which is taken; `ring` is the newest: when that is of another
 * layout, newer settings are on their way, and nothing is done. Those under way end as they began, but those
 * that wait for keys begin anew. What did not change keeps living: the pool's lines, the limits' counters, verified tokens. */
void gateway_change(struct gateway *gateway, struct epoch *epoch, struct keyring *ring);

/* Copies what is to be seen of it (connections, checks, Redis ...) into its metrics. What requests are counted by is there at once. */
void gateway_show(struct gateway *gateway);

/* Draining: from now on answers close; then newcomers are not heard; then listening stops; then it is empty sooner or later. */
void gateway_drain(struct gateway *gateway);
void gateway_turn_away(struct gateway *gateway);
void gateway_stop_listening(struct gateway *gateway);
size_t gateway_count_requests(const struct gateway *gateway);
size_t gateway_count_connections(const struct gateway *gateway);
