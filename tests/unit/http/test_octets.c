/* SPDX-License-Identifier: MIT */
/* Proves http/octets.h: the classes against the grammar, the fast spans against the plain one. */
#include "http/octets.h"

#include <check.h>
#include <stdlib.h>

START_TEST(classes_are_those_of_the_grammar) {
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        bool alnum = (i >= '0' && i <= '9') || (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
        bool token = alnum || (i > 0 && strchr("!#$%&'*+-.^_`|~", i));
        ck_assert_int_eq(octet_is(byte, OCTET_ALNUM), alnum);
        ck_assert_int_eq(octet_is(byte, OCTET_TOKEN), token);
        ck_assert_int_eq(octet_is(byte, OCTET_VALUE), i == '\t' || (i >= 0x20 && i != 0x7f));
        ck_assert_int_eq(octet_is(byte, OCTET_TARGET), i > 0x20 && i < 0x7f);
        ck_assert_int_eq(octet_is(byte, OCTET_HOST), alnum || i == '-' || i == '_');
    }
}
END_TEST

START_TEST(hex_digits_have_both_cases_and_nothing_beside) {
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    for (int i = 0; i < 256; i++) {
        const char *low = i ? strchr(digits, i) : NULL, *high = i ? strchr(upper, i) : NULL;
        int expected = low ? (int)(low - digits) : high ? (int)(high - upper) : -1;
        ck_assert_int_eq(hex_digit((char)i), expected);
    }
}
END_TEST

/* Each byte at each place of lines of each length, in memory that ends where the line ends. */
static void spans_agree(size_t (*fast)(struct str), enum octet_class octet_class) {
    for (size_t n = 0; n <= 50; n++)
        for (size_t at = 0; at < n; at++)
            for (int byte = 0; byte < 256; byte++) {
                char *line = malloc(n);
                memset(line, 'v', n);
                line[at] = (char)byte;
                struct str s = {line, n};
                ck_assert_uint_eq(fast(s), octets_span(s, octet_class));
                free(line);
            }
    ck_assert_uint_eq(fast(STR("")), 0);
}

START_TEST(fast_value_span_agrees_with_the_plain_one) { spans_agree(value_span, OCTET_VALUE); }
END_TEST
START_TEST(fast_target_span_agrees_with_the_plain_one) { spans_agree(target_span, OCTET_TARGET); }
END_TEST

START_TEST(fast_b64_span_agrees_with_the_plain_one) {
    const char *const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    for (int byte = 1; byte < 256; byte++)
        ck_assert_int_eq(octet_is((char)byte, OCTET_B64), strchr(all, byte) != NULL);
    spans_agree(b64_span, OCTET_B64);
}
END_TEST

START_TEST(fast_token_span_agrees_with_the_plain_one) { spans_agree(token_span, OCTET_TOKEN); }
END_TEST

START_TEST(span_stops_at_the_first_stranger_of_several) {
    ck_assert_uint_eq(value_span(STR("0123456789abcdef0123\r67\n9")), 20);
    ck_assert_uint_eq(target_span(STR("0123456789abcdef0123 67 9")), 20);
    ck_assert_uint_eq(octets_span(STR("Host: x"), OCTET_TOKEN), 4);
    ck_assert_uint_eq(token_span(STR("x.mark!and-more: x and what follows")), 15);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http/octets");
    TCase *tests = tcase_create("octets");
    tcase_add_test(tests, classes_are_those_of_the_grammar);
    tcase_add_test(tests, hex_digits_have_both_cases_and_nothing_beside);
    tcase_add_test(tests, fast_value_span_agrees_with_the_plain_one);
    tcase_add_test(tests, fast_target_span_agrees_with_the_plain_one);
    tcase_add_test(tests, fast_b64_span_agrees_with_the_plain_one);
    tcase_add_test(tests, fast_token_span_agrees_with_the_plain_one);
    tcase_add_test(tests, span_stops_at_the_first_stranger_of_several);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
