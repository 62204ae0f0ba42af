/* SPDX-License-Identifier: MIT */
/* Who may connect, and what all clients of a worker share. */
#include "io/front.h"

#include "base/map.h"
#include "front_state.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define STOCK_MAX 64 /* heads kept for the next requests; about 15 KiB each */

struct whole_front {
    struct front front;
    struct front_limits limits;
    struct front_events events;
};

/* ---- what the clients share */

struct request *front_lend_request(struct front *front) {
    struct request *request = front->stock;
    if (request) {
        front->stock = request->next;
        front->n_stock--;
    } else {
        request = malloc(sizeof(*request));
    }
    if (request)
        request->bytes = (struct buffer){0};
    return request;
}

void front_take_back_request(struct front *front, struct request *request) {
    if (!request)
        return;
    buffer_release(&request->bytes);
    if (front->n_stock >= STOCK_MAX) {
        free(request);
        return;
    }
    request->next = front->stock;
    front->stock = request;
    front->n_stock++;
}

const char *front_date(struct front *front) {
    int64_t wall_s = now_s(loop_now(front->loop));
    if (wall_s != front->date_s || front->date[0] == '\0') {
        clock_http_date(wall_s, front->date);
        front->date_s = wall_s;
    }
    return front->date;
}

/* ---- connections per peer */

static struct str peer_key(const struct ip *peer) {
    return (struct str){(const char *)peer->bytes, sizeof(peer->bytes)};
}

/* Those of a unix socket have no address to be counted by. */
static bool counts(const struct front *front, const struct ip *peer) {
    static const struct ip none;
    return front->n_by_peer && memcmp(peer, &none, sizeof(none)) != 0;
}

static bool peer_may_connect(struct front *front, const struct ip *peer) {
    if (!counts(front, peer))
        return true;
    struct ip subscriber = ip_subscriber(peer);
    uintptr_t n = (uintptr_t)map_get(front->n_by_peer, peer_key(&subscriber));
    if (n >= front->limits->n_connections_per_ip)
        return false;
    return map_put(front->n_by_peer, peer_key(&subscriber), (void *)(n + 1)) == 0;
}

void front_forget_peer(struct front *front, const struct ip *peer) {
    if (!counts(front, peer))
        return;
    struct ip subscriber = ip_subscriber(peer);
    uintptr_t n = (uintptr_t)map_remove(front->n_by_peer, peer_key(&subscriber));
    if (n > 1 && map_put(front->n_by_peer, peer_key(&subscriber), (void *)(n - 1)) < 0)
        return; /* out of memory: forgotten altogether, in the peer's favour */
}

static void on_connection(struct listener *listener, int fd, const struct endpoint *from) {
    struct front *front = CONTAINER_OF(listener, struct front, listener);
    struct ip peer = {0};
    endpoint_ip(from, &peer, NULL);
    if (front->n_open >= front->limits->n_connections || !peer_may_connect(front, &peer)) {
        listener_refuse(fd);
        return;
    }
    if (!client_new(front, fd, &peer))
        front_forget_peer(front, &peer);
}

/* ---- life */

struct front *front_new(struct loop *loop, int listen_fd, const struct front_limits *limits,
                        const struct front_events *events, void *arg) {
    struct whole_front *whole = calloc(1, sizeof(*whole));
    if (!whole) {
        close(listen_fd);
        return NULL;
    }
    whole->limits = *limits;
    whole->events = *events;
    struct front *front = &whole->front;
    front->loop = loop;
    front->limits = &whole->limits;
    front->events = &whole->events;
    front->arg = arg;
    bool counts_peers = limits->n_connections_per_ip > 0;
    front->n_by_peer = counts_peers ? map_new() : NULL;
    int result = listener_start(&front->listener, loop, listen_fd, on_connection);
    if (result < 0 || (counts_peers && !front->n_by_peer)) {
        errno = result < 0 ? -result : ENOMEM;
        front_free(front);
        return NULL;
    }
    return front;
}

void front_free(struct front *front) {
    if (!front)
        return;
    int saved = errno;
    listener_stop(&front->listener);
    while (front->clients)
        client_free(front->clients);
    while (front->stock) {
        struct request *request = front->stock;
        front->stock = request->next;
        free(request);
    }
    map_free(front->n_by_peer);
    free(CONTAINER_OF(front, struct whole_front, front));
    errno = saved;
}

void front_drain(struct front *front) { front->is_draining = true; }

void front_stop_listening(struct front *front) {
    listener_empty(&front->listener);
    listener_stop(&front->listener);
    front->is_draining = front->is_stopped = true;
    /* Their deadlines are other ones now. */
    for (struct client *client = front->clients; client; client = client->next)
        client_wake(client);
}

size_t front_count(const struct front *front) { return front->n_open; }
size_t front_count_requests(const struct front *front) { return front->n_exchanges; }
