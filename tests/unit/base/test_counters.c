/* SPDX-License-Identifier: MIT */
#include "base/counters.h"

#include "suite.h"

#include <pthread.h>

enum { ROWS = 4, COLUMNS = 3, ROUNDS = 20000 };

START_TEST(sum_is_over_all_rows_of_one_column) {
    struct counters *counters = counters_new(ROWS, COLUMNS);
    for (size_t row = 0; row < ROWS; row++)
        counters_add(counters, row, 1, (int64_t)row + 1);
    counters_add(counters, 3, 2, -7);
    ck_assert_int_eq(counters_sum(counters, 0), 0);
    ck_assert_int_eq(counters_sum(counters, 1), 10);
    ck_assert_int_eq(counters_sum(counters, 2), -7);
    counters_free(counters);
}
END_TEST

START_TEST(every_cell_is_its_own) {
    for (size_t n_columns = 1; n_columns < 20; n_columns++) {
        struct counters *counters = counters_new(3, n_columns);
        for (size_t row = 0; row < 3; row++)
            for (size_t column = 0; column < n_columns; column++)
                counters_add(counters, row, column, 1);
        for (size_t column = 0; column < n_columns; column++)
            ck_assert_int_eq(counters_sum(counters, column), 3);
        counters_free(counters);
    }
}
END_TEST

START_TEST(sizes_beyond_memory_are_refused) {
    ck_assert_ptr_null(counters_new(SIZE_MAX / 2, 8));
    ck_assert_ptr_null(counters_new(SIZE_MAX / 8, 1));
    ck_assert_ptr_null(counters_new(1, SIZE_MAX));
    ck_assert_ptr_null(counters_new(8, SIZE_MAX / 8));
    counters_free(NULL);
}
END_TEST

struct worker {
    struct counters *counters;
    size_t row;
};

static void *count_up(void *argument) {
    const struct worker *worker = argument;
    for (int i = 0; i < ROUNDS; i++)
        counters_add(worker->counters, worker->row, 0, 1);
    return NULL;
}

START_TEST(workers_count_at_once_and_lose_nothing) {
    struct counters *counters = counters_new(ROWS, COLUMNS);
    struct worker workers[ROWS];
    pthread_t threads[ROWS];
    for (size_t row = 0; row < ROWS; row++) {
        workers[row] = (struct worker){counters, row};
        ck_assert_int_eq(pthread_create(&threads[row], NULL, count_up, &workers[row]), 0);
    }
    for (int64_t seen = 0, before = 0; seen < ROWS * ROUNDS; before = seen) {
        seen = counters_sum(counters, 0);
        ck_assert_int_ge(seen, before);
    }
    for (size_t row = 0; row < ROWS; row++)
        pthread_join(threads[row], NULL);
    ck_assert_int_eq(counters_sum(counters, 0), ROWS * ROUNDS);
    counters_free(counters);
}
END_TEST

SUITE_MAIN("base/counters", sum_is_over_all_rows_of_one_column, every_cell_is_its_own,
           sizes_beyond_memory_are_refused, workers_count_at_once_and_lose_nothing)
