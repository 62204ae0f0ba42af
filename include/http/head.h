/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/fields.h"
#include "http/problem.h"

/* The head of a message (RFC 9112), strict by construction. One parser for requests and answers; incremental without
 * allocation: call it with all the bytes since the head's first byte whenever more have come. It remembers where it
 * stopped, and its answer is the same however the bytes are cut.
 *
 * Refused: bare LF or CR, folded lines, NUL and other controls, white space before a colon, names that are no tokens,
 * missing, doubled or malformed Host, Content-Length that is not one run of digits, Transfer-Encoding that is not
 * exactly one "chunked", both together, Transfer-Encoding on HTTP/1.0, anything above the limits.
 *
 * Errors of form are found in the order of the lines; the meaning of the fields is looked at when the head is whole. */

enum head_verdict {
    HEAD_DONE,
    HEAD_MORE,            /* not all there yet */
    HEAD_BAD_LINE,        /* request or status line malformed                      400 */
    HEAD_BAD_FIELD,       /* a field line malformed                                400 */
    HEAD_BAD_HOST,        /* missing, doubled or malformed                         400 */
    HEAD_BAD_LENGTH,      /* Content-Length not one number below 2^63              400 */
    HEAD_BAD_FRAMING,     /* both lengths, two codings, or a coding on 1.0         400 */
    HEAD_UNKNOWN_CODING,  /* Transfer-Encoding other than chunked                  501 */
    HEAD_BAD_VERSION,     /* not HTTP/1.0 or 1.1                                   505 */
    HEAD_BAD_EXPECTATION, /* Expect other than 100-continue                        417 */
    HEAD_TARGET_TOO_LONG, /*                                                       414 */
    HEAD_TOO_LARGE,       /* bytes, fields, or names that Connection lists         431 */
};

/* For the log and the error text; a constant. */
const char *head_verdict_text(enum head_verdict verdict);
/* What a request that met this verdict is answered; PROBLEM_NONE for HEAD_DONE and HEAD_MORE. */
enum problem head_verdict_problem(enum head_verdict verdict);

#define HEAD_FIELDS_MAX           256 /* the most that a setting can ask for */
#define HEAD_CONNECTION_NAMES_MAX 32  /* bounds the work of field_is_hop_by_hop */

struct head_limits {
    uint32_t line_bytes; /* request or status line without its line end, default 16 KiB */
    uint32_t head_bytes; /* the whole head with all line ends, default 64 KiB */
    uint32_t n_fields;   /* default 128, at most HEAD_FIELDS_MAX */
};
#define HEAD_LIMITS_DEFAULT ((struct head_limits){16 * 1024, 64 * 1024, 128})

enum head_kind { HEAD_REQUEST, HEAD_ANSWER };

enum framing {
    FRAMING_NONE,   /* no body */
    FRAMING_LENGTH, /* body_bytes of it */
    FRAMING_CHUNKED,
    FRAMING_UNTIL_CLOSE, /* answers only */
};

struct head_span {
    uint32_t at, n;
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
    bool expects_continue;     /* Expect: 100-continue on 1.1, and a body to continue with */
    size_t head_bytes;         /* including the empty lines before and after */

    /* The parser's own. The bytes may move between calls, so that until HEAD_DONE it keeps offsets. */
    enum head_kind kind;
    struct head_limits limits;
    int state;
    /* where the current line begins; up to where its bytes are known to be good */
    uint32_t line_at, scanned;
    uint32_t n_lines;
    struct head_span words[2]; /* method and target, or the reason */
    struct head_line {
        struct head_span name, value;
    } lines[HEAD_FIELDS_MAX];
    struct field store[HEAD_FIELDS_MAX];
};

void head_init(struct head *head, enum head_kind kind, const struct head_limits *limits);
/* `bytes`: everything since the head's first byte (it may hold more than the head). An empty line before a request line
 * is skipped once (RFC 9112 2.2). Called again after HEAD_DONE, with the same bytes elsewhere, it points everything there. */
enum head_verdict head_parse(struct head *head, struct str bytes) MUST_USE;

/* How an answer's body is framed, given the request's method and the answer's head (RFC 9112 6.3): none to HEAD, and for
 * 1xx, 204 and 304. (CONNECT is never forwarded.) */
enum framing head_answer_framing(const struct head *answer, bool answers_head_request);
