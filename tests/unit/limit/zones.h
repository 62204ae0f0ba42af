/* SPDX-License-Identifier: MIT */
#pragma once
/* Zones of the system's database, for tests. */
#include "limit/zone.h"

#include "suite.h"
#include <stdio.h>

static char zone_bytes[1 << 16];

static inline struct str zone_file(const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s (package tzdata)", path);
    size_t n = fread(zone_bytes, 1, sizeof(zone_bytes), file);
    fclose(file);
    return (struct str){zone_bytes, n};
}

static inline struct zone zone_named(const char *name, struct arena *arena) {
    struct zone zone;
    ck_assert_msg(zone_parse(&zone, zone_file(name), arena) == 0, "%s", name);
    zone.name = str_of(name);
    return zone;
}
