/* SPDX-License-Identifier: MIT */
#pragma once
/* Time that a test moves by hand: clock_gettime is the test's own here. */
#include "base/clock.h"
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t travelled_ns;

__attribute__((unused)) static void travel(int64_t ns) { travelled_ns += ns; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (syscall(SYS_clock_gettime, clock, now) < 0)
        return -1;
    int64_t ns = now->tv_nsec + travelled_ns;
    now->tv_sec += ns / NS_PER_S;
    now->tv_nsec = ns % NS_PER_S;
    return 0;
}
