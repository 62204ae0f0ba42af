/* SPDX-License-Identifier: MIT */
/* Nothing is undone by time: what is held is given back by exchange_finish, which every exchange comes to. */
#include "gateway/holds.h"

#include "gateway/metrics.h"
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

static void take(struct exchange *x, struct hold *hold) {
    const struct limit_policy *policy = hold->policy;
    struct slots *held = x->parts->held;
    hold->slot = slot_of(x, hold);
    if (hold->slot.n > 0) {
        hold->is_held = slots_take(held, hold->slot, (size_t)policy->concurrent);
        hold->is_refused = !hold->is_held;
        if (hold->is_refused && policy->is_shadow)
            hold->is_held = slots_take(held, hold->slot, SIZE_MAX);
        hold->in_use = (int64_t)slots_in_use(held, hold->slot);
    } else {
        hold->is_refused = true;
    }
    metrics_count_limit(x->metrics, x->parts->worker, policy, hold->is_refused);
}

bool holds_take(struct exchange *x) {
    for (size_t i = 0; i < x->n_holds; i++)
        take(x, &x->holds[i]);
    if (!holds_refused(x))
        return true;
    holds_give(x);
    return false;
}

void holds_give(struct exchange *x) {
    for (size_t i = 0; i < x->n_holds; i++) {
        struct hold *hold = &x->holds[i];
        if (!hold->is_held)
            continue;
        slots_give(x->parts->held, hold->slot);
        hold->is_held = false;
        hold->in_use--;
    }
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

void holds_look(struct exchange *x) {
    for (size_t i = 0; i < x->n_holds; i++) {
        struct str slot = slot_of(x, &x->holds[i]);
        x->holds[i].in_use = slot.n > 0 ? (int64_t)slots_in_use(x->parts->held, slot) : 0;
    }
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
