/* SPDX-License-Identifier: MIT */
/* Messages on a connection. Bytes of a received body stay in `in` until they are consumed; the reader has already passed over
 * the first `in_data` of them:
 *
 *   in   [ decoded, being lent out | not looked at yet ]
 *          in_data
 *
 * Memory is taken when bytes come and given back when none are left, for most connections of a gateway are idle or wait. A head is read
 * through the loop's scratch and keeps a piece of the loop's stock while its request lasts, or a little more than its own length; a body's
 * bytes are soon gone, and are read to where they stay. */
#include "io/channel.h"

#include <assert.h>
#include <errno.h>

void channel_init(struct channel *ch, struct loop *loop) {
    *ch = (struct channel){.in.stock = loop_pieces(loop), .out.stock = loop_pieces(loop)};
}

void channel_fini(struct channel *ch) {
    connection_close(&ch->connection);
    buffer_release(&ch->in);
    buffer_release(&ch->out);
    ch->in_data = 0;
}

static void release_when_empty(struct buffer *b) {
    if (buffer_length(b) == 0)
        buffer_release(b);
}

static bool can_come(const struct channel *ch) {
    return ch->connection.can_read && !ch->in_ended && ch->broken == 0;
}

static ssize_t read_directly(struct channel *ch, size_t wanted) {
    char *room;
    TRY(buffer_reserve(&ch->in, wanted, &room));
    ssize_t n = connection_read(&ch->connection, room, wanted);
    if (n > 0)
        buffer_commit(&ch->in, (size_t)n);
    return n;
}

static ssize_t read_through(struct channel *ch, size_t wanted, char *scratch) {
    ssize_t n = connection_read(&ch->connection, scratch, wanted);
    if (n > 0)
        TRY(buffer_append(&ch->in, (struct str){scratch, (size_t)n}));
    return n;
}

static int fill(struct channel *ch, size_t limit, bool is_body) {
    size_t waiting = buffer_length(&ch->in);
    if (!can_come(ch) || waiting >= limit)
        return 0;
    size_t wanted = limit - waiting < CHANNEL_READ_BYTES ? limit - waiting : CHANNEL_READ_BYTES;
    ssize_t n = is_body ? read_directly(ch, wanted)
                        : read_through(ch, wanted, loop_scratch(ch->connection.loop));
    if (n > 0) {
        ch->n_read += (uint64_t)n;
        return 1;
    }
    release_when_empty(&ch->in);
    if (n == -EAGAIN)
        return 0;
    if (n == 0)
        ch->in_ended = true;
    else
        ch->broken = (int)n;
    return 1;
}

int channel_fill(struct channel *ch, size_t limit) { return fill(ch, limit, false); }

int channel_flush(struct channel *ch) {
    if (ch->broken < 0)
        return ch->broken;
    while (buffer_length(&ch->out) > 0) {
        struct str bytes = buffer_bytes(&ch->out);
        struct iovec piece = {.iov_base = ch->out.at + ch->out.head, .iov_len = bytes.n};
        if (!ch->connection.can_write)
            return 0;
        ssize_t n = connection_write(&ch->connection, &piece, 1);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return ch->broken = (int)n;
        buffer_consume(&ch->out, (size_t)n);
    }
    buffer_release(&ch->out);
    return 1;
}

void channel_start_reading(struct channel *ch, enum framing framing, uint64_t body_bytes) {
    assert(ch->in_data == 0);
    body_reader_init(&ch->reader, framing, body_bytes);
    ch->bytes_received = 0;
}

/* Takes the framing away from the front of `in`, up to a run of data. */
static enum body_verdict look(struct channel *ch) {
    struct str all = buffer_bytes(&ch->in), rest = all, data = STR_NONE;
    enum body_verdict verdict = body_read(&ch->reader, &rest, &data);
    if (verdict == BODY_DATA) {
        assert(data.n > 0 && data.at + data.n == rest.at);
        ch->in_data = data.n;
    }
    if (verdict != BODY_BAD)
        buffer_consume(&ch->in, all.n - rest.n - ch->in_data);
    return verdict;
}

static enum channel_body body_at_close(const struct channel *ch) {
    return ch->in_ended && body_reader_at_close(&ch->reader) ? CHANNEL_BODY_END : CHANNEL_BODY_CUT;
}

enum channel_body channel_read_body(struct channel *ch, struct str *data) {
    *data = STR_NONE;
    while (ch->in_data == 0) {
        switch (look(ch)) {
        case BODY_DATA:
            break;
        case BODY_DONE:
            release_when_empty(&ch->in);
            return CHANNEL_BODY_END;
        case BODY_BAD:
            return CHANNEL_BODY_BAD;
        case BODY_MORE:
            if (ch->in_ended || ch->broken < 0)
                return body_at_close(ch);
            if (fill(ch, CHANNEL_READ_BYTES, true) == 0) {
                release_when_empty(&ch->in);
                return CHANNEL_BODY_WAIT;
            }
            break;
        }
    }
    *data = str_first(buffer_bytes(&ch->in), ch->in_data);
    return CHANNEL_BODY_DATA;
}

void channel_consume_body(struct channel *ch, size_t n) {
    assert(n <= ch->in_data);
    buffer_consume(&ch->in, n);
    ch->in_data -= n;
    ch->bytes_received += n;
}

enum body_verdict channel_look_ahead(const struct channel *ch, struct body_reader *reader) {
    struct str rest = str_skip(buffer_bytes(&ch->in), ch->in_data), data;
    enum body_verdict verdict;
    *reader = ch->reader;
    do
        verdict = body_read(reader, &rest, &data);
    while (verdict == BODY_DATA);
    return verdict;
}

bool channel_body_is_cut(struct channel *ch) {
    struct body_reader reader;
    if (!ch->connection.peer_left && !ch->in_ended && ch->broken == 0)
        return false;
    while (channel_fill(ch, CHANNEL_READ_BYTES) == 1)
        continue;
    if (!ch->in_ended && ch->broken == 0)
        return false;
    enum body_verdict verdict = channel_look_ahead(ch, &reader);
    bool is_whole = verdict == BODY_DONE ||
                    (verdict == BODY_MORE && ch->in_ended && body_reader_at_close(&reader));
    return !is_whole;
}

void channel_start_writing(struct channel *ch, enum framing framing, uint64_t body_bytes) {
    ch->out_framing = framing;
    ch->out_left = framing == FRAMING_LENGTH ? body_bytes : 0;
    ch->bytes_sent = 0;
}

/* A large piece is not copied: what waits and then the piece itself go to the socket. How much of the piece went; what could not go,
 * or broke, is heard of at the next flush. */
static size_t write_straight(struct channel *ch, struct str data) {
    struct str waiting = buffer_bytes(&ch->out);
    struct iovec pieces[] = {
        {.iov_base = (void *)(uintptr_t)waiting.at, .iov_len = waiting.n},
        {.iov_base = (void *)(uintptr_t)data.at, .iov_len = data.n},
    };
    bool is_first = waiting.n == 0;
    if (data.n < CHANNEL_STRAIGHT_BYTES || ch->broken < 0 || !ch->connection.can_write)
        return 0;
    ssize_t n = connection_write(&ch->connection, pieces + is_first, 2 - is_first);
    if (n < 0) {
        ch->broken = n == -EAGAIN ? 0 : (int)n;
        return 0;
    }
    size_t of_waiting = (size_t)n < waiting.n ? (size_t)n : waiting.n;
    buffer_consume(&ch->out, of_waiting);
    return (size_t)n - of_waiting;
}

/* All of it is taken, by the socket or by `out`. */
static int write_through(struct channel *ch, struct str data) {
    return buffer_append(&ch->out, str_skip(data, write_straight(ch, data)));
}

ssize_t channel_write_body(struct channel *ch, struct str data) {
    size_t waiting = buffer_length(&ch->out);
    size_t room = waiting < CHANNEL_OUT_BYTES ? CHANNEL_OUT_BYTES - waiting : 0;
    struct str taken = str_first(data, room);
    if (data.n == 0 || room == 0)
        return 0;
    assert(ch->out_framing != FRAMING_NONE);
    switch (ch->out_framing) {
    case FRAMING_NONE:
        return 0;
    case FRAMING_LENGTH:
        assert(data.n <= ch->out_left);
        TRY(write_through(ch, taken));
        ch->out_left -= taken.n;
        break;
    case FRAMING_CHUNKED:
        TRY(body_write_chunk(&ch->out, taken));
        break;
    case FRAMING_UNTIL_CLOSE:
        TRY(write_through(ch, taken));
        break;
    }
    ch->bytes_sent += taken.n;
    return (ssize_t)taken.n;
}

int channel_end_body(struct channel *ch) {
    assert(ch->out_left == 0);
    if (ch->out_framing == FRAMING_CHUNKED)
        return body_write_end(&ch->out);
    return 0;
}
