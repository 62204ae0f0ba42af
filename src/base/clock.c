/* SPDX-License-Identifier: MIT */
/* Time is read here and nowhere else. Dates are computed, not asked of the C library: gmtime_r
 * takes a lock that all threads share, and strftime speaks the locale's language. */
#include "base/clock.h"

#include "base/pen.h"

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

static void put_two(char *at, int value) { (void)pen_two_digits(at, (unsigned)value); }

static void put_four(char *at, int value) {
    put_two(at, value / 100);
    put_two(at + 2, value % 100);
}

/* Every line of the log has it, and most are of the second of the line before. */
static const char *second_text(int64_t wall_s) {
    static _Thread_local struct {
        int64_t wall_s;
        char text[20];
    } latest = {.wall_s = INT64_MIN};
    if (latest.wall_s == wall_s)
        return latest.text;
    struct date date = date_of(wall_s);
    memcpy(latest.text, "0000-00-00T00:00:00", sizeof(latest.text));
    put_four(latest.text, date.year);
    put_two(latest.text + 5, date.month);
    put_two(latest.text + 8, date.day);
    put_two(latest.text + 11, date.hour);
    put_two(latest.text + 14, date.minute);
    put_two(latest.text + 17, date.second);
    latest.wall_s = wall_s;
    return latest.text;
}

void clock_rfc3339(int64_t wall_ns, char out[25]) {
    memcpy(out, second_text(floor_div(wall_ns, NS_PER_S)), 19);
    memcpy(out + 19, ".000Z", 6);
    int64_t rest_ns =
        wall_ns % NS_PER_S; /* not wall_ns - wall_s * NS_PER_S: that overflows at the far end */
    int ms = (int)((rest_ns < 0 ? rest_ns + NS_PER_S : rest_ns) / NS_PER_MS);
    out[20] = (char)('0' + ms / 100);
    put_two(out + 21, ms % 100);
}

void clock_http_date(int64_t wall_s, char out[30]) {
    static const char DAYS[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date date = date_of(wall_s);
    int64_t weekday = date.days - floor_div(date.days, 7) * 7;
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", 30);
    memcpy(out, DAYS + weekday * 3, 3);
    put_two(out + 5, date.day);
    memcpy(out + 8, MONTHS + (date.month - 1) * 3, 3);
    put_four(out + 12, date.year);
    put_two(out + 17, date.hour);
    put_two(out + 20, date.minute);
    put_two(out + 23, date.second);
}
