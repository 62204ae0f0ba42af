/* SPDX-License-Identifier: MIT */
#include "gateway/check_queue.h"

#include "suite.h"
#include <stdio.h>

#define N 64

static struct check_queue *queue;
static struct check_waiter waiters[N];

static void open_queue(size_t most) {
    memset(waiters, 0, sizeof(waiters));
    queue = check_queue_new(most);
    ck_assert_ptr_nonnull(queue);
}

static struct ip address_of(const char *text) {
    struct ip ip;
    ck_assert(ip_parse(str_of(text), &ip));
    return ip;
}

/* Waiter i, at 192.0.2.`host`. */
static bool join(int i, int host) {
    char text[32];
    snprintf(text, sizeof(text), "192.0.2.%d", host);
    struct ip ip = address_of(text);
    return check_queue_join(queue, &waiters[i], &ip);
}

static int take(void) {
    struct check_waiter *waiter = check_queue_take(queue);
    return waiter ? (int)(waiter - waiters) : -1;
}

static void close_queue(void) {
    while (take() >= 0)
        continue;
    ck_assert_uint_eq(check_queue_count(queue), 0);
    check_queue_free(queue);
}

START_TEST(one_address_is_served_in_order) {
    open_queue(N);
    for (int i = 0; i < 5; i++)
        ck_assert(join(i, 1));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take(), i);
    ck_assert_int_eq(take(), -1);
    close_queue();
}
END_TEST

START_TEST(addresses_take_turns) {
    static const int expected[] = {0, 4, 5, 1, 6, 2, 3};
    open_queue(N);
    for (int i = 0; i < 4; i++)
        ck_assert(join(i, 1));
    ck_assert(join(4, 2));
    ck_assert(join(5, 3));
    ck_assert(join(6, 3));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        ck_assert_int_eq(take(), expected[i]);
    close_queue();
}
END_TEST

START_TEST(who_comes_late_waits_for_one_of_each_other) {
    open_queue(N);
    for (int i = 0; i < 20; i++)
        ck_assert(join(i, 1 + i % 2));
    ck_assert(join(20, 3));
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), 1);
    ck_assert_int_eq(take(), 20);
    close_queue();
}
END_TEST

START_TEST(an_ipv6_subscriber_is_one_address) {
    struct ip one = address_of("2001:db8::1"), two = address_of("2001:db8::ffff:2"),
              other = address_of("2001:db8:0:1::1");
    open_queue(N);
    ck_assert(check_queue_join(queue, &waiters[0], &one));
    ck_assert(check_queue_join(queue, &waiters[1], &two));
    ck_assert(check_queue_join(queue, &waiters[2], &other));
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), 1);
    close_queue();
}
END_TEST

START_TEST(one_address_takes_half_and_leaves_the_rest_to_others) {
    open_queue(32);
    int n = 0;
    while (join(n, 1))
        n++;
    ck_assert_int_eq(n, 16);
    ck_assert(join(n++, 2));
    ck_assert(!join(n, 1));
    while (join(n, 2))
        n++;
    ck_assert_uint_lt(check_queue_count(queue), 32);
    ck_assert(join(n, 3));
    close_queue();
}
END_TEST

START_TEST(it_is_never_fuller_than_it_may_be) {
    open_queue(16);
    int n = 0;
    for (int i = 0; i < N; i++)
        n += join(i, i);
    ck_assert_int_eq(n, 16);
    ck_assert_uint_eq(check_queue_count(queue), 16);
    ck_assert(!join(N - 1, N - 1));
    ck_assert_int_ge(take(), 0);
    ck_assert(join(N - 1, N - 1));
    close_queue();
}
END_TEST

START_TEST(a_queue_that_shrinks_serves_who_waits) {
    open_queue(16);
    for (int i = 0; i < 8; i++)
        ck_assert(join(i, i));
    check_queue_resize(queue, 4);
    ck_assert(!join(8, 8));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take(), i);
    ck_assert(join(8, 8));
    ck_assert(!join(9, 9));
    close_queue();
}
END_TEST

START_TEST(who_leaves_is_not_served) {
    open_queue(N);
    for (int i = 0; i < 6; i++)
        ck_assert(join(i, 1 + i / 3));
    check_queue_leave(queue, &waiters[0]); /* first */
    check_queue_leave(queue, &waiters[4]); /* middle */
    check_queue_leave(queue, &waiters[5]); /* last */
    check_queue_leave(queue, &waiters[5]); /* again */
    ck_assert_int_eq(take(), 1);
    ck_assert_int_eq(take(), 3);
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), -1);
    close_queue();
}
END_TEST

START_TEST(a_line_that_empties_at_the_hand_hands_on) {
    open_queue(N);
    for (int i = 0; i < 3; i++)
        ck_assert(join(i, 1 + i));
    ck_assert_int_eq(take(), 0);
    check_queue_leave(queue, &waiters[1]); /* whose turn it was */
    ck_assert(join(0, 1));
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), 0);
    check_queue_free(NULL);
    close_queue();
}
END_TEST

SUITE_MAIN("gateway/check_queue", one_address_is_served_in_order, addresses_take_turns,
           who_comes_late_waits_for_one_of_each_other, an_ipv6_subscriber_is_one_address,
           one_address_takes_half_and_leaves_the_rest_to_others, it_is_never_fuller_than_it_may_be,
           a_queue_that_shrinks_serves_who_waits, who_leaves_is_not_served,
           a_line_that_empties_at_the_hand_hands_on)
