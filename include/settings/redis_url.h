/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"

/* Where Redis answers, as one URL says it:
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]          rediss:// is the same over TLS
 *   unix://[[USER]:PASSWORD@]/PATH[?db=DB]
 *   redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],.../SERVICE[/DB]    rediss+sentinel://
 *   redis+cluster://[[USER]:PASSWORD@]HOST[:PORT],...                  rediss+cluster://
 *
 * User and password are percent-encoded; without a user it is Redis' `default`. Ports are 6379, of
 * Sentinels 26379. */
enum redis_topology { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_address {
    struct str host; /* name or address without brackets; the path of a unix socket */
    uint16_t port;   /* 0: unix socket */
};

#define REDIS_ADDRESSES_MAX 16
struct redis_target {
    enum redis_topology topology;
    bool is_tls;
    struct str user, password; /* empty: none */
    uint32_t db;
    struct str service; /* REDIS_SENTINEL: the name of the group */
    struct str ca_file; /* TLS: what is trusted instead of the system's authorities; empty: these */
    size_t n;           /* REDIS_SINGLE: 1 */
    struct redis_address addresses[REDIS_ADDRESSES_MAX];
};

/* What needs no decoding is borrowed from `url`, the rest is the arena's; ca_file is left empty.
 * False with *why, a constant that says what was expected. */
bool redis_url_parse(struct str url, struct redis_target *target, struct arena *arena,
                     const char **why) MUST_USE;
