/* SPDX-License-Identifier: MIT */
/* A server's states: connecting, greeting, and the breaker. */
#include "redis_line.h"
#include "base/hash.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_NS       (2 * NS_PER_S) /* to an address; and then for the greeting */
#define BEAT_NS          (1 * NS_PER_S) /* between two probes of a line that is up */
#define PATIENCE_NS      (1 * NS_PER_S) /* with a line that is silent */
#define BACK_OFF_NS      (50 * NS_PER_MS)
#define BACK_OFF_DOUBLED 5 /* times: at most 1.6 s */
#define BACK_OFF_NS_MOST (1 * NS_PER_S)

static int64_t now_ns(const struct redis_line *line) {
    return loop_now(line->rules->loop)->mono_ns;
}

static void on_timer(struct timer *timer);
static void set_timer(struct redis_line *line, int64_t in_ns) {
    loop_timer_set(line->rules->loop, &line->timer, now_ns(line) + in_ns, on_timer);
}

/* ---- the log: one line a change */

struct place {
    char text[LINE_HOST_MAX + 8];
};

static struct place place_of(const struct redis_line *line) {
    struct place place;
    snprintf(place.text, sizeof(place.text), line->port ? "%s:%u" : "%s",
             line->host[0] ? line->host : "unknown", (unsigned)line->port);
    return place;
}

static const char *kind_of(const struct redis_line *line) {
    return line->rules->is_sentinel ? "sentinel" : "redis";
}

void line_tell_away(struct redis_line *line, const char *reason) {
    snprintf(line->why, sizeof(line->why), "%s", reason);
    if (line->told_away[0])
        return;
    struct place place = place_of(line);
    line->away_since_ns = now_ns(line);
    snprintf(line->told_away, sizeof(line->told_away), "%s %s", kind_of(line), place.text);
    if (log_begins(str_of(line->told_away)))
        log_warn("Redis is away", F_TEXT("kind", kind_of(line)), F_TEXT("server", place.text),
                 F_TEXT("reason", reason));
}

bool line_is_lost(const struct redis_line *line, char why[REDIS_WHY_MAX]) {
    if (line_is_up(line) || !line->why[0])
        return false;
    struct place place = place_of(line);
    snprintf(why, REDIS_WHY_MAX, "%s: %s", place.text, line->why);
    return true;
}

/* Was it away, and is it so for nobody any more? */
static bool ends_away(struct redis_line *line) {
    bool was_away = line->told_away[0], is_last = was_away && log_ends(str_of(line->told_away));
    line->told_away[0] = '\0';
    return is_last;
}

static void tell_back(struct redis_line *line) {
    if (!ends_away(line))
        return;
    struct place place = place_of(line);
    log_info("Redis is back", F_TEXT("kind", kind_of(line)), F_TEXT("server", place.text));
}

/* What was told away and is not asked any more would stay so for ever. */
static void tell_gone(struct redis_line *line) {
    if (!ends_away(line))
        return;
    struct place place = place_of(line);
    log_info("Redis is not needed there", F_TEXT("kind", kind_of(line)),
             F_TEXT("server", place.text));
}

void line_look(const struct redis_line *line, struct redis_sight *sight) {
    sight->n_servers++;
    sight->n_up += line_is_up(line) && !line->told_away[0];
    if (!line->told_away[0] ||
        (sight->away_since_ns > 0 && sight->away_since_ns <= line->away_since_ns))
        return;
    sight->away_since_ns = line->away_since_ns;
    snprintf(sight->server, sizeof(sight->server), "%.*s", (int)sizeof(sight->server) - 1,
             place_of(line).text);
    snprintf(sight->reason, sizeof(sight->reason), "%s", line->why);
}

/* ---- down */

static void shut(struct redis_line *line) {
    struct loop *loop = line->rules->loop;
    loop_timer_clear(loop, &line->timer);
    loop_defer_cancel(loop, &line->departure);
    resolver_cancel(&line->lookup);
    connection_close(&line->connection);
    buffer_clear(&line->out);
    line->state = LINE_DOWN;
    line->clock_us = 0;
}

/* From half of what doubles with each failure to all of it: many who lost the same server do not
 * come back as one. */
static int64_t back_off_ns(const struct redis_line *line) {
    uint32_t dice;
    unsigned doubled = line->n_failures < BACK_OFF_DOUBLED ? line->n_failures : BACK_OFF_DOUBLED;
    int64_t most = BACK_OFF_NS << doubled;
    random_bytes(&dice, sizeof(dice));
    if (most > BACK_OFF_NS_MOST)
        most = BACK_OFF_NS_MOST;
    return most / 2 + (int64_t)(dice % (uint64_t)(most / 2));
}

void line_trouble(struct redis_line *line, enum redis_verdict verdict, const char *reason) {
    if (line->state == LINE_UP)
        line->rules->stats->openings++;
    shut(line);
    line_tell_away(line, reason);
    if (line->is_wanted)
        set_timer(line, back_off_ns(line));
    line->n_failures++;
    pipeline_fail(line, verdict);
    line->rules->on_change(line);
}

/* ---- up, and silent */

/* The connection is kept, for it may only be slow: the probe, which is behind everything that was
 * asked, tells. */
void line_fall_silent(struct redis_line *line) {
    assert(line->state == LINE_UP);
    line->state = LINE_SILENT;
    line->rules->stats->openings++;
    line_tell_away(line, "no reply in time");
    set_timer(line, PATIENCE_NS);
    if (line->n_probes == 0 && pipeline_probe(line) < 0) {
        line_trouble(line, REDIS_LOST, "out of memory");
        return;
    }
    pipeline_turn_away(line);
    line->rules->on_change(line);
}

/* Redis may refuse to write and still greet and answer what only reads: then it is back when it
 * runs a script, or has done without trouble for a beat. Until then the back-off goes on growing,
 * and the log says nothing. */
void line_serves(struct redis_line *line) {
    line->n_failures = 0;
    if (line->state == LINE_UP)
        tell_back(line);
}

void line_come_to_life(struct redis_line *line) {
    enum line_state state = line->state;
    set_timer(line, BEAT_NS);
    if (state == LINE_UP) {
        line_serves(line);
        return;
    }
    line->state = LINE_UP;
    if (state == LINE_SILENT)
        tell_back(line);
    else
        line->rules->stats->connects++;
    line->rules->on_change(line);
}

void line_probe(struct redis_line *line) {
    if (line->state != LINE_UP || line->n_probes > 0)
        return;
    if (pipeline_probe(line) < 0)
        line_trouble(line, REDIS_LOST, "out of memory");
    else
        set_timer(line, line->rules->timeout_ns);
}

/* ---- connecting */

static void greet(struct redis_line *line) {
    line->state = LINE_GREETING;
    redis_decoder_free(line->decoder);
    line->decoder = redis_decoder_new(line->rules->reply_bytes_max);
    set_timer(line, CONNECT_NS);
    if (!line->decoder || pipeline_greet(line) < 0)
        line_trouble(line, REDIS_LOST, "out of memory");
    else
        pipeline_event(line);
}

static void try_next_address(struct redis_line *line, const char *why);

static void on_event(struct connection *connection) {
    struct redis_line *line = CONTAINER_OF(connection, struct redis_line, connection);
    if (line->state != LINE_CONNECTING)
        pipeline_event(line);
    else if (connection->state == CONNECTION_FAILED)
        try_next_address(line, connection->failure_text);
    else if (connection->state == CONNECTION_OPEN)
        greet(line);
}

static void try_next_address(struct redis_line *line, const char *why) {
    connection_close(&line->connection);
    while (line->next_address < line->addresses.n) {
        const struct endpoint *to = &line->addresses.list[line->next_address++];
        set_timer(line, CONNECT_NS);
        if (connection_connect(&line->connection, line->rules->loop, to,
                               line->port ? line->rules->tls : NULL, str_of(line->host),
                               on_event) == 0)
            return;
        why = "no socket to connect with";
    }
    line_trouble(line, REDIS_LOST, why);
}

static void on_resolved(struct lookup *lookup, const struct resolved *resolved) {
    struct redis_line *line = CONTAINER_OF(lookup, struct redis_line, lookup);
    line->addresses = *resolved;
    try_next_address(line, resolved->failure == -ENOENT ? "no such host name"
                                                        : "the name service failed");
}

static void start(struct redis_line *line) {
    line->state = LINE_CONNECTING;
    line->next_address = 0;
    line->addresses.n = 0;
    set_timer(line, CONNECT_NS);
    if (line->port == 0) {
        line->addresses.n = endpoint_unix(str_of(line->host), &line->addresses.list[0]);
        try_next_address(line, "the socket's path is too long");
    } else if (resolver_ask(line->rules->resolver, line->rules->loop, &line->lookup,
                            str_of(line->host), line->port, on_resolved) < 0) {
        line_trouble(line, REDIS_LOST, "out of memory");
    }
}

static void on_timer(struct timer *timer) {
    struct redis_line *line = CONTAINER_OF(timer, struct redis_line, timer);
    switch (line->state) {
    case LINE_DOWN:
        start(line);
        break;
    case LINE_CONNECTING:
        resolver_cancel(&line->lookup);
        try_next_address(line, "no connection in time");
        break;
    case LINE_GREETING:
        line_trouble(line, REDIS_LATE, "no answer to the greeting in time");
        break;
    case LINE_UP:
        if (line->n_probes > 0)
            line_fall_silent(line);
        else
            line_probe(line);
        break;
    case LINE_SILENT:
        line_trouble(line, REDIS_LATE, "no reply for a second");
        break;
    }
}

/* ---- life */

struct redis_line *line_new(const struct line_rules *rules) {
    struct redis_line *line = calloc(1, sizeof(*line));
    if (line)
        line->rules = rules;
    return line;
}

void line_free(struct redis_line *line) {
    if (!line)
        return;
    (void)ends_away(line);
    shut(line);
    redis_decoder_free(line->decoder);
    buffer_release(&line->out);
    free(line);
}

static void give_up(struct redis_line *line) {
    shut(line);
    line->n_failures = 0;
    pipeline_fail(line, REDIS_LOST);
}

bool line_point(struct redis_line *line, struct str host, uint16_t port) {
    if (host.n == 0 || host.n >= LINE_HOST_MAX || memchr(host.at, 0, host.n))
        return false;
    if (port == line->port && str_eq(host, str_of(line->host)))
        return true;
    give_up(line);
    line->why[0] = '\0';
    memcpy(line->host, host.at, host.n);
    line->host[host.n] = '\0';
    line->port = port;
    if (line->is_wanted)
        set_timer(line, 0);
    return true;
}

void line_want(struct redis_line *line, bool is_wanted) {
    if (line->is_wanted == is_wanted)
        return;
    line->is_wanted = is_wanted;
    line->why[0] = '\0';
    if (!is_wanted) {
        give_up(line);
        tell_gone(line);
    } else if (line->host[0]) {
        set_timer(line, 0);
    }
}
