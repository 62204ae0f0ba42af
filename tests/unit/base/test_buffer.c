/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include "base/cleanup.h"
#include "base/stock.h"
#include "suite.h"

#include <errno.h>

#define BUFFER CLEANUP(buffer_release) struct buffer

START_TEST(empty_buffer_has_no_memory) {
    BUFFER b = {0};
    ck_assert_ptr_null(buffer_bytes(&b).at);
    ck_assert_uint_eq(buffer_length(&b), 0);
    ck_assert_int_eq(buffer_append(&b, STR_NONE), 0);
    ck_assert_ptr_null(b.at);
    buffer_clear(&b);
    buffer_consume(&b, 0);
}
END_TEST

START_TEST(bytes_come_out_in_order) {
    BUFFER b = {0};
    ck_assert_int_eq(buffer_append(&b, STR("hello ")), 0);
    ck_assert_int_eq(buffer_append_byte(&b, 'w'), 0);
    ck_assert_int_eq(buffer_append(&b, STR("orld")), 0);
    ck_assert(str_eq(buffer_bytes(&b), STR("hello world")));
    buffer_consume(&b, 6);
    ck_assert(str_eq(buffer_bytes(&b), STR("world")));
    buffer_consume(&b, 5);
    ck_assert_uint_eq(b.head, 0);
    ck_assert_uint_eq(b.tail, 0);
}
END_TEST

START_TEST(queue_of_any_length_keeps_every_byte) {
    BUFFER b = {0};
    unsigned char in = 0, out = 0;
    size_t wrote = 0, seen = 0;
    for (size_t round = 1; round < 400; round++) {
        for (size_t i = 0; i < round * 7 % 311; i++, wrote++)
            ck_assert_int_eq(buffer_append_byte(&b, (char)in++), 0);
        size_t take = round * 5 % 257 < buffer_length(&b) ? round * 5 % 257 : buffer_length(&b);
        for (size_t i = 0; i < take; i++, seen++)
            ck_assert_int_eq((unsigned char)buffer_bytes(&b).at[i], out++);
        buffer_consume(&b, take);
        ck_assert_uint_eq(buffer_length(&b), wrote - seen);
    }
}
END_TEST

START_TEST(consumed_room_is_used_before_more_is_asked_for) {
    BUFFER b = {0};
    char *room;
    ck_assert_int_eq(buffer_reserve(&b, 1000, &room), 0);
    size_t size = b.size;
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(buffer_append(&b, STR("0123456789")), 0);
        if (buffer_length(&b) > 500)
            buffer_consume(&b, 10);
    }
    ck_assert_uint_eq(b.size, size);
}
END_TEST

START_TEST(reserved_room_can_be_written_to_its_end) {
    BUFFER b = {0};
    char *room;
    for (size_t n = 0; n < 3000; n += 77) {
        ck_assert_int_eq(buffer_reserve(&b, n, &room), 0);
        ck_assert_ptr_nonnull(room);
        memset(room, 'x', n);
        buffer_commit(&b, n / 2);
    }
}
END_TEST

START_TEST(sizes_beyond_memory_are_refused) {
    BUFFER b = {0};
    char *room = NULL;
    ck_assert_int_eq(buffer_append(&b, STR("kept")), 0);
    ck_assert_int_eq(buffer_reserve(&b, SIZE_MAX, &room), -ENOMEM);
    ck_assert_int_eq(buffer_reserve(&b, SIZE_MAX / 4 + 1, &room), -ENOMEM);
    ck_assert_ptr_null(room);
    ck_assert(str_eq(buffer_bytes(&b), STR("kept")));
}
END_TEST

START_TEST(clear_keeps_memory_and_release_gives_it_back) {
    BUFFER b = {0};
    ck_assert_int_eq(buffer_append(&b, STR("x")), 0);
    buffer_clear(&b);
    ck_assert_ptr_nonnull(b.at);
    ck_assert_uint_eq(buffer_length(&b), 0);
    buffer_release(&b);
    ck_assert_ptr_null(b.at);
    ck_assert_int_eq(buffer_append(&b, STR("again")), 0);
    ck_assert(str_eq(buffer_bytes(&b), STR("again")));
}
END_TEST

START_TEST(printf_appends_without_its_nul) {
    BUFFER b = {0};
    ck_assert_int_eq(buffer_printf(&b, "%s=%d;", "a", 1), 0);
    ck_assert_int_eq(buffer_printf(&b, "%s", ""), 0);
    ck_assert_int_eq(buffer_printf(&b, "b=%d", 2), 0);
    ck_assert(str_eq(buffer_bytes(&b), STR("a=1;b=2")));
    ck_assert_int_eq(buffer_printf(&b, "%5000d", 1), 0);
    ck_assert_uint_eq(buffer_length(&b), 5007);
}
END_TEST

START_TEST(decimal_numbers_are_exact) {
    BUFFER b = {0};
    ck_assert_int_eq(buffer_append_u64(&b, 0), 0);
    ck_assert_int_eq(buffer_append_byte(&b, ' '), 0);
    ck_assert_int_eq(buffer_append_u64(&b, 1000), 0);
    ck_assert_int_eq(buffer_append_byte(&b, ' '), 0);
    ck_assert_int_eq(buffer_append_u64(&b, UINT64_MAX), 0);
    ck_assert(str_eq(buffer_bytes(&b), STR("0 1000 18446744073709551615")));
}
END_TEST

#define PIECE 64

START_TEST(first_memory_comes_from_the_stock_and_goes_back_there) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    struct buffer b = {.stock = &stock};
    ck_assert_int_eq(buffer_append(&b, STR("hello")), 0);
    ck_assert_uint_eq(b.size, PIECE);
    const char *piece = b.at;
    buffer_release(&b);
    ck_assert_uint_eq(stock.n, 1);
    ck_assert_ptr_null(b.at);
    ck_assert_int_eq(buffer_append(&b, STR("again")), 0);
    ck_assert_ptr_eq(b.at, piece);
    ck_assert_uint_eq(stock.n, 0);
    ck_assert(str_eq(buffer_bytes(&b), STR("again")));
    buffer_release(&b);
    stock_release(&stock);
}
END_TEST

START_TEST(what_outgrows_a_piece_keeps_its_bytes_and_gives_it_back) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    struct buffer b = {.stock = &stock};
    unsigned char in = 0, out = 0;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(buffer_append_byte(&b, (char)in++), 0);
    ck_assert_uint_gt(b.size, 1000 - 1);
    ck_assert_uint_eq(stock.n, 1);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_eq((unsigned char)b.at[i], out++);
    buffer_release(&b);
    ck_assert_uint_eq(stock.n, 1); /* the large one does not lie there */
    ck_assert_int_eq(buffer_append(&b, STR("small")), 0);
    ck_assert_uint_eq(b.size, PIECE);
    buffer_release(&b);
    stock_release(&stock);
}
END_TEST

START_TEST(what_is_large_at_once_takes_no_piece) {
    struct stock stock = {.piece_bytes = PIECE, .n_most = 4};
    struct buffer b = {.stock = &stock}, other = {.stock = &stock};
    ck_assert_int_eq(buffer_append(&other, STR("x")), 0);
    buffer_release(&other);
    char *room;
    ck_assert_int_eq(buffer_reserve(&b, 10 * PIECE, &room), 0);
    ck_assert_uint_eq(stock.n, 1);
    buffer_release(&b);
    ck_assert_uint_eq(stock.n, 1);
    stock_release(&stock);
}
END_TEST

SUITE_MAIN("base/buffer", empty_buffer_has_no_memory, bytes_come_out_in_order,
           queue_of_any_length_keeps_every_byte, consumed_room_is_used_before_more_is_asked_for,
           reserved_room_can_be_written_to_its_end, sizes_beyond_memory_are_refused,
           clear_keeps_memory_and_release_gives_it_back, printf_appends_without_its_nul,
           decimal_numbers_are_exact, first_memory_comes_from_the_stock_and_goes_back_there,
           what_outgrows_a_piece_keeps_its_bytes_and_gives_it_back,
           what_is_large_at_once_takes_no_piece)
