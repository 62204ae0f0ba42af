/* SPDX-License-Identifier: MIT */
/* Reserved in every spelling: whatever a lenient upstream would read as /_jotgate/ stays here. */
#include "gateway/own_paths.h"

#include "base/json.h"
#include "gateway/admin_api.h"
#include "gateway/answer.h"
#include "gateway/charges.h"
#include "gateway/holds.h"
#include "gateway/lifetime.h"
#include "gateway_internal.h"
#include "usage.h"

#define PREFIX STR("/_jotgate")

static bool is_reserved(struct str path) {
    return str_starts_nocase(path, PREFIX) && (path.n == PREFIX.n || path.at[PREFIX.n] == '/');
}

bool own_paths_match(const struct exchange *x) {
    return is_reserved(x->target.path) || is_reserved(x->target.normal) ||
           is_reserved(x->target.twice);
}

enum access own_paths_access(const struct exchange *x) {
    return str_eq(x->target.path, STR("/_jotgate/usage")) ? ACCESS_PUBLIC : ACCESS_OPEN;
}

static void refuse(struct exchange *x, enum problem problem, const char *reason) {
    x->problem = problem;
    x->reason = reason;
    answer_problem(x);
}

static void answer_health(struct exchange *x) {
    if (x->gateway->is_draining)
        refuse(x, PROBLEM_DRAINING, "the gateway is draining");
    else
        answer_json(x, 200, STR("{\"status\":\"ok\"}\n"));
}

/* Another group's may have the name of one of the default group's. */
static int put_limit(struct buffer *out, size_t place, const struct limit_policy *policy,
                     const struct limit_state *state, bool is_known) {
    TRY(buffer_append(out, place ? STR(",{") : STR("{")));
    TRY(usage_put(out, policy->name, policy, state, is_known));
    if (policy->group.n > 0) {
        TRY(buffer_append(out, STR(",\"group\":")));
        TRY(put_json_string(out, policy->group));
    }
    return buffer_append_byte(out, '}');
}

static int put_usage(struct buffer *out, const struct exchange *x) {
    bool is_known = x->count.degraded == DEGRADED_NOT;
    TRY(buffer_printf(out, "{\"caller\":\"%s\",\"subject\":", caller_kind_name(x->caller.kind)));
    if (x->caller.subject.n)
        TRY(put_json_string(out, x->caller.subject));
    else
        TRY(buffer_append(out, STR("null")));
    if (!is_known) /* Redis is away: each machine knows of its own share alone */
        TRY(buffer_printf(out, ",\"degraded\":\"%s\"", degraded_name(x->count.degraded)));
    if (x->n_left_out > 0)
        TRY(buffer_printf(out, ",\"left_out\":%zu", x->n_left_out));
    TRY(buffer_append(out, STR(",\"limits\":[")));
    for (size_t i = 0; i < x->outcome.n; i++)
        TRY(put_limit(out, i, x->charges[i].policy, &x->outcome.states[i], is_known));
    for (size_t i = 0; i < x->n_holds; i++) {
        const struct limit_state state = {.remaining = holds_remaining(&x->holds[i])};
        TRY(put_limit(out, x->outcome.n + i, x->holds[i].policy, &state, is_known));
    }
    return buffer_append(out, STR("]}\n"));
}

static void answer_usage(struct exchange *x) {
    struct buffer *body = &x->gateway->scratch_body;
    buffer_clear(body);
    if (put_usage(body, x) < 0)
        exchange_cut(x, "out of memory");
    else
        answer_json(x, 200, buffer_bytes(body));
}

static bool look_and_answer(struct exchange *x) {
    if (!holds_look(x))
        return false;
    switch (charges_look(x)) {
    case CHARGES_LATER:
        return false;
    case CHARGES_UNAVAILABLE:
        refuse(x, PROBLEM_LIMITS_UNAVAILABLE, "the limits cannot be counted");
        break;
    case CHARGES_ALLOWED:
    case CHARGES_REFUSED:
        answer_usage(x);
        break;
    }
    return true;
}

bool own_paths_answer(struct exchange *x) {
    if (admin_api_matches(x)) {
        admin_api_answer(x);
        return true;
    }
    bool is_health = str_eq(x->target.path, STR("/_jotgate/health"));
    if (!is_health && !str_eq(x->target.path, STR("/_jotgate/usage"))) {
        refuse(x, PROBLEM_NO_ROUTE, "no such path: expected /_jotgate/usage or /_jotgate/health");
        return true;
    }
    if (!(x->method & (METHOD_GET | METHOD_HEAD))) {
        x->allowed_methods = METHOD_GET | METHOD_HEAD;
        refuse(x, PROBLEM_METHOD_NOT_ALLOWED, "this path takes GET and HEAD");
        return true;
    }
    if (!is_health)
        return look_and_answer(x);
    answer_health(x);
    return true;
}
