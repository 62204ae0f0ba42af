/* SPDX-License-Identifier: MIT */
/* What is said on a connection, and how it ends. */
#include "front_stage.h"

/* ---- requests and answers */

START_TEST(kept_alive_connection_is_answered_again_and_again) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join(&s);
    for (int i = 1; i <= 3; i++) {
        rig_send(s.loop, fd, STR(GET("/a")));
        EXPECT(&s, fd, OK(7, "GET /a "));
        ck_assert_int_eq(s.n_done, i);
        ck_assert_uint_eq(front_count_requests(s.front), 0);
        ck_assert_uint_eq(front_count(s.front), 1);
    }
    leave(&s, fd);
    ck_assert_int_eq(s.n_gone, 0);
    close_stage(&s);
}
END_TEST

START_TEST(answer_is_the_same_however_the_request_is_cut) {
    static const char wire[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                               "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n" GET("/c");
    struct stage s;
    open_stage(&s, NULL);
    for (size_t at = 1; at < sizeof(wire) - 1; at++) {
        int fd = join(&s);
        rig_send(s.loop, fd, (struct str){wire, at});
        rig_settle(s.loop);
        rig_send(s.loop, fd, (struct str){wire + at, sizeof(wire) - 1 - at});
        EXPECT(&s, fd, OK(13, "POST /a hello") OK(11, "PUT /b abcd") OK(7, "GET /c "));
        leave(&s, fd);
    }
    ck_assert_int_eq(s.n_done, 3 * (int)(sizeof(wire) - 2));
    ck_assert_int_eq(s.n_malformed + s.n_gone, 0);
    close_stage(&s);
}
END_TEST

START_TEST(request_may_come_byte_by_byte) {
    static const char wire[] =
        "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct stage s;
    open_stage(&s, NULL);
    int fd = join(&s);
    for (size_t i = 0; i < sizeof(wire) - 1; i++) {
        rig_send(s.loop, fd, (struct str){wire + i, 1});
        rig_settle(s.loop);
    }
    EXPECT(&s, fd, OK(10, "PUT /b abc"));
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(pipelined_requests_wait_their_turn) {
    struct stage s;
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, GET("/1") GET("/2") GET("/3"));
    for (int i = 1; i <= 3; i++) {
        RUN_UNTIL(s.loop, s.n_requests == i);
        rig_settle(s.loop);
        ck_assert_int_eq(s.n_requests, i);
        ck_assert_int_eq(client_head(s.client)->target.at[1], '0' + i);
        answer_with(&s, s.client, 200, STR("hi"));
        EXPECT(&s, fd, OK(2, "hi"));
    }
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(bad_request_behind_a_good_one_is_answered_after_it_and_closes) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, GET("/1") "GET  / HTTP/1.1\r\nHost: h\r\n\r\n" GET("/3"));
    EXPECT(&s, fd,
           OK(7, "GET /1 ") "HTTP/1.1 400 Bad Request\r\nDate: now\r\nConnection: "
                            "close\r\nContent-Length: 9\r\n\r\nmalformed");
    EXPECT_FIN(&s, fd);
    ck_assert_int_eq(s.n_requests, 1);
    ck_assert_int_eq(s.n_malformed, 1);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(each_malformation_is_named) {
    static const struct {
        const char *wire;
        enum problem problem;
    } cases[] = {
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", PROBLEM_VERSION_NOT_SUPPORTED},
        {"GET / HTTP/1.1\r\n\r\n", PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\nHost: h\n\n", PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n",
         PROBLEM_EXPECTATION_FAILED},
        {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", PROBLEM_NOT_IMPLEMENTED},
        {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
         PROBLEM_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", PROBLEM_BAD_REQUEST},
        {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: "
         "h\r\n\r\n",
         PROBLEM_URI_TOO_LONG},
        {"GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", PROBLEM_HEADERS_TOO_LARGE},
    };
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.head = (struct head_limits){40, 120, 3};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage s;
        open_stage(&s, &limits);
        int fd = join_and_say(&s, cases[i].wire);
        EXPECT(&s, fd, "HTTP/1.1 ");
        EXPECT_FIN_AT_LAST(&s, fd);
        ck_assert_int_eq(s.n_malformed, 1);
        ck_assert_msg(s.problem == cases[i].problem, "%s: %d", cases[i].wire, (int)s.problem);
        ck_assert_uint_gt(strlen(s.reason), 0);
        ck_assert_int_eq(s.n_requests, 0);
        leave(&s, fd);
        close_stage(&s);
    }
}
END_TEST

START_TEST(head_of_the_answer_says_what_the_client_must_know) {
    static const struct {
        const char *method, *reason, *fields, *expected;
        int status;
        enum framing framing;
    } cases[] = {
        {"GET", "Fine", "Date: now\r\nA: b\r\n",
         "HTTP/1.1 200 Fine\r\nDate: now\r\nA: b\r\nContent-Length: 0\r\n\r\n", 200,
         FRAMING_LENGTH},
        {"GET", "", "date: now\r\n",
         "HTTP/1.1 404 Not Found\r\ndate: now\r\nContent-Length: 0\r\n\r\n", 404, FRAMING_NONE},
        {"GET", "", "Date: now\r\n", "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n", 204,
         FRAMING_NONE},
        {"GET", "", "Date: now\r\n", "HTTP/1.1 304 Not Modified\r\nDate: now\r\n\r\n", 304,
         FRAMING_NONE},
        {"HEAD", "", "Date: now\r\n", "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n", 200, FRAMING_NONE},
        {"HEAD", "", "Content-Length: 7\r\nDate: now\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nDate: now\r\n\r\n", 200, FRAMING_NONE},
        {"GET", "", "Date: now\r\n",
         "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200,
         FRAMING_CHUNKED},
        {"GET", "", "Date: now\r\n",
         "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200,
         FRAMING_UNTIL_CLOSE},
    };
    struct stage s;
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char request[100];
        snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].method);
        rig_send(s.loop, fd, str_of(request));
        RUN_UNTIL(s.loop, s.n_requests == (int)i + 1);
        ck_assert_int_eq(client_start_answer(s.client, cases[i].status, str_of(cases[i].reason),
                                             str_of(cases[i].fields), cases[i].framing, 0),
                         0);
        client_end_answer(s.client);
        rig_expect(s.loop, fd, str_of(cases[i].expected));
        RUN_UNTIL(s.loop, s.n_done == (int)i + 1);
    }
    rig_send(s.loop, fd, STR(GET("/")));
    RUN_UNTIL(s.loop, s.client);
    ck_assert_int_eq(client_start_answer(s.client, 200, STR_NONE, STR_NONE, FRAMING_NONE, 0), 0);
    client_end_answer(s.client);
    char date[30], expected[128];
    clock_http_date(now_s(loop_now(s.loop)), date);
    snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 0\r\n\r\n",
             date);
    rig_expect(s.loop, fd, str_of(expected));
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(http_1_0_is_spoken) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "GET /a HTTP/1.0\r\n\r\n");
    EXPECT(&s, fd, OK_CLOSE(7, "GET /a "));
    EXPECT_FIN(&s, fd);
    leave(&s, fd);
    fd = join_and_say(&s, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT(&s, fd,
           "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\nGET "
           "/a ");
    s.play = pour;
    s.left = 5;
    rig_send(s.loop, fd, STR("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT(&s, fd, "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\nxxxxx");
    EXPECT_FIN(&s, fd);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(close_is_kept_by_both_sides) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/b"));
    EXPECT(&s, fd, OK_CLOSE(7, "GET /a "));
    EXPECT_FIN(&s, fd); /* not a reset, though /b was never read */
    leave(&s, fd);
    s.play = hold;
    fd = join_and_say(&s, GET("/c"));
    RUN_UNTIL(s.loop, s.client);
    client_close_after(s.client);
    answer_with(&s, s.client, 200, STR("bye"));
    EXPECT(&s, fd, OK_CLOSE(3, "bye"));
    EXPECT_FIN(&s, fd);
    leave(&s, fd);
    ck_assert_int_eq(s.n_requests, 2);
    close_stage(&s);
}
END_TEST

START_TEST(written_bytes_leave_in_the_same_turn) {
    struct stage s;
    char got[100];
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.client);
    start_answer(&s, s.client, 200, FRAMING_CHUNKED, 0);
    ck_assert_uint_eq(client_write(s.client, STR("one")), 3);
    rig_turn(s.loop);
    EXPECT(&s, fd,
           "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    struct tcp_info info;
    socklen_t n = sizeof(info);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    ck_assert_uint_eq(info.tcpi_data_segs_in, 1); /* head and first bytes in one send */
    ck_assert_uint_eq(client_write(s.client, STR("two")), 3);
    ck_assert_uint_eq(client_bytes_sent(s.client), 6);
    rig_turn(s.loop);
    ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), 8);
    client_end_answer(s.client);
    ck_assert_int_eq(s.n_done, 0);
    rig_turn(s.loop);
    ck_assert_int_eq(s.n_done, 1);
    EXPECT(&s, fd, "0\r\n\r\n");
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

/* ---- bodies */

START_TEST(large_answer_waits_for_a_slow_client) {
    static char got[1 << 16];
    struct stage s;
    open_stage(&s, NULL);
    s.play = pour;
    s.resume = pour_on;
    s.left = 20 << 20;
    int fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.n_requests == 1);
    size_t left = 0;
    while (left != s.left) {
        left = s.left;
        rig_settle(s.loop);
    }
    ck_assert_uint_gt(left, 10 << 20); /* the socket is full: nothing moves, nothing grows */
    size_t n_got = 0;
    while (s.n_done == 0) {
        ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
        n_got += n > 0 ? (size_t)n : 0;
        rig_turn(s.loop);
    }
    ck_assert_uint_gt(n_got, 10 << 20);
    ck_assert_int_gt(s.n_writable, 0);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(body_that_nobody_reads_stays_with_the_client) {
    static char x[1 << 16];
    struct stage s;
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
    size_t n_sent = 0;
    ssize_t n;
    for (int quiet = 0; quiet<50; quiet = n> 0 ? 0 : quiet + 1) {
        n = send(fd, x, sizeof(x), MSG_DONTWAIT);
        n_sent += n > 0 ? (size_t)n : 0;
        rig_turn(s.loop);
    }
    ck_assert_uint_lt(n_sent, 50000000);
    s.resume = hold;
    ck_assert_int_eq(drink(&s, s.client), CLIENT_BODY_WAIT);
    ck_assert_uint_gt(client_bytes_received(s.client), 0);
    ck_assert_uint_le(client_bytes_received(s.client), n_sent);
    rig_reset(fd); /* a FIN would queue up behind the body */
    RUN_UNTIL(s.loop, s.n_gone == 1);
    close_stage(&s);
}
END_TEST

START_TEST(body_that_comes_in_pieces_is_announced_each_time) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
    RUN_UNTIL(s.loop, s.n_requests == 1);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(s.n_body, i - 1);
        rig_send(s.loop, fd, STR("ab"));
        RUN_UNTIL(s.loop, s.n_body == i);
    }
    EXPECT(&s, fd, OK(14, "POST /a ababab"));
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(malformed_body_is_bad_and_closes) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                              "chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n" GET("/b"));
    EXPECT(&s, fd,
           "HTTP/1.1 400 Bad Request\r\nDate: now\r\nConnection: close\r\nContent-Length: "
           "8\r\n\r\nbad body");
    EXPECT_FIN(&s, fd);
    ck_assert_int_eq(s.n_requests, 1);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

#define EXPECTING "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"

START_TEST(continue_is_said_when_the_gateway_says_so_and_once) {
    struct stage s;
    char byte;
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, EXPECTING);
    RUN_UNTIL(s.loop, s.client);
    echo(&s, s.client);
    rig_settle(s.loop);
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1); /* wanting the body says nothing */
    CALL_VOID(&s, client_continue(s.client));
    CALL_VOID(&s, client_continue(s.client));
    EXPECT(&s, fd, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(s.loop, fd, STR("ab"));
    rig_settle(s.loop);
    CALL_VOID(&s, client_continue(s.client));
    rig_settle(s.loop);
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    rig_send(s.loop, fd, STR("c"));
    EXPECT(&s, fd, OK(10, "PUT /a abc"));
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(continue_is_not_said_when_the_body_is_on_its_way_or_nobody_asked) {
    static const char *const requests[] = {
        (EXPECTING "a"), "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
        ("PUT /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: "
         "keep-alive\r\n\r\n")};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct stage s;
        char byte;
        open_stage(&s, NULL);
        s.play = hold;
        int fd = join_and_say(&s, requests[i]);
        RUN_UNTIL(s.loop, s.client);
        echo(&s, s.client);
        CALL_VOID(&s, client_continue(s.client));
        rig_settle(s.loop);
        ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        leave(&s, fd);
        close_stage(&s);
    }
}
END_TEST

START_TEST(refusal_instead_of_continue_closes_for_who_knows_what_comes_next) {
    struct stage s;
    open_stage(&s, NULL);
    s.play = refuse;
    int fd = join_and_say(&s, EXPECTING);
    EXPECT(&s, fd,
           "HTTP/1.1 401 Unauthorized\r\nDate: now\r\nConnection: close\r\nContent-Length: "
           "2\r\n\r\nno");
    rig_send(s.loop, fd, STR(GET("/smuggled")));
    EXPECT_FIN(&s, fd);
    ck_assert_int_eq(s.n_requests, 1);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(early_answer_keeps_the_connection_when_the_rest_is_there_or_small) {
    static const char *const requests[] = {
        "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe|llo",
    };
    for (size_t i = 0; i < 3; i++) {
        struct stage s;
        open_stage(&s, NULL);
        s.play = refuse;
        struct str first = str_first(str_of(requests[i]), str_index(str_of(requests[i]), '|'));
        int fd = join(&s);
        rig_send(s.loop, fd, first);
        EXPECT(&s, fd, "HTTP/1.1 401 Unauthorized\r\nDate: now\r\nContent-Length: 2\r\n\r\nno");
        if (first.n < strlen(requests[i]))
            rig_send(s.loop, fd, str_of(requests[i] + first.n + 1));
        s.play = echo;
        rig_send(s.loop, fd, STR(GET("/next")));
        EXPECT(&s, fd, OK(10, "GET /next "));
        leave(&s, fd);
        close_stage(&s);
    }
}
END_TEST

START_TEST(early_answer_to_a_large_upload_can_be_read_by_a_client_that_sends_on) {
    static const char *const heads[] = {
        "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 700000\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nAAE60\r\n",
    };
    static char x[700000];
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, NULL);
        s.play = refuse;
        int fd = join_and_say(&s, heads[i]);
        RUN_UNTIL(s.loop, s.n_done == 1);
        rig_send(s.loop, fd, (struct str){x, sizeof(x)});
        EXPECT(&s, fd,
               "HTTP/1.1 401 Unauthorized\r\nDate: now\r\nConnection: close\r\nContent-Length: "
               "2\r\n\r\nno");
        EXPECT_FIN(&s, fd);
        leave(&s, fd);
        close_stage(&s);
    }
}
END_TEST

START_TEST(lingering_ends_by_bytes_and_by_time) {
    static char x[1 << 16];
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.linger_ns = 20 * NS_PER_MS;
    struct stage s;
    open_stage(&s, &limits);
    s.play = refuse;
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000\r\n\r\n");
    RUN_UNTIL(s.loop, s.n_done == 1 && front_count(s.front) == 0);
    close(fd);
    close_stage(&s);

    open_stage(&s, NULL);
    s.play = refuse;
    fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000\r\n\r\n");
    size_t n_sent = 0;
    RUN_UNTIL(s.loop, s.n_done == 1);
    while (front_count(s.front) > 0) {
        ssize_t n = send(fd, x, sizeof(x), MSG_DONTWAIT | MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        rig_turn(s.loop);
    }
    ck_assert_uint_ge(n_sent, 1 << 20);
    ck_assert_uint_lt(n_sent, 40 << 20);
    close(fd);
    close_stage(&s);
}
END_TEST

/* ---- clients that leave */

START_TEST(client_that_leaves_while_we_wait_is_noticed) {
    static const char *const requests[] = {
        GET("/a"),
        GET("/a") GET("/unread"),
        "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nunread",
    };
    for (size_t i = 0; i < 6; i++) {
        struct stage s;
        open_stage(&s, NULL);
        s.play = hold;
        int fd = join_and_say(&s, requests[i / 2]);
        RUN_UNTIL(s.loop, s.client);
        ck_assert_uint_eq(front_count_requests(s.front), 1);
        if (i % 2 == 0)
            close(fd);
        else
            rig_reset(fd);
        RUN_UNTIL(s.loop, s.n_gone == 1);
        rig_settle(s.loop);
        ck_assert_str_eq(s.gone, "the client left");
        ck_assert_int_eq(s.n_requests, 1);
        ck_assert_uint_eq(front_count(s.front) + front_count_requests(s.front), 0);
        close_stage(&s);
    }
}
END_TEST

START_TEST(client_that_leaves_within_its_body_or_the_answer_is_gone) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    RUN_UNTIL(s.loop, s.client);
    close(fd);
    RUN_UNTIL(s.loop, s.n_gone == 1);
    s.play = pour;
    s.resume = pour_on;
    s.left = 100 << 20;
    fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.n_requests == 2);
    rig_settle(s.loop);
    close(fd);
    RUN_UNTIL(s.loop, s.n_gone == 2);
    ck_assert_int_eq(s.n_done, 0);
    ck_assert_uint_eq(front_count(s.front), 0);
    close_stage(&s);
}
END_TEST

START_TEST(client_that_leaves_before_or_between_requests_is_no_event) {
    static const char *const texts[] = {"", "GET / HT", GET("/a")};
    for (size_t i = 0; i < 3; i++) {
        struct stage s;
        open_stage(&s, NULL);
        int fd = join_and_say(&s, texts[i]);
        RUN_UNTIL(s.loop, front_count(s.front) == 1);
        rig_settle(s.loop);
        leave(&s, fd);
        ck_assert_int_eq(s.n_malformed + s.n_gone, 0);
        ck_assert_int_eq(s.n_done, i == 2);
        close_stage(&s);
    }
}
END_TEST

START_TEST(client_that_only_ended_its_side_gets_an_answer_that_is_ready) {
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, GET("/a"));
    shutdown(fd, SHUT_WR);
    EXPECT(&s, fd, OK(7, "GET /a "));
    EXPECT_FIN(&s, fd);
    leave(&s, fd);
    fd = join_and_say(&s, "BAD\r\n\r\n");
    shutdown(fd, SHUT_WR);
    EXPECT(&s, fd, "HTTP/1.1 400 Bad Request\r\n");
    leave(&s, fd);
    ck_assert_int_eq(s.n_gone, 0);
    s.play = hold;
    fd = join_and_say(&s, GET("/a"));
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(s.loop, s.n_gone == 1);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(cut_answer_is_reset_and_raises_nothing) {
    struct stage s;
    char got[200];
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.client);
    start_answer(&s, s.client, 200, FRAMING_LENGTH, 100);
    ck_assert_uint_eq(client_write(s.client, STR("half")), 4);
    rig_turn(s.loop);
    CALL_VOID(&s, client_cut(s.client));
    ck_assert_uint_eq(front_count(s.front) + front_count_requests(s.front), 0);
    rig_settle(s.loop);
    ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
    ck_assert(n > 0 || errno == ECONNRESET);
    if (n > 0)
        EXPECT_RST(&s, fd);
    close(fd);
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close_stage(&s);
}
END_TEST

START_TEST(client_may_be_cut_from_within_every_event) {
    struct stage s;
    open_stage(&s, NULL);
    s.play = cut;
    int fd = join_and_say(&s, GET("/a") GET("/b"));
    EXPECT_RST(&s, fd);
    close(fd);
    s.play = echo; /* on_body */
    s.resume = cut;
    fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
    RUN_UNTIL(s.loop, s.n_requests == 2);
    rig_send(s.loop, fd, STR("x"));
    EXPECT_RST(&s, fd);
    close(fd);
    s.play = pour; /* on_writable */
    s.left = 1 << 20;
    fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.n_writable == 1);
    rig_settle(s.loop);
    close(fd);
    ck_assert_uint_eq(front_count(s.front) + front_count_requests(s.front), 0);
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close_stage(&s);
}
END_TEST

/* ---- tunnels */

#define UPGRADE(target) \
    "GET " target " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCHED \
    "HTTP/1.1 101 Switching Protocols\r\nDate: now\r\nConnection: Upgrade\r\n" \
    "Upgrade: websocket\r\n\r\n"

static bool has_ended; /* the client's side */

/* Everything that comes goes back; the client's end is answered with ours, and then it is over. */
static void mirror(struct stage *s, struct client *client) {
    struct str data;
    enum client_body said = CLIENT_BODY_END;
    while (!has_ended && (said = CALL(s, client_read_body(client, &data))) == CLIENT_BODY_DATA) {
        ck_assert_uint_eq(CALL(s, client_write(client, data)), data.n);
        CALL_VOID(s, client_consume_body(client, data.n));
    }
    if (has_ended) {
        if (CALL(s, client_has_sent(client)))
            CALL_VOID(s, client_close(client));
    } else if (said == CLIENT_BODY_END) {
        has_ended = true;
        CALL_VOID(s, client_end_answer(client));
    } else {
        ck_assert_int_eq(said, CLIENT_BODY_WAIT);
    }
}

static void switch_over(struct stage *s, struct client *client) {
    ck_assert_int_eq(CALL(s, client_start_tunnel(client, STR_NONE, STR("Date: now\r\n"))), 0);
    mirror(s, client);
}

static void open_tunnels(struct stage *s) {
    open_stage(s, NULL);
    s->play = switch_over;
    s->resume = mirror;
    has_ended = false;
}

START_TEST(tunnel_takes_what_was_sent_ahead_and_goes_both_ways_until_an_end) {
    struct stage s;
    open_tunnels(&s);
    int fd = join_and_say(&s, UPGRADE("/a") "GET / HTTP/1.1\r\n");
    EXPECT(&s, fd, SWITCHED "GET / HTTP/1.1\r\n"); /* which is no request any more */
    rig_send(s.loop, fd, STR("\0\xff"));
    EXPECT(&s, fd, "\0\xff");
    ck_assert_uint_eq(front_count_requests(s.front), 1);
    shutdown(fd, SHUT_WR);
    EXPECT_FIN(&s, fd);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close(fd);
    close_stage(&s);
}
END_TEST

static void end_first(struct stage *s, struct client *client) {
    ck_assert_int_eq(CALL(s, client_start_tunnel(client, STR_NONE, STR("Date: now\r\n"))), 0);
    CALL_VOID(s, client_end_answer(client));
}

static void drink_tunnel(struct stage *s, struct client *client) {
    if (drink(s, client) == CLIENT_BODY_END && CALL(s, client_has_sent(client)))
        CALL_VOID(s, client_close(client));
}

START_TEST(tunnel_whose_our_side_ended_is_still_read) {
    struct stage s;
    open_tunnels(&s);
    s.play = end_first;
    s.resume = drink_tunnel;
    int fd = join_and_say(&s, UPGRADE("/a"));
    EXPECT(&s, fd, SWITCHED);
    EXPECT_FIN(&s, fd);
    rig_send(s.loop, fd, STR("last words"));
    RUN_UNTIL(s.loop, str_eq(buffer_bytes(&s.body), STR("last words")));
    ck_assert_uint_eq(front_count(s.front), 1);
    close(fd);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close_stage(&s);
}
END_TEST

START_TEST(tunnel_outlives_the_deadlines_of_requests) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    struct stage s;
    open_tunnels(&s);
    limits.head_ns = limits.idle_ns = limits.body_ns = limits.request_ns = NS_PER_MS;
    front_set_limits(s.front, &limits);
    int fd = join_and_say(&s, UPGRADE("/a"));
    EXPECT(&s, fd, SWITCHED);
    int other = join(&s);
    EXPECT_FIN(&s, other); /* who has not even asked is out of time by now */
    rig_send(s.loop, fd, STR("still here"));
    EXPECT(&s, fd, "still here");
    close(other);
    shutdown(fd, SHUT_WR);
    EXPECT_FIN(&s, fd);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

static void switch_and_hold(struct stage *s, struct client *client) {
    ck_assert_int_eq(CALL(s, client_start_tunnel(client, STR_NONE, STR("Date: now\r\n"))), 0);
}

START_TEST(tunnel_can_be_cut) {
    struct stage s;
    open_tunnels(&s);
    s.play = switch_and_hold;
    int fd = join_and_say(&s, UPGRADE("/a"));
    EXPECT(&s, fd, SWITCHED);
    CALL_VOID(&s, client_cut(s.client));
    EXPECT_RST(&s, fd);
    ck_assert_uint_eq(front_count(s.front) + front_count_requests(s.front), 0);
    close(fd);
    close_stage(&s);
}
END_TEST

RIG_MAIN("front", kept_alive_connection_is_answered_again_and_again,
         answer_is_the_same_however_the_request_is_cut, request_may_come_byte_by_byte,
         pipelined_requests_wait_their_turn,
         bad_request_behind_a_good_one_is_answered_after_it_and_closes, each_malformation_is_named,
         head_of_the_answer_says_what_the_client_must_know, http_1_0_is_spoken,
         close_is_kept_by_both_sides, written_bytes_leave_in_the_same_turn,
         large_answer_waits_for_a_slow_client, body_that_nobody_reads_stays_with_the_client,
         body_that_comes_in_pieces_is_announced_each_time, malformed_body_is_bad_and_closes,
         continue_is_said_when_the_gateway_says_so_and_once,
         continue_is_not_said_when_the_body_is_on_its_way_or_nobody_asked,
         refusal_instead_of_continue_closes_for_who_knows_what_comes_next,
         early_answer_keeps_the_connection_when_the_rest_is_there_or_small,
         early_answer_to_a_large_upload_can_be_read_by_a_client_that_sends_on,
         lingering_ends_by_bytes_and_by_time, client_that_leaves_while_we_wait_is_noticed,
         client_that_leaves_within_its_body_or_the_answer_is_gone,
         client_that_leaves_before_or_between_requests_is_no_event,
         client_that_only_ended_its_side_gets_an_answer_that_is_ready,
         cut_answer_is_reset_and_raises_nothing, client_may_be_cut_from_within_every_event,
         tunnel_takes_what_was_sent_ahead_and_goes_both_ways_until_an_end,
         tunnel_whose_our_side_ended_is_still_read, tunnel_outlives_the_deadlines_of_requests,
         tunnel_can_be_cut)
