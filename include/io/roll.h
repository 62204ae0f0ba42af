/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/loop.h"
#include <pthread.h>

/* Loops that are called upon to show what is theirs: who reads what their threads copy out (metrics) calls first and waits until
 * each has. So what is read is as of now, and nothing is copied that nobody reads. */
struct roll {
    pthread_mutex_t lock; /* what follows, and that of its members */
    pthread_cond_t shown;
    uint64_t n_calls;
    struct roll_member *first;
};

/* Embedded in its owner; all zeros has not joined. */
struct roll_member {
    struct roll *roll;
    struct roll_member *next;
    struct loop *loop;
    void (*show)(struct roll_member *member);
    bool is_posted;
    uint64_t n_shown; /* the newest call that it has answered */
};

int roll_init(struct roll *roll) MUST_USE; /* -errno */
void roll_fini(struct roll *roll);         /* nobody may have stayed */

/* From now on show(member) comes on the loop's thread, once a call. */
void roll_join(struct roll *roll, struct roll_member *member, struct loop *loop,
               void (*show)(struct roll_member *member));
/* Fine when it has not joined. On the loop's thread, or when that runs no more: nobody waits for it then. */
void roll_leave(struct roll_member *member);

/* Returns when all have shown what they have, or after `patience_ns`: false then, for somebody has not. From any thread but a
 * member's, by several at once. */
bool roll_call(struct roll *roll, int64_t patience_ns);
