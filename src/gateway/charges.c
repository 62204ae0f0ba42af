/* SPDX-License-Identifier: MIT */
/* From (route, caller, settings) to the list of counters that this request touches. Nothing is counted here. */
#include "gateway/charges.h"

#include "base/log.h"
#include "gateway/counting.h"
#include "gateway/subscription.h"
#include "gateway_internal.h"
#include <assert.h>

#define SETTLED_COST_MAX 1000000000

/* An is_anonymous user has a subject that costs nothing to make anew: such callers are limited like those without one. */
static bool is_anonymous(const struct exchange *x) {
    return x->caller.kind == CALLER_ANONYMOUS || x->caller.is_anonymous_user;
}

static struct str ip_key(struct exchange *x) {
    struct ip subscriber = ip_subscriber(&x->client_ip);
    return arena_copy(&x->arena,
                      (struct str){(const char *)subscriber.bytes, sizeof(subscriber.bytes)});
}

static struct str claim_key(struct exchange *x, size_t path) {
    if (x->caller.claims && claims_value_count(x->caller.claims, path) > 0)
        return claims_value(x->caller.claims, path, 0);
    return ip_key(x);
}

/* What the caller says of itself. */
static struct str header_key(struct exchange *x, struct str name) {
    struct fields fields = exchange_fields(x);
    for (size_t i = 0; i < fields.n; i++)
        if (str_eq_nocase(fields.list[i].name, name) && fields.list[i].value.n > 0)
            return fields.list[i].value;
    return ip_key(x);
}

static struct str key_of(struct exchange *x, const struct limit_policy *policy) {
    switch (policy->key) {
    case LIMIT_KEY_SUBJECT:
        return x->caller.subject.n && !x->caller.is_anonymous_user ? x->caller.subject : ip_key(x);
    case LIMIT_KEY_IP:
        return ip_key(x);
    case LIMIT_KEY_APIKEY:
        return x->caller.api_key.n ? x->caller.api_key : ip_key(x);
    case LIMIT_KEY_CLAIM:
        return claim_key(x, policy->claim_path);
    case LIMIT_KEY_HEADER:
        return header_key(x, policy->header);
    case LIMIT_KEY_GLOBAL:
    case LIMIT_KEY_COUNT:
        break;
    }
    return STR_NONE;
}

static void charge(struct exchange *x, const struct limit_policy *policy) {
    if (policy->kind == LIMIT_CONCURRENT) {
        if (x->n_holds < LIMITER_CHARGES_MAX)
            x->holds[x->n_holds++] = (struct hold){.policy = policy, .key = key_of(x, policy)};
        else
            x->n_left_out++;
        return;
    }
    if (x->n_charges ==
        LIMITER_CHARGES_MAX) { /* the settings refuse routes that could reach this */
        x->n_left_out++;
        return;
    }
    x->charges[x->n_charges++] = (struct limit_charge){.policy = policy,
                                                       .key = key_of(x, policy),
                                                       .cost = x->route ? x->route->cost : 1,
                                                       .anchor_day = x->record.anchor_day};
}

static void charge_group(struct exchange *x, const struct tier_group *group) {
    for (size_t i = 0; i < group->n_policies; i++)
        charge(x, &group->policies[i]);
}

static void charge_plan(struct exchange *x, struct str group_name) {
    const struct tier *tier = subscription_tier(x);
    for (size_t g = 0; tier && g < tier->n_groups; g++)
        if (str_eq(tier->groups[g].name, group_name))
            charge_group(x, &tier->groups[g]);
}

static void charge_named(struct exchange *x, const struct named_limit *limit) {
    if (limit->applies_to == LIMIT_FOR_ANONYMOUS && !is_anonymous(x))
        return;
    for (size_t i = 0; i < limit->n_except; i++)
        if (cidr_contains(&limit->except[i], &x->client_ip))
            return;
    charge(x, &limit->policy);
}

/* Our own paths report what the caller's requests may meet; first, what they meet by default: should it be more than one request may meet, of
 * the plan's other groups the last are left out. */
static void charge_all(struct exchange *x) {
    const struct tier *tier = subscription_tier(x);
    charge_plan(x, STR("default"));
    for (size_t i = 0; i < x->settings->n_limits; i++)
        charge_named(x, &x->settings->limits[i]);
    for (size_t g = 0; tier && g < tier->n_groups; g++)
        if (!str_eq(tier->groups[g].name, STR("default")))
            charge_group(x, &tier->groups[g]);
}

static void charge_route(struct exchange *x) {
    for (size_t i = 0; i < x->route->n_limits; i++) {
        const struct route_limit *limit = &x->route->limits[i];
        if (limit->is_plan)
            charge_plan(x, limit->group);
        else
            charge_named(x, &x->settings->limits[limit->named]);
    }
}

void charges_find(struct exchange *x) {
    if (x->count.step != COUNT_NOT_ASKED || x->holds_are_asked)
        return; /* of these Redis was asked */
    x->n_charges = x->n_holds = x->n_left_out = 0;
    if (x->settings->limits_mode == LIMITS_OFF)
        return;
    if (charges_is_refresh(x))
        charge_named(x, &x->settings->refresh_limit);
    else if (x->route)
        charge_route(x);
    else
        charge_all(x);
}

static void count(const struct exchange *x) {
    const struct gateway_parts *parts = x->parts;
    for (size_t i = 0; i < x->n_charges; i++)
        metrics_count_limit(x->metrics, parts->worker, x->charges[i].policy,
                            !x->outcome.states[i].allowed);
}

static enum charges_verdict ask(struct exchange *x, bool counts) {
    if (x->n_charges == 0)
        return CHARGES_ALLOWED;
    switch (counting_take(x, counts)) {
    case COUNTING_LATER:
        return CHARGES_LATER;
    case COUNTING_UNAVAILABLE:
        return CHARGES_UNAVAILABLE;
    case COUNTING_DONE:
        break;
    }
    return !counts || x->outcome.allowed ? CHARGES_ALLOWED : CHARGES_REFUSED;
}

enum charges_verdict charges_take(struct exchange *x) {
    enum charges_verdict verdict = ask(x, true);
    if (verdict == CHARGES_ALLOWED || verdict == CHARGES_REFUSED)
        count(x);
    return verdict;
}

enum problem charges_problem(const struct exchange *x) {
    if (charges_is_refresh(x))
        return PROBLEM_REFRESH_CEILING;
    return x->charges[x->outcome.binding].policy->kind == LIMIT_QUOTA ? PROBLEM_QUOTA_EXCEEDED
                                                                      : PROBLEM_RATE_LIMITED;
}

enum charges_verdict charges_look(struct exchange *x) { return ask(x, false); }

/* One field with a whole number, or nothing that could be charged. */
static bool find_cost(struct fields fields, struct str name, int64_t *cost) {
    uint64_t value = 0;
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++)
        if (str_eq_nocase(fields.list[i].name, name)) {
            if (++n > 1 || !str_to_u64(fields.list[i].value, &value) || value > SETTLED_COST_MAX)
                return false;
        }
    *cost = (int64_t)value;
    return n == 1;
}

void charges_settle(struct exchange *x, struct fields answer) {
    const struct gateway_parts *parts = x->parts;
    int64_t cost;
    if (!x->route || x->route->settle_header.n == 0 || x->n_charges == 0)
        return;
    if (!find_cost(answer, x->route->settle_header, &cost)) {
        if (metrics_count_oddity(parts->metrics, parts->worker, ODDITY_UNSETTLED))
            log_warn("an answer did not say what the call cost; what was reserved stands",
                     F_STR("route", x->route->label), F_STR("header", x->route->settle_header));
        return;
    }
    counting_settle(x, cost - x->route->cost);
}

bool charges_is_refresh(const struct exchange *x) {
    if (!x->route || !x->route->refresh_ceiling || x->method != METHOD_POST ||
        !str_ends(x->target.path, STR("/token")))
        return false;
    size_t n;
    return str_eq(query_value(x->target.query, STR("grant_type"), &n), STR("refresh_token")) &&
           n == 1;
}
