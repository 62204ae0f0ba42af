/* SPDX-License-Identifier: MIT */
/* A call whose answer was 101. It may stay for days, and with thousands of others: it keeps the line and what moves bytes on it; the
 * head and the addresses, nearly all of its memory, go. */
#include "upstream_call.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

bool upstream_is_websocket(const struct upstream_call *call) {
    assert(call->state == CALL_ANSWERED && !call->is_tunnel);
    return call->head.status == 101;
}

int upstream_start_tunnel(struct upstream_call **handle) {
    struct upstream_call *call = *handle;
    assert(upstream_is_websocket(call));
    assert(!timer_is_set(&call->send_timer) && !timer_is_set(&call->wait_timer));
    struct upstream_call *tunnel = malloc(CALL_ZEROED_BYTES);
    if (!tunnel)
        return -ENOMEM;
    loop_defer_cancel(call->pool->loop, &call->deferred);
    buffer_release(&call->head_bytes);
    call->is_tunnel = true;
    call->request.head = STR_NONE;
    call->has_ended = call->is_sent = false;
    call_leave_place(call); /* a tunnel takes none from those who ask and go */
    channel_start_writing(&call->line->channel, FRAMING_UNTIL_CLOSE, 0);
    call->line->user = tunnel;
    memcpy(tunnel, call, CALL_ZEROED_BYTES);
    stock_give(&call->pool->calls, call, CALL_ZEROED_BYTES);
    *handle = tunnel;
    return 0;
}

void call_end_tunnel(struct upstream_call *call) {
    connection_end_write(&call->line->channel.connection);
    call->wants_write = true; /* the owner waits to hear of it */
    call_advance_later(call);
}

bool upstream_has_sent(const struct upstream_call *call) {
    assert(call->is_tunnel);
    return call->has_ended && (call->is_sent || call->cannot_send);
}
