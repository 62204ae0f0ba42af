/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "base/counters.h"

/* What is counted for the life of the process: rows that are found again by their labels, so that settings may come and go and no
 * counter starts anew. It only grows, by what the operator names, never by what callers do. Reference-counted (atomic). Rows are
 * entered by one thread; whoever holds a row counts in it and sums it without asking anybody. */
enum ledger_family { LEDGER_ROUTES, LEDGER_ISSUERS, LEDGER_POLICIES, LEDGER_FAMILY_COUNT };

struct row {
    char *labels; /* as the exposition format has them: route="/rest/v1" */
    struct counters *counters;
};

struct ledger_shape {
    size_t n_workers;
    size_t n_fixed;                        /* columns that are there whatever the settings say */
    size_t n_gauges;                       /* cells that only their worker reads and writes */
    size_t n_columns[LEDGER_FAMILY_COUNT]; /* of each family's rows */
};

struct ledger {
    _Atomic unsigned references;
    size_t n_workers;
    struct counters *fixed;
    int64_t *gauges; /* [worker][gauge] */
    struct family {
        size_t n_columns;
        struct map *by_labels;
        struct row **rows; /* in the order of their entering */
        size_t n;
    } families[LEDGER_FAMILY_COUNT];
};

/* NULL when memory is out. */
struct ledger *ledger_new(const struct ledger_shape *shape) MUST_USE;
struct ledger *ledger_ref(struct ledger *ledger);
void ledger_unref(struct ledger *ledger); /* takes NULL */

/* The row of these labels, entered when it is new; NULL when memory is out. Lives as long as the ledger. */
struct row *ledger_row(struct ledger *ledger, enum ledger_family family,
                       struct str labels) MUST_USE;
