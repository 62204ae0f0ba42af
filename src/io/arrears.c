/* SPDX-License-Identifier: MIT */
#include "io/arrears.h"

#include "base/log.h"
#include "base/map.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define LOOKED_AT_MOST 64 /* unwanted ones, before a taking gives up */

struct arrears {
    pthread_mutex_t lock;
    size_t n_most;
    uint64_t n_lost;   /* calls for which there was no room */
    struct map *names; /* name -> arrear */
    struct arrear all; /* a ring, oldest first */
};

struct arrears *arrears_new(size_t n_most) {
    struct arrears *arrears = calloc(1, sizeof(*arrears));
    if (!arrears)
        return NULL;
    arrears->n_most = n_most;
    arrears->names = map_new();
    arrears->all.next = arrears->all.previous = &arrears->all;
    if (!arrears->names || pthread_mutex_init(&arrears->lock, NULL) != 0) {
        map_free(arrears->names);
        free(arrears);
        return NULL;
    }
    return arrears;
}

static void lock(struct arrears *arrears) {
    int failure = pthread_mutex_lock(&arrears->lock);
    assert(failure == 0);
}

static void unlock(struct arrears *arrears) {
    int failure = pthread_mutex_unlock(&arrears->lock);
    assert(failure == 0);
}

/* ---- the ring ---- */

static void append(struct arrears *arrears, struct arrear *arrear) {
    struct arrear *last = arrears->all.previous;
    arrear->previous = last;
    arrear->next = &arrears->all;
    last->next = arrears->all.previous = arrear;
}

static void unlink_one(struct arrear *arrear) {
    arrear->previous->next = arrear->next;
    arrear->next->previous = arrear->previous;
    arrear->next = arrear->previous = NULL;
}

void arrears_free(struct arrears *arrears) {
    if (!arrears)
        return;
    uint64_t n_counters = map_count(arrears->names), n_calls = arrears->n_lost;
    for (struct arrear *arrear = arrears->all.next, *next; arrear != &arrears->all; arrear = next) {
        next = arrear->next;
        n_calls += (uint64_t)arrear->calls;
        free(arrear);
    }
    if (n_calls > 0)
        log_warn("Redis was never told of calls that passed while it was away",
                 F_INT("counters", n_counters), F_INT("calls", n_calls));
    map_free(arrears->names);
    pthread_mutex_destroy(&arrears->lock);
    free(arrears);
}

/* ---- noting ---- */

static struct arrear *enter(struct arrears *arrears, struct str name,
                            const struct limit_policy *policy) {
    if (map_count(arrears->names) >= arrears->n_most)
        return NULL;
    struct arrear *arrear = calloc(1, sizeof(*arrear) + name.n);
    if (!arrear)
        return NULL;
    memcpy(arrear->name, name.at, name.n);
    arrear->name_bytes = name.n;
    arrear->kind = policy->kind;
    arrear->rate = policy->rate;
    arrear->machines = 1;
    if (map_put(arrears->names, name, arrear) < 0) {
        free(arrear);
        return NULL;
    }
    append(arrears, arrear);
    return arrear;
}

static void add(int64_t *calls, int64_t change) {
    *calls = *calls + change < 0 ? 0 : *calls + change;
}

/* What was seen of Redis is what the bucket held before the first of our calls. */
static void note_rate(struct arrear *arrear, const struct arrears_call *call,
                      const struct now *now) {
    int64_t weight = call->calls * call->machines;
    arrear->machines = call->machines;
    if (bucket_is_new(&arrear->level, now->mono_ns)) {
        arrear->level = (struct bucket){.tat_ns = now->mono_ns + call->state->reset_ns};
        bucket_settle(&arrear->level, &arrear->rate, -weight, now->mono_ns);
        arrear->seen_ns = arrear->level.tat_ns;
        arrear->calls = 0;
    }
    bucket_settle(&arrear->level, &arrear->rate, weight, now->mono_ns);
}

/* A window that is over needs no telling. */
static void enter_window(struct arrear *arrear, int64_t end_s) {
    if (arrear->end_s != end_s)
        arrear->calls = arrear->undone = 0;
    arrear->end_s = end_s;
}

bool arrears_note(struct arrears *arrears, const struct arrears_call *call, const struct now *now) {
    assert(call->machines >= 1);
    lock(arrears);
    struct arrear *arrear = map_get(arrears->names, call->name);
    if (!arrear && call->calls > 0) {
        arrear = enter(arrears, call->name, call->policy);
        arrears->n_lost += arrear ? 0 : (uint64_t)call->calls;
    }
    if (arrear && arrear->kind == LIMIT_RATE)
        note_rate(arrear, call, now);
    else if (arrear)
        enter_window(arrear, call->state->window.end_s);
    if (arrear)
        add(&arrear->calls, call->calls);
    unlock(arrears);
    return arrear || call->calls <= 0;
}

/* Time may have paid for what was undone before. */
static void undo_rate(struct arrear *arrear, const struct arrears_undone *undone,
                      const struct now *now) {
    if (arrear->dry_ns <= now->mono_ns)
        arrear->undone = 0;
    if (arrear->dry_ns < undone->dry_ns)
        arrear->dry_ns = undone->dry_ns;
    arrear->undone += undone->calls;
}

static void undo_quota(struct arrear *arrear, const struct arrears_undone *undone) {
    if (undone->end_s < arrear->end_s)
        return; /* that window is over */
    enter_window(arrear, undone->end_s);
    arrear->undone += undone->calls;
}

/* What was noted stays: the two meet in what is owed. */
bool arrears_undo(struct arrears *arrears, const struct arrears_undone *undone,
                  const struct now *now) {
    lock(arrears);
    struct arrear *arrear = map_get(arrears->names, undone->name);
    if (!arrear)
        arrear = enter(arrears, undone->name, undone->policy);
    if (arrear && arrear->kind == LIMIT_RATE)
        undo_rate(arrear, undone, now);
    else if (arrear)
        undo_quota(arrear, undone);
    unlock(arrears);
    return arrear;
}

size_t arrears_count(struct arrears *arrears) {
    lock(arrears);
    size_t n = map_count(arrears->names);
    unlock(arrears);
    return n;
}

/* ---- telling ---- */

struct arrear *arrears_take(struct arrears *arrears,
                            bool (*is_wanted)(const void *arg, struct str name), const void *arg) {
    struct arrear *found = NULL;
    lock(arrears);
    for (size_t i = 0; !found && i < LOOKED_AT_MOST && arrears->all.next != &arrears->all; i++) {
        struct arrear *arrear = arrears->all.next;
        unlink_one(arrear);
        if (is_wanted(arg, arrear_name(arrear)))
            found = arrear;
        else
            append(arrears, arrear);
    }
    if (found)
        (void)map_remove(arrears->names, arrear_name(found));
    unlock(arrears);
    return found;
}

static int64_t least(__int128 a, int64_t b) { return a < b ? (int64_t)a : b; }

/* In which time pays for so many. */
static __int128 time_of(const struct arrear *arrear, int64_t calls) {
    return (__int128)calls * arrear->rate.period_ns / arrear->rate.count;
}

static int64_t owed_ns(const struct arrear *arrear, int64_t now_ns) {
    int64_t level_ns = bucket_look(&arrear->level, &arrear->rate, 0, now_ns).reset_ns;
    int64_t seen_ns = arrear->seen_ns > now_ns ? arrear->seen_ns - now_ns : 0;
    int64_t owed_ns =
        least(time_of(arrear, arrear->calls), (level_ns - seen_ns) / arrear->machines);
    return owed_ns > 0 ? owed_ns : 0;
}

static int64_t undone_ns(const struct arrear *arrear, int64_t now_ns) {
    return arrear->dry_ns > now_ns ? least(time_of(arrear, arrear->undone), arrear->dry_ns - now_ns)
                                   : 0;
}

int64_t arrear_owed(const struct arrear *arrear, const struct now *now) {
    if (arrear->kind == LIMIT_RATE)
        return (owed_ns(arrear, now->mono_ns) - undone_ns(arrear, now->mono_ns)) / 1000;
    return arrear->end_s > now_s(now) ? arrear->calls - arrear->undone : 0;
}
