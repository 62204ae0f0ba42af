/* SPDX-License-Identifier: MIT */
#pragma once
/* A client of Redis, and its calls, as tests see them. */
#include "base/log.h"
#include "io/redis.h"
#include "rig.h"
#include <stdio.h>

struct client {
    struct loop *loop;
    struct resolver *resolver;
    struct arena arena;
    struct redis_target target;
    struct redis *redis;
};

__attribute__((unused)) static void client_open(struct client *client, const char *url,
                                                const char *ca_file, int64_t timeout_ns) {
    const char *why = NULL;
    char said[160];
    *client = (struct client){.loop = loop_new(), .resolver = resolver_new()};
    arena_init(&client->arena);
    ck_assert_msg(redis_url_parse(str_of(url), &client->target, &client->arena, &why), "%s", why);
    client->target.ca_file = str_of(ca_file);
    client->redis = redis_new(client->loop, client->resolver, &client->target, timeout_ns, said);
    ck_assert_msg(client->redis != NULL, "%s", said);
}

__attribute__((unused)) static void client_close(struct client *client) {
    redis_free(client->redis);
    resolver_free(client->resolver);
    loop_free(client->loop);
    arena_fini(&client->arena);
}

/* A call and what came of it. */
struct asked {
    struct redis_call call;
    int n_ended;
    enum redis_verdict verdict;
    enum reply_kind kind;
    int64_t integer;
    char text[200];
    struct client *then; /* ask again from inside on_done */
    struct asked *again;
};

__attribute__((unused)) static void on_asked(struct redis_call *call, enum redis_verdict verdict,
                                             const struct redis_reply *reply) {
    struct asked *asked = CONTAINER_OF(call, struct asked, call);
    asked->n_ended++;
    asked->verdict = verdict;
    ck_assert_ptr_null(call->pending);
    ck_assert_int_eq(reply != NULL, verdict == REDIS_ANSWERED || verdict == REDIS_ERROR);
    if (reply) {
        asked->kind = reply->kind;
        asked->integer = reply->integer;
        snprintf(asked->text, sizeof(asked->text), STR_FMT, STR_ARG(reply->text));
    }
    if (asked->then) {
        const struct str ping[] = {STR("PING")};
        ck_assert_int_eq(
            redis_call(asked->then->redis, &asked->again->call, STR_NONE, ping, 1, on_asked), 0);
        ck_assert_int_eq(asked->again->n_ended, 0);
    }
}

/* Words apart by spaces; the second is the key. */
__attribute__((unused)) static void ask(struct client *client, struct asked *asked,
                                        const char *text) {
    struct str words[16], rest = str_of(text);
    size_t n = 0;
    while (n < 16 && rest.at && str_split(&rest, ' ', &words[n]))
        n++;
    asked->n_ended = 0;
    ck_assert_int_eq(
        redis_call(client->redis, &asked->call, n > 1 ? words[1] : STR_NONE, words, n, on_asked),
        0);
    ck_assert_int_eq(asked->n_ended, 0); /* never from inside */
}

__attribute__((unused)) static enum redis_verdict wait_for(struct client *client,
                                                           struct asked *asked) {
    RUN_UNTIL(client->loop, asked->n_ended == 1);
    return asked->verdict;
}

__attribute__((unused)) static enum redis_verdict answer(struct client *client, struct asked *asked,
                                                         const char *text) {
    ask(client, asked, text);
    return wait_for(client, asked);
}

__attribute__((unused)) static void run(struct client *client, struct asked *asked,
                                        const struct redis_script *script, const char *key,
                                        const char *argument) {
    const struct str keys[] = {str_of(key)}, arguments[] = {str_of(argument)};
    asked->n_ended = 0;
    ck_assert_int_eq(
        redis_run(client->redis, &asked->call, script, keys, 1, arguments, 1, on_asked), 0);
    ck_assert_int_eq(asked->n_ended, 0);
}

#define IS_UP(client) redis_is_up((client)->redis, STR_NONE)
