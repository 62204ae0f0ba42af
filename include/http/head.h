/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/fields.h"

/* The head of a message (RFC 9112), strict by construction. One parser for requests and answers; incremental without
 * allocation: call it with all the bytes since the head's first byte whenever more have come. It remembers where it
 * stopped, and its answer is the same however the bytes are cut.
 *
 * Refused: bare LF or CR, folded lines, NUL and other controls, white space before a colon, names that are no tokens,
 * missing, doubled or malformed Host, Content-Length that is not one run of digits, Transfer-Encoding that is not
 * exactly one "chunked", both together, Transfer-Encoding on HTTP/1.0, anything above the limits. */

enum head_verdict {
    HEAD_DONE,
    HEAD_MORE,              /* not all there yet */
    HEAD_BAD_LINE,          /* request or status line malformed                      400 */
    HEAD_BAD_FIELD,         /* a field line malformed                                400 */
    HEAD_BAD_HOST,          /* missing, doubled or malformed                         400 */
    HEAD_BAD_LENGTH,        /* Content-Length not one number                         400 */
    HEAD_BAD_FRAMING,       /* both lengths, or a coding on 1.0                      400 */
    HEAD_UNKNOWN_CODING,    /* Transfer-Encoding other than chunked                  501 */
    HEAD_BAD_VERSION,       /* not HTTP/1.0 or 1.1                                   505 */
    HEAD_BAD_EXPECTATION,   /* Expect other than 100-continue                        417 */
    HEAD_TARGET_TOO_LONG,   /*                                                       414 */
    HEAD_TOO_LARGE,         /* bytes or number of fields                             431 */
};

/* For the log and the error text; a constant. */
const char *head_verdict_text(enum head_verdict verdict);

#define HEAD_FIELDS_MAX 256 /* the most that a setting can ask for */

struct head_limits {
    uint32_t line_bytes; /* request or status line, default 16 KiB */
    uint32_t head_bytes; /* the whole head, default 64 KiB */
    uint32_t n_fields;   /* default 128, at most HEAD_FIELDS_MAX */
};
#define HEAD_LIMITS_DEFAULT ((struct head_limits){16 * 1024, 64 * 1024, 128})

enum head_kind { HEAD_REQUEST, HEAD_ANSWER };

enum framing {
    FRAMING_NONE,        /* no body */
    FRAMING_LENGTH,      /* body_bytes of it */
    FRAMING_CHUNKED,
    FRAMING_UNTIL_CLOSE, /* answers only */
};

struct head {
    /* what the parser found; all borrowed from the bytes of the last call, valid once HEAD_DONE */
    struct str method, target; /* requests; method is a token of at most 32 bytes */
    int status;                /* answers, 100..999 */
    struct str reason;         /* answers, may be empty */
    int minor;                 /* 0 or 1 */
    struct fields fields;      /* points into `store` */
    struct str host;           /* requests; the Host field's value ("" on HTTP/1.0 without one) */
    enum framing framing;      /* of an answer: as if to a GET, see head_answer_framing */
    uint64_t body_bytes;       /* FRAMING_LENGTH */
    bool keep_alive;           /* the sender lets the connection live on (version and Connection) */
    bool expects_continue;     /* Expect: 100-continue on 1.1 */
    size_t head_bytes;         /* including the empty line */

    /* the parser's own */
    enum head_kind kind;
    struct head_limits limits;
    size_t line_start, scanned, skipped;
    uint32_t n_offsets;
    int state;
    struct field store[HEAD_FIELDS_MAX];
};

void head_init(struct head *head, enum head_kind kind, const struct head_limits *limits);
/* `bytes`: everything since the head's first byte (it may hold more than the head). An empty line before a request line
 * is skipped once (RFC 9112 2.2). */
enum head_verdict head_parse(struct head *head, struct str bytes) MUST_USE;

/* How an answer's body is framed, given the request's method and the answer's head (RFC 9112 6.3): none for HEAD, 1xx,
 * 204, 304 and for 2xx to CONNECT. */
enum framing head_answer_framing(const struct head *answer, bool answers_head_request);
