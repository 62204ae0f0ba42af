/* SPDX-License-Identifier: MIT */
/* Two pumps. Each moves bytes until its source has none (the source's event comes) or its sink takes no more (the sink's event comes):
 *
 *     client_read_body ──► upstream_write          upstream_read_body ──► client_write
 *        on_body  ▲            ▲ on_writable           on_body  ▲             ▲ on_writable
 *
 * so nothing is held here, and the slower side sets the pace. An answer that breaks is cut, never ended as if it were complete. */
#include "gateway/relay.h"

#include "gateway/answer.h"
#include "gateway/charges.h"
#include "gateway/lifetime.h"
#include "gateway/location.h"
#include "gateway/request_head.h"
#include "gateway/streams.h"
#include "gateway/tunnel.h"
#include "gateway_internal.h"
#include <assert.h>

static bool is_idempotent(enum method method) {
    return method & (METHOD_GET | METHOD_HEAD | METHOD_PUT | METHOD_DELETE | METHOD_OPTIONS);
}

bool relay_start(struct exchange *x) {
    const struct head *head = client_head(x->client);
    const struct route *route = x->route;
    struct upstream_request request = {
        .head = request_head_write(x),
        .framing = head->framing,
        .body_bytes = head->body_bytes,
        .is_idempotent = is_idempotent(x->method),
        .is_head_request = x->method == METHOD_HEAD,
        .expects_continue = head->expects_continue,
        .asks_for_websocket = x->asks_for_websocket,
        .connect_ns = route->connect_ns,
        .first_byte_ns = route->first_byte_ns,
        .idle_ns = route->idle_ns,
    };
    if (!request.head.at)
        return false;
    x->upstream_started_ns = exchange_now(x)->mono_ns;
    x->call = upstream_start(x->gateway->pool, route->upstream, &request, x);
    if (!x->call)
        return false;
    x->request_body_ended = head->framing == FRAMING_NONE;
    relay_request_body(x);
    return true;
}

/* Before the answer's head has gone out there is still a way to say what went wrong; after that there is only the cut. */
static void fail(struct exchange *x, enum problem problem, const char *reason) {
    if (x->is_answered) {
        exchange_cut(x, reason);
        return;
    }
    if (x->call)
        upstream_finish(x->call);
    x->call = NULL;
    x->problem = problem;
    x->reason = reason;
    answer_problem(x);
}

/* True when all of it was taken; false when the pump has to pause, or the exchange is over. */
static bool push_upstream(struct exchange *x, struct str data) {
    if (data.n > x->route->max_body_bytes - x->request_body_bytes) {
        fail(x, PROBLEM_PAYLOAD_TOO_LARGE, "the body is above the route's max_body");
        return false;
    }
    size_t taken = upstream_write(x->call, data);
    client_consume_body(x->client, taken);
    x->request_body_bytes += taken;
    return taken == data.n;
}

void relay_request_body(struct exchange *x) {
    if (x->tunnel) {
        tunnel_pump(x);
        return;
    }
    while (x->call && !x->request_body_ended) {
        struct str data;
        switch (client_read_body(x->client, &data)) {
        case CLIENT_BODY_DATA:
            if (!push_upstream(x, data))
                return;
            continue;
        case CLIENT_BODY_WAIT:
            return;
        case CLIENT_BODY_END:
            x->request_body_ended = true;
            upstream_end(x->call);
            return;
        case CLIENT_BODY_BAD:
            fail(x, PROBLEM_BAD_REQUEST, "the request body's framing is malformed");
            return;
        case CLIENT_BODY_LATE:
            fail(x, PROBLEM_REQUEST_TIMEOUT, "the request body did not come in time");
            return;
        }
    }
}

void relay_continue(struct exchange *x) { client_continue(x->client); }

static bool is_location(const struct field *field) {
    return field->id == FIELD_LOCATION || field->id == FIELD_CONTENT_LOCATION;
}

/* End-to-end fields in their order, then ours. */
static int write_answer_fields(const struct exchange *x, const struct head *head,
                               struct buffer *out) {
    bool keeps_length = x->method == METHOD_HEAD || head->status == 304;
    for (size_t i = 0; i < head->fields.n; i++) {
        const struct field *field = &head->fields.list[i];
        bool is_length = field->id == FIELD_CONTENT_LENGTH;
        if (is_length ? !keeps_length : field_is_hop_by_hop(field, head->fields))
            continue;
        if (field->id == FIELD_X_REQUEST_ID || field_is_forbidden_in_answer(field->name))
            continue;
        if (str_eq_nocase(field->name, x->route->settle_header)) /* between upstream and gateway */
            continue;
        if (field->id == FIELD_CONTENT_TYPE &&
            str_starts_nocase(field->value, STR("application/vnd.fly.replay")))
            continue;
        TRY(buffer_append(out, field->name));
        TRY(buffer_append(out, STR(": ")));
        TRY(is_location(field) ? location_write(out, x, field->value)
                               : buffer_append(out, field->value));
        TRY(buffer_append(out, STR("\r\n")));
    }
    return answer_add_fields(x, out, head->fields);
}

/* One that can be ended early without a lie: its length was not told. */
static bool is_event_stream(const struct exchange *x, const struct head *head) {
    const struct field *type = fields_find(head->fields, FIELD_CONTENT_TYPE);
    enum framing framing = upstream_framing(x->call);
    return type && str_starts_nocase(type->value, STR("text/event-stream")) &&
           (framing == FRAMING_CHUNKED || framing == FRAMING_UNTIL_CLOSE);
}

void relay_answer_head(struct exchange *x) {
    const struct head *head = upstream_head(x->call);
    struct buffer *fields = &x->gateway->scratch;
    buffer_clear(fields);
    x->upstream_head_ns = exchange_now(x)->mono_ns;
    const char *broken = upstream_foresee_break(x->call);
    if (broken) { /* nothing has gone out yet: it can be told as it is */
        fail(x, PROBLEM_UPSTREAM_BROKEN, broken);
        return;
    }
    x->status = head->status;
    charges_settle(x, head->fields);

    if (write_answer_fields(x, head, fields) < 0) {
        exchange_cut(x, "out of memory");
        return;
    }
    if (upstream_is_websocket(x->call)) {
        x->is_answered = true;
        tunnel_start(x, buffer_bytes(fields));
        return;
    }
    if (client_start_answer(x->client, head->status, head->reason, buffer_bytes(fields),
                            upstream_framing(x->call), upstream_body_bytes(x->call)) < 0) {
        x->is_answered = true;
        fail(x, PROBLEM_INTERNAL, "out of memory");
        return;
    }
    x->is_answered = true;
    /* Of idle the upstream's reader knows. */
    if (!is_event_stream(x, head) || stream_begin(x, relay_end_events, INT64_MAX))
        relay_answer_body(x);
}

static void end_answer(struct exchange *x) {
    upstream_finish(x->call);
    x->call = NULL;
    client_end_answer(x->client);
}

void relay_answer_body(struct exchange *x) {
    if (x->tunnel) {
        tunnel_pump(x);
        return;
    }
    while (x->call && x->is_answered) {
        struct str data;
        switch (upstream_read_body(x->call, &data)) {
        case UPSTREAM_BODY_DATA: {
            size_t taken = client_write(x->client, data);
            upstream_consume_body(x->call, taken);
            if (taken < data.n)
                return;
            continue;
        }
        case UPSTREAM_BODY_WAIT:
            return;
        case UPSTREAM_BODY_END:
            end_answer(x);
            return;
        case UPSTREAM_BODY_BROKEN:
            x->problem = PROBLEM_UPSTREAM_BROKEN;
            exchange_cut(x, upstream_reason(x->call));
            return;
        }
    }
}

void relay_end_events(struct exchange *x, unsigned code, const char *reason) {
    (void)code; /* has no place in a body */
    x->stream.is_ending = true;
    if (!x->call)
        return; /* it has ended already, and is on its way */
    x->reason = reason;
    end_answer(x);
}

void relay_failed(struct exchange *x, enum upstream_failure failure, const char *reason) {
    assert(!x->is_answered);
    switch (failure) {
    case UPSTREAM_UNREACHABLE:
        fail(x, PROBLEM_UPSTREAM_UNREACHABLE, reason);
        return;
    case UPSTREAM_BROKEN:
        fail(x, PROBLEM_UPSTREAM_BROKEN, reason);
        return;
    case UPSTREAM_TIMEOUT:
        fail(x, PROBLEM_UPSTREAM_TIMEOUT, reason);
        return;
    case UPSTREAM_OVERLOADED:
        fail(x, PROBLEM_OVERLOADED, reason);
        return;
    }
}
