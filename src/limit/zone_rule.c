/* SPDX-License-Identifier: MIT */
#include "limit/zone_rule.h"

#include "civil.h"

#define HOUR_S       3600
#define OFFSET_MAX_H 24
#define TIME_MAX_H   167

/* ---- reading: each takes what it reads from *text ---- */

static bool take_byte(struct str *text, char byte) {
    if (text->n == 0 || text->at[0] != byte)
        return false;
    *text = str_skip(*text, 1);
    return true;
}

static bool take_number(struct str *text, int max, int *value) {
    size_t n = 0;
    int number = 0;
    for (; n < text->n && text->at[n] >= '0' && text->at[n] <= '9' && number <= max; n++)
        number = 10 * number + (text->at[n] - '0');
    *text = str_skip(*text, n);
    *value = number;
    return n > 0 && number <= max;
}

/* "UTC", or "<+03>". */
static bool take_name(struct str *text) {
    bool is_quoted = take_byte(text, '<');
    size_t n = 0;
    while (n < text->n && (is_quoted ? text->at[n] != '>'
                                     : (text->at[n] | 32) >= 'a' && (text->at[n] | 32) <= 'z'))
        n++;
    *text = str_skip(*text, n);
    return n >= 3 && (!is_quoted || take_byte(text, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct str *text, int max_h, int32_t *time_s) {
    int sign = take_byte(text, '-') ? -1 : 1, h, m = 0, s = 0;
    if (sign == 1)
        (void)take_byte(text, '+');
    if (!take_number(text, max_h, &h) || (take_byte(text, ':') && !take_number(text, 59, &m)) ||
        (take_byte(text, ':') && !take_number(text, 59, &s)))
        return false;
    *time_s = sign * (h * HOUR_S + m * 60 + s);
    return true;
}

static bool take_date(struct str *text, struct zone_change *change) {
    if (take_byte(text, 'M')) {
        change->kind = CHANGE_MONTH_WEEK_DAY;
        return take_number(text, 12, &change->month) && take_byte(text, '.') &&
               take_number(text, 5, &change->week) && take_byte(text, '.') &&
               take_number(text, 6, &change->day) && change->month >= 1 && change->week >= 1;
    }
    change->kind = take_byte(text, 'J') ? CHANGE_DAY_WITHOUT_LEAP : CHANGE_DAY;
    return take_number(text, 365, &change->day) && (change->kind == CHANGE_DAY || change->day >= 1);
}

/* ",date[/time]" */
static bool take_change(struct str *text, struct zone_change *change) {
    change->time_s = 2 * HOUR_S;
    return take_byte(text, ',') && take_date(text, change) &&
           (!take_byte(text, '/') || take_time(text, TIME_MAX_H, &change->time_s));
}

bool zone_rule_parse(struct zone_rule *rule, struct str text) {
    int32_t west_s;
    *rule = (struct zone_rule){0};
    if (!take_name(&text) || !take_time(&text, OFFSET_MAX_H, &west_s))
        return false;
    rule->standard_s = -west_s;
    rule->summer_s = rule->standard_s + HOUR_S;
    if (text.n == 0)
        return true;
    rule->has_summer = true;
    if (!take_name(&text))
        return false;
    if (text.n > 0 && text.at[0] != ',') {
        if (!take_time(&text, OFFSET_MAX_H, &west_s))
            return false;
        rule->summer_s = -west_s;
    }
    return take_change(&text, &rule->to_summer) && take_change(&text, &rule->to_standard) &&
           text.n == 0;
}

/* ---- asking ---- */

static int64_t day_of(const struct zone_change *change, int64_t year) {
    int64_t january = civil_days(year, 1, 1);
    switch (change->kind) {
    case CHANGE_DAY:
        return january + change->day;
    case CHANGE_DAY_WITHOUT_LEAP: /* February 29 is never counted */
        return january + change->day - 1 +
               (change->day >= 60 && civil_month_days(year, 2) == 29 ? 1 : 0);
    case CHANGE_MONTH_WEEK_DAY:
        break;
    }
    int64_t first = civil_days(year, change->month, 1);
    int day = 1 + (change->day - civil_weekday(first) + 7) % 7 + 7 * (change->week - 1);
    while (day > civil_month_days(year, change->month))
        day -= 7;
    return first + day - 1;
}

/* The six changes around `year`, in their order. Where two fall together (summer time all the year) the later one counts. */
#define CHANGES 6
struct change {
    int64_t at_s;
    int32_t offset_s;
};
static void list_changes(const struct zone_rule *rule, int64_t year,
                         struct change changes[CHANGES]) {
    size_t n = 0;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        const struct change both[2] = {
            {day_of(&rule->to_summer, y) * DAY_S + rule->to_summer.time_s - rule->standard_s,
             rule->summer_s},
            {day_of(&rule->to_standard, y) * DAY_S + rule->to_standard.time_s - rule->summer_s,
             rule->standard_s},
        };
        for (size_t i = 0; i < 2; i++) {
            size_t at = n++;
            for (; at > 0 && changes[at - 1].at_s > both[i].at_s; at--)
                changes[at] = changes[at - 1];
            changes[at] = both[i];
        }
    }
}

struct zone_span zone_rule_at(const struct zone_rule *rule, int64_t unix_s) {
    if (!rule->has_summer)
        return (struct zone_span){rule->standard_s, INT64_MAX};
    struct change changes[CHANGES] = {{0}};
    list_changes(rule, civil_of(floor_div(unix_s + rule->standard_s, DAY_S)).year, changes);
    size_t next = 0;
    while (next < CHANGES && changes[next].at_s <= unix_s)
        next++;
    /* A change of last year has always been, and one of next year is always to come. */
    return (struct zone_span){
        next > 0 ? changes[next - 1].offset_s : rule->standard_s,
        next < CHANGES ? changes[next].at_s : INT64_MAX,
    };
}
