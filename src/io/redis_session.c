/* SPDX-License-Identifier: MIT */
#include "io/redis_session.h"
#include "base/arena.h"
#include <stdio.h>
#include <stdlib.h>

#define LOOK_NS (5 * NS_PER_MS)

struct redis_session {
    struct loop *loop;
    struct resolver *resolver;
    struct redis *redis;
    int64_t patience_ns, until_ns;
    struct timer timer;
    struct arena arena; /* of the last reply */
    struct redis_call call;
    enum redis_verdict verdict;
    const struct redis_reply *reply;
};

/* ---- waiting until it is up */

static void on_look(struct timer *timer) {
    struct redis_session *session = CONTAINER_OF(timer, struct redis_session, timer);
    int64_t now_ns = loop_now(session->loop)->mono_ns;
    struct redis_stats stats = redis_stats(session->redis);
    if ((stats.n_servers > 0 && stats.n_up == stats.n_servers) || now_ns >= session->until_ns)
        loop_stop(session->loop);
    else
        loop_timer_set(session->loop, timer, now_ns + LOOK_NS, on_look);
}

static bool wait_until_up(struct redis_session *session) {
    session->until_ns = loop_now(session->loop)->mono_ns + session->patience_ns;
    on_look(&session->timer);
    loop_run(session->loop);
    return redis_is_up(session->redis, STR_NONE);
}

struct redis_session *redis_session_new(const struct redis_target *target, int64_t patience_ns,
                                        char why[160]) {
    struct redis_session *session = calloc(1, sizeof(*session));
    snprintf(why, 160, "out of memory");
    if (!session)
        return NULL;
    arena_init(&session->arena);
    session->patience_ns = patience_ns;
    session->loop = loop_new();
    session->resolver = resolver_new();
    if (session->loop && session->resolver)
        session->redis = redis_new(session->loop, session->resolver, target, patience_ns, why);
    if (!session->redis || !wait_until_up(session)) {
        if (session->redis)
            snprintf(why, 160, "Redis does not answer");
        redis_session_free(session);
        return NULL;
    }
    return session;
}

void redis_session_free(struct redis_session *session) {
    if (!session)
        return;
    redis_free(session->redis);
    resolver_free(session->resolver);
    loop_free(session->loop);
    arena_fini(&session->arena);
    free(session);
}

/* ---- calls */

static bool copy(struct arena *arena, const struct redis_reply *from, struct redis_reply *to) {
    *to = *from;
    to->text = arena_copy(arena, from->text);
    if (!to->text.at)
        return false;
    if (from->n == 0)
        return true;
    struct redis_reply *list = arena_alloc(arena, from->n * sizeof(*list));
    to->list = list;
    for (size_t i = 0; list && i < from->n; i++)
        if (!copy(arena, &from->list[i], &list[i]))
            return false;
    return list;
}

static void on_done(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct redis_session *session = CONTAINER_OF(call, struct redis_session, call);
    struct redis_reply *own = reply ? arena_alloc(&session->arena, sizeof(*own)) : NULL;
    session->verdict = verdict;
    session->reply = own;
    if (reply && (!own || !copy(&session->arena, reply, own))) {
        session->verdict = REDIS_LOST;
        session->reply = NULL;
    }
    loop_stop(session->loop);
}

static enum redis_verdict wait_for(struct redis_session *session, int failure,
                                   const struct redis_reply **reply) {
    *reply = NULL;
    if (failure < 0)
        return REDIS_OVERLOADED;
    loop_run(session->loop);
    *reply = session->reply;
    return session->verdict;
}

enum redis_verdict redis_session_call(struct redis_session *session, struct str key,
                                      const struct str *arguments, size_t n,
                                      const struct redis_reply **reply) {
    arena_reset(&session->arena);
    int failure = redis_call(session->redis, &session->call, key, arguments, n, on_done);
    return wait_for(session, failure, reply);
}

enum redis_verdict redis_session_run(struct redis_session *session,
                                     const struct redis_script *script, const struct str *keys,
                                     size_t n_keys, const struct str *arguments, size_t n,
                                     const struct redis_reply **reply) {
    arena_reset(&session->arena);
    int failure =
        redis_run(session->redis, &session->call, script, keys, n_keys, arguments, n, on_done);
    return wait_for(session, failure, reply);
}
