/* SPDX-License-Identifier: MIT */
#include "gateway/subscription.h"

#include "base/log.h"

/* An is_anonymous user has a subject that costs nothing to make anew, and nothing to pay for. */
static bool has_plan(const struct exchange *x) {
    return x->caller.kind == CALLER_USER && !x->caller.is_anonymous_user;
}

static bool is_among(struct str status, const struct str *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], status))
            return true;
    return false;
}

/* Empty: the token says nothing, or nothing that counts here. */
static struct str payment_status(const struct exchange *x) {
    const struct payment *payment = &x->settings->payment;
    bool counts = has_plan(x) && !(x->route && x->route->ignores_payment);
    if (counts && x->record.status.n > 0)
        return x->record.status;
    if (!counts || !payment->has_claim ||
        claims_value_count(x->caller.claims, payment->claim_path) == 0)
        return STR_NONE;
    return claims_value(x->caller.claims, payment->claim_path, 0);
}

bool subscription_is_refused(const struct exchange *x) {
    const struct payment *payment = &x->settings->payment;
    return is_among(payment_status(x), payment->refuse, payment->n_refuse);
}

static const struct tier *tier_named(const struct plans *plans, struct str name) {
    for (size_t i = 0; i < plans->n_tiers; i++)
        if (str_eq(plans->tiers[i].name, name))
            return &plans->tiers[i];
    return NULL;
}

static void tell_unknown(const struct exchange *x, struct str name) {
    if (metrics_count_oddity(x->parts->metrics, x->parts->worker, ODDITY_UNKNOWN_PLAN))
        log_warn("a caller's plan is not among plans.tiers; it gets plans.default",
                 F_STR("plan", str_first(name, 64)),
                 F_TEXT("said_by", x->record.plan.n > 0   ? "record"
                                   : x->caller.plan.n > 0 ? "apikey"
                                                          : "token"));
}

/* As the record says it, else the token; empty: neither does. */
static struct str plan_name(const struct exchange *x) {
    const struct plans *plans = &x->settings->plans;
    if (x->record.plan.n > 0)
        return x->record.plan;
    if (x->caller.plan.n > 0) /* of an API key */
        return x->caller.plan;
    if (!plans->has_claim || claims_value_count(x->caller.claims, plans->claim_path) == 0)
        return STR_NONE;
    return claims_value(x->caller.claims, plans->claim_path, 0);
}

const struct tier *subscription_tier(const struct exchange *x) {
    const struct plans *plans = &x->settings->plans;
    const struct payment *payment = &x->settings->payment;
    if (x->caller.kind == CALLER_SERVICE || plans->n_tiers == 0)
        return NULL;
    if (!has_plan(x))
        return plans->anonymous_tier == SIZE_MAX ? NULL : &plans->tiers[plans->anonymous_tier];
    const struct tier *lowest = &plans->tiers[plans->default_tier];
    struct str name = plan_name(x);
    if (name.n == 0 || is_among(payment_status(x), payment->downgrade, payment->n_downgrade))
        return lowest;
    const struct tier *named = tier_named(plans, name);
    if (!named)
        tell_unknown(x, name);
    return named ? named : lowest;
}
