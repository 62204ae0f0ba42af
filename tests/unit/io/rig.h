/* SPDX-License-Identifier: MIT */
#pragma once
/* A loop that a test turns by hand, and peers on loopback that the same thread plays: nothing
 * sleeps, and every wait is bounded. RUN_UNTIL turns the loop, without blocking in it, until the
 * condition holds. */
#include "io/endpoint.h"
#include "io/loop.h"
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RIG_PATIENCE_NS (20 * NS_PER_S)

struct rig_stop {
    struct deferred deferred;
    struct loop *loop;
};

__attribute__((unused)) static void rig_stop_now(struct deferred *deferred) {
    loop_stop(CONTAINER_OF(deferred, struct rig_stop, deferred)->loop);
}

/* One turn that does not block. */
__attribute__((unused)) static void rig_turn(struct loop *loop) {
    struct rig_stop stop = {.loop = loop};
    loop_defer(loop, &stop.deferred, rig_stop_now);
    loop_run(loop);
}

#define RUN_UNTIL(loop, condition) \
    do { \
        int64_t rig_deadline = clock_now().mono_ns + RIG_PATIENCE_NS; \
        while (!(condition)) { \
            rig_turn(loop); \
            ck_assert_msg(clock_now().mono_ns < rig_deadline, "waited in vain for: %s", \
                          #condition); \
        } \
    } while (0)

/* Enough turns for anything that is on its way inside this process to arrive. */
__attribute__((unused)) static void rig_settle(struct loop *loop) {
    for (int i = 0; i < 20; i++)
        rig_turn(loop);
}

/* A listening socket on a free port of loopback; *at receives where. */
__attribute__((unused)) static int rig_listen(struct endpoint *at) {
    ck_assert(endpoint_parse(STR("127.0.0.1:0"), at));
    int fd = endpoint_listen(at, 64);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(endpoint_of_socket(fd, at), 0);
    return fd;
}

__attribute__((unused)) static uint16_t rig_port(const struct endpoint *at) {
    struct ip ip;
    uint16_t port = 0;
    ck_assert(endpoint_ip(at, &ip, &port));
    return port;
}

/* An address of loopback where nobody listens: bound, never listened on, so that nobody else
 * takes it. */
__attribute__((unused)) static int rig_deaf(struct endpoint *at) {
    ck_assert(endpoint_parse(STR("127.0.0.1:0"), at));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (const void *)&at->address, at->length), 0);
    ck_assert_int_eq(endpoint_of_socket(fd, at), 0);
    return fd;
}

__attribute__((unused)) static int rig_accept(struct loop *loop, int listen_fd) {
    int fd = -1;
    RUN_UNTIL(loop, (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

__attribute__((unused)) static void rig_send(struct loop *loop, int fd, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = -1;
        RUN_UNTIL(loop, (n = send(fd, bytes.at, bytes.n, MSG_NOSIGNAL)) >= 0 || errno != EAGAIN);
        ck_assert_int_gt(n, 0);
        bytes = str_skip(bytes, (size_t)n);
    }
}

/* The next bytes must be these. */
__attribute__((unused)) static void rig_expect(struct loop *loop, int fd, struct str bytes) {
    char got[16384];
    size_t at = 0;
    ck_assert_uint_le(bytes.n, sizeof(got));
    while (at < bytes.n) {
        ssize_t n = -1;
        RUN_UNTIL(loop,
                  (n = recv(fd, got + at, bytes.n - at, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        ck_assert_msg(n > 0, "ended after '%.*s'", (int)at, got);
        at += (size_t)n;
        ck_assert_msg(memcmp(got, bytes.at, at) == 0, "got '%.*s'", (int)at, got);
    }
}

/* Nothing but the end must come: 0 a FIN, else the errno. */
__attribute__((unused)) static int rig_expect_end(struct loop *loop, int fd) {
    char byte;
    ssize_t n = -1;
    RUN_UNTIL(loop, (n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    ck_assert_msg(n <= 0, "a byte came: %d", byte);
    return n == 0 ? 0 : errno;
}

/* Close with RST. */
__attribute__((unused)) static void rig_reset(int fd) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* main of a test program: one suite with one case. */
__attribute__((unused)) static int rig_main(const char *name, const TTest *const *tests, size_t n) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#define RIG_MAIN(name, ...) \
    int main(void) { \
        const TTest *const tests[] = {__VA_ARGS__}; \
        return rig_main((name), tests, sizeof(tests) / sizeof(tests[0])); \
    }
