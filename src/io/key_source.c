/* SPDX-License-Identifier: MIT */
/* The control thread that asks for keys, and what others see of it.
 *
 *   workers ──want──► desks (lock) ──► control thread ──round──► key_issuer ──HTTP──► issuer
 *      ▲                                    │
 *      └──── mail: on_keyring ◄──── ring ───┘
 *
 * The issuers belong to the thread and are touched without the lock; everything else is touched with it, and nothing blocks while
 * it is held. A worker that was told to wait is always written to: at the end of the fetch, whatever came of it. */
#include "io/key_source.h"
#include "io/key_desk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* One loop that wants to know. At most one mail to it is under way; whoever reads it finds the newest ring. */
struct subscriber {
    struct subscriber *next;
    struct key_source *source;
    struct loop *loop;
    void (*on_keyring)(void *arg, struct keyring *ring);
    void *arg;
    bool is_owed, is_posted;
};

struct key_source {
    struct key_fetcher *fetcher;
    bool has_lock;
    pthread_t thread;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t called;
    bool is_running, is_stopping;
    bool is_unpublished; /* memory was out */
    struct key_times times;
    struct keyring *ring;
    struct desk **desks; /* n of them, in the settings' order */
    size_t n;
    struct subscriber *subscribers;
};

static void lock(struct key_source *source) {
    int failure = pthread_mutex_lock(&source->lock);
    assert(failure == 0);
}

static void unlock(struct key_source *source) {
    int failure = pthread_mutex_unlock(&source->lock);
    assert(failure == 0);
}

/* ---- publication --------------------------------------------------------------------------------------------------- */

static void deliver(void *arg) {
    struct subscriber *subscriber = arg;
    lock(subscriber->source);
    subscriber->is_posted = false;
    struct keyring *ring = keyring_ref(subscriber->source->ring);
    unlock(subscriber->source);
    subscriber->on_keyring(subscriber->arg, ring);
    keyring_unref(ring);
}

/* Write to all who are owed a mail. False when somebody still is: memory was out. */
static bool mail(struct key_source *source) {
    bool is_done = true;
    for (struct subscriber *s = source->subscribers; s; s = s->next) {
        if (!s->is_owed)
            continue;
        if (!s->is_posted)
            s->is_posted = loop_post(s->loop, deliver, s) == 0;
        s->is_owed = !s->is_posted;
        is_done = is_done && s->is_posted;
    }
    return is_done;
}

static void owe_all(struct key_source *source) {
    for (struct subscriber *s = source->subscribers; s; s = s->next)
        s->is_owed = true;
}

static bool is_mail_under_way(const struct key_source *source) {
    for (const struct subscriber *s = source->subscribers; s; s = s->next)
        if (s->is_owed || s->is_posted)
            return true;
    return false;
}

/* Takes `ring`. */
static void show_to_all(struct key_source *source, struct keyring *ring) {
    keyring_unref(source->ring);
    source->ring = ring;
    for (size_t i = 0; i < source->n; i++)
        source->desks[i]->index = i;
    owe_all(source);
}

static void publish(struct key_source *source) {
    struct keyring *ring = desks_compose(source->desks, source->n, source->ring);
    source->is_unpublished = !ring;
    if (ring)
        show_to_all(source, ring);
}

/* ---- the control thread -------------------------------------------------------------------------------------------- */

static int64_t due_of(const struct desk *desk) {
    return desk->is_wanted || desk->is_demanded ? 0 : key_issuer_due(&desk->issuer);
}

/* Whose turn it is next, and when; NULL when there is nobody. */
static struct desk *next_desk(const struct key_source *source, int64_t *due_ns) {
    struct desk *next = NULL;
    *due_ns = INT64_MAX;
    for (size_t i = 0; i < source->n; i++) {
        if (due_of(source->desks[i]) < *due_ns) {
            next = source->desks[i];
            *due_ns = due_of(next);
        }
    }
    return next;
}

static void serve(struct key_source *source, struct desk *desk) {
    bool is_demanded = desk->is_demanded;
    desk->is_busy = true;
    desk->is_demanded = false;
    desk->times = source->times;
    enum key_round round = is_demanded       ? KEY_ROUND_ALL
                           : desk->is_wanted ? KEY_ROUND_KEYS
                                             : KEY_ROUND_DUE;

    unlock(source);
    struct key_round_result result = key_issuer_round(&desk->issuer, source->fetcher, round);
    lock(source);

    desk->is_busy = false;
    if (desk->is_dismissed) {
        desk_free(desk);
        return;
    }
    desk_write(desk);
    if (result.shows_otherwise)
        publish(source);
    if (is_demanded || (desk->is_wanted && result.fetched_keys))
        owe_all(source);
    if (result.fetched_keys)
        desk->is_wanted = false; /* also who asked while it ran */
}

/* Until `due_ns`, or somebody calls; soon, when something could not be done for want of memory. */
static void wait_until(struct key_source *source, int64_t due_ns, bool is_done) {
    int64_t soon_ns = clock_now().mono_ns + NS_PER_S;
    if (!is_done && due_ns > soon_ns)
        due_ns = soon_ns;
    if (due_ns == INT64_MAX) {
        pthread_cond_wait(&source->called, &source->lock);
        return;
    }
    const struct timespec at = {.tv_sec = (time_t)(due_ns / NS_PER_S),
                                .tv_nsec = (long)(due_ns % NS_PER_S)};
    pthread_cond_timedwait(&source->called, &source->lock, &at);
}

static void *control(void *arg) {
    struct key_source *source = arg;
    lock(source);
    while (!source->is_stopping) {
        if (source->is_unpublished)
            publish(source);
        bool is_done = mail(source) && !source->is_unpublished;
        int64_t due_ns;
        struct desk *next = next_desk(source, &due_ns);
        if (next && due_ns <= clock_now().mono_ns)
            serve(source, next);
        else
            wait_until(source, due_ns, is_done);
    }
    unlock(source);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int init_lock(struct key_source *source) {
    pthread_condattr_t attributes;
    int failure = pthread_condattr_init(&attributes);
    if (failure)
        return -failure;
    failure = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    failure = failure ? failure : pthread_cond_init(&source->called, &attributes);
    pthread_condattr_destroy(&attributes);
    if (failure)
        return -failure;
    failure = pthread_mutex_init(&source->lock, NULL);
    if (failure)
        pthread_cond_destroy(&source->called);
    source->has_lock = failure == 0;
    return -failure;
}

static int init(struct key_source *source, const struct key_origin *origins, size_t n) {
    TRY(init_lock(source));
    source->desks = calloc(n + 1, sizeof(struct desk *));
    source->fetcher = key_fetcher_new();
    if (!source->desks || !source->fetcher)
        return -ENOMEM;
    for (; source->n < n; source->n++) {
        source->desks[source->n] = desk_new(&origins[source->n], &source->times);
        if (!source->desks[source->n])
            return -ENOMEM;
    }
    publish(source);
    return source->ring ? 0 : -ENOMEM;
}

static bool are_good(const struct key_times *times) {
    return times->refresh_s > 0 && times->max_stale_s > 0 && times->cooldown_s >= 0 &&
           times->timeout_ms > 0;
}

struct key_source *key_source_new(const struct key_origin *origins, size_t n,
                                  const struct key_times *times) {
    assert(are_good(times));
    struct key_source *source = calloc(1, sizeof(*source));
    if (!source)
        return NULL;
    source->times = *times;
    int failure = init(source, origins, n);
    if (failure < 0) {
        key_source_free(source);
        errno = -failure;
        return NULL;
    }
    return source;
}

void key_source_free(struct key_source *source) {
    if (!source)
        return;
    key_source_stop(source);
    while (source->subscribers) {
        struct subscriber *gone = source->subscribers;
        source->subscribers = gone->next;
        free(gone);
    }
    desks_free(source->desks, source->n);
    keyring_unref(source->ring);
    key_fetcher_free(source->fetcher);
    if (source->has_lock) {
        pthread_cond_destroy(&source->called);
        pthread_mutex_destroy(&source->lock);
    }
    free(source);
}

int key_source_subscribe(struct key_source *source, struct loop *loop,
                         void (*on_keyring)(void *arg, struct keyring *ring), void *arg) {
    assert(!source->is_running);
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (!subscriber)
        return -ENOMEM;
    lock(source);
    *subscriber =
        (struct subscriber){source->subscribers, source, loop, on_keyring, arg, .is_owed = true};
    source->subscribers = subscriber;
    bool is_done = mail(source);
    unlock(source);
    return is_done ? 0 : -ENOMEM;
}

int key_source_start(struct key_source *source) {
    assert(!source->is_running);
    /* The thread must take no signal: they are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    lock(source);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&source->thread, NULL, control, source);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    source->is_running = failure == 0;
    unlock(source);
    return -failure;
}

void key_source_stop(struct key_source *source) {
    if (!source->is_running)
        return;
    lock(source);
    source->is_stopping = true;
    pthread_cond_signal(&source->called);
    unlock(source);
    key_fetcher_cancel(source->fetcher);
    pthread_join(source->thread, NULL);
    lock(source);
    source->is_running = false;
    unlock(source);
}

/* ---- other settings -------------------------------------------------------------------------------------------------- */

static void dismiss(struct desk *desk) {
    if (desk->is_busy)
        desk->is_dismissed = true;
    else
        desk_free(desk);
}

/* Takes `desks` and `ring`. */
static void take_over(struct key_source *source, struct desk **desks, size_t n,
                      struct keyring *ring) {
    for (size_t i = 0; i < source->n; i++)
        if (!desks_have(desks, n, source->desks[i]))
            dismiss(source->desks[i]);
    free(source->desks);
    source->desks = desks;
    source->n = n;
    ring->layout++;
    show_to_all(source, ring);
    (void)mail(source); /* the thread may be busy; what fails it does again */
    /* Files are read with the settings; what is fetched is fetched in its own time. */
    for (size_t i = 0; i < n; i++)
        desks[i]->is_demanded |= desks[i]->origin.jwks_file.n > 0;
    pthread_cond_signal(&source->called);
}

int key_source_change(struct key_source *source, const struct key_origin *origins, size_t n,
                      const struct key_times *times) {
    assert(are_good(times));
    lock(source);
    struct desk **desks = desks_change(source->desks, source->n, source->ring, origins, n, times);
    struct keyring *ring = desks ? desks_compose(desks, n, source->ring) : NULL;
    if (ring) {
        source->times = *times;
        take_over(source, desks, n, ring);
    } else if (desks) {
        desks_change_back(source->desks, source->n, desks, n);
    }
    unlock(source);
    return ring ? 0 : -ENOMEM;
}

/* ---- from any thread ------------------------------------------------------------------------------------------------ */

/* The ring with the wanted key may be on its way to this very thread, whose loop has not read it yet. Then nothing needs to be
 * fetched, but who asks must be written to once more, lest he refuse a good token by an old ring. */
static bool wait_for_mail(struct key_source *source) {
    if (!is_mail_under_way(source))
        return false;
    owe_all(source);
    (void)mail(source); /* what fails the control thread does again */
    return true;
}

static bool want(struct key_source *source, struct desk *desk) {
    bool may_fetch = desk->is_busy || desk->is_wanted || desk->fetched_ns == 0 ||
                     clock_now().mono_ns - desk->fetched_ns >= source->times.cooldown_s * NS_PER_S;
    bool is_alive = source->is_running && !source->is_stopping;
    if (!is_alive || !key_issuer_has_source(&desk->origin))
        return false;
    if (!may_fetch)
        return wait_for_mail(source);
    desk->is_wanted = true;
    pthread_cond_signal(&source->called);
    return true;
}

bool key_source_want(struct key_source *source, const struct keyring *seen, size_t issuer) {
    lock(source);
    bool is_coming = true;
    if (seen->layout == source->ring->layout) {
        assert(issuer < source->n);
        is_coming = want(source, source->desks[issuer]);
    }
    unlock(source);
    return is_coming;
}

void key_source_refresh(struct key_source *source) {
    lock(source);
    for (size_t i = 0; i < source->n; i++)
        source->desks[i]->is_demanded = true;
    pthread_cond_signal(&source->called);
    unlock(source);
}

struct keyring *key_source_ring(struct key_source *source) {
    lock(source);
    struct keyring *ring = keyring_ref(source->ring);
    unlock(source);
    return ring;
}

bool key_source_status(struct key_source *source, size_t issuer, struct key_status *status) {
    lock(source);
    bool is_there = issuer < source->n;
    int64_t good_ns = is_there ? source->desks[issuer]->good_ns : 0;
    if (is_there)
        *status = source->desks[issuer]->status;
    unlock(source);
    if (good_ns > 0)
        status->age_s = (clock_now().mono_ns - good_ns) / NS_PER_S;
    return is_there;
}

static bool can_verify(const struct key_status *status) {
    return status->state != KEYS_NEVER && (status->n_keys > 0 || status->has_secret);
}

static void say_what_is_missing(struct str name, const struct key_status *status, char why[256]) {
    if (status->state != KEYS_NEVER)
        snprintf(why, 256,
                 STR_FMT
                 " publishes no keys: set SUPABASE_JWT_SECRET, or add a signing key to the project",
                 STR_ARG(name));
    else if (status->error[0])
        snprintf(why, 256, "the keys of " STR_FMT " could not be had yet: %s", STR_ARG(name),
                 status->error);
    else
        snprintf(why, 256, "the keys of " STR_FMT " are being fetched", STR_ARG(name));
}

/* Adds what is not as it should be with one, though tokens are verified. */
static void add_trouble(const struct desk *desk, char why[256]) {
    const struct key_status *status = &desk->status;
    struct str name = desk->origin.name;
    char text[256] = "";
    if (!can_verify(status))
        say_what_is_missing(name, status, text);
    else if (status->error[0])
        snprintf(text, sizeof(text), "the keys of " STR_FMT " could not be read again%s: %s",
                 STR_ARG(name), status->state == KEYS_STALE ? ", and are too old" : "",
                 status->error);
    size_t n = strlen(why);
    if (text[0])
        snprintf(why + n, 256 - n, "%s%s", n > 0 ? "; " : "", text);
}

/* Every issuer had its first chance, and one of them at least gave keys: a broken issuer keeps no other's users out. */
bool key_source_is_ready(struct key_source *source, char why[256]) {
    why[0] = '\0';
    bool had_chance = true, is_ready = source->n == 0;
    size_t missing = 0;
    lock(source);
    for (size_t i = source->n; i-- > 0;) {
        const struct key_status *status = &source->desks[i]->status;
        had_chance &= can_verify(status) || status->n_fetches > 0;
        is_ready |= can_verify(status);
        if (!can_verify(status))
            missing = i;
    }
    if (!had_chance || !is_ready)
        say_what_is_missing(source->desks[missing]->origin.name, &source->desks[missing]->status,
                            why);
    else
        for (size_t i = 0; i < source->n; i++)
            add_trouble(source->desks[i], why);
    unlock(source);
    return had_chance && is_ready;
}
