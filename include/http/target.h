/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"

/* The request target (RFC 9112 3.2): split, checked, and brought into the form that routes are matched against. */
enum target_verdict {
    TARGET_OK,
    TARGET_MALFORMED,       /* not origin-form or absolute-form (nor "*" with OPTIONS); fragment; control; bad %XX; NUL */
    TARGET_BAD_AUTHORITY,   /* absolute-form whose authority is malformed, has user info or another scheme than http(s) */
};

struct target {
    struct str path;      /* raw bytes, starts with '/', or "*" */
    struct str query;     /* raw bytes without '?'; at == NULL when there is none */
    struct str authority; /* of absolute-form (replaces Host); at == NULL otherwise */
    struct str normal;    /* decoded (once), '\\' as '/', "//" merged, "." and ".." resolved, matrix parameters cut; in the arena */
    struct str twice;     /* decoded twice and then normalised; the same bytes as `normal` unless that differs */
};

enum target_verdict target_parse(struct target *target, struct str method, struct str raw, struct arena *arena) MUST_USE;

/* Is `host` a well-formed Host value: name, IPv4, or bracketed IPv6, and an optional port (RFC 9110 7.2)? */
bool host_is_valid(struct str host);

/* The first value of a query parameter, still encoded; at == NULL when absent. *count receives how often it occurs. */
struct str query_value(struct str query, struct str name, size_t *count);
