/* SPDX-License-Identifier: MIT */
/* base64url by table: four characters make three bytes. A foreign character has its high bits set
 * in the table, so one look at all of them together, after the loop, finds any. */
#include "base/base64url.h"

#include <assert.h>
#include <endian.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* clang-format off */
enum { XX = 0xff }; /* foreign */
static const unsigned char VALUES[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, XX,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, XX, XX, XX,
    XX,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, 63,
    XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
};
/* clang-format on */

static inline uint32_t value(char c) { return VALUES[(unsigned char)c]; }

/* The one to three characters after the last four; false when their unused bits are not zero. */
static bool decode_rest(const char *in, size_t n, unsigned char *out, uint32_t *foreign) {
    if (n == 0)
        return true;
    uint32_t a = value(in[0]), b = value(in[1]), c = n == 3 ? value(in[2]) : 0;
    *foreign |= a | b | c;
    uint32_t bits = a << 18 | b << 12 | c << 6;
    out[0] = (unsigned char)(bits >> 16);
    if (n == 3)
        out[1] = (unsigned char)(bits >> 8);
    return (bits & (n == 2 ? 0xffff : 0xff)) == 0;
}

bool base64url_decode(struct str text, unsigned char *out, size_t *n) {
    size_t rest = text.n % 4, groups = text.n / 4;
    if (rest == 1)
        return false;
    const char *in = text.at;
    unsigned char *to = out;
    uint32_t foreign = 0;
    for (size_t i = 0; i < groups; i++, in += 4, to += 3) {
        uint32_t a = value(in[0]), b = value(in[1]), c = value(in[2]), d = value(in[3]);
        foreign |= a | b | c | d;
        /* Stores a fourth byte, which the next store covers; BASE64URL_DECODED_MAX leaves it room.
         */
        uint32_t bytes = htobe32(a << 26 | b << 20 | c << 14 | d << 8);
        memcpy(to, &bytes, 4);
    }
    bool is_canonical = decode_rest(in, rest, to, &foreign);
    *n = groups * 3 + (rest ? rest - 1 : 0);
    assert(*n <= BASE64URL_DECODED_MAX(text.n));
    return is_canonical && foreign < 64;
}

static char letter(uint32_t bits, int shift) { return ALPHABET[bits >> shift & 63]; }

size_t base64url_encode(struct str bytes, char *out) {
    const unsigned char *in = (const unsigned char *)bytes.at;
    size_t left = bytes.n;
    char *to = out;
    for (; left >= 3; left -= 3, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *to++ = letter(bits, 18);
        *to++ = letter(bits, 12);
        *to++ = letter(bits, 6);
        *to++ = letter(bits, 0);
    }
    if (left > 0) {
        uint32_t bits = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
        *to++ = letter(bits, 18);
        *to++ = letter(bits, 12);
        if (left == 2)
            *to++ = letter(bits, 6);
    }
    assert((size_t)(to - out) <= BASE64URL_ENCODED_MAX(bytes.n));
    return (size_t)(to - out);
}
