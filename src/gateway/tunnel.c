/* SPDX-License-Identifier: MIT */
/* The pumps of relay.c once more, but here an end is only one direction's:
 *
 *     client ──► client_read_body ──► upstream_write ──► upstream      client_ended: its FIN came, and ours went on
 *     client ◄── client_write ◄── upstream_read_body ◄── upstream      upstream_ended: the same, the other way
 *
 * Any event of either side runs both. There may be thousands of idle ones, so what a request needs and a tunnel does not (heads, arena) is
 * given back when it starts; what the access log will say is kept in one small piece. */
#include "gateway/tunnel.h"

#include "gateway/admission.h"
#include "gateway/holds.h"
#include "gateway/lifetime.h"
#include "gateway/streams.h"
#include "gateway_internal.h"
#include "http/websocket.h"
#include <assert.h>
#include <stdlib.h>

#define KEPT_PATH_BYTES 1024
/* For sending what is left, when we end it. */
#define ENDING_NS (5 * NS_PER_S)

struct tunnel {
    struct websocket_frames up, down;
    bool client_ended, upstream_ended;
    char kept[]; /* path, subject, API key's id, what holds are called */
};

static struct str keep(char **at, struct str s) {
    struct str kept = {*at, s.n};
    if (s.n > 0)
        memcpy(*at, s.at, s.n);
    *at += s.n;
    return kept;
}

/* Everything that points into the head or the arena is copied, or forgotten. */
static bool keep_little(struct exchange *x) {
    struct str path = str_first(x->target.path, KEPT_PATH_BYTES);
    size_t n = path.n + x->caller.subject.n + x->caller.api_key.n + holds_bytes(x);
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel) + n);
    if (!tunnel)
        return false;
    char *at = tunnel->kept;
    x->tunnel = tunnel;
    x->target = (struct target){.path = keep(&at, path)};
    x->caller.subject = keep(&at, x->caller.subject);
    x->caller.api_key = keep(&at, x->caller.api_key);
    x->caller.plan = x->user_token = STR_NONE;
    x->record = (struct record){0};
    x->credentials = (struct credentials){0};
    x->host = STR_NONE;
    for (size_t i = 0; i < x->n_charges; i++)
        x->charges[i].key = STR_NONE;
    holds_move(x, at);
    x->has_head = false;
    x->gateway->n_tunnels++;
    arena_fini(&x->arena);
    return true;
}

void tunnel_start(struct exchange *x, struct str fields) {
    if (!keep_little(x) ||
        client_start_tunnel(x->client, upstream_head(x->call)->reason, fields) < 0 ||
        upstream_start_tunnel(&x->call) < 0) {
        exchange_cut(x, "out of memory");
        return;
    }
    admission_leave(x); /* sockets.h limits these */
    if (stream_begin(x, tunnel_end, x->route->idle_ns))
        tunnel_pump(x);
}

/* ---- the pumps ---- */

static void note(struct exchange *x, struct websocket_frames *frames, uint64_t *bytes,
                 struct str passed) {
    if (passed.n == 0)
        return;
    websocket_frames_pass(frames, passed);
    *bytes += passed.n;
    x->stream.moved_ns = exchange_now(x)->mono_ns;
}

static void pump_up(struct exchange *x) {
    struct tunnel *tunnel = x->tunnel;
    while (!tunnel->client_ended) {
        struct str data;
        switch (client_read_body(x->client, &data)) {
        case CLIENT_BODY_DATA: {
            struct str taken = str_first(data, upstream_write(x->call, data));
            note(x, &tunnel->up, &x->gateway->tunnel_bytes_in, taken);
            client_consume_body(x->client, taken.n);
            if (taken.n < data.n)
                return;
            continue;
        }
        case CLIENT_BODY_END:
            tunnel->client_ended = true;
            upstream_end(x->call);
            return;
        case CLIENT_BODY_WAIT:
        case CLIENT_BODY_BAD:
        case CLIENT_BODY_LATE: /* neither has a meaning here; who broke off is told by on_gone */
            return;
        }
    }
}

/* False when it broke, and the exchange is over. */
static bool pump_down(struct exchange *x) {
    struct tunnel *tunnel = x->tunnel;
    while (!tunnel->upstream_ended) {
        struct str data;
        switch (upstream_read_body(x->call, &data)) {
        case UPSTREAM_BODY_DATA: {
            struct str taken = str_first(data, client_write(x->client, data));
            note(x, &tunnel->down, &x->gateway->tunnel_bytes_out, taken);
            upstream_consume_body(x->call, taken.n);
            if (taken.n < data.n)
                return true;
            continue;
        }
        case UPSTREAM_BODY_WAIT:
            return true;
        case UPSTREAM_BODY_END:
            tunnel->upstream_ended = true;
            client_end_answer(x->client);
            return true;
        case UPSTREAM_BODY_BROKEN:
            exchange_cut(x, "the upstream's connection broke");
            return false;
        }
    }
    return true;
}

static void finish_when_over(struct exchange *x) {
    struct client *client = x->client;
    if (!client_has_sent(client) || !upstream_has_sent(x->call))
        return;
    exchange_finish(x);
    client_close(client);
}

void tunnel_pump(struct exchange *x) {
    pump_up(x);
    if (pump_down(x))
        finish_when_over(x);
}

/* ---- our end of it ---- */

static struct str close_frame(const struct websocket_frames *before, unsigned code,
                              const char *reason, bool to_server,
                              unsigned char out[WEBSOCKET_CLOSE_MAX]) {
    size_t n = websocket_frames_are_whole(before)
                   ? websocket_close_write(out, code, str_of(reason), to_server)
                   : 0;
    return (struct str){(const char *)out, n};
}

void tunnel_end(struct exchange *x, unsigned code, const char *reason) {
    struct tunnel *tunnel = x->tunnel;
    unsigned char frame[WEBSOCKET_CLOSE_MAX];
    if (x->stream.is_ending) {
        exchange_cut(x, x->reason);
        return;
    }
    x->reason = reason;
    x->stream.is_ending = true;
    x->stream.end_ns = exchange_now(x)->mono_ns + ENDING_NS;
    x->stream.idle_ns = INT64_MAX;
    /* A side that takes nothing just now may get a part of the frame; its stream is a torso anyway. */
    if (!tunnel->upstream_ended) {
        struct str close = close_frame(&tunnel->down, code, reason, false, frame);
        (void)client_write(x->client, close);
        client_end_answer(x->client);
    }
    if (!tunnel->client_ended) {
        struct str close = close_frame(&tunnel->up, code, reason, true, frame);
        (void)upstream_write(x->call, close);
        upstream_end(x->call);
    }
    tunnel->client_ended = tunnel->upstream_ended = true;
    stream_arm(x);
    finish_when_over(x);
}
