/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"

/* The gateway's own answers as one table: code, status, title, default text (interface.md, "What a caller gets").
 * answer, explain, the README's table and the metrics' labels are all made from it. */
/* clang-format off */
#define PROBLEMS(X) \
/*    id, and the same as the metrics and the log write it   code                          status proxy-status error       title */ \
    X(BAD_REQUEST,            "bad_request",            "bad_request",                400, "http_request_error",      "The request is malformed") \
    X(AMBIGUOUS_PATH,         "ambiguous_path",         "bad_request",                400, "http_request_error",      "The path can be read in two ways") \
    X(INVALID_REQUEST,        "invalid_request",        "invalid_request",            400, "http_request_denied",     "More than one credential of a kind") \
    X(INVALID_BODY,           "invalid_body",           "bad_request",                400, "http_request_denied",     "The body is not as expected") \
    X(REQUEST_TIMEOUT,        "request_timeout",        "request_timeout",            408, "http_request_error",      "The request did not arrive in time") \
    X(PAYLOAD_TOO_LARGE,      "payload_too_large",      "payload_too_large",          413, "http_request_error",      "The body is larger than this route allows") \
    X(URI_TOO_LONG,           "uri_too_long",           "uri_too_long",               414, "http_request_error",      "The request target is too long") \
    X(EXPECTATION_FAILED,     "expectation_failed",     "expectation_failed",         417, "http_request_error",      "Only 100-continue can be expected") \
    X(HEADERS_TOO_LARGE,      "headers_too_large",      "headers_too_large",          431, "http_request_error",      "The request head is too large") \
    X(NOT_IMPLEMENTED,        "not_implemented",        "not_implemented",            501, "http_request_error",      "Only the chunked transfer coding is known") \
    X(VERSION_NOT_SUPPORTED,  "version_not_supported",  "http_version_not_supported", 505, "http_request_error",      "Only HTTP/1.0 and HTTP/1.1 are spoken") \
    X(LOOP_DETECTED,          "loop_detected",          "loop_detected",              508, "proxy_loop_detected",     "The request has passed this gateway before") \
    X(NO_ROUTE,               "no_route",               "no_route",                   404, "destination_not_found",   "No route for this path") \
    X(METHOD_NOT_ALLOWED,     "method_not_allowed",     "method_not_allowed",         405, "http_request_denied",     "The method is not allowed here") \
    X(NO_AUTHORIZATION,       "no_authorization",       "no_authorization",           401, "http_request_denied",     "Credentials are needed") \
    X(BAD_JWT,                "bad_jwt",                "bad_jwt",                    401, "http_request_denied",     "The token is not valid") \
    X(TOKEN_EXPIRED,          "token_expired",          "token_expired",              401, "http_request_denied",     "The token has expired") \
    X(BAD_API_KEY,            "bad_api_key",            "bad_api_key",                401, "http_request_denied",     "The API key is not valid") \
    X(INSUFFICIENT_SCOPE,     "insufficient_scope",     "insufficient_scope",         403, "http_request_denied",     "The token's claims do not allow this") \
    X(SERVICE_CALLER_REFUSED, "service_caller_refused", "service_caller_refused",     403, "http_request_denied",     "Service keys are not accepted here") \
    X(DENIED,                 "denied",                 "access_denied",              403, "http_request_denied",     "Access was denied by the operator") \
    X(PAYMENT_REQUIRED,       "payment_required",       "payment_required",           402, "http_request_denied",     "The subscription is not paid") \
    X(RATE_LIMITED,           "rate_limited",           "rate_limited",               429, "http_request_denied",     "Too many requests") \
    X(TOO_MANY_FAILURES,      "too_many_failures",      "too_many_failures",          429, "http_request_denied",     "Too many bad tokens from this address") \
    X(TOO_MANY_AT_ONCE,       "too_many_at_once",       "too_many_streams",           429, "http_request_denied",     "Too many requests at once from this address") \
    X(QUOTA_EXCEEDED,         "quota_exceeded",         "quota_exceeded",             429, "http_request_denied",     "The quota is used up") \
    X(TOO_MANY_CONCURRENT,    "too_many_concurrent",    "too_many_streams",           429, "http_request_denied",     "Too many requests and streams at once") \
    X(TOO_MANY_STREAMS,       "too_many_streams",       "too_many_streams",           429, "http_request_denied",     "Too many open WebSockets") \
    X(REFRESH_CEILING,        "refresh_ceiling",        "over_request_rate_limit",    503, "http_request_denied",     "Too many token refreshes from this address") \
    X(KEYS_UNAVAILABLE,       "keys_unavailable",       "keys_unavailable",           503, "proxy_internal_response", "The verification keys cannot be had right now") \
    X(LIMITS_UNAVAILABLE,     "limits_unavailable",     "limits_unavailable",         503, "proxy_internal_response", "The limits cannot be counted right now") \
    X(OVERLOADED,             "overloaded",             "overloaded",                 503, "proxy_internal_response", "The gateway is overloaded") \
    X(DRAINING,               "draining",               "draining",                   503, "proxy_internal_response", "The gateway is going away") \
    X(UPSTREAM_UNREACHABLE,   "upstream_unreachable",   "upstream_unreachable",       502, "destination_unavailable", "The upstream cannot be reached") \
    X(UPSTREAM_BROKEN,        "upstream_broken",        "upstream_broken",            502, "http_response_incomplete", "The upstream broke its answer") \
    X(UPSTREAM_TIMEOUT,       "upstream_timeout",       "upstream_timeout",           504, "http_response_timeout",   "The upstream did not answer in time") \
    X(UNAUTHORIZED_ADMIN,     "unauthorized_admin",     "no_authorization",           401, "http_request_denied",     "The admin token is needed") \
    X(INTERNAL,               "internal",               "internal_error",             500, "proxy_internal_error",    "The gateway failed")
/* clang-format on */

enum problem {
    PROBLEM_NONE,
#define X(id, name, code, status, error, title) PROBLEM_##id,
    PROBLEMS(X)
#undef X
        PROBLEM_COUNT,
};

struct problem_row {
    const char *name; /* the enum's own, lower case: the metrics' and the log's verdict */
    const char *code;
    int status;
    const char *proxy_error; /* RFC 9209 2.3 */
    const char *title;
};
const struct problem_row *problem_row(enum problem problem); /* not for PROBLEM_NONE */

/* "Too Many Requests" for 429; "Unknown" for what nobody registered. */
const char *status_phrase(int status);

/* The JSON body that reads well in every Supabase client: code, message, hint, details, and RFC 9457's type, title, status,
 * detail; with `for_auth` (paths below /auth/v1) also msg, error_code, error. `code` overrides the table's when not empty. */
struct problem_text {
    enum problem problem;
    struct str code;    /* or empty */
    struct str message; /* what went wrong, one sentence */
    struct str hint;    /* what to do; empty is null */
    struct str details; /* empty is null */
    bool for_auth;
};
int problem_body(struct buffer *out, const struct problem_text *text) MUST_USE;
