/* SPDX-License-Identifier: MIT */
/* One row a worker, each on cache lines of its own, so that counting never waits for another core. */
#include "base/counters.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE_BYTES = 64, CELLS_PER_LINE = CACHE_LINE_BYTES / sizeof(int64_t) };

struct counters {
    size_t n_rows, n_columns;
    size_t stride; /* cells from row to row */
    _Alignas(CACHE_LINE_BYTES) _Atomic int64_t cells[];
};

struct counters *counters_new(size_t n_rows, size_t n_columns) {
    assert(n_rows > 0 && n_columns > 0);
    struct counters *counters;
    size_t bytes;
    if (n_columns > SIZE_MAX / CACHE_LINE_BYTES)
        return NULL;
    size_t stride = (n_columns + CELLS_PER_LINE - 1) / CELLS_PER_LINE * CELLS_PER_LINE;
    if (__builtin_mul_overflow(n_rows, stride * sizeof(int64_t), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(*counters), &bytes))
        return NULL;
    counters = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (!counters)
        return NULL;
    memset(counters, 0, bytes);
    counters->n_rows = n_rows;
    counters->n_columns = n_columns;
    counters->stride = stride;
    return counters;
}

void counters_free(struct counters *counters) { free(counters); }

void counters_add(struct counters *counters, size_t row, size_t column, int64_t amount) {
    assert(row < counters->n_rows && column < counters->n_columns);
    _Atomic int64_t *cell = &counters->cells[row * counters->stride + column];
    /* A row has one writer, so this needs no locked instruction; it is atomic for the reader's sake. */
    int64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, value + amount, memory_order_relaxed);
}

int64_t counters_sum(const struct counters *counters, size_t column) {
    assert(column < counters->n_columns);
    int64_t sum = 0;
    for (size_t row = 0; row < counters->n_rows; row++)
        sum += atomic_load_explicit(&counters->cells[row * counters->stride + column],
                                    memory_order_relaxed);
    return sum;
}
