/* SPDX-License-Identifier: MIT */
#include "base/pen.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>

START_TEST(pieces_follow_one_another) {
    char room[8];
    char *at = pen_byte(pen_str(pen_str(room, STR("abc")), STR_NONE), '=');
    at = pen_two_digits(at, 7);
    at = pen_two_digits(at, 99);
    ck_assert_ptr_eq(at, room + sizeof(room));
    ck_assert_mem_eq(room, "abc=0799", sizeof(room));
}
END_TEST

static void check_number(uint64_t value) {
    char expected[24];
    int n = snprintf(expected, sizeof(expected), "%" PRIu64, value);
    char *room = malloc((size_t)n); /* not a byte more is written */
    char *end = pen_u64(room, value);
    ck_assert_int_eq(end - room, n);
    ck_assert_mem_eq(room, expected, (size_t)n);
    ck_assert_int_le(n, PEN_U64_MAX);
    free(room);
}

START_TEST(numbers_are_decimal_and_exact) {
    for (uint64_t value = 0; value < 12000; value++)
        check_number(value);
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        check_number(power * 10 - 1);
        check_number(power * 10);
        check_number(power * 10 + 1);
    }
    check_number(UINT64_MAX);
}
END_TEST

START_TEST(bytes_are_two_hexadecimal_digits_each) {
    unsigned char bytes[256];
    char expected[2 * sizeof(bytes) + 1];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
        snprintf(expected + 2 * i, 3, "%02x", (unsigned)i);
    }
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        char *room = malloc(2 * n + 1);
        ck_assert_ptr_eq(pen_hex(room, bytes + sizeof(bytes) - n, n), room + 2 * n);
        ck_assert_mem_eq(room, expected + 2 * (sizeof(bytes) - n), 2 * n);
        free(room);
    }
}
END_TEST

SUITE_MAIN("base/pen", pieces_follow_one_another, numbers_are_decimal_and_exact,
           bytes_are_two_hexadecimal_digits_each)
