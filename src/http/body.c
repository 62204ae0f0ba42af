/* SPDX-License-Identifier: MIT */
/* The framing of bodies. Chunked (RFC 9112 7.1) is read byte by byte around the data, and the data in runs:
 *
 *     5;name=value\r\n  hello\r\n  0\r\n  Trailer: value\r\n  \r\n
 *     SIZE EXT..   LF   DATA  LF         TRAILER..            END
 *
 * No white space around a size or an extension: it is "bad" in the grammar's own words, and who counts it among the digits or
 * drops it reads another body. */
#include "http/body.h"

#include "http/octets.h"
#include <assert.h>

enum state {
    SIZE_FIRST, /* the first digit */
    SIZE,
    SIZE_LF,
    EXT_NAME_FIRST, /* behind ';' */
    EXT_NAME,
    EXT_VALUE_FIRST, /* behind '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_QUOTED_END, /* behind the closing quote */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a line's first byte: a name, or the end */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BAD,
};

void body_reader_init(struct body_reader *reader, enum framing framing, uint64_t body_bytes) {
    *reader = (struct body_reader){.framing = framing};
    switch (framing) {
    case FRAMING_NONE:
        reader->state = DONE;
        break;
    case FRAMING_LENGTH:
        reader->left = body_bytes;
        reader->state = body_bytes > 0 ? DATA : DONE;
        break;
    case FRAMING_CHUNKED:
        reader->state = SIZE_FIRST;
        break;
    case FRAMING_UNTIL_CLOSE:
        reader->left = UINT64_MAX;
        reader->state = DATA;
        break;
    }
}

/* At most 16 digits, so no zeros without end either, and below 2^63 like every length here. */
static enum state size_digit(struct body_reader *reader, char byte) {
    int digit = hex_digit(byte);
    if (digit < 0 || reader->line_bytes > 16 || reader->left >> 59)
        return BAD;
    reader->left = reader->left << 4 | (unsigned)digit;
    return SIZE;
}

/* What may follow a size, or an extension that is complete. */
static enum state behind_size(char byte) {
    return byte == ';' ? EXT_NAME_FIRST : byte == '\r' ? SIZE_LF : BAD;
}

static enum state in_quotes(char byte) {
    if (byte == '"')
        return EXT_QUOTED_END;
    if (byte == '\\')
        return EXT_ESCAPED;
    return octet_is(byte, OCTET_VALUE) ? EXT_QUOTED : BAD;
}

/* The states of a chunk's first line: size [";" name ["=" (token / quoted-string)]]... CR LF */
static enum state size_line(struct body_reader *reader, char byte) {
    bool is_token_byte = octet_is(byte, OCTET_TOKEN);
    if (++reader->line_bytes > BODY_LINE_BYTES_MAX)
        return BAD;
    switch (reader->state) {
    case SIZE_FIRST:
        return size_digit(reader, byte);
    case SIZE:
        return hex_digit(byte) >= 0 ? size_digit(reader, byte) : behind_size(byte);
    case EXT_NAME_FIRST:
        return is_token_byte ? EXT_NAME : BAD;
    case EXT_NAME:
        return is_token_byte ? EXT_NAME : byte == '=' ? EXT_VALUE_FIRST : behind_size(byte);
    case EXT_VALUE_FIRST:
        return is_token_byte ? EXT_VALUE : byte == '"' ? EXT_QUOTED : BAD;
    case EXT_VALUE:
        return is_token_byte ? EXT_VALUE : behind_size(byte);
    case EXT_QUOTED:
        return in_quotes(byte);
    case EXT_ESCAPED:
        return octet_is(byte, OCTET_VALUE) ? EXT_QUOTED : BAD;
    case EXT_QUOTED_END:
        return behind_size(byte);
    default:
        assert(reader->state == SIZE_LF);
        reader->line_bytes = 0;
        return byte != '\n' ? BAD : reader->left > 0 ? DATA : TRAILER_FIRST;
    }
}

static enum state trailer_line(struct body_reader *reader, char byte) {
    bool is_token_byte = octet_is(byte, OCTET_TOKEN);
    if (++reader->line_bytes > BODY_TRAILER_BYTES_MAX)
        return BAD;
    switch (reader->state) {
    case TRAILER_FIRST:
        return is_token_byte ? TRAILER_NAME : byte == '\r' ? END_LF : BAD;
    case TRAILER_NAME:
        return is_token_byte ? TRAILER_NAME : byte == ':' ? TRAILER_VALUE : BAD;
    case TRAILER_VALUE:
        return octet_is(byte, OCTET_VALUE) ? TRAILER_VALUE : byte == '\r' ? TRAILER_LF : BAD;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_FIRST : BAD;
    default:
        assert(reader->state == END_LF);
        return byte == '\n' ? DONE : BAD;
    }
}

static enum state frame_byte(struct body_reader *reader, char byte) {
    if (reader->state < DATA)
        return size_line(reader, byte);
    if (reader->state >= TRAILER_FIRST)
        return trailer_line(reader, byte);
    if (reader->state == DATA_CR)
        return byte == '\r' ? DATA_LF : BAD;
    assert(reader->state == DATA_LF);
    return byte == '\n' ? SIZE_FIRST : BAD;
}

static enum body_verdict data_run(struct body_reader *reader, struct str *in, struct str *data) {
    *data = (struct str){in->at, in->n < reader->left ? in->n : (size_t)reader->left};
    *in = str_skip(*in, data->n);
    if (reader->framing != FRAMING_UNTIL_CLOSE)
        reader->left -= data->n;
    if (reader->left == 0)
        reader->state = reader->framing == FRAMING_CHUNKED ? DATA_CR : DONE;
    return BODY_DATA;
}

enum body_verdict body_read(struct body_reader *reader, struct str *in, struct str *data) {
    *data = STR_NONE;
    while (reader->state < DONE && in->n > 0) {
        if (reader->state == DATA)
            return data_run(reader, in, data);
        reader->state = (int)frame_byte(reader, in->at[0]);
        *in = str_skip(*in, 1);
    }
    return reader->state == DONE ? BODY_DONE : reader->state == BAD ? BODY_BAD : BODY_MORE;
}

bool body_reader_at_close(const struct body_reader *reader) {
    return reader->state == DONE || reader->framing == FRAMING_UNTIL_CLOSE;
}

bool body_reader_is_done(const struct body_reader *reader) { return reader->state == DONE; }

int body_write_chunk(struct buffer *out, struct str data) {
    assert(data.n > 0);
    static const char digits[] = "0123456789abcdef";
    char size[18], *at = size + sizeof(size);
    *--at = '\n';
    *--at = '\r';
    for (size_t n = data.n; n > 0; n >>= 4)
        *--at = digits[n & 15];
    size_t size_n = (size_t)(size + sizeof(size) - at);

    char *room;
    TRY(buffer_reserve(out, size_n + data.n + 2, &room));
    memcpy(room, at, size_n);
    memcpy(room + size_n, data.at, data.n);
    room[size_n + data.n] = '\r';
    room[size_n + data.n + 1] = '\n';
    buffer_commit(out, size_n + data.n + 2);
    return 0;
}

int body_write_end(struct buffer *out) { return buffer_append(out, STR("0\r\n\r\n")); }
