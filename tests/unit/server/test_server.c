/* SPDX-License-Identifier: MIT */
/* The process: start, what a signal does, and why it cannot start. */
#include "server/server.h"

#include "process.h"
#include <pthread.h>
#include <signal.h>

static struct place place;
static struct settings *settings;
static struct server *server;
static char answer[8192], why[256];

#define NO_ADMIN "admin: \"\"\n"
#define AT_ONCE  NO_ADMIN "workers: 2\ndrain: { delay: 0s, timeout: 10s }\n"

static int start(const char *yaml) {
    ck_assert_int_eq(log_start(LOG_TEXT, LEVEL_ERROR), 0);
    place_open(&place);
    place_write_keys(&place, "");
    settings = place_settings(&place, yaml);
    return server_start(&server, settings, why);
}

static void end(void) {
    server_free(server);
    settings_unref(settings);
    place_close(&place);
    log_stop();
}

static int get(const char *path) { return place_get(&place.at, path, "", answer, sizeof(answer)); }

START_TEST(a_server_serves_until_a_signal) {
    ck_assert_msg(start(AT_ONCE) == 0, "%s", why);
    for (int i = 0; i < 10; i++) /* both workers hear of the socket that they share */
        ck_assert_int_eq(get("/_jotgate/health"), 200);
    kill(getpid(), SIGTERM);
    server_run(server);
    ck_assert_int_eq(get("/_jotgate/health"), 0);
    end();
}
END_TEST

static int taken_port(char address[32]) {
    struct endpoint at;
    ck_assert(endpoint_parse(STR("127.0.0.1:0"), &at));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at.address, at.length), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(endpoint_of_socket(fd, &at), 0);
    char text[128];
    endpoint_text(&at, text);
    snprintf(address, 32, "%s", text);
    return fd;
}

static void *run(void *arg) {
    server_run(server);
    return arg;
}

START_TEST(readiness_fails_first_and_accepting_goes_on_for_the_delay) {
    char address[32], yaml[128];
    struct endpoint admin;
    pthread_t thread;
    close(taken_port(address)); /* free again */
    ck_assert(endpoint_parse(str_of(address), &admin));
    snprintf(yaml, sizeof(yaml), "admin: \"%s\"\nworkers: 1\ndrain: { delay: 1h, timeout: 1h }\n",
             address);
    ck_assert_msg(start(yaml) == 0, "%s", why);
    ck_assert_int_eq(place_get(&admin, "/healthz", "", answer, sizeof(answer)), 200);
    kill(getpid(), SIGINT);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    WAIT_FOR(place_get(&admin, "/readyz", "", answer, sizeof(answer)) == 503 &&
             strstr(answer, "draining"));
    ck_assert_int_eq(get("/_jotgate/health"), 503);
    ck_assert_ptr_nonnull(strstr(answer, "Connection: close"));
    kill(getpid(), SIGTERM); /* it has been long enough */
    pthread_join(thread, NULL);
    end();
}
END_TEST

static int client, upstream;

static void open_request(void) {
    static const char request[] = "GET /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n";
    client = place_connect(&place.at);
    ck_assert_int_eq(send(client, request, strlen(request), 0), strlen(request));
    do /* the server also asks it for keys when the settings say so */
        upstream = accept(place.upstream, NULL, NULL);
    while (recv(upstream, answer, 16, 0) <= 0);
}

static void *answer_late(void *arg) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for (int fd; (fd = place_connect(&place.at)) >= 0; close(fd))
        sched_yield();
    ck_assert_int_eq(send(upstream, ok, strlen(ok), 0), strlen(ok));
    place_hear(client, answer, sizeof(answer));
    return arg;
}

START_TEST(requests_under_way_are_finished) {
    pthread_t thread;
    ck_assert_int_eq(start(AT_ONCE), 0);
    open_request();
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_late, NULL), 0);
    kill(getpid(), SIGTERM);
    server_run(server);
    pthread_join(thread, NULL);
    ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nhi"));
    close(client), close(upstream);
    end();
}
END_TEST

START_TEST(the_timeout_ends_what_does_not) {
    ck_assert_int_eq(start(NO_ADMIN "workers: 1\ndrain: { delay: 0s, timeout: 50ms }\n"), 0);
    open_request();
    kill(getpid(), SIGTERM);
    server_run(server);
    end();
    place_hear(client, answer, sizeof(answer));
    ck_assert_str_eq(answer, "");
    close(client), close(upstream);
}
END_TEST

START_TEST(a_second_signal_ends_it_at_once) {
    ck_assert_int_eq(start(NO_ADMIN "workers: 1\ndrain: { delay: 1h, timeout: 1h }\n"), 0);
    open_request();
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGINT);
    server_run(server);
    end();
    close(client), close(upstream);
}
END_TEST

/* ---- why it cannot start */

START_TEST(a_taken_address_is_named) {
    char address[32];
    int fd = taken_port(address);
    place_open(&place);
    snprintf(place.listen, sizeof(place.listen), "%s", address);
    settings = place_settings(&place, NO_ADMIN);
    ck_assert_int_eq(server_start(&server, settings, why), -EADDRINUSE);
    ck_assert_msg(strstr(why, address) && strstr(why, "PORT"), "%s", why);
    settings_unref(settings);
    close(fd);
    place_close(&place);
}
END_TEST

START_TEST(a_taken_admin_address_is_named) {
    char address[32], yaml[96];
    int fd = taken_port(address);
    snprintf(yaml, sizeof(yaml), "admin: \"%s\"\n", address);
    ck_assert_int_eq(start(yaml), -EADDRINUSE);
    ck_assert_msg(strstr(why, address) && strstr(why, "admin"), "%s", why);
    close(fd);
    server = NULL;
    end();
}
END_TEST

START_TEST(a_taken_unix_socket_is_not_taken_over) {
    place_open(&place);
    int fd = endpoint_listen(&place.at, 1);
    ck_assert_int_ge(fd, 0);
    settings = place_settings(&place, NO_ADMIN);
    ck_assert_int_eq(server_start(&server, settings, why), -EADDRINUSE);
    close(fd);
    settings_unref(settings);
    place_close(&place);
}
END_TEST

START_TEST(a_server_that_did_not_run_is_freed) {
    ck_assert_int_eq(start(AT_ONCE), 0);
    end();
    server_free(NULL);
}
END_TEST

START_TEST(there_is_at_least_one_core) { ck_assert_uint_ge(server_count_cores(), 1); }
END_TEST

SUITE_MAIN("server/server", a_server_serves_until_a_signal,
           readiness_fails_first_and_accepting_goes_on_for_the_delay,
           requests_under_way_are_finished, the_timeout_ends_what_does_not,
           a_second_signal_ends_it_at_once, a_taken_address_is_named,
           a_taken_admin_address_is_named, a_taken_unix_socket_is_not_taken_over,
           a_server_that_did_not_run_is_freed, there_is_at_least_one_core)
