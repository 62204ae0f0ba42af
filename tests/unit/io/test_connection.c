/* SPDX-License-Identifier: MIT */
/* A non-blocking byte stream, plain sockets (TLS: test_tls.c). The peer is played by the same
 * thread. */
#include "io/connection.h"
#include "rig.h"

struct end {
    struct connection connection;
    int n_events;
};

static void note(struct connection *c) { CONTAINER_OF(c, struct end, connection)->n_events++; }

/* An accepted connection on one end of a pair; the other end is the peer. */
static struct loop *open_pair(struct end *end, int *peer) {
    struct loop *loop = loop_new();
    int pair[2];
    ck_assert_ptr_nonnull(loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *end = (struct end){0};
    ck_assert_int_eq(connection_accept(&end->connection, loop, pair[0], NULL, note), 0);
    *peer = pair[1];
    return loop;
}

static ssize_t read_some(struct end *end, char *at, size_t n) {
    return connection_read(&end->connection, at, n);
}

static ssize_t write_text(struct end *end, const char *text) {
    struct iovec pieces[2] = {
        {.iov_base = (void *)(uintptr_t)text, .iov_len = 1},
        {.iov_base = (void *)(uintptr_t)(text + 1), .iov_len = strlen(text) - 1}};
    return connection_write(&end->connection, pieces, 2);
}

START_TEST(bytes_come_and_go) {
    struct end end;
    int peer;
    char got[64];
    struct loop *loop = open_pair(&end, &peer);
    rig_settle(loop);
    ck_assert_int_eq(end.n_events, 0); /* being writable is what it was from the start */
    ck_assert(!end.connection.can_read);
    rig_send(loop, peer, STR("hello"));
    RUN_UNTIL(loop, end.connection.can_read);
    ck_assert_int_eq(end.n_events, 1);
    ck_assert_int_eq(read_some(&end, got, sizeof(got)), 5);
    ck_assert_mem_eq(got, "hello", 5);
    ck_assert_int_eq(write_text(&end, "world"), 5);
    rig_expect(loop, peer, STR("world"));
    connection_close(&end.connection);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    connection_close(&end.connection);
    close(peer);
    loop_free(loop);
}
END_TEST

START_TEST(short_read_clears_can_read_and_new_bytes_set_it) {
    struct end end;
    int peer;
    char got[4];
    struct loop *loop = open_pair(&end, &peer);
    rig_send(loop, peer, STR("abcdef"));
    RUN_UNTIL(loop, end.connection.can_read);
    ck_assert_int_eq(read_some(&end, got, 4), 4);
    ck_assert(end.connection.can_read); /* a full read says nothing */
    ck_assert_int_eq(read_some(&end, got, 4), 2);
    ck_assert(!end.connection.can_read);
    ck_assert_int_eq(read_some(&end, got, 4), -EAGAIN);
    rig_send(loop, peer, STR("g"));
    RUN_UNTIL(loop, end.connection.can_read);
    ck_assert_int_eq(read_some(&end, got, 4), 1);
    connection_close(&end.connection);
    close(peer);
    loop_free(loop);
}
END_TEST

START_TEST(bytes_before_a_fin_are_read_and_then_the_end) {
    struct end end;
    int peer;
    char got[64];
    struct loop *loop = open_pair(&end, &peer);
    rig_send(loop, peer, STR("last words"));
    close(peer);
    RUN_UNTIL(loop, end.connection.peer_left);
    ck_assert_int_eq(read_some(&end, got, sizeof(got)), 10);
    ck_assert(end.connection.can_read); /* no edge will come for the end */
    ck_assert_int_eq(read_some(&end, got, sizeof(got)), 0);
    ck_assert(!end.connection.can_read);
    ck_assert_int_eq(end.connection.state, CONNECTION_OPEN);
    connection_close(&end.connection);
    loop_free(loop);
}
END_TEST

START_TEST(half_closed_peer_can_still_be_written_to) {
    struct end end;
    int peer;
    struct loop *loop = open_pair(&end, &peer);
    shutdown(peer, SHUT_WR);
    RUN_UNTIL(loop, end.connection.peer_left);
    ck_assert_int_eq(write_text(&end, "still here"), 10);
    rig_expect(loop, peer, STR("still here"));
    connection_end_write(&end.connection);
    ck_assert_int_eq(rig_expect_end(loop, peer), 0);
    connection_close(&end.connection);
    close(peer);
    loop_free(loop);
}
END_TEST

START_TEST(full_socket_clears_can_write_until_the_peer_reads) {
    struct end end;
    int peer;
    static char block[256 * 1024];
    struct loop *loop = open_pair(&end, &peer);
    struct iovec piece = {.iov_base = block, .iov_len = sizeof(block)};
    size_t written = 0;
    while (end.connection.can_write) {
        ssize_t n = connection_write(&end.connection, &piece, 1);
        written += n > 0 ? (size_t)n : 0;
    }
    ck_assert_int_eq(connection_write(&end.connection, &piece, 1), -EAGAIN);
    rig_settle(loop);
    ck_assert(!end.connection.can_write);
    for (ssize_t n; written > 0; written -= (size_t)n)
        ck_assert_int_gt(n = recv(peer, block, sizeof(block), MSG_DONTWAIT), 0);
    RUN_UNTIL(loop, end.connection.can_write);
    connection_close(&end.connection);
    close(peer);
    loop_free(loop);
}
END_TEST

START_TEST(writing_to_a_peer_that_left_fails_without_a_signal_and_what_it_said_is_readable) {
    struct end end;
    int peer;
    char got[64];
    struct loop *loop = open_pair(&end, &peer);
    rig_send(loop, peer, STR("go away"));
    close(peer);
    ck_assert_int_eq(write_text(&end, "too late"), -EPIPE);
    ck_assert(!end.connection.can_write);
    ck_assert_int_eq(read_some(&end, got, sizeof(got)), 7);
    connection_close(&end.connection);
    loop_free(loop);
}
END_TEST

/* ---- connecting */

static struct loop *start_connecting(struct end *end, const struct endpoint *to) {
    struct loop *loop = loop_new();
    *end = (struct end){0};
    ck_assert_int_eq(connection_connect(&end->connection, loop, to, NULL, STR_NONE, note), 0);
    ck_assert_int_eq(end->connection.state, CONNECTION_CONNECTING);
    ck_assert_int_eq(end->n_events, 0);
    return loop;
}

START_TEST(connect_to_a_listener_opens) {
    struct endpoint at;
    struct end end;
    int listener = rig_listen(&at);
    struct loop *loop = start_connecting(&end, &at);
    RUN_UNTIL(loop, end.connection.state == CONNECTION_OPEN);
    ck_assert(end.connection.can_write && !end.connection.can_read);
    int peer = rig_accept(loop, listener);
    ck_assert_int_eq(write_text(&end, "hi"), 2);
    rig_expect(loop, peer, STR("hi"));
    rig_reset(peer);
    RUN_UNTIL(loop, end.connection.peer_left);
    char byte;
    ck_assert_int_eq(read_some(&end, &byte, 1), -ECONNRESET);
    ck_assert_int_eq(end.connection.state, CONNECTION_FAILED);
    ck_assert_int_eq(read_some(&end, &byte, 1), -ECONNRESET);
    ck_assert_str_eq(end.connection.failure_text, "connection reset by peer");
    connection_close(&end.connection);
    close(listener);
    loop_free(loop);
}
END_TEST

START_TEST(refused_connect_comes_as_an_event) {
    struct endpoint at;
    struct end end;
    int deaf = rig_deaf(&at);
    struct loop *loop = start_connecting(&end, &at);
    RUN_UNTIL(loop, end.connection.state == CONNECTION_FAILED);
    ck_assert_int_eq(end.n_events, 1);
    ck_assert_int_eq(end.connection.failure, -ECONNREFUSED);
    ck_assert_str_eq(end.connection.failure_text, "connection refused");
    connection_close(&end.connection);
    close(deaf);
    loop_free(loop);
}
END_TEST

START_TEST(connect_that_fails_at_once_comes_as_an_event_too) {
    struct endpoint at;
    struct end end;
    ck_assert(endpoint_parse(STR("unix:/nonexistent/socket"), &at));
    struct loop *loop = start_connecting(&end, &at);
    RUN_UNTIL(loop, end.connection.state == CONNECTION_FAILED);
    ck_assert_int_eq(end.n_events, 1);
    ck_assert_int_eq(end.connection.failure, -ENOENT);
    connection_close(&end.connection);
    loop_free(loop);
}
END_TEST

START_TEST(closing_while_connecting_raises_nothing) {
    struct endpoint at;
    struct end end;
    int listener = rig_listen(&at);
    struct loop *loop = start_connecting(&end, &at);
    connection_close(&end.connection);
    rig_settle(loop);
    ck_assert_int_eq(end.n_events, 0);
    close(listener);
    loop_free(loop);
}
END_TEST

START_TEST(reset_reaches_the_peer_as_a_reset) {
    struct endpoint at;
    struct end end;
    int listener = rig_listen(&at);
    struct loop *loop = start_connecting(&end, &at);
    int peer = rig_accept(loop, listener);
    RUN_UNTIL(loop, end.connection.state == CONNECTION_OPEN);
    connection_reset(&end.connection);
    ck_assert_int_eq(rig_expect_end(loop, peer), ECONNRESET);
    close(peer);
    close(listener);
    loop_free(loop);
}
END_TEST

/* ---- reuse */

START_TEST(idle_connection_is_quiet_until_bytes_or_an_end_come) {
    struct end end;
    int peer;
    struct loop *loop = open_pair(&end, &peer);
    ck_assert(connection_is_quiet(&end.connection));
    rig_send(loop, peer, STR("x"));
    ck_assert(!connection_is_quiet(&end.connection)); /* also before the loop has told */
    char byte;
    ck_assert_int_eq(read_some(&end, &byte, 1), 1);
    ck_assert(connection_is_quiet(&end.connection));
    close(peer);
    ck_assert(!connection_is_quiet(&end.connection));
    connection_close(&end.connection);
    ck_assert(!connection_is_quiet(&end.connection));
    loop_free(loop);
}
END_TEST

RIG_MAIN("io/connection", bytes_come_and_go, short_read_clears_can_read_and_new_bytes_set_it,
         bytes_before_a_fin_are_read_and_then_the_end, half_closed_peer_can_still_be_written_to,
         full_socket_clears_can_write_until_the_peer_reads,
         writing_to_a_peer_that_left_fails_without_a_signal_and_what_it_said_is_readable,
         connect_to_a_listener_opens, refused_connect_comes_as_an_event,
         connect_that_fails_at_once_comes_as_an_event_too, closing_while_connecting_raises_nothing,
         reset_reaches_the_peer_as_a_reset, idle_connection_is_quiet_until_bytes_or_an_end_come)
