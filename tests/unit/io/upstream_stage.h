/* SPDX-License-Identifier: MIT */
#pragma once
/* A pool, a listening peer and an asker. Names are the test's own: "both" has an address where nobody listens (127.0.0.2) and
 * then one where the peer does. */
#include "asker.h"
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **list) {
    (void)service, (void)hints;
    const char *addresses[] = {"127.0.0.2", "127.0.0.1"};
    *list = NULL;
    for (int i = 1; i >= 0 && strcmp(name, "both") == 0; i--) {
        struct addrinfo *info = calloc(1, sizeof(*info));
        struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
        struct ip ip;
        ck_assert(ip_parse(str_of(addresses[i]), &ip));
        endpoint_of_ip(&ip, 0, endpoint);
        *info = (struct addrinfo){.ai_family = AF_INET,
                                  .ai_addr = (void *)endpoint,
                                  .ai_addrlen = endpoint->length,
                                  .ai_next = *list};
        *list = info;
    }
    return *list ? 0 : EAI_NONAME;
}
void freeaddrinfo(struct addrinfo *list) {
    for (struct addrinfo *next; list; list = next) {
        next = list->ai_next;
        free(list->ai_addr);
        free(list);
    }
}

/* ---- the stage */

#define GET          STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
#define POST         STR("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
#define POST_CHUNKED STR("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
#define OK_HELLO     STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

static struct loop *loop;
static struct resolver *resolver;
static struct upstream_pool *pool;
static int listener;
static struct endpoint at;
static struct origin origin;
static struct asker asker;

static const struct upstream_request get = {.framing = FRAMING_NONE,
                                            .is_idempotent = true,
                                            .connect_ns = 5 * NS_PER_S,
                                            .first_byte_ns = 20 * NS_PER_S,
                                            .idle_ns = 10 * NS_PER_S};

__attribute__((unused)) static void open_with(struct upstream_limits limits) {
    loop = loop_new();
    resolver = resolver_new();
    pool = upstream_pool_new(loop, resolver, NULL, &limits, &asker_events);
    ck_assert(loop && resolver && pool);
    listener = rig_listen(&at);
    origin = (struct origin){.host = STR("127.0.0.1"), .port = rig_port(&at)};
    asker = (struct asker){0};
}
__attribute__((unused)) static void open_all(void) { open_with(UPSTREAM_LIMITS_DEFAULT); }
__attribute__((unused)) static void close_all(void) {
    if (asker.call)
        asker_finish(&asker);
    upstream_pool_free(pool);
    rig_settle(loop); /* mail of cancelled lookups */
    loop_free(loop);
    resolver_free(resolver);
    close(listener);
}

__attribute__((unused)) static void start(struct upstream_request request, struct str head) {
    request.head = head;
    asker.call = upstream_start(pool, &origin, &request, &asker);
    ck_assert_ptr_nonnull(asker.call);
    ck_assert_int_eq(asker.n_head + asker.n_failed + asker.n_writable, 0); /* never from inside */
}
__attribute__((unused)) static void start_get(void) { start(get, GET); }
__attribute__((unused)) static void start_post(enum framing framing) {
    struct upstream_request post = get;
    post.is_idempotent = false;
    post.framing = framing;
    post.body_bytes = framing == FRAMING_LENGTH ? 5 : 0;
    start(post, framing == FRAMING_LENGTH ? POST : POST_CHUNKED);
}
__attribute__((unused)) static void send_all(struct str data) {
    while (data.n > 0) {
        asker.n_writable = 0;
        size_t n = upstream_write(asker.call, data);
        data = str_skip(data, n);
        if (data.n > 0)
            RUN_UNTIL(loop, asker.n_writable > 0 || asker.n_failed);
    }
}

/* A GET on a fresh line whose answer is `answer`; the peer's socket. */
__attribute__((unused)) static int ask_fresh(struct str answer) {
    start_get();
    int peer = rig_accept(loop, listener);
    rig_expect(loop, peer, GET);
    rig_send(loop, peer, answer);
    return peer;
}
/* A GET that goes well and leaves its line in the pool. */
__attribute__((unused)) static int leave_a_line(void) {
    int peer = ask_fresh(OK_HELLO);
    RUN_UNTIL(loop, asker_is_done(&asker));
    asker_finish(&asker);
    ck_assert_uint_eq(upstream_pool_stats(pool).n_idle, 1);
    return peer;
}
__attribute__((unused)) static bool nobody_connects(void) {
    rig_settle(loop);
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0;
}
