/* SPDX-License-Identifier: MIT */
/* One call to an upstream, from upstream_start to upstream_finish:
 *
 *   QUEUED -> RESOLVING -> CONNECTING -> WAITING -> ANSWERED
 *                  `------- a kept line -----^
 *
 * Any but the last may go to FAILED; WAITING goes back to RESOLVING, once, when a kept line turns
 * out to be dead.
 *
 * Sending the request's body runs beside it, for an upstream may answer before it has read
 * everything. All that the owner hears comes from call_advance, which the loop calls: on the
 * line's events, on deadlines, and deferred. One event at a time, for the owner may finish the
 * call in any of them. */
#include "upstream_call.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SPARE_CALLS_MAX 128 /* as many are under way on a busy worker */

/* ---- how a call goes wrong */

void call_stop_timers(struct upstream_call *call) {
    loop_timer_clear(call->pool->loop, &call->send_timer);
    loop_timer_clear(call->pool->loop, &call->wait_timer);
}

void call_drop_line(struct upstream_call *call) {
    bool is_cut = (call->state == CALL_WAITING || call->state == CALL_ANSWERED) && !call->is_sent;
    if (call->line)
        line_drop(call->line, is_cut);
    call->line = NULL;
}

void call_fail(struct upstream_call *call, enum upstream_failure failure, const char *reason) {
    assert(call->state < CALL_ANSWERED);
    call_stop_timers(call);
    resolver_cancel(&call->lookup);
    call_drop_line(call);
    call->state = CALL_FAILED;
    call->failure = failure;
    call->reason = reason;
    call->owes_failure = true;
    call->wants_write = call->owes_continue = false;
    call_advance_later(call);
}

void call_break(struct upstream_call *call, const char *reason) {
    assert(call->state == CALL_ANSWERED && !call->reason);
    call_stop_timers(call);
    call->reason = reason;
}

/* ---- what the owner hears */

static bool has_body_news(const struct upstream_call *call) {
    if (!call->wants_body)
        return false;
    assert(call->state == CALL_ANSWERED && call->line);
    const struct channel *ch = &call->line->channel;
    return call->reason || ch->connection.can_read || ch->in_ended || ch->broken;
}

static bool has_room(const struct upstream_call *call) {
    if (!call->wants_write || call->state < CALL_WAITING)
        return false;
    assert(call->state != CALL_FAILED && call->line);
    return call->cannot_send || buffer_length(&call->line->channel.out) <= CHANNEL_OUT_BYTES / 2;
}

static void raise_one(struct upstream_call *call) {
    const struct upstream_events *events = &call->pool->events;
    if (call->owes_failure) {
        call->owes_failure = false;
        events->on_failed(call->owner, call, call->failure, call->reason);
    } else if (call->owes_head) {
        call->owes_head = call->owes_continue = false;
        events->on_head(call->owner, call);
    } else if (call->owes_continue) {
        call->owes_continue = false;
        events->on_continue(call->owner, call);
    } else if (has_body_news(call)) {
        call->wants_body = false;
        events->on_body(call->owner, call);
    } else if (has_room(call)) {
        call->wants_write = false;
        events->on_writable(call->owner, call);
    }
}

void call_advance(struct upstream_call *call) {
    if (call->state == CALL_CONNECTING)
        call_look_at_connecting(call);
    if (call->line && call->state >= CALL_WAITING && buffer_length(&call->line->channel.out) > 0)
        call_push(call);
    if (call->state == CALL_WAITING)
        call_read_head(call);
    int n_due = call->owes_failure + call->owes_head + call->owes_continue + has_body_news(call) +
                has_room(call);
    if (n_due > 1)
        call_advance_later(call);
    raise_one(call);
}

static void advance_deferred(struct deferred *deferred) {
    call_advance(CONTAINER_OF(deferred, struct upstream_call, deferred));
}

void call_advance_later(struct upstream_call *call) {
    loop_defer(call->pool->loop, &call->deferred, advance_deferred);
}

/* ---- the pool */

struct upstream_pool *upstream_pool_new(struct loop *loop, struct resolver *resolver,
                                        struct tls_client *tls,
                                        const struct upstream_limits *limits,
                                        const struct upstream_events *events) {
    struct upstream_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    *pool = (struct upstream_pool){
        .loop = loop,
        .resolver = resolver,
        .tls = tls,
        .limits = *limits,
        .events = *events,
        .calls = {.piece_bytes = sizeof(struct upstream_call), .n_most = SPARE_CALLS_MAX}};
    lines_init(&pool->lines, loop, limits->n_idle, limits->idle_ns);
    return pool;
}

void upstream_pool_set_limits(struct upstream_pool *pool, const struct upstream_limits *limits) {
    pool->limits = *limits;
    pool->lines.n_idle_max = limits->n_idle;
    pool->lines.idle_ns = limits->idle_ns;
}

void upstream_pool_free(struct upstream_pool *pool) {
    if (!pool)
        return;
    assert(pool->stats.n_open == 0);
    lines_fini(&pool->lines);
    stock_release(&pool->calls);
    free(pool);
}

struct upstream_stats upstream_pool_stats(const struct upstream_pool *pool) {
    struct upstream_stats stats = pool->stats;
    stats.n_open -= stats.n_queued;
    stats.n_idle = pool->lines.n_idle;
    for (const struct site *site = pool->lines.sites; site; site = site->next)
        stats.n_ejected += health_count_ejected(&site->health, loop_now(pool->loop)->mono_ns);
    return stats;
}

/* ---- a call's start and its end */

struct upstream_call *upstream_start(struct upstream_pool *pool, const struct origin *origin,
                                     const struct upstream_request *request, void *owner) {
    struct site *site = site_hold(&pool->lines, origin);
    if (!site)
        return NULL;
    struct upstream_call *call = stock_take_zeroed(&pool->calls, CALL_ZEROED_BYTES);
    if (!call) {
        site_release(site);
        return NULL;
    }
    call->pool = pool;
    call->site = site;
    call->owner = owner;
    call->request = *request;
    call->head_bytes.stock = loop_pieces(pool->loop);
    call->has_ended = request->framing == FRAMING_NONE;
    pool->stats.n_open++;
    call_ask_for_place(call);
    return call;
}

void call_go(struct upstream_call *call) {
    const struct upstream_request *request = &call->request;
    struct line *line =
        line_take(call->site, request->is_idempotent && request->framing == FRAMING_NONE);
    if (line)
        call_reuse(call, line);
    else
        call_connect(call);
}

static bool is_reusable(const struct upstream_call *call) {
    if (call->state != CALL_ANSWERED || call->is_tunnel || call->reason || !call->is_sent ||
        !call->head.keep_alive)
        return false;
    const struct channel *ch = &call->line->channel;
    if (ch->reader.framing == FRAMING_UNTIL_CLOSE || !body_reader_is_done(&ch->reader) ||
        ch->in_data > 0)
        return false;
    if (buffer_length(&ch->in) > 0 || ch->in_ended ||
        ch->broken) /* bytes beyond the answer are nobody's */
        return false;
    const struct connection *connection = &ch->connection;
    return connection->state == CONNECTION_OPEN && !connection->peer_left &&
           (!connection->can_read || connection_is_quiet(&call->line->channel.connection));
}

/* How long the upstream keeps it, less a second for what is under way when it stops doing so:
 * Keep-Alive: timeout=5. */
static int64_t keep_ns(const struct upstream_call *call) {
    const struct field *field = fields_find(call->head.fields, FIELD_KEEP_ALIVE);
    struct str rest = field ? field->value : STR_NONE, part;
    uint64_t timeout_s;
    while (rest.at && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (str_starts_nocase(part, STR("timeout=")) && str_to_u64(str_skip(part, 8), &timeout_s) &&
            timeout_s < 86400)
            return timeout_s > 1 ? (int64_t)(timeout_s - 1) * NS_PER_S
                                 : (int64_t)timeout_s * NS_PER_S / 2;
    }
    return INT64_MAX;
}

void upstream_finish(struct upstream_call *call) {
    struct upstream_pool *pool = call->pool;
    call_stop_timers(call);
    resolver_cancel(&call->lookup);
    loop_defer_cancel(pool->loop, &call->deferred);
    if (call->line && is_reusable(call))
        line_keep(call->line, keep_ns(call));
    else
        call_drop_line(call);
    call_leave_place(call);
    assert(pool->stats.n_open > 0);
    pool->stats.n_open--;
    site_release(call->site);
    buffer_release(&call->head_bytes);
    if (call->is_tunnel)
        free(call);
    else
        stock_give(&pool->calls, call, CALL_ZEROED_BYTES);
}

/* ---- the request's body */

size_t upstream_write(struct upstream_call *call, struct str data) {
    assert(!call->has_ended);
    if (call->state == CALL_FAILED || call->cannot_send)
        return data.n; /* nobody wants it; the owner hears, or has heard, what came of the call */
    ssize_t taken =
        call->state >= CALL_WAITING ? channel_write_body(&call->line->channel, data) : 0;
    if (taken < 0 && call->state == CALL_WAITING)
        call_fail(call, UPSTREAM_BROKEN, "out of memory");
    else if (taken < 0 && call->is_tunnel && !call->reason)
        call_break(call, "out of memory");
    if (taken < 0)
        return data.n;
    if ((size_t)taken < data.n)
        call->wants_write = true;
    /* Sent at this turn's end with what else comes in it, or at once when it is a packet by
     * itself. */
    if (taken > 0 && buffer_length(&call->line->channel.out) >= CHANNEL_READ_BYTES)
        call_push(call);
    call_advance_later(call);
    return (size_t)taken;
}

void upstream_end(struct upstream_call *call) {
    assert(!call->has_ended);
    call->has_ended = true;
    if (call->state < CALL_WAITING || call->state == CALL_FAILED || call->cannot_send)
        return;
    if (channel_end_body(&call->line->channel) == 0)
        call_push(call);
    else if (call->state == CALL_WAITING)
        call_fail(call, UPSTREAM_BROKEN, "out of memory");
}

/* ---- the answer */

const struct head *upstream_head(const struct upstream_call *call) {
    assert(call->state == CALL_ANSWERED);
    return &call->head;
}

enum framing upstream_framing(const struct upstream_call *call) {
    assert(call->state == CALL_ANSWERED);
    return upstream_is_websocket(call)
               ? FRAMING_UNTIL_CLOSE
               : head_answer_framing(&call->head, call->request.is_head_request);
}

uint64_t upstream_body_bytes(const struct upstream_call *call) { return call->head.body_bytes; }

const char *upstream_reason(const struct upstream_call *call) { return call->reason; }

struct upstream_timing upstream_timing(const struct upstream_call *call) {
    return call->timing;
}

static void on_body_late(struct timer *timer) {
    struct upstream_call *call = CONTAINER_OF(timer, struct upstream_call, wait_timer);
    call_break(call, "no byte of the answer's body in time");
    call_advance_later(call);
}

static const char *cut_text(const struct channel *ch) {
    if (!ch->broken)
        return "closed within the answer's body";
    return ch->broken == -EPROTO ? "TLS stream cut within the answer's body"
                                 : "connection broken within the answer's body";
}

const char *upstream_foresee_break(struct upstream_call *call) {
    assert(call->state == CALL_ANSWERED);
    struct channel *ch = &call->line->channel;
    struct body_reader reader;
    if (channel_body_is_cut(ch))
        return cut_text(ch);
    return channel_look_ahead(ch, &reader) == BODY_BAD ? "the answer's chunks are malformed" : NULL;
}

enum upstream_body upstream_read_body(struct upstream_call *call, struct str *data) {
    assert(call->state == CALL_ANSWERED);
    *data = STR_NONE;
    if (call->reason)
        return UPSTREAM_BODY_BROKEN;
    struct loop *loop = call->pool->loop;
    switch (channel_read_body(&call->line->channel, data)) {
    case CHANNEL_BODY_DATA:
        loop_timer_clear(loop, &call->wait_timer);
        return UPSTREAM_BODY_DATA;
    case CHANNEL_BODY_WAIT:
        /* Only bytes of the body start it anew, not those of its framing. */
        if (!timer_is_set(&call->wait_timer) && !call->is_tunnel)
            loop_timer_set(loop, &call->wait_timer, call_now_ns(call) + call->request.idle_ns,
                           on_body_late);
        call->wants_body = true;
        return UPSTREAM_BODY_WAIT;
    case CHANNEL_BODY_END:
        loop_timer_clear(loop, &call->wait_timer);
        return UPSTREAM_BODY_END;
    case CHANNEL_BODY_BAD:
        call_break(call, "the answer's chunks are malformed");
        return UPSTREAM_BODY_BROKEN;
    case CHANNEL_BODY_CUT:
        call_break(call, cut_text(&call->line->channel));
        return UPSTREAM_BODY_BROKEN;
    }
    return UPSTREAM_BODY_BROKEN;
}

void upstream_consume_body(struct upstream_call *call, size_t n) {
    channel_consume_body(&call->line->channel, n);
}
