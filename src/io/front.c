/* SPDX-License-Identifier: MIT */
/* Who may connect, and what all clients of a worker share. */
#include "io/front.h"

#include "front_state.h"
#include "io/tls_server.h"
#include "limit/slots.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define STOCK_MAX 64 /* heads kept for the next requests; about 15 KiB each */
#define LOOKS_MAX 16 /* at idle connections, for one that can be closed */

struct whole_front {
    struct front front;
    struct front_limits limits;
    struct front_events events;
    uint64_t n_handshakes[HANDSHAKE_COUNT];
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
        request->bytes = (struct buffer){.stock = loop_pieces(front->loop)};
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

/* ---- who may connect */

/* IPv4 whole, IPv6 its /64; those of a unix socket have no address to be counted by. */
bool front_counts(const struct front *front, const struct ip *peer) {
    static const struct ip none;
    return front->limits->n_connections_per_ip > 0 && memcmp(peer, &none, sizeof(none)) != 0;
}

static struct str peer_key(const struct ip *subscriber) {
    return (struct str){(const char *)subscriber->bytes, sizeof(subscriber->bytes)};
}

static bool peer_may_connect(struct front *front, const struct ip *peer) {
    struct ip subscriber = ip_subscriber(peer);
    return !front_counts(front, peer) || slots_take(front->limits->peers, peer_key(&subscriber),
                                                    front->limits->n_connections_per_ip);
}

void front_forget_peer(struct front *front, const struct ip *peer) {
    struct ip subscriber = ip_subscriber(peer);
    slots_give(front->limits->peers, peer_key(&subscriber));
}

/* Its next request may be here already, unread. A handshake that matters is done before it is the oldest. */
static bool waits_for_nothing(struct client *client) {
    if (client->state == CLIENT_HANDSHAKE)
        return true;
    return buffer_length(&client->channel.in) == 0 &&
           connection_is_quiet(&client->channel.connection);
}

/* Of those between two requests, or before their first, who has been longest leaves. */
static bool make_room(struct front *front) {
    struct client *client = front->idle_first;
    for (int i = 0; client && i < LOOKS_MAX; i++, client = client->idle_next)
        if (waits_for_nothing(client)) {
            client_bury(client);
            front->n_evicted++;
            return true;
        }
    return false;
}

static void on_connection(struct listener *listener, int fd, const struct endpoint *from) {
    struct front *front = CONTAINER_OF(listener, struct front, listener);
    struct ip peer = {0};
    endpoint_ip(from, &peer, NULL);
    if (!peer_may_connect(front, &peer)) {
        front->n_refused_per_ip++;
        listener_refuse(listener, fd);
    } else if (front->n_open >= front->limits->n_connections && !make_room(front)) {
        front->n_refused_full++;
        if (front_counts(front, &peer))
            front_forget_peer(front, &peer);
        listener_refuse(listener, fd);
    } else if (client_new(front, fd, &peer)) {
        front->n_accepted++;
    } else if (front_counts(front, &peer)) {
        front_forget_peer(front, &peer);
    }
}

/* ---- life */

/* Accepted sockets inherit it. A client that has vanished acknowledges nothing; without this the kernel would try for a quarter of an
 * hour. Where our own timer runs too it comes first, and can say why. A unix socket has no such option, and no such clients. */
static void limit_silence(int listen_fd, int64_t write_ns) {
    int64_t ms = write_ns / NS_PER_MS;
    unsigned timeout_ms = ms > INT32_MAX - 1000 ? INT32_MAX : (unsigned)ms + 1000;
    (void)setsockopt(listen_fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

struct front *front_new(struct loop *loop, int listen_fd, const struct front_limits *limits,
                        const struct front_events *events, void *arg) {
    assert(limits->n_connections_per_ip == 0 || limits->peers);
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
    front->n_handshakes = whole->n_handshakes;
    front->arg = arg;
    limit_silence(listen_fd, limits->write_ns);
    int result = listener_start(&front->listener, loop, listen_fd, on_connection);
    if (result < 0) {
        errno = -result;
        front_free(front);
        return NULL;
    }
    return front;
}

void front_set_limits(struct front *front, const struct front_limits *limits) {
    struct whole_front *whole = CONTAINER_OF(front, struct whole_front, front);
    assert(limits->n_connections_per_ip == 0 || limits->peers);
    whole->limits = *limits;
    if (front->listener.fd >= 0)
        limit_silence(front->listener.fd, limits->write_ns);
    /* A deadline may be sooner than its timer now. */
    for (struct client *client = front->clients; client; client = client->next)
        client_arm(client);
}

void front_set_tls(struct front *front, struct tls_server *tls) {
    struct tls_server *old = front->tls;
    front->tls = tls ? tls_server_ref(tls) : NULL;
    front->listener.speaks_tls = tls;
    tls_server_unref(old);
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
    tls_server_unref(front->tls);
    free(CONTAINER_OF(front, struct whole_front, front));
    errno = saved;
}

void front_drain(struct front *front) { front->is_draining = true; }

void front_turn_away(struct front *front) { listener_turn_away(&front->listener); }

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
struct front_stats front_stats(const struct front *front) {
    struct front_stats stats = {
        front->n_accepted, front->n_refused_full, front->n_refused_per_ip, front->n_evicted, {0}};
    memcpy(stats.n_handshakes, front->n_handshakes, sizeof(stats.n_handshakes));
    return stats;
}
