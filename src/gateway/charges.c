/* SPDX-License-Identifier: MIT */
/* From (route, caller, settings) to the list of counters that this request touches. Nothing is counted here. */
#include "gateway/charges.h"

#include "gateway_internal.h"
#include <assert.h>

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
        return x->caller.subject.n ? x->caller.subject : ip_key(x);
    case LIMIT_KEY_IP:
        return ip_key(x);
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
    if (x->n_charges == LIMITER_CHARGES_MAX) /* the settings refuse routes that could reach this */
        return;
    x->charges[x->n_charges++] = (struct limit_charge){
        .policy = policy, .key = key_of(x, policy), .cost = x->route ? x->route->cost : 1};
}

static const struct tier *tier_named(const struct plans *plans, struct str name) {
    for (size_t i = 0; i < plans->n_tiers; i++)
        if (str_eq(plans->tiers[i].name, name))
            return &plans->tiers[i];
    return NULL;
}

static const struct tier *tier_of(const struct exchange *x) {
    const struct plans *plans = &x->settings->plans;
    if (is_anonymous(x))
        return plans->anonymous_tier == SIZE_MAX ? NULL : &plans->tiers[plans->anonymous_tier];
    const struct tier *named = NULL;
    if (plans->has_claim && claims_value_count(x->caller.claims, plans->claim_path) > 0)
        named = tier_named(plans, claims_value(x->caller.claims, plans->claim_path, 0));
    return named ? named : &plans->tiers[plans->default_tier];
}

static void charge_plan(struct exchange *x, struct str group_name) {
    const struct tier *tier =
        x->caller.kind == CALLER_SERVICE || x->settings->plans.n_tiers == 0 ? NULL : tier_of(x);
    for (size_t g = 0; tier && g < tier->n_groups; g++)
        if (str_eq(tier->groups[g].name, group_name))
            for (size_t i = 0; i < tier->groups[g].n_policies; i++)
                charge(x, &tier->groups[g].policies[i]);
}

static void charge_named(struct exchange *x, const struct named_limit *limit) {
    if (limit->applies_to == LIMIT_FOR_ANONYMOUS && !is_anonymous(x))
        return;
    for (size_t i = 0; i < limit->n_except; i++)
        if (cidr_contains(&limit->except[i], &x->client_ip))
            return;
    charge(x, &limit->policy);
}

/* Our own paths report what the caller's requests meet by default: the plan, and every limit that is named. */
static void charge_all(struct exchange *x) {
    charge_plan(x, STR("default"));
    for (size_t i = 0; i < x->settings->n_limits; i++)
        charge_named(x, &x->settings->limits[i]);
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
    x->n_charges = 0;
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

bool charges_take(struct exchange *x) {
    if (x->n_charges == 0)
        return true;
    x->outcome = limiter_take(x->parts->limits, x->charges, x->n_charges, exchange_now(x));
    count(x);
    return x->outcome.allowed;
}

enum problem charges_problem(const struct exchange *x) {
    if (charges_is_refresh(x))
        return PROBLEM_REFRESH_CEILING;
    return x->charges[x->outcome.binding].policy->kind == LIMIT_QUOTA ? PROBLEM_QUOTA_EXCEEDED
                                                                      : PROBLEM_RATE_LIMITED;
}

void charges_look(struct exchange *x) {
    if (x->n_charges > 0)
        x->outcome = limiter_look(x->parts->limits, x->charges, x->n_charges, exchange_now(x));
}

bool charges_is_refresh(const struct exchange *x) {
    if (!x->route || !x->route->refresh_ceiling || x->method != METHOD_POST ||
        !str_ends(x->target.path, STR("/token")))
        return false;
    size_t n;
    return str_eq(query_value(x->target.query, STR("grant_type"), &n), STR("refresh_token")) &&
           n == 1;
}
