/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* A Lua script that does nothing after its deadline.
 *
 * Nothing timed out is replayed: each call carries a deadline in Redis' own time, after which the
 * script does nothing. Redis may have frozen with the call in its buffers, and when it wakes up
 * everybody has gone on without it. So ARGV[1] is the deadline in microseconds of Redis' clock,
 * which the client puts there (from what TIME last said); the prologue that goes before every body
 * compares it and defines
 *
 *   now    the clock, microseconds since 1970
 *
 * and the body's own arguments begin at ARGV[2]. The client takes the error LATE for REDIS_LATE. */
struct redis_script {
    char *source;
    char sha1[41]; /* what EVALSHA calls it */
};

int redis_script_init(struct redis_script *script, const char *body) MUST_USE; /* -ENOMEM */
void redis_script_fini(struct redis_script *script);
