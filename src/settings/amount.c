/* SPDX-License-Identifier: MIT */
#include "amount.h"

#include "settings/units.h"

bool read_rate(struct reader *r, const struct branch *rate, const struct branch *burst,
               struct bucket_rule *rule) {
    struct str text;
    const char *why;
    size_t n;
    if (!read_scalar(r, rate, &text, NULL))
        return false;
    if (!unit_rate(text, rule, &why)) {
        reader_error(r, rate, "'" STR_FMT "': %s", STR_ARG(str_first(text, 60)), why);
        return false;
    }
    if (!burst)
        return true;
    if (!read_count(r, burst, &n))
        return false;
    rule->burst = (int64_t)n;
    if (!bucket_rule_is_valid(rule)) {
        reader_error(r, burst,
                     "%zu: at this rate a used-up burst would take over 100 years to refill", n);
        return false;
    }
    return true;
}

static bool read_anchor_day(struct reader *r, const struct branch *b, struct window_rule *rule) {
    size_t day;
    if (!read_count(r, b, &day))
        return false;
    if (rule->kind != WINDOW_MONTH || day > 31) {
        reader_error(r, b,
                     rule->kind == WINDOW_MONTH
                         ? "expected a day of the month, 1 to 31 (a month without it begins on "
                           "its last day)"
                         : "only a quota per month has an anchor day");
        return false;
    }
    rule->anchor_day = (int)day;
    return true;
}

static bool read_quota(struct reader *r, const struct amount *amount, struct settings *s,
                       struct window_rule *rule) {
    struct str text;
    const char *why;
    if (!read_scalar(r, amount->quota, &text, NULL))
        return false;
    if (!unit_quota(text, rule, &why)) {
        reader_error(r, amount->quota, "'" STR_FMT "': %s", STR_ARG(str_first(text, 60)), why);
        return false;
    }
    return (!amount->timezone || read_zone(r, amount->timezone, s, &rule->zone)) &&
           (!amount->anchor_day || read_anchor_day(r, amount->anchor_day, rule));
}

bool read_amount(struct reader *r, const struct branch *at, const struct amount *amount,
                 struct settings *s, struct limit_policy *policy) {
    if (!amount->rate == !amount->quota) {
        reader_error(r, amount->quota ? amount->quota : at,
                     amount->quota ? "this limit has a rate already; write two limits"
                                   : "expected a rate (600/minute) or a quota (5000/day)");
        return false;
    }
    if (amount->quota && amount->burst) {
        reader_error(r, amount->burst, "only a rate has a burst");
        return false;
    }
    const struct branch *calendar = amount->timezone ? amount->timezone : amount->anchor_day;
    if (amount->rate && calendar) {
        reader_error(r, calendar, "only a quota has a calendar; a rate refills steadily");
        return false;
    }
    policy->kind = amount->quota ? LIMIT_QUOTA : LIMIT_RATE;
    return amount->quota ? read_quota(r, amount, s, &policy->quota)
                         : read_rate(r, amount->rate, amount->burst, &policy->rate);
}
