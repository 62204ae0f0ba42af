/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"
#include "http/target.h"

/* Which rule applies to a path: longest prefix first; a prefix ends at a segment (`/a` is /a and /a/...), a `*` at the end
 * opens it (`/a*` is also /ab). Routes are the caller's; this table only knows their paths and methods. */

enum method {
    METHOD_GET = 1 << 0,
    METHOD_HEAD = 1 << 1,
    METHOD_POST = 1 << 2,
    METHOD_PUT = 1 << 3,
    METHOD_PATCH = 1 << 4,
    METHOD_DELETE = 1 << 5,
    METHOD_OPTIONS = 1 << 6,
    METHOD_OTHER = 1 << 7, /* extension methods: only routes that name no methods take them */
    METHOD_NEVER =
        1 << 8, /* CONNECT, TRACE, and lower-case twins of the known ones: no route takes them */
};
#define METHODS_ANY 0xffu
enum method method_of(struct str name);

enum route_verdict { ROUTE_FOUND, ROUTE_NONE, ROUTE_METHOD, ROUTE_AMBIGUOUS };

struct route_path {
    struct str path;  /* "/rest/v1", "/rest/v1/rpc/admin_*", "/"; normal form, starts with '/' */
    unsigned methods; /* set of enum method; a route with GET takes HEAD too */
    int rank; /* of two equal paths whose methods both fit, the higher wins (the file's over the built-in) */
};

struct route_table;
/* Copies nothing: `paths` must outlive the table. A match is the index into `paths`. *bad is the index of a path that is not in normal
 * form (-EINVAL), or that was there before at the same rank with a method that both take (-EEXIST). -ENOMEM. */
int route_table_new(struct route_table **out, const struct route_path *paths, size_t n,
                    size_t *bad) MUST_USE;
void route_table_free(struct route_table *table); /* takes NULL */

/* Matches the raw path and its normalised forms; when they do not agree on the route: ROUTE_AMBIGUOUS (400).
 * *index receives the route (ROUTE_FOUND); for ROUTE_METHOD *allowed receives the methods that some route takes here. */
enum route_verdict route_table_match(const struct route_table *table, const struct target *target,
                                     enum method method, size_t *index, unsigned *allowed) MUST_USE;
