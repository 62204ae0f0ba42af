/* SPDX-License-Identifier: MIT */
#include "io/settling.h"

#include "base/hash.h"
#include "base/log.h"
#include "redis_counter.h"
#include <stdio.h>
#include <stdlib.h>

#define TICK_NS     (100 * NS_PER_MS)
#define BATCHES_MAX 32
#define TOLD_MS     "600000"
#define UNSURE_NS   (300 * NS_PER_S) /* well within that */
#define TOLD_BYTES  (REDIS_COUNTER_KEY_MAX + 32)

/* What is lent (redis_limits.h) stays as it is. ARGV[2]: 'r' or 'q'; then of a rate the microseconds, of a quota the calls (below 0 to take back) and the end of their window; then
 * how long the number is kept. */
static const char body[] =
    "if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[5]) then return 0 end\n"
    "local a, b, rest = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+)(.*)$')\n"
    "a, b, rest = tonumber(a or 0), tonumber(b or 0), rest or ''\n"
    "local owed, ttl_ms = tonumber(ARGV[3]), nil\n"
    "if ARGV[2] == 'r' then\n"
    "  if a < now then a, b = now, 0 end\n"
    "  a = math.min(a + owed, now + 6311520000000000)\n"
    "  if a < now then a, b = now, 0 end\n"
    "  ttl_ms = math.floor((a - now) / 1000) + 2\n"
    "else\n"
    "  local end_s = tonumber(ARGV[4])\n"
    "  if end_s * 1000000 <= now then return 1 end\n"
    "  if a * 1000000 <= now then a, b = end_s, 0 end\n"
    "  b = math.max(0, b + owed)\n"
    "  ttl_ms = a * 1000 - math.floor(now / 1000) + 1\n"
    "end\n"
    "if rest ~= '' then ttl_ms = math.max(ttl_ms, redis.call('PTTL', KEYS[1])) end\n"
    "redis.call('SET', KEYS[1], string.format('%.0f:%.0f', a, b) .. rest, 'PX',\n"
    "  string.format('%.0f', ttl_ms))\n"
    "return 1\n";

/* One counter's arrears, on their way. */
struct batch {
    struct batch *next;
    struct settling *settling;
    struct arrear *arrear;
    struct redis_call call;
    char number[17];
    int64_t unsure_ns; /* since when it may have been told; 0: it was not */
};

struct settling {
    struct settling_parts parts;
    struct redis_script script;
    struct timer timer;
    bool is_ticking;
    struct batch *batches;
    size_t n_batches;
    uint64_t n_told, n_given_up; /* since the last line in the log */
};

static const struct now *now_of(const struct settling *settling) {
    return loop_now(settling->parts.loop);
}

/* ---- one batch ---- */

static void release(struct batch *batch) {
    redis_cancel(&batch->call);
    free(batch->arrear);
    free(batch);
}

static void batch_free(struct batch *batch) {
    struct batch **at = &batch->settling->batches;
    while (*at != batch)
        at = &(*at)->next;
    *at = batch->next;
    batch->settling->n_batches--;
    release(batch);
}

/* Takes the arrear. */
static void batch_new(struct settling *settling, struct arrear *arrear) {
    struct batch *batch = calloc(1, sizeof(*batch));
    uint64_t number;
    if (!batch) {
        settling->n_given_up++;
        free(arrear);
        return;
    }
    random_bytes(&number, sizeof(number));
    snprintf(batch->number, sizeof(batch->number), "%016llx", (unsigned long long)number);
    batch->settling = settling;
    batch->arrear = arrear;
    batch->next = settling->batches;
    settling->batches = batch;
    settling->n_batches++;
}

static void move_on(struct settling *settling);

static void on_told(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct batch *batch = CONTAINER_OF(call, struct batch, call);
    struct settling *settling = batch->settling;
    (void)reply;
    switch (verdict) {
    case REDIS_ANSWERED:
        settling->n_told++;
        batch_free(batch);
        move_on(settling);
        break;
    case REDIS_ERROR: /* the counter's key holds something else: it is no counter of ours */
        settling->n_given_up++;
        batch_free(batch);
        break;
    case REDIS_AWAY:
    case REDIS_OVERLOADED:
    case REDIS_REFUSED:
        break;
    case REDIS_LATE:
    case REDIS_LOST:
    case REDIS_NONSENSE:
        if (batch->unsure_ns == 0)
            batch->unsure_ns = now_of(settling)->mono_ns;
        break;
    }
}

/* False: the batch is gone, there is nothing left to tell or it is too late. */
static bool batch_send(struct batch *batch) {
    struct settling *settling = batch->settling;
    const struct arrear *arrear = batch->arrear;
    const struct now *now = now_of(settling);
    char told[TOLD_BYTES], owed_text[24], end_text[24];
    int64_t owed = arrear_owed(arrear, now);
    bool is_stale = batch->unsure_ns > 0 && now->mono_ns - batch->unsure_ns > UNSURE_NS;
    if (owed == 0 || is_stale) {
        settling->n_given_up += is_stale;
        batch_free(batch);
        return false;
    }
    int n = snprintf(told, sizeof(told), STR_FMT ":told:%s", STR_ARG(arrear_name(arrear)),
                     batch->number);
    snprintf(owed_text, sizeof(owed_text), "%lld", (long long)owed);
    snprintf(end_text, sizeof(end_text), "%lld", (long long)arrear->end_s);
    const struct str keys[] = {arrear_name(arrear), {told, (size_t)n}};
    const struct str arguments[] = {arrear->kind == LIMIT_RATE ? STR("r") : STR("q"),
                                    str_of(owed_text), str_of(end_text), STR(TOLD_MS)};
    if (redis_run(settling->parts.redis, &batch->call, &settling->script, keys, 2, arguments, 4,
                  on_told) < 0)
        return true; /* no memory: at the next tick */
    return true;
}

/* ---- all of them ---- */

static bool is_reachable(const void *arg, struct str name) {
    const struct settling *settling = arg;
    return redis_is_up(settling->parts.redis, name);
}

/* As many as may be under way. */
static void move_on(struct settling *settling) {
    struct arrear *arrear;
    while (settling->n_batches < BATCHES_MAX &&
           (arrear = arrears_take(settling->parts.arrears, is_reachable, settling))) {
        size_t n_before = settling->n_batches;
        batch_new(settling, arrear);
        if (settling->n_batches > n_before)
            batch_send(settling->batches);
    }
}

static void send_again(struct settling *settling) {
    for (struct batch *batch = settling->batches, *next; batch; batch = next) {
        next = batch->next;
        if (!batch->call.pending && is_reachable(settling, arrear_name(batch->arrear)))
            batch_send(batch);
    }
}

static void tell_log(struct settling *settling) {
    if (settling->n_given_up > 0)
        log_warn("not all that passed while Redis was away could be told to it",
                 F_INT("counters", settling->n_told),
                 F_INT("counters_given_up", settling->n_given_up));
    else if (settling->n_told > 0)
        log_info("what passed while Redis was away was told to it",
                 F_INT("counters", settling->n_told));
    settling->n_told = settling->n_given_up = 0;
}

static void tick(struct timer *timer) {
    struct settling *settling = CONTAINER_OF(timer, struct settling, timer);
    send_again(settling);
    move_on(settling);
    settling->is_ticking = settling->n_batches > 0 || arrears_count(settling->parts.arrears) > 0;
    if (settling->is_ticking)
        loop_timer_set(settling->parts.loop, timer, now_of(settling)->mono_ns + TICK_NS, tick);
    else
        tell_log(settling);
}

static void start_ticking(struct settling *settling) {
    if (settling->is_ticking)
        return;
    settling->is_ticking = true;
    loop_timer_set(settling->parts.loop, &settling->timer, now_of(settling)->mono_ns + TICK_NS,
                   tick);
}

/* ---- use ---- */

void settling_owe(struct settling *settling, const struct limit_charge *charges,
                  const struct limit_outcome *outcome, const int64_t calls[LIMITER_CHARGES_MAX],
                  int64_t machines) {
    const struct now *now = now_of(settling);
    char name[REDIS_COUNTER_KEY_MAX];
    for (size_t i = 0; i < outcome->n; i++) {
        if (calls[i] == 0 || !outcome->states[i].allowed ||
            !redis_counter_key(settling->parts.prefix, &charges[i], name))
            continue;
        const struct arrears_call call = {.name = str_of(name),
                                          .policy = charges[i].policy,
                                          .calls = calls[i],
                                          .machines = machines,
                                          .state = &outcome->states[i]};
        if (!arrears_note(settling->parts.arrears, &call, now))
            settling->n_given_up++;
    }
    start_ticking(settling);
}

void settling_undo(struct settling *settling, const struct limit_charge *charge,
                   const struct limit_state *state, int64_t asked_ns) {
    char name[REDIS_COUNTER_KEY_MAX];
    if (charge->cost == 0 || !redis_counter_key(settling->parts.prefix, charge, name))
        return;
    const struct arrears_undone undone = {.name = str_of(name),
                                          .policy = charge->policy,
                                          .calls = charge->cost,
                                          .end_s = state->window.end_s,
                                          .dry_ns = asked_ns + state->reset_ns};
    if (!arrears_undo(settling->parts.arrears, &undone, now_of(settling)))
        settling->n_given_up++;
    start_ticking(settling);
}

size_t settling_under_way(const struct settling *settling) { return settling->n_batches; }

/* ---- life ---- */

struct settling *settling_new(const struct settling_parts *parts) {
    struct settling *settling = calloc(1, sizeof(*settling));
    if (!settling)
        return NULL;
    settling->parts = *parts;
    if (redis_script_init(&settling->script, body) < 0) {
        free(settling);
        return NULL;
    }
    return settling;
}

void settling_free(struct settling *settling) {
    if (!settling)
        return;
    loop_timer_clear(settling->parts.loop, &settling->timer);
    for (struct batch *batch = settling->batches, *next; batch; batch = next) {
        next = batch->next;
        release(batch);
    }
    redis_script_fini(&settling->script);
    free(settling);
}
