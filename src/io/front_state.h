/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cidr.h"
#include "http/head.h"
#include "io/channel.h"
#include "listener.h"

/* What the front (who may connect) and its clients (one connection's life) share. */
struct front_limits;
struct front_events;

/* What only an open exchange needs. It is large: lent from the front's stock, so that an idle connection stays small. */
struct request {
    struct request *next;
    struct head head;
    struct buffer bytes; /* that the head points into */
};

struct front {
    struct loop *loop;
    const struct front_limits *limits;
    const struct front_events *events;
    void *arg;
    struct listener listener;
    struct tls_server *tls; /* NULL: plain */
    uint64_t *n_handshakes; /* by enum front_handshake */
    struct client *clients;
    struct client *idle_first, *idle_last; /* CLIENT_HANDSHAKE and CLIENT_IDLE, longest first */
    struct request *stock;
    size_t n_stock, n_open, n_exchanges;
    uint64_t n_accepted, n_refused_full, n_refused_per_ip, n_evicted;
    bool is_draining, is_stopped;
    int64_t date_s;
    char date[30]; /* of date_s */
};

struct request *front_lend_request(struct front *front) MUST_USE; /* NULL when memory is out */
void front_take_back_request(struct front *front, struct request *request);
void front_forget_peer(struct front *front, const struct ip *peer);
bool front_counts(const struct front *front, const struct ip *peer);
const char *front_date(struct front *front);

/* One client connection; client_life.c draws how these states follow one another. */
enum client_state {
    CLIENT_HANDSHAKE,
    CLIENT_IDLE,   /* nothing of a request has come */
    CLIENT_HEAD,   /* a part of its head has */
    CLIENT_OPEN,   /* the gateway's turn */
    CLIENT_OVER,   /* the gateway is being told that it was */
    CLIENT_REST,   /* answered early: passing over what is left of the body */
    CLIENT_LINGER, /* we have said our last byte */
    CLIENT_DEAD,   /* until the turn ends */
};
enum client_answer { ANSWER_NONE, ANSWER_STARTED, ANSWER_ENDED };

struct client {
    struct front *front;
    struct client *next, *previous;
    struct client *idle_next, *idle_previous;
    struct channel channel;
    struct timer timer;   /* never later than the deadline, often earlier: see client_life.c */
    struct deferred turn; /* work for this turn's end */
    enum client_state state;
    bool is_fresh; /* no request came yet */
    struct ip peer;
    bool holds_slot;  /* among its peer's connections */
    int64_t since_ns; /* since when we wait for the client's bytes */
    int64_t began_ns; /* the newest head's first byte */

    /* of the exchange */
    enum client_answer answer;
    struct request *request;
    void *owner;
    const char *gone;      /* why it is over */
    int64_t stalled_ns;    /* since when the client takes nothing; 0: it does */
    uint64_t n_read_head;  /* channel.n_read at the head's end */
    uint64_t n_read_asked; /* and when the gateway last waited for the body */
    int64_t patience_ns;   /* what is left of it for the body */
    size_t linger_left;
    bool must_close, persists;
    bool wants_body, wants_write; /* an event is owed */
    bool waits_for_body, body_is_late, has_continued;
    bool is_tunnel, has_said_end; /* FIN sent */
};

static inline int64_t client_now_ns(const struct client *client) {
    return loop_now(client->front->loop)->mono_ns;
}

static inline bool client_awaits_continue(const struct client *client) {
    return client->request->head.expects_continue && !client->has_continued &&
           client->channel.n_read == client->n_read_head;
}

/* Takes the fd. False when the machine will not have it. */
bool client_new(struct front *front, int fd, const struct ip *peer) MUST_USE;
void client_wake(struct client *client); /* look at it at this turn's end */
void client_arm(struct client *client);  /* the deadline has changed */
void client_end_exchange(struct client *client);
void client_bury(struct client *client); /* closed; freed when the turn ends */
void client_free(struct client *client); /* from front_free or when dead; cuts what is open */
