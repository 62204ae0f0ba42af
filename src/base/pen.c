/* SPDX-License-Identifier: MIT */
#include "base/pen.h"

#include <assert.h>
#include <endian.h>

/* "00" to "99" */
#define TEN(tens) \
#tens "0" #tens "1" #tens "2" #tens "3" #tens "4" #tens "5" #tens "6" #tens "7" #tens \
          "8" #tens "9"
static const char PAIRS[] = TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9);

char *pen_two_digits(char *at, unsigned value) {
    assert(value < 100);
    memcpy(at, PAIRS + 2 * value, 2);
    return at + 2;
}

static size_t count_digits(uint64_t value) {
    size_t n = 1;
    for (; value >= 10000; value /= 10000)
        n += 4;
    return n + (value >= 10) + (value >= 100) + (value >= 1000);
}

char *pen_u64(char *at, uint64_t value) {
    char *end = at + count_digits(value), *to = end;
    for (; value >= 100; value /= 100)
        pen_two_digits(to -= 2, (unsigned)(value % 100));
    if (value >= 10)
        pen_two_digits(to - 2, (unsigned)value);
    else
        to[-1] = (char)('0' + value);
    return end;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Four bytes are spread to eight, a digit each, the first one lowest. */
static uint64_t spread(uint64_t bytes) {
    bytes = (bytes | bytes << 16) & UINT64_C(0x0000ffff0000ffff);
    bytes = (bytes | bytes << 8) & UINT64_C(0x00ff00ff00ff00ff);
    return (bytes >> 4 | bytes << 8) & EACH_BYTE(0x0f);
}

/* '0' to '9', and 39 further 'a' to 'f'. */
static uint64_t hex_digits(uint64_t values) {
    uint64_t above_nine = (values + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
    return values + EACH_BYTE('0') + above_nine * ('a' - '0' - 10);
}

static void write_eight(char *at, const unsigned char *bytes) {
    uint32_t four;
    memcpy(&four, bytes, sizeof(four));
    uint64_t text = htole64(hex_digits(spread(le32toh(four))));
    memcpy(at, &text, sizeof(text));
}

char *pen_hex(char *at, const void *bytes, size_t n) {
    const unsigned char *from = bytes;
    for (; n >= 4; n -= 4, from += 4, at += 8)
        write_eight(at, from);
    for (; n > 0; n--, from++) {
        at = pen_byte(at, "0123456789abcdef"[*from >> 4]);
        at = pen_byte(at, "0123456789abcdef"[*from & 15]);
    }
    return at;
}
