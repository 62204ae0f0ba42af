/* SPDX-License-Identifier: MIT */
/* The life of a client connection; what the gateway does with it stands in client.c.
 *
 *   HANDSHAKE (TLS)
 *         │──────────────────── keep-alive ───────────────────┐
 *         v                                                    │
 *       IDLE ──bytes──> HEAD ──whole, or bad──> OPEN ──done──> REST
 *         │              │                       │ gone, cut    │ or close
 *         └────── end, deadlines ──> DEAD <──────┴── LINGER <───┘
 *
 * What the socket says, what the timer says and what the gateway does all end in advance(), from the loop's stack: at once for
 * the socket and the timer, at the turn's end for the gateway. So the head and the first bytes of an answer leave in one
 * send, and no function of the contract raises an event.
 *
 * The timer is not moved for every request: it is set when it would come too late, and when it comes too early it is set anew. */
#include "io/front.h"

#include "base/log.h"
#include "front_state.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define LINGER_BYTES_MAX (1024 * 1024)

static void advance(struct client *c);
static void on_due(struct timer *timer);

static void on_turn(struct deferred *turn) {
    struct client *c = CONTAINER_OF(turn, struct client, turn);
    if (c->state == CLIENT_DEAD)
        client_free(c);
    else
        advance(c);
}

void client_wake(struct client *c) { loop_defer(c->front->loop, &c->turn, on_turn); }

/* ---- deadlines */

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t idle_ns(const struct client *c) {
    if (!c->front->is_stopped)
        return c->front->limits->idle_ns;
    /* Who was just accepted is about to ask. */
    return c->is_fresh ? c->front->limits->linger_ns : 0;
}

static int64_t request_due_ns(const struct client *c) {
    int64_t request_ns = c->front->limits->request_ns;
    return request_ns > 0 ? c->began_ns + request_ns : INT64_MAX;
}

static int64_t handshake_ns(const struct client *c) {
    return c->front->is_stopped ? c->front->limits->linger_ns : c->front->limits->head_ns;
}

static int64_t body_due_ns(const struct client *c) {
    if (!c->wants_body || c->body_is_late || c->is_tunnel || client_awaits_continue(c))
        return INT64_MAX;
    return earlier(c->since_ns + c->patience_ns, request_due_ns(c));
}

static int64_t write_due_ns(const struct client *c) {
    return c->stalled_ns > 0 ? c->stalled_ns + c->front->limits->write_ns : INT64_MAX;
}

static int64_t deadline(const struct client *c) {
    const struct front_limits *limits = c->front->limits;
    switch (c->state) {
    case CLIENT_HANDSHAKE:
        return c->since_ns + handshake_ns(c);
    case CLIENT_IDLE:
        return c->since_ns + idle_ns(c);
    case CLIENT_HEAD:
        return earlier(c->since_ns + limits->head_ns, request_due_ns(c));
    case CLIENT_OPEN:
        return earlier(body_due_ns(c), write_due_ns(c));
    case CLIENT_REST:
        return c->since_ns + limits->body_ns;
    case CLIENT_LINGER:
        return c->since_ns + limits->linger_ns;
    case CLIENT_OVER:
    case CLIENT_DEAD:
        break;
    }
    return INT64_MAX;
}

void client_arm(struct client *c) {
    int64_t due_ns = deadline(c);
    if (due_ns != INT64_MAX && (!timer_is_set(&c->timer) || due_ns < c->timer.due_ns))
        loop_timer_set(c->front->loop, &c->timer, due_ns, on_due);
}

/* ---- between requests, or before the first: in the order in which they may have to give way to others */

static bool may_give_way(const struct client *c) {
    return c->state == CLIENT_IDLE || c->state == CLIENT_HANDSHAKE;
}

static void join_idle(struct client *c) {
    struct front *front = c->front;
    assert(may_give_way(c));
    c->idle_previous = front->idle_last;
    c->idle_next = NULL;
    *(c->idle_previous ? &c->idle_previous->idle_next : &front->idle_first) = c;
    front->idle_last = c;
}

/* Before the state changes. */
static void leave_idle(struct client *c) {
    struct front *front = c->front;
    if (!may_give_way(c))
        return;
    *(c->idle_previous ? &c->idle_previous->idle_next : &front->idle_first) = c->idle_next;
    *(c->idle_next ? &c->idle_next->idle_previous : &front->idle_last) = c->idle_previous;
}

/* ---- the end */

void client_bury(struct client *c) {
    assert(c->state != CLIENT_DEAD);
    leave_idle(c);
    c->state = CLIENT_DEAD;
    channel_fini(&c->channel);
    loop_timer_clear(c->front->loop, &c->timer);
    if (c->holds_slot)
        front_forget_peer(c->front, &c->peer);
    c->front->n_open--;
    client_wake(c);
}

void client_free(struct client *c) {
    if (c->state == CLIENT_OPEN)
        client_cut(c);
    if (c->state != CLIENT_DEAD)
        client_bury(c);
    loop_defer_cancel(c->front->loop, &c->turn);
    *(c->previous ? &c->previous->next : &c->front->clients) = c->next;
    if (c->next)
        c->next->previous = c->previous;
    front_take_back_request(c->front, c->request);
    free(c);
}

/* RFC 9112 9.6: a server that closes at once may have its last answer erased by a TCP reset, so it "first closes only the write
 * side", and reads on until the client closes or enough time has passed. */
static void linger(struct client *c) {
    struct channel *ch = &c->channel;
    while (!ch->in_ended && ch->broken == 0) {
        if (channel_fill(ch, CHANNEL_READ_BYTES) == 0)
            return;
        size_t n = buffer_length(&ch->in);
        if (n >= c->linger_left)
            break;
        c->linger_left -= n;
        buffer_clear(&ch->in);
    }
    client_bury(c);
}

static void start_lingering(struct client *c) {
    struct channel *ch = &c->channel;
    assert(buffer_length(&ch->out) == 0);
    leave_idle(c);
    c->state = CLIENT_LINGER;
    c->since_ns = client_now_ns(c);
    c->linger_left = LINGER_BYTES_MAX;
    ch->in_data = 0;
    buffer_release(&ch->in);
    if (!c->has_said_end)
        connection_end_write(&ch->connection);
    linger(c);
}

void client_close(struct client *c) {
    assert(c->state == CLIENT_OPEN && c->has_said_end);
    client_end_exchange(c);
    start_lingering(c);
    client_arm(c);
}

/* ---- TLS */

static void become_idle(struct client *c) {
    c->state = CLIENT_IDLE;
    c->since_ns = client_now_ns(c);
    join_idle(c);
    /* The next one may be here. Others have their turn first. */
    if (buffer_length(&c->channel.in) > 0 || c->channel.connection.can_read)
        client_wake(c);
}

static void end_handshake(struct client *c, enum front_handshake how, const char *why) {
    char text[IP_TEXT_MAX];
    struct str peer = {text, ip_text(&c->peer, text)};
    c->front->n_handshakes[how]++;
    if (why)
        log_debug("no TLS with a client", F_TEXT("why", why), F_STR("peer", peer));
}

static void fail_handshake(struct client *c) {
    const struct connection *connection = &c->channel.connection;
    enum front_handshake how =
        connection->failure == -EPROTOTYPE ? HANDSHAKE_PLAIN
        : connection->failure == -ECONNABORTED || connection->failure == -ECONNRESET
            ? HANDSHAKE_LEFT
            : HANDSHAKE_FAILED;
    if (how == HANDSHAKE_PLAIN)
        listener_correct(connection->watch.fd);
    end_handshake(c, how, connection->failure_text);
    client_bury(c);
}

static void shake_hands(struct client *c) {
    const struct connection *connection = &c->channel.connection;
    if (connection->state == CONNECTION_FAILED) {
        fail_handshake(c);
    } else if (connection->state == CONNECTION_OPEN) {
        bool resumed = tls_stream_was_resumed(connection->tls);
        end_handshake(c, resumed ? HANDSHAKE_RESUMED : HANDSHAKE_FULL, NULL);
        leave_idle(c);
        become_idle(c); /* its first request may have come along */
    }
}

/* ---- a request comes */

static void open_exchange(struct client *c) {
    c->state = CLIENT_OPEN;
    c->answer = ANSWER_NONE;
    c->owner = NULL;
    c->gone = NULL;
    c->stalled_ns = 0;
    c->channel.bytes_sent = 0;
    c->n_read_head = c->n_read_asked = c->channel.n_read - buffer_length(&c->channel.in);
    c->patience_ns = c->front->limits->body_ns;
    c->must_close = c->persists = c->is_fresh = false;
    c->wants_body = c->wants_write = c->waits_for_body = c->body_is_late = c->has_continued = false;
    c->front->n_exchanges++;
}

/* The head's bytes are given away with their memory: it stays where it is while the body comes and goes in a new one. */
static bool part_from_head(struct client *c, size_t head_bytes) {
    struct buffer *in = &c->channel.in, *bytes = &c->request->bytes;
    *bytes = *in;
    *in = (struct buffer){.stock = bytes->stock};
    return buffer_append(in, str_skip(buffer_bytes(bytes), head_bytes)) == 0;
}

static void start_request(struct client *c) {
    const struct head *head = &c->request->head;
    if (!part_from_head(c, head->head_bytes)) {
        client_bury(c);
        return;
    }
    channel_start_reading(&c->channel, head->framing, head->body_bytes);
    open_exchange(c);
    c->front->events->on_request(c->front->arg, c);
}

static void start_malformed(struct client *c, enum problem problem, const char *reason) {
    if (!part_from_head(c, buffer_length(&c->channel.in))) {
        client_bury(c);
        return;
    }
    channel_start_reading(&c->channel, FRAMING_NONE, 0);
    open_exchange(c);
    c->must_close = true;
    c->front->events->on_malformed(c->front->arg, c, problem, reason);
}

/* False: more has to come. */
static bool parse_head(struct client *c) {
    if (c->state == CLIENT_IDLE) {
        c->request = front_lend_request(c->front);
        if (!c->request) {
            client_bury(c);
            return true;
        }
        head_init(&c->request->head, HEAD_REQUEST, &c->front->limits->head);
        leave_idle(c);
        c->state = CLIENT_HEAD;
        c->since_ns = c->began_ns = client_now_ns(c);
    }
    enum head_verdict verdict = head_parse(&c->request->head, buffer_bytes(&c->channel.in));
    if (verdict == HEAD_MORE)
        return false;
    if (verdict == HEAD_DONE)
        start_request(c);
    else
        start_malformed(c, head_verdict_problem(verdict), head_verdict_text(verdict));
    /* It may have left already, right behind its request. */
    if (c->state == CLIENT_OPEN && c->channel.connection.peer_left)
        client_wake(c);
    return true;
}

static void receive_head(struct client *c) {
    struct channel *ch = &c->channel;
    /* More than the parser takes: it is the one to say that a head is too large. */
    size_t limit = c->front->limits->head.head_bytes + CHANNEL_READ_BYTES;
    do {
        if (buffer_length(&ch->in) > 0 && parse_head(c))
            return;
    } while (channel_fill(ch, limit) == 1 && !ch->in_ended && ch->broken == 0);
    if (ch->in_ended || ch->broken < 0)
        client_bury(c);
}

/* ---- the exchange */

void client_end_exchange(struct client *c) {
    assert(c->front->n_exchanges > 0);
    c->front->n_exchanges--;
    c->state = CLIENT_OVER;
}

static void raise_gone(struct client *c) {
    client_end_exchange(c);
    c->front->events->on_gone(c->front->arg, c, c->gone);
    if (c->answer != ANSWER_NONE)
        connection_reset(&c->channel.connection); /* what it has of the answer is not all */
    client_bury(c);
}

static void pass_over_rest(struct client *c) {
    for (struct str data;;) {
        switch (channel_read_body(&c->channel, &data)) {
        case CHANNEL_BODY_DATA:
            channel_consume_body(&c->channel, data.n);
            break;
        case CHANNEL_BODY_WAIT:
            return;
        case CHANNEL_BODY_END:
            become_idle(c);
            return;
        case CHANNEL_BODY_BAD:
        case CHANNEL_BODY_CUT:
            start_lingering(c);
            return;
        }
    }
}

static void raise_done(struct client *c) {
    client_end_exchange(c);
    c->front->events->on_done(c->front->arg, c);
    front_take_back_request(c->front, c->request);
    c->request = NULL;
    if (!c->persists) {
        start_lingering(c);
        return;
    }
    c->state = CLIENT_REST;
    c->since_ns = client_now_ns(c);
    pass_over_rest(c);
}

static int flush(struct client *c) {
    size_t before = buffer_length(&c->channel.out);
    int flushed = channel_flush(&c->channel);
    bool moved = buffer_length(&c->channel.out) < before;
    if (flushed != 0)
        c->stalled_ns = 0;
    else if (moved || c->stalled_ns == 0)
        c->stalled_ns = client_now_ns(c);
    return flushed;
}

static bool body_has_news(const struct client *c) {
    const struct channel *ch = &c->channel;
    return ch->connection.can_read || ch->in_ended || ch->broken < 0 || c->body_is_late;
}

/* A client that only ends its sending side cannot be told from one that left (but in a tunnel); an answer that is ready it still
 * gets. */
static bool has_left(const struct client *c) {
    return c->channel.connection.peer_left && c->answer != ANSWER_ENDED && !c->is_tunnel;
}

static void end_tunnel_writing(struct client *c) {
    c->has_said_end = true;
    connection_end_write(&c->channel.connection);
}

static void exchange(struct client *c) {
    int flushed = flush(c);
    if (flushed < 0)
        c->gone = "the client's connection broke";
    else if (has_left(c) && !c->gone)
        c->gone = "the client left";
    if (c->is_tunnel && c->answer == ANSWER_ENDED && flushed == 1 && !c->has_said_end)
        end_tunnel_writing(c);
    if (c->gone) {
        raise_gone(c);
    } else if (c->answer == ANSWER_ENDED && !c->is_tunnel) {
        if (flushed == 1)
            raise_done(c);
    } else {
        if (c->wants_write && flushed == 1) {
            c->wants_write = false;
            c->front->events->on_writable(c->front->arg, c);
        }
        if (c->state == CLIENT_OPEN && c->wants_body && body_has_news(c)) {
            c->wants_body = false;
            c->front->events->on_body(c->front->arg, c);
        }
    }
}

/* ---- what moves it */

static void advance(struct client *c) {
    switch (c->state) {
    case CLIENT_HANDSHAKE:
        shake_hands(c);
        break;
    case CLIENT_IDLE:
    case CLIENT_HEAD:
        receive_head(c);
        break;
    case CLIENT_OPEN:
        exchange(c);
        break;
    case CLIENT_REST:
        pass_over_rest(c);
        break;
    case CLIENT_LINGER:
        linger(c);
        break;
    case CLIENT_OVER:
    case CLIENT_DEAD:
        assert(false);
    }
    client_arm(c);
}

static void on_event(struct connection *connection) {
    advance(CONTAINER_OF(connection, struct client, channel.connection));
}

static void be_late(struct client *c) {
    switch (c->state) {
    case CLIENT_HANDSHAKE:
        end_handshake(c, HANDSHAKE_LATE, "no TLS handshake in time");
        client_bury(c);
        break;
    case CLIENT_IDLE:
        start_lingering(c); /* a request that is under way right now meets an orderly end */
        break;
    case CLIENT_HEAD:
        start_malformed(c, PROBLEM_REQUEST_TIMEOUT, "the head did not come in time");
        break;
    case CLIENT_OPEN:
        if (client_now_ns(c) >= write_due_ns(c))
            c->gone = "the client does not take the answer";
        else
            c->body_is_late = c->must_close = true;
        exchange(c);
        break;
    case CLIENT_REST:
    case CLIENT_LINGER:
        client_bury(c);
        break;
    case CLIENT_OVER:
    case CLIENT_DEAD:
        break;
    }
}

static void on_due(struct timer *timer) {
    struct client *c = CONTAINER_OF(timer, struct client, timer);
    if (client_now_ns(c) >= deadline(c))
        be_late(c);
    client_arm(c);
}

bool client_new(struct front *front, int fd, const struct ip *peer) {
    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        listener_refuse(&front->listener, fd);
        return false;
    }
    c->front = front;
    c->peer = *peer;
    c->is_fresh = true;
    c->holds_slot = front_counts(front, peer);
    channel_init(&c->channel, front->loop);
    if (connection_accept(&c->channel.connection, front->loop, fd, front->tls, on_event) < 0) {
        free(c);
        return false;
    }
    c->next = front->clients;
    if (c->next)
        c->next->previous = c;
    front->clients = c;
    front->n_open++;
    c->state = front->tls ? CLIENT_HANDSHAKE : CLIENT_IDLE;
    c->since_ns = client_now_ns(c);
    join_idle(c);
    client_arm(c);
    return true;
}
