/* SPDX-License-Identifier: MIT */
/* A call is a number. A member that shows what it has answers the newest number that there was when it began.
 *
 *   roll_call: n_calls++ ──mail──► member's loop: show ──► n_shown = n_calls as of before ──► who waits looks again
 *
 * A mail that is not read yet serves all calls until it is. */
#include "io/roll.h"

#include <errno.h>

int roll_init(struct roll *roll) {
    pthread_condattr_t attributes;
    *roll = (struct roll){.first = NULL};
    int failure = pthread_condattr_init(&attributes);
    if (failure)
        return -failure;
    failure = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    failure = failure ? failure : pthread_cond_init(&roll->shown, &attributes);
    pthread_condattr_destroy(&attributes);
    if (failure)
        return -failure;
    failure = pthread_mutex_init(&roll->lock, NULL);
    if (failure)
        pthread_cond_destroy(&roll->shown);
    return -failure;
}

void roll_fini(struct roll *roll) {
    pthread_cond_destroy(&roll->shown);
    pthread_mutex_destroy(&roll->lock);
}

static void answer(void *arg) {
    struct roll_member *member = arg;
    struct roll *roll = member->roll;
    if (!roll) /* it has left meanwhile */
        return;
    pthread_mutex_lock(&roll->lock);
    member->is_posted = false;
    uint64_t n_calls = roll->n_calls;
    pthread_mutex_unlock(&roll->lock);

    member->show(member);

    pthread_mutex_lock(&roll->lock);
    member->n_shown = n_calls;
    pthread_cond_broadcast(&roll->shown);
    pthread_mutex_unlock(&roll->lock);
}

void roll_join(struct roll *roll, struct roll_member *member, struct loop *loop,
               void (*show)(struct roll_member *member)) {
    pthread_mutex_lock(&roll->lock);
    *member = (struct roll_member){roll, roll->first, loop, show, false, roll->n_calls};
    roll->first = member;
    pthread_mutex_unlock(&roll->lock);
}

void roll_leave(struct roll_member *member) {
    struct roll *roll = member->roll;
    if (!roll)
        return;
    pthread_mutex_lock(&roll->lock);
    struct roll_member **link = &roll->first;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    member->roll = NULL;
    pthread_cond_broadcast(&roll->shown);
    pthread_mutex_unlock(&roll->lock);
}

static bool have_all_shown(const struct roll *roll, uint64_t n_calls) {
    for (const struct roll_member *m = roll->first; m; m = m->next)
        if (m->n_shown < n_calls)
            return false;
    return true;
}

bool roll_call(struct roll *roll, int64_t patience_ns) {
    int64_t until_ns = clock_now().mono_ns + patience_ns;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};
    pthread_mutex_lock(&roll->lock);
    uint64_t n_calls = ++roll->n_calls;
    for (struct roll_member *m = roll->first; m; m = m->next)
        if (!m->is_posted)
            m->is_posted = loop_post(m->loop, answer, m) == 0;
    int failure = 0;
    while (!have_all_shown(roll, n_calls) && failure == 0)
        failure = pthread_cond_timedwait(&roll->shown, &roll->lock, &until);
    bool have_all = have_all_shown(roll, n_calls);
    pthread_mutex_unlock(&roll->lock);
    return have_all;
}
