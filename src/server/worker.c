/* SPDX-License-Identifier: MIT */
/* A worker's thread runs its loop and nothing else. Others speak to it by mail. */
#include "server/worker.h"

#include "crash.h"
#include "io/connection.h"
#include "io/feed.h"
#include "io/roll.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FINISH_LOOK_NS (10 * NS_PER_MS)
#define BEAT_NS        NS_PER_S

struct worker {
    struct loop *loop;
    struct tls_client *tls;
    struct gateway *gateway;
    struct key_source *keys;
    struct timer finish_timer, beat_timer;
    struct roll_member member;
    pthread_t thread;
    bool is_started;
    char name[16];
    _Atomic(struct epoch *) next; /* other settings that it has not taken on yet */
    atomic_uint n_beats;
    atomic_bool may_end;
    atomic_bool has_ended;
};

static void on_keyring(void *arg, struct keyring *ring) {
    struct worker *worker = arg;
    gateway_set_keyring(worker->gateway, ring);
}

static void on_news(void *arg, struct news *news) {
    struct worker *worker = arg;
    gateway_set_news(worker->gateway, news);
}

static void show(struct roll_member *member) {
    gateway_show(CONTAINER_OF(member, struct worker, member)->gateway);
}

static void take_on(void *arg) {
    struct worker *worker = arg;
    struct epoch *epoch = atomic_exchange(&worker->next, NULL);
    if (!epoch)
        return;
    struct keyring *ring = key_source_ring(worker->keys);
    gateway_change(worker->gateway, epoch, ring);
    keyring_unref(ring);
}

/* Mail that could not be posted is found at the next beat. */
void worker_change(struct worker *worker, struct epoch *epoch) {
    epoch_free(atomic_exchange(&worker->next, epoch));
    (void)!loop_post(worker->loop, take_on, worker);
}

static void beat(struct timer *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, beat_timer);
    atomic_fetch_add_explicit(&worker->n_beats, 1, memory_order_relaxed);
    take_on(worker);
    loop_timer_set(worker->loop, timer, loop_now(worker->loop)->mono_ns + BEAT_NS, beat);
}

unsigned worker_beats(const struct worker *worker) {
    return atomic_load_explicit(&worker->n_beats, memory_order_relaxed);
}

static struct worker *fail(struct worker *worker, char why[160], const char *what) {
    if (what)
        snprintf(why, 160, "%s: %s", what, strerror(errno));
    worker_free(worker);
    return NULL;
}

struct worker *worker_new(const struct gateway_parts *parts, size_t index, int listen_fd,
                          char why[160]) {
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        close(listen_fd);
        return fail(NULL, why, "a worker");
    }
    struct gateway_parts own = *parts;
    own.loop = worker->loop = loop_new();
    if (!worker->loop) {
        close(listen_fd);
        return fail(worker, why, "an event loop");
    }
    own.tls = worker->tls = tls_client_new(why);
    if (!worker->tls) {
        close(listen_fd);
        return fail(worker, why, NULL);
    }
    own.worker = index;
    worker->keys = parts->keys;
    snprintf(worker->name, sizeof(worker->name), "worker-%zu", index);
    worker->gateway = gateway_new(&own);
    if (!worker->gateway) {
        close(listen_fd);
        return fail(worker, why, "a gateway");
    }
    int failure = gateway_listen(worker->gateway, listen_fd);
    if (failure == 0)
        failure = key_source_subscribe(parts->keys, worker->loop, on_keyring, worker);
    if (failure == 0 && parts->feed)
        failure = feed_subscribe(parts->feed, worker->loop, on_news, worker);
    if (failure == 0 && parts->roll)
        roll_join(parts->roll, &worker->member, worker->loop, show);
    if (failure == 0)
        return worker;
    errno = -failure;
    return fail(worker, why, "the public listener");
}

static void *live(void *arg) {
    struct worker *worker = arg;
    crash_name_thread(worker->name);
    beat(&worker->beat_timer);
    loop_run(worker->loop);
    assert(atomic_load(&worker->may_end)); /* a gateway with a worker less serves only some */
    gateway_show(worker->gateway);
    roll_leave(&worker->member);
    atomic_store(&worker->has_ended, true);
    return NULL;
}

int worker_start(struct worker *worker) {
    int failure = pthread_create(&worker->thread, NULL, live, worker);
    worker->is_started = failure == 0;
    return -failure;
}

static void drain(void *arg) {
    struct worker *worker = arg;
    gateway_drain(worker->gateway);
}

static void turn_away(void *arg) {
    struct worker *worker = arg;
    gateway_turn_away(worker->gateway);
}

static void end(struct worker *worker) {
    atomic_store(&worker->may_end, true);
    loop_stop(worker->loop);
}

/* The last answer's bytes may still lie in the socket's buffer; closing does not lose them. */
static void look_whether_finished(struct timer *timer) {
    struct worker *worker = CONTAINER_OF(timer, struct worker, finish_timer);
    if (gateway_count_requests(worker->gateway) == 0 &&
        gateway_count_connections(worker->gateway) == 0) {
        end(worker);
        return;
    }
    loop_timer_set(worker->loop, timer, loop_now(worker->loop)->mono_ns + FINISH_LOOK_NS,
                   look_whether_finished);
}

static void finish(void *arg) {
    struct worker *worker = arg;
    gateway_stop_listening(worker->gateway);
    look_whether_finished(&worker->finish_timer);
}

/* Mail that cannot be posted leaves the worker to worker_stop at the drain's deadline. */
void worker_drain(struct worker *worker) {
    if (loop_post(worker->loop, drain, worker) < 0)
        return;
}

void worker_turn_away(struct worker *worker) {
    if (loop_post(worker->loop, turn_away, worker) < 0)
        return;
}

void worker_finish(struct worker *worker) {
    if (loop_post(worker->loop, finish, worker) < 0)
        end(worker);
}

void worker_stop(struct worker *worker) { end(worker); }

bool worker_has_ended(const struct worker *worker) { return atomic_load(&worker->has_ended); }

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    if (worker->is_started) {
        end(worker);
        pthread_join(worker->thread, NULL);
    }
    roll_leave(&worker->member);
    if (worker->loop) {
        loop_timer_clear(worker->loop, &worker->finish_timer);
        loop_timer_clear(worker->loop, &worker->beat_timer);
    }
    epoch_free(atomic_load(&worker->next));
    gateway_free(worker->gateway);
    tls_client_free(worker->tls);
    loop_free(worker->loop);
    free(worker);
}
