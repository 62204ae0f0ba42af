/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include <stddef.h>
#include <stdint.h>

/* Numbers that workers count and the operator reads: each worker has a row of its own that only it writes (relaxed
 * atomics), a reader sums the column. What a column means is its user's business. */
struct counters;

/* All zero; NULL when memory is out. */
struct counters *counters_new(size_t n_rows, size_t n_columns) MUST_USE;
void counters_free(struct counters *counters); /* takes NULL */
void counters_add(struct counters *counters, size_t row, size_t column, int64_t amount);
int64_t counters_sum(const struct counters *counters, size_t column);
