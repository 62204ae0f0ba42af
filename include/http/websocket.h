/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/head.h"

/* What a gateway has to know of WebSockets (RFC 6455): who asks for one, and where its frames begin. Payloads are nobody's business here. */

enum websocket_request {
    WEBSOCKET_NOT_ASKED, /* another protocol's Upgrade is ignored (RFC 9110 7.8), as is any on HTTP/1.0 */
    WEBSOCKET_ASKED,
    WEBSOCKET_MALFORMED, /* asks, but not as 4.2.1 says (GET, no body, one good key, one version): 400 */
};
/* *why receives a constant for WEBSOCKET_MALFORMED. The version is the upstream's to judge (426). */
enum websocket_request websocket_request(const struct head *head, const char **why) MUST_USE;

/* One direction's frames (5.2), so that a Close of our own can be put between two of them. All zeros is the beginning. */
struct websocket_frames {
    uint64_t left;          /* of the payload */
    unsigned char head[10]; /* what has come of a frame's head, without the mask */
    uint8_t n_head;         /* bytes of it, the mask's counted */
    bool is_over;           /* a Close has passed, or what came is no frame */
};
void websocket_frames_pass(struct websocket_frames *frames, struct str bytes);
/* May a frame of ours follow what has passed? */
bool websocket_frames_are_whole(const struct websocket_frames *frames);

/* 5.5.1, 7.4.1 */
enum { WEBSOCKET_GOING_AWAY = 1001, WEBSOCKET_POLICY = 1008 };
#define WEBSOCKET_CLOSE_MAX (2 + 4 + 125)
/* A Close frame with `code` and a reason (cut to what fits), masked when it goes to a server. How long it is. */
size_t websocket_close_write(unsigned char out[WEBSOCKET_CLOSE_MAX], unsigned code,
                             struct str reason, bool to_server);
