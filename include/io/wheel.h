/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Deadlines of one thread: a hashed timing wheel (Varghese, Lauck 1987, scheme 6). Setting and
 * clearing are O(1) and allocate nothing; the time is an argument. A timer is never early, and
 * late by at most a tick beyond its turn. */
#define WHEEL_TICK_SHIFT 22   /* a tick is 2^22 ns, 4.2 ms */
#define WHEEL_SLOTS      1024 /* one revolution is 4.3 s; what is due later stays for another one */

/* A deadline. Embedded in its owner; all zeros is idle. */
struct timer {
    struct timer *next, *previous; /* the wheel's */
    int64_t due_ns;
    void (*on_due)(struct timer *timer);
};
static inline bool timer_is_set(const struct timer *timer) { return timer->next != NULL; }

struct wheel {
    int64_t tick; /* the last one that was turned through */
    uint64_t filled[WHEEL_SLOTS / 64];
    struct timer slots[WHEEL_SLOTS]; /* heads of circular lists */
};

void wheel_init(struct wheel *wheel, int64_t now_ns);
/* Moves the timer when it is set. What is due already comes at the next tick. */
void wheel_set(struct wheel *wheel, struct timer *timer, int64_t due_ns,
               void (*on_due)(struct timer *));
void wheel_clear(struct wheel *wheel, struct timer *timer); /* fine when idle */
/* Call everything that is due. A callback may set and clear any timer, also others that are due
 * in this turn. */
void wheel_turn(struct wheel *wheel, int64_t now_ns);
/* When to turn next; INT64_MAX when nothing is set. May come before the earliest deadline (a
 * later revolution's). */
int64_t wheel_next_ns(const struct wheel *wheel);
