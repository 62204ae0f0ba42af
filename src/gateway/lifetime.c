/* SPDX-License-Identifier: MIT */
/* An exchange is born with its request's head and dies with its answer's last byte. Dead ones are kept, a few, for their warm arenas. */
#include "gateway/lifetime.h"

#include "base/pen.h"
#include "gateway/access_log.h"
#include "gateway/admission.h"
#include "gateway/api_keys.h"
#include "gateway/checks.h"
#include "gateway/client_address.h"
#include "gateway/counting.h"
#include "gateway/holds.h"
#include "gateway/records.h"
#include "gateway/sockets.h"
#include "gateway_internal.h"
#include <assert.h>
#include <stdlib.h>

#define SPARE_MAX 64

static bool is_id_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool is_good_id(struct str id) {
    if (id.n < 8 || id.n > 64)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!is_id_byte(id.at[i]))
            return false;
    return true;
}

/* The caller's id when it is one, so that a request can be followed through several services. */
static void choose_id(struct exchange *x) {
    const struct field *sent = fields_find(exchange_fields(x), FIELD_X_REQUEST_ID);
    if (sent && is_good_id(sent->value)) {
        memcpy(x->id, sent->value.at, sent->value.n);
        x->id[sent->value.n] = '\0';
        return;
    }
    unsigned char random[16];
    gateway_random(x->gateway, random, sizeof(random));
    *pen_hex(x->id, random, sizeof(random)) = '\0';
}

static void enter_epoch(struct exchange *x) {
    x->epoch = x->gateway->epoch;
    x->epoch->n_holders++;
    x->settings = x->epoch->settings;
    x->metrics = x->epoch->metrics;
    x->caller = (struct caller){.issuer = SIZE_MAX};
    struct client_address address =
        client_address_find(&x->settings->trust, client_peer(x->client),
                            client_speaks_tls(x->client), exchange_fields(x));
    x->client_ip = address.ip;
    x->is_https = address.is_https;
}

void exchange_begin_anew(struct exchange *x) {
    assert((x->waits_for_keys || x->check.line || x->shows) && !x->call && !x->is_answered);
    admission_leave(x);
    epoch_release(x->epoch);
    x->step = 0;
    x->route = NULL;
    x->route_index = SIZE_MAX;
    x->asked_for_keys = false;
    x->asked_for_api_key = false;
    enter_epoch(x);
}

struct exchange *exchange_new(struct gateway *gateway, struct client *client, bool has_head) {
    struct exchange *x = gateway->spare;
    struct arena arena;
    if (x) {
        gateway->spare = x->next;
        gateway->n_spare--;
        arena = x->arena;
    } else {
        x = malloc(sizeof(*x));
        if (!x)
            return NULL;
        arena_init(&arena);
    }
    /* Everything about the caller is zeroed: nothing of the last request may speak for this one. */
    memset(x, 0, EXCHANGE_ZEROED_BYTES);
    x->gateway = gateway;
    x->parts = &gateway->parts;
    x->client = client;
    x->arena = arena;
    x->has_head = has_head;
    x->route_index = SIZE_MAX;
    x->next = &gateway->open;
    x->previous = gateway->open.previous;
    x->previous->next = x;
    gateway->open.previous = x;
    client_set_owner(client, x);

    x->started_ns = exchange_now(x)->mono_ns;
    enter_epoch(x);
    choose_id(x);
    return x;
}

static void keep_or_free(struct gateway *gateway, struct exchange *x) {
    arena_reset(&x->arena);
    if (gateway->n_spare >= SPARE_MAX) {
        arena_fini(&x->arena);
        free(x);
        return;
    }
    x->next = gateway->spare;
    gateway->spare = x;
    gateway->n_spare++;
}

static void count(const struct exchange *x) {
    metrics_count_request(
        x->metrics, x->gateway->parts.worker,
        &(struct metrics_request){
            .route = x->route_index,
            .status = x->status,
            .problem = x->problem,
            .duration_ns =
                (x->tunnel ? x->upstream_head_ns : exchange_now(x)->mono_ns) - x->started_ns,
            .upstream_ns = x->upstream_head_ns ? x->upstream_head_ns - x->upstream_started_ns : -1,
            .bytes_in = x->tunnel ? 0 : client_bytes_received(x->client),
            .bytes_out = x->tunnel ? 0 : client_bytes_sent(x->client),
        });
}

void exchange_finish(struct exchange *x) {
    assert(x && x->client);
    access_log_write(x);
    count(x);
    if (x->call)
        upstream_finish(x->call);
    admission_leave(x);
    sockets_give(x);
    holds_give(x);
    records_leave(x);
    if (x->on_finish)
        x->on_finish(x);
    api_keys_leave(x);
    loop_timer_clear(x->parts->loop, &x->stream.timer);
    x->gateway->n_tunnels -= x->tunnel != NULL;
    free(x->tunnel);
    checks_leave(x);
    counting_cancel(x);
    claims_unref(x->caller.claims);
    client_set_owner(x->client, NULL);
    x->next->previous = x->previous;
    x->previous->next = x->next;
    epoch_release(x->epoch);
    keep_or_free(x->gateway, x);
}

void exchange_cut(struct exchange *x, const char *reason) {
    struct client *client = x->client;
    x->is_cut = true;
    x->reason = reason;
    exchange_finish(x);
    client_cut(client);
}

void exchange_free_spares(struct gateway *gateway) {
    while (gateway->spare) {
        struct exchange *x = gateway->spare;
        gateway->spare = x->next;
        arena_fini(&x->arena);
        free(x);
    }
}
