/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"

/* Redis for a command of the command line: each call is waited for, on a loop of its own. */
struct redis_session;

/* Waits until Redis answers, for at most patience_ns; so does each call. NULL with why (also when it
 * does not answer). `target` is borrowed until redis_session_free. */
struct redis_session *redis_session_new(const struct redis_target *target, int64_t patience_ns,
                                        char why[160]) MUST_USE;
void redis_session_free(struct redis_session *session); /* takes NULL */

/* As redis_call and redis_run. *reply (ANSWERED and ERROR; else NULL) lives until the next call. */
enum redis_verdict redis_session_call(struct redis_session *session, struct str key,
                                      const struct str *arguments, size_t n,
                                      const struct redis_reply **reply) MUST_USE;
enum redis_verdict redis_session_run(struct redis_session *session,
                                     const struct redis_script *script, const struct str *keys,
                                     size_t n_keys, const struct str *arguments, size_t n,
                                     const struct redis_reply **reply) MUST_USE;
