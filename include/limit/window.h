/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/state.h"
#include "limit/zone.h"

/* Calendar windows: a quota counts from the beginning of a local day, week (Monday, ISO 8601) or month to the next. Days
 * have 23, 24 or 25 hours, as the clocks change; months begin on the anchor day, or on the month's last day where it has no such
 * day. Windows of one rule follow each other without a gap. Pure: reads no clock, allocates nothing, never fails.
 *
 * In any window the calls admitted are at most `limit`, and what settling adds (window_settle). */
enum window_kind { WINDOW_DAY, WINDOW_WEEK, WINDOW_MONTH };
struct window_rule {
    enum window_kind kind;
    int anchor_day; /* 1..31; of months only, elsewhere 1 */
    int64_t limit;  /* 1 .. WINDOW_LIMIT_MAX */
    const struct zone *zone;
};
#define WINDOW_LIMIT_MAX INT64_C(1000000000000)
const char *window_kind_name(enum window_kind kind); /* "day", "week", "month" */

/* The window in which `unix_s` lies: start_s <= unix_s < end_s. */
struct window window_at(const struct window_rule *rule, int64_t unix_s);

/* What was used in the window that ends at end_s. {0, 0}: nothing. */
struct window_count {
    int64_t end_s, used;
};

/* What would a call of `cost` (>= 0) meet at wall_ns (unix)? Changes nothing. A cost of 0 is always allowed. A count whose window is not over
 * by the clock stands, even where the rule's windows have moved since (another zone, another anchor day): it is used up, not forgiven.
 * wait_ns is the time until the window's end. */
struct limit_state window_look(const struct window_count *c, const struct window_rule *rule,
                               int64_t cost, int64_t wall_ns);
/* The same, and counts it when allowed. */
struct limit_state window_take(struct window_count *c, const struct window_rule *rule, int64_t cost,
                               int64_t wall_ns);
/* Charge a difference that became known later; nothing is refused, so more than the limit may be used, and nobody passes until the window's
 * end. What is given back (change < 0) must have been taken in the window that ends at taken_end_s; when that is over it is
 * nobody's any more. */
void window_settle(struct window_count *c, const struct window_rule *rule, int64_t change,
                   int64_t taken_end_s, int64_t wall_ns);
/* Says nothing any more: dropping it changes no answer. */
bool window_is_new(const struct window_count *c, int64_t wall_ns);
