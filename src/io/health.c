/* SPDX-License-Identifier: MIT */
/* A name has few addresses: a list is searched. */
#include "io/health.h"

static struct address_health *find(const struct health *health, const struct endpoint *endpoint) {
    for (size_t i = 0; i < health->n; i++)
        if (endpoint_eq(&health->list[i].endpoint, endpoint))
            return (struct address_health *)&health->list[i];
    return NULL;
}

static bool is_out(const struct address_health *address, int64_t now_ns) {
    return address->ejected_until_ns > now_ns;
}

void health_order(struct health *health, struct resolved *addresses, int64_t now_ns) {
    struct health old = *health;
    struct resolved ejected = {.n = 0};
    size_t n_kept = 0;
    health->n = 0;
    for (size_t i = 0; i < addresses->n; i++) {
        struct endpoint endpoint = addresses->list[i];
        const struct address_health *known = find(&old, &endpoint);
        health->list[health->n] = known ? *known : (struct address_health){.endpoint = endpoint};
        if (is_out(&health->list[health->n++], now_ns))
            ejected.list[ejected.n++] = endpoint;
        else
            addresses->list[n_kept++] = endpoint;
    }
    for (size_t i = 0; i < ejected.n; i++)
        addresses->list[n_kept + i] = ejected.list[i];
}

static bool is_last(const struct health *health, int64_t now_ns) {
    return health->n - health_count_ejected(health, now_ns) <= 1;
}

uint32_t health_failed(struct health *health, const struct health_rule *rule,
                       const struct endpoint *endpoint, int64_t now_ns) {
    struct address_health *address = find(health, endpoint);
    if (!address || rule->n_failures == 0 || is_out(address, now_ns))
        return 0;
    if (++address->n_failures < rule->n_failures || is_last(health, now_ns)) {
        if (address->n_failures > rule->n_failures)
            address->n_failures = rule->n_failures;
        return 0;
    }
    address->n_failures = rule->n_failures - 1; /* on trial when its time is over */
    address->ejected_ns = now_ns;
    address->ejected_until_ns = now_ns + rule->eject_ns;
    return ++address->n_ejections;
}

uint32_t health_answered(struct health *health, const struct endpoint *endpoint, int64_t asked_ns,
                         int64_t now_ns) {
    struct address_health *address = find(health, endpoint);
    if (!address || (is_out(address, now_ns) && asked_ns <= address->ejected_ns))
        return 0;
    address->ejected_until_ns = 0;
    uint32_t n_ejections = address->n_ejections;
    address->n_failures = address->n_ejections = 0;
    return n_ejections;
}

bool health_is_ejected(const struct health *health, const struct endpoint *endpoint,
                       int64_t now_ns) {
    const struct address_health *address = find(health, endpoint);
    return address && is_out(address, now_ns);
}

size_t health_count_ejected(const struct health *health, int64_t now_ns) {
    size_t n = 0;
    for (size_t i = 0; i < health->n; i++)
        n += is_out(&health->list[i], now_ns);
    return n;
}
