/* SPDX-License-Identifier: MIT */
/* Status line, the caller's fields, and the four fields that are the connection's own business. */
#include "answer_head.h"

#include "base/pen.h"
#include <assert.h>

#define OWN_BYTES_MAX 256 /* what is added to reason and fields, at the most */

static bool has_line(struct str fields, struct str name_and_colon) {
    struct str line;
    while (str_split(&fields, '\n', &line))
        if (str_starts_nocase(line, name_and_colon))
            return true;
    return false;
}

static char *write_status_line(char *at, const struct answer_head *answer) {
    struct str reason =
        answer->reason.n > 0 ? answer->reason : str_of(status_phrase(answer->status));
    at = pen_u64(pen_str(at, STR("HTTP/1.1 ")), (uint64_t)answer->status);
    return pen_str(pen_str(pen_byte(at, ' '), reason), STR("\r\n"));
}

static char *write_persistence(char *at, const struct answer_head *answer) {
    if (answer->persistence == PERSIST_SAYING_SO)
        return pen_str(at, STR("Connection: keep-alive\r\n"));
    if (answer->persistence == PERSIST_NOT)
        return pen_str(at, STR("Connection: close\r\n"));
    if (answer->persistence == PERSIST_AS_WEBSOCKET)
        return pen_str(at, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    return at;
}

static char *write_framing(char *at, const struct answer_head *answer) {
    switch (answer->framing) {
    case FRAMING_NONE:
        if (answer->can_have_body && !has_line(answer->fields, STR("content-length:")))
            return pen_str(at, STR("Content-Length: 0\r\n"));
        break;
    case FRAMING_LENGTH:
        at = pen_u64(pen_str(at, STR("Content-Length: ")), answer->body_bytes);
        return pen_str(at, STR("\r\n"));
    case FRAMING_CHUNKED:
        return pen_str(at, STR("Transfer-Encoding: chunked\r\n"));
    case FRAMING_UNTIL_CLOSE:
        break;
    }
    return at;
}

int answer_head_write(struct buffer *out, const struct answer_head *answer) {
    assert(answer->status >= 200 || answer->persistence == PERSIST_AS_WEBSOCKET);
    assert(answer->status <= 999);
    assert(answer->fields.n == 0 || str_ends(answer->fields, STR("\r\n")));
    char *start;
    size_t room = OWN_BYTES_MAX + answer->reason.n + answer->fields.n;
    TRY(buffer_reserve(out, room, &start));
    char *at = pen_str(write_status_line(start, answer), answer->fields);
    if (!has_line(answer->fields, STR("date:")))
        at = pen_str(pen_str(pen_str(at, STR("Date: ")), str_of(answer->date)), STR("\r\n"));
    at = write_framing(write_persistence(at, answer), answer);
    at = pen_str(at, STR("\r\n"));
    assert((size_t)(at - start) <= room);
    buffer_commit(out, (size_t)(at - start));
    return 0;
}
