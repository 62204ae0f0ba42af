/* SPDX-License-Identifier: MIT */
/* The published vectors are for SipHash-2-4. A slow SipHash of any number of rounds, written from the paper, is proven by
 * them, and then proves ours. */
#include "base/hash.h"

#include "suite.h"

static const struct hash_key KEY = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

static uint64_t rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void rounds(uint64_t v[4], int n) {
    for (int i = 0; i < n; i++) {
        v[0] += v[1], v[1] = rotated(v[1], 13), v[1] ^= v[0], v[0] = rotated(v[0], 32);
        v[2] += v[3], v[3] = rotated(v[3], 16), v[3] ^= v[2];
        v[0] += v[3], v[3] = rotated(v[3], 21), v[3] ^= v[0];
        v[2] += v[1], v[1] = rotated(v[1], 17), v[1] ^= v[2], v[2] = rotated(v[2], 32);
    }
}

static struct hash128 slow_siphash(int c, int d, bool is_wide, const unsigned char *in, size_t n) {
    uint64_t v[4] = {KEY.k0 ^ UINT64_C(0x736f6d6570736575), KEY.k1 ^ UINT64_C(0x646f72616e646f6d),
                     KEY.k0 ^ UINT64_C(0x6c7967656e657261), KEY.k1 ^ UINT64_C(0x7465646279746573)};
    struct hash128 hash = {0, 0};
    v[1] ^= is_wide ? 0xee : 0;
    for (size_t block = 0; block <= n / 8; block++) {
        uint64_t word = 0;
        for (size_t i = 0; i < 8; i++) {
            size_t at = block * 8 + i;
            uint64_t byte = at < n ? in[at] : at % 8 == 7 ? n & 0xff : 0;
            word |= byte << 8 * i;
        }
        v[3] ^= word;
        rounds(v, c);
        v[0] ^= word;
    }
    v[2] ^= is_wide ? 0xee : 0xff;
    rounds(v, d);
    hash.lo = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, d);
    hash.hi = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash;
}

static void count_up(unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)i;
}

START_TEST(slow_siphash_agrees_with_the_published_vectors) {
    unsigned char in[64];
    count_up(in, sizeof(in));
    /* Appendix A of the paper, and vectors.h of the reference code. */
    ck_assert(slow_siphash(2, 4, false, in, 15).lo == UINT64_C(0xa129ca6149be45e5));
    ck_assert(slow_siphash(2, 4, false, in, 0).lo == UINT64_C(0x726fdb47dd0e0e31));
    ck_assert(slow_siphash(2, 4, false, in, 63).lo == UINT64_C(0x958a324ceb064572));
    struct hash128 wide = slow_siphash(2, 4, true, in, 15);
    ck_assert(wide.lo == UINT64_C(0x11a8b03399e99354) && wide.hi == UINT64_C(0xd9c3cf970fec087e));
}
END_TEST

START_TEST(hash_is_siphash_1_3_at_every_length) {
    unsigned char in[300];
    count_up(in, sizeof(in));
    for (size_t n = 0; n <= sizeof(in); n++) {
        /* In exact memory, at an odd address: a read beyond the end is seen. */
        char *copy = malloc(n + 1);
        memcpy(copy + 1, in, n);
        struct str s = {copy + 1, n};
        struct hash128 expected = slow_siphash(1, 3, true, in, n), hash = hash128(&KEY, s);
        ck_assert(hash64(&KEY, s) == slow_siphash(1, 3, false, in, n).lo);
        ck_assert(hash.lo == expected.lo && hash.hi == expected.hi);
        free(copy);
    }
}
END_TEST

START_TEST(hash_agrees_with_openssl) {
    /* openssl mac -macopt c-rounds:1 -macopt d-rounds:3 -macopt size:8 (or 16) SIPHASH */
    unsigned char in[15];
    count_up(in, sizeof(in));
    struct str s = {(char *)in, sizeof(in)};
    ck_assert(hash64(&KEY, STR_NONE) == UINT64_C(0xabac0158050fc4dc));
    ck_assert(hash64(&KEY, s) == UINT64_C(0xd320d86d2a519956));
    struct hash128 wide = hash128(&KEY, s);
    ck_assert(wide.lo == UINT64_C(0x6c52bdb205557ec1) && wide.hi == UINT64_C(0x09017e1eeccd2129));
}
END_TEST

START_TEST(another_key_gives_another_hash) {
    struct hash_key a, b;
    hash_key_new(&a);
    hash_key_new(&b);
    ck_assert(a.k0 != b.k0 && a.k1 != b.k1);
    ck_assert(hash64(&a, STR("x")) != hash64(&b, STR("x")));
    ck_assert(hash64(&a, STR("x")) == hash64(&a, STR("x")));
}
END_TEST

START_TEST(random_bytes_fill_all_that_was_asked_and_no_more) {
    unsigned char bytes[4096 + 1] = {0}, seen[4096] = {0};
    for (int round = 0; round < 8; round++) {
        random_bytes(bytes, 4096);
        ck_assert_int_eq(bytes[4096], 0);
        for (size_t i = 0; i < 4096; i++)
            seen[i] |= bytes[i];
    }
    for (size_t i = 0; i < 4096; i++)
        ck_assert_int_ne(seen[i], 0);
    random_bytes(NULL, 0);
}
END_TEST

SUITE_MAIN("base/hash", slow_siphash_agrees_with_the_published_vectors,
           hash_is_siphash_1_3_at_every_length, hash_agrees_with_openssl,
           another_key_gives_another_hash, random_bytes_fill_all_that_was_asked_and_no_more)
