/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* Keyed hashing against hash flooding: SipHash-1-3 (Aumasson, Bernstein 2012), 64 and 128 bits wide. */
struct hash_key {
    uint64_t k0, k1;
};
struct hash128 {
    uint64_t lo, hi;
};

/* A random key from the kernel. Aborts when the kernel has no randomness to give. */
void hash_key_new(struct hash_key *key);
uint64_t hash64(const struct hash_key *key, struct str s);
struct hash128 hash128(const struct hash_key *key, struct str s);

/* n random bytes from the kernel; aborts as above. */
void random_bytes(void *at, size_t n);
