/* SPDX-License-Identifier: MIT */
/* SipHash-1-3: one round a word, three at the end. Enough against hash flooding, where an attacker
 * never sees a hash. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the
 * wide output as in their reference code. */
#include "base/hash.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline void sip_round(struct sip *s) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word) {
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t sip_end(struct sip *s) {
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline struct sip sip_start(const struct hash_key *key) {
    return (struct sip){
        key->k0 ^ UINT64_C(0x736f6d6570736575),
        key->k1 ^ UINT64_C(0x646f72616e646f6d),
        key->k0 ^ UINT64_C(0x6c7967656e657261),
        key->k1 ^ UINT64_C(0x7465646279746573),
    };
}

static inline void sip_bytes(struct sip *s, struct str bytes) {
    const char *at = bytes.at;
    size_t left = bytes.n;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(s, le64toh(word));
    }
    uint64_t last = 0;
    if (left > 0)
        memcpy(&last, at, left);
    sip_word(s, le64toh(last) | (uint64_t)bytes.n << 56);
}

uint64_t hash64(const struct hash_key *key, struct str s) {
    struct sip sip = sip_start(key);
    sip_bytes(&sip, s);
    sip.v2 ^= 0xff;
    return sip_end(&sip);
}

struct hash128 hash128(const struct hash_key *key, struct str s) {
    struct sip sip = sip_start(key);
    sip.v1 ^= 0xee;
    sip_bytes(&sip, s);
    struct hash128 hash;
    sip.v2 ^= 0xee;
    hash.lo = sip_end(&sip);
    sip.v1 ^= 0xdd;
    hash.hi = sip_end(&sip);
    return hash;
}

void random_bytes(void *at, size_t n) {
    char *next = at;
    while (n > 0) {
        ssize_t got = getrandom(next, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        /* Without randomness every table could be flooded and every id guessed: there is nothing to
         * go on with. */
        if (got <= 0)
            abort();
        assert((size_t)got <= n);
        next += got;
        n -= (size_t)got;
    }
}

void hash_key_new(struct hash_key *key) { random_bytes(key, sizeof(*key)); }
