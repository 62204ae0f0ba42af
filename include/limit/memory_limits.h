/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* Counters in this process' memory, shared by the workers: one table per key kind for rates and one for quotas, sharded, each shard
 * under its own lock, found by a keyed 128-bit hash of (the policy's counter, its rate or its quota's kind of window, key). Bounded: only a
 * counter that says nothing any more may be dropped; when a shard is full of living ones, strangers share
 * one counter per policy (of the shard; these come on top of the bound). A policy whose rate changes
 * starts anew; all else survives a reload. Forgets at a restart. */
struct memory_limits;

struct memory_limits_options {
    size_t n_per_kind; /* counters per table, >= 1; memory grows and shrinks as needed, at most
                          64 bytes a counter once there are many */
};
#define MEMORY_LIMITS_DEFAULT ((struct memory_limits_options){1u << 20})

/* NULL when memory is out. */
struct memory_limits *memory_limits_new(const struct memory_limits_options *options) MUST_USE;
void memory_limits_free(struct memory_limits *limits); /* takes NULL */

#define LIMITER_CHARGES_MAX 8

/* One locked pass over `n` charges (at most LIMITER_CHARGES_MAX): looks at all, and when every
 * non-shadow one allows (and `counts`), takes all (shadow ones that refuse are not taken). Returns
 * whether all non-shadow ones allow. states[i] says what charge i met; where another one refused,
 * nothing was taken and states[i] of those that allow says what stands. Locks are taken in one order,
 * so calls cannot deadlock; none is held over anything that blocks. */
bool memory_limits_pass(struct memory_limits *limits, const struct limit_charge *charges, size_t n,
                        const struct now *now, bool counts, struct limit_state *states) MUST_USE;
/* limit_counter_settle on the counter that `charge` meets now, wherever `taken` was counted. */
void memory_limits_settle(struct memory_limits *limits, const struct limit_charge *charge,
                          int64_t change, const struct limit_state *taken, const struct now *now);

/* The counter that `charge` meets now; all zero where nothing stands. */
union limit_counter memory_limits_get(struct memory_limits *limits,
                                      const struct limit_charge *charge, const struct now *now);
/* What was seen of the counter elsewhere (a bucket in this clock's time): from now on it stands so here. */
void memory_limits_put(struct memory_limits *limits, const struct limit_charge *charge,
                       const union limit_counter *seen, const struct now *now);

struct memory_limits_stats {
    size_t n_counters[LIMIT_KEY_COUNT]; /* held; some may be as good as new, not yet swept */
    size_t total_bytes;
    uint64_t n_shared; /* charges that met a shared counter because a shard was full */
};
struct memory_limits_stats memory_limits_stats(struct memory_limits *limits);
