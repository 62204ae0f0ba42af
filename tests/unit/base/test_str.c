/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include "suite.h"

#define ck_assert_str_is(s, literal) \
    ck_assert_msg(str_eq((s), STR(literal)), "'" STR_FMT "' is not '" literal "'", STR_ARG(s))

START_TEST(equality_is_by_bytes_and_length) {
    ck_assert(str_eq(STR("abc"), STR("abc")));
    ck_assert(!str_eq(STR("abc"), STR("abd")));
    ck_assert(!str_eq(STR("abc"), STR("ab")));
    ck_assert(str_eq(STR_NONE, STR("")));
    ck_assert(!str_eq(STR("a\0b"), STR("a\0c")));
}
END_TEST

START_TEST(case_is_ignored_for_ascii_letters_only) {
    ck_assert(str_eq_nocase(STR("Content-Length"), STR("cONTENT-lENGTH")));
    ck_assert(!str_eq_nocase(STR("Content-Length"), STR("Content-Lengths")));
    /* Pairs that differ by 0x20 without being letters. */
    ck_assert(!str_eq_nocase(STR("@[\\]^"), STR("`{|}~")));
    ck_assert(!str_eq_nocase(STR("\xc4"), STR("\xe4")));
    ck_assert(!str_eq_nocase(STR("a\rb"), STR("a-b")));
}
END_TEST

START_TEST(prefix_and_suffix_must_fit) {
    ck_assert(str_starts(STR("Bearer x"), STR("Bearer ")));
    ck_assert(str_starts(STR("x"), STR("")));
    ck_assert(!str_starts(STR("bearer x"), STR("Bearer ")));
    ck_assert(!str_starts(STR("Bear"), STR("Bearer")));
    ck_assert(str_starts_nocase(STR("bEARER x"), STR("Bearer ")));
    ck_assert(!str_starts_nocase(STR("bear"), STR("Bearer")));
    ck_assert(str_ends(STR("a.json"), STR(".json")));
    ck_assert(!str_ends(STR("json"), STR(".json")));
    ck_assert(str_ends(STR_NONE, STR_NONE));
}
END_TEST

START_TEST(order_is_by_bytes_then_length) {
    ck_assert_int_eq(str_compare(STR("a"), STR("a")), 0);
    ck_assert_int_eq(str_compare(STR("a"), STR("b")), -1);
    ck_assert_int_eq(str_compare(STR("b"), STR("ab")), 1);
    ck_assert_int_eq(str_compare(STR("a"), STR("ab")), -1);
    ck_assert_int_eq(str_compare(STR("\xff"), STR("a")), 1);
    ck_assert_int_eq(str_compare(STR_NONE, STR("")), 0);
}
END_TEST

START_TEST(index_of_what_is_absent_is_the_length) {
    ck_assert_uint_eq(str_index(STR("a.b.c"), '.'), 1);
    ck_assert_uint_eq(str_index(STR("abc"), '.'), 3);
    ck_assert_uint_eq(str_index(STR("a\0b"), '\0'), 1);
    ck_assert_uint_eq(str_index(STR_NONE, '.'), 0);
}
END_TEST

START_TEST(contains_looks_past_nul) {
    ck_assert(str_contains(STR("a\0bc"), STR("bc")));
    ck_assert(str_contains(STR("abc"), STR("")));
    ck_assert(str_contains(STR_NONE, STR_NONE));
    ck_assert(!str_contains(STR("abc"), STR("abcd")));
    ck_assert(!str_contains(STR("abc"), STR("ac")));
    ck_assert(!str_contains(STR_NONE, STR("a")));
}
END_TEST

START_TEST(trim_takes_blanks_and_nothing_else) {
    ck_assert_str_is(str_trim(STR(" \t a b\t ")), "a b");
    ck_assert_str_is(str_trim(STR("\r\na\v")), "\r\na\v");
    ck_assert_str_is(str_trim(STR(" \t ")), "");
    ck_assert_str_is(str_trim(STR_NONE), "");
}
END_TEST

START_TEST(split_gives_every_part_also_empty_ones) {
    struct str rest = STR("a,,b,"), part;
    ck_assert(str_split(&rest, ',', &part));
    ck_assert_str_is(part, "a");
    ck_assert(str_split(&rest, ',', &part));
    ck_assert_str_is(part, "");
    ck_assert(str_split(&rest, ',', &part));
    ck_assert_str_is(part, "b");
    ck_assert(str_split(&rest, ',', &part));
    ck_assert_str_is(part, "");
    ck_assert(!str_split(&rest, ',', &part));
}
END_TEST

START_TEST(split_of_the_empty_string_is_one_empty_part) {
    struct str rest = STR(""), part = STR("x"), none = STR_NONE;
    ck_assert(str_split(&rest, ',', &part));
    ck_assert_uint_eq(part.n, 0);
    ck_assert(!str_split(&rest, ',', &part));
    ck_assert(!str_split(&none, ',', &part));
}
END_TEST

START_TEST(number_is_exact_to_the_last_value) {
    uint64_t value;
    ck_assert(str_to_u64(STR("0"), &value) && value == 0);
    ck_assert(str_to_u64(STR("0042"), &value) && value == 42);
    ck_assert(str_to_u64(STR("18446744073709551615"), &value) && value == UINT64_MAX);
}
END_TEST

START_TEST(number_refuses_all_but_digits) {
    static const struct str BAD[] = {
        STR(""),
        STR("-1"),
        STR("+1"),
        STR(" 1"),
        STR("1 "),
        STR("0x1"),
        STR("1\0"),
        STR("1.0"),
        STR("1e3"),
        STR("\xd9\xa1"),
        STR("1,1"),
        STR("abc"),
        STR("/"),
        STR(":"),
        STR("18446744073709551616"),
        STR("99999999999999999999"),
        STR("184467440737095516150"),
        STR_NONE,
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        uint64_t value = 7;
        ck_assert_msg(!str_to_u64(BAD[i], &value), "'" STR_FMT "'", STR_ARG(BAD[i]));
        ck_assert_uint_eq(value, 7);
    }
}
END_TEST

START_TEST(secrets_differ_by_any_bit) {
    char secret[32], other[32];
    memset(secret, 0x5a, sizeof(secret));
    struct str a = {secret, sizeof(secret)}, b = {other, sizeof(other)};
    for (size_t bit = 0; bit < sizeof(secret) * 8; bit++) {
        memcpy(other, secret, sizeof(secret));
        ck_assert(str_eq_secret(a, b));
        other[bit / 8] = (char)(other[bit / 8] ^ (1 << bit % 8));
        ck_assert(!str_eq_secret(a, b));
    }
    ck_assert(!str_eq_secret(a, str_first(a, 31)));
    ck_assert(str_eq_secret(STR_NONE, STR("")));
}
END_TEST

START_TEST(wiped_bytes_are_zero) {
    char bytes[] = "secret";
    bytes_wipe(bytes, 3);
    ck_assert_int_eq(memcmp(bytes, "\0\0\0ret", 7), 0);
    bytes_wipe(NULL, 0);
}
END_TEST

START_TEST(dup_ends_with_nul) {
    char *copy = str_dup(STR("a\0b"));
    ck_assert_int_eq(memcmp(copy, "a\0b", 4), 0);
    free(copy);
    copy = str_dup(STR_NONE);
    ck_assert_int_eq(copy[0], '\0');
    free(copy);
}
END_TEST

START_TEST(nothing_can_be_skipped_of_nothing) {
    ck_assert_uint_eq(str_skip(STR_NONE, 0).n, 0);
    ck_assert_uint_eq(str_skip(STR("ab"), 2).n, 0);
    ck_assert_uint_eq(str_first(STR("ab"), 9).n, 2);
    ck_assert_uint_eq(str_of(NULL).n, 0);
}
END_TEST

SUITE_MAIN("base/str", equality_is_by_bytes_and_length, case_is_ignored_for_ascii_letters_only,
           prefix_and_suffix_must_fit, order_is_by_bytes_then_length,
           index_of_what_is_absent_is_the_length, contains_looks_past_nul,
           trim_takes_blanks_and_nothing_else, split_gives_every_part_also_empty_ones,
           split_of_the_empty_string_is_one_empty_part, number_is_exact_to_the_last_value,
           number_refuses_all_but_digits, secrets_differ_by_any_bit, wiped_bytes_are_zero,
           dup_ends_with_nul, nothing_can_be_skipped_of_nothing)
