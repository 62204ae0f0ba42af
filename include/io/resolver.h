/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/endpoint.h"
#include "io/loop.h"

/* Names to addresses off the loop: a thread of its own calls getaddrinfo (which knows hosts,
 * nsswitch, Fly's .internal) and keeps answers for 30 s (failures for 1 s; the last addresses
 * live on while the name service fails, or takes longer than 250 ms). One per process. Literal addresses need no thread. */
struct resolver;

#define RESOLVER_ENDPOINTS_MAX 8
struct resolved {
    /* 0, or a negative errno (-ENOENT: no such name, -EAGAIN: the name service failed) */
    int failure;
    size_t n;
    struct endpoint list[RESOLVER_ENDPOINTS_MAX]; /* in getaddrinfo's order (RFC 6724) */
};

struct resolver *resolver_new(void) MUST_USE; /* NULL, errno set; starts the thread */
/* Takes NULL; stops the thread (waits for no name service). After all lookups ended or were
 * cancelled and their loops run no more. */
void resolver_free(struct resolver *resolver);

/* Embedded in its owner; all zeros is idle. on_done comes on the loop's thread, never from
 * inside resolver_ask. */
struct lookup {
    void (*on_done)(struct lookup *lookup, const struct resolved *resolved);
    void *pending; /* this and the next are the resolver's */
    struct timer patience;
};
/* `host` (without brackets) is copied. -ENOMEM. */
int resolver_ask(struct resolver *resolver, struct loop *loop, struct lookup *lookup,
                 struct str host, uint16_t port,
                 void (*on_done)(struct lookup *, const struct resolved *)) MUST_USE;
void resolver_cancel(struct lookup *lookup); /* on the loop's thread; fine when idle */
