/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"

/* The request target (RFC 9112 3.2): split, checked, and brought into the form that routes are matched against. */
enum target_verdict {
    TARGET_OK,
    TARGET_MALFORMED, /* not origin-form or absolute-form (nor "*" with OPTIONS); a fragment; bytes that are not
                             visible ASCII; in the path: a bad %XX, a control or an overlong UTF-8 form behind one */
    TARGET_BAD_AUTHORITY, /* absolute-form whose authority is malformed, has user info or another scheme than http(s) */
    TARGET_NO_MEMORY, /* the machine's failure, not the caller's: 503 */
};

struct target {
    /* raw bytes, starts with '/', or "*"; borrowed from `raw`, or a constant */
    struct str path;
    /* raw bytes without '?', checked no further; at == NULL when there is none; borrowed from
     * `raw` */
    struct str query;
    /* of absolute-form (replaces Host); at == NULL otherwise; borrowed from `raw` */
    struct str authority;
    /* decoded once, '\\' as '/', matrix parameters cut, "//" merged, "." and ".." resolved: what
     * the most lenient upstream would see; in the arena, or `path` itself where nothing changes */
    struct str normal;
    /* decoded twice and then normalised so; the very same str as `normal` unless that differs */
    struct str twice;
    /* some reading has a ".." segment, or a ';' beside a '/' or '\\' that only some readings
     * see: an upstream less lenient than `normal` may then end where no form here does */
    bool is_evasive;
};

enum target_verdict target_parse(struct target *target, struct str method, struct str raw,
                                 struct arena *arena) MUST_USE;

/* Is `host` a well-formed Host value: name, IPv4, or bracketed IPv6, and an optional port (RFC 9110 7.2)? Stricter than
 * RFC 3986: names of letters, digits, '-', '_' and '.', no empty label, a trailing dot allowed, at most 255 bytes; a port of
 * 1..65535 without leading zeros; no zone. */
bool host_is_valid(struct str host);

/* The first value of a query parameter, still encoded; at == NULL when absent. *count receives how often it occurs. The
 * query's names are compared decoded, for that is how an upstream reads them. */
struct str query_value(struct str query, struct str name, size_t *count);
