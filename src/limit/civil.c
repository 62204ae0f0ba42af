/* SPDX-License-Identifier: MIT */
/* Years are counted from March, so that the leap day is the last one, and in eras of 400 years, which are all alike.
 * Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil and civil_from_days. */
#include "civil.h"

#define ERA_DAYS     146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 to 1970-01-01 */

int64_t civil_days(int64_t year, int month, int day) {
    int64_t from_march = year - (month <= 2);
    int64_t era = floor_div(from_march, 400);
    int64_t year_of_era = from_march - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - DAYS_TO_1970;
}

struct civil civil_of(int64_t days) {
    int64_t since = days + DAYS_TO_1970;
    int64_t era = floor_div(since, ERA_DAYS);
    int64_t day_of_era = since - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA_DAYS - 1)) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (int)((5 * day_of_year + 2) / 153);
    int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5) + 1,
    };
}

int civil_month_days(int64_t year, int month) {
    int64_t next = month == 12 ? civil_days(year + 1, 1, 1) : civil_days(year, month + 1, 1);
    return (int)(next - civil_days(year, month, 1));
}

/* 1970-01-01 was a Thursday. */
int civil_weekday(int64_t days) { return (int)(days + 4 - floor_div(days + 4, 7) * 7); }
