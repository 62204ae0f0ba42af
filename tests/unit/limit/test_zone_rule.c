/* SPDX-License-Identifier: MIT */
#include "limit/zone_rule.h"

#include "suite.h"

static struct zone_rule parse(const char *text) {
    struct zone_rule rule;
    ck_assert_msg(zone_rule_parse(&rule, str_of(text)), "%s", text);
    return rule;
}

START_TEST(rules_that_are_none_are_refused) {
    static const char *const good[] = {"AAA-24",
                                       "UTC0",
                                       "<+0330>-3:30",
                                       "CET-1CEST,M3.5.0,M10.5.0/3",
                                       "EST5EDT,J60/2,300/-1:30",
                                       "XXX3EDT4,0/0,J365/23",
                                       "IST-1GMT0,M10.5.0,M3.5.0/1",
                                       "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"};
    static const char *const bad[] = {"C-1",
                                      "CET",
                                      "CET-",
                                      "CET-25",
                                      "CET-1:60",
                                      "<+03-3",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1x",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1C,",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "UTC0 ",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1\n",
                                      "CET-1CEST,J0,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0/168",
                                      "CET-1CEST,M3.5.0,366",
                                      "CET-1CEST,M3.5.0,M10.5.0/3x"};
    struct zone_rule rule;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(zone_rule_parse(&rule, str_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!zone_rule_parse(&rule, str_of(bad[i])), "%s", bad[i]);
    ck_assert(!zone_rule_parse(&rule, STR_NONE));
}
END_TEST

START_TEST(a_zone_without_summer_shows_one_offset_for_ever) {
    struct zone_rule rule = parse("<+0330>-3:30");
    struct zone_span span = zone_rule_at(&rule, 1700000000);
    ck_assert_int_eq(span.offset_s, 12600);
    ck_assert_int_eq(span.until_s, INT64_MAX);
}
END_TEST

START_TEST(summer_begins_and_ends_to_the_second) {
    struct zone_rule rule = parse("CET-1CEST,M3.5.0,M10.5.0/3");
    ck_assert_int_eq(zone_rule_at(&rule, 1774745999).offset_s, 3600);
    ck_assert_int_eq(zone_rule_at(&rule, 1774745999).until_s, 1774746000);
    ck_assert_int_eq(zone_rule_at(&rule, 1774746000).offset_s, 7200);
    ck_assert_int_eq(zone_rule_at(&rule, 1774746000).until_s, 1792890000);
    ck_assert_int_eq(zone_rule_at(&rule, 1792890000).offset_s, 3600);
}
END_TEST

START_TEST(southern_summers_span_the_new_year) {
    struct zone_rule rule = parse("AEST-10AEDT,M10.1.0,M4.1.0/3");
    ck_assert_int_eq(zone_rule_at(&rule, 1767225600).offset_s, 39600); /* 2026-01-01 */
    ck_assert_int_eq(zone_rule_at(&rule, 1782864000).offset_s, 36000); /* 2026-07-01 */
}
END_TEST

START_TEST(summer_all_the_year_never_ends) {
    struct zone_rule rule = parse("XXX3EDT4,0/0,J365/23");
    for (int64_t unix_s = 1700000000; unix_s < 1800000000; unix_s += 3600)
        ck_assert_int_eq(zone_rule_at(&rule, unix_s).offset_s, -14400);
}
END_TEST

START_TEST(days_of_the_year_are_counted_with_and_without_the_leap_day) {
    struct zone_rule julian = parse("AAA0BBB,J60/0,J300/0"), plain = parse("AAA0BBB,59/0,299/0");
    ck_assert_int_eq(zone_rule_at(&julian, 1830297599).until_s, 1835481600); /* 2028-03-01 */
    ck_assert_int_eq(zone_rule_at(&plain, 1830297599).until_s, 1835395200);  /* 2028-02-29 */
    ck_assert_int_eq(zone_rule_at(&julian, 1767225600).until_s, 1772323200); /* 2026-03-01 */
    ck_assert_int_eq(zone_rule_at(&plain, 1767225600).until_s, 1772323200);
}
END_TEST

SUITE_MAIN("limit/zone_rule", rules_that_are_none_are_refused,
           a_zone_without_summer_shows_one_offset_for_ever, summer_begins_and_ends_to_the_second,
           southern_summers_span_the_new_year, summer_all_the_year_never_ends,
           days_of_the_year_are_counted_with_and_without_the_leap_day)
