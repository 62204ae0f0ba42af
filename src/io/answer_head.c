/* SPDX-License-Identifier: MIT */
/* Status line, the caller's fields, and the four fields that are the connection's own business. */
#include "answer_head.h"

#include <assert.h>

#define OWN_BYTES_MAX 256 /* what is added to reason and fields, at the most */

static bool has_line(struct str fields, struct str name_and_colon) {
    struct str line;
    while (str_split(&fields, '\n', &line))
        if (str_starts_nocase(line, name_and_colon))
            return true;
    return false;
}

static void put(char **at, struct str s) {
    if (s.n > 0)
        memcpy(*at, s.at, s.n);
    *at += s.n;
}

static void put_number(char **at, uint64_t number) {
    char digits[20]; /* of 2^64 - 1 */
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(at, (struct str){digits + first, sizeof(digits) - first});
}

static void put_status_line(char **at, const struct answer_head *answer) {
    put(at, STR("HTTP/1.1 "));
    put_number(at, (uint64_t)answer->status);
    put(at, STR(" "));
    put(at, answer->reason.n > 0 ? answer->reason : str_of(status_phrase(answer->status)));
    put(at, STR("\r\n"));
}

static void put_persistence(char **at, const struct answer_head *answer) {
    if (answer->persistence == PERSIST_SAYING_SO)
        put(at, STR("Connection: keep-alive\r\n"));
    if (answer->persistence == PERSIST_NOT)
        put(at, STR("Connection: close\r\n"));
    if (answer->persistence == PERSIST_AS_WEBSOCKET)
        put(at, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
}

static void put_framing(char **at, const struct answer_head *answer) {
    switch (answer->framing) {
    case FRAMING_NONE:
        if (answer->can_have_body && !has_line(answer->fields, STR("content-length:")))
            put(at, STR("Content-Length: 0\r\n"));
        break;
    case FRAMING_LENGTH:
        put(at, STR("Content-Length: "));
        put_number(at, answer->body_bytes);
        put(at, STR("\r\n"));
        break;
    case FRAMING_CHUNKED:
        put(at, STR("Transfer-Encoding: chunked\r\n"));
        break;
    case FRAMING_UNTIL_CLOSE:
        break;
    }
}

int answer_head_write(struct buffer *out, const struct answer_head *answer) {
    assert(answer->status >= 200 || answer->persistence == PERSIST_AS_WEBSOCKET);
    assert(answer->status <= 999);
    assert(answer->fields.n == 0 || str_ends(answer->fields, STR("\r\n")));
    char *start;
    size_t room = OWN_BYTES_MAX + answer->reason.n + answer->fields.n;
    TRY(buffer_reserve(out, room, &start));
    char *at = start;
    put_status_line(&at, answer);
    put(&at, answer->fields);
    if (!has_line(answer->fields, STR("date:"))) {
        put(&at, STR("Date: "));
        put(&at, str_of(answer->date));
        put(&at, STR("\r\n"));
    }
    put_persistence(&at, answer);
    put_framing(&at, answer);
    put(&at, STR("\r\n"));
    assert((size_t)(at - start) <= room);
    buffer_commit(out, (size_t)(at - start));
    return 0;
}
