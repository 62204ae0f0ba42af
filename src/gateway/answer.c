/* SPDX-License-Identifier: MIT */
/* One body that reads well in every Supabase client, CORS on everything (a refusal without it is a network error to a browser, which the
 * SDK retries three times). */
#include "gateway/answer.h"

#include "gateway/holds.h"
#include "gateway/lifetime.h"
#include "gateway_internal.h"
#include "limit_fields.h"
#include <assert.h>

#define KEYS_RETRY_S     5
#define OVERLOAD_RETRY_S 1
#define STREAMS_RETRY_S  10

#define EXPOSED_NAMES \
    "Content-Range, Content-Location, Location, Preference-Applied, Proxy-Status, RateLimit, " \
    "RateLimit-Policy, Retry-After, " \
    "Server-Timing, Tus-Resumable, Upload-Length, Upload-Offset, WWW-Authenticate, " \
    "X-Relay-Error, X-Request-Id, " \
    "X-Sb-Edge-Region, X-Supabase-Api-Version, Sb-Error-Code"

/* ---- CORS ---- */

static const struct field *origin_of(const struct exchange *x) {
    return fields_find(exchange_fields(x), FIELD_ORIGIN);
}

static bool origin_is_allowed(const struct settings *settings, struct str origin) {
    for (size_t i = 0; i < settings->n_cors_origins; i++)
        if (str_eq(settings->cors_origins[i], origin))
            return true;
    return settings->cors_allows_all;
}

/* A head that was refused unread (414: a filter too long for a URL) may have had one. */
static bool may_be_a_browsers(const struct exchange *x) { return origin_of(x) || !x->has_head; }

static int add_allow_origin(const struct exchange *x, struct buffer *fields) {
    const struct field *origin = origin_of(x);
    if (!may_be_a_browsers(x))
        return 0;
    if (x->settings->cors_allows_all)
        return buffer_append(fields, STR("access-control-allow-origin: *\r\n"));
    if (!origin)
        return 0;
    TRY(buffer_append(fields, STR("vary: Origin\r\n")));
    if (!origin_is_allowed(x->settings, origin->value))
        return 0;
    return put_field(fields, STR("access-control-allow-origin"), origin->value);
}

static int add_cors(const struct exchange *x, struct buffer *fields, struct fields upstream) {
    if (!may_be_a_browsers(x) || x->is_for_admin) /* no browser has the admin token */
        return 0;
    if (!fields_find(upstream, FIELD_AC_ALLOW_ORIGIN))
        TRY(add_allow_origin(x, fields));
    return buffer_append(fields, STR("access-control-expose-headers: " EXPOSED_NAMES "\r\n"));
}

static int add_id(const struct exchange *x, struct buffer *fields) {
    return put_field(fields, STR("x-request-id"), str_of(x->id));
}

int answer_add_fields(const struct exchange *x, struct buffer *fields, struct fields upstream) {
    TRY(add_id(x, fields));
    TRY(limit_fields_add(x, fields));
    return add_cors(x, fields, upstream);
}

/* ---- our own answers ---- */

/* HEAD is told how long the body would have been. */
static void send_answer(struct exchange *x, int status, struct buffer *fields, struct str body) {
    bool is_head = x->has_head && str_eq(client_head(x->client)->method, STR("HEAD"));
    bool has_body = status != 204 && status != 304;
    enum framing framing = is_head || !has_body ? FRAMING_NONE : FRAMING_LENGTH;
    x->status = status;
    x->is_answered = true;
    if ((is_head && has_body && buffer_printf(fields, "content-length: %zu\r\n", body.n) < 0) ||
        client_start_answer(x->client, status, STR_NONE, buffer_bytes(fields), framing, body.n) <
            0) {
        exchange_cut(x, "out of memory");
        return;
    }
    if (framing == FRAMING_LENGTH && client_write(x->client, body) != body.n) {
        exchange_cut(x, "out of memory");
        return;
    }
    client_end_answer(x->client);
}

static int add_preflight(const struct exchange *x, struct buffer *fields) {
    const struct field *names = fields_find(exchange_fields(x), FIELD_AC_REQUEST_HEADERS);
    TRY(add_allow_origin(x, fields));
    TRY(buffer_append(
        fields, STR("access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                    "access-control-max-age: 3600\r\n"
                    "vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n")));
    if (names)
        TRY(put_field(fields, STR("access-control-allow-headers"), names->value));
    return add_id(x, fields);
}

void answer_preflight(struct exchange *x) {
    struct buffer *fields = &x->gateway->scratch;
    buffer_clear(fields);
    if (add_preflight(x, fields) < 0)
        exchange_cut(x, "out of memory");
    else
        send_answer(x, 204, fields, STR_NONE);
}

void answer_json(struct exchange *x, int status, struct str body) {
    struct buffer *fields = &x->gateway->scratch;
    buffer_clear(fields);
    if (buffer_append(fields,
                      STR("content-type: application/json\r\ncache-control: no-store\r\n")) < 0 ||
        answer_add_fields(x, fields, (struct fields){0}) < 0)
        exchange_cut(x, "out of memory");
    else
        send_answer(x, status, fields, body);
}

/* ---- problems ---- */

static bool is_service(const struct exchange *x, struct str service) {
    return x->route && str_eq(x->route->service, service);
}

static bool is_limit(enum problem problem) {
    return problem == PROBLEM_RATE_LIMITED || problem == PROBLEM_QUOTA_EXCEEDED ||
           problem == PROBLEM_REFRESH_CEILING || problem == PROBLEM_TOO_MANY_CONCURRENT;
}

static struct str code_of(const struct exchange *x) {
    if (x->problem == PROBLEM_TOKEN_EXPIRED && is_service(x, STR("rest")))
        return STR("PGRST303"); /* many apps branch on PostgREST's own */
    if (is_limit(x->problem) && is_service(x, STR("auth")))
        return STR("over_request_rate_limit");
    return STR_NONE;
}

static struct str message_of(struct exchange *x) {
    if (x->problem == PROBLEM_TOKEN_EXPIRED && is_service(x, STR("rest")))
        return STR("JWT expired");
    return x->reason ? str_of(x->reason) : str_of(problem_row(x->problem)->title);
}

static const char *hint_of(const struct exchange *x) {
    /* A table by cause: what the caller can do. */
    static const char *const hints[PROBLEM_COUNT] = {
        [PROBLEM_AMBIGUOUS_PATH] =
            "Send the path in its plain form: without encoded slashes, dots or double encoding.",
        [PROBLEM_INVALID_REQUEST] = "Send each credential once, and in one place.",
        [PROBLEM_INVALID_BODY] = "Nothing was changed; correct it and send it again.",
        [PROBLEM_UNAUTHORIZED_ADMIN] =
            "Send JOTGATE_ADMIN_TOKEN as 'Authorization: Bearer <token>'.",
        [PROBLEM_NO_ROUTE] =
            "Check the path; the operator's route table decides which paths exist.",
        [PROBLEM_METHOD_NOT_ALLOWED] = "See the Allow header.",
        [PROBLEM_NO_AUTHORIZATION] =
            "Send the user's access token as 'Authorization: Bearer <token>'.",
        [PROBLEM_BAD_JWT] = "Sign in again, or refresh the session.",
        [PROBLEM_BAD_API_KEY] =
            "Send a key that is in force as 'x-api-key: jg_...', where the route takes API keys.",
        [PROBLEM_TOKEN_EXPIRED] = "Refresh the session.",
        [PROBLEM_DENIED] = "Ask whoever runs this service.",
        [PROBLEM_PAYMENT_REQUIRED] =
            "Pay the subscription; then sign in again, or refresh the session.",
        [PROBLEM_SERVICE_CALLER_REFUSED] =
            "Use a publishable key and a user's token; secret keys belong on servers.",
        [PROBLEM_TOO_MANY_FAILURES] =
            "Wait as long as Retry-After says, then send a token that is valid.",
        [PROBLEM_TOO_MANY_AT_ONCE] =
            "Wait for the answers of requests that are under way before sending more.",
        [PROBLEM_KEYS_UNAVAILABLE] = "Try again; the gateway is fetching the issuer's keys.",
        [PROBLEM_LIMITS_UNAVAILABLE] = "Try again; the gateway is connecting to its Redis.",
        [PROBLEM_TOO_MANY_STREAMS] = "Close a WebSocket before you open another.",
    };
    if (x->problem == PROBLEM_NO_ROUTE && str_starts(x->target.normal, STR("/_jotgate")))
        return "Check the path; the gateway takes these in one spelling only.";
    if (x->problem == PROBLEM_KEYS_UNAVAILABLE && x->credentials.api_key.at)
        return "Try again; API keys cannot be looked up at the moment.";
    if (x->problem == PROBLEM_NO_AUTHORIZATION && x->route && x->route->access == ACCESS_APIKEY)
        return "Send an API key as 'x-api-key: jg_...', or the user's access token as "
               "'Authorization: Bearer <token>'.";
    return hints[x->problem];
}

static const char *unit_of(int64_t period_ns) {
    switch (period_ns / NS_PER_S) {
    case 1:
        return "second";
    case 60:
        return "minute";
    case 3600:
        return "hour";
    default:
        return "day";
    }
}

static struct str limit_details(struct exchange *x) {
    const struct hold *refused = holds_refused(x);
    if (refused)
        return arena_printf(&x->arena, "policy \"" STR_FMT "\": %lld at once",
                            STR_ARG(refused->policy->name), (long long)refused->policy->concurrent);
    const struct limit_policy *policy = x->charges[x->outcome.binding].policy;
    if (policy->kind == LIMIT_QUOTA)
        return arena_printf(&x->arena, "policy \"" STR_FMT "\": %lld per %s (" STR_FMT ")",
                            STR_ARG(policy->name), (long long)policy->quota.limit,
                            window_kind_name(policy->quota.kind),
                            STR_ARG(policy->quota.zone->name));
    return arena_printf(&x->arena, "policy \"" STR_FMT "\": %lld requests per %s, %lld at once",
                        STR_ARG(policy->name), (long long)policy->rate.count,
                        unit_of(policy->rate.period_ns), (long long)policy->rate.burst);
}

/* Of what a limit refused. */
static int64_t limit_wait_s(const struct exchange *x) {
    return holds_refused(x) ? HOLDS_RETRY_S
                            : limit_retry_after_s(&x->outcome.states[x->outcome.binding]);
}

static struct str wait_hint(struct exchange *x) {
    if (x->outcome.states[x->outcome.binding].wait_ns == INT64_MAX)
        return arena_printf(&x->arena, "This call counts as %lld, more than the limit ever allows.",
                            (long long)x->charges[x->outcome.binding].cost);
    return arena_printf(&x->arena, "Retry in %lld seconds.", (long long)limit_wait_s(x));
}

static struct problem_text text_of(struct exchange *x) {
    struct problem_text text = {
        .problem = x->problem,
        .code = code_of(x),
        .message = message_of(x),
        .hint = str_of(hint_of(x)),
        .details = STR_NONE,
        .for_auth = is_service(x, STR("auth")),
    };
    if (is_limit(x->problem)) {
        text.details = limit_details(x);
        text.hint = holds_refused(x) ? STR("Wait for an answer that is under way, or end a stream.")
                                     : wait_hint(x);
        text.message = str_of(problem_row(x->problem)->title);
    }
    return text;
}

static int64_t retry_after_s(const struct exchange *x) {
    if (is_limit(x->problem))
        return limit_wait_s(x);
    if (x->problem == PROBLEM_KEYS_UNAVAILABLE)
        return KEYS_RETRY_S;
    if (x->problem == PROBLEM_TOO_MANY_STREAMS)
        return STREAMS_RETRY_S;
    if (x->problem == PROBLEM_TOO_MANY_FAILURES)
        return limit_fields_failures_wait_s(x);
    bool is_passing =
        x->problem == PROBLEM_TOO_MANY_AT_ONCE || problem_row(x->problem)->status == 503;
    return is_passing ? OVERLOAD_RETRY_S : 0;
}

static int add_error(struct buffer *fields, const char *error, struct str description) {
    TRY(buffer_append(fields, STR(", error=\"")));
    TRY(buffer_append(fields, str_of(error)));
    TRY(buffer_append(fields, STR("\", error_description=\"")));
    TRY(buffer_append(fields, description));
    return buffer_append_byte(fields, '"');
}

/* RFC 6750 3: no error attribute for a caller that showed nothing. */
static int add_challenge(const struct exchange *x, struct buffer *fields, struct str message) {
    int status = problem_row(x->problem)->status;
    const char *error = x->problem == PROBLEM_INVALID_REQUEST ? "invalid_request"
                        : status == 403                       ? "insufficient_scope"
                                                              : "invalid_token";
    if (status != 401 && x->problem != PROBLEM_INSUFFICIENT_SCOPE &&
        x->problem != PROBLEM_INVALID_REQUEST)
        return 0;
    TRY(buffer_append(fields, STR("www-authenticate: Bearer realm=\"jotgate\"")));
    if (x->problem != PROBLEM_NO_AUTHORIZATION && x->problem != PROBLEM_UNAUTHORIZED_ADMIN)
        TRY(add_error(fields, error, message));
    return buffer_append(fields, STR("\r\n"));
}

static int add_allow(const struct exchange *x, struct buffer *fields) {
    /* clang-format off */
    static const struct { unsigned method; const char *name; } names[] = {
        {METHOD_GET, "GET"}, {METHOD_HEAD, "HEAD"}, {METHOD_POST, "POST"}, {METHOD_PUT, "PUT"}, {METHOD_PATCH, "PATCH"},
        {METHOD_DELETE, "DELETE"}, {METHOD_OPTIONS, "OPTIONS"},
    };
    /* clang-format on */
    const char *separator = "allow: ";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(x->allowed_methods & names[i].method))
            continue;
        TRY(buffer_printf(fields, "%s%s", separator, names[i].name));
        separator = ", ";
    }
    return buffer_append(fields, separator[0] == ',' ? STR("\r\n") : STR("allow:\r\n"));
}

static bool wants_problem_json(const struct exchange *x) {
    const struct field *accept = fields_find(exchange_fields(x), FIELD_ACCEPT);
    return accept && str_contains(accept->value, STR("application/problem+json"));
}

/* RFC 9209 */
static int add_proxy_status(struct buffer *fields, const char *error, struct str details) {
    TRY(buffer_append(fields, STR("proxy-status: jotgate; error=")));
    TRY(buffer_append(fields, str_of(error)));
    TRY(buffer_append(fields, STR("; details=\"")));
    TRY(buffer_append(fields, details));
    return buffer_append(fields, STR("\"\r\n"));
}

static int add_retry_after(struct buffer *fields, int64_t seconds) {
    TRY(buffer_append(fields, STR("retry-after: ")));
    TRY(buffer_append_u64(fields, (uint64_t)seconds));
    return buffer_append(fields, STR("\r\n"));
}

static int add_problem_fields(const struct exchange *x, struct buffer *fields, struct str message) {
    const struct problem_row *row = problem_row(x->problem);
    int64_t retry_s = retry_after_s(x);
    TRY(put_field(fields, STR("content-type"),
                  wants_problem_json(x) ? STR("application/problem+json")
                                        : STR("application/json")));
    TRY(put_field(fields, STR("cache-control"), STR("no-store")));
    TRY(add_proxy_status(fields, row->proxy_error, message));
    if (retry_s > 0)
        TRY(add_retry_after(fields, retry_s));
    if (x->problem == PROBLEM_METHOD_NOT_ALLOWED)
        TRY(add_allow(x, fields));
    if (is_service(x, STR("functions")))
        TRY(buffer_append(fields, STR("x-relay-error: true\r\n")));
    if (is_service(x, STR("auth")) && fields_find(exchange_fields(x), FIELD_X_SUPABASE_API_VERSION))
        TRY(buffer_append(fields, STR("x-supabase-api-version: 2024-01-01\r\n")));
    TRY(add_challenge(x, fields, message));
    return answer_add_fields(x, fields, (struct fields){0});
}

/* Whoever sends what can be read in two ways gets no second request on this connection; nor does who may go on with a body that
 * nobody wants. */
static bool closes(enum problem problem) {
    return problem == PROBLEM_BAD_REQUEST || problem == PROBLEM_AMBIGUOUS_PATH ||
           problem == PROBLEM_REQUEST_TIMEOUT || problem == PROBLEM_PAYLOAD_TOO_LARGE;
}

void answer_problem(struct exchange *x) {
    assert(x->problem != PROBLEM_NONE && !x->is_answered);
    if (closes(x->problem))
        client_close_after(x->client);
    struct problem_text text = text_of(x);
    struct buffer *fields = &x->gateway->scratch, *body = &x->gateway->scratch_body;
    buffer_clear(fields);
    buffer_clear(body);
    if (add_problem_fields(x, fields, text.message) < 0 || problem_body(body, &text) < 0)
        exchange_cut(x, "out of memory");
    else
        send_answer(x, problem_row(x->problem)->status, fields, buffer_bytes(body));
}
