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

static bool read_concurrent(struct reader *r, const struct branch *b, int64_t *concurrent) {
    size_t n;
    if (!read_count(r, b, &n))
        return false;
    *concurrent = (int64_t)n;
    return true;
}

/* Exactly one of the three; NULL, and said, when it is none or several. */
static const struct branch *find_kind(struct reader *r, const struct branch *at,
                                      const struct amount *amount, enum limit_kind *kind) {
    const struct branch *by_kind[] = {[LIMIT_RATE] = amount->rate,
                                      [LIMIT_QUOTA] = amount->quota,
                                      [LIMIT_CONCURRENT] = amount->concurrent};
    const struct branch *found = NULL;
    for (size_t i = 0; i < sizeof(by_kind) / sizeof(by_kind[0]); i++) {
        if (!by_kind[i])
            continue;
        if (found) {
            reader_error(r, by_kind[i], "this limit has a " STR_FMT " already; write two limits",
                         STR_ARG(found->key));
            return NULL;
        }
        found = by_kind[i];
        *kind = (enum limit_kind)i;
    }
    if (!found)
        reader_error(r, at,
                     "expected a rate (600/minute), a quota (5000/day) or how many at once "
                     "(concurrent: 5)");
    return found;
}

bool read_amount(struct reader *r, const struct branch *at, const struct amount *amount,
                 struct settings *s, struct limit_policy *policy) {
    const struct branch *calendar = amount->timezone ? amount->timezone : amount->anchor_day;
    const struct branch *found = find_kind(r, at, amount, &policy->kind);
    if (!found)
        return false;
    if (policy->kind != LIMIT_RATE && amount->burst) {
        reader_error(r, amount->burst, "only a rate has a burst");
        return false;
    }
    if (policy->kind != LIMIT_QUOTA && calendar) {
        reader_error(r, calendar, "only a quota has a calendar; a rate refills steadily");
        return false;
    }
    if (policy->kind == LIMIT_CONCURRENT)
        return read_concurrent(r, found, &policy->concurrent);
    return policy->kind == LIMIT_QUOTA ? read_quota(r, amount, s, &policy->quota)
                                       : read_rate(r, amount->rate, amount->burst, &policy->rate);
}
