/* SPDX-License-Identifier: MIT */
#pragma once
/* The server side of HTTP/1.1 over real loopback connections. A small scripted gateway answers; it also checks that no call of
 * the contract raises an event. Deadlines are some 20 ms and waited for as events. */
#include "io/front.h"
#include "limit/slots.h"
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

static inline void start_answer(struct stage *s, struct client *client, int status,
                                enum framing framing, size_t n) {
    ck_assert(!client_answer_started(client));
    ck_assert_int_eq(
        CALL(s, client_start_answer(client, status, STR_NONE, STR("Date: now\r\n"), framing, n)),
        0);
    ck_assert(client_answer_started(client));
}

static inline void answer_with(struct stage *s, struct client *client, int status,
                               struct str text) {
    start_answer(s, client, status, FRAMING_LENGTH, text.n);
    ck_assert_uint_eq(CALL(s, client_write(client, text)), text.n);
    CALL_VOID(s, client_end_answer(client));
}

static inline void hold(struct stage *s, struct client *client) { (void)s, (void)client; }
static inline void refuse(struct stage *s, struct client *client) {
    answer_with(s, client, 401, STR("no"));
}
static inline void cut(struct stage *s, struct client *client) { CALL_VOID(s, client_cut(client)); }

static inline enum client_body drink(struct stage *s, struct client *client) {
    struct str data;
    enum client_body said;
    while ((said = CALL(s, client_read_body(client, &data))) == CLIENT_BODY_DATA) {
        ck_assert_int_eq(buffer_append(&s->body, data), 0);
        CALL_VOID(s, client_consume_body(client, data.n));
    }
    return said;
}

/* "METHOD TARGET BODY" when the body is whole. */
static inline void echo_on(struct stage *s, struct client *client) {
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

static inline void echo(struct stage *s, struct client *client) {
    const struct head *head = client_head(client);
    buffer_clear(&s->body);
    ck_assert_int_eq(buffer_printf(&s->body, STR_FMT " " STR_FMT " ", STR_ARG(head->method),
                                   STR_ARG(head->target)),
                     0);
    echo_on(s, client);
}

/* s->left bytes of 'x', as fast as they are taken. */
static inline void pour_on(struct stage *s, struct client *client) {
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

static inline void pour(struct stage *s, struct client *client) {
    start_answer(s, client, 200, FRAMING_CHUNKED, 0);
    pour_on(s, client);
}

/* ---- events */

static inline struct stage *entered(void *arg) {
    struct stage *s = arg;
    ck_assert_msg(!s->in_call, "an event was raised from within a call");
    return s;
}

static inline void on_request(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    ck_assert_ptr_null(client_owner(client));
    client_set_owner(client, s);
    ck_assert_uint_eq(client_bytes_received(client), 0);
    ck_assert_uint_eq(client_bytes_sent(client), 0);
    s->client = client;
    s->n_requests++;
    s->play(s, client);
}

static inline void on_malformed(void *arg, struct client *client, enum problem problem,
                                const char *reason) {
    struct stage *s = entered(arg);
    s->client = client;
    s->n_malformed++;
    s->problem = problem;
    s->reason = reason;
    answer_with(s, client, problem_row(problem)->status, STR("malformed"));
}

static inline void on_body(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    s->n_body++;
    s->resume(s, client);
}

static inline void on_writable(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    s->n_writable++;
    s->resume(s, client);
}

static inline void on_done(void *arg, struct client *client) {
    struct stage *s = entered(arg);
    ck_assert_ptr_nonnull(client_head(client));
    s->n_done++;
    s->client = NULL;
}

static inline void on_gone(void *arg, struct client *client, const char *reason) {
    struct stage *s = entered(arg);
    ck_assert_ptr_eq(client_owner(client), s);
    ck_assert_uint_gt(client_head(client)->method.n, 0);
    s->n_gone++;
    s->gone = reason;
    s->client = NULL;
}

static inline void open_stage(struct stage *s, const struct front_limits *limits) {
    static const struct front_events events = {on_request,  on_malformed, on_body,
                                               on_writable, on_done,      on_gone};
    struct front_limits defaults = FRONT_LIMITS_DEFAULT;
    defaults.n_connections = 100;
    *s = (struct stage){.loop = loop_new(), .play = echo, .resume = echo_on};
    s->front = front_new(s->loop, rig_listen(&s->at), limits ? limits : &defaults, &events, s);
    ck_assert_ptr_nonnull(s->front);
}

static inline void close_stage(struct stage *s) {
    CALL_VOID(s, front_free(s->front));
    rig_settle(s->loop);
    buffer_release(&s->body);
    loop_free(s->loop);
}

/* ---- the client's side */

static inline int join(struct stage *s) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&s->at.address, s->at.length), 0);
    return fd;
}

static inline int join_and_say(struct stage *s, const char *text) {
    int fd = join(s);
    rig_send(s->loop, fd, str_of(text));
    return fd;
}

static inline void leave(struct stage *s, int fd) {
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
