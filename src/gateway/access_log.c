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

#define FIELDS 19

/* What a line has of text; its length decides the room. */
union texts {
    struct {
        struct str id, method, path, route, verdict, reason, caller, apikey, subject, token, limit,
            shadow_limit, limits, ip;
    } of;
    struct str all[14];
};
_Static_assert(sizeof(union texts) == 14 * sizeof(struct str), "each text is in `all`");

static union texts texts_of(const struct exchange *x, char ip[IP_TEXT_MAX]) {
    struct str method = x->has_head ? client_head(x->client)->method
                        : x->tunnel ? STR("GET")
                                    : STR_NONE;
    return (union texts){
        .of = {
            .id = str_of(x->id),
            .method = method,
            .path = str_first(x->target.path, 1024),
            .route = x->route ? x->route->label : STR_NONE,
            .verdict = str_of(outcome_of(x)),
            .reason = x->reason ? str_of(x->reason) : STR_NONE,
            .caller =
                x->caller.api_key.n ? STR("apikey") : str_of(caller_kind_name(x->caller.kind)),
            .apikey = str_first(x->caller.api_key, 8),
            .subject = str_first(x->caller.subject, 128),
            .token = x->caller.issuer == SIZE_MAX ? STR_NONE
                                                  : str_of(token_verdict_name(x->caller.token)),
            .limit = binding_policy(x),
            .shadow_limit = shadow_policy(x),
            .limits = str_of(degraded_name(x->count.degraded)),
            .ip = {ip, ip_text(&x->client_ip, ip)},
        }};
}

static size_t length_of(const union texts *texts) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof(texts->all) / sizeof(texts->all[0]); i++)
        n += texts->all[i].n;
    return n;
}

static void write_fields(struct log_line *line, const union texts *texts,
                         const struct exchange *x) {
    bool reached = x->upstream_head_ns != 0;
    log_line_word(line, LOG_KEY("id"), texts->of.id);
    log_line_str(line, LOG_KEY("method"), texts->of.method);
    log_line_str(line, LOG_KEY("path"), texts->of.path);
    log_line_str(line, LOG_KEY("route"), texts->of.route);
    log_line_int(line, LOG_KEY("status"), x->status);
    log_line_word(line, LOG_KEY("verdict"), texts->of.verdict);
    log_line_str(line, LOG_KEY("reason"), texts->of.reason);
    log_line_word(line, LOG_KEY("caller"), texts->of.caller);
    log_line_str(line, LOG_KEY("apikey"), texts->of.apikey);
    log_line_str(line, LOG_KEY("subject"), texts->of.subject);
    log_line_word(line, LOG_KEY("token"), texts->of.token);
    log_line_str(line, LOG_KEY("limit"), texts->of.limit);
    log_line_str(line, LOG_KEY("shadow_limit"), texts->of.shadow_limit);
    log_line_word(line, LOG_KEY("limits"), texts->of.limits);
    log_line_str(line, LOG_KEY("ip"), texts->of.ip);
    log_line_real(line, LOG_KEY("ms"), milliseconds(exchange_now(x)->mono_ns - x->started_ns));
    log_line_real(line, LOG_KEY("upstream_ms"),
                  reached ? milliseconds(x->upstream_head_ns - x->upstream_started_ns) : 0);
    log_line_int(line, LOG_KEY("bytes_in"), (int64_t)client_bytes_received(x->client));
    log_line_int(line, LOG_KEY("bytes_out"), (int64_t)client_bytes_sent(x->client));
}

void access_log_write(const struct exchange *x) {
    struct log_draft draft;
    char ip[IP_TEXT_MAX];
    const union texts texts = texts_of(x, ip);
    if (!log_open(&draft, LEVEL_INFO, STR("request"), FIELDS, length_of(&texts)))
        return;
    write_fields(&draft.line, &texts, x);
    log_close(&draft);
}
