/* SPDX-License-Identifier: MIT */
#pragma once
/* What the upstream client's own files share: upstream_call.c (what owners call and hear),
 * upstream_place.c (whose turn it is), upstream_connect.c (to a line, and the request onto it), upstream_answer.c (the answer's
 * head), upstream_health.c (what it tells of the address), upstream_tunnel.c (what becomes of a call when that is 101). */
#include "base/stock.h"
#include "io/upstream.h"
#include "lines.h"

enum call_state {
    CALL_QUEUED,
    CALL_RESOLVING,
    CALL_CONNECTING,
    CALL_WAITING,
    CALL_ANSWERED,
    CALL_FAILED
};

struct upstream_pool {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct upstream_limits limits;
    struct upstream_events events;
    struct lines lines;
    struct upstream_stats stats;
    struct stock calls; /* 16 KiB each, more than malloc keeps at hand */
};

struct upstream_call {
    struct upstream_pool *pool;
    struct site *site;
    struct line *line; /* CONNECTING, WAITING, ANSWERED */
    void *owner;
    struct upstream_request request;
    enum call_state state;
    enum upstream_failure failure;
    struct upstream_call *before, *behind; /* QUEUED */
    bool has_place;
    const char *reason; /* of the failure, or why the body broke */
    struct upstream_timing timing;

    bool has_ended;   /* the owner has given the whole request */
    bool is_sent;     /* and the socket has taken it */
    bool cannot_send; /* the upstream takes no more; it may still answer */
    bool is_tunnel;   /* `addresses` and `head` are gone */
    bool owes_head, owes_failure, owes_continue, wants_body, wants_write; /* events */
    bool has_continued;
    uint32_t n_interim;
    uint64_t n_read_before; /* what the line had received when the call began */
    size_t n_parsed;        /* bytes of the head that the parser has seen */

    struct lookup lookup;
    size_t next_address;
    int64_t connect_by_ns;
    struct timer send_timer; /* connecting; a request that the upstream does not take */
    struct timer wait_timer; /* for the head; for the body */
    struct deferred deferred;
    struct buffer head_bytes; /* what `head` points into */

    /* Large, and not zeroed at the start. */
    struct resolved addresses;
    struct head head;
};
#define CALL_ZEROED_BYTES offsetof(struct upstream_call, addresses)

static inline int64_t call_now_ns(const struct upstream_call *call) {
    return loop_now(call->pool->loop)->mono_ns;
}

/* upstream_call.c */
/* Before an answer */
void call_fail(struct upstream_call *call, enum upstream_failure failure, const char *reason);
/* Within its body */
void call_break(struct upstream_call *call, const char *reason);
/* From the loop only: may raise an event, which may free the call */
void call_advance(struct upstream_call *call);
void call_advance_later(struct upstream_call *call); /* from anywhere */
void call_stop_timers(struct upstream_call *call);
void call_drop_line(struct upstream_call *call); /* with RST when the request was cut */

void call_go(struct upstream_call *call); /* on a kept line or a fresh one */

/* upstream_place.c */
void call_ask_for_place(struct upstream_call *call); /* then call_go: now, later or never */
void call_leave_place(struct upstream_call *call);   /* or the row; fine without either */

/* upstream_health.c: of the address that the call's line leads to */
void call_note_failure(struct upstream_call *call, const char *why);
void call_note_answer(struct upstream_call *call);

/* upstream_connect.c */
void call_connect(struct upstream_call *call); /* to a fresh line */
void call_reuse(struct upstream_call *call, struct line *line);
void call_look_at_connecting(struct upstream_call *call);
void call_continue(struct upstream_call *call); /* the owner may send the body */
void call_push(struct upstream_call *call);     /* hand what was written to the socket */

/* upstream_tunnel.c */
void call_end_tunnel(struct upstream_call *call); /* all was sent: FIN */

/* upstream_answer.c */
void call_read_head(struct upstream_call *call);
