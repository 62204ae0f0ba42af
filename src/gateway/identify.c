/* SPDX-License-Identifier: MIT */
/* Binds the worker's cache and keys to the pure decision of auth/access, and counts what came of it. */
#include "gateway/identify.h"

#include "gateway/checks.h"
#include "gateway_internal.h"
#include <assert.h>

void identify_caller(struct exchange *x, enum access access) {
    struct gateway *gateway = x->gateway;
    assert(!x->caller.claims); /* who waits for keys has none yet */
    bool may_check = x->may_check;
    int64_t began_ns = may_check ? clock_now().mono_ns : 0;
    x->may_check = false;
    credentials_read(&x->credentials, exchange_fields(x), x->target.query);
    if (x->route && x->route->n_token_from > 0)
        credentials_read_places(&x->credentials, x->route->token_from, x->route->n_token_from,
                                exchange_fields(x), x->target.query);
    if (!x->route && access == ACCESS_PUBLIC && x->credentials.api_key.at)
        access = ACCESS_APIKEY; /* our own paths tell every caller where it stands */
    x->caller = access_decide(
        access, &x->credentials, &x->settings->access, gateway->cache, gateway->keyring,
        &x->client_ip, exchange_now(x),
        (x->asked_for_keys ? 0 : ACCESS_MAY_WAIT) | (may_check ? ACCESS_MAY_CHECK : 0), &x->arena);
    if (may_check)
        checks_count(x, clock_now().mono_ns - began_ns, x->caller.problem == PROBLEM_BAD_JWT);
    if (x->caller.needs_check)
        return;
    if (x->caller.issuer != SIZE_MAX && !x->caller.waits_for_keys)
        metrics_count_token(x->metrics, gateway->parts.worker, x->caller.issuer, x->caller.token,
                            x->caller.cache_hit);
}
