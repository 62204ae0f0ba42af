/* SPDX-License-Identifier: MIT */
/* Whose turn it is at an upstream, at which of its addresses, and when the body may follow. */
#include "upstream_stage.h"

/* ---- kept lines */

/* A crowd that comes back within idle_ns connects once, however large it is. */
START_TEST(as_many_lines_are_kept_as_were_in_use_at_once) {
    enum { CROWD = 100 };
    struct asker askers[CROWD];
    int peers[CROWD];
    open_all();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD; i++) {
            struct upstream_request request = get;
            request.head = GET;
            askers[i] = (struct asker){0};
            askers[i].call = upstream_start(pool, &origin, &request, &askers[i]);
            ck_assert_ptr_nonnull(askers[i].call);
        }
        for (int i = 0; i < CROWD && round == 0; i++)
            peers[i] = rig_accept(loop, listener);
        for (int i = 0; i < CROWD; i++)
            rig_send(loop, peers[i], OK_HELLO);
        for (int i = 0; i < CROWD; i++) {
            RUN_UNTIL(loop, asker_is_done(&askers[i]));
            asker_finish(&askers[i]);
        }
        ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, CROWD);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, CROWD);
    for (int i = 0; i < CROWD; i++)
        close(peers[i]);
    close_all();
}
END_TEST

/* ---- the queue */

START_TEST(calls_beyond_n_open_are_refused_and_the_others_go_on) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.n_open = 1;
    limits.n_queued = 0;
    open_with(limits);
    struct asker other = {0};
    struct upstream_request request = get;
    request.head = GET;
    start_get();
    other.call = upstream_start(pool, &origin, &request, &other);
    ck_assert_int_eq(other.n_failed, 0);
    RUN_UNTIL(loop, other.n_failed);
    ck_assert_int_eq(other.failure, UPSTREAM_OVERLOADED);
    asker_finish(&other);
    int peer = rig_accept(loop, listener);
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    close(peer);
    close_all();
}
END_TEST

static void open_with_places(uint32_t n_open, uint32_t n_queued) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.n_open = n_open;
    limits.n_queued = n_queued;
    open_with(limits);
}
static void start_other(struct asker *other) {
    struct upstream_request request = get;
    request.head = GET;
    *other = (struct asker){0};
    other->call = upstream_start(pool, &origin, &request, other);
    ck_assert_ptr_nonnull(other->call);
}

START_TEST(calls_beyond_n_open_wait_their_turn_in_order) {
    open_with_places(1, 2);
    struct asker others[3];
    start_get();
    for (int i = 0; i < 3; i++)
        start_other(&others[i]);
    RUN_UNTIL(loop, others[2].n_failed);
    ck_assert_int_eq(others[2].failure, UPSTREAM_OVERLOADED);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_queued, 2);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_open, 2); /* one of them has failed */
    ck_assert_uint_eq(upstream_pool_stats(pool).n_overloads, 1);
    asker_finish(&others[2]);
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, GET);
    ck_assert(nobody_connects());
    struct asker *turn[] = {&asker, &others[0], &others[1]};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(turn[i]->n_head, 0);
        rig_send(loop, peer, OK_HELLO);
        RUN_UNTIL(loop, asker_is_done(turn[i]));
        asker_finish(turn[i]);
        if (i < 2)
            rig_expect(loop, peer, GET); /* on the line that became free */
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, 1);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_queued, 0);
    close(peer);
    close_all();
}
END_TEST

START_TEST(call_that_waits_too_long_for_a_place_is_overloaded) {
    open_with_places(1, 1);
    struct asker other;
    start_get();
    start_other(&other);
    rig_settle(loop);
    ck_assert_int_eq(other.n_failed, 0);
    travel(NS_PER_S + NS_PER_MS);
    RUN_UNTIL(loop, other.n_failed);
    ck_assert_int_eq(other.failure, UPSTREAM_OVERLOADED);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_queued, 0);
    asker_finish(&other);
    start_other(&other); /* its place in the queue is free again */
    ck_assert_uint_eq(upstream_pool_stats(pool).n_queued, 1);
    asker_finish(&other);
    close_all();
}
END_TEST

START_TEST(call_that_is_abandoned_in_the_queue_holds_nobody_up) {
    open_with_places(1, 3);
    struct asker others[3];
    start_get();
    for (int i = 0; i < 3; i++)
        start_other(&others[i]);
    asker_finish(&others[0]);
    asker_finish(&others[2]);
    asker_finish(&asker);
    int peer = -1;
    while (others[1].n_head == 0) {
        if (peer >= 0)
            close(peer);
        peer = rig_accept(loop, listener); /* the first one's came, too */
        rig_send(loop, peer, OK_HELLO);
        rig_settle(loop);
    }
    asker_finish(&others[1]);
    close(peer);
    close_all();
}
END_TEST

/* ---- ejection */

START_TEST(address_that_refuses_is_ejected_and_tried_again_later) {
    open_all();
    origin.host = STR("both");
    for (int i = 0; i < 7; i++) {
        int peer =
            ask_fresh(STR("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        RUN_UNTIL(loop, asker_is_done(&asker));
        asker_finish(&asker);
        close(peer);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_ejections, i < 4 ? 0 : 1);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_ejected, i < 4 ? 0 : 1);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, i < 5 ? 2 * i + 2 : 6 + i);
    }
    travel(10 * NS_PER_S);
    rig_turn(loop);
    int peer = ask_fresh(OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_ejections, 2); /* at its first failure now */
    close(peer);
    close_all();
}
END_TEST

static int listen_first(void) {
    struct endpoint first;
    struct ip ip;
    ck_assert(ip_parse(STR("127.0.0.2"), &ip));
    endpoint_of_ip(&ip, rig_port(&at), &first);
    int fd = endpoint_listen(&first, 16);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(address_that_closes_before_an_answer_is_ejected_with_its_kept_lines) {
    open_all();
    origin.host = STR("both");
    int first = listen_first(), kept, peer;
    struct asker other;
    start_get(); /* a line to keep, finished when the address is ejected already, and one before */
    kept = rig_accept(loop, first);
    start_other(&other);
    peer = rig_accept(loop, first);
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&other));
    asker_finish(&other);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    struct upstream_request post = get;
    post.is_idempotent = false;
    post.head = POST;
    travel(2 * NS_PER_S); /* what may not be repeated takes no line of two seconds ago */
    rig_turn(loop);
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
        other = (struct asker){0};
        other.call = upstream_start(pool, &origin, &post, &other);
        int fd = rig_accept(loop, first);
        close(fd);
        RUN_UNTIL(loop, other.n_failed);
        ck_assert_int_eq(other.failure, UPSTREAM_BROKEN);
        asker_finish(&other);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_ejected, 1);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    rig_send(loop, kept, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    int second = ask_fresh(OK_HELLO); /* the listener of the other address */
    RUN_UNTIL(loop, asker_is_done(&asker));
    close(first), close(kept), close(peer), close(second);
    close_all();
}
END_TEST

START_TEST(address_that_does_not_answer_in_time_is_ejected) {
    open_all();
    origin.host = STR("both");
    int first = listen_first();
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(upstream_pool_stats(pool).n_ejections, 0);
        start_get();
        int peer = rig_accept(loop, first);
        rig_expect(loop, peer, GET);
        travel(get.first_byte_ns);
        RUN_UNTIL(loop, asker.n_failed);
        ck_assert_int_eq(asker.failure, UPSTREAM_TIMEOUT);
        asker_finish(&asker);
        close(peer);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_ejections, 1);
    int second = ask_fresh(OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    close(first), close(second);
    close_all();
}
END_TEST

START_TEST(only_address_is_never_ejected) {
    open_all();
    close(listener);
    for (int i = 0; i < 10; i++) {
        start_get();
        RUN_UNTIL(loop, asker.n_failed);
        ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
        asker_finish(&asker);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_ejections, 0);
    listener = rig_listen(&at);
    close_all();
}
END_TEST

START_TEST(continue_is_heard_once_and_not_when_nobody_expects_it) {
    open_all();
    struct upstream_request post = get;
    post.framing = FRAMING_LENGTH;
    post.body_bytes = 5;
    post.expects_continue = true;
    for (int asks = 1; asks >= 0; asks--) {
        post.expects_continue = asks;
        start(post, POST);
        int peer = rig_accept(loop, listener);
        rig_expect(loop, peer, POST);
        rig_send(loop, peer, STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"));
        if (asks)
            RUN_UNTIL(loop, asker.n_continue);
        travel(2 * NS_PER_S);
        rig_settle(loop);
        ck_assert_int_eq(asker.n_continue, asks);
        send_all(STR("hello"));
        upstream_end(asker.call);
        rig_send(loop, peer, OK_HELLO);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert_int_eq(asker.n_continue, asks);
        ck_assert(asker_got(&asker, "hello"));
        asker_finish(&asker);
        close(peer);
        rig_settle(loop);
    }
    close_all();
}
END_TEST

START_TEST(other_limits_hold_for_the_calls_that_come) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    struct asker other;
    open_with_places(1, 0);
    start_get();
    int peer = rig_accept(loop, listener);
    start_other(&other);
    RUN_UNTIL(loop, other.n_failed);
    ck_assert_int_eq(other.failure, UPSTREAM_OVERLOADED);
    asker_finish(&other);

    limits.n_open = 2;
    limits.n_idle = 0;
    upstream_pool_set_limits(pool, &limits);
    start_other(&other);
    int second = rig_accept(loop, listener);
    rig_expect(loop, second, GET);
    rig_send(loop, second, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&other));
    ck_assert(asker_got(&other, "hello"));
    asker_finish(&other);
    ck_assert_int_eq(rig_expect_end(loop, second), 0);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    close(second);
    close(peer);
    close_all();
}
END_TEST

RIG_MAIN("io/upstream_places", as_many_lines_are_kept_as_were_in_use_at_once,
         calls_beyond_n_open_are_refused_and_the_others_go_on,
         calls_beyond_n_open_wait_their_turn_in_order,
         call_that_waits_too_long_for_a_place_is_overloaded,
         call_that_is_abandoned_in_the_queue_holds_nobody_up,
         address_that_refuses_is_ejected_and_tried_again_later,
         address_that_closes_before_an_answer_is_ejected_with_its_kept_lines,
         address_that_does_not_answer_in_time_is_ejected, only_address_is_never_ejected,
         continue_is_heard_once_and_not_when_nobody_expects_it,
         other_limits_hold_for_the_calls_that_come)
