/* SPDX-License-Identifier: MIT */
/* Proves io/roll.h: whoever reads waits for those who show, and for nobody else. */
#include "io/roll.h"

#include "rig.h"
#include <pthread.h>

#define PATIENCE_NS (20 * NS_PER_S)

struct shower {
    struct roll_member member;
    struct loop *loop;
    pthread_t thread;
    int n_shown; /* the roll's lock makes it safe to read after a call */
};

static struct roll roll;

static void show(struct roll_member *member) {
    CONTAINER_OF(member, struct shower, member)->n_shown++;
}

static void *run(void *arg) {
    struct shower *shower = arg;
    loop_run(shower->loop);
    return NULL;
}

static void open_shower(struct shower *shower, bool runs) {
    *shower = (struct shower){.loop = loop_new()};
    roll_join(&roll, &shower->member, shower->loop, show);
    if (runs)
        ck_assert_int_eq(pthread_create(&shower->thread, NULL, run, shower), 0);
}

static void close_shower(struct shower *shower, bool runs) {
    loop_stop(shower->loop);
    if (runs)
        pthread_join(shower->thread, NULL);
    roll_leave(&shower->member);
    loop_free(shower->loop);
}

START_TEST(all_have_shown_when_a_call_returns) {
    struct shower a, b;
    ck_assert_int_eq(roll_init(&roll), 0);
    open_shower(&a, true);
    open_shower(&b, true);
    for (int i = 1; i <= 100; i++) {
        ck_assert(roll_call(&roll, PATIENCE_NS));
        ck_assert_int_eq(a.n_shown, i);
        ck_assert_int_eq(b.n_shown, i);
    }
    close_shower(&a, true);
    close_shower(&b, true);
    roll_fini(&roll);
}
END_TEST

START_TEST(who_does_not_move_is_given_up_and_shows_once_when_he_does) {
    struct shower still, lively;
    ck_assert_int_eq(roll_init(&roll), 0);
    open_shower(&still, false);
    open_shower(&lively, true);
    for (int i = 0; i < 3; i++)
        ck_assert(!roll_call(&roll, NS_PER_MS));
    ck_assert_int_eq(still.n_shown, 0);
    rig_settle(still.loop);
    ck_assert_int_eq(still.n_shown, 1);
    close_shower(&still, false);
    ck_assert(roll_call(&roll, PATIENCE_NS));
    close_shower(&lively, true);
    roll_fini(&roll);
}
END_TEST

START_TEST(who_has_left_is_neither_called_nor_waited_for) {
    struct shower gone;
    ck_assert_int_eq(roll_init(&roll), 0);
    ck_assert(roll_call(&roll, PATIENCE_NS)); /* nobody is there */
    open_shower(&gone, false);
    ck_assert(!roll_call(&roll, NS_PER_MS));
    roll_leave(&gone.member);
    roll_leave(&gone.member);
    ck_assert(roll_call(&roll, PATIENCE_NS));
    rig_settle(gone.loop); /* the mail was under way */
    ck_assert_int_eq(gone.n_shown, 0);
    close_shower(&gone, false);
    roll_fini(&roll);
}
END_TEST

static void *call_often(void *arg) {
    (void)arg;
    for (int i = 0; i < 200; i++)
        if (!roll_call(&roll, PATIENCE_NS))
            return &roll;
    return NULL;
}

START_TEST(several_may_call_at_once) {
    struct shower a, b;
    pthread_t callers[4];
    ck_assert_int_eq(roll_init(&roll), 0);
    open_shower(&a, true);
    open_shower(&b, true);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_often, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(callers[i], &failed);
        ck_assert_ptr_null(failed);
    }
    close_shower(&a, true);
    close_shower(&b, true);
    ck_assert_int_ge(a.n_shown, 200);
    ck_assert_int_le(a.n_shown, 800);
    roll_fini(&roll);
}
END_TEST

RIG_MAIN("io/roll", all_have_shown_when_a_call_returns,
         who_does_not_move_is_given_up_and_shows_once_when_he_does,
         who_has_left_is_neither_called_nor_waited_for, several_may_call_at_once)
