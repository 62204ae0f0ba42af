/* SPDX-License-Identifier: MIT */
/* The scripts do sums of whole numbers, which Lua's doubles hold exactly up to 2^53: times are
 * microseconds since 1970 (2^51 in 2041), a hundred years of debt on top of them fit. What a state
 * means is told by limit/ alone: a script answers with what it found, and the very functions that
 * judge counters in memory judge that. */
#include "io/redis_limits.h"

#include "redis_counter.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 8 /* of each charge, see below */

/* ARGV[2]: whether to count. Then of each key, from ARGV[3] on, eight:
 *
 *   'r'  shadow cost   count add_us add_parts room_us room_parts
 *   'q'  shadow cost   limit end_s next_end_s 0 0
 *
 * Answers { now, allowed, and of each key what was found: A - now or A, B }. */
static const char take_body[] =
    "local allowed, found, made, answer = true, {}, {}, {now, 1}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local at = 8 * i - 5\n"
    "  local n = {}\n"
    "  for j = 1, 7 do n[j] = tonumber(ARGV[at + j]) end\n"
    "  local a, b = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')\n"
    "  a, b = tonumber(a or 0), tonumber(b or 0)\n"
    "  local fits, ttl_ms\n"
    "  if ARGV[at] == 'r' then\n"
    "    if a < now then a, b = now, 0 end\n"
    "    answer[2 * i + 1], answer[2 * i + 2] = a - now, b\n"
    "    a, b = a + n[4], b + n[5]\n"
    "    if b >= n[3] then a, b = a + 1, b - n[3] end\n"
    "    fits = a - now < n[6] or (a - now == n[6] and b <= n[7])\n"
    "    ttl_ms = math.floor((a - now) / 1000) + 2\n"
    "  else\n"
    "    if a * 1000000 <= now then\n"
    "      a, b = n[4], 0\n"
    "      if a * 1000000 <= now then a = n[5] end\n"
    "    end\n"
    "    answer[2 * i + 1], answer[2 * i + 2] = a, b\n"
    "    b = b + n[2]\n"
    "    fits = b <= n[3]\n"
    "    ttl_ms = a * 1000 - math.floor(now / 1000) + 1\n"
    "  end\n"
    "  fits = fits or n[2] == 0\n"
    "  if fits and n[2] > 0 then made[i] = {string.format('%.0f:%.0f', a, b), ttl_ms} end\n"
    "  if not fits and n[1] == 0 then answer[2] = 0 end\n"
    "end\n"
    "if answer[2] == 1 and ARGV[2] == '1' then\n"
    "  for i, key in ipairs(KEYS) do\n"
    "    local value = made[i]\n"
    "    if value then redis.call('SET', key, value[1], 'PX', string.format('%.0f', value[2])) "
    "end\n"
    "  end\n"
    "end\n"
    "return answer\n";

/* As above; 'r': 0 sign count add_us add_parts 0 0; 'q': 0 change 0 end_s next_end_s taken_end_s 0. */
static const char settle_body[] =
    "for i, key in ipairs(KEYS) do\n"
    "  local at = 8 * i - 5\n"
    "  local n = {}\n"
    "  for j = 1, 7 do n[j] = tonumber(ARGV[at + j]) end\n"
    "  local a, b = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')\n"
    "  a, b = tonumber(a or 0), tonumber(b or 0)\n"
    "  local ttl_ms\n"
    "  if ARGV[at] == 'r' then\n"
    "    if a < now then a, b = now, 0 end\n"
    "    a, b = a + n[2] * n[4], b + n[2] * n[5]\n"
    "    if b < 0 then a, b = a - 1, b + n[3] end\n"
    "    if b >= n[3] then a, b = a + 1, b - n[3] end\n"
    "    if a < now then a, b = now, 0 end\n"
    "    a = math.min(a, now + 6311520000000000)\n"
    "    ttl_ms = math.floor((a - now) / 1000) + 2\n"
    "  else\n"
    "    if a * 1000000 <= now then\n"
    "      a, b = n[4], 0\n"
    "      if a * 1000000 <= now then a = n[5] end\n"
    "    end\n"
    "    if n[2] > 0 or n[6] * 1000000 > now then b = math.max(0, b + n[2]) end\n"
    "    ttl_ms = a * 1000 - math.floor(now / 1000) + 1\n"
    "  end\n"
    "  redis.call('SET', key, string.format('%.0f:%.0f', a, b), 'PX', string.format('%.0f', "
    "ttl_ms))\n"
    "end\n"
    "return 1\n";

struct redis_limits {
    struct redis *redis;
    struct str prefix;
    struct redis_script take, settle;
};

struct redis_limits *redis_limits_new(struct redis *redis, struct str prefix) {
    struct redis_limits *limits = calloc(1, sizeof(*limits));
    if (!limits)
        return NULL;
    limits->redis = redis;
    limits->prefix = prefix;
    if (redis_script_init(&limits->take, take_body) < 0 ||
        redis_script_init(&limits->settle, settle_body) < 0) {
        redis_limits_free(limits);
        return NULL;
    }
    return limits;
}

void redis_limits_free(struct redis_limits *limits) {
    if (!limits)
        return;
    redis_script_fini(&limits->take);
    redis_script_fini(&limits->settle);
    free(limits);
}

/* ---- what the scripts are told */

struct telling {
    char names[LIMITER_CHARGES_MAX][REDIS_COUNTER_KEY_MAX];
    char numbers[LIMITER_CHARGES_MAX][NUMBERS][24];
    struct str keys[LIMITER_CHARGES_MAX], arguments[1 + LIMITER_CHARGES_MAX * NUMBERS];
    size_t n_keys, n;
};

static void tell(struct telling *t, const struct limit_charge *charge,
                 const int64_t numbers[NUMBERS - 1]) {
    t->arguments[t->n++] = charge->policy->kind == LIMIT_RATE ? STR("r") : STR("q");
    for (size_t i = 0; i < NUMBERS - 1; i++) {
        char *at = t->numbers[t->n_keys][i];
        snprintf(at, 24, "%lld", (long long)numbers[i]);
        t->arguments[t->n++] = str_of(at);
    }
    t->keys[t->n_keys] = str_of(t->names[t->n_keys]);
    t->n_keys++;
}

static void tell_taking(struct telling *t, const struct limit_charge *charge, int64_t now_us) {
    const struct limit_policy *policy = charge->policy;
    int64_t cost = charge->cost < REDIS_COUNTER_MAX / 4 ? charge->cost : REDIS_COUNTER_MAX / 4;
    int64_t numbers[NUMBERS - 1] = {policy->is_shadow, cost};
    if (policy->kind == LIMIT_RATE) {
        numbers[2] = policy->rate.count;
        redis_counter_time(&policy->rate, cost, &numbers[3], &numbers[4]);
        redis_counter_time(&policy->rate, policy->rate.burst, &numbers[5], &numbers[6]);
        if (cost > policy->rate.burst) /* never, also where both are as long as can be told */
            numbers[5] = 0, numbers[6] = -1;
    } else {
        numbers[2] = policy->quota.limit;
        redis_counter_windows(charge, now_us, &numbers[3]);
    }
    tell(t, charge, numbers);
}

static void tell_settling(struct telling *t, const struct limit_charge *charge, int64_t change,
                          int64_t taken_end_s, int64_t now_us) {
    int64_t amount = change < 0 ? -change : change;
    int64_t numbers[NUMBERS - 1] = {0};
    if (charge->policy->kind == LIMIT_RATE) {
        numbers[1] = change < 0 ? -1 : 1;
        numbers[2] = charge->policy->rate.count;
        redis_counter_time(&charge->policy->rate, amount, &numbers[3], &numbers[4]);
    } else {
        numbers[1] = change;
        redis_counter_windows(charge, now_us, &numbers[3]);
        numbers[5] = taken_end_s;
    }
    tell(t, charge, numbers);
}

/* ---- groups: what one call can carry */

/* On a Cluster the charges that share their key with the first of `left`; else all of them. */
static unsigned group_of(const struct redis_limits *limits, const struct limit_charge *charges,
                         size_t n, unsigned left) {
    unsigned group = 0;
    const struct limit_charge *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!(left & 1u << i))
            continue;
        if (!first)
            first = &charges[i];
        assert(first != NULL);
        if (!redis_is_cluster(limits->redis) ||
            (charges[i].policy->key == first->policy->key && str_eq(charges[i].key, first->key)))
            group |= 1u << i;
    }
    return group;
}

static unsigned all_of(size_t n) { return (1u << n) - 1; }

static int64_t now_us_for(const struct redis_limits *limits, const char *name) {
    int64_t now_us = redis_now_us(limits->redis, str_of(name));
    return now_us > 0 ? now_us : clock_now().wall_ns / 1000; /* away: it will not be sent */
}

static void settle_group(struct redis_limits *limits, const struct limit_charge *charges, size_t n,
                         unsigned group, const int64_t changes[LIMITER_CHARGES_MAX],
                         const int64_t taken_end_s[LIMITER_CHARGES_MAX]) {
    struct telling t = {.n = 0};
    t.arguments[t.n++] = STR("0");
    for (size_t i = 0; i < n; i++)
        if (group & 1u << i && changes[i] != 0 &&
            redis_counter_key(limits->prefix, &charges[i], t.names[t.n_keys]))
            tell_settling(&t, &charges[i], changes[i], taken_end_s[i],
                          now_us_for(limits, t.names[t.n_keys]));
    if (t.n_keys > 0 && redis_run(limits->redis, NULL, &limits->settle, t.keys, t.n_keys,
                                  t.arguments, t.n, NULL) < 0)
        return; /* no memory: as lost as with Redis away */
}

/* ---- taking */

static void finish(struct redis_taking *taking, enum redis_verdict verdict) {
    struct limit_outcome *outcome = &taking->outcome;
    bool fails = verdict != REDIS_ANSWERED || taking->is_refused;
    if (fails && taking->taken) {
        int64_t changes[LIMITER_CHARGES_MAX] = {0}, ends_s[LIMITER_CHARGES_MAX] = {0};
        for (size_t i = 0; i < outcome->n; i++) {
            bool was_taken = taking->taken & 1u << i && outcome->states[i].allowed;
            changes[i] = was_taken ? -taking->charges[i].cost : 0;
            ends_s[i] = outcome->states[i].window.end_s;
        }
        for (unsigned left = taking->taken; left;) {
            unsigned group = group_of(taking->limits, taking->charges, outcome->n, left);
            settle_group(taking->limits, taking->charges, outcome->n, group, changes, ends_s);
            left &= ~group;
        }
    }
    outcome->allowed = !taking->is_refused;
    for (size_t i = 0; verdict == REDIS_ANSWERED && i < outcome->n; i++) {
        struct limit_charge charge = taking->charges[i];
        struct now now = {.wall_ns = taking->now_us[i] * 1000};
        if (taking->is_refused && outcome->states[i].allowed) {
            charge.cost = 0; /* nothing was taken: what stands */
            outcome->states[i] = limit_counter_look(&taking->before[i], &charge, &now);
        }
    }
    if (verdict == REDIS_ANSWERED)
        limit_outcome_conclude(outcome, taking->charges);
    taking->on_done(taking, verdict);
}

static bool read_group(struct redis_taking *taking, const struct redis_reply *reply) {
    const struct redis_reply *list = reply->list;
    size_t at = 2;
    bool is_allowed = true;
    if (reply->kind != REPLY_ARRAY || reply->n < 2 || list[0].integer <= 0 ||
        list[0].integer > REDIS_COUNTER_MAX / 2)
        return false;
    struct now now = {.wall_ns = list[0].integer * 1000};
    for (size_t i = 0; i < taking->outcome.n; i++) {
        const struct limit_charge *charge = &taking->charges[i];
        if (!(taking->asking & 1u << i))
            continue;
        if (at + 2 > reply->n || !redis_counter_read(charge->policy, &list[at], &taking->before[i]))
            return false;
        at += 2;
        taking->now_us[i] = list[0].integer;
        taking->outcome.states[i] = limit_counter_look(&taking->before[i], charge, &now);
        is_allowed &= taking->outcome.states[i].allowed || charge->policy->is_shadow;
    }
    taking->is_refused |= !is_allowed;
    return is_allowed == (list[1].integer == 1);
}

static int ask_next(struct redis_taking *taking);

static void on_group(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct redis_taking *taking = CONTAINER_OF(call, struct redis_taking, call);
    bool has_counted = taking->counts && !taking->is_refused;
    if (verdict == REDIS_ANSWERED && !read_group(taking, reply))
        verdict = REDIS_NONSENSE;
    if (verdict == REDIS_ANSWERED && has_counted && !taking->is_refused)
        taking->taken |= taking->asking;
    taking->asked |= taking->asking;
    if (verdict == REDIS_ANSWERED && taking->asked != all_of(taking->outcome.n)) {
        if (ask_next(taking) == 0)
            return;
        verdict = REDIS_OVERLOADED;
    }
    finish(taking, verdict);
}

static int ask_next(struct redis_taking *taking) {
    struct redis_limits *limits = taking->limits;
    size_t n = taking->outcome.n;
    struct telling t = {.n = 0};
    taking->asking = group_of(limits, taking->charges, n, all_of(n) & ~taking->asked);
    t.arguments[t.n++] = taking->counts && !taking->is_refused ? STR("1") : STR("0");
    for (size_t i = 0; i < n; i++) {
        if (!(taking->asking & 1u << i))
            continue;
        if (!redis_counter_key(limits->prefix, &taking->charges[i], t.names[t.n_keys]))
            return -E2BIG;
        tell_taking(&t, &taking->charges[i], now_us_for(limits, t.names[t.n_keys]));
    }
    return redis_run(limits->redis, &taking->call, &limits->take, t.keys, t.n_keys, t.arguments,
                     t.n, on_group);
}

int redis_limits_take(struct redis_limits *limits, struct redis_taking *taking,
                      const struct limit_charge *charges, size_t n, bool counts,
                      void (*on_done)(struct redis_taking *, enum redis_verdict)) {
    assert(n >= 1 && n <= LIMITER_CHARGES_MAX);
    assert(!taking->call.pending);
    *taking = (struct redis_taking){
        .on_done = on_done, .limits = limits, .charges = charges, .counts = counts};
    taking->outcome.n = n;
    return ask_next(taking);
}

union limit_counter redis_taking_found(const struct redis_taking *taking, size_t i,
                                       int64_t mono_ns) {
    const struct limit_charge *charge = &taking->charges[i];
    struct now now = {.wall_ns = taking->now_us[i] * 1000};
    union limit_counter found = taking->before[i];
    if (taking->counts && !taking->is_refused && taking->outcome.states[i].allowed)
        (void)limit_counter_take(&found, charge, &now);
    if (charge->policy->kind == LIMIT_RATE)
        found.bucket.tat_ns += mono_ns;
    return found;
}

void redis_limits_cancel(struct redis_taking *taking) { redis_cancel(&taking->call); }

void redis_limits_settle(struct redis_limits *limits, const struct limit_charge *charges,
                         const struct limit_outcome *outcome, int64_t change) {
    int64_t changes[LIMITER_CHARGES_MAX] = {0}, ends_s[LIMITER_CHARGES_MAX] = {0};
    for (size_t i = 0; i < outcome->n; i++) {
        changes[i] = outcome->states[i].allowed ? change : 0;
        ends_s[i] = outcome->states[i].window.end_s;
    }
    for (unsigned left = all_of(outcome->n); left;) {
        unsigned group = group_of(limits, charges, outcome->n, left);
        settle_group(limits, charges, outcome->n, group, changes, ends_s);
        left &= ~group;
    }
}
