/* SPDX-License-Identifier: MIT */
/* Two pumps, each as fast as its slower side: bodies both ways, and how they break. */
#include "gateway/relay.h"

#include "rig.h"

static struct stage s;

#define API(settings) \
    "routes: [ { path: /api, access: open, upstream: \"${UPSTREAM}\"" settings " } ]\n"
#define CHUNKED_POST "POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* A request at /rest/v1/x that an upstream now holds. */
static int forwarded(const char *request, int *client) {
    *client = ask(&s, request);
    int upstream = rig_accept(s.loop, s.upstream_listener);
    see_head(&s, upstream);
    return upstream;
}

static void send_text(int fd, const char *text) { rig_send(s.loop, fd, str_of(text)); }

/* ---- answers */

START_TEST(an_answer_arrives_as_it_was_given) {
    stage_open(&s, "");
    ck_assert_int_eq(
        pass_with(&s, GET(&s, "/rest/v1/x", ""),
                  "HTTP/1.1 206 Some Of It\r\nContent-Range: 0-1/9\r\nSet-Cookie: a\r\nset-cookie: "
                  "b\r\nX-Empty:\r\n"
                  "Content-Length: 2\r\nDate: then\r\nServer: me\r\nConnection: close\r\n\r\nhi"),
        206);
    ck_assert(str_eq(s.answer.head.reason, STR("Some Of It")));
    ck_assert_str_eq(FIELD(&s, "Set-Cookie"), "a|b");
    ck_assert_str_eq(FIELD(&s, "X-Empty"), "");
    ck_assert_str_eq(FIELD(&s, "Content-Length"), "2");
    ck_assert_str_eq(FIELD(&s, "Date"), "then");
    ck_assert_str_eq(FIELD(&s, "Server"), "me");
    ck_assert_ptr_null(FIELD(&s, "Connection"));
    ck_assert_str_eq(BODY(&s), "hi");
    stage_close(&s);
}
END_TEST

START_TEST(chunks_and_bodies_until_the_close_come_chunked) {
    stage_open(&s, "");
    pass_with(&s, GET(&s, "/rest/v1/x", ""),
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
              "chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n");
    ck_assert_str_eq(FIELD(&s, "Transfer-Encoding"), "chunked");
    ck_assert_ptr_null(FIELD(&s, "Content-Length"));
    ck_assert(s.answer.is_whole);
    ck_assert_str_eq(BODY(&s), "abc");
    pass_with(&s, GET(&s, "/rest/v1/x", ""), "HTTP/1.1 200 OK\r\n\r\nall of it");
    ck_assert_str_eq(FIELD(&s, "Transfer-Encoding"), "chunked");
    ck_assert(s.answer.is_whole);
    ck_assert_str_eq(BODY(&s), "all of it");
    stage_close(&s);
}
END_TEST

START_TEST(an_old_client_gets_a_body_until_the_close) {
    stage_open(&s, "");
    pass_with(&s, "GET /rest/v1/x HTTP/1.0\r\n\r\n",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    ck_assert_ptr_null(FIELD(&s, "Transfer-Encoding"));
    ck_assert_str_eq(BODY(&s), "abc");
    stage_close(&s);
}
END_TEST

START_TEST(answers_without_a_body_keep_the_length_that_they_name) {
    stage_open(&s, "");
    int client, upstream = forwarded("HEAD /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n", &client);
    send_text(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n");
    ck_assert_int_eq(hear_head(&s, client), 200);
    ck_assert_str_eq(FIELD(&s, "Content-Length"), "4711");
    send_text(client, GET(&s, "/rest/v1/y", "")); /* no byte of a body stands between them */
    see(&s, upstream);
    send_text(upstream, "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: \"x\"\r\n\r\n");
    ck_assert_int_eq(hear(&s, client), 304);
    ck_assert_str_eq(FIELD(&s, "Content-Length"), "12");
    send_text(client, GET(&s, "/rest/v1/z", ""));
    see(&s, upstream);
    send_text(upstream, "HTTP/1.1 204 No Content\r\n\r\n");
    ck_assert_int_eq(hear(&s, client), 204);
    ck_assert_ptr_null(FIELD(&s, "Content-Length"));
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(what_fly_would_obey_is_stripped) {
    stage_open(&s, "");
    pass_with(
        &s, GET(&s, "/functions/v1/x", ""),
        "HTTP/1.1 200 OK\r\nfly-replay: app=evil\r\nFly_Replay_Cache: x\r\nFly-Anything: y\r\n"
        "Content-Type: application/vnd.fly.replay+json\r\nX-Mine: 1\r\nContent-Length: 0\r\n\r\n");
    ck_assert_ptr_null(FIELD(&s, "fly-replay"));
    ck_assert_ptr_null(FIELD(&s, "fly_replay_cache"));
    ck_assert_ptr_null(FIELD(&s, "fly-anything"));
    ck_assert_ptr_null(FIELD(&s, "Content-Type"));
    ck_assert_str_eq(FIELD(&s, "X-Mine"), "1");
    stage_close(&s);
}
END_TEST

START_TEST(an_upstreams_hop_by_hop_fields_end_here) {
    stage_open(&s, "");
    pass_with(&s, GET(&s, "/rest/v1/x", ""),
              "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
              "timeout=1\r\nProxy-Authenticate: Basic\r\n"
              "X-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n");
    ck_assert_ptr_null(FIELD(&s, "X-Hop"));
    ck_assert_ptr_null(FIELD(&s, "Keep-Alive"));
    ck_assert_ptr_null(FIELD(&s, "Proxy-Authenticate"));
    ck_assert_str_eq(FIELD(&s, "X-Request-Id"), SEEN(&s, "X-Request-Id"));
    stage_close(&s);
}
END_TEST

START_TEST(a_body_that_breaks_off_is_cut_never_ended) {
    static const char *const broken[][2] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "zz\r\n"},
    };
    stage_open(&s, "");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        int client, upstream = forwarded(GET(&s, "/rest/v1/x", ""), &client);
        send_text(upstream, broken[i][0]);
        ck_assert_int_eq(hear_head(&s, client), 200);
        send_text(upstream, broken[i][1]);
        close(upstream);
        read_body(&s, client, s.answer.head.framing, &s.answer);
        ck_assert(!s.answer.is_whole);
        ck_assert_int_eq(s.answer.broken, ECONNRESET);
        close(client);
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_body_that_breaks_with_its_head_is_told_as_it_is) {
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        stage_open(&s, "");
        ck_assert_int_eq(pass_with(&s, GET(&s, "/rest/v1/x", ""), answers[i]), 502);
        ASSERT_SAYS(&s, "code", "upstream_broken");
        stage_close(&s);
    }
}
END_TEST

START_TEST(a_body_that_stalls_is_cut) {
    stage_open(&s, API(", timeouts: { idle: 30ms }"));
    int client, upstream = forwarded(GET(&s, "/api", ""), &client);
    send_text(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    ck_assert_int_eq(hear(&s, client), 200);
    ck_assert(!s.answer.is_whole);
    ck_assert_int_eq(rig_expect_end(s.loop, upstream), 0);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

/* ---- requests */

START_TEST(a_body_that_grows_beyond_the_routes_is_413) {
    stage_open(&s, API(", max_body: 8"));
    int client, upstream = forwarded(CHUNKED_POST "8\r\n12345678\r\n", &client);
    rig_settle(s.loop);
    send_text(client, "1\r\n9\r\n");
    ck_assert_int_eq(hear(&s, client), 413);
    ASSERT_SAYS(&s, "code", "payload_too_large");
    read_body(&s, upstream, FRAMING_CHUNKED, &s.seen);
    ck_assert(!s.seen.is_whole);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_malformed_body_is_400_and_never_whole_upstream) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(CHUNKED_POST "3\r\nabc\r\nzz\r\n", &client);
    ck_assert_int_eq(hear(&s, client), 400);
    ck_assert_str_eq(FIELD(&s, "Connection"), "close");
    read_body(&s, upstream, FRAMING_CHUNKED, &s.seen);
    ck_assert(!s.seen.is_whole);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_body_that_does_not_come_is_408) {
    stage_open(&s, "http: { body_timeout: 30ms }\n");
    int client,
        upstream = forwarded("POST /rest/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
                             &client);
    ck_assert_int_eq(hear(&s, client), 408);
    read_body(&s, upstream, FRAMING_LENGTH, &s.seen);
    ck_assert(!s.seen.is_whole);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

#define EXPECTING \
    "POST /api HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static bool nothing_comes(int fd) {
    char byte;
    rig_settle(s.loop);
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

START_TEST(a_client_is_told_to_continue_when_the_upstream_says_so) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(EXPECTING, &client);
    ck_assert(nothing_comes(client));
    send_text(upstream, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
    ck_assert(nothing_comes(client));
    send_text(upstream, CONTINUE CONTINUE);
    rig_expect(s.loop, client, STR(CONTINUE));
    ck_assert(nothing_comes(client));
    ck_assert(nothing_comes(upstream));
    send_text(client, "ok");
    rig_expect(s.loop, upstream, STR("ok"));
    send_text(upstream, OK_HI);
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_that_refuses_the_body_is_never_sent_it) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(EXPECTING, &client);
    send_text(upstream, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    ck_assert_int_eq(hear(&s, client), 413);
    ck_assert_str_eq(BODY(&s), "no");
    ck_assert_str_eq(FIELD(&s, "Connection"), "close"); /* "ok" may follow, or the next request */
    rig_expect_end(s.loop, upstream);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_silent_upstream_is_sent_the_body_after_a_second) {
    stage_open(&s,
               API("") "http: { body_timeout: 300ms }\n"); /* the client is not late meanwhile */
    int client, upstream = forwarded(EXPECTING, &client);
    rig_expect(s.loop, client, STR(CONTINUE));
    send_text(client, "ok");
    rig_expect(s.loop, upstream, STR("ok"));
    send_text(upstream, CONTINUE OK_HI); /* too late to be of use */
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_client_that_does_not_wait_is_not_told_to_continue) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(EXPECTING "o", &client);
    rig_expect(s.loop, upstream, STR("o"));
    send_text(upstream, CONTINUE);
    ck_assert(nothing_comes(client));
    send_text(client, "k");
    rig_expect(s.loop, upstream, STR("k"));
    send_text(upstream, OK_HI);
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_of_old_is_not_waited_for) {
    stage_open(&s, API(""));
    ck_assert_int_eq(pass_with(&s, GET(&s, "/api", ""), "HTTP/1.0 200 OK\r\n\r\nold"), 200);
    int client, upstream = forwarded(EXPECTING, &client);
    int64_t began_ns = clock_now().mono_ns;
    rig_expect(s.loop, client, STR(CONTINUE));
    ck_assert_int_lt(clock_now().mono_ns - began_ns, NS_PER_S);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_may_answer_before_it_has_heard_all) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(CHUNKED_POST "3\r\nabc\r\n", &client);
    send_text(upstream, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    ck_assert_int_eq(hear(&s, client), 403);
    ck_assert_str_eq(BODY(&s), "no");
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(both_directions_run_at_once) {
    stage_open(&s, API(""));
    int client, upstream = forwarded(CHUNKED_POST "1\r\na\r\n", &client);
    send_text(upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n");
    ck_assert_int_eq(hear_head(&s, client), 200);
    rig_expect(s.loop, client, STR("1\r\nA\r\n"));
    rig_expect(s.loop, upstream, STR("1\r\na\r\n"));
    send_text(client, "1\r\nb\r\n0\r\n\r\n");
    rig_expect(s.loop, upstream, STR("1\r\nb\r\n0\r\n\r\n"));
    send_text(upstream, "1\r\nB\r\n0\r\n\r\n");
    rig_expect(s.loop, client, STR("1\r\nB\r\n0\r\n\r\n"));
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

/* ---- back-pressure */

#define LARGE ((size_t)64 << 20) /* more than the kernel holds on both of its connections */

/* Sends until the gateway takes no more, or everything went. */
static size_t fill(int fd, size_t n) {
    static const char block[65536];
    size_t sent = 0;
    for (int idle = 0; sent < n && idle < 50;) {
        ssize_t m = send(fd, block, n - sent < sizeof(block) ? n - sent : sizeof(block),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        idle = m > 0 ? 0 : idle + 1;
        sent += m > 0 ? (size_t)m : 0;
        rig_turn(s.loop);
    }
    return sent;
}

static void drain(int from, int to, size_t sent) {
    char block[65536];
    for (size_t received = 0; received < LARGE;) {
        ssize_t n = recv(from, block, sizeof(block), MSG_DONTWAIT);
        received += n > 0 ? (size_t)n : 0;
        ck_assert(n != 0);
        sent += sent < LARGE ? fill(to, LARGE - sent) : 0;
        rig_turn(s.loop);
    }
}

START_TEST(a_client_that_reads_slowly_slows_the_upstream) {
    stage_open(&s, "");
    int client, upstream = forwarded(GET(&s, "/rest/v1/x", ""), &client);
    send_text(upstream, TEXT(&s, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", LARGE));
    ck_assert_int_eq(hear_head(&s, client), 200);
    size_t sent = fill(upstream, LARGE);
    ck_assert_uint_lt(sent, LARGE);
    drain(client, upstream, sent);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(an_upstream_that_reads_slowly_slows_the_client) {
    stage_open(&s, "");
    int client,
        upstream = forwarded(
            TEXT(&s, "POST /rest/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", LARGE),
            &client);
    size_t sent = fill(client, LARGE);
    ck_assert_uint_lt(sent, LARGE);
    drain(upstream, client, sent);
    send_text(upstream, OK_HI);
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

/* ---- repetition */

START_TEST(only_what_may_be_repeated_is_sent_again) {
    stage_open(&s, "");
    int client, upstream = forwarded(GET(&s, "/rest/v1/1", ""), &client);
    send_text(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(hear(&s, client), 200);
    send_text(client, GET(&s, "/rest/v1/2", "")); /* on the kept connection, which dies of it */
    see(&s, upstream);
    close(upstream);
    upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    ck_assert_str_eq(seen_line(&s), "GET /rest/v1/2");
    send_text(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(hear(&s, client), 200);
    send_text(client, "POST /rest/v1/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    see(&s, upstream);
    close(upstream);
    ck_assert_int_eq(hear(&s, client), 502);
    ck_assert(!reached_upstream(&s));
    close(client);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/relay", an_answer_arrives_as_it_was_given,
           chunks_and_bodies_until_the_close_come_chunked,
           an_old_client_gets_a_body_until_the_close,
           answers_without_a_body_keep_the_length_that_they_name, what_fly_would_obey_is_stripped,
           an_upstreams_hop_by_hop_fields_end_here, a_body_that_breaks_off_is_cut_never_ended,
           a_body_that_breaks_with_its_head_is_told_as_it_is, a_body_that_stalls_is_cut,
           a_body_that_grows_beyond_the_routes_is_413,
           a_malformed_body_is_400_and_never_whole_upstream, a_body_that_does_not_come_is_408,
           a_client_is_told_to_continue_when_the_upstream_says_so,
           an_upstream_that_refuses_the_body_is_never_sent_it,
           a_silent_upstream_is_sent_the_body_after_a_second,
           a_client_that_does_not_wait_is_not_told_to_continue,
           an_upstream_of_old_is_not_waited_for, an_upstream_may_answer_before_it_has_heard_all,
           both_directions_run_at_once, a_client_that_reads_slowly_slows_the_upstream,
           an_upstream_that_reads_slowly_slows_the_client, only_what_may_be_repeated_is_sent_again)
