/* SPDX-License-Identifier: MIT */
/* What the gateway does with an open exchange. Nothing here raises an event: it is noted, and looked at when the turn ends. */
#include "io/front.h"

#include "answer_head.h"
#include "front_state.h"
#include <assert.h>

#define REST_BYTES_MAX (64 * 1024) /* of an unread body, for which a connection is kept */

void *client_owner(const struct client *c) { return c->owner; }
void client_set_owner(struct client *c, void *owner) { c->owner = owner; }
struct ip client_peer(const struct client *c) {
    return c->peer;
}
bool client_speaks_tls(const struct client *c) { return c->channel.connection.tls; }
uint64_t client_bytes_received(const struct client *c) { return c->channel.bytes_received; }
uint64_t client_bytes_sent(const struct client *c) { return c->channel.bytes_sent; }
bool client_answer_started(const struct client *c) { return c->answer != ANSWER_NONE; }

const struct head *client_head(const struct client *c) {
    assert(c->request != NULL);
    return &c->request->head;
}

static void append_or_go(struct client *c, int result) {
    if (result < 0)
        c->gone = "out of memory";
    client_wake(c);
}

/* ---- patience with the body: one byte now and then would hold a connection for days */

/* Who may keep the body back until 100 Continue owes nothing before that. */
static bool owed_body(const struct client *c) {
    if (!c->waits_for_body) /* nor does a tunnel, which has no head any more */
        return false;
    bool may_keep_it = c->request->head.expects_continue && !c->has_continued;
    return !(may_keep_it && c->n_read_asked == c->n_read_head);
}

static void use_up_patience(struct client *c) {
    if (owed_body(c))
        c->patience_ns -= client_now_ns(c) - c->since_ns;
    c->waits_for_body = false;
}

static void earn_patience(struct client *c, uint64_t n) {
    int64_t whole_ns = c->front->limits->body_ns;
    uint64_t rate = c->front->limits->body_rate;
    __int128 ns = c->patience_ns;
    if (n > 0)
        ns += rate > 0 ? (__int128)n * NS_PER_S / rate : whole_ns;
    c->patience_ns = ns < whole_ns ? (int64_t)ns : whole_ns;
}

static void wait_for_body(struct client *c) {
    c->wants_body = true;
    if (c->is_tunnel)
        return;
    uint64_t n = c->channel.n_read - c->n_read_asked;
    if (!c->waits_for_body || n > 0) {
        use_up_patience(c);
        earn_patience(c, n);
        c->since_ns = client_now_ns(c);
    }
    c->n_read_asked = c->channel.n_read;
    c->waits_for_body = true;
    client_arm(c);
}

void client_continue(struct client *c) {
    assert(c->state == CLIENT_OPEN);
    if (c->answer != ANSWER_NONE || !client_awaits_continue(c))
        return;
    c->has_continued = true;
    c->since_ns = client_now_ns(c);
    append_or_go(c, buffer_append(&c->channel.out, STR("HTTP/1.1 100 Continue\r\n\r\n")));
    client_arm(c);
}

enum client_body client_read_body(struct client *c, struct str *data) {
    assert(c->state == CLIENT_OPEN);
    *data = STR_NONE;
    if (c->body_is_late)
        return CLIENT_BODY_LATE;
    switch (channel_read_body(&c->channel, data)) {
    case CHANNEL_BODY_DATA:
        use_up_patience(c);
        return CLIENT_BODY_DATA;
    case CHANNEL_BODY_END:
        return CLIENT_BODY_END;
    case CHANNEL_BODY_BAD:
        c->must_close = true;
        return CLIENT_BODY_BAD;
    case CHANNEL_BODY_CUT:
        c->gone = c->is_tunnel ? "the client's connection broke"
                               : "the client left within its request's body";
        client_wake(c);
        return CLIENT_BODY_WAIT;
    case CHANNEL_BODY_WAIT:
        break;
    }
    wait_for_body(c);
    return CLIENT_BODY_WAIT;
}

void client_consume_body(struct client *c, size_t n) {
    assert(c->state == CLIENT_OPEN);
    channel_consume_body(&c->channel, n);
}

/* Would what is left of the request's body hold up the next request? Looks ahead with a copy of the reader. */
static bool rest_is_small(struct client *c) {
    struct channel *ch = &c->channel;
    if (body_reader_is_done(&ch->reader))
        return true;
    channel_fill(ch, CHANNEL_READ_BYTES);
    if (client_awaits_continue(c))
        return false; /* it may keep its body to itself now, and send the next head in its place */
    struct body_reader reader;
    enum body_verdict verdict = channel_look_ahead(ch, &reader);
    return verdict == BODY_DONE || (verdict == BODY_MORE && reader.framing == FRAMING_LENGTH &&
                                    reader.left <= REST_BYTES_MAX);
}

static bool may_persist(struct client *c) {
    return !c->must_close && !c->front->is_draining && c->request->head.keep_alive &&
           rest_is_small(c);
}

int client_start_answer(struct client *c, int status, struct str reason, struct str fields,
                        enum framing framing, uint64_t body_bytes) {
    assert(c->state == CLIENT_OPEN && c->answer == ANSWER_NONE);
    const struct head *head = &c->request->head;
    bool is_old = head->minor == 0;
    if (framing == FRAMING_CHUNKED || framing == FRAMING_UNTIL_CLOSE)
        framing = is_old ? FRAMING_UNTIL_CLOSE : FRAMING_CHUNKED;
    c->persists = framing != FRAMING_UNTIL_CLOSE && may_persist(c);
    struct answer_head answer = {
        .status = status,
        .reason = reason,
        .fields = fields,
        .date = front_date(c->front),
        .persistence = !c->persists ? PERSIST_NOT
                       : is_old     ? PERSIST_SAYING_SO
                                    : PERSIST_SILENTLY,
        .framing = framing,
        .body_bytes = body_bytes,
        .can_have_body = status != 204 && status != 304 && !str_eq(head->method, STR("HEAD")),
    };
    TRY(answer_head_write(&c->channel.out, &answer));
    channel_start_writing(&c->channel, framing, body_bytes);
    c->answer = ANSWER_STARTED;
    client_wake(c);
    return 0;
}

size_t client_write(struct client *c, struct str data) {
    assert(c->state == CLIENT_OPEN && c->answer == ANSWER_STARTED);
    ssize_t taken = channel_write_body(&c->channel, data);
    append_or_go(c, taken < 0 ? (int)taken : 0);
    size_t n = taken < 0 ? 0 : (size_t)taken;
    if (n < data.n)
        c->wants_write = true;
    return n;
}

void client_end_answer(struct client *c) {
    assert(c->state == CLIENT_OPEN && c->answer == ANSWER_STARTED);
    append_or_go(c, channel_end_body(&c->channel));
    c->answer = ANSWER_ENDED;
    c->wants_body &= c->is_tunnel;
    c->wants_write |= c->is_tunnel;
}

int client_start_tunnel(struct client *c, struct str reason, struct str fields) {
    assert(c->state == CLIENT_OPEN && c->answer == ANSWER_NONE);
    struct answer_head answer = {
        .status = 101,
        .reason = reason,
        .fields = fields,
        .date = front_date(c->front),
        .persistence = PERSIST_AS_WEBSOCKET,
    };
    TRY(answer_head_write(&c->channel.out, &answer));
    front_take_back_request(c->front, c->request);
    c->request = NULL;
    channel_start_reading(&c->channel, FRAMING_UNTIL_CLOSE, 0);
    channel_start_writing(&c->channel, FRAMING_UNTIL_CLOSE, 0);
    c->answer = ANSWER_STARTED;
    c->is_tunnel = true;
    client_wake(c);
    return 0;
}

bool client_has_sent(const struct client *c) { return c->has_said_end; }

void client_close_after(struct client *c) { c->must_close = true; }

void client_cut(struct client *c) {
    assert(c->state == CLIENT_OPEN);
    client_end_exchange(c);
    connection_reset(&c->channel.connection);
    client_bury(c);
}
