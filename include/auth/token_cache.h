/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/token.h"

/* What was verified before: the exact bytes of a token -> its claims. One per worker, one thread.
 *
 * An entry dies when its key's material leaves the key set, when its issuer is no longer spelt so, when settings change
 * (token_cache_clear), or by eviction (bounded by entries and bytes; what is not used goes first). Times, audience, rules and the
 * state of the keys are judged again at every hit; an expired token is told so from here, and goes before any good one.
 * Forgeries (BAD_SIGNATURE) are remembered in a small table of their own, briefly, so that a replay costs a hash and a flood
 * evicts no good token; an unknown kid is never remembered.
 *
 * A wall clock that steps back makes no token that is held live longer: its times are judged by the wall clock or, where that is
 * later, by when it was first seen and the monotonic time since. The bound is each token's own: one for all would, once the clock
 * had been ahead and was put right, refuse fresh tokens until a restart. What was evicted is judged by the wall clock alone. */
struct token_cache;

struct token_cache_limits {
    size_t n_entries;   /* default 10,000 */
    size_t total_bytes; /* default 32 MiB: tokens and claims */
    size_t n_forgeries; /* default 1,024 */
    int64_t forgery_ns; /* default 10 s */
};
#define TOKEN_CACHE_LIMITS_DEFAULT \
    ((struct token_cache_limits){10000, 32u << 20, 1024, 10 * NS_PER_S})

struct token_cache *
token_cache_new(const struct token_cache_limits *limits) MUST_USE; /* NULL when memory is out */
void token_cache_free(struct token_cache *cache);                  /* takes NULL */
void token_cache_clear(struct token_cache *cache);
/* Do entries made under `before` mean the same under `after`? What is judged at every hit (times, audience, rules) may differ. */
bool token_cache_outlives(const struct token_rules *before, const struct token_rules *after);

/* token_verify with the cache looked at first. The same verdicts; `*hit` says whether the cache answered. Claims in the result
 * carry a reference for the caller. */
struct token_result token_cache_verify(struct token_cache *cache, struct str token,
                                       const struct token_rules *rules, struct keyring *keys,
                                       const struct now *now, struct arena *scratch,
                                       bool *hit) MUST_USE;

/* Only the cache: true when it answers, with the same verdict in *result. */
bool token_cache_look(struct token_cache *cache, struct str token, const struct token_rules *rules,
                      struct keyring *keys, const struct now *now,
                      struct token_result *result) MUST_USE;

struct token_cache_stats {
    size_t n_entries, total_bytes, n_forgeries;
};
struct token_cache_stats token_cache_stats(const struct token_cache *cache);
