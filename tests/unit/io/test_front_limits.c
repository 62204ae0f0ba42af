/* SPDX-License-Identifier: MIT */
/* Deadlines, limits, the drain. */
#include "front_stage.h"
#include <linux/filter.h>
#include <poll.h>

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

static void let_pass(struct stage *s, int64_t ns) {
    struct timer timer = {0};
    loop_timer_set(s->loop, &timer, loop_now(s->loop)->mono_ns + ns, have_rung);
    RUN_UNTIL(s->loop, !timer_is_set(&timer));
}

#define SLOW "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"

/* Each byte comes well before the patience is used up, and earns next to nothing. */
START_TEST(body_that_trickles_is_late) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.body_ns = 100 * NS_PER_MS;
    limits.body_rate = 1000000;
    struct stage s;
    open_stage(&s, &limits);
    int fd = join_and_say(&s, SLOW);
    int n = 0;
    for (; s.n_done == 0; n++) {
        ck_assert_int_lt(n, 1000);
        rig_send(s.loop, fd, STR("x"));
        let_pass(&s, 10 * NS_PER_MS);
    }
    EXPECT(&s, fd, "HTTP/1.1 408 Request Timeout\r\n");
    close(fd);
    close_stage(&s);
}
END_TEST

START_TEST(body_that_comes_fast_enough_may_take_long) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.body_ns = 2 * NS_PER_S;
    limits.body_rate = 1; /* each byte is worth a second */
    struct stage s;
    open_stage(&s, &limits);
    int fd = join_and_say(&s, SLOW);
    for (int i = 0; i < 50; i++) {
        rig_send(s.loop, fd, STR("x"));
        let_pass(&s, 50 * NS_PER_MS);
    }
    ck_assert_int_eq(s.n_done + s.n_gone, 0);
    close(fd);
    close_stage(&s);
}
END_TEST

START_TEST(whole_request_has_a_deadline_of_its_own) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.body_rate = 0;
    limits.request_ns = 50 * NS_PER_MS;
    struct stage s;
    open_stage(&s, &limits);
    int head = join_and_say(&s, "GET /a"), body = join_and_say(&s, SLOW);
    EXPECT(&s, head, "HTTP/1.1 408 Request Timeout\r\n");
    while (s.n_done < 2) {
        rig_send(s.loop, body, STR("x"));
        let_pass(&s, 5 * NS_PER_MS);
    }
    EXPECT(&s, body, "HTTP/1.1 408 Request Timeout\r\n");
    /* Once it is here, the answer may take its time. */
    s.play = hold;
    int fd = join_and_say(&s, GET("/b"));
    RUN_UNTIL(s.loop, s.client);
    let_pass(&s, 100 * NS_PER_MS);
    echo(&s, s.client);
    EXPECT(&s, fd, OK(7, "GET /b "));
    close(head), close(body), close(fd);
    close_stage(&s);
}
END_TEST

START_TEST(only_who_is_waited_for_can_be_late) {
    struct front_limits limits = hasty();
    struct stage s;
    open_stage(&s, &limits);
    s.play = hold;
    int fd = join_and_say(&s, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    RUN_UNTIL(s.loop, s.client);
    let_pass(&s, 100 * NS_PER_MS);
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

static struct str loopback_key(void) {
    static struct ip ip;
    ck_assert(ip_parse(STR("127.0.0.1"), &ip));
    return (struct str){(const char *)ip.bytes, sizeof(ip.bytes)};
}

/* This process holds both ends. */
static int socket_at_the_other_end(int fd) {
    struct sockaddr_in mine, peer;
    socklen_t n = sizeof(mine);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&mine, &n), 0);
    for (int other = 3; other < 64; other++) {
        n = sizeof(peer);
        if (other != fd && getpeername(other, (struct sockaddr *)&peer, &n) == 0 &&
            peer.sin_port == mine.sin_port)
            return other;
    }
    ck_abort_msg("nobody is at the other end");
    return -1;
}

START_TEST(connections_beyond_the_limit_are_refused) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 2;
    struct stage s;
    open_stage(&s, &limits);
    int one = join_and_say(&s, "GET"), two = join_and_say(&s, "GET");
    RUN_UNTIL(s.loop, front_count(s.front) == 2);
    rig_settle(s.loop);
    int three = join_and_say(&s, GET("/a"));
    EXPECT(&s, three, OVERLOADED);
    ck_assert_uint_eq(front_stats(s.front).n_refused_full, 1);
    ck_assert_uint_eq(front_stats(s.front).n_accepted, 2);
    ck_assert_uint_eq(front_stats(s.front).n_evicted, 0);
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

START_TEST(who_was_idle_longest_gives_way_to_a_newcomer) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 3;
    struct stage s;
    open_stage(&s, &limits);
    int busy = join_and_say(&s, "GET"), first = join_and_say(&s, GET("/1"));
    EXPECT(&s, first, OK(7, "GET /1 "));
    int second = join_and_say(&s, GET("/2"));
    EXPECT(&s, second, OK(7, "GET /2 "));
    rig_send(s.loop, first, STR(GET("/3"))); /* now the other one is idle longer */
    EXPECT(&s, first, OK(7, "GET /3 "));
    int newcomer = join_and_say(&s, GET("/4"));
    EXPECT(&s, newcomer, OK(7, "GET /4 "));
    EXPECT_FIN(&s, second);
    rig_send(s.loop, first, STR(GET("/5")));
    EXPECT(&s, first, OK(7, "GET /5 "));
    rig_send(s.loop, busy, STR(" /6 HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT(&s, busy, OK(7, "GET /6 "));
    ck_assert_uint_eq(front_count(s.front), 3);
    ck_assert_uint_eq(front_stats(s.front).n_evicted, 1);
    ck_assert_uint_eq(front_stats(s.front).n_refused_full, 0);
    ck_assert_int_eq(s.n_gone + s.n_malformed, 0);
    close(busy), close(first), close(second);
    leave(&s, newcomer);
    close_stage(&s);
}
END_TEST

/* Who sits there without a request cannot keep others out, though it never sent one. */
START_TEST(silent_connections_keep_nobody_out) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 2;
    struct stage s;
    int silent[5];
    open_stage(&s, &limits);
    for (int i = 0; i < 5; i++) {
        silent[i] = join(&s);
        RUN_UNTIL(s.loop, front_stats(s.front).n_accepted == (uint64_t)i + 1);
    }
    ck_assert_uint_eq(front_count(s.front), 2);
    for (int i = 0; i < 3; i++)
        EXPECT_FIN(&s, silent[i]);
    int fd = join_and_say(&s, GET("/a"));
    EXPECT(&s, fd, OK(7, "GET /a "));
    for (int i = 0; i < 5; i++)
        close(silent[i]);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

/* What it sent behind its first request has been read from the socket, and has not had its turn. */
START_TEST(who_has_pipelined_does_not_give_way) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 1;
    struct stage s;
    open_stage(&s, &limits);
    s.play = hold;
    int fd = join_and_say(&s, GET("/a") GET("/b"));
    RUN_UNTIL(s.loop, s.client);
    answer_with(&s, s.client, 200, STR("hi"));
    s.play = echo;
    EXPECT(&s, fd, OK(2, "hi"));
    int newcomer = join(&s); /* seen in the turn after the one in which the first answer has left */
    EXPECT(&s, fd, OK(7, "GET /b "));
    close(newcomer);
    leave(&s, fd);
    close_stage(&s);
}
END_TEST

/* Its request is in the socket, not yet read: closing would lose it. Both come up in one turn of the loop. */
START_TEST(who_has_just_asked_does_not_give_way) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections = 1;
    struct stage s;
    open_stage(&s, &limits);
    int fd = join_and_say(&s, GET("/a"));
    EXPECT(&s, fd, OK(7, "GET /a "));
    int newcomer = join(&s);
    rig_send(s.loop, fd, STR(GET("/b")));
    EXPECT(&s, fd, OK(7, "GET /b "));
    close(newcomer);
    leave(&s, fd);
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
    limits.peers = slots_new();
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
    ck_assert_uint_eq(front_stats(s.front).n_refused_per_ip, 3);
    ck_assert_uint_eq(front_stats(s.front).n_refused_full, 0);
    close_stage(&s);
    slots_free(limits.peers);
}
END_TEST

START_TEST(connections_of_one_peer_are_counted_over_all_fronts) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.n_connections_per_ip = 2;
    limits.peers = slots_new();
    struct stage s, t;
    open_stage(&s, &limits);
    open_stage(&t, &limits);
    int one = join_and_say(&s, GET("/a")), two = join_and_say(&t, GET("/b"));
    EXPECT(&s, one, OK(7, "GET /a "));
    EXPECT(&t, two, OK(7, "GET /b "));
    int three = join(&t);
    EXPECT(&t, three, OVERLOADED);
    close(three);
    leave(&s, one);
    three = join_and_say(&t, GET("/c"));
    EXPECT(&t, three, OK(7, "GET /c "));
    close(two);
    close_stage(&s);
    close_stage(&t); /* gives back what is still open */
    ck_assert_uint_eq(slots_in_use(limits.peers, loopback_key()), 0);
    close(three);
    slots_free(limits.peers);
}
END_TEST

/* Linux hands these on from the listening socket. */
START_TEST(vanished_clients_are_noticed_by_the_kernel) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    limits.write_ns = 7 * NS_PER_S;
    struct stage s;
    open_stage(&s, &limits);
    int fd = join(&s), value = 0;
    RUN_UNTIL(s.loop, front_count(s.front) == 1);
    int accepted = socket_at_the_other_end(fd);
    socklen_t n = sizeof(value);
    ck_assert_int_eq(getsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_KEEPIDLE, &value, &n), 0);
    ck_assert_int_eq(value, 60);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &n), 0);
    ck_assert_int_eq(value, 8000);
    leave(&s, fd);
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

/* Everything that comes for the socket is dropped, until ignore_nothing. */
static void ignore_all(int fd) {
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &code};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

static void ignore_nothing(int fd) {
    int unused = 0;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)), 0);
}

static void begin_to_connect(const struct stage *s, int fd) {
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&s->at.address, s->at.length), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
}

START_TEST(turning_away_lets_nobody_begin_and_everybody_end_a_handshake) {
    struct stage s;
    open_stage(&s, NULL);
    int under_way = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int newcomer = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ignore_all(
        under_way); /* the SYN has come; its answer gets lost, and is sent again after a second */
    begin_to_connect(&s, under_way);
    front_turn_away(s.front);
    ignore_nothing(under_way);
    begin_to_connect(&s, newcomer);
    RUN_UNTIL(s.loop, front_stats(s.front).n_accepted == 1);
    front_stop_listening(s.front);
    rig_send(s.loop, under_way, STR(GET("/a")));
    EXPECT(&s, under_way, OK_CLOSE(7, "GET /a "));
    struct pollfd refused = {.fd = newcomer, .events = POLLOUT};
    RUN_UNTIL(s.loop, poll(&refused, 1, 0) == 1);
    ck_assert_int_eq(refused.revents & POLLERR, POLLERR);
    close(newcomer);
    leave(&s, under_way);
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

START_TEST(other_deadlines_hold_for_who_is_there_already) {
    struct stage s;
    open_stage(&s, NULL);
    int used = join_and_say(&s, GET("/a")), fresh = join(&s);
    EXPECT(&s, used, OK(7, "GET /a "));
    RUN_UNTIL(s.loop, front_count(s.front) == 2);
    struct front_limits limits = hasty();
    front_set_limits(s.front, &limits);
    EXPECT_FIN(&s, used);
    EXPECT_FIN(&s, fresh);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    close(used);
    close(fresh);
    close_stage(&s);
}
END_TEST

START_TEST(fewer_connections_cut_nobody_and_keep_newcomers_out) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    struct stage s;
    open_stage(&s, NULL);
    s.play = hold;
    int one = join_and_say(&s, GET("/a"));
    RUN_UNTIL(s.loop, s.n_requests == 1);
    int two = join_and_say(&s, GET("/b"));
    RUN_UNTIL(s.loop, s.n_requests == 2);
    limits.n_connections = 1;
    front_set_limits(s.front, &limits);
    s.play = echo;
    int three = join_and_say(&s, GET("/c"));
    EXPECT(&s, three, "HTTP/1.1 503 Service Unavailable\r\n");
    close(three);
    ck_assert_uint_eq(front_count_requests(s.front), 2);
    answer_with(&s, s.client, 200, STR("late"));
    EXPECT(&s, two, OK(4, "late"));
    close(one);
    close(two);
    RUN_UNTIL(s.loop, front_count(s.front) == 0);
    close_stage(&s);
}
END_TEST

START_TEST(heads_are_read_by_the_limits_of_when_they_began) {
    struct front_limits limits = FRONT_LIMITS_DEFAULT;
    struct stage s;
    open_stage(&s, NULL);
    int fd = join_and_say(&s, "GET /a HTTP/1.1\r\nHost: h\r\n");
    rig_settle(s.loop);
    limits.head.n_fields = 1;
    front_set_limits(s.front, &limits);
    rig_send(s.loop, fd, STR("A: b\r\n\r\n"));
    EXPECT(&s, fd, OK(7, "GET /a "));
    rig_send(s.loop, fd, STR("GET /b HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"));
    EXPECT(&s, fd, "HTTP/1.1 431 ");
    close(fd);
    close_stage(&s);
}
END_TEST

RIG_MAIN("front_limits", head_that_comes_too_slowly_is_408, idle_connection_is_closed_in_silence,
         body_that_stops_is_late, body_that_trickles_is_late,
         body_that_comes_fast_enough_may_take_long, whole_request_has_a_deadline_of_its_own,
         only_who_is_waited_for_can_be_late, client_that_does_not_take_its_answer_is_gone,
         connections_beyond_the_limit_are_refused, who_was_idle_longest_gives_way_to_a_newcomer,
         silent_connections_keep_nobody_out, who_has_pipelined_does_not_give_way,
         who_has_just_asked_does_not_give_way, refusal_is_whole,
         connections_of_one_peer_are_limited, connections_of_one_peer_are_counted_over_all_fronts,
         vanished_clients_are_noticed_by_the_kernel,
         accepting_rests_when_descriptors_are_out_and_goes_on,
         draining_front_accepts_and_answers_with_close,
         stopping_serves_what_is_queued_and_closes_what_is_idle,
         turning_away_lets_nobody_begin_and_everybody_end_a_handshake,
         answer_that_promised_to_go_on_is_closed_after_the_stop,
         freeing_cuts_what_is_open_without_events, many_clients_at_once_are_served,
         peer_is_who_connected, other_deadlines_hold_for_who_is_there_already,
         fewer_connections_cut_nobody_and_keep_newcomers_out,
         heads_are_read_by_the_limits_of_when_they_began)
