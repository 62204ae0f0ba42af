/* SPDX-License-Identifier: MIT */
/* The budget of one turn of the loop, and who waits for the next.
 *
 *     turn   [ events: requests, answers, ... one check ][ deferred: as many checks as the budget allows, if somebody waits ]
 *            ▲ loop_now                                                                                                  ▲ next
 *
 * The time is measured, not reckoned: an RSA key of 4096 bits and a slow machine cost what they cost. */
#include "gateway/checks.h"

#include "gateway_internal.h"
#include <assert.h>

int64_t checks_budget_ns(int64_t other_ns, unsigned percent) {
    assert(percent >= 1 && percent <= 90);
    return other_ns > 0 ? other_ns / (100 - percent) * percent : 0;
}

/* The first of a turn always may. */
static bool turn_allows(struct gateway *gateway, const struct settings *settings) {
    struct checks *checks = &gateway->checks;
    int64_t turn_ns = loop_now(gateway->parts.loop)->mono_ns;
    if (checks->turn_ns != turn_ns) {
        checks->turn_ns = turn_ns;
        checks->spent_ns = 0;
    }
    if (checks->spent_ns == 0)
        return true;
    int64_t other_ns = clock_now().mono_ns - turn_ns - checks->spent_ns;
    return checks->spent_ns < checks_budget_ns(other_ns, settings->check_share);
}

struct exchange *checks_next(struct gateway *gateway) {
    struct checks *checks = &gateway->checks;
    if (check_queue_count(checks->queue) == 0)
        return NULL;
    if (!turn_allows(gateway, gateway->parts.settings)) {
        loop_defer(gateway->parts.loop, &checks->turn, checks->on_turn);
        return NULL;
    }
    struct exchange *x = CONTAINER_OF(check_queue_take(checks->queue), struct exchange, check);
    x->is_next = true;
    return x;
}

/* ---- failures */

static struct limit_charge failure(struct exchange *x, struct ip *subscriber) {
    *subscriber = ip_subscriber(&x->client_ip);
    return (struct limit_charge){
        .policy = &x->settings->auth_failures,
        .key = {(const char *)subscriber->bytes, sizeof(subscriber->bytes)},
        .cost = 1};
}

static bool counts_failures(const struct exchange *x) {
    return x->settings->limits_mode != LIMITS_OFF;
}

bool checks_refuse_failures(struct exchange *x) {
    struct ip subscriber;
    struct limit_state state;
    struct limit_charge charge = failure(x, &subscriber);
    if (!counts_failures(x) ||
        memory_limits_pass(x->parts->limits, &charge, 1, exchange_now(x), false, &state))
        return false;
    x->retry_ns = state.wait_ns;
    return true;
}

void checks_count_failure(struct exchange *x) {
    struct ip subscriber;
    struct limit_state state;
    if (!counts_failures(x))
        return;
    struct limit_charge charge = failure(x, &subscriber);
    bool is_below = memory_limits_pass(x->parts->limits, &charge, 1, exchange_now(x), true, &state);
    metrics_count_limit(x->metrics, x->parts->worker, charge.policy, !(is_below && state.allowed));
}

void checks_count(struct exchange *x, int64_t ns, bool has_failed) {
    struct checks *checks = &x->gateway->checks;
    checks->spent_ns += ns > 0 ? ns : 1;
    checks->total_ns += ns;
    checks->n_checked++;
    if (has_failed)
        checks_count_failure(x);
}

/* ---- use */

enum checks_verdict checks_ask(struct exchange *x) {
    struct gateway *gateway = x->gateway;
    struct checks *checks = &gateway->checks;
    bool is_next = x->is_next;
    x->is_next = false;
    if (checks_refuse_failures(x))
        return CHECKS_REFUSED;
    if (is_next || (check_queue_count(checks->queue) == 0 && turn_allows(gateway, x->settings))) {
        x->may_check = true;
        return CHECKS_NOW;
    }
    if (!check_queue_join(checks->queue, &x->check, &x->client_ip)) {
        checks->n_refused++;
        return CHECKS_FULL;
    }
    checks->n_queued++;
    loop_defer(gateway->parts.loop, &checks->turn, checks->on_turn);
    return CHECKS_LATER;
}

void checks_leave(struct exchange *x) {
    if (x->check.line)
        check_queue_leave(x->gateway->checks.queue, &x->check);
}
