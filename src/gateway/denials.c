/* SPDX-License-Identifier: MIT */
#include "gateway/denials.h"

#include "gateway_internal.h"

_Static_assert(SUBJECT_MAX <= DENIAL_VALUE_MAX, "whoever is let in can be denied");

enum problem denials_of_address(const struct exchange *x, const char **reason) {
    const struct deny_list *list = x->gateway->news->denials;
    if (!deny_list_has_ip(list, &x->client_ip, now_s(exchange_now(x))))
        return PROBLEM_NONE;
    *reason = "this address is denied";
    return PROBLEM_DENIED;
}

enum problem denials_of_caller(const struct exchange *x, const char **reason) {
    if (!x->caller.claims)
        return PROBLEM_NONE;
    switch (deny_list_judge(x->gateway->news->denials, x->caller.subject, x->caller.claims,
                            now_s(exchange_now(x)))) {
    case DENY_NOT:
        break;
    case DENY_USER:
        *reason = "this user is denied";
        return PROBLEM_DENIED;
    case DENY_REVOKED:
        *reason = "the token or its session was revoked";
        return PROBLEM_BAD_JWT;
    }
    return PROBLEM_NONE;
}

bool denials_apply(const struct exchange *x) {
    const char *reason;
    return deny_list_count(x->gateway->news->denials) > 0 &&
           (denials_of_address(x, &reason) != PROBLEM_NONE ||
            denials_of_caller(x, &reason) != PROBLEM_NONE);
}
