/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"

/* What goes to Redis and what comes from it, as bytes (RESP2; what comes is read by hiredis, this is its door). */

enum reply_kind { REPLY_NIL, REPLY_INTEGER, REPLY_STRING, REPLY_STATUS, REPLY_ERROR, REPLY_ARRAY };

struct redis_reply {
    enum reply_kind kind;
    int64_t integer;
    struct str text; /* STRING, STATUS, ERROR (without its '-'); a NUL follows */
    size_t n;        /* ARRAY */
    const struct redis_reply *list;
};

#define REDIS_ARGUMENTS_MAX 128
/* Appends one command; n from 1 to REDIS_ARGUMENTS_MAX. -ENOMEM. */
int redis_encode(struct buffer *out, const struct str *arguments, size_t n) MUST_USE;

/* Replies out of a stream that may be cut anywhere. */
struct redis_decoder;
/* No reply may be much longer than max_bytes, nor have more elements than fit there, nor arrays
 * more than six deep. */
struct redis_decoder *redis_decoder_new(size_t max_bytes) MUST_USE; /* NULL: memory is out */
void redis_decoder_free(struct redis_decoder *decoder);             /* takes NULL */
int redis_decoder_feed(struct redis_decoder *decoder, struct str bytes) MUST_USE; /* -ENOMEM */

enum redis_decoded {
    REDIS_DECODED,      /* *reply is borrowed until the next redis_decode */
    REDIS_DECODED_MORE, /* bytes are missing */
    REDIS_DECODED_BAD,  /* not the protocol: the stream is of no use any more */
    REDIS_DECODED_HUGE, /* the same, for its size */
};
enum redis_decoded redis_decode(struct redis_decoder *decoder,
                                const struct redis_reply **reply) MUST_USE;
