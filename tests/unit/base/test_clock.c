/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "suite.h"

#include <string.h>
#include <time.h>

START_TEST(dates_are_written_as_their_standards_say) {
    char text[30];
    clock_http_date(784111777, text);
    ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 5.6.7 */
    clock_rfc3339(INT64_C(482196050520) * NS_PER_MS, text);
    ck_assert_str_eq(text, "1985-04-12T23:20:50.520Z"); /* RFC 3339 5.8 */
    clock_rfc3339(0, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
    clock_http_date(INT64_C(951782400), text);
    ck_assert_str_eq(text, "Tue, 29 Feb 2000 00:00:00 GMT");
}
END_TEST

START_TEST(dates_agree_with_the_c_library) {
    for (int64_t at_s = INT64_C(-62167219200); at_s < INT64_C(253402300800);
         at_s += 86400 * 29 + 3607) {
        time_t wall_s = at_s;
        struct tm tm;
        char expected[40], text[30];
        gmtime_r(&wall_s, &tm);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        /* glibc's %Y does not pad. */
        clock_http_date(at_s, text);
        if (tm.tm_year + 1900 >= 1000)
            ck_assert_str_eq(text, expected);
        if (at_s > -INT64_C(9000000000) && at_s < INT64_C(9000000000)) {
            strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.999Z", &tm);
            clock_rfc3339(at_s * NS_PER_S + 999999999, text);
            ck_assert_str_eq(text, expected);
        }
    }
}
END_TEST

START_TEST(milliseconds_are_cut_and_never_rounded_up) {
    char text[25];
    clock_rfc3339(INT64_C(1999999999), text);
    ck_assert_str_eq(text, "1970-01-01T00:00:01.999Z");
    clock_rfc3339(-1, text);
    ck_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(times_out_of_range_keep_the_width) {
    char text[30];
    clock_http_date(INT64_MAX, text);
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    clock_http_date(INT64_MIN, text);
    ck_assert_str_eq(text, "Sat, 01 Jan 0000 00:00:00 GMT");
    clock_rfc3339(INT64_MAX, text);
    ck_assert_uint_eq(strlen(text), 24);
    clock_rfc3339(INT64_MIN, text);
    ck_assert_uint_eq(strlen(text), 24);
}
END_TEST

START_TEST(now_is_both_clocks) {
    struct now a = clock_now(), b = clock_now();
    ck_assert_int_ge(b.mono_ns, a.mono_ns);
    ck_assert_int_le(llabs(now_s(&a) - (int64_t)time(NULL)), 2);
}
END_TEST

SUITE_MAIN("base/clock", dates_are_written_as_their_standards_say, dates_agree_with_the_c_library,
           milliseconds_are_cut_and_never_rounded_up, times_out_of_range_keep_the_width,
           now_is_both_clocks)
