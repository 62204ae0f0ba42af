/* SPDX-License-Identifier: MIT */
#pragma once
/* Settings for gateways that run in threads of their own, and a blocking client to talk to them: everything on unix sockets and
 * free ports of loopback. Waiting is polling, bounded. */
#include "base/arena.h"
#include "base/log.h"
#include "io/endpoint.h"
#include "settings/settings.h"
#include "suite.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_NS (20 * NS_PER_S)
#define WAIT_FOR(condition) \
    do { \
        int64_t wait_deadline = clock_now().mono_ns + PATIENCE_NS; \
        while (!(condition)) { \
            sched_yield(); \
            ck_assert_msg(clock_now().mono_ns < wait_deadline, "waited in vain for: %s", \
                          #condition); \
        } \
    } while (0)

struct place {
    char folder[64], listen[96], keys[96];
    int upstream; /* listens; nobody accepts unless the test does */
    uint16_t upstream_port;
    struct endpoint at;
};

static inline void place_report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

static inline void place_open(struct place *p) {
    struct endpoint at;
    struct ip ip;
    unsetenv("FLY_APP_NAME");
    unsetenv("LIMITS");
    snprintf(p->folder, sizeof(p->folder), "/tmp/jotgate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(p->folder));
    snprintf(p->listen, sizeof(p->listen), "unix:%s/public", p->folder);
    snprintf(p->keys, sizeof(p->keys), "%s/keys", p->folder);
    ck_assert(endpoint_parse(str_of(p->listen), &p->at));
    ck_assert(endpoint_parse(STR("127.0.0.1:0"), &at));
    p->upstream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(p->upstream, (const struct sockaddr *)&at.address, at.length), 0);
    ck_assert_int_eq(listen(p->upstream, 16), 0);
    ck_assert_int_eq(endpoint_of_socket(p->upstream, &at), 0);
    ck_assert(endpoint_ip(&at, &ip, &p->upstream_port));
}

static inline void place_close(struct place *p) {
    char path[96];
    close(p->upstream);
    snprintf(path, sizeof(path), "%s/public", p->folder);
    unlink(path);
    unlink(p->keys);
    ck_assert_int_eq(rmdir(p->folder), 0);
}

static inline void place_write_keys(const struct place *p, const char *jwk) {
    FILE *file = fopen(p->keys, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "{\"keys\":[%s]}", jwk);
    ck_assert_int_eq(fclose(file), 0);
}

/* Keys come from a file; `yaml`: more sections. */
static inline struct settings *place_settings(const struct place *p, const char *yaml) {
    struct settings *settings = NULL;
    char text[2048];
    snprintf(text, sizeof(text),
             "listen: \"%s\"\nsupabase: { url: \"http://127.0.0.1:%u\" }\n"
             "issuers: [ { name: main, issuer: https://id.test, jwks_file: \"%s\" } ]\n%s",
             p->listen, p->upstream_port, p->keys, yaml);
    ck_assert_int_eq(settings_parse(&settings, str_of(text), "test", place_report, NULL), 0);
    return settings;
}

/* A socket that connected, or -1. It waits for nothing longer than PATIENCE. */
static inline int place_connect(const struct endpoint *at) {
    struct timeval patience = {PATIENCE_NS / NS_PER_S, 0};
    int fd = socket(at->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&at->address, at->length) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Everything until the end of the stream. */
static inline void place_hear(int fd, char *answer, size_t size) {
    size_t n = 0;
    ssize_t got;
    while (n < size - 1 && (got = recv(fd, answer + n, size - 1 - n, 0)) > 0)
        n += (size_t)got;
    answer[n] = '\0';
}

/* One GET on a connection of its own; the status, 0 without an answer. */
static inline int place_get(const struct endpoint *at, const char *path, const char *fields,
                            char *answer, size_t size) {
    char request[2048];
    int fd = place_connect(at);
    if (fd < 0)
        return 0;
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", path, fields);
    ck_assert_int_eq(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    place_hear(fd, answer, size);
    close(fd);
    return strncmp(answer, "HTTP/1.1 ", 9) == 0
               ? (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + answer[11] - '0'
               : 0;
}
