/* SPDX-License-Identifier: MIT */
/* A window is two dates, and a date begins when the clocks first show it:
 *
 *     local   29th 23:00   00:00 30th   01:00        02:00 -> 03:00
 *             --------------|------------------------------x----------
 *                           start(30th)             the 30th has 23 hours
 *
 * So all there is to decide is which dates; zone_first_at knows when they begin. Clocks that go back over midnight show a date twice:
 * its second showing belongs to the window that began with the first. */
#include "limit/window.h"

#include "civil.h"
#include <assert.h>

#define USED_MAX (INT64_C(1000000) * WINDOW_LIMIT_MAX) /* debt beyond is not told apart */

const char *window_kind_name(enum window_kind kind) {
    static const char *const names[] = {"day", "week", "month"};
    return names[kind];
}

/* ---- when ---- */

static int clamp_day(int64_t year, int month, int day) {
    int last = civil_month_days(year, month);
    return day < last ? day : last;
}

/* The first day of the window that begins in the n-th month since year 0. */
static int64_t month_start(const struct window_rule *rule, int64_t n) {
    int64_t year = floor_div(n, 12);
    int month = (int)(n - 12 * year) + 1;
    return civil_days(year, month, clamp_day(year, month, rule->anchor_day));
}

/* Windows are numbered; the one that holds the day `days`, and the day at which the n-th begins. */
static int64_t number_of(const struct window_rule *rule, int64_t days) {
    switch (rule->kind) {
    case WINDOW_DAY:
        return days;
    case WINDOW_WEEK: /* 1970-01-05 was a Monday */
        return floor_div(days - 4, 7);
    case WINDOW_MONTH:
        break;
    }
    struct civil date = civil_of(days);
    int64_t n = 12 * date.year + date.month - 1;
    return n - (days < month_start(rule, n));
}

static int64_t start_of(const struct window_rule *rule, int64_t n) {
    int64_t day = n;
    switch (rule->kind) {
    case WINDOW_DAY:
        break;
    case WINDOW_WEEK:
        day = 7 * n + 4;
        break;
    case WINDOW_MONTH:
        day = month_start(rule, n);
        break;
    }
    return zone_first_at(rule->zone, day * DAY_S);
}

struct window window_at(const struct window_rule *rule, int64_t unix_s) {
    assert(rule->anchor_day >= 1 && rule->anchor_day <= 31);
    int64_t local_s = unix_s + zone_at(rule->zone, unix_s).offset_s;
    int64_t n = number_of(rule, floor_div(local_s, DAY_S));
    struct window window = {start_of(rule, n), start_of(rule, n + 1)};
    while (window.end_s <= unix_s)
        window = (struct window){window.end_s, start_of(rule, ++n + 1)};
    assert(window.start_s <= unix_s);
    return window;
}

/* ---- how much ---- */

static int64_t used_at(const struct window_count *c, int64_t wall_ns) {
    return window_is_new(c, wall_ns) ? 0 : c->used;
}

static struct limit_state judge(int64_t used, const struct window_rule *rule, struct window window,
                                int64_t cost, int64_t wall_ns) {
    assert(cost >= 0 && rule->limit >= 1);
    int64_t room = used < rule->limit ? rule->limit - used : 0;
    struct limit_state state = {.allowed = cost == 0 || cost <= room, .window = window};
    int64_t to_end_ns = window.end_s * NS_PER_S - wall_ns;
    if (!state.allowed)
        state.wait_ns = cost > rule->limit ? INT64_MAX : to_end_ns;
    state.remaining = state.allowed ? room - (cost < room ? cost : room) : room;
    state.reset_ns = used > 0 || (state.allowed && cost > 0) ? to_end_ns : 0;
    return state;
}

struct limit_state window_look(const struct window_count *c, const struct window_rule *rule,
                               int64_t cost, int64_t wall_ns) {
    struct window window = window_at(rule, floor_div(wall_ns, NS_PER_S));
    return judge(used_at(c, wall_ns), rule, window, cost, wall_ns);
}

struct limit_state window_take(struct window_count *c, const struct window_rule *rule, int64_t cost,
                               int64_t wall_ns) {
    struct limit_state state = window_look(c, rule, cost, wall_ns);
    if (state.allowed)
        *c = (struct window_count){state.window.end_s, used_at(c, wall_ns) + cost};
    return state;
}

void window_settle(struct window_count *c, const struct window_rule *rule, int64_t change,
                   int64_t taken_end_s, int64_t wall_ns) {
    if (change < 0 && taken_end_s * NS_PER_S <= wall_ns)
        return;
    int64_t used = used_at(c, wall_ns) + change;
    used = used < 0 ? 0 : used > USED_MAX ? USED_MAX : used;
    *c = (struct window_count){window_at(rule, floor_div(wall_ns, NS_PER_S)).end_s, used};
}

bool window_is_new(const struct window_count *c, int64_t wall_ns) {
    return c->used <= 0 || c->end_s * NS_PER_S <= wall_ns;
}
