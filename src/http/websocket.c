/* SPDX-License-Identifier: MIT */
/* The edges of a WebSocket: its handshake and its frames' heads.
 *
 *     FIN RSV opcode | MASK length 7 | length 16 or 64 | mask 32 | payload
 *          byte 0         byte 1         2 or 8 bytes    4 bytes
 */
#include "http/websocket.h"

#include "http/octets.h"
#include <assert.h>

#define KEY_BYTES    24 /* 16 random bytes in base64 */
#define OPCODE_CLOSE 8
#define CONTROL_BYTES \
    125 /* 5.5: "All control frames MUST have a payload length of 125 bytes or less" */

/* 4.1: "a base64-encoded value that, when decoded, is 16 bytes in length" */
static bool is_key(struct str key) {
    if (key.n != KEY_BYTES || !str_ends(key, STR("==")))
        return false;
    for (size_t i = 0; i < KEY_BYTES - 2; i++)
        if (!octet_is(key.at[i], OCTET_ALNUM) && key.at[i] != '+' && key.at[i] != '/')
            return false;
    return true;
}

static bool asks(const struct head *head) {
    return head->minor == 1 && fields_list_has(head->fields, FIELD_CONNECTION, STR("upgrade")) &&
           fields_list_has(head->fields, FIELD_UPGRADE, STR("websocket"));
}

enum websocket_request websocket_request(const struct head *head, const char **why) {
    struct fields fields = head->fields;
    if (!asks(head))
        return WEBSOCKET_NOT_ASKED;
    if (!str_eq(head->method, STR("GET")))
        *why = "a WebSocket is asked for with GET";
    else if (head->framing != FRAMING_NONE)
        *why = "a WebSocket's handshake has no body";
    else if (fields_count(fields, FIELD_SEC_WEBSOCKET_KEY) != 1 ||
             !is_key(fields_find(fields, FIELD_SEC_WEBSOCKET_KEY)->value))
        *why = "a WebSocket's handshake has one Sec-WebSocket-Key of 16 bytes in base64";
    else if (fields_count(fields, FIELD_SEC_WEBSOCKET_VERSION) != 1)
        *why = "a WebSocket's handshake has one Sec-WebSocket-Version";
    else
        return WEBSOCKET_ASKED;
    return WEBSOCKET_MALFORMED;
}

/* ---- frames ---- */

static unsigned length_bytes(const struct websocket_frames *f) {
    unsigned length = f->head[1] & 127;
    return length == 127 ? 8 : length == 126 ? 2 : 0;
}

static unsigned mask_bytes(const struct websocket_frames *f) { return f->head[1] & 128 ? 4 : 0; }

/* The head is whole: what comes next is its payload. */
static void begin_payload(struct websocket_frames *f) {
    unsigned n = length_bytes(f);
    uint64_t length = n ? 0 : f->head[1] & 127;
    for (unsigned i = 0; i < n; i++)
        length = length << 8 | f->head[2 + i];
    f->left = length;
    f->n_head = 0;
    /* "the most significant bit MUST be 0" */
    f->is_over = (f->head[0] & 15) == OPCODE_CLOSE || length >> 63;
}

static void take_head_byte(struct websocket_frames *f, unsigned char byte) {
    if (f->n_head < sizeof(f->head))
        f->head[f->n_head] = byte;
    f->n_head++;
    if (f->n_head >= 2 && f->n_head == 2 + length_bytes(f) + mask_bytes(f))
        begin_payload(f);
}

void websocket_frames_pass(struct websocket_frames *f, struct str bytes) {
    while (bytes.n > 0 && !f->is_over) {
        if (f->left > 0) {
            size_t n = bytes.n < f->left ? bytes.n : (size_t)f->left;
            f->left -= n;
            bytes = str_skip(bytes, n);
        } else {
            take_head_byte(f, (unsigned char)bytes.at[0]);
            bytes = str_skip(bytes, 1);
        }
    }
}

bool websocket_frames_are_whole(const struct websocket_frames *f) {
    return !f->is_over && f->left == 0 && f->n_head == 0;
}

size_t websocket_close_write(unsigned char out[WEBSOCKET_CLOSE_MAX], unsigned code,
                             struct str reason, bool to_server) {
    reason = str_first(reason, CONTROL_BYTES - 2);
    unsigned char *at = out;
    *at++ = 0x80 | OPCODE_CLOSE;
    *at++ = (unsigned char)((to_server ? 128 : 0) | (2 + reason.n));
    if (to_server) { /* masked with zeros: what is hidden from caches on the way has no secret here */
        memset(at, 0, 4);
        at += 4;
    }
    *at++ = (unsigned char)(code >> 8);
    *at++ = (unsigned char)code;
    if (reason.n > 0)
        memcpy(at, reason.at, reason.n);
    return (size_t)(at - out) + reason.n;
}
