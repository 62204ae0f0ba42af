/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* Buckets in this process' memory, shared by the workers: one table per key kind, sharded, each shard under its own lock, found by a
 * keyed 128-bit hash of (policy id, key). Bounded: only a bucket that is as good as new may be dropped; when a shard is full of
 * living ones, strangers share one bucket per policy (of the shard). Monotonic time of this machine; forgets at a restart. */
struct memory_limits;

struct memory_limits_options {
    size_t n_per_kind; /* buckets per key kind; default 1,048,576; memory grows as needed up to it */
};
#define MEMORY_LIMITS_DEFAULT ((struct memory_limits_options){1u << 20})

struct memory_limits *memory_limits_new(const struct memory_limits_options *options) MUST_USE; /* NULL when memory is out */
void memory_limits_free(struct memory_limits *limits); /* takes NULL */

struct limit_charge;
struct bucket_state;
/* One locked pass over `n` charges: looks at all, and when every non-shadow one allows (and `counts`), takes all (shadow ones that
 * refuse are not taken). Returns whether all non-shadow ones allow. Locks are taken in one order, so calls cannot deadlock. */
bool memory_limits_pass(struct memory_limits *limits, const struct limit_charge *charges, size_t n, int64_t now_ns, bool counts,
                        struct bucket_state *states) MUST_USE;

struct memory_limits_stats {
    size_t n_buckets[LIMIT_KEY_COUNT];
    size_t total_bytes;
    uint64_t n_shared; /* calls that met a shared bucket because a shard was full */
};
struct memory_limits_stats memory_limits_stats(struct memory_limits *limits);
