/* SPDX-License-Identifier: MIT */
/* A loop that runs only while somebody waits. Nobody is served meanwhile, so a command has more patience than a request. */
#include "asking.h"

#include <stdio.h>

#define PATIENCE_NS (5 * NS_PER_S)
#define CALL_NS     (2 * NS_PER_S)
#define TICK_NS     (10 * NS_PER_MS)

static void complain(struct asking *asking, const char *what) {
    if (asking->is_answered)
        fprintf(stderr, "jotgate %s: %s\n", asking->command, what);
    asking->is_answered = false;
}

bool asking_open(struct asking *asking, const char *command, const struct settings *settings) {
    const struct redis_settings *redis = &settings->redis;
    char why[160] = "out of memory";
    *asking = (struct asking){.command = command, .is_answered = true};
    if (redis->url.n == 0) {
        complain(asking, "needs Redis: set REDIS_URL, or redis.url in the settings");
        return false;
    }
    asking->loop = loop_new();
    asking->resolver = resolver_new();
    if (asking->loop && asking->resolver)
        asking->redis = redis_new(asking->loop, asking->resolver, &redis->target, CALL_NS, why);
    if (!asking->redis)
        complain(asking, why);
    return asking->redis;
}

void asking_close(struct asking *asking) {
    redis_free(asking->redis);
    if (asking->loop)
        loop_timer_clear(asking->loop, &asking->tick);
    resolver_free(asking->resolver);
    loop_free(asking->loop);
}

/* ---- waiting ---- */

static void on_tick(struct timer *timer) {
    loop_stop(CONTAINER_OF(timer, struct asking, tick)->loop);
}

/* A failover takes a while; where nobody can be reached there is nothing to wait for. */
static void check_hope(struct asking *asking, int64_t due_ns) {
    char why[REDIS_WHY_MAX], what[REDIS_WHY_MAX + 40];
    if (redis_is_lost(asking->redis, why)) {
        snprintf(what, sizeof(what), "Redis does not answer: %s", why);
        complain(asking, what);
    } else if (loop_now(asking->loop)->mono_ns > due_ns) {
        complain(asking, "Redis does not answer");
    }
}

static bool wait_for_redis(struct asking *asking, struct str key) {
    int64_t due_ns = loop_now(asking->loop)->mono_ns + PATIENCE_NS;
    while (asking->is_answered && !redis_is_up(asking->redis, key)) {
        loop_timer_set(asking->loop, &asking->tick, loop_now(asking->loop)->mono_ns + TICK_NS,
                       on_tick);
        loop_run(asking->loop);
        check_hope(asking, due_ns);
    }
    return asking->is_answered;
}

bool asking_wait(struct asking *asking) {
    while (asking->n_open > 0)
        loop_run(asking->loop);
    return asking->is_answered;
}

/* ---- asking ---- */

static void on_done(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct answer *answer = CONTAINER_OF(call, struct answer, call);
    struct asking *asking = answer->asking;
    char what[200];
    if (verdict == REDIS_ERROR)
        snprintf(what, sizeof(what), "Redis says: " STR_FMT, STR_ARG(str_first(reply->text, 150)));
    else
        snprintf(what, sizeof(what), "Redis does not answer (%s)", redis_verdict_name(verdict));
    if (verdict != REDIS_ANSWERED)
        complain(asking, what);
    else if (answer->take)
        answer->take(answer, reply);
    if (--asking->n_open == 0)
        loop_stop(asking->loop);
}

static void expect(struct asking *asking, int failure) {
    if (failure < 0)
        complain(asking, "out of memory");
    else
        asking->n_open++;
}

void asking_ask(struct asking *asking, struct answer *answer, struct str key,
                const struct str *arguments, size_t n,
                void (*take)(struct answer *answer, const struct redis_reply *reply)) {
    answer->asking = asking;
    answer->take = take;
    if (wait_for_redis(asking, key))
        expect(asking, redis_call(asking->redis, &answer->call, key, arguments, n, on_done));
}

void asking_tell(struct asking *asking, struct answer *answer, const struct feed_log *log,
                 enum feed_event event, struct str of) {
    answer->asking = asking;
    answer->take = NULL;
    if (wait_for_redis(asking, str_of(log->log_key)))
        expect(asking, feed_log_tell(log, asking->redis, &answer->call, event, of, on_done));
}
