/* SPDX-License-Identifier: MIT */
#include "limit/denial.h"

#include "suite.h"

START_TEST(nothing_is_remembered_at_first) {
    struct denial denial = {0};
    ck_assert_int_eq(denial_look(&denial, 1, 0, 0), DENIAL_NONE);
}
END_TEST

START_TEST(a_denial_stands_until_its_reset_and_asks_now_and_then) {
    struct denial denial;
    size_t n_asked = 0;
    denial_remember(&denial, 1, 60 * NS_PER_S, 7, 0);
    for (int64_t ns = 0; ns < 60 * NS_PER_S; ns += NS_PER_S / 100) {
        enum denial_verdict verdict = denial_look(&denial, 1, 7, ns);
        ck_assert_int_ne(verdict, DENIAL_NONE);
        n_asked += verdict == DENIAL_ASK;
    }
    ck_assert_uint_eq(n_asked, 19);
    ck_assert_int_eq(denial_look(&denial, 1, 7, 60 * NS_PER_S), DENIAL_NONE);
}
END_TEST

START_TEST(a_newer_feed_forgets_it) {
    struct denial denial;
    denial_remember(&denial, 1, 60 * NS_PER_S, 7, 0);
    ck_assert_int_eq(denial_look(&denial, 1, 8, 1), DENIAL_NONE);
}
END_TEST

START_TEST(a_cheaper_call_is_asked_for) {
    struct denial denial;
    denial_remember(&denial, 5, 60 * NS_PER_S, 7, 0);
    ck_assert_int_eq(denial_look(&denial, 4, 7, 1), DENIAL_NONE);
    ck_assert_int_eq(denial_look(&denial, 5, 7, 1), DENIAL_STANDS);
    ck_assert_int_eq(denial_look(&denial, 6, 7, 1), DENIAL_STANDS);
}
END_TEST

START_TEST(what_never_passes_is_remembered_for_ever) {
    struct denial denial;
    denial_remember(&denial, 1, INT64_MAX, 7, 5);
    ck_assert_int_eq(denial_look(&denial, 1, 7, 6), DENIAL_STANDS);
    ck_assert_int_eq(denial_look(&denial, 1, 7, INT64_C(1) << 60), DENIAL_ASK);
}
END_TEST

SUITE_MAIN("limit/denial", nothing_is_remembered_at_first,
           a_denial_stands_until_its_reset_and_asks_now_and_then, a_newer_feed_forgets_it,
           a_cheaper_call_is_asked_for, what_never_passes_is_remembered_for_ever)
