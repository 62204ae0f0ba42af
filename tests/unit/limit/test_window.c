/* SPDX-License-Identifier: MIT */
#include "limit/window.h"

#include "limit/zones.h"
#include <time.h>

static struct arena arena;

static int64_t utc(const char *text) {
    struct tm tm = {0};
    ck_assert_msg(strptime(text, "%Y-%m-%d %H:%M:%S", &tm) != NULL, "%s", text);
    return timegm(&tm);
}

/* A window's bounds as they must be, in UTC, for an instant in UTC. */
struct row {
    const char *zone;
    enum window_kind kind;
    int anchor_day;
    const char *now, *start, *end;
};

/* clang-format off */
static const struct row rows[] = {
    /* days */
    {"UTC",              WINDOW_DAY,    1, "2026-11-24 15:04:56", "2026-11-24 00:00:00", "2026-11-25 00:00:00"},
    {"UTC",              WINDOW_DAY,    1, "2026-11-24 00:00:00", "2026-11-24 00:00:00", "2026-11-25 00:00:00"},
    {"UTC",              WINDOW_DAY,    1, "2026-11-24 23:59:59", "2026-11-24 00:00:00", "2026-11-25 00:00:00"},
    {"Europe/Berlin",    WINDOW_DAY,    1, "2026-11-24 23:00:00", "2026-11-24 23:00:00", "2026-11-25 23:00:00"},
    {"Asia/Kathmandu",   WINDOW_DAY,    1, "2026-11-24 18:14:59", "2026-11-23 18:15:00", "2026-11-24 18:15:00"},
    {"Europe/Berlin",    WINDOW_DAY,    1, "2026-03-29 12:00:00", "2026-03-28 23:00:00", "2026-03-29 22:00:00"}, /* 23 h */
    {"Europe/Berlin",    WINDOW_DAY,    1, "2026-10-25 12:00:00", "2026-10-24 22:00:00", "2026-10-25 23:00:00"}, /* 25 h */
    {"Australia/Lord_Howe", WINDOW_DAY, 1, "2026-10-04 00:00:00", "2026-10-03 13:30:00", "2026-10-04 13:00:00"}, /* 23.5 h */
    {"Africa/Cairo",     WINDOW_DAY,    1, "2026-04-24 12:00:00", "2026-04-23 22:00:00", "2026-04-24 21:00:00"}, /* no midnight */
    {"America/Havana",   WINDOW_DAY,    1, "2026-11-01 05:30:00", "2026-11-01 04:00:00", "2026-11-02 05:00:00"}, /* two midnights */
    {"America/Sao_Paulo", WINDOW_DAY,   1, "2018-02-18 02:30:00", "2018-02-17 02:00:00", "2018-02-18 03:00:00"}, /* 23:00 twice */
    {"America/Toronto",  WINDOW_DAY,    1, "1987-10-25 05:30:00", "1987-10-25 04:00:00", "1987-10-26 05:00:00"},
    {"America/St_Johns", WINDOW_DAY,    1, "2006-10-29 02:45:00", "2006-10-29 02:30:00", "2006-10-30 03:30:00"}, /* 00:01 -> 23:01 */
    {"Pacific/Apia",     WINDOW_DAY,    1, "2011-12-30 09:59:59", "2011-12-29 10:00:00", "2011-12-30 10:00:00"}, /* the 30th never was */
    {"Pacific/Apia",     WINDOW_DAY,    1, "2011-12-30 10:00:00", "2011-12-30 10:00:00", "2011-12-31 10:00:00"},
    /* weeks begin on Monday */
    {"UTC",              WINDOW_WEEK,   1, "2026-11-24 15:04:56", "2026-11-23 00:00:00", "2026-11-30 00:00:00"},
    {"UTC",              WINDOW_WEEK,   1, "2026-11-22 23:59:59", "2026-11-16 00:00:00", "2026-11-23 00:00:00"},
    {"UTC",              WINDOW_WEEK,   1, "2026-01-01 00:00:00", "2025-12-29 00:00:00", "2026-01-05 00:00:00"},
    {"UTC",              WINDOW_WEEK,   1, "1970-01-01 00:00:00", "1969-12-29 00:00:00", "1970-01-05 00:00:00"},
    {"Europe/Berlin",    WINDOW_WEEK,   1, "2026-03-29 21:59:59", "2026-03-22 23:00:00", "2026-03-29 22:00:00"}, /* 167 h */
    {"America/New_York", WINDOW_WEEK,   1, "2026-11-01 12:00:00", "2026-10-26 04:00:00", "2026-11-02 05:00:00"}, /* 169 h */
    /* months */
    {"UTC",              WINDOW_MONTH,  1, "2026-02-28 23:59:59", "2026-02-01 00:00:00", "2026-03-01 00:00:00"},
    {"UTC",              WINDOW_MONTH,  1, "2028-02-29 12:00:00", "2028-02-01 00:00:00", "2028-03-01 00:00:00"},
    {"UTC",              WINDOW_MONTH,  1, "2026-12-31 23:59:59", "2026-12-01 00:00:00", "2027-01-01 00:00:00"},
    {"Europe/Berlin",    WINDOW_MONTH,  1, "2026-03-15 00:00:00", "2026-02-28 23:00:00", "2026-03-31 22:00:00"},
    {"Europe/Berlin",    WINDOW_MONTH,  1, "2026-10-31 23:00:00", "2026-10-31 23:00:00", "2026-11-30 23:00:00"},
    /* anchor days, clamped at the month's end */
    {"UTC",              WINDOW_MONTH, 15, "2026-11-14 23:59:59", "2026-10-15 00:00:00", "2026-11-15 00:00:00"},
    {"UTC",              WINDOW_MONTH, 15, "2026-11-15 00:00:00", "2026-11-15 00:00:00", "2026-12-15 00:00:00"},
    {"UTC",              WINDOW_MONTH, 15, "2027-01-03 00:00:00", "2026-12-15 00:00:00", "2027-01-15 00:00:00"},
    {"UTC",              WINDOW_MONTH, 31, "2026-02-27 12:00:00", "2026-01-31 00:00:00", "2026-02-28 00:00:00"},
    {"UTC",              WINDOW_MONTH, 31, "2026-02-28 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"},
    {"UTC",              WINDOW_MONTH, 31, "2028-02-28 12:00:00", "2028-01-31 00:00:00", "2028-02-29 00:00:00"},
    {"UTC",              WINDOW_MONTH, 31, "2028-02-29 00:00:00", "2028-02-29 00:00:00", "2028-03-31 00:00:00"},
    {"UTC",              WINDOW_MONTH, 31, "2026-04-30 00:00:00", "2026-04-30 00:00:00", "2026-05-31 00:00:00"},
    {"UTC",              WINDOW_MONTH, 30, "2026-02-28 00:00:00", "2026-02-28 00:00:00", "2026-03-30 00:00:00"},
    {"UTC",              WINDOW_MONTH, 29, "2100-02-28 00:00:00", "2100-02-28 00:00:00", "2100-03-29 00:00:00"}, /* no leap year */
    {"UTC",              WINDOW_MONTH, 29, "2000-02-29 00:00:00", "2000-02-29 00:00:00", "2000-03-29 00:00:00"},
    {"Europe/Berlin",    WINDOW_MONTH, 29, "2026-03-29 12:00:00", "2026-03-28 23:00:00", "2026-04-28 22:00:00"},
    {"Africa/Cairo",     WINDOW_MONTH, 24, "2026-04-24 12:00:00", "2026-04-23 22:00:00", "2026-05-23 21:00:00"},
};
/* clang-format on */

START_TEST(windows_begin_and_end_at_their_instants) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct zone zone = zone_named(row->zone, &arena);
        struct window_rule rule = {row->kind, row->anchor_day, 1, &zone};
        struct window window = window_at(&rule, utc(row->now));
        ck_assert_msg(window.start_s == utc(row->start) && window.end_s == utc(row->end),
                      "%s %s anchor %d at %s: %+lld s, %+lld s away", row->zone,
                      window_kind_name(row->kind), row->anchor_day, row->now,
                      (long long)(window.start_s - utc(row->start)),
                      (long long)(window.end_s - utc(row->end)));
    }
}
END_TEST

START_TEST(windows_follow_each_other_without_a_gap) {
    static const char *const zones[] = {"Europe/Berlin", "America/Havana",    "America/St_Johns",
                                        "Pacific/Apia",  "Africa/Casablanca", "Asia/Beirut"};
    unsigned seed = 4;
    for (size_t z = 0; z < sizeof(zones) / sizeof(zones[0]); z++) {
        struct zone zone = zone_named(zones[z], &arena);
        for (int kind = WINDOW_DAY; kind <= WINDOW_MONTH; kind++) {
            int anchor_day = kind == WINDOW_MONTH ? 1 + rand_r(&seed) % 31 : 1;
            struct window_rule rule = {(enum window_kind)kind, anchor_day, 1, &zone};
            struct window last = window_at(&rule, 1150000000);
            while (last.end_s < 1950000000) {
                struct window next = window_at(&rule, last.end_s);
                ck_assert_int_eq(next.start_s, last.end_s);
                ck_assert_int_gt(next.end_s, next.start_s);
                int64_t within_s = next.start_s + rand_r(&seed) % (next.end_s - next.start_s);
                ck_assert_int_eq(window_at(&rule, within_s).start_s, next.start_s);
                last = next;
            }
        }
    }
}
END_TEST

/* ---- counting ---- */

#define NOON_S      INT64_C(1700049600) /* 2023-11-15 12:00:00 UTC */
#define NOON_NS     (NOON_S * NS_PER_S)
#define HALF_DAY_NS (43200 * NS_PER_S)
static const struct window_rule day = {WINDOW_DAY, 1, 10, &ZONE_UTC};

START_TEST(a_used_up_quota_says_the_instant_of_its_return) {
    struct window_count c = {0};
    for (int64_t i = 0; i < 10; i++) {
        struct limit_state state = window_take(&c, &day, 1, NOON_NS);
        ck_assert(state.allowed);
        ck_assert_int_eq(state.remaining, 9 - i);
        ck_assert_int_eq(state.reset_ns, HALF_DAY_NS);
    }
    struct limit_state state = window_take(&c, &day, 1, NOON_NS + 1);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.wait_ns, HALF_DAY_NS - 1);
    ck_assert(!window_take(&c, &day, 1, NOON_NS + HALF_DAY_NS - 1).allowed);
    ck_assert_int_eq(window_take(&c, &day, 1, NOON_NS + HALF_DAY_NS).remaining, 9);
}
END_TEST

START_TEST(a_look_counts_nothing) {
    struct window_count c = {0};
    ck_assert_int_eq(window_look(&c, &day, 3, NOON_NS).remaining, 7);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS).remaining, 10);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS).reset_ns, 0);
    ck_assert(window_is_new(&c, NOON_NS));
}
END_TEST

START_TEST(a_cost_above_what_is_left_is_refused_and_not_counted) {
    struct window_count c = {0};
    ck_assert(window_take(&c, &day, 8, NOON_NS).allowed);
    ck_assert(!window_take(&c, &day, 3, NOON_NS).allowed);
    ck_assert(window_take(&c, &day, 2, NOON_NS).allowed);
}
END_TEST

START_TEST(a_cost_above_the_limit_never_passes) {
    struct window_count c = {0};
    struct limit_state state = window_take(&c, &day, 11, NOON_NS);
    ck_assert(!state.allowed);
    ck_assert_int_eq(state.wait_ns, INT64_MAX);
}
END_TEST

START_TEST(debt_is_carried_to_the_windows_end_and_no_further) {
    struct window_count c = {0};
    int64_t end_s = window_take(&c, &day, 1, NOON_NS).window.end_s;
    window_settle(&c, &day, 499, end_s, NOON_NS);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS).remaining, 0);
    ck_assert(window_look(&c, &day, 0, NOON_NS).allowed);
    ck_assert_int_eq(window_look(&c, &day, 1, NOON_NS).wait_ns, HALF_DAY_NS);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS + HALF_DAY_NS).remaining, 10);
}
END_TEST

START_TEST(what_is_given_back_can_be_used_again) {
    struct window_count c = {0};
    int64_t end_s = window_take(&c, &day, 10, NOON_NS).window.end_s;
    window_settle(&c, &day, -4, end_s, NOON_NS);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS).remaining, 4);
    window_settle(&c, &day, -100, end_s, NOON_NS);
    ck_assert_int_eq(window_look(&c, &day, 0, NOON_NS).remaining, 10);
}
END_TEST

START_TEST(what_was_taken_yesterday_is_not_given_back_today) {
    struct window_count c = {0};
    int64_t end_s = window_take(&c, &day, 8, NOON_NS).window.end_s;
    int64_t today_ns = NOON_NS + 2 * HALF_DAY_NS;
    ck_assert(window_take(&c, &day, 5, today_ns).allowed);
    window_settle(&c, &day, -8, end_s, today_ns);
    ck_assert_int_eq(window_look(&c, &day, 0, today_ns).remaining, 5);
    window_settle(&c, &day, 2, end_s, today_ns); /* a debt is a debt */
    ck_assert_int_eq(window_look(&c, &day, 0, today_ns).remaining, 3);
}
END_TEST

START_TEST(a_clock_that_goes_back_forgives_nothing) {
    struct window_count c = {0};
    ck_assert(window_take(&c, &day, 10, NOON_NS + HALF_DAY_NS).allowed);
    ck_assert(!window_take(&c, &day, 1, NOON_NS).allowed);
}
END_TEST

START_TEST(a_rule_whose_windows_moved_keeps_what_was_used) {
    struct zone berlin = zone_named("Europe/Berlin", &arena);
    const struct window_rule moved = {WINDOW_DAY, 1, 20, &berlin};
    struct window_count c = {0};
    ck_assert(window_take(&c, &day, 10, NOON_NS).allowed);
    ck_assert_int_eq(window_take(&c, &moved, 1, NOON_NS).remaining, 9);
}
END_TEST

START_TEST(only_a_window_that_is_over_says_nothing) {
    struct window_count c = {0};
    ck_assert(window_is_new(&c, NOON_NS));
    ck_assert(window_take(&c, &day, 1, NOON_NS).allowed);
    ck_assert(!window_is_new(&c, NOON_NS + HALF_DAY_NS - 1));
    ck_assert(window_is_new(&c, NOON_NS + HALF_DAY_NS));
}
END_TEST

SUITE_MAIN("limit/window", windows_begin_and_end_at_their_instants,
           windows_follow_each_other_without_a_gap, a_used_up_quota_says_the_instant_of_its_return,
           a_look_counts_nothing, a_cost_above_what_is_left_is_refused_and_not_counted,
           a_cost_above_the_limit_never_passes, debt_is_carried_to_the_windows_end_and_no_further,
           what_is_given_back_can_be_used_again, what_was_taken_yesterday_is_not_given_back_today,
           a_clock_that_goes_back_forgives_nothing, a_rule_whose_windows_moved_keeps_what_was_used,
           only_a_window_that_is_over_says_nothing)
