/* SPDX-License-Identifier: MIT */
/* The way of a call: token ──► action ──► body ──► run ──► (Redis, once or twice) ──► answer and audit line. */
#include "gateway/admin_api.h"

#include "admin_calls.h"
#include "base/json.h"
#include "gateway/answer.h"
#include "http/octets.h"
#include <assert.h>

#define BODY_MAX (64u << 10)
#define SUBJECTS STR("/_jotgate/subjects/")
#define DENY     STR("/_jotgate/deny")

/* clang-format off */
static const struct admin_action actions[] = {
    {"get",    METHOD_GET,  STR(""),        admin_get},
    {"put",    METHOD_PUT,  STR(""),        admin_put},
    {"usage",  METHOD_GET,  STR("/usage"),  admin_usage},
    {"reset",  METHOD_POST, STR("/reset"),  admin_reset},
    {"grant",  METHOD_POST, STR("/grant"),  admin_grant},
    {"charge", METHOD_POST, STR("/charge"), admin_charge},
    {"revoke", METHOD_POST, STR("/revoke"), admin_revoke},
};
/* clang-format on */
static const struct admin_action deny_action = {"deny", METHOD_POST, STR(""), admin_deny};

bool admin_api_matches(const struct exchange *x) {
    return x->settings->admin_token.n > 0 &&
           (str_starts(x->target.path, SUBJECTS) || str_eq(x->target.path, DENY));
}

void admin_refuse(struct exchange *x, enum problem problem, const char *reason) {
    x->problem = problem;
    x->reason = reason;
    answer_problem(x);
}

/* ---- who asks ---- */

/* Only failures are counted, so nobody can keep the right token out. */
static bool is_admin(struct exchange *x) {
    struct ip subscriber = ip_subscriber(&x->client_ip);
    struct limit_state state;
    const struct limit_charge charge = {
        .policy = &x->settings->auth_failures,
        .key = {(const char *)subscriber.bytes, sizeof(subscriber.bytes)},
        .cost = 1};
    struct str token = x->credentials.bearer;
    if (token.n > 0 && str_eq_secret(x->settings->admin_token, token))
        return true;
    if (memory_limits_pass(x->parts->limits, &charge, 1, exchange_now(x), true, &state)) {
        admin_refuse(x, PROBLEM_UNAUTHORIZED_ADMIN, NULL);
        return false;
    }
    x->retry_ns = state.wait_ns;
    admin_refuse(x, PROBLEM_TOO_MANY_FAILURES, "too many wrong tokens from this address");
    return false;
}

/* ---- what is asked ---- */

static bool decode(struct str raw, struct arena *arena, struct str *out) {
    char *at = arena_alloc(arena, raw.n + 1);
    size_t n = 0;
    for (size_t i = 0; at && i < raw.n; i++) {
        int high = raw.at[i] == '%' && i + 2 < raw.n ? hex_digit(raw.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(raw.at[i + 2]) : -1;
        if (raw.at[i] == '%' && low < 0)
            return false;
        at[n++] = (char)(low >= 0 ? high << 4 | low : raw.at[i]);
        i += low >= 0 ? 2 : 0;
        if ((unsigned char)at[n - 1] < 0x20 || at[n - 1] == 0x7f)
            return false;
    }
    *out = (struct str){at, n};
    return at && n > 0 && n <= DENIAL_VALUE_MAX && json_is_utf8(*out);
}

/* The action of this path and method; NULL: the method is not taken, or (x->allowed_methods of 0) there is no such path. */
static const struct admin_action *find_action(struct exchange *x, struct str suffix) {
    x->allowed_methods = 0;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (!str_eq(actions[i].suffix, suffix))
            continue;
        if (x->method == actions[i].method)
            return &actions[i];
        x->allowed_methods |= actions[i].method;
    }
    return NULL;
}

/* What the table above has together. */
static const char *methods_text(unsigned methods) {
    return methods == METHOD_POST  ? "this path takes POST alone"
           : methods == METHOD_GET ? "this path takes GET alone"
                                   : "this path takes GET and PUT";
}

static const struct admin_action *choose(struct exchange *x, struct str *subject) {
    const struct admin_action *action = NULL;
    *subject = STR("-");
    if (str_eq(x->target.path, DENY)) {
        x->allowed_methods = METHOD_POST;
        action = x->method == METHOD_POST ? &deny_action : NULL;
    } else {
        struct str rest = str_skip(x->target.path, SUBJECTS.n);
        size_t slash = str_index(rest, '/');
        action = find_action(x, str_skip(rest, slash));
        if (action && !decode(str_first(rest, slash), &x->arena, subject)) {
            admin_refuse(x, PROBLEM_INVALID_BODY,
                         "the subject: expected 1 to 256 bytes of UTF-8 without controls, "
                         "percent-encoded");
            return NULL;
        }
    }
    if (!action && x->allowed_methods)
        admin_refuse(x, PROBLEM_METHOD_NOT_ALLOWED, methods_text(x->allowed_methods));
    else if (!action)
        admin_refuse(x, PROBLEM_NO_ROUTE,
                     "no such path: expected /_jotgate/subjects/SUBJECT, alone or with /usage, "
                     "/grant, /charge, /reset or /revoke behind it");
    return action;
}

/* ---- the way ---- */

static void leave(struct exchange *x) {
    redis_cancel(&x->admin->call);
    redis_usage_cancel(&x->admin->usage.call);
    buffer_release(&x->admin->body);
    x->admin = NULL;
}

void admin_api_answer(struct exchange *x) {
    struct str subject;
    if (x->admin) {
        admin_usage_answer(x->admin);
        return;
    }
    x->is_for_admin = true;
    if (!is_admin(x))
        return;
    const struct admin_action *action = choose(x, &subject);
    if (!action)
        return;
    struct admin_call *admin = arena_zalloc(&x->arena, sizeof(*admin));
    if (!admin) {
        admin_refuse(x, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    admin->x = x;
    admin->action = action;
    admin->subject = subject;
    x->admin = admin;
    x->on_finish = leave;
    admin_api_body(x);
}

static bool keep_body(struct exchange *x, struct str data) {
    struct buffer *body = &x->admin->body;
    if (buffer_length(body) + data.n > BODY_MAX) {
        admin_refuse(x, PROBLEM_PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB");
        return false;
    }
    if (buffer_append(body, data) < 0) {
        admin_refuse(x, PROBLEM_OVERLOADED, "out of memory");
        return false;
    }
    client_consume_body(x->client, data.n);
    return true;
}

void admin_api_body(struct exchange *x) {
    struct str data;
    if (!x->admin || x->admin->is_running || x->is_answered)
        return;
    for (;;)
        switch (client_read_body(x->client, &data)) {
        case CLIENT_BODY_DATA:
            if (!keep_body(x, data))
                return;
            continue;
        case CLIENT_BODY_WAIT:
            client_continue(x->client);
            return;
        case CLIENT_BODY_END:
            x->admin->is_running = true;
            x->admin->action->run(x->admin);
            return;
        case CLIENT_BODY_BAD:
            admin_refuse(x, PROBLEM_BAD_REQUEST, "the body's framing is malformed");
            return;
        case CLIENT_BODY_LATE:
            admin_refuse(x, PROBLEM_REQUEST_TIMEOUT, "the body did not arrive in time");
            return;
        }
}
