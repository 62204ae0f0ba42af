/* SPDX-License-Identifier: MIT */
#include "io/machines.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES 128
#define SEEN_MAX   100000
/* Until the first answer it is tried more often: the connection is still being made. */
#define FIRST_NS (100 * NS_PER_MS)

static const char body[] = "redis.call('ZADD', KEYS[1], now, ARGV[2])\n"
                           "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])\n"
                           "redis.call('PEXPIRE', KEYS[1], math.floor(ARGV[3] / 1000))\n"
                           "return redis.call('ZCARD', KEYS[1])\n";

struct machines {
    struct loop *loop;
    struct redis *redis;
    struct redis_script script;
    struct redis_call call;
    struct timer timer;
    char key[NAME_BYTES], name[NAME_BYTES];
    size_t n_seen;
};

static void on_heard(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct machines *machines = CONTAINER_OF(call, struct machines, call);
    if (verdict == REDIS_ANSWERED && reply->kind == REPLY_INTEGER && reply->integer >= 1 &&
        reply->integer <= SEEN_MAX)
        machines->n_seen = (size_t)reply->integer;
}

static void beat(struct timer *timer) {
    struct machines *machines = CONTAINER_OF(timer, struct machines, timer);
    char gone[24];
    struct str key = str_of(machines->key);
    snprintf(gone, sizeof(gone), "%lld", (long long)(MACHINES_GONE_NS / 1000));
    const struct str arguments[] = {str_of(machines->name), str_of(gone)};
    if (!machines->call.pending && redis_run(machines->redis, &machines->call, &machines->script,
                                             &key, 1, arguments, 2, on_heard) < 0)
        machines->call = (struct redis_call){0}; /* no memory: at the next beat */
    int64_t wait_ns = machines->n_seen > 0 ? MACHINES_BEAT_NS : FIRST_NS;
    loop_timer_set(machines->loop, timer, loop_now(machines->loop)->mono_ns + wait_ns, beat);
}

struct machines *machines_new(struct loop *loop, struct redis *redis, struct str prefix,
                              struct str name) {
    struct machines *machines = calloc(1, sizeof(*machines));
    if (!machines)
        return NULL;
    machines->loop = loop;
    machines->redis = redis;
    snprintf(machines->key, NAME_BYTES, STR_FMT "machines", STR_ARG(prefix));
    snprintf(machines->name, NAME_BYTES, STR_FMT, STR_ARG(name));
    if (redis_script_init(&machines->script, body) < 0) {
        machines_free(machines);
        return NULL;
    }
    beat(&machines->timer);
    return machines;
}

void machines_free(struct machines *machines) {
    if (!machines)
        return;
    loop_timer_clear(machines->loop, &machines->timer);
    redis_cancel(&machines->call);
    redis_script_fini(&machines->script);
    free(machines);
}

size_t machines_seen(const struct machines *machines) { return machines->n_seen; }
