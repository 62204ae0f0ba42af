/* SPDX-License-Identifier: MIT */
/* The path without its query (tokens and signatures travel there), the verdicts by name, the times in milliseconds. */
#include "gateway/access_log.h"

#include "base/log.h"
#include "gateway/holds.h"

/* To the microsecond; more digits would say nothing. */
static double milliseconds(int64_t ns) {
    int64_t whole_us = ns / 1000;
    return (double)whole_us / 1000.0;
}

static const char *outcome_of(const struct exchange *x) {
    if (x->is_abandoned)
        return "client_left";
    if (x->is_cut)
        return "cut";
    return x->problem == PROBLEM_NONE ? "ok" : problem_row(x->problem)->name;
}

static struct str binding_policy(const struct exchange *x) {
    const struct hold *refused = holds_refused(x);
    if (refused)
        return refused->policy->id;
    return x->n_charges && x->outcome.n ? x->charges[x->outcome.binding].policy->id : STR_NONE;
}

/* The first shadow limit that would have refused. */
static struct str shadow_policy(const struct exchange *x) {
    for (size_t i = 0; x->outcome.shadow_refused && i < x->outcome.n; i++)
        if (x->charges[i].policy->is_shadow && !x->outcome.states[i].allowed)
            return x->charges[i].policy->id;
    for (size_t i = 0; i < x->n_holds; i++)
        if (x->holds[i].policy->is_shadow && x->holds[i].is_refused)
            return x->holds[i].policy->id;
    return STR_NONE;
}

void access_log_write(const struct exchange *x) {
    struct str method = x->has_head ? client_head(x->client)->method
                        : x->tunnel ? STR("GET")
                                    : STR_NONE;
    char ip[IP_TEXT_MAX];
    size_t ip_bytes = ip_text(&x->client_ip, ip);
    bool reached = x->upstream_head_ns != 0;
    log_info(
        "request", F_WORD("id", x->id), F_STR("method", method),
        F_STR("path", str_first(x->target.path, 1024)),
        F_STR("route", x->route ? x->route->label : STR_NONE), F_INT("status", x->status),
        F_WORD("verdict", outcome_of(x)), F_TEXT("reason", x->reason ? x->reason : ""),
        F_WORD("caller", x->caller.api_key.n ? "apikey" : caller_kind_name(x->caller.kind)),
        F_STR("apikey", str_first(x->caller.api_key, 8)),
        F_STR("subject", str_first(x->caller.subject, 128)),
        F_WORD("token", x->caller.issuer == SIZE_MAX ? "" : token_verdict_name(x->caller.token)),
        F_STR("limit", binding_policy(x)), F_STR("shadow_limit", shadow_policy(x)),
        F_WORD("limits", degraded_name(x->count.degraded)),
        F_STR("ip", ((struct str){ip, ip_bytes})),
        F_REAL("ms", milliseconds(exchange_now(x)->mono_ns - x->started_ns)),
        F_REAL("upstream_ms",
               reached ? milliseconds(x->upstream_head_ns - x->upstream_started_ns) : 0),
        F_INT("bytes_in", (int64_t)client_bytes_received(x->client)),
        F_INT("bytes_out", (int64_t)client_bytes_sent(x->client)));
}
