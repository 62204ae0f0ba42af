/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/resolver.h"

/* Which of a name's addresses are worth trying. One that fails several times in a row is ejected for a while: it is tried after all
 * others. The last one of a name is never ejected: who has nobody else to ask goes on asking. When its time is over it is tried as
 * before, and is ejected again by the first failure. Pure: reads no clock, allocates nothing. */
struct health_rule {
    uint32_t n_failures; /* in a row; 0: never eject */
    int64_t eject_ns;
};
#define HEALTH_RULE_DEFAULT \
    { 5, 10 * NS_PER_S }

struct address_health {
    struct endpoint endpoint;
    uint32_t n_failures;  /* in a row */
    uint32_t n_ejections; /* since it answered last */
    int64_t ejected_ns, ejected_until_ns;
};
/* All zeros: nothing is known. */
struct health {
    struct address_health list[RESOLVER_ENDPOINTS_MAX];
    size_t n;
};

/* The name has these addresses now; what is known of others is forgotten. Ejected ones move behind the rest; otherwise the order
 * stays. */
void health_order(struct health *health, struct resolved *addresses, int64_t now_ns);

/* How often it was ejected since it answered last, when this failure ejected it; else 0. A failure of an address that nothing is
 * known of, or that is ejected already, changes nothing. */
uint32_t health_failed(struct health *health, const struct health_rule *rule,
                       const struct endpoint *endpoint, int64_t now_ns);
/* How often it was ejected since it answered last, when it answers again; else 0. One that is ejected still was asked for want of a
 * better one, and is as good as any now: it comes back. An answer to what it was asked before (`asked_ns`) does not bring it back. */
uint32_t health_answered(struct health *health, const struct endpoint *endpoint, int64_t asked_ns,
                         int64_t now_ns);

bool health_is_ejected(const struct health *health, const struct endpoint *endpoint,
                       int64_t now_ns);
size_t health_count_ejected(const struct health *health, int64_t now_ns);
