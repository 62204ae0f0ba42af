/* SPDX-License-Identifier: MIT */
/* A container sees all the machine's cores but may be allowed a fraction of them: threads beyond that only take turns. */
#include "server/server.h"

#include "base/cleanup.h"
#include <sched.h>
#include <stdio.h>

/* "max 100000" or "150000 100000": quota and period in microseconds. 0: no quota. */
static size_t quota_cores(const char *path) {
    FILE *file = fopen(path, "re");
    long long quota = 0, period = 0;
    if (!file)
        return 0;
    int n = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    return (size_t)((quota + period - 1) / period);
}

size_t server_count_cores(void) {
    cpu_set_t set;
    size_t cores = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        cores = (size_t)CPU_COUNT(&set);
    size_t quota = quota_cores("/sys/fs/cgroup/cpu.max");
    return quota > 0 && quota < cores ? quota : cores;
}
