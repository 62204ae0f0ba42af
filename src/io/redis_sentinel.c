/* SPDX-License-Identifier: MIT */
/* Who is the master? Sentinels are asked while it is not up, and only then connected. */
#include "redis_client.h"
#include <stdlib.h>

#define AGAIN_NS (300 * NS_PER_MS)

struct redis_sentinels {
    struct redis *redis;
    struct line_rules rules;
    size_t n, next_asked;
    struct redis_line *lines[REDIS_ADDRESSES_MAX];
    struct redis_call call;
    struct timer timer;
    bool is_searching;
};

static void on_tick(struct timer *timer);
static void look_again(struct redis_sentinels *sentinels) {
    struct loop *loop = sentinels->redis->loop;
    loop_timer_set(loop, &sentinels->timer, loop_now(loop)->mono_ns + AGAIN_NS, on_tick);
}

/* [host, port]. That it is the master it must say itself, in the greeting. */
static void on_address(struct redis_call *call, enum redis_verdict verdict,
                       const struct redis_reply *reply) {
    struct redis_sentinels *sentinels = CONTAINER_OF(call, struct redis_sentinels, call);
    struct redis_line *server = sentinels->redis->server;
    uint64_t port;
    if (verdict != REDIS_ANSWERED && verdict != REDIS_ERROR)
        return;
    if (reply->kind == REPLY_NIL)
        line_tell_away(server, "the Sentinels do not know the service");
    else if (reply->kind != REPLY_ARRAY || reply->n != 2 ||
             !str_to_u64(reply->list[1].text, &port) || port == 0 || port > UINT16_MAX ||
             !line_point(server, reply->list[0].text, (uint16_t)port))
        line_tell_away(server, "the Sentinels do not tell who is the master");
    else
        line_want(server, true);
}

static void ask(struct redis_sentinels *sentinels, struct redis_line *line) {
    const struct str question[] = {STR("SENTINEL"), STR("get-master-addr-by-name"),
                                   sentinels->redis->target->service};
    if (sentinels->call.pending)
        return;
    if (redis_call_line(sentinels->redis, line, &sentinels->call, question, 3, on_address) < 0)
        return; /* no memory: at the next tick */
}

static void on_sentinel_change(struct redis_line *line) {
    struct redis_sentinels *sentinels = line->rules->redis->sentinels;
    if (sentinels->is_searching && line_is_up(line))
        ask(sentinels, line);
}

static void search(struct redis_sentinels *sentinels, bool is_searching) {
    if (sentinels->is_searching == is_searching)
        return;
    sentinels->is_searching = is_searching;
    for (size_t i = 0; i < sentinels->n; i++)
        line_want(sentinels->lines[i], is_searching);
    if (is_searching)
        look_again(sentinels);
    else
        loop_timer_clear(sentinels->redis->loop, &sentinels->timer);
}

static void on_tick(struct timer *timer) {
    struct redis_sentinels *sentinels = CONTAINER_OF(timer, struct redis_sentinels, timer);
    look_again(sentinels);
    for (size_t i = 0; i < sentinels->n; i++) {
        struct redis_line *line = sentinels->lines[sentinels->next_asked++ % sentinels->n];
        if (line_is_up(line)) {
            ask(sentinels, line);
            return;
        }
    }
}

void sentinels_master_changed(struct redis_sentinels *sentinels) {
    search(sentinels, !line_is_up(sentinels->redis->server));
}

/* Nor is there hope where they do not know the service. */
bool sentinels_are_lost(const struct redis_sentinels *sentinels, char why[REDIS_WHY_MAX]) {
    const struct redis_line *server = sentinels->redis->server;
    bool are_lost = !line_is_up(server);
    if (!server->host[0] && line_is_lost(server, why))
        return true;
    for (size_t i = 0; i < sentinels->n && are_lost; i++)
        are_lost = line_is_lost(sentinels->lines[i], why);
    return are_lost;
}

struct redis_sentinels *sentinels_new(struct redis *redis) {
    struct redis_sentinels *sentinels = calloc(1, sizeof(*sentinels));
    if (!sentinels)
        return NULL;
    sentinels->redis = redis;
    sentinels->rules = redis->rules;
    sentinels->rules.is_sentinel = true;
    sentinels->rules.must_be_master = false;
    sentinels->rules.db = 0;
    sentinels->rules.on_change = on_sentinel_change;
    for (; sentinels->n < redis->target->n; sentinels->n++) {
        const struct redis_address *address = &redis->target->addresses[sentinels->n];
        struct redis_line *line = line_new(&sentinels->rules);
        sentinels->lines[sentinels->n] = line;
        if (!line || !line_point(line, address->host, address->port)) {
            sentinels->n++;
            sentinels_free(sentinels);
            return NULL;
        }
    }
    search(sentinels, true);
    return sentinels;
}

void sentinels_free(struct redis_sentinels *sentinels) {
    if (!sentinels)
        return;
    loop_timer_clear(sentinels->redis->loop, &sentinels->timer);
    for (size_t i = 0; i < sentinels->n; i++)
        line_free(sentinels->lines[i]);
    free(sentinels);
}
