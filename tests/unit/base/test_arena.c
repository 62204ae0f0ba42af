/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/poison.h"
#include "suite.h"

START_TEST(pieces_are_aligned_and_apart) {
    struct arena arena;
    arena_init(&arena);
    char *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&arena, i);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_int_eq((unsigned char)pieces[i][k], i & 0xff);
    arena_fini(&arena);
}
END_TEST

START_TEST(warm_arena_starts_over_at_the_same_place) {
    struct arena arena;
    arena_init(&arena);
    void *first = arena_alloc(&arena, 100);
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
    arena_reset(&arena);
    ck_assert_uint_eq(arena.total_bytes, 0);
    void *again = arena_alloc(&arena, 100);
    arena_reset(&arena);
    ck_assert_ptr_eq(arena_alloc(&arena, 100), again);
    ck_assert_ptr_nonnull(first);
    arena_fini(&arena);
}
END_TEST

START_TEST(large_piece_leaves_the_block_in_use) {
    struct arena arena;
    arena_init(&arena);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    struct arena_block *block = arena.block;
    char *large = arena_alloc(&arena, 100000);
    memset(large, 1, 100000);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 16));
    ck_assert_ptr_eq(arena.block, block);
    ck_assert_uint_eq(arena.total_bytes, 100032);
    arena_fini(&arena);
}
END_TEST

START_TEST(first_piece_may_be_large) {
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        memset(arena_alloc(&arena, 50000), 1, 50000);
        memset(arena_alloc(&arena, 50), 2, 50);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(sizes_beyond_memory_are_refused) {
    struct arena arena;
    arena_init(&arena);
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX / 2 + 1));
    ck_assert_ptr_null(arena_zalloc(&arena, SIZE_MAX - 8));
    ck_assert_ptr_null(arena_copy(&arena, (struct str){"x", SIZE_MAX}).at);
    ck_assert_uint_eq(arena.total_bytes, 0);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 0));
    arena_fini(&arena);
}
END_TEST

START_TEST(zeroed_memory_is_zero_after_reuse) {
    struct arena arena;
    arena_init(&arena);
    memset(arena_alloc(&arena, 64), 0xff, 64);
    arena_reset(&arena);
    static const char ZEROS[64];
    ck_assert_int_eq(memcmp(arena_zalloc(&arena, 64), ZEROS, 64), 0);
    arena_fini(&arena);
}
END_TEST

START_TEST(copy_ends_with_nul_that_is_not_counted) {
    struct arena arena;
    arena_init(&arena);
    struct str copy = arena_copy(&arena, STR("a\0b"));
    ck_assert_uint_eq(copy.n, 3);
    ck_assert_int_eq(memcmp(copy.at, "a\0b", 4), 0);
    struct str nothing = arena_copy(&arena, STR_NONE);
    ck_assert_ptr_nonnull(nothing.at);
    ck_assert_int_eq(nothing.at[0], '\0');
    arena_fini(&arena);
}
END_TEST

START_TEST(printf_holds_any_length) {
    struct arena arena;
    arena_init(&arena);
    ck_assert(str_eq(arena_printf(&arena, "%s-%d", "a", 7), STR("a-7")));
    struct str wide = arena_printf(&arena, "%20000d", 7);
    ck_assert_uint_eq(wide.n, 20000);
    ck_assert_int_eq(wide.at[19999], '7');
    ck_assert_uint_eq(arena_printf(&arena, "%s", "").n, 0);
    arena_fini(&arena);
}
END_TEST

START_TEST(fini_of_a_fresh_arena_is_nothing) {
    struct arena arena;
    arena_init(&arena);
    arena_reset(&arena);
    arena_fini(&arena);
    ck_assert_ptr_null(arena.block);
}
END_TEST

START_TEST(unused_memory_is_poisoned) {
#ifdef JG_HAS_ASAN
    struct arena arena;
    arena_init(&arena);
    char *a = arena_alloc(&arena, 10);
    char *b = arena_alloc(&arena, 16);
    ck_assert(!__asan_address_is_poisoned(a + 9));
    ck_assert(__asan_address_is_poisoned(a + 10));
    ck_assert(__asan_address_is_poisoned(b + 16));
    arena_reset(&arena);
    ck_assert(__asan_address_is_poisoned(a));
    ck_assert(__asan_address_is_poisoned(b));
    arena_fini(&arena);
#endif
}
END_TEST

SUITE_MAIN("base/arena", pieces_are_aligned_and_apart, warm_arena_starts_over_at_the_same_place,
           large_piece_leaves_the_block_in_use, first_piece_may_be_large,
           sizes_beyond_memory_are_refused, zeroed_memory_is_zero_after_reuse,
           copy_ends_with_nul_that_is_not_counted, printf_holds_any_length,
           fini_of_a_fresh_arena_is_nothing, unused_memory_is_poisoned)
