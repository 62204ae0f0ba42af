/* SPDX-License-Identifier: MIT */
#pragma once
/* A counter in Redis (io/redis_limits.h says how it is kept), as scripts are asked about it and answer. */
#include "io/redis_codec.h"
#include "limit/policy.h"

#define REDIS_COUNTER_KEY_MAX 512                /* REDIS_LIMITS_KEY_MAX */
#define REDIS_COUNTER_MAX     (INT64_C(1) << 53) /* what Lua's numbers hold exactly */

/* False: it is too long, or the library fails. */
bool redis_counter_key(struct str prefix, const struct limit_charge *charge,
                       char out[REDIS_COUNTER_KEY_MAX]) MUST_USE;
/* `calls` of a rate in microseconds and parts of 1/count us; at most a hundred years and a little. */
void redis_counter_time(const struct bucket_rule *rule, int64_t calls, int64_t *us, int64_t *parts);
/* The ends of the window that is now, and of the next: which it is Redis' clock decides. */
void redis_counter_windows(const struct limit_charge *charge, int64_t now_us, int64_t ends_s[2]);
/* What a script found, A less its clock (a rate) or A, and B, as limit/ knows it: a bucket at a monotonic clock of 0. False: it is nonsense. */
bool redis_counter_read(const struct limit_policy *policy, const struct redis_reply found[2],
                        union limit_counter *counter) MUST_USE;
