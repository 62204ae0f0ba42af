/* SPDX-License-Identifier: MIT */
/* Lines to upstreams, kept alive. An idle line stays registered with the loop: an upstream that
 * closes it, or speaks out of turn, is an event, and the line goes before anybody takes it. What
 * the loop has not told yet is looked at when a line is taken. */
#include "lines.h"
#include <assert.h>
#include <stdlib.h>

#define FRESH_NS   NS_PER_S /* idle for less: good for requests that may not be repeated */
#define SITES_KEPT 64       /* with what was learnt of them; they come from the settings */
#define NO_LOOK_NS \
    (10 * NS_PER_MS) /* idle for less: a repeatable request takes it without a look */

void lines_init(struct lines *lines, struct loop *loop, uint32_t n_idle_max, int64_t idle_ns) {
    *lines = (struct lines){.loop = loop, .n_idle_max = n_idle_max, .idle_ns = idle_ns};
}

/* ---- sites */

static bool leads_there(const struct site *site, const struct origin *origin) {
    return site->port == origin->port && site->is_tls == origin->is_tls &&
           str_eq(site->host, origin->host);
}

struct site *site_hold(struct lines *lines, const struct origin *origin) {
    for (struct site *site = lines->sites; site; site = site->next)
        if (leads_there(site, origin)) {
            site->n_held++;
            return site;
        }
    struct site *site = malloc(sizeof(*site) + origin->host.n);
    if (!site)
        return NULL;
    char *host = (char *)(site + 1);
    memcpy(host, origin->host.at, origin->host.n);
    *site = (struct site){.next = lines->sites,
                          .lines = lines,
                          .is_tls = origin->is_tls,
                          .port = origin->port,
                          .host = {host, origin->host.n},
                          .n_held = 1};
    lines->sites = site;
    lines->n_sites++;
    return site;
}

static void free_unused(struct site *site) {
    if (site->n_held > 0 || site->n_idle > 0 || site->lines->n_sites <= SITES_KEPT)
        return;
    struct site **link = &site->lines->sites;
    while (*link != site)
        link = &(*link)->next;
    *link = site->next;
    site->lines->n_sites--;
    free(site);
}

void site_release(struct site *site) {
    assert(site->n_held > 0);
    site->n_held--;
    free_unused(site);
}

/* ---- idle lines */

static void leave_idle(struct site *site, struct line *line) {
    assert(line->site == site && !line->user && site->n_idle > 0);
    assert((line->newer == NULL) == (site->newest == line));
    assert((line->older == NULL) == (site->oldest == line));
    if (line->newer)
        line->newer->older = line->older;
    else
        site->newest = line->older;
    if (line->older)
        line->older->newer = line->newer;
    else
        site->oldest = line->newer;
    line->newer = line->older = NULL;
    loop_timer_clear(site->lines->loop, &line->timer);
    site->n_idle--;
    site->lines->n_idle--;
}

static void discard(struct site *site, struct line *line) {
    leave_idle(site, line);
    line_drop(line, false);
    free_unused(site);
}

static void on_idle_event(struct connection *connection) {
    struct line *line = CONTAINER_OF(connection, struct line, channel.connection);
    if (!connection_is_quiet(connection)) /* TLS has things to say that are no data */
        discard(line->site, line);
}

static void on_idle_timer(struct timer *timer) {
    struct line *line = CONTAINER_OF(timer, struct line, timer);
    discard(line->site, line);
}

static bool is_good(struct line *line, int64_t idle_ns, bool may_repeat) {
    const struct connection *connection = &line->channel.connection;
    if (may_repeat && idle_ns < NO_LOOK_NS)
        return connection->state == CONNECTION_OPEN && !connection->peer_left &&
               !connection->can_read;
    return connection_is_quiet(&line->channel.connection);
}

struct line *line_take(struct site *site, bool may_repeat) {
    assert(site->n_held > 0);
    while (site->newest) {
        struct line *line = site->newest;
        int64_t idle_ns = loop_now(site->lines->loop)->mono_ns - line->idle_since_ns;
        if (!may_repeat && idle_ns >= FRESH_NS)
            return NULL; /* and all the others are older */
        if (is_good(line, idle_ns, may_repeat)) {
            leave_idle(site, line);
            return line;
        }
        discard(site, line);
    }
    return NULL;
}

void site_drop_idle(struct site *site, const struct endpoint *endpoint) {
    assert(site->n_held > 0);
    for (struct line *line = site->newest, *older; line; line = older) {
        older = line->older;
        if (endpoint_eq(&line->endpoint, endpoint))
            discard(site, line);
    }
}

void line_keep(struct line *line, int64_t keep_ns) {
    struct site *site = line->site;
    struct lines *lines = site->lines;
    assert(site->n_held > 0 && line->channel.connection.state == CONNECTION_OPEN);
    assert(buffer_length(&line->channel.in) == 0 && buffer_length(&line->channel.out) == 0);
    if (lines->n_idle_max == 0 || keep_ns <= 0 ||
        health_is_ejected(&site->health, &line->endpoint, loop_now(lines->loop)->mono_ns)) {
        line_drop(line, false);
        return;
    }
    while (site->n_idle >= lines->n_idle_max) /* more than one when the limit has become less */
        discard(site, site->oldest);
    buffer_release(&line->channel.in);
    buffer_release(&line->channel.out);
    line->user = NULL;
    line->channel.connection.on_event = on_idle_event;
    line->idle_since_ns = loop_now(lines->loop)->mono_ns;
    line->older = site->newest;
    *(site->newest ? &site->newest->newer : &site->oldest) = line;
    site->newest = line;
    site->n_idle++;
    lines->n_idle++;
    keep_ns = keep_ns < lines->idle_ns ? keep_ns : lines->idle_ns;
    loop_timer_set(lines->loop, &line->timer, line->idle_since_ns + keep_ns, on_idle_timer);
}

/* ---- life */

struct line *site_new_line(struct site *site, const struct endpoint *endpoint) {
    struct line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->site = site;
    line->endpoint = *endpoint;
    channel_init(&line->channel, site->lines->loop);
    return line;
}

void line_drop(struct line *line, bool with_reset) {
    if (with_reset)
        connection_reset(&line->channel.connection);
    channel_fini(&line->channel);
    free(line);
}

void lines_fini(struct lines *lines) {
    for (struct site *site = lines->sites, *next; site; site = next) {
        next = site->next;
        assert(site->n_held == 0);
        site->n_held++; /* stays until its last line is gone */
        while (site->newest)
            discard(site, site->newest);
        free(site);
    }
    assert(lines->n_idle == 0);
}
