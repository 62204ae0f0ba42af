/* SPDX-License-Identifier: MIT */
/* Think of a bucket that leaks steadily. A call pours its cost in; one that would spill over is
 * turned away and pours nothing. The bucket need not be watched: when it will have run dry (`tat`)
 * says all about how full it is now.
 *
 *      level
 *      room -|- - - - - - - - - - - - - - - -      room = burst, in time: what an empty bucket takes
 *            |  |\
 *            |  | \  |\            a call adds period/count of time, and moves `tat` right by it
 *            |  |  \ | \
 *            |  |   \|  \
 *            |  |        \         time takes 1 ns a ns
 *       0 ---+--+-----|----*------------> now
 *            idle    now  tat
 *
 * The level is now's distance to `tat`. `tat` in the past is an empty bucket: it leaks no further,
 * so idle time is not saved up. A call waits for level + cost to come down to the room.
 *
 * One call is period/count ns, rarely a whole number. So levels are counted in parts of 1/count ns:
 * then a call is exactly `period` parts, one ns is `count` parts, and nothing is ever rounded but
 * what is told to the caller, which is rounded up. Levels take up to 2^93 parts, hence the width. */
#include "limit/bucket.h"

#include <assert.h>

/* Debt beyond it is not told apart; it keeps times within 64 bits until 2080. */
#define DEBT_MAX_NS (2 * BUCKET_REFILL_MAX_NS)

typedef __int128 parts;

bool bucket_rule_is_valid(const struct bucket_rule *rule) {
    if (rule->period_ns < BUCKET_PERIOD_MIN_NS || rule->period_ns > BUCKET_PERIOD_MAX_NS)
        return false;
    if (rule->count < 1 || rule->count > BUCKET_COUNT_MAX)
        return false;
    if (rule->burst < 1 || rule->burst > BUCKET_COUNT_MAX)
        return false;
    return (parts)rule->burst * rule->period_ns <= (parts)BUCKET_REFILL_MAX_NS * rule->count;
}

static parts level_at(const struct bucket *b, const struct bucket_rule *rule, int64_t now_ns) {
    assert(bucket_rule_is_valid(rule));
    assert(b->tat_parts < rule->count);
    assert(now_ns >= 0);
    parts level = (parts)(b->tat_ns - now_ns) * rule->count + b->tat_parts;
    return level > 0 ? level : 0;
}

static void set_level(struct bucket *b, const struct bucket_rule *rule, parts level,
                      int64_t now_ns) {
    b->tat_ns = now_ns + (int64_t)(level / rule->count);
    b->tat_parts = (uint32_t)(level % rule->count);
}

static int64_t ns_rounded_up(parts level, const struct bucket_rule *rule) {
    return (int64_t)((level + rule->count - 1) / rule->count);
}

static struct limit_state judge(parts level, const struct bucket_rule *rule, int64_t cost) {
    assert(cost >= 0);
    parts room = (parts)rule->burst * rule->period_ns;
    parts poured = level + (parts)cost * rule->period_ns;
    struct limit_state state = {.allowed = cost == 0 || poured <= room};
    if (state.allowed)
        level = poured;
    else if (cost > rule->burst)
        state.wait_ns = INT64_MAX;
    else
        state.wait_ns = ns_rounded_up(poured - room, rule);
    /* An older clock than the last caller's sees more than the room. */
    if (level < room)
        state.remaining = (int64_t)((room - level) / rule->period_ns);
    state.reset_ns = ns_rounded_up(level, rule);
    assert(state.allowed == (state.wait_ns == 0));
    return state;
}

struct limit_state bucket_look(const struct bucket *b, const struct bucket_rule *rule, int64_t cost,
                               int64_t now_ns) {
    return judge(level_at(b, rule, now_ns), rule, cost);
}

struct limit_state bucket_take(struct bucket *b, const struct bucket_rule *rule, int64_t cost,
                               int64_t now_ns) {
    parts level = level_at(b, rule, now_ns);
    struct limit_state state = judge(level, rule, cost);
    if (state.allowed)
        set_level(b, rule, level + (parts)cost * rule->period_ns, now_ns);
    return state;
}

void bucket_settle(struct bucket *b, const struct bucket_rule *rule, int64_t change,
                   int64_t now_ns) {
    const parts full = (parts)DEBT_MAX_NS * rule->count;
    parts level = level_at(b, rule, now_ns) + (parts)change * rule->period_ns;
    set_level(b, rule, level < 0 ? 0 : level > full ? full : level, now_ns);
}

int64_t bucket_used(const struct bucket *b, const struct bucket_rule *rule, int64_t now_ns) {
    parts used = (level_at(b, rule, now_ns) + rule->period_ns - 1) / rule->period_ns;
    return used < INT64_MAX ? (int64_t)used : INT64_MAX;
}

bool bucket_is_new(const struct bucket *b, int64_t now_ns) {
    return b->tat_ns < now_ns || (b->tat_ns == now_ns && b->tat_parts == 0);
}
