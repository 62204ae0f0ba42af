/* SPDX-License-Identifier: MIT */
#pragma once
/* A Redis that the test's own thread plays, word by word. */
#include "redis_rig.h"

#define TIME_ASKED      "*1\r\n$4\r\nTIME\r\n"
#define TIME_TOLD       "*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n"
#define PEER_TIMEOUT_NS (100 * NS_PER_MS)

struct peer {
    struct client client;
    int listener, fd;
    unsigned port;
};

/* A client of it; `format` is its URL, with %u for the port. */
__attribute__((unused)) static struct peer *peer_listen(const char *format) {
    static struct peer peer;
    struct endpoint at;
    char url[200], port[12];
    const char *rest = strstr(format, "%u");
    peer = (struct peer){.fd = -1, .listener = rig_listen(&at)};
    peer.port = rig_port(&at);
    snprintf(port, sizeof(port), "%u", peer.port);
    snprintf(url, sizeof(url), "%.*s%s%s", (int)(rest - format), format, port, rest + 2);
    client_open(&peer.client, url, NULL, PEER_TIMEOUT_NS);
    return &peer;
}

__attribute__((unused)) static void peer_says(struct peer *peer, const char *text) {
    rig_send(peer->client.loop, peer->fd, str_of(text));
}
__attribute__((unused)) static void peer_hears(struct peer *peer, const char *text) {
    rig_expect(peer->client.loop, peer->fd, str_of(text));
}

__attribute__((unused)) static void peer_accept(struct peer *peer) {
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = rig_accept(peer->client.loop, peer->listener);
}

/* Accepts and answers the greeting. */
__attribute__((unused)) static void peer_meet(struct peer *peer) {
    peer_accept(peer);
    peer_hears(peer, TIME_ASKED);
    peer_says(peer, TIME_TOLD);
}

__attribute__((unused)) static struct peer *peer_up(void) {
    struct peer *peer = peer_listen("redis://127.0.0.1:%u");
    peer_meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    return peer;
}

__attribute__((unused)) static void peer_close(struct peer *peer) {
    client_close(&peer->client);
    if (peer->fd >= 0)
        close(peer->fd);
    close(peer->listener);
}

__attribute__((unused)) static bool peer_is_cut(struct peer *peer) {
    char byte;
    ssize_t n = recv(peer->fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}
