/* SPDX-License-Identifier: MIT */
/* Time is read here and nowhere else. Dates are computed, not asked of the C library: gmtime_r
 * takes a lock that all threads share, and strftime speaks the locale's language. */
#include "base/clock.h"

#include <assert.h>
#include <string.h>
#include <time.h>

struct date {
    int64_t days; /* since 1970-01-01 */
    int year, month, day;
    int hour, minute, second;
};

static int64_t read_ns(clockid_t clock) {
    struct timespec at;
    int result = clock_gettime(clock, &at);
    assert(result == 0);
    return at.tv_sec * NS_PER_S + at.tv_nsec;
}

struct now clock_now(void) {
    return (struct now){.mono_ns = read_ns(CLOCK_MONOTONIC), .wall_ns = read_ns(CLOCK_REALTIME)};
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Days to year, month and day, with years that begin in March so that the leap day is the last.
 * Source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days. */
static void civil_from_days(int64_t days, struct date *date) {
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    date->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (int)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(year_of_era + era * 400 + (date->month <= 2));
}

static struct date date_of(int64_t wall_s) {
    /* Four digits of year is what both formats have. */
    const int64_t first_s = INT64_C(-62167219200), last_s = INT64_C(253402300799);
    wall_s = wall_s < first_s ? first_s : wall_s > last_s ? last_s : wall_s;
    struct date date = {.days = floor_div(wall_s, 86400)};
    int second = (int)(wall_s - date.days * 86400);
    date.hour = second / 3600;
    date.minute = second / 60 % 60;
    date.second = second % 60;
    civil_from_days(date.days, &date);
    assert(date.year >= 0 && date.year <= 9999 && date.month >= 1 && date.month <= 12);
    return date;
}

static void put_digits(char *at, int n, int value) {
    for (int i = n - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

void clock_rfc3339(int64_t wall_ns, char out[25]) {
    int64_t wall_s = floor_div(wall_ns, NS_PER_S);
    struct date date = date_of(wall_s);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put_digits(out, 4, date.year);
    put_digits(out + 5, 2, date.month);
    put_digits(out + 8, 2, date.day);
    put_digits(out + 11, 2, date.hour);
    put_digits(out + 14, 2, date.minute);
    put_digits(out + 17, 2, date.second);
    int64_t rest_ns =
        wall_ns % NS_PER_S; /* not wall_ns - wall_s * NS_PER_S: that overflows at the far end */
    put_digits(out + 20, 3, (int)((rest_ns < 0 ? rest_ns + NS_PER_S : rest_ns) / NS_PER_MS));
}

void clock_http_date(int64_t wall_s, char out[30]) {
    static const char DAYS[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date date = date_of(wall_s);
    int64_t weekday = date.days - floor_div(date.days, 7) * 7;
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", 30);
    memcpy(out, DAYS + weekday * 3, 3);
    put_digits(out + 5, 2, date.day);
    memcpy(out + 8, MONTHS + (date.month - 1) * 3, 3);
    put_digits(out + 12, 4, date.year);
    put_digits(out + 17, 2, date.hour);
    put_digits(out + 20, 2, date.minute);
    put_digits(out + 23, 2, date.second);
}
