/* SPDX-License-Identifier: MIT */
/* The small server, asked over real sockets. */
#include "base/cleanup.h"
#include "io/service.h"
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static struct endpoint loopback(uint16_t port) {
    struct endpoint endpoint = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&endpoint.address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
    return endpoint;
}

/* Says what it was asked: "METHOD PATH ?QUERY BODYLENGTH". Its thread alone touches the counters until service_stop. */
struct echo {
    int n_calls;
    int status;
    const char *content_type;
    char fields[512];
};

static void note_field(void *arg, struct str name, struct str value) {
    struct echo *echo = arg;
    size_t used = strlen(echo->fields);
    snprintf(echo->fields + used, sizeof(echo->fields) - used, STR_FMT "=" STR_FMT ";",
             STR_ARG(name), STR_ARG(value));
}

static void on_echo(void *arg, const struct service_request *request,
                    struct service_answer *answer) {
    struct echo *echo = arg;
    echo->n_calls++;
    echo->fields[0] = 0;
    service_each_field(request, note_field, echo);
    answer->status = echo->status;
    answer->content_type = echo->content_type;
    service_answer_field(answer, "X-First", "1");
    service_answer_field(answer, "X-Second", "2");
    if (service_field(request, "x-ask").at)
        service_answer_field(answer, "X-Asked", "yes");
    ck_assert_int_eq(buffer_printf(&answer->body, STR_FMT " " STR_FMT " ?" STR_FMT " %zu",
                                   STR_ARG(request->method), STR_ARG(request->path),
                                   STR_ARG(request->query), request->body.n),
                     0);
}

static struct echo echo;
static struct service *service;

static void begin(void) {
    echo = (struct echo){.status = 200, .content_type = "text/plain"};
    struct endpoint at = loopback(0);
    ck_assert_int_eq(service_start(&service, &at, on_echo, &echo), 0);
    ck_assert_uint_ne(service_port(service), 0);
}

static void end(void) { service_stop(service); }

static int dial(void) {
    struct endpoint at = loopback(service_port(service));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    struct timeval patience = {.tv_sec = 20};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at.address, at.length), 0);
    return fd;
}

static void put(int fd, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.at, bytes.n, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server has had enough: the answer says why */
        bytes = str_skip(bytes, (size_t)n);
    }
}

/* Everything until the server closes; NUL-terminated. */
static char *get(int fd) {
    static char answer[8192];
    size_t used = 0;
    ssize_t n;
    while (used < sizeof(answer) - 1 &&
           (n = recv(fd, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
        used += (size_t)n;
    answer[used] = 0;
    close(fd);
    return answer;
}

static char *ask(const char *request) {
    int fd = dial();
    put(fd, str_of(request));
    return get(fd);
}

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

#define TAIL " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

START_TEST(handler_sees_path_and_query_as_they_came) {
    begin();
    char *answer = ask("GET /a%2Fb/c?d=%20&e" TAIL "\r\n");
    ck_assert_msg(has(answer, "HTTP/1.1 200"), "%s", answer);
    ck_assert_msg(has(answer, "\r\n\r\nGET /a%2Fb/c ?d=%20&e 0"), "%s", answer);
    end();
}
END_TEST

START_TEST(fields_of_the_answer_keep_their_order) {
    begin();
    char *answer = ask("GET /" TAIL "\r\n");
    ck_assert_msg(has(answer, "Content-Type: text/plain\r\nX-First: 1\r\nX-Second: 2\r\n"), "%s",
                  answer);
    end();
}
END_TEST

START_TEST(fields_of_the_request_are_found_in_any_case_and_order_is_kept) {
    begin();
    char *answer = ask("GET /" TAIL "X-ASK: 1\r\nB: 2\r\nB: 3\r\n\r\n");
    ck_assert_msg(has(answer, "X-Asked: yes"), "%s", answer);
    ck_assert(!has(ask("GET /" TAIL "\r\n"), "X-Asked"));
    ask("GET /" TAIL "B: 2\r\nB: 3\r\n\r\n");
    end();
    ck_assert_str_eq(echo.fields, "Host=x;Connection=close;B=2;B=3;");
}
END_TEST

START_TEST(head_gets_the_fields_of_get_without_its_body) {
    begin();
    char *answer = ask("HEAD /x" TAIL "\r\n");
    ck_assert_msg(has(answer, "HTTP/1.1 200") && has(answer, "Content-Length: 10"), "%s", answer);
    ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    end();
}
END_TEST

START_TEST(two_requests_share_a_connection) {
    begin();
    char *answer = ask("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2" TAIL "\r\n");
    ck_assert_msg(has(answer, "GET /1 ? 0") && has(answer, "GET /2 ? 0"), "%s", answer);
    end();
    ck_assert_int_eq(echo.n_calls, 2);
}
END_TEST

START_TEST(body_arrives_whole_by_length_and_chunked) {
    begin();
    ck_assert(has(ask("POST /" TAIL "Content-Length: 5\r\n\r\nhello"), "POST / ? 5"));
    ck_assert(has(
        ask("POST /" TAIL "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
        "POST / ? 7"));
    end();
}
END_TEST

static char *post_of(size_t n_body) {
    char head[200];
    snprintf(head, sizeof(head), "POST /" TAIL "Content-Length: %zu\r\n\r\n", n_body);
    CLEANUP(cleanup_free) char *body = calloc(1, n_body);
    int fd = dial();
    put(fd, str_of(head));
    put(fd, (struct str){body, n_body});
    return get(fd);
}

START_TEST(body_of_one_mebibyte_is_taken_and_one_more_byte_is_not) {
    begin();
    ck_assert(has(post_of(1024 * 1024), "POST / ? 1048576"));
    ck_assert(has(post_of(1024 * 1024 + 1), "HTTP/1.1 413"));
    end();
    ck_assert_int_eq(echo.n_calls, 1);
}
END_TEST

START_TEST(status_without_body_and_type_is_sent_so) {
    begin();
    echo.status = 304;
    echo.content_type = NULL;
    char *answer = ask("GET /" TAIL "\r\n");
    ck_assert_msg(has(answer, "HTTP/1.1 304") && !has(answer, "Content-Type"), "%s", answer);
    ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    end();
}
END_TEST

START_TEST(what_is_no_http_reaches_no_handler) {
    begin();
    ck_assert(!has(ask("\x16\x03\x01\x02\r\n\r\n"), " 200 "));
    ck_assert(!has(ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"), " 200 ")); /* no Host */
    ck_assert(!has(ask("POST /" TAIL "Content-Length: -5\r\n\r\n"), " 200 "));
    end();
    ck_assert_int_eq(echo.n_calls, 0);
}
END_TEST

START_TEST(client_that_leaves_in_its_request_leaks_nothing) {
    begin();
    int fd = dial();
    put(fd, STR("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc"));
    close(fd);
    ck_assert(has(ask("GET /" TAIL "\r\n"), " 200 "));
    int open_at_stop = dial();
    put(open_at_stop, STR("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc"));
    end();
    close(open_at_stop);
}
END_TEST

START_TEST(taken_port_is_an_error_that_says_so) {
    begin();
    struct endpoint at = loopback(service_port(service));
    struct service *second = NULL;
    ck_assert_int_eq(service_start(&second, &at, on_echo, &echo), -EADDRINUSE);
    ck_assert_ptr_null(second);
    end();
}
END_TEST

START_TEST(port_is_free_again_after_the_stop) {
    begin();
    struct endpoint at = loopback(service_port(service));
    ask("GET /" TAIL "\r\n");
    end();
    ck_assert_int_eq(service_start(&service, &at, on_echo, &echo), 0);
    ck_assert_uint_eq(service_port(service), ntohs(((struct sockaddr_in *)&at.address)->sin_port));
    end();
    service_stop(NULL);
}
END_TEST

START_TEST(unix_socket_is_refused) {
    struct endpoint at = {.length = sizeof(sa_family_t)};
    at.address.ss_family = AF_UNIX;
    ck_assert_int_eq(service_start(&service, &at, on_echo, &echo), -EAFNOSUPPORT);
}
END_TEST

START_TEST(only_the_versions_that_die_are_blamed) {
    const char *const dying[] = {"1.0.0", "1.0.1", "1.0.8", "1.0"}, *const good[] = {
                                                                        "0.9.75", "1.0.9", "1.0.10",
                                                                        "1.1.0",  "2.0.0", "",
                                                                        "x"};
    for (size_t i = 0; i < sizeof(dying) / sizeof(dying[0]); i++)
        ck_assert_msg(service_version_dies(dying[i]), "%s", dying[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(!service_version_dies(good[i]), "%s", good[i]);
}
END_TEST

START_TEST(loopback_is_never_warned_about) {
    struct endpoint at = loopback(1);
    ck_assert_ptr_null(service_library_warning(&at));
}
END_TEST

SUITE_MAIN("io/service", handler_sees_path_and_query_as_they_came,
           fields_of_the_answer_keep_their_order,
           fields_of_the_request_are_found_in_any_case_and_order_is_kept,
           head_gets_the_fields_of_get_without_its_body, two_requests_share_a_connection,
           body_arrives_whole_by_length_and_chunked,
           body_of_one_mebibyte_is_taken_and_one_more_byte_is_not,
           status_without_body_and_type_is_sent_so, what_is_no_http_reaches_no_handler,
           client_that_leaves_in_its_request_leaks_nothing, taken_port_is_an_error_that_says_so,
           port_is_free_again_after_the_stop, unix_socket_is_refused,
           only_the_versions_that_die_are_blamed, loopback_is_never_warned_about)
