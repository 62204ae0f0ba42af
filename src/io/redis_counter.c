/* SPDX-License-Identifier: MIT */
#include "redis_counter.h"

#include "base/cidr.h"
#include "io/redis_name.h"
#include <stdio.h>

#define LEVEL_US_MAX (2 * BUCKET_REFILL_MAX_NS / 1000)

/* Whom it counts, as it stands in the key. False when the library fails. */
static bool spell(const struct limit_charge *charge, char out[REDIS_NAME_MAX]) {
    char text[IP_TEXT_MAX];
    struct str key = charge->key;
    struct ip ip;
    if (charge->policy->key == LIMIT_KEY_IP && key.n == sizeof(ip.bytes)) {
        memcpy(ip.bytes, key.at, sizeof(ip.bytes));
        key = (struct str){text, ip_text(&ip, text)};
    }
    return redis_name(key, out);
}

bool redis_counter_key(struct str prefix, const struct limit_charge *charge,
                       char out[REDIS_COUNTER_KEY_MAX]) {
    const struct limit_policy *policy = charge->policy;
    char key[REDIS_NAME_MAX], rule[48];
    if (!spell(charge, key))
        return false;
    if (policy->kind == LIMIT_RATE)
        snprintf(rule, sizeof(rule), "%lld/%lld", (long long)policy->rate.count,
                 (long long)(policy->rate.period_ns / NS_PER_S));
    else
        snprintf(rule, sizeof(rule), "%s",
                 policy->kind == LIMIT_QUOTA ? window_kind_name(policy->quota.kind) : "slots");
    int n = snprintf(out, REDIS_COUNTER_KEY_MAX, STR_FMT "{%s:%s}" STR_FMT ":%s", STR_ARG(prefix),
                     limit_key_name(policy->key), key, STR_ARG(policy->counter), rule);
    return n < REDIS_COUNTER_KEY_MAX;
}

void redis_counter_time(const struct bucket_rule *rule, int64_t calls, int64_t *us,
                        int64_t *parts) {
    __int128 all = (__int128)calls * (rule->period_ns / 1000);
    __int128 most = (__int128)(LEVEL_US_MAX / 2 + 1) * rule->count;
    if (all > most)
        all = most;
    *us = (int64_t)(all / rule->count);
    *parts = (int64_t)(all % rule->count);
}

void redis_counter_windows(const struct limit_charge *charge, int64_t now_us, int64_t ends_s[2]) {
    const union limit_counter nothing = {0};
    struct now now = {.wall_ns = now_us * 1000};
    for (size_t i = 0; i < 2; i++) {
        ends_s[i] = limit_counter_look(&nothing, charge, &now).window.end_s;
        now.wall_ns = ends_s[i] * NS_PER_S;
    }
}

bool redis_counter_read(const struct limit_policy *policy, const struct redis_reply found[2],
                        union limit_counter *counter) {
    int64_t a = found[0].integer, b = found[1].integer;
    if (found[0].kind != REPLY_INTEGER || found[1].kind != REPLY_INTEGER || a < 0 || b < 0 ||
        a > LEVEL_US_MAX || b > REDIS_COUNTER_MAX)
        return false;
    if (policy->kind == LIMIT_QUOTA) {
        counter->window = (struct window_count){a, b};
        return a < INT64_MAX / NS_PER_S;
    }
    if (b >= policy->rate.count)
        return false;
    counter->bucket = (struct bucket){a * 1000 + b * 1000 / policy->rate.count,
                                      (uint32_t)(b * 1000 % policy->rate.count)};
    return true;
}
