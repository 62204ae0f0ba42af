/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdint.h>

/* The two clocks, read together once per turn of a loop. Decisions take them as an argument. */
struct now {
    int64_t mono_ns; /* CLOCK_MONOTONIC: durations, deadlines, rates */
    int64_t wall_ns; /* CLOCK_REALTIME: token times, logs */
};

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

struct now clock_now(void);
static inline int64_t now_s(const struct now *now) { return now->wall_ns / NS_PER_S; }
/* RFC 3339 in UTC with milliseconds, "2026-11-23T10:00:00.123Z"; 24 characters and a NUL. */
void clock_rfc3339(int64_t wall_ns, char out[25]);
/* IMF-fixdate (RFC 9110 5.6.7), "Mon, 23 Nov 2026 10:00:00 GMT"; 29 characters and a NUL. */
void clock_http_date(int64_t wall_s, char out[30]);
