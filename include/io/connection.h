/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/endpoint.h"
#include "io/loop.h"
#include "io/tls.h"
#include <sys/uio.h>

/* A non-blocking byte stream: TCP or unix, plain or TLS (io/tls.h). One thread. Used by the
 * front towards clients, by the upstream client and by Redis.
 *
 * Readiness is edge-triggered: an owner reads and writes while can_read and can_write say so (or
 * leaves can_read set and comes back by itself: that is back-pressure); on_event comes when one
 * of them, peer_left or state has changed. A short read or write clears the flag without a
 * further system call. */

struct tls_server; /* io/tls_server.h */

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_CONNECTING,
    CONNECTION_HANDSHAKING,
    CONNECTION_OPEN,
    CONNECTION_FAILED
};

struct connection {
    struct loop *loop;
    struct watch watch;
    /* Something changed: look at state and can_*; from the loop only */
    void (*on_event)(struct connection *connection);
    enum connection_state state;
    bool can_read, can_write; /* worth trying */
    /* FIN, RST or error seen; what was received before can still be read */
    bool peer_left;
    int failure;              /* CONNECTION_FAILED: negative errno */
    const char *failure_text; /* constant: "connection refused", "certificate verify failed" ... */
    struct tls_stream *tls;   /* or NULL */
};

/* An accepted, non-blocking socket; takes the fd, also when it fails. `tls` may be NULL (plain:
 * OPEN at once, and the first event says whether something is there to read); else HANDSHAKING,
 * and an event says how that went. */
int connection_accept(struct connection *c, struct loop *loop, int fd, struct tls_server *tls,
                      void (*on_event)(struct connection *)) MUST_USE;
/* Starts connecting; on_event says how it went (also an immediate refusal comes as an event).
 * `tls` may be NULL (plain); `server_name` is the host that the certificate must name and the
 * SNI (no SNI for an address), borrowed for the call. -errno. */
int connection_connect(struct connection *c, struct loop *loop, const struct endpoint *to,
                       struct tls_client *tls, struct str server_name,
                       void (*on_event)(struct connection *)) MUST_USE;
/* > 0 bytes; 0: the peer has ended cleanly (TLS: close_notify); -EAGAIN: later; else broken
 * (-EPROTO for a TLS stream cut without close_notify). */
ssize_t connection_read(struct connection *c, void *at, size_t n) MUST_USE;
/* Bytes taken (possibly fewer), -EAGAIN, or broken. What was not taken must come first in the
 * next call. */
ssize_t connection_write(struct connection *c, const struct iovec *pieces, int n) MUST_USE;
void connection_end_write(struct connection *c); /* FIN (and close_notify): no more bytes from us */
/* Is an idle connection still good for reuse: nothing to read, no FIN? One non-blocking look. */
bool connection_is_quiet(struct connection *c);
void connection_close(struct connection *c); /* fine when closed; no more events */
/* Close with RST: the peer must not take what it has for complete */
void connection_reset(struct connection *c);
