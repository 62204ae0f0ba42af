/* SPDX-License-Identifier: MIT */
#pragma once
#include "rig.h"

/* A WebSocket through the stage's gateway: the client's end and the upstream's. */
struct pair {
    int client, upstream;
};

#define SHAKE \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " \
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define SWITCHES \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " \
    "websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"

/* An event stream's beginning. */
#define EVENTS \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n"

/* `ahead`: what the client sends behind its handshake. */
static inline struct pair open_socket_with(struct stage *s, const char *target, const char *fields,
                                           const char *ahead) {
    struct pair pair;
    pair.client = ask(s, TEXT(s, "%s%s", GET(s, target, TEXT(s, SHAKE "%s", fields)), ahead));
    pair.upstream = rig_accept(s->loop, s->upstream_listener);
    see_head(s, pair.upstream);
    rig_send(s->loop, pair.upstream, STR(SWITCHES));
    ck_assert_int_eq(hear_head(s, pair.client), 101);
    return pair;
}

static inline struct pair open_socket(struct stage *s) {
    return open_socket_with(s, "/ws", "", "");
}

/* Both ends, and what the gateway held of it. */
static inline void close_socket(struct stage *s, struct pair *pair) {
    close(pair->client);
    close(pair->upstream);
    RUN_UNTIL(s->loop, gateway_count_connections(s->gateway) == 0);
}

#define WS "routes: [ { path: /ws, access: public, upstream: \"${UPSTREAM}\" } ]\n"
