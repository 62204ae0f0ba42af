/* SPDX-License-Identifier: MIT */
#include "gateway/ledger.h"

#include "suite.h"
#include <stdio.h>

static const struct ledger_shape SHAPE = {
    .n_workers = 2, .n_fixed = 3, .n_gauges = 2, .n_columns = {4, 1, 2}};

static struct ledger *ledger;

static void begin(void) {
    ledger = ledger_new(&SHAPE);
    ck_assert_ptr_nonnull(ledger);
}

static struct row *row(enum ledger_family family, const char *labels) {
    struct row *found = ledger_row(ledger, family, str_of(labels));
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->labels, labels);
    return found;
}

START_TEST(a_row_is_found_again_by_its_labels) {
    begin();
    struct row *a = row(LEDGER_ROUTES, "route=\"/a\""), *b = row(LEDGER_ROUTES, "route=\"/b\"");
    ck_assert_ptr_ne(a, b);
    counters_add(a->counters, 0, 3, 5);
    counters_add(row(LEDGER_ROUTES, "route=\"/a\"")->counters, 1, 3, 2);
    ck_assert_ptr_eq(row(LEDGER_ROUTES, "route=\"/a\""), a);
    ck_assert_int_eq(counters_sum(a->counters, 3), 7);
    ck_assert_int_eq(counters_sum(b->counters, 3), 0);
    ck_assert_uint_eq(ledger->families[LEDGER_ROUTES].n, 2);
    ledger_unref(ledger);
}
END_TEST

START_TEST(families_do_not_share_rows) {
    begin();
    ck_assert_ptr_ne(row(LEDGER_ROUTES, "x"), row(LEDGER_ISSUERS, "x"));
    ck_assert_ptr_ne(row(LEDGER_ISSUERS, "x"), row(LEDGER_POLICIES, "x"));
    for (int family = 0; family < LEDGER_FAMILY_COUNT; family++)
        ck_assert_uint_eq(ledger->families[family].n, 1);
    ledger_unref(ledger);
}
END_TEST

START_TEST(rows_stay_where_they_are_and_in_their_order) {
    struct row *rows[200];
    char labels[20];
    begin();
    for (int i = 0; i < 200; i++) {
        snprintf(labels, sizeof(labels), "policy=\"%d\"", i);
        rows[i] = row(LEDGER_POLICIES, labels);
        counters_add(rows[i]->counters, 0, 1, i);
    }
    ck_assert_uint_eq(ledger->families[LEDGER_POLICIES].n, 200);
    for (int i = 0; i < 200; i++) {
        ck_assert_ptr_eq(ledger->families[LEDGER_POLICIES].rows[i], rows[i]);
        ck_assert_int_eq(counters_sum(rows[i]->counters, 1), i);
    }
    ledger_unref(ledger);
}
END_TEST

START_TEST(what_is_there_from_the_start_is_zero) {
    begin();
    for (size_t column = 0; column < SHAPE.n_fixed; column++)
        ck_assert_int_eq(counters_sum(ledger->fixed, column), 0);
    for (size_t i = 0; i < SHAPE.n_workers * SHAPE.n_gauges; i++)
        ck_assert_int_eq(ledger->gauges[i], 0);
    ck_assert_uint_eq(ledger->families[LEDGER_ROUTES].n, 0);
    ledger_unref(ledger);
}
END_TEST

START_TEST(who_holds_it_last_frees_it) {
    begin();
    struct row *a = row(LEDGER_ROUTES, "a");
    ck_assert_ptr_eq(ledger_ref(ledger), ledger);
    ledger_unref(ledger);
    counters_add(a->counters, 0, 0, 1); /* the sanitizers would know */
    ck_assert_int_eq(counters_sum(a->counters, 0), 1);
    ledger_unref(ledger);
    ledger_unref(NULL);
}
END_TEST

SUITE_MAIN("gateway/ledger", a_row_is_found_again_by_its_labels, families_do_not_share_rows,
           rows_stay_where_they_are_and_in_their_order, what_is_there_from_the_start_is_zero,
           who_holds_it_last_frees_it)
