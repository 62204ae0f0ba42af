/* SPDX-License-Identifier: MIT */
/* Classes of bytes as one table of sums (enum octet_class), and runs of them. The classes that cover long runs, values,
 * targets and tokens, are looked at 16 bytes at a time: a head is mostly values, and each of its bytes must be seen once. */
#include "http/octets.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* clang-format off */
const uint8_t octet_classes[256] = {
/*   0   1   2   3   4   5   6   7   8   9   a   b   c   d   e   f */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     2,  7,  6,  7,  7,  7,  7,  7,  6,  6,  7, 39,  6, 47, 39, 38, /* 20 */
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  6,  6,  6, 38,  6,  6, /* 30 */
     6, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, /* 40 */
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  6,  6,  6,  7, 47, /* 50 */
     7, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, /* 60 */
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,  6,  7,  6, 39,  0, /* 70 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 80 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* 90 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* a0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* b0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* c0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* d0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* e0 */
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2, /* f0 */
};
/* clang-format on */

int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

size_t octets_span(struct str s, enum octet_class octet_class) {
    size_t n = 0;
    while (n < s.n && octet_is(s.at[n], octet_class))
        n++;
    return n;
}

#ifdef __SSE2__
static __m128i load(const char *at) { return _mm_loadu_si128((const __m128i *)(const void *)at); }

/* Bits of the bytes that are no value: controls save HTAB, and DEL. */
static unsigned not_value(__m128i bytes) {
    const __m128i last_control = _mm_set1_epi8(0x1f);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

/* Bits of the bytes outside 0x21..0x7e. The comparison is signed, so 0x80..0xff are below. */
static unsigned not_target(__m128i bytes) {
    __m128i above = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x7f));
    return 0xffffu & ~(unsigned)_mm_movemask_epi8(_mm_and_si128(above, below));
}

/* Unsigned: what is below `from` wraps to above. */
static __m128i within(__m128i bytes, char from, char to) {
    __m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8(from));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(to - from))), above);
}
static __m128i are(__m128i bytes, char one) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(one)); }

/* Bits of the bytes outside letters, '-' to '9', '+', '_', '~' and '='. */
static unsigned not_b64(__m128i bytes) {
    __m128i letter = within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i digit = _mm_or_si128(are(bytes, '+'), within(bytes, '-', '9'));
    __m128i mark = _mm_or_si128(are(bytes, '_'), _mm_or_si128(are(bytes, '~'), are(bytes, '=')));
    return 0xffffu & ~(unsigned)_mm_movemask_epi8(_mm_or_si128(letter, _mm_or_si128(digit, mark)));
}

/* Bits of the bytes outside letters, digits, '-' and '_', which nearly all tokens are made of. */
static unsigned not_letter(__m128i bytes) {
    __m128i letter = within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i mark = _mm_or_si128(are(bytes, '-'), are(bytes, '_'));
    __m128i other = _mm_or_si128(within(bytes, '0', '9'), mark);
    return 0xffffu & ~(unsigned)_mm_movemask_epi8(_mm_or_si128(letter, other));
}

/* The last chunk reaches back over bytes that were seen, so that few are looked at one by one. */
static inline size_t span(struct str s, unsigned (*outside)(__m128i),
                          enum octet_class octet_class) {
    if (s.n < 16)
        return octets_span(s, octet_class);
    size_t last = s.n - 16, at = 0;
    unsigned bad;
    while (!(bad = outside(load(s.at + at)))) {
        if (at == last)
            return s.n;
        at = last - at < 16 ? last : at + 16;
    }
    return at + (size_t)__builtin_ctz(bad);
}

size_t value_span(struct str s) { return span(s, not_value, OCTET_VALUE); }
size_t target_span(struct str s) { return span(s, not_target, OCTET_TARGET); }
size_t b64_span(struct str s) { return span(s, not_b64, OCTET_B64); }
size_t token_span(struct str s) {
    size_t n = span(s, not_letter, OCTET_TOKEN);
    return n + octets_span(str_skip(s, n), OCTET_TOKEN);
}
#else
size_t value_span(struct str s) { return octets_span(s, OCTET_VALUE); }
size_t target_span(struct str s) { return octets_span(s, OCTET_TARGET); }
size_t b64_span(struct str s) { return octets_span(s, OCTET_B64); }
size_t token_span(struct str s) { return octets_span(s, OCTET_TOKEN); }
#endif
