/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/head.h"
#include "io/connection.h"
#include "io/health.h"
#include "io/resolver.h"
#include "settings/settings.h"

/* The client side of HTTP/1.1: a pool of kept-alive connections per worker and origin. Bodies
 * stream both ways with back-pressure.
 *
 * Reuse: last in, first out; only after an answer that ended cleanly, with no bytes left over,
 * on a connection that both sides keep alive, looked at before reuse. A request is sent twice
 * only when it is idempotent and has no body, the connection was a reused one, and it closed
 * before one byte of the answer came; then once, on a fresh connection. A request that may not
 * be repeated takes a connection that was idle for less than a second, or a fresh one.
 *
 * A name's addresses are tried in turn, ejected ones (io/health.h) last; failures are a connect that is refused or late, TLS, a fresh
 * connection that ends before an answer, and no answer in time.
 *
 * No function here raises an event synchronously: events come from the loop. */
struct upstream_pool;
struct upstream_call;

struct upstream_limits {
    /* Kept per origin, default 1,024. The newest is taken first, so what is kept follows the most that were in use at once
     * during the last idle_ns; a lower limit makes a steady crowd connect anew all the time. */
    uint32_t n_idle;
    int64_t idle_ns; /* kept for; default 30 s, less when the upstream's Keep-Alive says less */
    /* Calls at once, per origin and worker; default 1,024. The next n_queued (1,024) wait in the order in which they came, for at most
     * queue_ns (1 s); beyond that a call fails OVERLOADED. */
    uint32_t n_open;
    struct head_limits head;
    uint32_t n_queued;
    int64_t queue_ns;
    struct health_rule health;
};
#define UPSTREAM_LIMITS_DEFAULT \
    ((struct upstream_limits){1024, 30 * NS_PER_S, 1024, HEAD_LIMITS_DEFAULT, 1024, NS_PER_S, \
                              HEALTH_RULE_DEFAULT})

/* clang-format off */
enum upstream_failure {
    UPSTREAM_UNREACHABLE, /* no such name, refused, no route, connect deadline, TLS        502 */
    UPSTREAM_BROKEN,      /* reset, closed early, malformed or too large an answer head     502 */
    UPSTREAM_TIMEOUT,     /* no head within first_byte, or no byte of the body within idle  504 */
    UPSTREAM_OVERLOADED,  /* n_open, and no place in the queue or none in time              503 */
};
/* clang-format on */

struct upstream_events {
    /* upstream_head; 1xx before it were skipped: 100 is on_continue, others (103) are dropped */
    void (*on_head)(void *owner, struct upstream_call *call);
    /* Once, for a request that expects it and before on_head: the upstream wants the body (100), or has said nothing for a second,
     * after which RFC 9110 10.1.1 has nobody wait: send it. An HTTP/1.0 upstream says nothing ever, and is not waited for. */
    void (*on_continue)(void *owner, struct upstream_call *call);
    /* After upstream_read_body said WAIT */
    void (*on_body)(void *owner, struct upstream_call *call);
    /* After upstream_write took less than given */
    void (*on_writable)(void *owner, struct upstream_call *call);
    /* Before on_head: nothing of the answer can be used. The owner still calls upstream_finish.
     * `reason` is a constant. */
    void (*on_failed)(void *owner, struct upstream_call *call, enum upstream_failure failure,
                      const char *reason);
};

struct upstream_request {
    struct str head;      /* whole, with its empty line; borrowed until upstream_finish */
    enum framing framing; /* NONE, LENGTH or CHUNKED */
    uint64_t body_bytes;
    bool is_idempotent;
    bool is_head_request;
    bool expects_continue;   /* `head` says Expect: 100-continue */
    bool asks_for_websocket; /* `head` does: then a 101 that says so too is an answer */
    int64_t connect_ns, first_byte_ns, idle_ns; /* first_byte counts from the request's end */
};

struct upstream_pool *upstream_pool_new(struct loop *loop, struct resolver *resolver,
                                        struct tls_client *tls,
                                        const struct upstream_limits *limits,
                                        const struct upstream_events *events) MUST_USE;
void upstream_pool_free(struct upstream_pool *pool); /* takes NULL; no call may be open */

/* Other limits, for what comes after; idle lines beyond them go in their own time. */
void upstream_pool_set_limits(struct upstream_pool *pool, const struct upstream_limits *limits);

/* NULL when memory is out. `origin` is borrowed for the call: lines are kept by what it says. */
struct upstream_call *upstream_start(struct upstream_pool *pool, const struct origin *origin,
                                     const struct upstream_request *request, void *owner) MUST_USE;
/* Request body; how much was taken */
size_t upstream_write(struct upstream_call *call, struct str data);
/* Of the request body; not for FRAMING_NONE */
void upstream_end(struct upstream_call *call);

/* After on_head, until upstream_finish */
const struct head *upstream_head(const struct upstream_call *call);
/* Of the answer to this request */
enum framing upstream_framing(const struct upstream_call *call);
uint64_t upstream_body_bytes(const struct upstream_call *call); /* FRAMING_LENGTH */
/* A 101 to a request that asked for a WebSocket: what follows is no HTTP. Then both directions are bodies until the close:
 * upstream_read_body reads on behind the head (END: the upstream's end of writing), upstream_write sends, upstream_end is our end
 * of writing (FIN follows the last byte; on_writable comes once more when upstream_has_sent). No time limit; it does not
 * count for n_open; upstream_finish closes the connection, with RST unless our end was sent. The call comes back smaller and elsewhere: upstream_head
 * is gone. -ENOMEM, and then all is as it was. */
bool upstream_is_websocket(const struct upstream_call *call);
int upstream_start_tunnel(struct upstream_call **call) MUST_USE;
bool upstream_has_sent(const struct upstream_call *call);

enum upstream_body {
    UPSTREAM_BODY_DATA,
    UPSTREAM_BODY_WAIT,
    UPSTREAM_BODY_END,
    UPSTREAM_BODY_BROKEN
};
enum upstream_body upstream_read_body(struct upstream_call *call, struct str *data) MUST_USE;
void upstream_consume_body(struct upstream_call *call, size_t n);
const char *upstream_reason(const struct upstream_call *call); /* why the body broke; constant */
/* In on_head: has the upstream gone already, and left a body that is not whole? Then why; else NULL. */
const char *upstream_foresee_break(struct upstream_call *call);

struct upstream_timing {
    bool reused;
    int64_t connected_ns, head_ns; /* monotonic; 0: not reached */
};
struct upstream_timing upstream_timing(const struct upstream_call *call);

/* Once for each call, whatever happened: back to the pool when clean, else closed at once. */
void upstream_finish(struct upstream_call *call);

struct upstream_stats {
    size_t n_idle, n_open, n_queued;
    size_t n_ejected; /* addresses, now */
    uint64_t n_connects, n_reuses, n_retries, n_ejections;
    uint64_t n_overloads; /* calls that got no place */
};
struct upstream_stats upstream_pool_stats(const struct upstream_pool *pool);
