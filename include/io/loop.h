/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/clock.h"
#include "base/result.h"
#include "io/wheel.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One thread's event loop: epoll (edge-triggered), a timer wheel, deferred calls, and a mailbox
 * that other threads may post to. One turn: wait, read the clocks, events and mail, timers that
 * are due, deferred calls. (Events before timers: what came in time counts as in time, also when
 * we were held up.) Everything but loop_post and loop_stop belongs to the loop's thread. */
struct loop;
struct stock;

struct loop *loop_new(void) MUST_USE; /* NULL, errno set */
void loop_free(struct loop *loop);    /* takes NULL; nothing may be watched any more */
/* Until loop_stop (one that came before counts). May be called again. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* from any thread */
/* The clocks as they were read at this turn's start. */
const struct now *loop_now(const struct loop *loop);

/* Room for one read of whoever is being called: what stays is copied out, into as much memory as it needs. */
#define LOOP_SCRATCH_BYTES (16 * 1024)
char *loop_scratch(struct loop *loop);
/* Memory of what waits in connections (a buffer's stock), given back as soon as nothing does. */
struct stock *loop_pieces(struct loop *loop);

/* A file descriptor's readiness. Embedded in its owner. Registered once for everything (EPOLLIN
 * | EPOLLOUT | EPOLLRDHUP | EPOLLET), or level-triggered for reading only (listeners). After
 * loop_unwatch no call comes any more, also not from the current turn. */
struct watch {
    void (*on_ready)(struct watch *watch, uint32_t ready); /* ready: EPOLL* bits */
    int fd;
    bool is_watched;
};
int loop_watch(struct loop *loop, struct watch *watch, int fd,
               void (*on_ready)(struct watch *, uint32_t)) MUST_USE;
int loop_watch_level(struct loop *loop, struct watch *watch, int fd,
                     void (*on_ready)(struct watch *, uint32_t)) MUST_USE;
/* Fine when not watched; before close() */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Deadlines (struct timer, io/wheel.h): never early, late by at most some ms. A due time that is
 * past comes at the next tick. Setting a timer that is set moves it. */
void loop_timer_set(struct loop *loop, struct timer *timer, int64_t due_mono_ns,
                    void (*on_due)(struct timer *));
void loop_timer_clear(struct loop *loop, struct timer *timer); /* fine when idle */

/* A call at the end of this turn (never from inside loop_defer). Embedded; all zeros is idle;
 * deferring twice calls once. */
struct deferred {
    struct deferred *next, *previous;
    void (*call)(struct deferred *deferred);
};
void loop_defer(struct loop *loop, struct deferred *deferred, void (*call)(struct deferred *));
void loop_defer_cancel(struct loop *loop, struct deferred *deferred);

/* Run call(arg) on the loop's thread. From any thread; -ENOMEM. Mail still unread at loop_free
 * is dropped. */
int loop_post(struct loop *loop, void (*call)(void *arg), void *arg) MUST_USE;

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
