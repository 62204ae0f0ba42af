/* SPDX-License-Identifier: MIT */
/* The sums are those of limit_scripts.c: whole numbers below 2^53. */
#include "io/redis_usage.h"

#include "redis_counter.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 6 /* of each counter, behind its kind */

/* ARGV[2]: look, change or reset. Then of each key, from ARGV[3] on, seven:
 *
 *   'r'  sign    count add_us add_parts 0 0
 *   'q'  change  0 0 0 end_s next_end_s
 *
 * Answers { now, and of each key how it stands: A - now or A, B }. Debt is bounded as in limit_scripts.c. A reset forgets what was lent, too, so
 * that no lease from before gives back what nobody counts. */
static const char body[] =
    "local answer = {now}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local at = 7 * i - 4\n"
    "  local n = {}\n"
    "  for j = 1, 6 do n[j] = tonumber(ARGV[at + j]) end\n"
    "  local a, b, rest = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)(.*)$')\n"
    "  a, b, rest = tonumber(a or 0), tonumber(b or 0), rest or ''\n"
    "  if ARGV[2] == 'reset' then rest = '' end\n"
    "  local ttl_ms\n"
    "  if ARGV[at] == 'r' then\n"
    "    if a < now or ARGV[2] == 'reset' then a, b = now, 0 end\n"
    "    if ARGV[2] == 'change' then\n"
    "      a, b = a + n[1] * n[3], b + n[1] * n[4]\n"
    "      if b < 0 then a, b = a - 1, b + n[2] end\n"
    "      if b >= n[2] then a, b = a + 1, b - n[2] end\n"
    "      if a < now then a, b = now, 0 end\n"
    "      a = math.min(a, now + 6311520000000000)\n"
    "    end\n"
    "    answer[2 * i], answer[2 * i + 1] = a - now, b\n"
    "    ttl_ms = math.floor((a - now) / 1000) + 2\n"
    "  else\n"
    "    if a * 1000000 <= now then\n"
    "      a, b = n[5], 0\n"
    "      if a * 1000000 <= now then a = n[6] end\n"
    "    end\n"
    "    if ARGV[2] == 'reset' then b = 0 end\n"
    "    if ARGV[2] == 'change' then b = math.min(math.max(0, b + n[1]), 2^52) end\n"
    "    answer[2 * i], answer[2 * i + 1] = a, b\n"
    "    ttl_ms = a * 1000 - math.floor(now / 1000) + 1\n"
    "  end\n"
    "  if ARGV[2] ~= 'look' then\n"
    "    if rest ~= '' then ttl_ms = math.max(ttl_ms, redis.call('PTTL', key)) end\n"
    "    redis.call('SET', key, string.format('%.0f:%.0f', a, b) .. rest, 'PX',\n"
    "      string.format('%.0f', ttl_ms))\n"
    "  end\n"
    "end\n"
    "return answer\n";

struct redis_usage {
    struct redis *redis;
    struct str prefix;
    struct redis_script script;
};

struct redis_usage *redis_usage_new(struct redis *redis, struct str prefix) {
    struct redis_usage *usage = calloc(1, sizeof(*usage));
    if (!usage)
        return NULL;
    usage->redis = redis;
    usage->prefix = prefix;
    if (redis_script_init(&usage->script, body) == 0)
        return usage;
    redis_usage_free(usage);
    return NULL;
}

void redis_usage_free(struct redis_usage *usage) {
    if (!usage)
        return;
    redis_script_fini(&usage->script);
    free(usage);
}

/* ---- asking */

struct question {
    char names[LIMITER_CHARGES_MAX][REDIS_COUNTER_KEY_MAX];
    char numbers[LIMITER_CHARGES_MAX][NUMBERS][24];
    struct str keys[LIMITER_CHARGES_MAX], arguments[1 + LIMITER_CHARGES_MAX * (1 + NUMBERS)];
    size_t n;
};

static void put(struct question *q, size_t i, const struct limit_charge *charge, int64_t change,
                int64_t now_us) {
    const struct limit_policy *policy = charge->policy;
    int64_t numbers[NUMBERS] = {change};
    if (policy->kind == LIMIT_RATE) {
        numbers[0] = change < 0 ? -1 : 1;
        numbers[1] = policy->rate.count;
        redis_counter_time(&policy->rate, change < 0 ? -change : change, &numbers[2], &numbers[3]);
    } else {
        redis_counter_windows(charge, now_us, &numbers[4]);
    }
    q->arguments[q->n++] = policy->kind == LIMIT_RATE ? STR("r") : STR("q");
    for (size_t j = 0; j < NUMBERS; j++) {
        snprintf(q->numbers[i][j], sizeof(q->numbers[i][j]), "%lld", (long long)numbers[j]);
        q->arguments[q->n++] = str_of(q->numbers[i][j]);
    }
}

static struct str act_name(enum usage_act act) {
    switch (act) {
    case USAGE_LOOK:
        return STR("look");
    case USAGE_CHANGE:
        return STR("change");
    case USAGE_RESET:
        break;
    }
    return STR("reset");
}

static bool read_answer(struct redis_usage_call *call, const struct redis_reply *reply) {
    if (reply->kind != REPLY_ARRAY || reply->n != 1 + 2 * call->n ||
        reply->list[0].kind != REPLY_INTEGER || reply->list[0].integer <= 0 ||
        reply->list[0].integer > REDIS_COUNTER_MAX / 2)
        return false;
    call->now_us = reply->list[0].integer;
    for (size_t i = 0; i < call->n; i++)
        if (!redis_counter_read(call->charges[i].policy, &reply->list[1 + 2 * i], &call->found[i]))
            return false;
    return true;
}

static void on_answer(struct redis_call *asked, enum redis_verdict verdict,
                      const struct redis_reply *reply) {
    struct redis_usage_call *call = CONTAINER_OF(asked, struct redis_usage_call, call);
    if (verdict == REDIS_ANSWERED && !read_answer(call, reply))
        verdict = REDIS_NONSENSE;
    call->on_done(call, verdict);
}

int redis_usage_run(struct redis_usage *usage, struct redis_usage_call *call, enum usage_act act,
                    const struct limit_charge *charges, size_t n, int64_t change,
                    void (*on_done)(struct redis_usage_call *, enum redis_verdict)) {
    struct question q = {.n = 0};
    assert(n >= 1 && n <= LIMITER_CHARGES_MAX);
    assert(!call->call.pending);
    *call = (struct redis_usage_call){.on_done = on_done, .charges = charges, .n = n};
    q.arguments[q.n++] = act_name(act);
    for (size_t i = 0; i < n; i++) {
        if (!redis_counter_key(usage->prefix, &charges[i], q.names[i]))
            return -E2BIG;
        q.keys[i] = str_of(q.names[i]);
        int64_t now_us = redis_now_us(usage->redis, q.keys[i]);
        put(&q, i, &charges[i], change, now_us > 0 ? now_us : clock_now().wall_ns / 1000);
    }
    return redis_run(usage->redis, &call->call, &usage->script, q.keys, n, q.arguments, q.n,
                     on_answer);
}

void redis_usage_cancel(struct redis_usage_call *call) { redis_cancel(&call->call); }
