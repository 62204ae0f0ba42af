/* SPDX-License-Identifier: MIT */
/* A hashed timing wheel: a timer hangs in the slot of the tick in which it is due, modulo one
 * revolution.
 *
 *      tick         t+1     t+2           t+1024
 *   ---+----+----+-------+-------+-- ... --+---->      slot = tick % 1024
 *                 `- due in t+1 or t+1025 or ...
 *
 * Turning visits the slots since the last turn and leaves what belongs to a later revolution.
 * Almost all deadlines are moved or cleared before they are due, so what must be cheap is
 * setting; sorting nothing is what makes it so. */
#include "io/wheel.h"
#include <assert.h>

#define SLOT_MASK (WHEEL_SLOTS - 1)

static int64_t tick_of(int64_t due_ns) {
    /* Rounded up: never early. */
    return (due_ns + ((INT64_C(1) << WHEEL_TICK_SHIFT) - 1)) >> WHEEL_TICK_SHIFT;
}

static void link_before(struct timer *head, struct timer *timer) {
    timer->next = head;
    timer->previous = head->previous;
    head->previous->next = timer;
    head->previous = timer;
}

static void unlink_timer(struct timer *timer) {
    timer->previous->next = timer->next;
    timer->next->previous = timer->previous;
    timer->next = timer->previous = NULL;
}

void wheel_init(struct wheel *wheel, int64_t now_ns) {
    *wheel = (struct wheel){.tick = now_ns >> WHEEL_TICK_SHIFT};
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].previous = &wheel->slots[i];
}

void wheel_set(struct wheel *wheel, struct timer *timer, int64_t due_ns,
               void (*on_due)(struct timer *)) {
    assert(on_due != NULL);
    /* A deadline that never comes must not overflow when it is rounded. */
    int64_t latest = INT64_MAX - (INT64_C(1) << WHEEL_TICK_SHIFT);
    timer->due_ns = due_ns < latest ? due_ns : latest;
    timer->on_due = on_due;
    if (timer_is_set(timer))
        unlink_timer(timer);
    int64_t tick = tick_of(timer->due_ns);
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    size_t slot = (size_t)(tick & SLOT_MASK);
    link_before(&wheel->slots[slot], timer);
    wheel->filled[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wheel_clear(struct wheel *wheel, struct timer *timer) {
    (void)wheel; /* an emptied slot's bit goes when the wheel turns over it */
    if (timer_is_set(timer))
        unlink_timer(timer);
}

/* Move what is due in `slot` to `due`. */
static void collect(struct wheel *wheel, size_t slot, int64_t now_ns, struct timer *due) {
    struct timer *head = &wheel->slots[slot];
    for (struct timer *timer = head->next, *next; timer != head; timer = next) {
        next = timer->next;
        if (timer->due_ns <= now_ns) {
            unlink_timer(timer);
            link_before(due, timer);
        }
    }
    if (head->next == head)
        wheel->filled[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

void wheel_turn(struct wheel *wheel, int64_t now_ns) {
    int64_t tick = now_ns >> WHEEL_TICK_SHIFT;
    struct timer due = {.next = &due, .previous = &due};
    int64_t first = wheel->tick + 1;
    if (tick - first >= WHEEL_SLOTS)
        first = tick - WHEEL_SLOTS + 1;
    for (int64_t t = first; t <= tick; t++)
        if (wheel->filled[(t & SLOT_MASK) / 64] >> (t & 63) & 1)
            collect(wheel, (size_t)(t & SLOT_MASK), now_ns, &due);
    if (tick > wheel->tick)
        wheel->tick = tick;
    while (due.next != &due) {
        struct timer *timer = due.next;
        unlink_timer(timer);
        timer->on_due(timer);
    }
}

int64_t wheel_next_ns(const struct wheel *wheel) {
    for (int64_t ahead = 1; ahead <= WHEEL_SLOTS;) {
        size_t slot = (size_t)((wheel->tick + ahead) & SLOT_MASK);
        uint64_t rest = wheel->filled[slot / 64] >> (slot % 64);
        if (rest)
            return (wheel->tick + ahead + __builtin_ctzll(rest)) << WHEEL_TICK_SHIFT;
        ahead += 64 - (int64_t)(slot % 64);
    }
    return INT64_MAX;
}
