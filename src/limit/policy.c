/* SPDX-License-Identifier: MIT */
#include "limit/policy.h"

#include "base/pen.h"
#include <assert.h>

#define SHORT_BYTES 216

static const char *const KEY_NAMES[LIMIT_KEY_COUNT] = {
    [LIMIT_KEY_SUBJECT] = "subject", [LIMIT_KEY_IP] = "ip",         [LIMIT_KEY_CLAIM] = "claim",
    [LIMIT_KEY_HEADER] = "header",   [LIMIT_KEY_GLOBAL] = "global", [LIMIT_KEY_APIKEY] = "apikey",
};

const char *limit_key_name(enum limit_key key) {
    assert((unsigned)key < LIMIT_KEY_COUNT);
    return KEY_NAMES[key];
}

int64_t limit_capacity(const struct limit_policy *policy) {
    return policy->kind == LIMIT_CONCURRENT ? policy->concurrent
           : policy->kind == LIMIT_QUOTA    ? policy->quota.limit
                                            : policy->rate.burst;
}

bool limit_policy_is_of_subjects(const struct limit_policy *policy) {
    return policy->kind < LIMIT_COUNTED_KINDS &&
           (policy->key == LIMIT_KEY_SUBJECT || policy->key == LIMIT_KEY_CLAIM);
}

bool limit_policy_is_called(const struct limit_policy *policy, struct str name) {
    return str_eq(policy->name, name) || str_eq(policy->id, name);
}

/* The fixed part first, so that no two say the same; names are short, but nobody promises it. */
struct hash128 limit_policy_hash(const struct hash_key *key, const struct limit_policy *policy) {
    assert((unsigned)policy->kind < LIMIT_COUNTED_KINDS);
    struct {
        int64_t key, kind, period, count, burst;
        char counter[SHORT_BYTES];
    } named;
    struct hash128 of_long;
    struct str counter = policy->counter;
    if (counter.n > sizeof(named.counter)) {
        of_long = hash128(key, counter);
        counter = (struct str){(const char *)&of_long, sizeof(of_long)};
    }
    bool is_rate = policy->kind == LIMIT_RATE;
    named.key = policy->key;
    named.kind = policy->kind;
    named.period = is_rate ? policy->rate.period_ns : policy->quota.kind;
    named.count = is_rate ? policy->rate.count : 0;
    named.burst = is_rate ? policy->rate.burst : 0;
    char *end = pen_str(named.counter, counter);
    return hash128(key, (struct str){(const char *)&named, (size_t)(end - (char *)&named)});
}

/* The policy's windows, as this subscriber has them. */
static struct window_rule windows_of(const struct limit_charge *charge) {
    struct window_rule rule = charge->policy->quota;
    if (charge->anchor_day > 0 && rule.kind == WINDOW_MONTH)
        rule.anchor_day = charge->anchor_day;
    return rule;
}

struct limit_state limit_counter_take(union limit_counter *c, const struct limit_charge *charge,
                                      const struct now *now) {
    if (charge->policy->kind == LIMIT_RATE)
        return bucket_take(&c->bucket, &charge->policy->rate, charge->cost, now->mono_ns);
    struct window_rule rule = windows_of(charge);
    return window_take(&c->window, &rule, charge->cost, now->wall_ns);
}

struct limit_state limit_counter_look(const union limit_counter *c,
                                      const struct limit_charge *charge, const struct now *now) {
    union limit_counter copy = *c;
    return limit_counter_take(&copy, charge, now);
}

void limit_counter_settle(union limit_counter *c, const struct limit_charge *charge, int64_t change,
                          const struct limit_state *taken, const struct now *now) {
    if (charge->policy->kind == LIMIT_RATE) {
        bucket_settle(&c->bucket, &charge->policy->rate, change, now->mono_ns);
        return;
    }
    struct window_rule rule = windows_of(charge);
    window_settle(&c->window, &rule, change, taken->window.end_s, now->wall_ns);
}

int64_t limit_counter_used(const union limit_counter *c, const struct limit_policy *policy,
                           const struct now *now) {
    if (policy->kind == LIMIT_RATE)
        return bucket_used(&c->bucket, &policy->rate, now->mono_ns);
    return window_is_new(&c->window, now->wall_ns) ? 0 : c->window.used;
}

bool limit_counter_is_new(const union limit_counter *c, enum limit_kind kind,
                          const struct now *now) {
    return kind == LIMIT_RATE ? bucket_is_new(&c->bucket, now->mono_ns)
                              : window_is_new(&c->window, now->wall_ns);
}
