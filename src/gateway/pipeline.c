/* SPDX-License-Identifier: MIT */
/* The story of a request.
 *
 *     io/front ──► pipeline ──► relay ──► io/upstream ──► Supabase
 *                     │
 *                     └──► answer (whatever a step decided)
 *
 * Each step asks one question and is thin: the rooms below know the answers (route/, auth/, limit/). A step that has to wait
 * is run again from its top when something has come; it first looks whether that is its answer, and never asks twice. */
#include "gateway/pipeline.h"

#include "gateway/admin_api.h"
#include "gateway/admission.h"
#include "gateway/answer.h"
#include "gateway/api_keys.h"
#include "gateway/charges.h"
#include "gateway/checks.h"
#include "gateway/denials.h"
#include "gateway/holds.h"
#include "gateway/identify.h"
#include "gateway/own_paths.h"
#include "gateway/records.h"
#include "gateway/relay.h"
#include "gateway/request_head.h"
#include "gateway/sockets.h"
#include "gateway/subscription.h"
#include "gateway_internal.h"
#include "http/websocket.h"
#include <assert.h>

enum outcome {
    NEXT,   /* on to the next step */
    WAIT,   /* an event will advance the pipeline again */
    ANSWER, /* answered: the exchange may be over, and x with it */
};

static enum outcome route(struct exchange *x);
static enum outcome admit(struct exchange *x);
static enum outcome authenticate(struct exchange *x);
static enum outcome recall(struct exchange *x);
static enum outcome authorize(struct exchange *x);
static enum outcome hold(struct exchange *x);
static enum outcome limit(struct exchange *x);
static enum outcome forward(struct exchange *x);

/* clang-format off */
static const struct {
    enum outcome (*take)(struct exchange *x);
} story[] = {
    {route},        /* which rule applies?               404 405 400 */
    {admit},        /* is there room for one more?       503 429 403 */
    {authenticate}, /* who is calling?                   401 (503 when our own keys are missing) */
    {recall},       /* what is kept of them? */
    {authorize},    /* may they call this?               403 402 401 (revoked) */
    {hold},         /* have they too much under way?     429 (503 likewise) */
    {limit},        /* have they called too often?       429 (503 when Redis is away and must not be) */
    {forward},      /* hand over and relay               502 503 504 */
};                  /* then, always: the access log and the counters (exchange_finish) */
/* clang-format on */

void pipeline_advance(struct exchange *x) {
    while (x->step < sizeof(story) / sizeof(story[0])) {
        switch (story[x->step].take(x)) {
        case NEXT:
            x->step++;
            continue;
        case WAIT:
            return;
        case ANSWER:
            return;
        }
    }
}

static enum outcome refuse(struct exchange *x, enum problem problem, const char *reason) {
    assert(problem != PROBLEM_NONE);
    x->problem = problem;
    x->reason = reason;
    answer_problem(x);
    return ANSWER;
}

/* Browsers ask before they send a token: it is answered here, counts nothing, and may ask for any method that a route takes. */
static enum outcome allow(struct exchange *x) {
    answer_preflight(x);
    return ANSWER;
}

static bool is_preflight(const struct exchange *x) {
    struct fields fields = exchange_fields(x);
    return x->method == METHOD_OPTIONS && fields_find(fields, FIELD_ORIGIN) &&
           fields_find(fields, FIELD_AC_REQUEST_METHOD);
}

/* What no route takes, or this one does not. */
static enum outcome check_form(struct exchange *x) {
    const struct head *head = client_head(x->client);
    const char *why;
    switch (websocket_request(head, &why)) {
    case WEBSOCKET_NOT_ASKED:
        break;
    case WEBSOCKET_MALFORMED:
        return refuse(x, PROBLEM_BAD_REQUEST, why);
    case WEBSOCKET_ASKED:
        x->asks_for_websocket = true;
        client_close_after(x->client); /* after a refusal, what it sent ahead is no request */
    }
    if (head->framing == FRAMING_LENGTH && head->body_bytes > x->route->max_body_bytes)
        return refuse(x, PROBLEM_PAYLOAD_TOO_LARGE, "Content-Length is above the route's max_body");
    return NEXT;
}

static enum outcome route(struct exchange *x) {
    const struct head *head = client_head(x->client);
    x->method = method_of(head->method);
    enum target_verdict verdict = target_parse(&x->target, head->method, head->target, &x->arena);
    if (verdict == TARGET_NO_MEMORY)
        return refuse(x, PROBLEM_OVERLOADED, "out of memory");
    if (verdict != TARGET_OK)
        return refuse(x, PROBLEM_BAD_REQUEST, "the request target is malformed");
    x->host = x->target.authority.at ? x->target.authority : head->host;
    if (request_head_loops(x))
        return refuse(x, PROBLEM_LOOP_DETECTED, "Via names this gateway");
    if (own_paths_match(x))
        return is_preflight(x) && !admin_api_matches(x) ? allow(x) : NEXT;

    switch (route_table_match(x->settings->table, &x->target, x->method, &x->route_index,
                              &x->allowed_methods)) {
    case ROUTE_AMBIGUOUS:
        return refuse(x, PROBLEM_AMBIGUOUS_PATH,
                      "the raw and the decoded path match different routes");
    case ROUTE_NONE:
        return refuse(x, PROBLEM_NO_ROUTE, "no route matches the path");
    case ROUTE_METHOD:
        return is_preflight(x)
                   ? allow(x)
                   : refuse(x, PROBLEM_METHOD_NOT_ALLOWED, "no route takes this method here");
    case ROUTE_FOUND:
        break;
    }
    if (x->settings->routes[x->route_index].is_denied)
        return refuse(x, PROBLEM_NO_ROUTE, "the route is denied");
    x->route = &x->settings->routes[x->route_index];
    return is_preflight(x) ? allow(x) : check_form(x);
}

/* Our own paths always have room: health must be seen when all is full, and by everybody. */
static enum outcome admit(struct exchange *x) {
    const char *reason = NULL;
    enum problem problem = x->route ? denials_of_address(x, &reason) : PROBLEM_NONE;
    if (problem != PROBLEM_NONE)
        return refuse(x, problem, reason);
    switch (x->route ? admission_enter(x) : ADMISSION_OK) {
    case ADMISSION_OK:
        break;
    case ADMISSION_FULL:
        return refuse(x, PROBLEM_OVERLOADED, "as many requests as http.max_requests are under way");
    case ADMISSION_PER_IP:
        /* A session refresh that is refused with 4xx signs its user out. */
        return refuse(x, charges_is_refresh(x) ? PROBLEM_OVERLOADED : PROBLEM_TOO_MANY_AT_ONCE,
                      "too many requests are under way from this address");
    }
    return NEXT;
}

/* Nobody has checked this token before. */
static enum outcome take_turn(struct exchange *x) {
    switch (checks_ask(x)) {
    case CHECKS_NOW:
        break;
    case CHECKS_LATER:
        return WAIT;
    case CHECKS_FULL:
        return refuse(x, PROBLEM_OVERLOADED, "too many tokens wait for their check");
    case CHECKS_REFUSED:
        return refuse(x, PROBLEM_TOO_MANY_FAILURES,
                      "too many tokens from this address were not valid");
    }
    return authenticate(x);
}

static enum outcome authenticate(struct exchange *x) {
    if (x->waits_for_keys || x->check.line || x->shows)
        return WAIT;
    enum access access = x->route ? x->route->access : own_paths_access(x);
    identify_caller(x, access);
    if (x->caller.needs_check)
        return take_turn(x);
    if (x->caller.waits_for_keys) {
        bool is_asked = key_source_want(x->parts->keys, x->gateway->keyring, x->caller.issuer);
        x->asked_for_keys = true;
        x->waits_for_keys = is_asked;
        return is_asked ? WAIT : authenticate(x);
    }
    if (x->caller.needs_api_key && !api_keys_find(x))
        return WAIT;
    if (x->caller.problem != PROBLEM_NONE)
        return refuse(x, x->caller.problem, x->caller.reason);
    return NEXT;
}

static enum outcome recall(struct exchange *x) { return records_find(x) ? NEXT : WAIT; }

static enum outcome authorize(struct exchange *x) {
    const char *reason = NULL;
    enum problem problem = denials_of_caller(x, &reason);
    if (problem != PROBLEM_NONE)
        return refuse(x, problem, reason);
    for (size_t i = 0; x->route && i < x->route->n_require; i++)
        if (!x->caller.claims || !claim_rule_is_met(&x->route->require[i], x->caller.claims))
            return refuse(x, PROBLEM_INSUFFICIENT_SCOPE,
                          "a claim that the route requires is missing or has another value");
    if (subscription_is_refused(x))
        return refuse(x, PROBLEM_PAYMENT_REQUIRED, "the subscription's payment status is refused");
    return NEXT;
}

static enum outcome hold(struct exchange *x) {
    charges_find(x);
    switch (x->route ? holds_take(x) : HOLDS_TAKEN) {
    case HOLDS_TAKEN:
        break;
    case HOLDS_LATER:
        return WAIT;
    case HOLDS_UNAVAILABLE:
        return refuse(x, PROBLEM_LIMITS_UNAVAILABLE, "the limits cannot be counted");
    case HOLDS_REFUSED:
        return refuse(x, charges_is_refresh(x) ? PROBLEM_OVERLOADED : PROBLEM_TOO_MANY_CONCURRENT,
                      "as many as a limit allows are under way");
    }
    return NEXT;
}

/* What is refused here holds nothing any more, however slowly its answer is read. */
static enum outcome refuse_over(struct exchange *x, enum problem problem, const char *reason) {
    holds_give(x);
    return refuse(x, problem, reason);
}

static enum outcome limit(struct exchange *x) {
    if (!x->route) /* our own paths report the limits and count nothing */
        return own_paths_answer(x) ? ANSWER : WAIT;
    switch (charges_take(x)) {
    case CHARGES_ALLOWED:
        break;
    case CHARGES_REFUSED:
        return refuse_over(x, charges_problem(x), "a limit is used up");
    case CHARGES_LATER:
        return WAIT;
    case CHARGES_UNAVAILABLE:
        return refuse_over(x, PROBLEM_LIMITS_UNAVAILABLE, "the limits cannot be counted");
    }
    if (x->asks_for_websocket && !sockets_take(x))
        return refuse_over(x, PROBLEM_TOO_MANY_STREAMS, "too many WebSockets are open");
    return NEXT;
}

static enum outcome forward(struct exchange *x) {
    return relay_start(x) ? WAIT : refuse(x, PROBLEM_INTERNAL, "out of memory");
}
