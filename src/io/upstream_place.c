/* SPDX-License-Identifier: MIT */
/* A place at an upstream. So many calls at once have one; the next wait in a row, each for a while; who comes then is refused at
 * once. A burst is smoothed so, and an overload is told early and costs little.
 *
 *   upstream_start --> has a place --> upstream_finish: the first of the row gets it
 *                 `--> the row ------------^ */
#include "upstream_call.h"
#include <assert.h>

static void leave_row(struct upstream_call *call) {
    struct site *site = call->site;
    *(call->before ? &call->before->behind : &site->first_waiting) = call->behind;
    *(call->behind ? &call->behind->before : &site->last_waiting) = call->before;
    call->before = call->behind = NULL;
    site->n_waiting--;
    call->pool->stats.n_queued--;
    loop_timer_clear(call->pool->loop, &call->wait_timer);
}

static void refuse(struct upstream_call *call, const char *reason) {
    call->pool->stats.n_overloads++;
    call_fail(call, UPSTREAM_OVERLOADED, reason);
}

static void on_place_late(struct timer *timer) {
    struct upstream_call *call = CONTAINER_OF(timer, struct upstream_call, wait_timer);
    leave_row(call);
    refuse(call, "no place at the upstream in time");
}

static void join_row(struct upstream_call *call) {
    struct site *site = call->site;
    struct upstream_pool *pool = call->pool;
    call->state = CALL_QUEUED;
    call->before = site->last_waiting;
    *(site->last_waiting ? &site->last_waiting->behind : &site->first_waiting) = call;
    site->last_waiting = call;
    site->n_waiting++;
    pool->stats.n_queued++;
    loop_timer_set(pool->loop, &call->wait_timer, call_now_ns(call) + pool->limits.queue_ns,
                   on_place_late);
}

static void take_place(struct upstream_call *call) {
    call->has_place = true;
    call->site->n_busy++;
    call_go(call);
}

void call_ask_for_place(struct upstream_call *call) {
    const struct upstream_limits *limits = &call->pool->limits;
    if (call->site->n_busy < limits->n_open)
        take_place(call);
    else if (call->site->n_waiting < limits->n_queued)
        join_row(call);
    else
        refuse(call, "too many calls to this upstream");
}

void call_leave_place(struct upstream_call *call) {
    struct site *site = call->site;
    if (call->state == CALL_QUEUED)
        leave_row(call);
    if (!call->has_place)
        return;
    assert(site->n_busy > 0);
    call->has_place = false;
    site->n_busy--;
    if (site->first_waiting && site->n_busy < call->pool->limits.n_open) {
        struct upstream_call *next = site->first_waiting;
        leave_row(next);
        take_place(next);
    }
}
