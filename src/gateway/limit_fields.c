/* SPDX-License-Identifier: MIT */
#include "limit_fields.h"

#include "base/pen.h"
#include "gateway/holds.h"
#include "gateway_internal.h"

static int64_t ceil_s(int64_t ns) { return ns / NS_PER_S + (ns % NS_PER_S != 0); }

int64_t limit_fields_failures_wait_s(const struct exchange *x) {
    return x->retry_ns > NS_PER_S ? ceil_s(x->retry_ns) : 1;
}

/* Until the whole burst has refilled. */
static int64_t refill_s(const struct bucket_rule *rate) {
    __int128 ns = (__int128)rate->burst * rate->period_ns / rate->count;
    int64_t s = (int64_t)(ns / NS_PER_S) + (ns % NS_PER_S != 0);
    return s > 0 ? s : 1;
}

/* A quota's own window; of a rate, that in which it refills. */
static int64_t window_s(const struct limit_policy *policy, const struct limit_state *state) {
    return policy->kind == LIMIT_QUOTA ? state->window.end_s - state->window.start_s
                                       : refill_s(&policy->rate);
}

/* On our own paths other groups' limits stand in the body alone: in a field each name stands once. What the operator looks at is
 * another's. */
static bool is_reported(const struct exchange *x, const struct limit_policy *policy) {
    return !x->is_for_admin && !policy->is_shadow && (x->route || policy->group.n == 0);
}

/* "name";x=N;y=M, after what separates it from the one before. */
static int add_item(struct buffer *fields, struct str separator, struct str name,
                    const char parameters[2], int64_t first, int64_t second) {
    char *room;
    TRY(buffer_reserve(fields, separator.n + name.n + 2 * PEN_U64_MAX + strlen("\"\";x=;y="),
                       &room));
    char *at = pen_byte(pen_str(room, separator), '"');
    at = pen_str(pen_str(at, name), STR("\";"));
    at = pen_u64(pen_byte(pen_byte(at, parameters[0]), '='), (uint64_t)first);
    at = pen_byte(pen_byte(at, ';'), parameters[1]);
    at = pen_u64(pen_byte(at, '='), (uint64_t)second);
    buffer_commit(fields, (size_t)(at - room));
    return 0;
}

/* What `t` says: a quota's window ends when it ends; a rate is as good as new then, or has room for this call. */
static int64_t until_change_ns(const struct exchange *x, size_t i) {
    const struct limit_state *state = &x->outcome.states[i];
    if (x->charges[i].policy->kind == LIMIT_QUOTA)
        return state->window.end_s * NS_PER_S - exchange_now(x)->wall_ns;
    return state->allowed ? state->reset_ns : limit_retry_after_s(state) * NS_PER_S;
}

static int add_charges(const struct exchange *x, struct buffer *fields, struct str *separator,
                       bool says_policy) {
    for (size_t i = 0; i < x->outcome.n; i++) {
        const struct limit_policy *policy = x->charges[i].policy;
        const struct limit_state *state = &x->outcome.states[i];
        if (!is_reported(x, policy))
            continue;
        if (says_policy)
            TRY(add_item(fields, *separator, policy->name, "qw", limit_capacity(policy),
                         window_s(policy, state)));
        else
            TRY(add_item(fields, *separator, policy->name, "rt", state->remaining,
                         ceil_s(until_change_ns(x, i))));
        *separator = STR(", ");
    }
    return 0;
}

/* What is concurrent has no window; it is free again when others end. */
static int add_concurrent(struct buffer *fields, struct str *separator, struct str name,
                          bool says_policy, int64_t n) {
    TRY(buffer_append(fields, *separator));
    TRY(buffer_printf(fields,
                      says_policy ? "\"" STR_FMT "\";q=%lld;qu=\"concurrent-requests\""
                                  : "\"" STR_FMT "\";r=%lld",
                      STR_ARG(name), (long long)n));
    *separator = STR(", ");
    return 0;
}

static int add_holds(const struct exchange *x, struct buffer *fields, struct str *separator,
                     bool says_policy) {
    for (size_t i = 0; i < x->n_holds; i++) {
        const struct limit_policy *policy = x->holds[i].policy;
        if (is_reported(x, policy))
            TRY(add_concurrent(fields, separator, policy->name, says_policy,
                               says_policy ? policy->concurrent : holds_remaining(&x->holds[i])));
    }
    return 0;
}

/* What refused the request and is no limit of its route: named as its setting is. */
struct ceiling {
    const char *name; /* NULL: nothing */
    int64_t most;
    int64_t window_s, wait_s; /* 0: so many at once */
};

static struct ceiling ceiling_of(const struct exchange *x) {
    const struct settings *s = x->settings;
    if (x->problem == PROBLEM_TOO_MANY_FAILURES)
        return (struct ceiling){"auth_failures", limit_capacity(&s->auth_failures),
                                refill_s(&s->auth_failures.rate), limit_fields_failures_wait_s(x)};
    if (x->problem == PROBLEM_TOO_MANY_AT_ONCE)
        return (struct ceiling){.name = "http.max_requests_per_ip",
                                .most = s->http.max_requests_per_ip};
    if (x->problem == PROBLEM_TOO_MANY_STREAMS && x->counts_for_ip)
        return (struct ceiling){.name = "websockets.max_per_subject",
                                .most = s->websockets.max_per_subject};
    if (x->problem == PROBLEM_TOO_MANY_STREAMS)
        return (struct ceiling){.name = "websockets.max_per_ip", .most = s->websockets.max_per_ip};
    return (struct ceiling){0};
}

static int add_ceiling(const struct exchange *x, struct buffer *fields, struct str *separator,
                       bool says_policy) {
    struct ceiling ceiling = ceiling_of(x);
    struct str name = str_of(ceiling.name ? ceiling.name : "");
    if (!ceiling.name)
        return 0;
    if (ceiling.window_s == 0)
        return add_concurrent(fields, separator, name, says_policy, says_policy ? ceiling.most : 0);
    TRY(says_policy ? add_item(fields, *separator, name, "qw", ceiling.most, ceiling.window_s)
                    : add_item(fields, *separator, name, "rt", 0, ceiling.wait_s));
    *separator = STR(", ");
    return 0;
}

static int add_all(const struct exchange *x, struct buffer *fields, struct str *separator,
                   bool says_policy) {
    TRY(add_ceiling(x, fields, separator, says_policy));
    TRY(add_charges(x, fields, separator, says_policy));
    return add_holds(x, fields, separator, says_policy);
}

int limit_fields_add(const struct exchange *x, struct buffer *fields) {
    struct str separator = STR("ratelimit-policy: ");
    TRY(add_all(x, fields, &separator, true));
    if (!str_eq(separator, STR(", ")))
        return 0;
    separator = STR("\r\nratelimit: ");
    TRY(add_all(x, fields, &separator, false));
    return buffer_append(fields, STR("\r\n"));
}
