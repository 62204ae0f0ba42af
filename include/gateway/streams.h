/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Answers that last: event streams and tunnels. They have no time limit of their own, so somebody has to end them: in order, while the
 * connection stands, so that a client sees an end and no failure. */

/* The answer of `x` is one, from now on, and `end` ends it. With close_streams_at_expiry it ends when the caller's token or API key does;
 * also when for `idle_ns` (INT64_MAX: for ever) x->stream.moved_ns stays as it is. False: whoever opened it has no right to it any more
 * (denied, revoked, expired while the upstream took its time), so it was ended at once, before a byte of its body; x may be over. */
bool stream_begin(struct exchange *x, void (*end)(struct exchange *, unsigned, const char *),
                  int64_t idle_ns) MUST_USE;
void stream_arm(struct exchange *x); /* its end_ns has changed */

/* Ends those that `concerns` picks (every one for NULL), in order: event streams with their last chunk, WebSockets with a Close frame
 * of `code` (http/websocket.h). `reason`: a constant. */
typedef bool stream_picker(const struct exchange *x, const void *arg);
void streams_end(struct gateway *gateway, stream_picker *concerns, const void *arg, unsigned code,
                 const char *reason);

/* The deny-list has changed: what those have open who stand on it ends. */
void streams_end_denied(struct gateway *gateway);

/* The API key with this id speaks for nobody any more: what it opened ends, and what has not begun yet ends when it does. */
void streams_revoke(struct gateway *gateway, struct str api_key);

/* The drain has begun, and all will be cut after `timeout_ns`. WebSockets end one after the other until shortly before, so that
 * their clients do not come back all at once; event streams, which are short, at the end. */
void streams_drain(struct gateway *gateway, int64_t timeout_ns);
void streams_stop(struct gateway *gateway); /* before the gateway is freed */
