/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "http/head.h"

/* The framing of bodies (RFC 9112 6, 7.1), both ways, without buffering: the reader is given bytes and says which of
 * them are data; extensions and trailers are dropped, yet must be well formed. */

#define BODY_LINE_BYTES_MAX    4096        /* a chunk's size with its extensions */
#define BODY_TRAILER_BYTES_MAX (16 * 1024) /* all trailer lines together */

enum body_verdict {
    BODY_MORE, /* all the bytes were used and the body goes on */
    BODY_DATA, /* *data is a run of the body; call again with the rest */
    BODY_DONE, /* the body has ended; bytes beyond it were not used */
    BODY_BAD,  /* chunk framing is malformed or too long; stays so */
};

struct body_reader {
    enum framing framing;
    uint64_t left; /* of the body (LENGTH) or of the chunk */
    int state;
    uint32_t line_bytes; /* of a chunk-size line or of the trailers, bounded */
};

void body_reader_init(struct body_reader *reader, enum framing framing, uint64_t body_bytes);
/* Take from the front of *in. BODY_DATA borrows from *in. A reader that is done stays done. FRAMING_UNTIL_CLOSE never
 * says BODY_DONE by itself: see body_reader_at_close. */
enum body_verdict body_read(struct body_reader *reader, struct str *in, struct str *data) MUST_USE;
/* The peer closed: was the body complete? True when done, and for FRAMING_UNTIL_CLOSE. */
bool body_reader_at_close(const struct body_reader *reader);
bool body_reader_is_done(const struct body_reader *reader);

/* Append `data` (not empty) framed as one chunk; the end of a chunked body. */
int body_write_chunk(struct buffer *out, struct str data) MUST_USE;
int body_write_end(struct buffer *out) MUST_USE;
