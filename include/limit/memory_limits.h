/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* Buckets in this process' memory, shared by the workers: one table per key kind, sharded, each shard
 * under its own lock, found by a keyed 128-bit hash of (policy id, its rate, key). Bounded: only a
 * bucket that is as good as new may be dropped; when a shard is full of living ones, strangers share
 * one bucket per policy (of the shard; these come on top of the bound). A policy whose rate changes
 * starts anew; all else survives a reload. Monotonic time of this machine; forgets at a restart. */
struct memory_limits;

struct memory_limits_options {
    size_t n_per_kind; /* buckets per key kind, >= 1; memory grows and shrinks as needed, at most
                          64 bytes a bucket once there are many */
};
#define MEMORY_LIMITS_DEFAULT ((struct memory_limits_options){1u << 20})

/* NULL when memory is out. */
struct memory_limits *memory_limits_new(const struct memory_limits_options *options) MUST_USE;
void memory_limits_free(struct memory_limits *limits); /* takes NULL */

#define LIMITER_CHARGES_MAX 8
struct limit_charge {
    const struct limit_policy *policy;
    struct str key; /* the subject, the address, the claim's value; empty for global */
    int64_t cost;   /* >= 0 */
};

/* One locked pass over `n` charges (at most LIMITER_CHARGES_MAX): looks at all, and when every
 * non-shadow one allows (and `counts`), takes all (shadow ones that refuse are not taken). Returns
 * whether all non-shadow ones allow. states[i] says what charge i met; where another one refused,
 * nothing was taken and states[i] of those that allow says what stands. Locks are taken in one order,
 * so calls cannot deadlock; none is held over anything that blocks. */
bool memory_limits_pass(struct memory_limits *limits, const struct limit_charge *charges, size_t n,
                        int64_t now_ns, bool counts, struct limit_state *states) MUST_USE;

struct memory_limits_stats {
    size_t n_buckets[LIMIT_KEY_COUNT]; /* held; some may be as good as new, not yet swept */
    size_t total_bytes;
    uint64_t n_shared; /* charges that met a shared bucket because a shard was full */
};
struct memory_limits_stats memory_limits_stats(struct memory_limits *limits);
