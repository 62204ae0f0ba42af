/* SPDX-License-Identifier: MIT */
/* One thread's event loop.
 *
 * Descriptors are registered once, edge-triggered, for everything: a request costs no epoll_ctl.
 * A batch of events may name a watch that an earlier event of the same batch let go, so
 * loop_unwatch strikes it out of the batch.
 *
 * The mailbox's eventfd is edge-triggered too and never read: each write is a new edge, and its
 * counter does not overflow in a lifetime. Only the post that finds the box empty writes. */
#include "io/loop.h"

#include "base/stock.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH       256
#define PIECE_BYTES 2048 /* the head of most messages fits */
#define PIECES_MAX  256  /* in stock */

struct mail {
    struct mail *next;
    void (*call)(void *arg);
    void *arg;
};

struct loop {
    int epoll_fd, mail_fd;
    struct now now;
    struct wheel wheel;
    struct deferred deferred; /* head of a circular list */
    struct epoll_event batch[BATCH];
    int n_batch, batch_at;
    size_t n_watched;
    atomic_bool is_stopped;
    pthread_mutex_t mail_lock;
    struct mail *mail, **mail_end;
    struct stock pieces;
    char scratch[LOOP_SCRATCH_BYTES];
};

static int watch_mail(struct loop *loop) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = loop};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->mail_fd, &event);
}

struct loop *loop_new(void) {
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->now = clock_now();
    wheel_init(&loop->wheel, loop->now.mono_ns);
    loop->deferred.next = loop->deferred.previous = &loop->deferred;
    loop->mail_end = &loop->mail;
    loop->pieces = (struct stock){.piece_bytes = PIECE_BYTES, .n_most = PIECES_MAX};
    pthread_mutex_init(&loop->mail_lock, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->mail_fd < 0 || watch_mail(loop) < 0) {
        int failure = errno;
        loop_free(loop);
        errno = failure;
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    assert(loop->n_watched == 0);
    pthread_mutex_lock(&loop->mail_lock);
    pthread_mutex_unlock(&loop->mail_lock);
    for (struct mail *mail = loop->mail, *next; mail; mail = next) {
        next = mail->next;
        free(mail);
    }
    if (loop->mail_fd >= 0)
        close(loop->mail_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    pthread_mutex_destroy(&loop->mail_lock);
    stock_release(&loop->pieces);
    free(loop);
}

const struct now *loop_now(const struct loop *loop) { return &loop->now; }

char *loop_scratch(struct loop *loop) { return loop->scratch; }

struct stock *loop_pieces(struct loop *loop) {
    return &loop->pieces;
}

/* ---- watches */

static int watch_for(struct loop *loop, struct watch *watch, int fd, uint32_t events,
                     void (*on_ready)(struct watch *, uint32_t)) {
    assert(!watch->is_watched);
    assert(on_ready != NULL);
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    *watch = (struct watch){.on_ready = on_ready, .fd = fd, .is_watched = true};
    loop->n_watched++;
    return 0;
}

int loop_watch(struct loop *loop, struct watch *watch, int fd,
               void (*on_ready)(struct watch *, uint32_t)) {
    return watch_for(loop, watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_ready);
}

int loop_watch_level(struct loop *loop, struct watch *watch, int fd,
                     void (*on_ready)(struct watch *, uint32_t)) {
    return watch_for(loop, watch, fd, EPOLLIN, on_ready);
}

void loop_unwatch(struct loop *loop, struct watch *watch) {
    if (!watch->is_watched)
        return;
    int removed = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    /* Else the descriptor was closed first, and may already be somebody else's */
    assert(removed == 0);
    (void)removed;
    watch->is_watched = false;
    assert(loop->n_watched > 0);
    loop->n_watched--;
    for (int i = loop->batch_at; i < loop->n_batch; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

/* ---- timers */

void loop_timer_set(struct loop *loop, struct timer *timer, int64_t due_mono_ns,
                    void (*on_due)(struct timer *)) {
    wheel_set(&loop->wheel, timer, due_mono_ns, on_due);
}

void loop_timer_clear(struct loop *loop, struct timer *timer) { wheel_clear(&loop->wheel, timer); }

/* ---- deferred calls */

void loop_defer(struct loop *loop, struct deferred *deferred, void (*call)(struct deferred *)) {
    assert(call != NULL);
    deferred->call = call;
    if (deferred->next)
        return;
    deferred->next = &loop->deferred;
    deferred->previous = loop->deferred.previous;
    deferred->previous->next = deferred;
    loop->deferred.previous = deferred;
}

void loop_defer_cancel(struct loop *loop, struct deferred *deferred) {
    (void)loop;
    if (!deferred->next)
        return;
    deferred->previous->next = deferred->next;
    deferred->next->previous = deferred->previous;
    deferred->next = deferred->previous = NULL;
}

static bool has_deferred(const struct loop *loop) { return loop->deferred.next != &loop->deferred; }

/* What is deferred meanwhile waits for the next turn, so that two who defer each other starve
 * nobody. */
static void call_deferred(struct loop *loop) {
    if (!has_deferred(loop))
        return;
    struct deferred fence = {0};
    loop_defer(loop, &fence, (void (*)(struct deferred *))abort);
    while (loop->deferred.next != &fence) {
        struct deferred *first = loop->deferred.next;
        loop_defer_cancel(loop, first);
        first->call(first);
    }
    loop_defer_cancel(loop, &fence);
}

/* ---- mail */

int loop_post(struct loop *loop, void (*call)(void *arg), void *arg) {
    struct mail *mail = malloc(sizeof(*mail));
    if (!mail)
        return -ENOMEM;
    *mail = (struct mail){.call = call, .arg = arg};
    pthread_mutex_lock(&loop->mail_lock);
    bool was_empty = loop->mail == NULL;
    *loop->mail_end = mail;
    loop->mail_end = &mail->next;
    /* Inside the lock: once it is open the loop may read this mail, and with it be told to end. */
    if (was_empty)
        eventfd_write(loop->mail_fd, 1);
    pthread_mutex_unlock(&loop->mail_lock);
    return 0;
}

static void read_mail(struct loop *loop) {
    pthread_mutex_lock(&loop->mail_lock);
    struct mail *mail = loop->mail;
    loop->mail = NULL;
    loop->mail_end = &loop->mail;
    pthread_mutex_unlock(&loop->mail_lock);
    while (mail) {
        struct mail *next = mail->next;
        mail->call(mail->arg);
        free(mail);
        mail = next;
    }
}

/* ---- the turn */

static int wait_ms(const struct loop *loop) {
    if (has_deferred(loop))
        return 0;
    int64_t next_ns = wheel_next_ns(&loop->wheel);
    if (next_ns == INT64_MAX)
        return -1;
    int64_t left_ns = next_ns - loop->now.mono_ns;
    if (left_ns <= 0)
        return 0;
    return (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS); /* at most a revolution of the wheel */
}

static void dispatch(struct loop *loop) {
    for (loop->batch_at = 0; loop->batch_at < loop->n_batch;) {
        struct epoll_event event = loop->batch[loop->batch_at++];
        struct watch *watch = event.data.ptr;
        if (event.data.ptr == loop)
            read_mail(loop);
        else if (watch)
            watch->on_ready(watch, event.events);
    }
    loop->n_batch = loop->batch_at = 0;
}

static void turn(struct loop *loop) {
    int n = epoll_wait(loop->epoll_fd, loop->batch, BATCH, wait_ms(loop));
    assert(n >= 0 || errno == EINTR);
    loop->n_batch = n > 0 ? n : 0;
    loop->now = clock_now();
    dispatch(loop);
    wheel_turn(&loop->wheel, loop->now.mono_ns);
    call_deferred(loop);
}

void loop_run(struct loop *loop) {
    loop->now = clock_now();
    while (!atomic_load(&loop->is_stopped))
        turn(loop);
    atomic_store(&loop->is_stopped, false);
}

void loop_stop(struct loop *loop) {
    /* Inside the lock, for which loop_free waits: the loop may end and be freed as soon as it
     * sees the flag. */
    pthread_mutex_lock(&loop->mail_lock);
    atomic_store(&loop->is_stopped, true);
    eventfd_write(loop->mail_fd, 1);
    pthread_mutex_unlock(&loop->mail_lock);
}
