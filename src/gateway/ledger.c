/* SPDX-License-Identifier: MIT */
/* Rows never move and never go; only the list of them grows. */
#include "gateway/ledger.h"

#include "base/map.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct ledger *ledger_new(const struct ledger_shape *shape) {
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger)
        return NULL;
    atomic_init(&ledger->references, 1);
    ledger->n_workers = shape->n_workers;
    ledger->fixed = counters_new(shape->n_workers, shape->n_fixed);
    ledger->gauges = calloc(shape->n_workers * shape->n_gauges, sizeof(int64_t));
    bool is_whole = ledger->fixed && ledger->gauges;
    for (size_t f = 0; f < LEDGER_FAMILY_COUNT; f++) {
        ledger->families[f].n_columns = shape->n_columns[f];
        ledger->families[f].by_labels = map_new();
        is_whole = is_whole && ledger->families[f].by_labels;
    }
    if (is_whole)
        return ledger;
    ledger_unref(ledger);
    return NULL;
}

struct ledger *ledger_ref(struct ledger *ledger) {
    atomic_fetch_add_explicit(&ledger->references, 1, memory_order_relaxed);
    return ledger;
}

static void row_free(struct row *row) {
    counters_free(row->counters);
    free(row->labels);
    free(row);
}

void ledger_unref(struct ledger *ledger) {
    if (!ledger || atomic_fetch_sub_explicit(&ledger->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t f = 0; f < LEDGER_FAMILY_COUNT; f++) {
        struct family *family = &ledger->families[f];
        for (size_t i = 0; i < family->n; i++)
            row_free(family->rows[i]);
        free(family->rows);
        map_free(family->by_labels);
    }
    counters_free(ledger->fixed);
    free(ledger->gauges);
    free(ledger);
}

static struct row *row_new(const struct ledger *ledger, size_t n_columns, struct str labels) {
    struct row *row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->labels = str_dup(labels);
    row->counters = counters_new(ledger->n_workers, n_columns);
    if (row->labels && row->counters)
        return row;
    row_free(row);
    return NULL;
}

static int enter(struct family *family, struct str labels, struct row *row) {
    struct row **rows = realloc(family->rows, (family->n + 1) * sizeof(struct row *));
    if (!rows)
        return -ENOMEM;
    family->rows = rows;
    TRY(map_put(family->by_labels, labels, row));
    rows[family->n++] = row;
    return 0;
}

struct row *ledger_row(struct ledger *ledger, enum ledger_family which, struct str labels) {
    struct family *family = &ledger->families[which];
    struct row *row = map_get(family->by_labels, labels);
    if (row)
        return row;
    row = row_new(ledger, family->n_columns, labels);
    if (row && enter(family, labels, row) < 0) {
        row_free(row);
        return NULL;
    }
    return row;
}
