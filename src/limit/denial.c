/* SPDX-License-Identifier: MIT */
#include "limit/denial.h"

int64_t denial_wait_ns(const struct limit_policy *policy, int64_t wait_ns) {
    if (policy->kind != LIMIT_RATE)
        return wait_ns;
    const struct bucket_rule *rate = &policy->rate;
    __int128 tenth_ns = (__int128)rate->burst * rate->period_ns / rate->count / 10;
    int64_t least_ns = tenth_ns < NS_PER_S ? (int64_t)tenth_ns : NS_PER_S;
    return wait_ns > least_ns ? wait_ns : least_ns;
}

void denial_remember(struct denial *denial, int64_t cost, int64_t wait_ns, uint64_t version,
                     int64_t mono_ns) {
    *denial = (struct denial){
        .until_ns = wait_ns < INT64_MAX - mono_ns ? mono_ns + wait_ns : INT64_MAX,
        .ask_ns = mono_ns + DENIAL_ASK_NS,
        .cost = cost,
        .version = version,
    };
}

enum denial_verdict denial_look(struct denial *denial, int64_t cost, uint64_t version,
                                int64_t mono_ns) {
    if (mono_ns >= denial->until_ns || version != denial->version || cost < denial->cost)
        return DENIAL_NONE;
    if (mono_ns < denial->ask_ns)
        return DENIAL_STANDS;
    denial->ask_ns = mono_ns + DENIAL_ASK_NS;
    return DENIAL_ASK;
}
