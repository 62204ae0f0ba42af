/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "http/head.h"

/* The head of an answer to a client, as it goes on the wire. */
struct answer_head {
    int status;
    struct str reason; /* empty: the registered phrase */
    struct str fields; /* whole lines */
    const char *date;  /* added unless `fields` has one */
    enum { PERSIST_SILENTLY, PERSIST_SAYING_SO, PERSIST_NOT, PERSIST_AS_WEBSOCKET } persistence;
    enum framing framing; /* UNTIL_CLOSE: no line says so */
    uint64_t body_bytes;
    bool can_have_body; /* with FRAMING_NONE: say that it is empty */
};

/* All or nothing. -ENOMEM. */
int answer_head_write(struct buffer *out, const struct answer_head *answer) MUST_USE;
