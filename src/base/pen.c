/* SPDX-License-Identifier: MIT */
#include "base/pen.h"

#include <assert.h>

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
