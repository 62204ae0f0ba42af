/* SPDX-License-Identifier: MIT */
/* The event loop: events, timers, deferred calls and mail, and what happens when they meet in
 * one turn. */
#include "rig.h"
#include <pthread.h>
#include <sys/epoll.h>

struct ear {
    struct watch watch;
    struct loop *loop;
    int n_calls;
    uint32_t ready;
    struct ear *unwatch_other;
};

static void hear(struct watch *watch, uint32_t ready) {
    struct ear *ear = CONTAINER_OF(watch, struct ear, watch);
    ear->n_calls++;
    ear->ready |= ready;
    if (ear->unwatch_other)
        loop_unwatch(ear->loop, &ear->unwatch_other->watch);
}

struct chore {
    struct deferred deferred;
    struct loop *loop;
    int n_calls;
    struct chore *again, *cancel;
};

static void work(struct deferred *deferred) {
    struct chore *chore = CONTAINER_OF(deferred, struct chore, deferred);
    chore->n_calls++;
    if (chore->again)
        loop_defer(chore->loop, &chore->again->deferred, work);
    if (chore->cancel)
        loop_defer_cancel(chore->loop, &chore->cancel->deferred);
}

START_TEST(edge_comes_once_and_again_with_new_bytes) {
    struct loop *loop = loop_new();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct ear ear = {.loop = loop};
    ck_assert_int_eq(loop_watch(loop, &ear.watch, pair[0], hear), 0);
    rig_settle(loop);
    ck_assert_int_eq(ear.n_calls, 1); /* writable */
    ck_assert_uint_eq(ear.ready & (EPOLLIN | EPOLLOUT), EPOLLOUT);
    ck_assert_int_eq(write(pair[1], "a", 1), 1);
    rig_settle(loop);
    ck_assert_int_eq(ear.n_calls, 2);
    ck_assert_uint_ne(ear.ready & EPOLLIN, 0);
    close(pair[1]);
    rig_settle(loop);
    ck_assert_uint_ne(ear.ready & EPOLLRDHUP, 0);
    loop_unwatch(loop, &ear.watch);
    loop_unwatch(loop, &ear.watch);
    close(pair[0]);
    loop_free(loop);
}
END_TEST

START_TEST(level_watch_comes_until_it_is_served) {
    struct loop *loop = loop_new();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct ear ear = {.loop = loop};
    ck_assert_int_eq(loop_watch_level(loop, &ear.watch, pair[0], hear), 0);
    rig_settle(loop);
    ck_assert_int_eq(ear.n_calls, 0);
    ck_assert_int_eq(write(pair[1], "a", 1), 1);
    rig_turn(loop);
    rig_turn(loop);
    ck_assert_int_eq(ear.n_calls, 2);
    loop_unwatch(loop, &ear.watch);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}
END_TEST

START_TEST(watching_what_is_no_descriptor_fails) {
    struct loop *loop = loop_new();
    struct ear ear = {.loop = loop};
    ck_assert_int_eq(loop_watch(loop, &ear.watch, -1, hear), -EBADF);
    ck_assert(!ear.watch.is_watched);
    loop_free(loop);
}
END_TEST

START_TEST(unwatched_in_the_same_turn_hears_nothing) {
    struct loop *loop = loop_new();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    /* Both are writable at once, so both events stand in one batch; whoever comes first silences
     * the other. */
    struct ear a = {.loop = loop}, b = {.loop = loop, .unwatch_other = &a};
    a.unwatch_other = &b;
    ck_assert_int_eq(loop_watch(loop, &a.watch, pair[0], hear), 0);
    ck_assert_int_eq(loop_watch(loop, &b.watch, pair[1], hear), 0);
    rig_settle(loop);
    ck_assert_int_eq(a.n_calls + b.n_calls, 1);
    loop_unwatch(loop, &a.watch);
    loop_unwatch(loop, &b.watch);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}
END_TEST

static int64_t rang_at_ns;
static void ring(struct timer *timer) {
    (void)timer;
    rang_at_ns = clock_now().mono_ns;
}

START_TEST(timer_wakes_a_waiting_loop_and_is_not_early) {
    struct loop *loop = loop_new();
    struct timer timer = {0};
    for (int64_t ms = 1; ms < 40; ms += 9) {
        rang_at_ns = 0;
        int64_t due = clock_now().mono_ns + ms * NS_PER_MS;
        loop_timer_set(loop, &timer, due, ring);
        RUN_UNTIL(loop, rang_at_ns != 0);
        ck_assert_int_ge(rang_at_ns, due);
    }
    loop_free(loop);
}
END_TEST

static struct loop *loop_to_stop;
static void stop_loop(struct timer *timer) {
    (void)timer;
    loop_stop(loop_to_stop);
}

START_TEST(loop_blocks_until_its_timer_and_no_longer) {
    struct loop *loop = loop_to_stop = loop_new();
    struct timer timer = {0};
    int64_t start = clock_now().mono_ns;
    loop_timer_set(loop, &timer, start + 30 * NS_PER_MS, stop_loop);
    loop_run(loop);
    int64_t took = clock_now().mono_ns - start;
    ck_assert_int_ge(took, 30 * NS_PER_MS);
    ck_assert_int_lt(took, 5 * NS_PER_S);
    loop_free(loop);
}
END_TEST

START_TEST(stop_before_run_counts_and_the_loop_can_run_again) {
    struct loop *loop = loop_to_stop = loop_new();
    loop_stop(loop);
    loop_run(loop);
    struct timer timer = {0};
    loop_timer_set(loop, &timer, loop_now(loop)->mono_ns, stop_loop);
    loop_run(loop);
    loop_free(loop);
}
END_TEST

START_TEST(deferred_comes_at_the_turns_end_once_however_often_deferred) {
    struct loop *loop = loop_new();
    struct chore chore = {.loop = loop};
    loop_defer(loop, &chore.deferred, work);
    loop_defer(loop, &chore.deferred, work);
    ck_assert_int_eq(chore.n_calls, 0);
    rig_settle(loop);
    ck_assert_int_eq(chore.n_calls, 1);
    loop_free(loop);
}
END_TEST

START_TEST(cancelled_deferred_does_not_come_even_when_its_turn_has_begun) {
    struct loop *loop = loop_new();
    struct chore b = {.loop = loop}, a = {.loop = loop, .cancel = &b};
    loop_defer_cancel(loop, &a.deferred);
    loop_defer(loop, &a.deferred, work);
    loop_defer(loop, &b.deferred, work);
    rig_settle(loop);
    ck_assert_int_eq(a.n_calls, 1);
    ck_assert_int_eq(b.n_calls, 0);
    loop_free(loop);
}
END_TEST

START_TEST(two_that_defer_each_other_starve_nobody) {
    struct loop *loop = loop_new();
    struct chore b = {.loop = loop}, a = {.loop = loop, .again = &b};
    b.again = &a;
    loop_defer(loop, &a.deferred, work);
    rig_turn(loop); /* would never come back if it went on to the list's end */
    rig_turn(loop);
    rig_turn(loop);
    ck_assert_int_ge(a.n_calls, 1);
    ck_assert_int_ge(b.n_calls, 1);
    loop_defer_cancel(loop, &a.deferred);
    loop_defer_cancel(loop, &b.deferred);
    loop_free(loop);
}
END_TEST

#define LETTERS 20000
static int letters_read;
static void read_letter(void *arg) {
    (void)arg;
    letters_read++;
}
static void *write_letters(void *arg) {
    for (int i = 0; i < LETTERS; i++)
        if (loop_post(arg, read_letter, NULL) < 0)
            abort();
    return NULL;
}

START_TEST(mail_from_other_threads_arrives_all_of_it) {
    struct loop *loop = loop_new();
    pthread_t writers[3];
    letters_read = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, write_letters, loop), 0);
    RUN_UNTIL(loop, letters_read == 3 * LETTERS);
    for (int i = 0; i < 3; i++)
        pthread_join(writers[i], NULL);
    loop_free(loop);
}
END_TEST

static void read_and_stop(void *arg) { loop_stop(arg); }
static void *write_one(void *arg) {
    if (loop_post(arg, read_and_stop, arg) < 0)
        abort();
    return NULL;
}

START_TEST(mail_wakes_a_blocked_loop_each_time) {
    for (int i = 0; i < 300; i++) {
        struct loop *loop = loop_new();
        pthread_t writer;
        ck_assert_int_eq(pthread_create(&writer, NULL, write_one, loop), 0);
        loop_run(loop); /* blocks without end when a wake-up is lost */
        loop_free(loop);
        pthread_join(writer, NULL);
    }
}
END_TEST

static void *stop_from_elsewhere(void *arg) {
    loop_stop(arg);
    return NULL;
}

START_TEST(stop_from_another_thread_ends_a_blocked_loop) {
    for (int i = 0; i < 300; i++) {
        struct loop *loop = loop_new();
        pthread_t stopper;
        ck_assert_int_eq(pthread_create(&stopper, NULL, stop_from_elsewhere, loop), 0);
        loop_run(loop);
        loop_free(loop);
        pthread_join(stopper, NULL);
    }
}
END_TEST

static void post_again(void *arg) {
    if (++letters_read < 5)
        ck_assert_int_eq(loop_post(arg, post_again, arg), 0);
}

START_TEST(mail_posted_by_mail_comes_too_and_unread_mail_is_dropped_at_the_end) {
    struct loop *loop = loop_new();
    letters_read = 0;
    ck_assert_int_eq(loop_post(loop, post_again, loop), 0);
    RUN_UNTIL(loop, letters_read == 5);
    ck_assert_int_eq(loop_post(loop, post_again, loop), 0);
    loop_free(loop);
    ck_assert_int_eq(letters_read, 5);
}
END_TEST

RIG_MAIN("io/loop", edge_comes_once_and_again_with_new_bytes, level_watch_comes_until_it_is_served,
         watching_what_is_no_descriptor_fails, unwatched_in_the_same_turn_hears_nothing,
         timer_wakes_a_waiting_loop_and_is_not_early, loop_blocks_until_its_timer_and_no_longer,
         stop_before_run_counts_and_the_loop_can_run_again,
         deferred_comes_at_the_turns_end_once_however_often_deferred,
         cancelled_deferred_does_not_come_even_when_its_turn_has_begun,
         two_that_defer_each_other_starve_nobody, mail_from_other_threads_arrives_all_of_it,
         mail_wakes_a_blocked_loop_each_time, stop_from_another_thread_ends_a_blocked_loop,
         mail_posted_by_mail_comes_too_and_unread_mail_is_dropped_at_the_end)
