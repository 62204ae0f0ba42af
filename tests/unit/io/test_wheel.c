/* SPDX-License-Identifier: MIT */
/* The timing wheel, with the time as an argument. */
#include "io/wheel.h"
#include "rig.h"

#define TICK  (INT64_C(1) << WHEEL_TICK_SHIFT)
#define START (INT64_C(1000) * TICK + 12345)

static struct wheel wheel;
static struct wheel *const w = &wheel;

struct alarm {
    struct timer timer;
    int n_calls;
    struct timer *clear_other, *set_other;
    int64_t again_ns;
};

static void ring(struct timer *timer) {
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    ck_assert(!timer_is_set(timer));
    alarm->n_calls++;
    if (alarm->clear_other)
        wheel_clear(w, alarm->clear_other);
    if (alarm->set_other)
        wheel_set(w, alarm->set_other, alarm->again_ns, ring);
    else if (alarm->again_ns)
        wheel_set(w, timer, alarm->again_ns, ring);
}

START_TEST(timer_is_never_early_and_at_most_a_tick_late) {
    for (int64_t in = 0; in < 5000; in += 7) {
        wheel_init(w, START);
        struct alarm a = {0};
        int64_t due = START + in * NS_PER_MS + in;
        wheel_set(w, &a.timer, due, ring);
        wheel_turn(w, due - 1);
        ck_assert_int_eq(a.n_calls, 0);
        wheel_turn(w, due + TICK);
        ck_assert_int_eq(a.n_calls, 1);
        wheel_turn(w, due + 10000 * TICK);
        ck_assert_int_eq(a.n_calls, 1);
    }
}
END_TEST

START_TEST(timer_beyond_a_revolution_waits_for_its_own) {
    wheel_init(w, START);
    struct alarm a = {0};
    int64_t due = START + 75 * NS_PER_S;
    wheel_set(w, &a.timer, due, ring);
    for (int64_t now = START; now < due; now += 3 * TICK) {
        wheel_turn(w, now);
        ck_assert_int_eq(a.n_calls, 0);
    }
    wheel_turn(w, due + TICK);
    ck_assert_int_eq(a.n_calls, 1);
}
END_TEST

START_TEST(turning_at_wheel_next_ns_reaches_every_deadline) {
    wheel_init(w, START);
    struct alarm list[200] = {0};
    for (int i = 0; i < 200; i++)
        wheel_set(w, &list[i].timer, START + (int64_t)i * i * 997 * 1009, ring);
    for (int64_t now = START, next; (next = wheel_next_ns(w)) != INT64_MAX; now = next) {
        ck_assert_int_gt(next, now - TICK);
        wheel_turn(w, next);
        for (int i = 0; i < 200; i++)
            ck_assert_int_eq(list[i].n_calls, list[i].timer.due_ns <= (next & ~(TICK - 1)));
    }
    ck_assert_int_eq(list[199].n_calls, 1);
}
END_TEST

START_TEST(stall_of_any_length_calls_each_timer_once) {
    wheel_init(w, START);
    struct alarm list[3] = {0};
    wheel_set(w, &list[0].timer, START + NS_PER_MS, ring);
    wheel_set(w, &list[1].timer, START + 10 * NS_PER_S, ring);
    wheel_set(w, &list[2].timer, START + 4000 * NS_PER_S, ring);
    wheel_turn(w, START + 3600 * NS_PER_S);
    ck_assert_int_eq(list[0].n_calls, 1);
    ck_assert_int_eq(list[1].n_calls, 1);
    ck_assert_int_eq(list[2].n_calls, 0);
    wheel_turn(w, START + 4001 * NS_PER_S);
    ck_assert_int_eq(list[2].n_calls, 1);
}
END_TEST

START_TEST(setting_again_moves_the_timer) {
    wheel_init(w, START);
    struct alarm a = {0};
    wheel_set(w, &a.timer, START + 10 * TICK, ring);
    wheel_set(w, &a.timer, START + 50 * TICK, ring);
    wheel_turn(w, START + 40 * TICK);
    ck_assert_int_eq(a.n_calls, 0);
    wheel_turn(w, START + 52 * TICK);
    ck_assert_int_eq(a.n_calls, 1);
}
END_TEST

START_TEST(cleared_timer_does_not_come) {
    wheel_init(w, START);
    struct alarm a = {0};
    wheel_clear(w, &a.timer);
    wheel_set(w, &a.timer, START + 10 * TICK, ring);
    wheel_clear(w, &a.timer);
    ck_assert(!timer_is_set(&a.timer));
    wheel_turn(w, START + 20 * TICK);
    ck_assert_int_eq(a.n_calls, 0);
}
END_TEST

START_TEST(callback_may_clear_another_that_is_due_in_the_same_turn) {
    wheel_init(w, START);
    struct alarm a = {0}, b = {0};
    a.clear_other = &b.timer;
    wheel_set(w, &a.timer, START + 10 * TICK, ring);
    wheel_set(w, &b.timer, START + 10 * TICK, ring);
    wheel_turn(w, START + 20 * TICK);
    ck_assert_int_eq(a.n_calls, 1);
    ck_assert_int_eq(b.n_calls, 0);
}
END_TEST

START_TEST(callback_may_set_itself_and_comes_in_a_later_turn_even_when_already_due) {
    wheel_init(w, START);
    struct alarm a = {.again_ns = START};
    wheel_set(w, &a.timer, START + TICK, ring);
    wheel_turn(w, START + 5 * TICK);
    ck_assert_int_eq(a.n_calls, 1);
    wheel_turn(w, START + 5 * TICK);
    ck_assert_int_eq(a.n_calls, 1);
    wheel_turn(w, START + 6 * TICK);
    ck_assert_int_eq(a.n_calls, 2);
}
END_TEST

START_TEST(callback_may_postpone_another_that_is_due_in_the_same_turn) {
    wheel_init(w, START);
    struct alarm b = {0}, a = {.set_other = &b.timer, .again_ns = START + 100 * TICK};
    wheel_set(w, &a.timer, START + 10 * TICK, ring);
    wheel_set(w, &b.timer, START + 10 * TICK, ring);
    wheel_turn(w, START + 20 * TICK);
    ck_assert_int_eq(b.n_calls, 0);
    wheel_turn(w, START + 102 * TICK);
    ck_assert_int_eq(b.n_calls, 1);
}
END_TEST

START_TEST(deadline_at_the_end_of_time_does_not_overflow) {
    wheel_init(w, START);
    struct alarm a = {0};
    wheel_set(w, &a.timer, INT64_MAX, ring);
    wheel_turn(w, START + 100000 * NS_PER_S);
    ck_assert_int_eq(a.n_calls, 0);
    ck_assert(timer_is_set(&a.timer));
}
END_TEST

RIG_MAIN("io/wheel", timer_is_never_early_and_at_most_a_tick_late,
         timer_beyond_a_revolution_waits_for_its_own,
         turning_at_wheel_next_ns_reaches_every_deadline, stall_of_any_length_calls_each_timer_once,
         setting_again_moves_the_timer, cleared_timer_does_not_come,
         callback_may_clear_another_that_is_due_in_the_same_turn,
         callback_may_set_itself_and_comes_in_a_later_turn_even_when_already_due,
         callback_may_postpone_another_that_is_due_in_the_same_turn,
         deadline_at_the_end_of_time_does_not_overflow)
