/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* What the clocks show, and until when; INT64_MAX: for ever. */
struct zone_span {
    int32_t offset_s; /* local time is unix time + offset_s */
    int64_t until_s;
};

/* When a year's clocks change, in local time: month, week and day (Mm.w.d), or the n-th day (Jn, n). */
struct zone_change {
    enum { CHANGE_MONTH_WEEK_DAY, CHANGE_DAY_WITHOUT_LEAP, CHANGE_DAY } kind;
    int month, week,
        day;        /* 1..12, 1..5 (5: the last), 0..6 (0: Sunday); or day: 1..365, or 0..365 */
    int32_t time_s; /* of that day; from -167 h to 167 h */
};
/* The same every year. */
struct zone_rule {
    int32_t standard_s, summer_s; /* seconds east of UTC */
    bool has_summer;
    struct zone_change to_summer, to_standard;
};

/* POSIX.1 8.3 TZ with RFC 9636 3.3.1's extension of the hours: "CET-1CEST,M3.5.0,M10.5.0/3". False when it is none. */
bool zone_rule_parse(struct zone_rule *rule, struct str text) MUST_USE;
/* Pure. */
struct zone_span zone_rule_at(const struct zone_rule *rule, int64_t unix_s);
