/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "limit/zone_rule.h"

/* A time zone of the system's database (package tzdata), read once into an immutable table that every thread may ask.
 * Not glibc's, whose zone is the process' own (TZ, tzset); nor GLib's, which allocates at each question and aborts when
 * memory is out. Source: RFC 9636 (TZif, of version 2 and later) and POSIX.1 8.3 TZ, which its footer holds. */

struct zone_transition {
    int64_t at_s; /* unix; ascending */
    int32_t offset_s;
};
struct zone {
    struct str name; /* "Europe/Berlin" */
    const struct zone_transition *transitions;
    size_t n_transitions;
    int32_t first_offset_s; /* before the first transition */
    bool has_rule;
    struct zone_rule rule;
    const struct zone *next; /* for who keeps several */
};
extern const struct zone ZONE_UTC;

/* Letters, digits, '_', '-', '+' in parts between '/': a name that cannot leave the database's directory. */
bool zone_name_is_valid(struct str name);
/* Read the bytes of a TZif file; tables go to the arena, the name stays empty. -EINVAL: not such a file, a damaged one, one
 * of version 1, or one that counts leap seconds ("right/..."); -ENOMEM. */
int zone_parse(struct zone *zone, struct str bytes, struct arena *arena) MUST_USE;

/* What the clocks show at `unix_s`. Pure. */
struct zone_span zone_at(const struct zone *zone, int64_t unix_s);
/* The first instant at which the clocks show `local_s` (seconds since 1970 in local time) or later. Where they jump over it,
 * the jump; where they show it twice, the first time. */
int64_t zone_first_at(const struct zone *zone, int64_t local_s);
