/* SPDX-License-Identifier: MIT */
/* The server side of HTTP/1.1 over real loopback connections. A small scripted gateway answers; it also checks that no call of
 * the contract raises an event. Deadlines are some 20 ms and waited for as events. */
#include "io/front.h"
#include "rig.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>

struct stage {
    struct loop *loop;
    struct front *front;
    struct endpoint at;
    void (*play)(struct stage *stage, struct client *client);   /* on_request */
    void (*resume)(struct stage *stage, struct client *client); /* on_body, on_writable */
    bool in_call;
    struct client *client; /* of the newest request */
    int n_requests, n_malformed, n_body, n_writable, n_done, n_gone;
    enum problem problem;
    const char *reason, *gone;
    struct buffer body;
    size_t left; /* to be written by pour() */
};

#define CALL(stage, expression) \
    ({ \
        (stage)->in_call = true; \
        __auto_type value = (expression); \
        (stage)->in_call = false; \
        value; \
    })
#define CALL_VOID(stage, expression) \
    do { \
        (stage)->in_call = true; \
        expression; \
        (stage)->in_call = false; \
    } while (0)

/* ---- the scripted gateway */

static void start_answer(struct stage *s, struct client *client, int status, enum framing framing,
                         size_t n) {
    ck_assert(!client_answer_started(client));
    ck_assert_int_eq(
        CALL(s, client_start_answer(client, status, STR_NONE, STR("Date: now\r\n"), framing, n)),
        0);
    ck_assert(client_answer_started(client));
}

static void answer_with(struct stage *s, struct client *client, int status, struct str text) {
    start_answer(s, client, status, FRAMING_LENGTH, text.n);
    ck_assert_uint_eq(CALL(s, client_write(client, text)), text.n);
    CALL_VOID(s, client_end_answer(client));
}

static void hold(struct stage *s, struct client *client) { (void)s, (void)client; }
static void refuse(struct stage *s, struct client *client) {
    answer_with(s, client, 401, STR("no"));
}
static void cut(struct stage *s, struct client *client) { CALL_VOID(s, client_cut(client)); }

static enum client_body drink(struct stage *s, struct client *client) {
    struct str data;
    enum client_body said;
    while ((said = CALL(s, client_read_body(client, &data))) == CLIENT_BODY_DATA) {
        ck_assert_int_eq(buffer_append(&s->body, data), 0);
        CALL_VOID(s, client_consume_body(client, data.n));
    }
    return said;
}

/* "METHOD TARGET BODY" when the body is whole. */
static void echo_on(struct stage *s, struct client *client) {
    switch (drink(s, client)) {
    case CLIENT_BODY_DATA:
    case CLIENT_BODY_WAIT:
        break;
    case CLIENT_BODY_END:
        ck_assert_uint_eq(client_bytes_received(client), buffer_length(&s->body) -
                                                             client_head(client)->method.n -
                                                             client_head(client)->target.n - 2);
        answer_with(s, client, 200, buffer_bytes(&s->body));
        break;
    case CLIENT_BODY_BAD:
        answer_with(s, client, 400, STR("bad body"));
        break;
    case CLIENT_BODY_LATE:
        answer_with(s, client, 408, STR("late body"));
        break;
    }
}

static void echo(struct stage *s, struct client *client) {
    const struct head *head = client_head(client);
    buffer_clear(&s->body);
    ck_assert_int_eq(buffer_printf(&s->body, STR_FMT " " STR_FMT " ", STR_ARG(head->method),
                                   STR_ARG(head->target)),
                     0);
    echo_on(s, client);
}

/* s->left bytes of 'x', as fast as they are taken. */
static void pour_on(struct stage *s, struct client *client) {
    static char x[100000];
    memset(x, 'x', sizeof(x));
    while (s->left > 0) {
        struct str piece = {x, s->left < sizeof(x) ? s->left : sizeof(x)};
        size_t taken = CALL(s, client_write(client, piece));
        s->left -= taken;
        if (taken < piece.n)
            return;
    }
    CALL_VOID(s, client_end_answer(client));
}

static void pour(struct stage *s, struct client *client) {
    start_answer(s, client, 200, FRAMING_CHUNKED, 0);
    pour_on(s, client);
}

/* ---- events */

static struct stage *entered(void *arg) {
    struct stage *s = arg;
    ck_assert_msg(!s->in_call, "an event was raised from within a call");
    return s;
}

static void on_request(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    ck_assert_ptr_null(client_owner(client));
    client_set_owner(client, s);
    ck_assert_uint_eq(client_bytes_received(client), 0);
    ck_assert_uint_eq(client_bytes_sent(client), 0);
    s->client = client;
    s->n_requests++;
    s->play(s, client);
}

static void on_malformed(void *arg, struct client *client, enum problem problem,
                         const char *reason) {
    struct stage *s = entered(arg);
    s->client = client;
    s->n_malformed++;
    s->problem = problem;
    s->reason = reason;
    answer_with(s, client, problem_row(problem)->status, STR("malformed"));
}

static void on_body(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    s->n_body++;
    s->resume(s, client);
}

static void on_writable(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    s->n_writable++;
    s->resume(s, client);
}

static void on_done(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    ck_assert_ptr_nonnull(client_head(client));
    s->n_done++;
    s->client = NULL;
}

static void on_gone(void *arg, struct client *client, const char *reason) {
    struct stage *s = entered(arg);
    ck_assert_ptr_eq(client_owner(client), s);
    ck_assert_uint_gt(client_head(client)->method.n, 0);
    s->n_gone++;
    s->gone = reason;
    s->client = NULL;
}

static void open_stage(struct stage *s, const struct front_limits *limits) {
    static const struct front_events events = {on_request,  on_malformed, on_body,
                                               on_writable, on_done,      on_gone};
    static const struct front_limits defaults = {{16 * 1024, 64 * 1024, 128},
                                                 15 * NS_PER_S,
                                                 75 * NS_PER_S,
                                                 30 * NS_PER_S,
                                                 60 * NS_PER_S,
                                                 2 * NS_PER_S,
                                                 100,
                                                 0};
    *s = (struct stage){.loop = loop_new(), .play = echo, .resume = echo_on};
    s->front = front_new(s->loop, rig_listen(&s->at), limits ? limits : &defaults, &events, s);
    ck_assert_ptr_nonnull(s->front);
}

static void close_stage(struct stage *s) {
    CALL_VOID(s, front_free(s->front));
    rig_settle(s->loop);
    buffer_release(&s->body);
    loop_free(s->loop);
}

/* ---- the client's side */

static int join(struct stage *s) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&s->at.address, s->at.length), 0);
    return fd;
}

static int join_and_say(struct stage *s, const char *text) {
    int fd = join(s);
    rig_send(s->loop, fd, str_of(text));
    return fd;
}

static void leave(struct stage *s, int fd) {
    close(fd);
    RUN_UNTIL(s->loop, front_count(s->front) == 0);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK(n, text) "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: " #n "\r\n\r\n" text
#define OK_CLOSE(n, text) \
    "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\nContent-Length: " #n "\r\n\r\n" text
#define EXPECT(stage, fd, text) rig_expect((stage)->loop, (fd), STR(text))
/* Whatever comes before it. */
#define EXPECT_FIN_AT_LAST(stage, fd) \
    do { \
        char some[1000]; \
        RUN_UNTIL((stage)->loop, recv((fd), some, sizeof(some), MSG_DONTWAIT) == 0); \
    } while (0)
#define EXPECT_FIN(stage, fd) ck_assert_int_eq(rig_expect_end((stage)->loop, (fd)), 0)
#define EXPECT_RST(stage, fd) ck_assert_int_eq(rig_expect_end((stage)->loop, (fd)), ECONNRESET)

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
        EXPECTING "a", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
        "PUT /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: "
        "keep-alive\r\n\r\n"};
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

/* ---- deadlines */

static struct front_limits hasty(void) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.head_ns = limits.idle_ns = limits.body_ns = limits.write_ns = limits.linger_ns =
        20 * NS_PER_MS;
    return limits;
}

START_TEST(head_that_comes_too_slowly_is_408) {
    struct front_limits limits = hasty();
    limits.idle_ns = 60 * NS_PER_S;
    struct stage s;
    open_stage(&s, &limits);
    int fd = join_and_say(&s, GET("/a") "GET / HT");
    EXPECT(&s, fd,
           OK(7, "GET /a ") "HTTP/1.1 408 Request Timeout\r\nDate: now\r\nConnection: "
                            "close\r\nContent-Length: 9\r\n\r\nmalformed");
    EXPECT_FIN(&s, fd);
    ck_assert_int_eq(s.problem, PROBLEM_REQUEST_TIMEOUT);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

START_TEST(idle_connection_is_closed_in_silence) {
    struct front_limits limits = hasty();
    struct stage s;
    open_stage(&s, &limits);
    int fresh = join(&s), used = join_and_say(&s, GET("/a"));
    EXPECT(&s, used, OK(7, "GET /a "));
    EXPECT_FIN(&s, used);
    EXPECT_FIN(&s, fresh);
    RUN_UNTIL(s.loop, front_count(s.front) == 0); /* though they do not close */
    ck_assert_int_eq(s.n_malformed + s.n_gone, 0);
    close(used);
    close(fresh);
    close_stage(&s);
}
END_TEST

START_TEST(body_that_stops_is_late) {
    struct front_limits limits = hasty();
    struct stage s;
    open_stage(&s, &limits);
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    EXPECT(&s, fd,
           "HTTP/1.1 408 Request Timeout\r\nDate: now\r\nConnection: close\r\nContent-Length: "
           "9\r\n\r\nlate body");
    EXPECT_FIN(&s, fd);
    ck_assert_int_eq(s.n_gone, 0);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

static void have_rung(struct timer *timer) { (void)timer; }

START_TEST(only_who_is_waited_for_can_be_late) {
    struct front_limits limits = hasty();
    struct stage s;
    open_stage(&s, &limits);
    s.play = hold;
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    RUN_UNTIL(s.loop, s.client);
    struct timer much_later = {0};
    loop_timer_set(s.loop, &much_later, loop_now(s.loop)->mono_ns + 100 * NS_PER_MS, have_rung);
    RUN_UNTIL(s.loop, !timer_is_set(&much_later));
    ck_assert_int_eq(s.n_gone + s.n_malformed, 0); /* it is the gateway that takes its time */
    echo(&s, s.client);
    rig_send(s.loop, fd, STR("whole"));
    EXPECT(&s, fd, OK(16, "PUT /a halfwhole"));
    close(fd);
    close_stage(&s);
}
END_TEST

START_TEST(client_that_does_not_take_its_answer_is_gone) {
    struct front_limits limits = hasty();
    struct stage s;
    open_stage(&s, &limits);
    s.play = pour;
    s.resume = pour_on;
    s.left = 100 << 20;
    int fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.n_gone == 1);
    ck_assert_str_eq(s.gone, "the client does not take the answer");
    ck_assert_uint_eq(front_count(s.front), 0);
    close(fd);
    close_stage(&s);
}
END_TEST

/* ---- limits, drain */

#define OVERLOADED "HTTP/1.1 503 Service Unavailable\r\n"

START_TEST(connections_beyond_the_limit_are_refused) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 2;
    struct stage s;
    open_stage(&s, &limits);
    int one = join(&s), two = join(&s);
    RUN_UNTIL(s.loop, front_count(s.front) == 2);
    int three = join_and_say(&s, GET("/a"));
    EXPECT(&s, three, OVERLOADED);
    close(three);
    close(one);
    RUN_UNTIL(s.loop, front_count(s.front) == 1);
    one = join_and_say(&s, GET("/a"));
    EXPECT(&s, one, OK(7, "GET /a "));
    ck_assert_int_eq(s.n_malformed, 0);
    close(one);
    leave(&s, two);
    close_stage(&s);
}
END_TEST

START_TEST(refusal_is_whole) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 0;
    struct stage s;
    char got[1000];
    size_t n = 0;
    open_stage(&s, &limits);
    int fd = join(&s);
    for (ssize_t more = -1; more != 0;) {
        RUN_UNTIL(s.loop, (more = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT)) >= 0);
        n += (size_t)more;
    }
    struct head head;
    head_init(&head, HEAD_ANSWER, &limits.head);
    ck_assert_int_eq(head_parse(&head, (struct str){got, n}), HEAD_DONE);
    ck_assert_int_eq(head.status, 503);
    ck_assert(!head.keep_alive);
    ck_assert_uint_eq(head.head_bytes + head.body_bytes, n);
    close(fd);
    close_stage(&s);
}
END_TEST

START_TEST(connections_of_one_peer_are_limited) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections_per_ip = 2;
    struct stage s;
    open_stage(&s, &limits);
    for (int round = 0; round < 3; round++) {
        int one = join_and_say(&s, GET("/a")), two = join_and_say(&s, GET("/b"));
        EXPECT(&s, one, OK(7, "GET /a "));
        EXPECT(&s, two, OK(7, "GET /b "));
        int three = join(&s);
        EXPECT(&s, three, OVERLOADED);
        close(one);
        close(three);
        leave(&s, two);
    }
    close_stage(&s);
}
END_TEST

START_TEST(accepting_rests_when_descriptors_are_out_and_goes_on) {
    struct stage s;
    struct rlimit old, tight;
    open_stage(&s, NULL);
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    tight = (struct rlimit){(rlim_t)next, old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(connect(clients[i], (const struct sockaddr *)&s.at.address, s.at.length),
                         0);
    rig_settle(s.loop);
    EXPECT(&s, clients[0], OVERLOADED); /* at the price of the reserve */
    ck_assert_uint_eq(front_count(s.front), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    for (int i = 1; i < 3; i++) {
        rig_send(s.loop, clients[i], STR(GET("/a")));
        EXPECT(&s, clients[i], OK(7, "GET /a "));
    }
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    close_stage(&s);
}
END_TEST

START_TEST(draining_front_accepts_and_answers_with_close) {
    struct stage s;
    open_stage(&s, NULL);
    int idle = join_and_say(&s, GET("/a"));
    EXPECT(&s, idle, OK(7, "GET /a "));
    CALL_VOID(&s, front_drain(s.front));
    int late = join_and_say(&s, GET("/b"));
    EXPECT(&s, late, OK_CLOSE(7, "GET /b "));
    EXPECT_FIN(&s, late);
    rig_send(s.loop, idle, STR(GET("/c")));
    EXPECT(&s, idle, OK_CLOSE(7, "GET /c "));
    EXPECT_FIN(&s, idle);
    close(late);
    leave(&s, idle);
    close_stage(&s);
}
END_TEST

START_TEST(stopping_serves_what_is_queued_and_closes_what_is_idle) {
    struct stage s;
    char byte;
    open_stage(&s, NULL);
    int idle = join_and_say(&s, GET("/a"));
    EXPECT(&s, idle, OK(7, "GET /a "));
    s.play = hold;
    int busy = join_and_say(&s, GET("/b"));
    RUN_UNTIL(s.loop, s.client);
    struct client *held = s.client;
    s.play = echo;
    int queued = join(&s); /* its request comes only after the stop */
    CALL_VOID(&s, front_stop_listening(s.front));
    EXPECT_FIN(&s, idle);
    ck_assert_int_eq(recv(queued, &byte, 1, MSG_DONTWAIT), -1);
    rig_send(s.loop, queued, STR(GET("/c")));
    EXPECT(&s, queued, OK_CLOSE(7, "GET /c "));
    answer_with(&s, held, 200, STR("done"));
    EXPECT(&s, busy, OK_CLOSE(4, "done"));
    EXPECT_FIN(&s, busy);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&s.at.address, s.at.length), -1);
    close(fd);
    close(idle);
    close(queued);
    leave(&s, busy);
    close_stage(&s);
}
END_TEST

START_TEST(answer_that_promised_to_go_on_is_closed_after_the_stop) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.linger_ns = 20 * NS_PER_MS;
    struct stage s;
    open_stage(&s, &limits);
    s.play = hold;
    int silent = join(&s), fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.client && front_count(s.front) == 2);
    start_answer(&s, s.client, 200, FRAMING_LENGTH, 2);
    front_stop_listening(s.front);
    ck_assert_uint_eq(client_write(s.client, STR("hi")), 2);
    client_end_answer(s.client);
    EXPECT(&s, fd, OK(2, "hi"));
    EXPECT_FIN(&s, fd);
    EXPECT_FIN(&s, silent);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    close(fd);
    close(silent);
    close_stage(&s);
}
END_TEST

START_TEST(freeing_cuts_what_is_open_without_events) {
    struct stage s;
    open_stage(&s, NULL);
    s.play = hold;
    int idle = join(&s), half = join_and_say(&s, "GET /"), open = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.client && front_count(s.front) == 3);
    start_answer(&s, s.client, 200, FRAMING_CHUNKED, 0);
    close_stage(&s);
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close(idle);
    close(half);
    close(open);
}
END_TEST

START_TEST(many_clients_at_once_are_served) {
    enum { N = 60 }; /* the backlog's size */
    struct stage s;
    int fds[N];
    open_stage(&s, NULL);
    for (int i = 0; i < N; i++)
        fds[i] = join_and_say(&s, GET("/a") GET("/b"));
    for (int i = 0; i < N; i++)
        EXPECT(&s, fds[i], OK(7, "GET /a ") OK(7, "GET /b "));
    ck_assert_uint_eq(front_count(s.front), N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    close_stage(&s);
}
END_TEST

START_TEST(peer_is_who_connected) {
    struct stage s;
    struct ip expected;
    open_stage(&s, NULL);
    s.play = hold;
    int fd = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.client);
    struct ip peer = client_peer(s.client);
    ck_assert(ip_parse(STR("127.0.0.1"), &expected));
    ck_assert_mem_eq(&peer, &expected, sizeof(peer));
    close(fd);
    RUN_UNTIL(s.loop, s.n_gone == 1);
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
         head_that_comes_too_slowly_is_408, idle_connection_is_closed_in_silence,
         body_that_stops_is_late, only_who_is_waited_for_can_be_late,
         client_that_does_not_take_its_answer_is_gone, connections_beyond_the_limit_are_refused,
         refusal_is_whole, connections_of_one_peer_are_limited,
         accepting_rests_when_descriptors_are_out_and_goes_on,
         draining_front_accepts_and_answers_with_close,
         stopping_serves_what_is_queued_and_closes_what_is_idle,
         answer_that_promised_to_go_on_is_closed_after_the_stop,
         freeing_cuts_what_is_open_without_events, many_clients_at_once_are_served,
         peer_is_who_connected)
