/* SPDX-License-Identifier: MIT */
/* A place is taken with the handshake and given back with the exchange, whatever came of it. */
#include "gateway/sockets.h"

#include "gateway_internal.h"
#include "limit/slots.h"

/* One that is too many is counted all the same where limits only look on. */
static bool take(struct slots *slots, struct str key, uint32_t most, bool may_exceed,
                 uint64_t *n_over) {
    if (slots_take(slots, key, most > 0 ? most : SIZE_MAX))
        return true;
    ++*n_over;
    return may_exceed && slots_take(slots, key, SIZE_MAX);
}

static struct str ip_key(const struct ip *subscriber) {
    return (struct str){(const char *)subscriber->bytes, sizeof(subscriber->bytes)};
}

bool sockets_take(struct exchange *x) {
    const struct settings *s = x->settings;
    struct gateway *gateway = x->gateway;
    bool is_shadow = s->limits_mode == LIMITS_SHADOW;
    struct ip subscriber = ip_subscriber(&x->client_ip);
    if (s->limits_mode == LIMITS_OFF)
        return true;
    x->counts_for_ip = take(x->parts->sockets_by_ip, ip_key(&subscriber), s->websockets.max_per_ip,
                            is_shadow, &gateway->n_over_ip);
    if (x->caller.subject.n > 0 && (x->counts_for_ip || is_shadow))
        x->counts_for_subject =
            take(x->parts->sockets_by_subject, x->caller.subject, s->websockets.max_per_subject,
                 is_shadow, &gateway->n_over_subject);
    return is_shadow || (x->counts_for_ip && (x->counts_for_subject || x->caller.subject.n == 0));
}

void sockets_give(struct exchange *x) {
    struct ip subscriber = ip_subscriber(&x->client_ip);
    if (x->counts_for_ip)
        slots_give(x->parts->sockets_by_ip, ip_key(&subscriber));
    if (x->counts_for_subject)
        slots_give(x->parts->sockets_by_subject, x->caller.subject);
    x->counts_for_ip = x->counts_for_subject = false;
}
