/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cidr.h"
#include "http/head.h"
#include "http/problem.h"
#include "io/endpoint.h"
#include "io/loop.h"

/* The server side of HTTP/1.1: one listening socket per worker, its client connections, one request at a time on each (pipelined ones
 * wait their turn, in order). Requests are parsed strictly; bodies stream both ways with back-pressure.
 *
 * The gateway fills in the events. No function here raises an event synchronously: events come from the loop. */
struct front;
struct client;
struct slots;
struct tls_server;

struct front_limits {
    struct head_limits head;
    /* whole head, from its first byte; a TLS handshake, from accepting; default 15 s */
    int64_t head_ns;
    int64_t idle_ns; /* between requests; default 75 s */
    /* The patience with a request's body: waiting for it uses it up, and so many bytes a second (0: any byte) earn it back,
     * up to the whole. Default 30 s, 128 bytes a second. */
    int64_t body_ns;
    uint64_t body_rate;
    int64_t request_ns; /* from the head's first byte to the body's last; default 0: no limit */
    /* an answer's bytes that the client does not take, or does not acknowledge; default 60 s */
    int64_t write_ns;
    /* after an early answer, reading on before the close; default 2 s and at most 1 MiB */
    int64_t linger_ns;
    /* Of this worker; default 16,384. Beyond, who has been between requests longest gives way to a newcomer; where all have
     * a request, the newcomer is refused. */
    uint32_t n_connections;
    /* peers (IPv6: one /64); 0: no limit. Default 0 (behind a proxy the peer is the proxy) */
    uint32_t n_connections_per_ip;
    struct slots *peers; /* where they are counted, for all workers; not NULL when limited */
};
#define FRONT_LIMITS_DEFAULT \
    ((struct front_limits){.head = HEAD_LIMITS_DEFAULT, \
                           .head_ns = 15 * NS_PER_S, \
                           .idle_ns = 75 * NS_PER_S, \
                           .body_ns = 30 * NS_PER_S, \
                           .body_rate = 128, \
                           .write_ns = 60 * NS_PER_S, \
                           .linger_ns = 2 * NS_PER_S, \
                           .n_connections = 16384})

struct front_events {
    /* A request's head is complete: client_head. The client waits until it is answered. */
    void (*on_request)(void *arg, struct client *client);
    /* What came is no request (problem and a constant reason, e.g. BAD_REQUEST, REQUEST_TIMEOUT, OVERLOADED): answer it, the connection
     * closes after that. client_head may be incomplete: only client_peer is of use. */
    void (*on_malformed)(void *arg, struct client *client, enum problem problem,
                         const char *reason);
    /* More of the request's body can be read (or its end, or its failure). Only after client_read_body said WAIT. */
    void (*on_body)(void *arg, struct client *client);
    /* More of the answer can be written. Only after client_write took less than it was given. */
    void (*on_writable)(void *arg, struct client *client);
    /* The answer has been handed to the socket whole; the exchange is over. */
    void (*on_done)(void *arg, struct client *client);
    /* The client left, broke, or was too slow, while its request was open: the exchange is over, `client` is dead after this. */
    void (*on_gone)(void *arg, struct client *client, const char *reason);
};

/* Takes the listening fd. NULL, errno set. */
struct front *front_new(struct loop *loop, int listen_fd, const struct front_limits *limits,
                        const struct front_events *events, void *arg) MUST_USE;
/* takes NULL; cuts what is open without events; not from within an event */
void front_free(struct front *front);
/* What is accepted from now on speaks TLS (a reference is taken), or does not (NULL, and at the start). What is open stays as it is. */
void front_set_tls(struct front *front, struct tls_server *tls);
/* From now on answers say Connection: close; accepting goes on. Idle connections stay open: each has its chance to ask once more. */
void front_drain(struct front *front);
/* No new connection is heard any more, those that are being made are: before front_stop_listening, so that it resets none. */
void front_turn_away(struct front *front);
/* Drain, accept what is queued, then stop listening. Idle connections are closed, those that never asked after linger_ns. */
void front_stop_listening(struct front *front);
/* Other limits, from now on; connections beyond them stay. What is counted by peer is given back as it was taken. */
void front_set_limits(struct front *front, const struct front_limits *limits);
size_t front_count(const struct front *front);          /* open connections */
size_t front_count_requests(const struct front *front); /* exchanges open */

/* How TLS handshakes went. */
enum front_handshake {
    HANDSHAKE_FULL,
    HANDSHAKE_RESUMED,
    HANDSHAKE_FAILED, /* the client's fault: no common version or cipher, broken, ... */
    HANDSHAKE_PLAIN,  /* it spoke plain HTTP, and was told */
    HANDSHAKE_LEFT,
    HANDSHAKE_LATE, /* not done within head_ns */
    HANDSHAKE_COUNT,
};

struct front_stats {
    uint64_t n_accepted;
    uint64_t n_refused_full, n_refused_per_ip; /* told 503, and closed */
    uint64_t n_evicted;                        /* between requests, closed for a newcomer */
    uint64_t n_handshakes[HANDSHAKE_COUNT];
};
struct front_stats front_stats(const struct front *front);

void *client_owner(const struct client *client);
void client_set_owner(struct client *client, void *owner);   /* NULL at each on_request */
const struct head *client_head(const struct client *client); /* lives until on_done / on_gone */
struct ip client_peer(const struct client *client);          /* :: for a unix socket */
bool client_speaks_tls(const struct client *client);
uint64_t client_bytes_received(const struct client *client); /* of this request's body, decoded */
uint64_t client_bytes_sent(const struct client *client);     /* of this answer's body */

/* Request body. A client that waits for 100 Continue is not late. A body that breaks off is no verdict here: on_gone comes. What is
 * not read when the answer ends is passed over. */
enum client_body {
    CLIENT_BODY_DATA, /* *data is borrowed until client_consume_body */
    CLIENT_BODY_WAIT, /* on_body will come */
    CLIENT_BODY_END,
    CLIENT_BODY_BAD,  /* malformed framing: 400, close */
    CLIENT_BODY_LATE, /* too slow: 408, close */
};
enum client_body client_read_body(struct client *client, struct str *data) MUST_USE;
void client_consume_body(struct client *client, size_t n);
/* 100 Continue to a client that expects it, once, and only while nothing of the body and of an answer is on its way (RFC 9110 10.1.1). */
void client_continue(struct client *client);

/* The answer. `fields` are complete lines with CRLF, without the empty line; the front adds the status line (an empty `reason`: the
 * registered phrase), Date when `fields` has none, Connection, and the framing:
 *
 *   NONE                   nothing when no body can follow (HEAD, 204, 304), else Content-Length: 0 when `fields` has no length
 *   LENGTH                 Content-Length; exactly so much must be written
 *   CHUNKED, UNTIL_CLOSE   chunked; close-delimited for HTTP/1.0
 *
 * It says Connection: close when the request's body is unread and large. A fresh interim answer can not be sent. -ENOMEM. */
int client_start_answer(struct client *client, int status, struct str reason, struct str fields,
                        enum framing framing, uint64_t body_bytes) MUST_USE;
bool client_answer_started(const struct client *client);
size_t client_write(struct client *client, struct str data); /* how much was taken */
void client_end_answer(struct client *client);               /* on_done follows */
/* The answer 101 to a WebSocket handshake. From here on the connection is a tunnel, and the request's head is given back:
 * client_read_body reads on behind it, first what the client sent ahead, and its END is the client's end of writing (FIN),
 * not the tunnel's. client_end_answer is ours: FIN follows the last byte, on_writable follows FIN, and client_has_sent is true.
 * Only write_ns limits the time. on_done never comes: client_close or client_cut ends it. -ENOMEM. */
int client_start_tunnel(struct client *client, struct str reason, struct str fields) MUST_USE;
bool client_has_sent(const struct client *client);
/* A tunnel's orderly end, when client_has_sent; no event follows, `client` is no longer the owner's. */
void client_close(struct client *client);
/* before client_start_answer: do not keep alive */
void client_close_after(struct client *client);
/* the answer is broken off: RST; no event follows, `client` is dead at once */
void client_cut(struct client *client);
