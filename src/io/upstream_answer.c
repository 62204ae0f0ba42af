/* SPDX-License-Identifier: MIT */
/* The head of an upstream's answer: read, or missed. */
#include "upstream_call.h"
#include <assert.h>

#define INTERIM_MAX 16 /* 1xx answers before the real one */

/* RFC 9110 9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests." Nor does this one
 * take an upstream that dies of a request for a stale line: only a line that was kept can be stale. */
static bool may_try_again(const struct upstream_call *call) {
    return call->timing.reused && call->request.is_idempotent &&
           call->request.framing == FRAMING_NONE &&
           call->line->channel.n_read == call->n_read_before;
}

static void try_again(struct upstream_call *call) {
    call_stop_timers(call);
    call->is_sent = true; /* a stale line needs no RST */
    call_drop_line(call);
    call->timing.reused = call->is_sent = call->cannot_send = false;
    call->n_parsed = 0;
    call->pool->stats.n_retries++;
    /* "A client SHOULD NOT automatically retry a failed automatic retry": a fresh line is not kept. */
    call_connect(call);
}

static const char *end_text(const struct upstream_call *call) {
    const struct channel *ch = &call->line->channel;
    bool has_begun = ch->n_read > call->n_read_before;
    if (ch->broken)
        return has_begun ? "connection broken within the answer's head"
                         : "connection broken before an answer";
    return has_begun ? "closed within the answer's head" : "closed before an answer";
}

static void end_without_head(struct upstream_call *call) {
    if (may_try_again(call)) {
        try_again(call);
        return;
    }
    const char *text = end_text(call);
    if (!call->timing.reused) /* else it may have been stale, which says nothing of the address */
        call_note_failure(call, text);
    call_fail(call, UPSTREAM_BROKEN, text);
}

static void skip_interim(struct upstream_call *call) {
    buffer_consume(&call->line->channel.in, call->head.head_bytes);
    if (call->head.status == 100)
        call_continue(call);
    /* RFC 9110 15.2.2: 101 answers an Upgrade, and none such was sent. */
    if (call->head.status == 101)
        call_fail(call, UPSTREAM_BROKEN, "101 to a request that asked for no upgrade");
    else if (++call->n_interim > INTERIM_MAX)
        call_fail(call, UPSTREAM_BROKEN, "too many interim answers");
    else
        head_init(&call->head, HEAD_ANSWER, &call->pool->limits.head);
}

/* RFC 6455 4.1: a 101 whose Upgrade is not "websocket" opens none. */
static bool opens_websocket(const struct upstream_call *call) {
    return call->head.status == 101 && call->request.asks_for_websocket &&
           fields_list_has(call->head.fields, FIELD_UPGRADE, STR("websocket"));
}

/* Copied, so that the body can be consumed from where it stood. */
static void take_head(struct upstream_call *call) {
    struct channel *ch = &call->line->channel;
    if (buffer_append(&call->head_bytes, str_first(buffer_bytes(&ch->in), call->head.head_bytes)) <
        0) {
        call_fail(call, UPSTREAM_BROKEN, "out of memory");
        return;
    }
    enum head_verdict again = head_parse(&call->head, buffer_bytes(&call->head_bytes));
    assert(again == HEAD_DONE);
    (void)again;
    buffer_consume(&ch->in, call->head.head_bytes);
    call_stop_timers(call);
    call->state = CALL_ANSWERED;
    call->site->is_old = call->head.minor == 0;
    call_note_answer(call);
    channel_start_reading(ch, upstream_framing(call), call->head.body_bytes);
    call->timing.head_ns = call_now_ns(call);
    call->owes_head = true;
}

static void parse(struct upstream_call *call) {
    struct str bytes = buffer_bytes(&call->line->channel.in);
    enum head_verdict verdict = head_parse(&call->head, bytes);
    call->n_parsed = verdict == HEAD_MORE ? bytes.n : 0;
    if (verdict == HEAD_DONE && call->head.status < 200 && !opens_websocket(call))
        skip_interim(call);
    else if (verdict == HEAD_DONE)
        take_head(call);
    else if (verdict != HEAD_MORE)
        call_fail(call, UPSTREAM_BROKEN, head_verdict_text(verdict));
}

void call_read_head(struct upstream_call *call) {
    size_t limit = (size_t)call->pool->limits.head.head_bytes + CHANNEL_READ_BYTES;
    while (call->state == CALL_WAITING) {
        struct channel *ch = &call->line->channel;
        if (buffer_length(&ch->in) > call->n_parsed)
            parse(call);
        else if (ch->in_ended || ch->broken)
            end_without_head(call);
        else if (channel_fill(ch, limit) == 0)
            return;
    }
}
