/* SPDX-License-Identifier: MIT */
/* A call's way to a line, and its request onto it. */
#include "upstream_call.h"
#include <assert.h>
#include <errno.h>

#define SILENT_NS   NS_PER_S
#define CONTINUE_NS NS_PER_S /* for 100 Continue, before the body is sent without it */

/* ---- the request */

static void fail_late(struct upstream_call *call, const char *why) {
    call_note_failure(call, why);
    call_fail(call, UPSTREAM_TIMEOUT, why);
}

static void on_send_late(struct timer *timer) {
    struct upstream_call *call = CONTAINER_OF(timer, struct upstream_call, send_timer);
    fail_late(call, "the upstream does not take the request");
}

static void on_head_late(struct timer *timer) {
    struct upstream_call *call = CONTAINER_OF(timer, struct upstream_call, wait_timer);
    fail_late(call, "no answer in time");
}

static void wait_for_head(struct upstream_call *call) {
    loop_timer_clear(call->pool->loop, &call->send_timer);
    if (call->state == CALL_WAITING)
        loop_timer_set(call->pool->loop, &call->wait_timer,
                       call_now_ns(call) + call->request.first_byte_ns, on_head_late);
}

/* An upstream that has said why (413) and closed is still to be heard: only this direction is
 * over. */
static void give_up_sending(struct upstream_call *call) {
    struct channel *ch = &call->line->channel;
    call->cannot_send = true;
    buffer_release(&ch->out);
    if (ch->connection.state == CONNECTION_OPEN)
        ch->broken = 0;
    wait_for_head(call);
    call_advance_later(call);
}

void call_push(struct upstream_call *call) {
    if (call->cannot_send)
        return;
    int pushed = channel_flush(&call->line->channel);
    if (pushed < 0) {
        give_up_sending(call);
    } else if (pushed == 0 && call->state == CALL_WAITING) {
        loop_timer_set(call->pool->loop, &call->send_timer,
                       call_now_ns(call) + call->request.idle_ns, on_send_late);
    } else if (pushed == 1 && call->has_ended && !call->is_sent) {
        call->is_sent = true;
        if (call->is_tunnel)
            call_end_tunnel(call);
        wait_for_head(call);
    } else if (pushed == 1) {
        loop_timer_clear(call->pool->loop, &call->send_timer);
    }
}

void call_continue(struct upstream_call *call) {
    if (!call->request.expects_continue || call->has_continued || call->has_ended)
        return;
    call->has_continued = call->owes_continue = true;
    call_advance_later(call);
}

static void on_continue_late(struct timer *timer) {
    call_continue(CONTAINER_OF(timer, struct upstream_call, wait_timer));
}

/* RFC 9110 10.1.1: a client that expects it "SHOULD NOT wait for an indefinite period before sending the content". */
static void wait_for_continue(struct upstream_call *call) {
    int64_t patience_ns = call->site->is_old ? 0 : CONTINUE_NS;
    if (call->request.expects_continue && !call->has_ended)
        loop_timer_set(call->pool->loop, &call->wait_timer, call_now_ns(call) + patience_ns,
                       on_continue_late);
}

static void begin(struct upstream_call *call) {
    struct channel *ch = &call->line->channel;
    call->state = CALL_WAITING;
    call->n_read_before = ch->n_read;
    call->timing.connected_ns = call_now_ns(call);
    head_init(&call->head, HEAD_ANSWER, &call->pool->limits.head);
    channel_start_writing(ch, call->request.framing, call->request.body_bytes);
    int failure = buffer_append(&ch->out, call->request.head);
    if (failure == 0 && call->has_ended)
        failure = channel_end_body(ch);
    if (failure < 0) {
        call_fail(call, UPSTREAM_BROKEN, "out of memory");
        return;
    }
    wait_for_continue(call);
    /* Sent at the turn's end: a body's first bytes are likely to follow in this turn, and then go in the same packet; and what a turn
     * has for many calls costs less in a row than between events. */
    call_advance_later(call);
}

/* ---- the line */

static void on_line_event(struct connection *connection) {
    call_advance(CONTAINER_OF(connection, struct line, channel.connection)->user);
}

void call_reuse(struct upstream_call *call, struct line *line) {
    call->line = line;
    line->user = call;
    line->channel.connection.on_event = on_line_event;
    call->timing.reused = true;
    call->pool->stats.n_reuses++;
    begin(call);
}

static void try_next_address(struct upstream_call *call, const char *why);

static void leave_address(struct upstream_call *call, const char *why) {
    call_note_failure(call, why);
    try_next_address(call, why);
}

static void on_connect_late(struct timer *timer) {
    leave_address(CONTAINER_OF(timer, struct upstream_call, send_timer), "no connection in time");
}

/* Each address gets its share of what is left, and no more than a second while there is another: a
 * silent first one (IPv6 that leads nowhere) costs little. The last one has all the rest. */
static int64_t patience_ns(const struct upstream_call *call, size_t n_left) {
    int64_t share_ns = (call->connect_by_ns - call_now_ns(call)) / (int64_t)n_left;
    return n_left > 1 && share_ns > SILENT_NS ? SILENT_NS : share_ns;
}

static void connect_to(struct upstream_call *call, const struct endpoint *endpoint, size_t n_left) {
    struct upstream_pool *pool = call->pool;
    struct line *line = site_new_line(call->site, endpoint);
    if (!line) {
        call_fail(call, UPSTREAM_UNREACHABLE, "out of memory");
        return;
    }
    assert(pool->tls || !call->site->is_tls);
    call->line = line;
    line->user = call;
    call->state = CALL_CONNECTING;
    pool->stats.n_connects++;
    loop_timer_set(pool->loop, &call->send_timer, call_now_ns(call) + patience_ns(call, n_left),
                   on_connect_late);
    if (connection_connect(&line->channel.connection, pool->loop, endpoint,
                           call->site->is_tls ? pool->tls : NULL, call->site->host,
                           on_line_event) < 0)
        try_next_address(call, "no socket to connect with");
}

static void try_next_address(struct upstream_call *call, const char *why) {
    call_drop_line(call);
    if (call->next_address >= call->addresses.n || call_now_ns(call) >= call->connect_by_ns) {
        call_fail(call, UPSTREAM_UNREACHABLE, why);
        return;
    }
    size_t i = call->next_address++;
    connect_to(call, &call->addresses.list[i], call->addresses.n - i);
}

static void on_resolved(struct lookup *lookup, const struct resolved *resolved) {
    struct upstream_call *call = CONTAINER_OF(lookup, struct upstream_call, lookup);
    call->addresses = *resolved;
    health_order(&call->site->health, &call->addresses, call_now_ns(call));
    try_next_address(call, resolved->failure == -ENOENT ? "no such host name"
                                                        : "the name service failed");
}

static void on_resolve_late(struct timer *timer) {
    call_fail(CONTAINER_OF(timer, struct upstream_call, send_timer), UPSTREAM_UNREACHABLE,
              "no answer from the name service in time");
}

void call_connect(struct upstream_call *call) {
    const struct site *site = call->site;
    struct upstream_pool *pool = call->pool;
    call->state = CALL_RESOLVING;
    call->connect_by_ns = call_now_ns(call) + call->request.connect_ns;
    call->addresses.n = call->next_address = 0;
    if (site->port == 0) {
        call->addresses.n = endpoint_unix(site->host, &call->addresses.list[0]);
        try_next_address(call, "the socket's path is too long");
        return;
    }
    loop_timer_set(pool->loop, &call->send_timer, call->connect_by_ns, on_resolve_late);
    if (resolver_ask(pool->resolver, pool->loop, &call->lookup, site->host, site->port,
                     on_resolved) < 0)
        call_fail(call, UPSTREAM_UNREACHABLE, "out of memory");
}

void call_look_at_connecting(struct upstream_call *call) {
    const struct connection *connection = &call->line->channel.connection;
    if (connection->state == CONNECTION_FAILED) {
        leave_address(call, connection->failure_text);
    } else if (connection->state == CONNECTION_OPEN) {
        loop_timer_clear(call->pool->loop, &call->send_timer);
        begin(call);
    }
}
