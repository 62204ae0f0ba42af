/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* Text that is many short pieces, written into room that its caller knows to be enough: each call writes at `at` and gives
 * where it ended. Nothing is checked, so the room is reckoned first, once. */
#define PEN_U64_MAX 20 /* digits of 2^64 - 1 */

static inline char *pen_str(char *at, struct str s) {
    if (s.n > 0)
        memcpy(at, s.at, s.n);
    return at + s.n;
}
static inline char *pen_byte(char *at, char byte) {
    *at = byte;
    return at + 1;
}
/* A decimal number. */
char *pen_u64(char *at, uint64_t value);
/* Two lower-case hexadecimal digits for each byte. */
char *pen_hex(char *at, const void *bytes, size_t n);
/* Exactly two digits; value < 100. */
char *pen_two_digits(char *at, unsigned value);
