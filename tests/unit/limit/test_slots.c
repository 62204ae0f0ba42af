/* SPDX-License-Identifier: MIT */
#include "limit/slots.h"

#include "suite.h"
#include <pthread.h>

#define N_THREADS 4
#define N_ROUNDS  20000

START_TEST(no_more_than_so_many_of_a_key_are_in_use_at_once) {
    struct slots *slots = slots_new();
    ck_assert(slots_take(slots, STR("a"), 2));
    ck_assert(slots_take(slots, STR("a"), 2));
    ck_assert(!slots_take(slots, STR("a"), 2));
    ck_assert_uint_eq(slots_in_use(slots, STR("a")), 2);
    slots_give(slots, STR("a"));
    ck_assert(slots_take(slots, STR("a"), 2));
    ck_assert(!slots_take(slots, STR("a"), 2));
    slots_free(slots);
}
END_TEST

START_TEST(keys_are_counted_apart) {
    struct slots *slots = slots_new();
    ck_assert(slots_take(slots, STR("a"), 1));
    ck_assert(slots_take(slots, STR("b"), 1));
    ck_assert(slots_take(slots, (struct str){"a\0", 2}, 1));
    ck_assert(!slots_take(slots, STR("b"), 1));
    slots_give(slots, STR("a"));
    ck_assert(!slots_take(slots, STR("b"), 1));
    slots_free(slots);
}
END_TEST

START_TEST(a_limit_of_none_lets_nobody_in) {
    struct slots *slots = slots_new();
    ck_assert(!slots_take(slots, STR("a"), 0));
    ck_assert_uint_eq(slots_in_use(slots, STR("a")), 0);
    slots_free(slots);
}
END_TEST

START_TEST(a_limit_that_was_lowered_waits_for_the_slots_in_use) {
    struct slots *slots = slots_new();
    for (int i = 0; i < 3; i++)
        ck_assert(slots_take(slots, STR("a"), 3));
    ck_assert(!slots_take(slots, STR("a"), 1));
    for (int i = 0; i < 3; i++)
        slots_give(slots, STR("a"));
    ck_assert_uint_eq(slots_in_use(slots, STR("a")), 0);
    ck_assert(slots_take(slots, STR("a"), 1));
    slots_free(slots);
}
END_TEST

struct crowd {
    struct slots *slots;
    int n_refused, n_too_many;
};

/* Two slots for four threads: who gets one must find at most two in use. */
static void *crowd_run(void *arg) {
    struct crowd *crowd = arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        if (!slots_take(crowd->slots, STR("one"), 2)) {
            crowd->n_refused++;
            continue;
        }
        crowd->n_too_many += slots_in_use(crowd->slots, STR("one")) > 2;
        slots_give(crowd->slots, STR("one"));
    }
    return NULL;
}

START_TEST(threads_share_the_count) {
    struct slots *slots = slots_new();
    struct crowd crowds[N_THREADS];
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        crowds[i] = (struct crowd){.slots = slots};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(crowds[i].n_too_many, 0);
    }
    ck_assert_uint_eq(slots_in_use(slots, STR("one")), 0);
    slots_free(slots);
}
END_TEST

SUITE_MAIN("limit/slots", no_more_than_so_many_of_a_key_are_in_use_at_once, keys_are_counted_apart,
           a_limit_of_none_lets_nobody_in, a_limit_that_was_lowered_waits_for_the_slots_in_use,
           threads_share_the_count)
