/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/channel.h"
#include "io/health.h"
#include "settings/settings.h"

/* The connections of one worker to its upstreams, by where they lead: those in use, and those
 * kept alive for the next call (last in, first out: the newest is the least likely to have been
 * closed meanwhile, and the others get old and go). Knows nothing of HTTP calls; io/upstream
 * puts them on lines. */

struct upstream_call;

/* Where lines lead. Lives on while it is held or has idle lines or there are few; compared by content, so that pools
 * outlive a reload of settings. */
struct site {
    struct site *next;
    struct lines *lines;
    bool is_tls;
    bool is_old;   /* the last answer was HTTP/1.0 */
    uint16_t port; /* 0: unix socket */
    struct str host;
    uint32_t n_held; /* by calls */
    uint32_t n_idle;
    struct line *newest, *oldest; /* idle */
    struct health health;         /* of its addresses */
    /* Calls: with a place, and waiting for one in this order (upstream_place.c). */
    uint32_t n_busy, n_waiting;
    struct upstream_call *first_waiting, *last_waiting;
};

struct line {
    struct channel channel; /* its connection's on_event is the user's while in use */
    struct site *site;
    struct endpoint endpoint;   /* that it was connected to */
    void *user;                 /* NULL: idle */
    struct line *newer, *older; /* idle */
    struct timer timer;         /* idle */
    int64_t idle_since_ns;
};

struct lines {
    struct loop *loop;
    uint32_t n_idle_max; /* per site */
    int64_t idle_ns;
    size_t n_idle, n_sites;
    struct site *sites;
};

void lines_init(struct lines *lines, struct loop *loop, uint32_t n_idle_max, int64_t idle_ns);
void lines_fini(struct lines *lines); /* closes the idle ones; no site may be held */

/* NULL when memory is out */
struct site *site_hold(struct lines *lines, const struct origin *origin) MUST_USE;
void site_release(struct site *site);

/* An idle line that still looks good, or NULL. Whoever may not send a request twice gets one
 * that was idle for less than a second. */
struct line *line_take(struct site *site, bool may_repeat) MUST_USE;
/* The idle ones that lead to this address of it are closed. */
void site_drop_idle(struct site *site, const struct endpoint *endpoint);
/* A line that is not connected yet. NULL when memory is out. */
struct line *site_new_line(struct site *site, const struct endpoint *endpoint) MUST_USE;
/* Kept for the next call, for at most `keep_ns`, unless its address is ejected. Its buffers must be empty. */
void line_keep(struct line *line, int64_t keep_ns);
/* Closed and freed; with RST when the peer must not take what it has for complete. */
void line_drop(struct line *line, bool with_reset);
