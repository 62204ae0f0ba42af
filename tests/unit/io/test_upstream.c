/* SPDX-License-Identifier: MIT */
/* The client side of HTTP/1.1 against scripted peers. */
#include "upstream_stage.h"

/* The answer ends as `state`, with this body; then the line is kept or not. */
static void expect_answer(struct str answer, bool closes, const char *body,
                          enum upstream_body state, size_t n_idle) {
    open_all();
    int peer = ask_fresh(answer);
    if (closes)
        close(peer);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.n_failed, 0);
    ck_assert_msg(asker_got(&asker, body), "body of %s", answer.at);
    ck_assert_int_eq(asker.state, state);
    ck_assert_int_eq(upstream_reason(asker.call) != NULL, state == UPSTREAM_BODY_BROKEN);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, n_idle);
    if (!closes)
        close(peer);
    close_all();
}
/* No answer: it fails so. */
static void expect_failure(struct str answer, enum upstream_failure failure, const char *reason) {
    open_all();
    int peer = ask_fresh(answer);
    close(peer);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.n_failed, 1);
    ck_assert_int_eq(asker.failure, failure);
    if (reason)
        ck_assert_str_eq(asker.reason, reason);
    ck_assert(nobody_connects());
    close_all();
}

/* ---- answers */

START_TEST(answer_arrives_and_the_next_call_takes_the_same_line) {
    open_all();
    int peer = ask_fresh(STR("HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 5\r\n\r\nhello"));
    RUN_UNTIL(loop, asker_is_done(&asker));
    const struct head *head = upstream_head(asker.call);
    ck_assert_int_eq(head->status, 200);
    ck_assert(str_eq(head->reason, STR("Fine")));
    ck_assert(str_eq(head->fields.list[0].value, STR("b")));
    ck_assert_int_eq(upstream_framing(asker.call), FRAMING_LENGTH);
    ck_assert_uint_eq(upstream_body_bytes(asker.call), 5);
    ck_assert(asker_got(&asker, "hello"));
    ck_assert(!upstream_timing(asker.call).reused);
    ck_assert_int_gt(upstream_timing(asker.call).head_ns, 0);
    asker_finish(&asker);
    for (int i = 0; i < 3; i++) {
        start_get();
        rig_expect(loop, peer, GET);
        rig_send(loop, peer, OK_HELLO);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert(upstream_timing(asker.call).reused);
        asker_finish(&asker);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, 1);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_reuses, 3);
    close(peer);
    close_all();
}
END_TEST

START_TEST(bodies_of_every_framing_end_where_they_should) {
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"),
                  false, "abcde", UPSTREAM_BODY_END, 1);
    expect_answer(STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false, "", UPSTREAM_BODY_END,
                  1);
    expect_answer(STR("HTTP/1.1 204 No Content\r\n\r\n"), false, "", UPSTREAM_BODY_END, 1);
    expect_answer(STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), false, "",
                  UPSTREAM_BODY_END, 1);
    expect_answer(STR("HTTP/1.1 200 OK\r\n\r\nuntil close"), true, "until close", UPSTREAM_BODY_END,
                  0);
    expect_answer(STR("HTTP/1.0 200 OK\r\n\r\nold"), true, "old", UPSTREAM_BODY_END, 0);
    expect_answer(STR("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"), false, "old",
                  UPSTREAM_BODY_END, 0);
    expect_answer(STR("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold"),
                  false, "old", UPSTREAM_BODY_END, 1);
    expect_answer(STR("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), false,
                  "ok", UPSTREAM_BODY_END, 0);
}
END_TEST

START_TEST(answer_to_head_has_no_body_whatever_it_says) {
    open_all();
    struct upstream_request head = get;
    head.is_head_request = true;
    start(head, STR("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"));
    int peer = rig_accept(loop, listener);
    rig_send(loop, peer, STR("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.state, UPSTREAM_BODY_END);
    ck_assert_int_eq(upstream_framing(asker.call), FRAMING_NONE);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    close(peer);
    close_all();
}
END_TEST

START_TEST(body_that_is_cut_is_broken_and_never_ends) {
    expect_answer(STR("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), true, "hello",
                  UPSTREAM_BODY_BROKEN, 0);
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), true,
                  "hello", UPSTREAM_BODY_BROKEN, 0);
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
                  true, "hello", UPSTREAM_BODY_BROKEN, 0);
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX"), false,
                  "hello", UPSTREAM_BODY_BROKEN, 0);
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), false, "",
                  UPSTREAM_BODY_BROKEN, 0);
}
END_TEST

START_TEST(reset_within_a_body_breaks_it_also_when_it_lasts_until_close) {
    const char *answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
                             "HTTP/1.1 200 OK\r\n\r\nhello"};
    for (int i = 0; i < 2; i++) {
        open_all();
        int peer = ask_fresh(str_of(answers[i]));
        RUN_UNTIL(loop, asker_got(&asker, "hello"));
        rig_reset(peer);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert_int_eq(asker.state, UPSTREAM_BODY_BROKEN);
        ck_assert_str_eq(upstream_reason(asker.call), "connection broken within the answer's body");
        close_all();
    }
}
END_TEST

START_TEST(interim_answers_are_skipped) {
    expect_answer(STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
                      "</a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
                  false, "ok", UPSTREAM_BODY_END, 1);
}
END_TEST

START_TEST(switching_without_being_asked_and_endless_interim_answers_are_broken) {
    expect_failure(STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), UPSTREAM_BROKEN,
                   "101 to a request that asked for no upgrade");
    char many[4096] = "";
    size_t n = 0;
    for (int i = 0; i < 50; i++)
        n += (size_t)snprintf(many + n, sizeof(many) - n, "HTTP/1.1 102 Processing\r\n\r\n");
    expect_failure((struct str){many, n}, UPSTREAM_BROKEN, "too many interim answers");
}
END_TEST

START_TEST(what_is_no_http_answer_is_broken) {
    expect_failure(STR("SSH-2.0-OpenSSH_9.2\r\n"), UPSTREAM_BROKEN, NULL);
    expect_failure(STR("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), UPSTREAM_BROKEN, NULL);
    expect_failure(STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
                   UPSTREAM_BROKEN, NULL);
    expect_failure(
        STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        UPSTREAM_BROKEN, NULL);
    expect_failure(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
                   UPSTREAM_BROKEN, NULL);
    expect_failure(STR("HTTP/1.1 200 OK\r\nA: b"), UPSTREAM_BROKEN,
                   "closed within the answer's head");
    expect_failure(STR(""), UPSTREAM_BROKEN, "closed before an answer");
}
END_TEST

START_TEST(head_beyond_the_limit_is_broken_and_not_read_on) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.head = (struct head_limits){1024, 2048, 16};
    open_with(limits);
    static char field[4096];
    memset(field, 'a', sizeof(field));
    field[0] = 'A', field[1] = ':';
    int peer = ask_fresh(STR("HTTP/1.1 200 OK\r\n"));
    rig_send(loop, peer, (struct str){field, sizeof(field)});
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_BROKEN);
    close(peer);
    close_all();
}
END_TEST

START_TEST(answer_in_single_bytes_is_the_same_answer) {
    open_all();
    int peer = ask_fresh(STR(""));
    struct str answer = STR("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    for (size_t i = 0; i < answer.n; i++) {
        rig_send(loop, peer, (struct str){answer.at + i, 1});
        rig_turn(loop);
    }
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "abc") && asker.state == UPSTREAM_BODY_END);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    close(peer);
    close_all();
}
END_TEST

/* ---- request bodies */

START_TEST(request_body_goes_out_in_its_framing) {
    open_all();
    start_post(FRAMING_LENGTH);
    send_all(STR("he"));
    send_all(STR("llo"));
    upstream_end(asker.call);
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, POST);
    rig_expect(loop, peer, STR("hello"));
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    start_post(FRAMING_CHUNKED);
    send_all(STR("abc"));
    rig_expect(loop, peer, POST_CHUNKED);
    rig_expect(loop, peer, STR("3\r\nabc\r\n"));
    send_all(STR("defg"));
    upstream_end(asker.call);
    rig_expect(loop, peer, STR("4\r\ndefg\r\n0\r\n\r\n"));
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(upstream_timing(asker.call).reused);
    close(peer);
    close_all();
}
END_TEST

START_TEST(empty_chunked_body_that_ends_before_the_line_is_there_is_sent) {
    open_all();
    start_post(FRAMING_CHUNKED);
    upstream_end(asker.call);
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, POST_CHUNKED);
    rig_expect(loop, peer, STR("0\r\n\r\n"));
    close(peer);
    close_all();
}
END_TEST

START_TEST(upstream_that_reads_slowly_holds_the_writer_back_and_gets_everything) {
    open_all();
    start_post(FRAMING_CHUNKED);
    int peer = rig_accept(loop, listener);
    static char block[32768], got[65536];
    size_t taken = 0, n_read = 0, total = 32 * 1024 * 1024;
    for (int i = 0; i < 20000 && taken < total; i++) {
        size_t n = upstream_write(asker.call, (struct str){block, sizeof(block)});
        taken += n;
        if (n < sizeof(block)) {
            rig_turn(loop);
            if (asker.n_writable == 0 && i > 10)
                break;
        }
        asker.n_writable = 0;
    }
    ck_assert_uint_lt(taken, total); /* it was held back by sockets that are full */
    upstream_end(asker.call);
    RUN_UNTIL(loop, ({
                  ssize_t n = recv(peer, got, sizeof(got), MSG_DONTWAIT);
                  n_read += n > 0 ? (size_t)n : 0;
                  n_read > taken &&n >= 5 && memcmp(got + n - 5, "0\r\n\r\n", 5) == 0;
              }));
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    close(peer);
    close_all();
}
END_TEST

START_TEST(early_answer_is_heard_and_the_line_not_kept_unless_the_body_was_completed) {
    for (int completes = 0; completes < 2; completes++) {
        open_all();
        start_post(FRAMING_CHUNKED);
        send_all(STR("abc"));
        int peer = rig_accept(loop, listener);
        rig_expect(loop, peer, POST_CHUNKED);
        rig_send(loop, peer, STR("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert_int_eq(upstream_head(asker.call)->status, 413);
        ck_assert(asker_got(&asker, "no"));
        if (completes)
            upstream_end(asker.call);
        asker_finish(&asker);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, completes);
        close(peer);
        close_all();
    }
}
END_TEST

START_TEST(answer_of_an_upstream_that_refuses_the_body_and_resets_is_heard) {
    open_all();
    start_post(FRAMING_CHUNKED);
    send_all(STR("abc"));
    int peer = rig_accept(loop, listener);
    rig_settle(loop);
    rig_send(loop, peer, STR("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"));
    close(peer); /* with unread bytes: a reset */
    for (int i = 0; i < 5; i++)
        upstream_write(asker.call, STR("more"));
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.n_failed, 0);
    ck_assert(asker_got(&asker, "no"));
    /* The owner is not left waiting */
    ck_assert_uint_eq(upstream_write(asker.call, STR("still more")), 10);
    upstream_end(asker.call);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    close_all();
}
END_TEST

START_TEST(request_that_is_abandoned_half_sent_is_reset) {
    open_all();
    start_post(FRAMING_LENGTH);
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, POST);
    send_all(STR("he"));
    rig_expect(loop, peer, STR("he"));
    asker_finish(&asker);
    ck_assert_int_eq(rig_expect_end(loop, peer), ECONNRESET);
    close(peer);
    close_all();
}
END_TEST

START_TEST(call_that_is_abandoned_while_it_waits_closes_its_line) {
    open_all();
    int peer = ask_fresh(STR(""));
    asker_finish(&asker);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_open, 0);
    close(peer);
    peer = ask_fresh(STR("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel"));
    RUN_UNTIL(loop, asker_got(&asker, "hel"));
    asker_finish(&asker);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    close(peer);
    close_all();
}
END_TEST

START_TEST(call_can_be_finished_at_every_stage) {
    for (int stage = 0; stage < 5; stage++) {
        open_all();
        origin.host = STR("both");
        start_get();
        for (int i = 0; i < stage; i++)
            rig_turn(loop);
        asker_finish(&asker);
        rig_settle(loop);
        close_all();
    }
}
END_TEST

START_TEST(unread_body_is_held_back_at_the_upstream) {
    open_all();
    asker.reads_by_hand = true;
    int peer = ask_fresh(STR("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"));
    static char block[65536];
    size_t sent = 0;
    for (ssize_t n = 0; n >= 0; sent += n > 0 ? (size_t)n : 0) {
        n = send(peer, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
        rig_turn(loop);
    }
    ck_assert_int_eq(asker.n_head, 1);
    ck_assert_uint_lt(sent, 50000000);
    asker_read(&asker); /* and goes on when it is read */
    RUN_UNTIL(loop, send(peer, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
    asker_finish(&asker);
    close(peer);
    close_all();
}
END_TEST

/* ---- kept lines */

START_TEST(stale_line_under_a_get_is_replaced_once) {
    open_all();
    int peer = leave_a_line();
    start_get();
    rig_expect(loop, peer, GET);
    close(peer);
    peer = rig_accept(loop, listener);
    rig_expect(loop, peer, GET);
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    ck_assert(!upstream_timing(asker.call).reused);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_retries, 1);
    asker_finish(&asker);
    close(peer);
    close_all();
}
END_TEST

START_TEST(second_try_that_is_closed_too_is_not_followed_by_a_third) {
    open_all();
    int peer = leave_a_line();
    start_get();
    rig_expect(loop, peer, GET);
    rig_reset(peer);
    peer = rig_accept(loop, listener);
    rig_expect(loop, peer, GET);
    close(peer);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_BROKEN);
    ck_assert(nobody_connects());
    close_all();
}
END_TEST

START_TEST(request_that_may_not_be_repeated_is_never_sent_twice) {
    for (int kind = 0; kind < 3; kind++) {
        open_all();
        int peer = leave_a_line();
        if (kind == 0) { /* POST with a body */
            start_post(FRAMING_LENGTH);
            send_all(STR("hello"));
            upstream_end(asker.call);
        } else { /* POST without one; an idempotent one (PUT) with one */
            struct upstream_request request = get;
            request.is_idempotent = kind == 2;
            request.framing = kind == 2 ? FRAMING_LENGTH : FRAMING_NONE;
            start(request, POST);
            if (kind == 2)
                upstream_end(asker.call);
        }
        rig_expect(loop, peer, POST);
        close(peer);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert_int_eq(asker.n_failed, 1);
        ck_assert_int_eq(asker.failure, UPSTREAM_BROKEN);
        ck_assert_uint_eq(upstream_pool_stats(pool).n_retries, 0);
        ck_assert(nobody_connects());
        close_all();
    }
}
END_TEST

START_TEST(answer_that_has_begun_is_not_asked_for_again) {
    open_all();
    int peer = leave_a_line();
    start_get();
    rig_expect(loop, peer, GET);
    rig_send(loop, peer, STR("H"));
    close(peer);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_str_eq(asker.reason, "closed within the answer's head");
    ck_assert(nobody_connects());
    close_all();
}
END_TEST

START_TEST(request_that_may_not_be_repeated_takes_only_a_fresh_line) {
    open_all();
    int peer = leave_a_line();
    travel(NS_PER_S);
    rig_turn(loop);
    start_post(FRAMING_LENGTH);
    int fresh = rig_accept(loop, listener);
    rig_expect(loop, fresh, POST);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1); /* the old one waits on for others */
    start_get();
    rig_expect(loop, peer, GET);
    close(peer);
    close(fresh);
    close_all();
}
END_TEST

START_TEST(line_that_closes_or_speaks_while_idle_is_gone_before_it_is_taken) {
    for (int speaks = 0; speaks < 2; speaks++) {
        open_all();
        int peer = leave_a_line();
        if (speaks)
            rig_send(loop, peer, STR("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"));
        else
            close(peer);
        RUN_UNTIL(loop, upstream_pool_stats(pool).n_idle == 0);
        if (speaks)
            close(peer);
        peer = ask_fresh(OK_HELLO);
        RUN_UNTIL(loop, asker_is_done(&asker));
        ck_assert_uint_eq(upstream_pool_stats(pool).n_retries, 0);
        close(peer);
        close_all();
    }
}
END_TEST

START_TEST(line_that_was_closed_in_this_very_turn_is_looked_at_before_a_post) {
    open_all();
    int peer = leave_a_line();
    close(peer);
    start_post(FRAMING_LENGTH); /* the loop has not told yet */
    peer = rig_accept(loop, listener);
    rig_expect(loop, peer, POST);
    close(peer);
    close_all();
}
END_TEST

START_TEST(bytes_beyond_the_answer_are_nobodys) {
    expect_answer(STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"),
                  false, "ok", UPSTREAM_BODY_END, 0);
    expect_answer(STR("HTTP/1.1 204 No Content\r\n\r\nx"), false, "", UPSTREAM_BODY_END, 0);
    expect_answer(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n"), false,
                  "", UPSTREAM_BODY_END, 0);
}
END_TEST

START_TEST(idle_line_is_closed_in_time_and_earlier_when_the_upstream_says_so) {
    open_all();
    int peer = leave_a_line();
    travel(29 * NS_PER_S);
    rig_settle(loop);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    travel(2 * NS_PER_S);
    RUN_UNTIL(loop, upstream_pool_stats(pool).n_idle == 0);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    close(peer);
    peer = ask_fresh(
        STR("HTTP/1.1 200 OK\r\nKeep-Alive: max=100, Timeout=5\r\nContent-Length: 0\r\n\r\n"));
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    travel(3 * NS_PER_S);
    rig_settle(loop);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    travel(1 * NS_PER_S + 100 * NS_PER_MS);
    RUN_UNTIL(loop, upstream_pool_stats(pool).n_idle == 0);
    close(peer);
    peer = ask_fresh(STR("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n"));
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    close(peer);
    close_all();
}
END_TEST

START_TEST(no_more_lines_are_kept_than_allowed_and_the_newest_is_taken_first) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.n_idle = 2;
    open_with(limits);
    struct asker many[3] = {0};
    int peers[3];
    for (int i = 0; i < 3; i++) {
        struct upstream_request request = get;
        request.head = GET;
        many[i].call = upstream_start(pool, &origin, &request, &many[i]);
        peers[i] = rig_accept(loop, listener);
    }
    for (int i = 0; i < 3; i++) {
        rig_expect(loop, peers[i], GET);
        rig_send(loop, peers[i], OK_HELLO);
        RUN_UNTIL(loop, asker_is_done(&many[i]));
        asker_finish(&many[i]);
    }
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 2);
    ck_assert_int_eq(rig_expect_end(loop, peers[0]), 0);
    start_get();
    rig_expect(loop, peers[2], GET);
    for (int i = 0; i < 3; i++)
        close(peers[i]);
    close_all();
}
END_TEST

START_TEST(lines_are_shared_by_what_an_origin_says_not_by_where_it_stands) {
    open_all();
    int peer = leave_a_line();
    char host[] = "127.0.0.1";
    struct origin twin = {.host = str_of(host), .port = origin.port, .base_path = STR("/other")};
    origin = twin;
    start_get();
    rig_expect(loop, peer, GET);
    asker_finish(&asker);
    close(peer);
    peer = leave_a_line();
    origin.host = STR("both");
    start_get();
    int other = rig_accept(loop, listener);
    rig_expect(loop, other, GET);
    close(peer);
    close(other);
    close_all();
}
END_TEST

/* ---- connecting, and deadlines */

START_TEST(refused_connection_is_unreachable) {
    open_all();
    int deaf = rig_deaf(&at);
    origin.port = rig_port(&at);
    start_get();
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    ck_assert_str_eq(asker.reason, "connection refused");
    close(deaf);
    close_all();
}
END_TEST

START_TEST(name_that_nobody_knows_is_unreachable) {
    open_all();
    origin.host = STR("nobody");
    start_get();
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    ck_assert_str_eq(asker.reason, "no such host name");
    close_all();
}
END_TEST

START_TEST(next_address_is_tried_when_the_first_refuses) {
    open_all();
    origin.host = STR("both");
    int peer = ask_fresh(OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, 2);
    close(peer);
    close_all();
}
END_TEST

START_TEST(unix_socket_is_an_upstream_too) {
    open_all();
    char folder[] = "/tmp/jg-upstream-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    ck_assert(endpoint_unix(str_of(path), &at));
    close(listener);
    listener = endpoint_listen(&at, 16);
    ck_assert_int_ge(listener, 0);
    origin = (struct origin){.host = str_of(path)};
    int peer = leave_a_line();
    close(peer);
    origin = (struct origin){.host = STR("/nonexistent/socket")};
    start_get();
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    unlink(path);
    rmdir(folder);
    close_all();
}
END_TEST

static int fillers[4];

/* The listener's queue is full: further SYNs are dropped. */
static int listen_in_silence(struct endpoint *silent) {
    int fd = endpoint_listen(silent, 0);
    ck_assert_int_eq(endpoint_of_socket(fd, silent), 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ck_assert_int_le(connect(fillers[i], (const void *)&silent->address, silent->length), 0);
    }
    rig_settle(loop);
    return fd;
}

START_TEST(silent_first_address_costs_a_second) {
    struct endpoint silent;
    char text[32];
    open_all();
    snprintf(text, sizeof(text), "127.0.0.2:%u", rig_port(&at));
    ck_assert(endpoint_parse(str_of(text), &silent));
    int fd = listen_in_silence(&silent);
    origin.host = STR("both");
    start_get();
    RUN_UNTIL(loop, upstream_pool_stats(pool).n_connects == 1);
    travel(700 * NS_PER_MS);
    rig_settle(loop);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, 1);
    travel(500 * NS_PER_MS);
    rig_settle(loop);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_connects, 2);
    int peer = rig_accept(loop, listener);
    rig_send(loop, peer, OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(fd), close(peer);
    close_all();
}
END_TEST

START_TEST(silent_connect_ends_at_its_deadline) {
    open_all();
    close(listener);
    ck_assert(endpoint_parse(STR("127.0.0.1:0"), &at));
    listener = listen_in_silence(&at);
    origin.port = rig_port(&at);
    start_get();
    rig_settle(loop);
    ck_assert_int_eq(asker.n_failed, 0);
    travel(get.connect_ns - 200 * NS_PER_MS);
    rig_settle(loop);
    ck_assert_int_eq(asker.n_failed, 0);
    travel(400 * NS_PER_MS);
    RUN_UNTIL(loop, asker.n_failed);
    ck_assert_int_eq(asker.failure, UPSTREAM_UNREACHABLE);
    ck_assert_str_eq(asker.reason, "no connection in time");
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close_all();
}
END_TEST

START_TEST(head_that_does_not_come_is_a_timeout_counted_from_the_requests_end) {
    open_all();
    start_post(FRAMING_LENGTH);
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, POST);
    travel(100 * NS_PER_S); /* the client takes its time: not the upstream's fault */
    rig_settle(loop);
    ck_assert_int_eq(asker.n_failed, 0);
    send_all(STR("hello"));
    upstream_end(asker.call);
    rig_settle(loop);
    travel(get.first_byte_ns - 200 * NS_PER_MS);
    rig_settle(loop);
    ck_assert_int_eq(asker.n_failed, 0);
    rig_send(loop, peer, STR("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200")); /* buys no time */
    rig_settle(loop);
    travel(400 * NS_PER_MS);
    RUN_UNTIL(loop, asker.n_failed);
    ck_assert_int_eq(asker.failure, UPSTREAM_TIMEOUT);
    close(peer);
    close_all();
}
END_TEST

START_TEST(body_that_stops_is_broken_at_the_idle_deadline_and_each_byte_starts_it_anew) {
    open_all();
    int peer = ask_fresh(STR("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"));
    RUN_UNTIL(loop, asker.n_head);
    for (int i = 1; i <= 4; i++) {
        travel(get.idle_ns - 200 * NS_PER_MS);
        rig_settle(loop);
        rig_send(loop, peer, STR("x"));
        RUN_UNTIL(loop, buffer_length(&asker.body) == (size_t)i);
    }
    travel(get.idle_ns + 200 * NS_PER_MS);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert_int_eq(asker.state, UPSTREAM_BODY_BROKEN);
    ck_assert_str_eq(upstream_reason(asker.call), "no byte of the answer's body in time");
    close(peer);
    close_all();
}
END_TEST

START_TEST(owner_that_does_not_read_is_not_the_upstreams_lateness) {
    open_all();
    asker.reads_by_hand = true;
    int peer = ask_fresh(STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    RUN_UNTIL(loop, asker.n_head);
    travel(100 * get.idle_ns);
    rig_settle(loop);
    asker_read(&asker);
    ck_assert_int_eq(asker.state, UPSTREAM_BODY_END);
    close(peer);
    close_all();
}
END_TEST

START_TEST(upstream_that_takes_nothing_is_a_timeout) {
    open_all();
    start_post(FRAMING_CHUNKED);
    int peer = rig_accept(loop, listener);
    static char block[65536];
    for (int i = 0; i < 2000; i++) {
        asker.n_writable = 0;
        if (upstream_write(asker.call, (struct str){block, sizeof(block)}) < sizeof(block)) {
            rig_settle(loop);
            if (asker.n_writable == 0)
                break;
        }
    }
    ck_assert_int_eq(asker.n_failed, 0);
    travel(get.idle_ns + 200 * NS_PER_MS);
    RUN_UNTIL(loop, asker.n_failed);
    ck_assert_int_eq(asker.failure, UPSTREAM_TIMEOUT);
    ck_assert_str_eq(asker.reason, "the upstream does not take the request");
    close(peer);
    close_all();
}
END_TEST

/* ---- tunnels */

#define UPGRADE \
    STR("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
#define SWITCHED \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"

/* The peer's socket, when the answer's head is there; nothing behind it is read. */
static int ask_for_a_socket(struct str answer) {
    struct upstream_request request = get;
    request.asks_for_websocket = true;
    request.first_byte_ns = request.idle_ns = 200 * NS_PER_MS; /* which hold for no tunnel */
    start(request, UPGRADE);
    asker.reads_by_hand = true;
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, UPGRADE);
    rig_send(loop, peer, answer);
    RUN_UNTIL(loop, asker.n_head + asker.n_failed > 0);
    return peer;
}

static int open_tunnel(const char *ahead) {
    char answer[200];
    snprintf(answer, sizeof(answer), SWITCHED "%s", ahead);
    int peer = ask_for_a_socket(str_of(answer));
    ck_assert(upstream_is_websocket(asker.call));
    ck_assert_int_eq(upstream_start_tunnel(&asker.call), 0);
    asker_read(&asker);
    return peer;
}

START_TEST(tunnel_goes_both_ways_and_each_end_is_its_own) {
    open_all();
    int peer = open_tunnel("early");
    RUN_UNTIL(loop, asker_got(&asker, "early"));
    ck_assert_int_eq(asker.state, UPSTREAM_BODY_WAIT);
    send_all(STR("ping"));
    rig_expect(loop, peer, STR("ping"));
    travel(NS_PER_S); /* and nobody is late */
    rig_send(loop, peer, STR("pong"));
    RUN_UNTIL(loop, asker_got(&asker, "earlypong"));

    asker.n_writable = 0;
    ck_assert(!upstream_has_sent(asker.call));
    upstream_end(asker.call);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    RUN_UNTIL(loop, asker.n_writable == 1);
    ck_assert(upstream_has_sent(asker.call));
    rig_send(loop, peer, STR("!"));
    RUN_UNTIL(loop, asker_got(&asker, "earlypong!"));
    close(peer);
    RUN_UNTIL(loop, asker.state == UPSTREAM_BODY_END);
    ck_assert_int_eq(asker.n_failed, 0);
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 0);
    close_all();
}
END_TEST

START_TEST(tunnel_that_is_finished_before_our_end_is_reset) {
    open_all();
    int peer = open_tunnel("");
    asker_finish(&asker);
    ck_assert_int_eq(rig_expect_end(loop, peer), ECONNRESET);
    close(peer);
    close_all();
}
END_TEST

START_TEST(tunnel_that_the_upstream_resets_is_broken) {
    open_all();
    int peer = open_tunnel("");
    rig_reset(peer);
    RUN_UNTIL(loop, asker.state == UPSTREAM_BODY_BROKEN);
    close_all();
}
END_TEST

START_TEST(tunnel_leaves_its_place_to_the_next_call) {
    struct upstream_limits limits = UPSTREAM_LIMITS_DEFAULT;
    limits.n_open = 1;
    limits.n_queued = 0;
    open_with(limits);
    int peer = open_tunnel("");
    struct asker tunnel = asker;
    asker = (struct asker){0};
    int other = ask_fresh(OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    ck_assert(asker_got(&asker, "hello"));
    asker_finish(&asker);
    upstream_finish(tunnel.call);
    close(peer);
    close(other);
    close_all();
}
END_TEST

START_TEST(other_answers_to_an_upgrade_are_answers) {
    open_all();
    int peer = ask_for_a_socket(OK_HELLO);
    ck_assert_int_eq(asker.n_head, 1);
    ck_assert(!upstream_is_websocket(asker.call));
    asker_read(&asker);
    ck_assert(asker_got(&asker, "hello"));
    close_all();
    close(peer);
    open_all();
    peer = ask_for_a_socket(STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"));
    ck_assert_int_eq(asker.failure, UPSTREAM_BROKEN);
    ck_assert_int_eq(asker.n_failed, 1);
    close(peer);
    close_all();
}
END_TEST

RIG_MAIN("io/upstream", answer_arrives_and_the_next_call_takes_the_same_line,
         bodies_of_every_framing_end_where_they_should, answer_to_head_has_no_body_whatever_it_says,
         body_that_is_cut_is_broken_and_never_ends,
         reset_within_a_body_breaks_it_also_when_it_lasts_until_close, interim_answers_are_skipped,
         switching_without_being_asked_and_endless_interim_answers_are_broken,
         what_is_no_http_answer_is_broken, head_beyond_the_limit_is_broken_and_not_read_on,
         answer_in_single_bytes_is_the_same_answer, request_body_goes_out_in_its_framing,
         empty_chunked_body_that_ends_before_the_line_is_there_is_sent,
         upstream_that_reads_slowly_holds_the_writer_back_and_gets_everything,
         early_answer_is_heard_and_the_line_not_kept_unless_the_body_was_completed,
         answer_of_an_upstream_that_refuses_the_body_and_resets_is_heard,
         request_that_is_abandoned_half_sent_is_reset,
         call_that_is_abandoned_while_it_waits_closes_its_line, call_can_be_finished_at_every_stage,
         unread_body_is_held_back_at_the_upstream, stale_line_under_a_get_is_replaced_once,
         second_try_that_is_closed_too_is_not_followed_by_a_third,
         request_that_may_not_be_repeated_is_never_sent_twice,
         answer_that_has_begun_is_not_asked_for_again,
         request_that_may_not_be_repeated_takes_only_a_fresh_line,
         line_that_closes_or_speaks_while_idle_is_gone_before_it_is_taken,
         line_that_was_closed_in_this_very_turn_is_looked_at_before_a_post,
         bytes_beyond_the_answer_are_nobodys,
         idle_line_is_closed_in_time_and_earlier_when_the_upstream_says_so,
         no_more_lines_are_kept_than_allowed_and_the_newest_is_taken_first,
         lines_are_shared_by_what_an_origin_says_not_by_where_it_stands,
         refused_connection_is_unreachable, name_that_nobody_knows_is_unreachable,
         next_address_is_tried_when_the_first_refuses, unix_socket_is_an_upstream_too,
         silent_connect_ends_at_its_deadline, silent_first_address_costs_a_second,
         head_that_does_not_come_is_a_timeout_counted_from_the_requests_end,
         body_that_stops_is_broken_at_the_idle_deadline_and_each_byte_starts_it_anew,
         owner_that_does_not_read_is_not_the_upstreams_lateness,
         upstream_that_takes_nothing_is_a_timeout, tunnel_goes_both_ways_and_each_end_is_its_own,
         tunnel_that_is_finished_before_our_end_is_reset, tunnel_that_the_upstream_resets_is_broken,
         tunnel_leaves_its_place_to_the_next_call, other_answers_to_an_upgrade_are_answers)
