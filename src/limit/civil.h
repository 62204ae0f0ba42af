/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdint.h>

/* The Gregorian calendar, for ever in both directions, as days since 1970-01-01. */
struct civil {
    int64_t year;
    int month, day; /* 1..12, 1..31 */
};
struct civil civil_of(int64_t days);
int64_t civil_days(int64_t year, int month, int day); /* day may be outside its month */
int civil_month_days(int64_t year, int month);
/* 0 is Sunday. */
int civil_weekday(int64_t days);
/* Rounds towards the past: -1 / 86400 is -1. */
static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
#define DAY_S INT64_C(86400)
