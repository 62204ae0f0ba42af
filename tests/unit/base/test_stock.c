/* SPDX-License-Identifier: MIT */
#include "base/stock.h"

#include "base/poison.h"
#include "suite.h"

#define PIECE 64

static bool is_zero(const char *at, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (at[i] != 0)
            return false;
    return true;
}

START_TEST(what_was_given_back_is_taken_again_and_zeroed_when_asked) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    char *first = stock_take_zeroed(&stock, PIECE);
    ck_assert(is_zero(first, PIECE));
    memset(first, 'x', PIECE);
    stock_give(&stock, first, PIECE);
    char *again = stock_take_zeroed(&stock, 20);
    ck_assert_ptr_eq(again, first);
    ck_assert(is_zero(again, 20));
    ck_assert_uint_eq(stock.n, 0);
    stock_give(&stock, again, 20);
    stock_release(&stock);
}
END_TEST

START_TEST(pieces_that_are_out_are_not_lent_twice) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    char *one = stock_take(&stock, PIECE), *two = stock_take(&stock, PIECE);
    ck_assert_ptr_ne(one, two);
    stock_give(&stock, one, PIECE);
    stock_give(&stock, two, PIECE);
    ck_assert_uint_eq(stock.n, 2);
    one = stock_take(&stock, PIECE), two = stock_take(&stock, PIECE);
    ck_assert_ptr_ne(one, two);
    stock_give(&stock, one, PIECE);
    stock_give(&stock, two, PIECE);
    stock_release(&stock);
    ck_assert_uint_eq(stock.n, 0);
}
END_TEST

START_TEST(no_more_lie_there_than_was_said) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 3};
    void *pieces[10];
    for (size_t i = 0; i < 10; i++)
        pieces[i] = stock_take(&stock, PIECE);
    for (size_t i = 0; i < 10; i++)
        stock_give(&stock, pieces[i], PIECE);
    ck_assert_uint_eq(stock.n, 3);
    stock_release(&stock);
}
END_TEST

START_TEST(larger_pieces_do_not_lie_there) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    char *large = stock_take_zeroed(&stock, 10 * PIECE);
    ck_assert(is_zero(large, 10 * PIECE));
    memset(large, 'x', 10 * PIECE);
    stock_give(&stock, large, 10 * PIECE);
    ck_assert_uint_eq(stock.n, 0);
    stock_release(&stock);
}
END_TEST

START_TEST(what_lies_there_is_poisoned) {
#ifdef JG_HAS_ASAN
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    char *piece = stock_take(&stock, PIECE);
    ck_assert_ptr_null(__asan_region_is_poisoned(piece, PIECE));
    stock_give(&stock, piece, PIECE);
    ck_assert_ptr_nonnull(__asan_region_is_poisoned(piece, PIECE));
    stock_release(&stock);
#endif
}
END_TEST

START_TEST(releasing_an_empty_one_is_fine) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    stock_release(&stock);
    stock_release(&stock);
}
END_TEST

SUITE_MAIN("base/stock", what_was_given_back_is_taken_again_and_zeroed_when_asked,
           pieces_that_are_out_are_not_lent_twice, no_more_lie_there_than_was_said,
           larger_pieces_do_not_lie_there, what_lies_there_is_poisoned,
           releasing_an_empty_one_is_fine)
