/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "http/body.h"
#include "io/connection.h"

/* HTTP/1.1 messages on a connection, either side of it: what was received and not used, the body reader on it; what is to be sent and
 * the body framing on it. Both buffers are bounded and hold no memory while empty and idle. The front and the upstream client are thin
 * on top of this. */
#define CHANNEL_READ_BYTES LOOP_SCRATCH_BYTES /* one read */
#define CHANNEL_STRAIGHT_BYTES \
    (4 * 1024) /* as large a piece of a body is sent from where it is, not copied */
#define CHANNEL_OUT_BYTES (64 * 1024) /* unsent bytes beyond which no more body is taken */

struct channel {
    struct connection connection;
    struct buffer in, out;
    /* bytes at the front of `in` that are body, lent out by channel_read_body */
    size_t in_data;
    struct body_reader reader;
    enum framing out_framing;
    uint64_t out_left; /* FRAMING_LENGTH */
    bool in_ended;     /* the peer has ended its stream cleanly */
    int broken;        /* 0, or the negative errno that ended the connection */
    uint64_t n_read;   /* bytes that the connection gave, ever */
    /* of the body that was started last, without its framing */
    uint64_t bytes_received, bytes_sent;
};

/* Then connection_accept or connection_connect, on this loop. */
void channel_init(struct channel *ch, struct loop *loop);
void channel_fini(struct channel *ch); /* closes, frees the buffers */

/* Read once into `in` (at most CHANNEL_READ_BYTES, and never beyond `limit` bytes waiting there). 1: something came or the
 * stream's state changed, 0: nothing to read now (or the limit is reached). */
int channel_fill(struct channel *ch, size_t limit);
/* Write what is in `out`. 1: all gone, 0: the socket is full, negative: broken. */
int channel_flush(struct channel *ch) MUST_USE;

/* The body that is being received. DATA borrows until channel_consume_body. */
enum channel_body {
    CHANNEL_BODY_DATA,
    CHANNEL_BODY_WAIT,
    CHANNEL_BODY_END,
    CHANNEL_BODY_BAD,
    CHANNEL_BODY_CUT
};
void channel_start_reading(struct channel *ch, enum framing framing, uint64_t body_bytes);
enum channel_body channel_read_body(struct channel *ch, struct str *data); /* fills by itself */
void channel_consume_body(struct channel *ch, size_t n);
/* What channel_read_body will come to after all that is here by now: DONE, MORE or BAD. *reader receives where it stands then. */
enum body_verdict channel_look_ahead(const struct channel *ch, struct body_reader *reader);
/* Has the peer left already, and is this body not whole? Reads what has come, and uses nothing up. */
bool channel_body_is_cut(struct channel *ch);

/* The body that is being sent. Returns how much was taken (0 when `out` is full: flush, wait for can_write); -ENOMEM. More than the declared
 * length is a bug (asserted). */
void channel_start_writing(struct channel *ch, enum framing framing, uint64_t body_bytes);
ssize_t channel_write_body(struct channel *ch, struct str data) MUST_USE;
/* LENGTH: everything must have been written (asserted) */
int channel_end_body(struct channel *ch) MUST_USE;
