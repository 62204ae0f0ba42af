/* SPDX-License-Identifier: MIT */
/* The client is the one that `trust` finds, behind whatever proxies: connections are counted where they are accepted, by peer; requests here.
 *
 * HTTP/1.1 has one request on a connection at a time, so without a limit of their own the requests are bounded by the connections. */
#include "gateway/admission.h"

#include "gateway_internal.h"
#include "limit/slots.h"
#include <assert.h>

/* At least one. */
static size_t share_of(size_t n, size_t n_workers) {
    assert(n_workers > 0);
    return (n + n_workers - 1) / n_workers;
}

static struct str key_of(const struct ip *subscriber) {
    return (struct str){(const char *)subscriber->bytes, sizeof(subscriber->bytes)};
}

enum admission_verdict admission_enter(struct exchange *x) {
    struct gateway *gateway = x->gateway;
    const struct http_limits *http = &x->settings->http;
    struct ip subscriber = ip_subscriber(&x->client_ip);
    assert(!x->holds_place && !x->holds_ip_place);
    if (http->max_requests > 0 &&
        gateway->n_admitted >= share_of(http->max_requests, gateway->parts.n_workers))
        return ADMISSION_FULL;
    if (http->max_requests_per_ip > 0) {
        if (!slots_take(gateway->parts.requests, key_of(&subscriber), http->max_requests_per_ip))
            return ADMISSION_PER_IP;
        x->holds_ip_place = true;
    }
    x->holds_place = true;
    gateway->n_admitted++;
    return ADMISSION_OK;
}

void admission_leave(struct exchange *x) {
    struct ip subscriber = ip_subscriber(&x->client_ip);
    if (x->holds_place)
        x->gateway->n_admitted--;
    if (x->holds_ip_place)
        slots_give(x->gateway->parts.requests, key_of(&subscriber));
    x->holds_place = x->holds_ip_place = false;
}
