/* SPDX-License-Identifier: MIT */
#include "redis_counter.h"

#include "base/cidr.h"
#include "base/pen.h"
#include "io/redis_name.h"

#define LEVEL_US_MAX (2 * BUCKET_REFILL_MAX_NS / 1000)
#define RULE_MAX     (2 * PEN_U64_MAX + 1)

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

static char *write_rule(char *at, const struct limit_policy *policy) {
    if (policy->kind == LIMIT_QUOTA)
        return pen_str(at, str_of(window_kind_name(policy->quota.kind)));
    if (policy->kind != LIMIT_RATE)
        return pen_str(at, STR("slots"));
    at = pen_byte(pen_u64(at, (uint64_t)policy->rate.count), '/');
    return pen_u64(at, (uint64_t)(policy->rate.period_ns / NS_PER_S));
}

bool redis_counter_key(struct str prefix, const struct limit_charge *charge,
                       char out[REDIS_COUNTER_KEY_MAX]) {
    const struct limit_policy *policy = charge->policy;
    char name[REDIS_NAME_MAX];
    if (!spell(charge, name))
        return false;
    struct str kind = str_of(limit_key_name(policy->key)), whom = str_of(name);
    if (prefix.n + kind.n + whom.n + policy->counter.n + strlen("{:}:") + RULE_MAX >=
        REDIS_COUNTER_KEY_MAX)
        return false;
    char *at = pen_byte(pen_str(pen_byte(pen_str(out, prefix), '{'), kind), ':');
    at = pen_byte(pen_str(pen_byte(pen_str(at, whom), '}'), policy->counter), ':');
    *write_rule(at, policy) = '\0';
    return true;
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
