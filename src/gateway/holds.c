/* SPDX-License-Identifier: MIT */
/* In this process nothing is undone by time: what is held is given back by exchange_finish, which every exchange comes to. */
#include "gateway/holds.h"

#include "gateway/counting.h"
#include "gateway/metrics.h"
#include "io/redis_slots.h"
#include "limit/slots.h"

/* The counter, the kind of key and the key, so that no spelling of a key reaches another limit's slots. A counter's name holds no
 * zero byte. Not the number: who changes plans keeps what is open. STR_NONE: memory is out. */
static struct str slot_of(struct exchange *x, const struct hold *hold) {
    struct str counter = hold->policy->counter;
    char *slot = arena_alloc(&x->arena, counter.n + 2 + hold->key.n);
    if (!slot)
        return STR_NONE;
    memcpy(slot, counter.at, counter.n);
    slot[counter.n] = '\0';
    slot[counter.n + 1] = (char)hold->policy->key;
    if (hold->key.n > 0)
        memcpy(slot + counter.n + 2, hold->key.at, hold->key.n);
    return (struct str){slot, counter.n + 2 + hold->key.n};
}

/* ---- in this process */

/* One of `most`; STR_NONE of a slot: memory is out. */
static void take_here(struct exchange *x, struct hold *hold, size_t most) {
    struct slots *held = x->parts->held;
    if (hold->slot.n == 0) {
        hold->is_refused = true;
        return;
    }
    hold->is_held = slots_take(held, hold->slot, most);
    hold->is_refused = !hold->is_held;
    if (hold->is_refused && hold->policy->is_shadow)
        hold->is_held = slots_take(held, hold->slot, SIZE_MAX);
    hold->in_use = (int64_t)slots_in_use(held, hold->slot);
}

/* ---- in Redis */

#define NO_BOUND INT64_C(1000000000000) /* more than any limit says */

static void ask(struct exchange *x, struct hold *hold, int64_t most) {
    hold->lent = redis_slot_new(x->parts->lent, hold->policy, hold->key, x);
    if (hold->lent && redis_slot_ask(hold->lent, most) == 0)
        x->n_holds_awaited++;
}

static bool has_answer(const struct hold *hold) {
    return hold->lent && redis_slot_verdict(hold->lent) == REDIS_ANSWERED;
}

/* What is let in is counted here as well: should Redis go away, this machine goes on from there. */
static void heed(struct exchange *x, struct hold *hold) {
    bool is_taken = redis_slot_is_taken(hold->lent);
    int64_t in_use = redis_slot_in_use(hold->lent);
    if (is_taken)
        take_here(x, hold, SIZE_MAX);
    hold->is_refused = !is_taken || in_use > hold->policy->concurrent;
    hold->in_use = in_use;
}

/* No machine's share is none, or nobody would ever pass. */
static void take_share(struct exchange *x, struct hold *hold) {
    int64_t machines = (int64_t)counting_machines(x->parts->counting);
    int64_t share = hold->policy->concurrent / machines;
    take_here(x, hold, share > 0 ? (size_t)share : 1);
    hold->in_use *= machines;
}

static void take_alone(struct exchange *x, struct hold *hold) {
    switch (counting_on_failure(x->parts->counting)) {
    case REDIS_SHARE:
        x->count.degraded = DEGRADED_SHARE;
        take_share(x, hold);
        break;
    case REDIS_OPEN:
        x->count.degraded = DEGRADED_OPEN;
        take_here(x, hold, SIZE_MAX);
        break;
    case REDIS_CLOSED:
        x->count.degraded = DEGRADED_CLOSED;
        break;
    }
}

/* ---- all of them */

static bool is_known(struct exchange *x, bool takes) {
    if (!x->holds_are_asked) {
        x->holds_are_asked = true;
        for (size_t i = 0; i < x->n_holds; i++) {
            const struct limit_policy *policy = x->holds[i].policy;
            ask(x, &x->holds[i], !takes ? 0 : policy->is_shadow ? NO_BOUND : policy->concurrent);
        }
    }
    return x->n_holds_awaited == 0;
}

bool holds_heard(struct exchange *x) { return --x->n_holds_awaited == 0; }

static void take(struct exchange *x, struct hold *hold) {
    hold->slot = slot_of(x, hold);
    if (!x->parts->lent)
        take_here(x, hold, (size_t)hold->policy->concurrent);
    else if (has_answer(hold))
        heed(x, hold);
    else
        take_alone(x, hold);
    if (hold->lent && (hold->is_held || (has_answer(hold) && redis_slot_is_taken(hold->lent))))
        redis_slot_hold(hold->lent);
    metrics_count_limit(x->metrics, x->parts->worker, hold->policy, hold->is_refused);
}

enum holds_verdict holds_take(struct exchange *x) {
    if (x->parts->lent && !is_known(x, true))
        return HOLDS_LATER;
    for (size_t i = 0; i < x->n_holds; i++)
        take(x, &x->holds[i]);
    bool is_refused = holds_refused(x) != NULL, is_unknown = x->count.degraded == DEGRADED_CLOSED;
    bool is_over = is_refused || is_unknown;
    if (x->count.degraded != DEGRADED_NOT && (is_over || x->n_charges == 0)) /* else: counting's */
        metrics_count_degraded(x->metrics, x->parts->worker, x->count.degraded);
    if (!is_over)
        return HOLDS_TAKEN;
    holds_give(x);
    return is_unknown ? HOLDS_UNAVAILABLE : HOLDS_REFUSED;
}

static void give(struct exchange *x, struct hold *hold) {
    redis_slot_give(hold->lent);
    hold->lent = NULL;
    if (!hold->is_held)
        return;
    slots_give(x->parts->held, hold->slot);
    hold->is_held = false;
    hold->in_use--;
}

void holds_give(struct exchange *x) {
    for (size_t i = 0; i < x->n_holds; i++)
        give(x, &x->holds[i]);
}

size_t holds_bytes(const struct exchange *x) {
    size_t n = 0;
    for (size_t i = 0; i < x->n_holds; i++)
        n += x->holds[i].slot.n;
    return n;
}

void holds_move(struct exchange *x, char *at) {
    for (size_t i = 0; i < x->n_holds; i++) {
        struct hold *hold = &x->holds[i];
        if (hold->slot.n > 0)
            memcpy(at, hold->slot.at, hold->slot.n);
        hold->slot.at = at;
        hold->key = STR_NONE;
        at += hold->slot.n;
    }
}

bool holds_look(struct exchange *x) {
    if (x->parts->lent && !is_known(x, false))
        return false;
    for (size_t i = 0; i < x->n_holds; i++) {
        struct hold *hold = &x->holds[i];
        struct str slot = slot_of(x, hold);
        if (has_answer(hold))
            hold->in_use = redis_slot_in_use(hold->lent);
        else
            hold->in_use = slot.n > 0 ? (int64_t)slots_in_use(x->parts->held, slot) : 0;
    }
    return true;
}

int64_t holds_remaining(const struct hold *hold) {
    int64_t left = hold->policy->concurrent - hold->in_use;
    return left > 0 ? left : 0;
}

const struct hold *holds_refused(const struct exchange *x) {
    for (size_t i = 0; i < x->n_holds; i++)
        if (x->holds[i].is_refused && !x->holds[i].policy->is_shadow)
            return &x->holds[i];
    return NULL;
}
