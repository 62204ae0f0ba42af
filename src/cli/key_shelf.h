/* SPDX-License-Identifier: MIT */
#pragma once
#include "asking.h"
#include "auth/api_key.h"

/* Where the API keys of all gateways are kept:
 *
 *   PREFIXk:ID     the record (gateway/api_keys.h); it goes SHELF_KEEP_S after its key has expired
 *   PREFIXkeys     a sorted set of every ID, by the unix second in which its record goes; +inf: never
 *
 * The two may be on different nodes of a Cluster, and change one after the other: the set may name what is not there, never the
 * reverse. */
#define SHELF_KEEP_S \
    (INT64_C(30) * 24 * 3600) /* so long its callers are told that it has expired */

struct shelf {
    struct asking *asking;
    struct str prefix;
    char index_key[96];
};
void shelf_init(struct shelf *shelf, struct asking *asking, struct str prefix);

/* All return false after the asking has said why. */
bool shelf_put(struct shelf *shelf, const char *id, const struct api_key_record *record,
               int64_t now_s) MUST_USE;
/* How many ids begin with `start`; *id is the last of them. */
bool shelf_find(struct shelf *shelf, struct str start, char id[API_KEY_ID_BYTES + 1],
                size_t *n) MUST_USE;
/* Takes it away and tells the gateways. *was_there: it was known. After a failure it may be done again. */
bool shelf_remove(struct shelf *shelf, const char *id, bool *was_there) MUST_USE;
/* Every record, the first to expire first. */
bool shelf_walk(struct shelf *shelf, int64_t now_s,
                void (*see)(void *arg, const char *id, struct str json), void *arg) MUST_USE;
