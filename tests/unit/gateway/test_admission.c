/* SPDX-License-Identifier: MIT */
/* How many requests may be under way at once, and that each one's place is given back. */
#include "gateway/admission.h"

#include "rig.h"

static struct stage s;

#define OPEN    "routes: [ { path: /open, access: open, upstream: \"${UPSTREAM}\", limits: [] } ]\n"
#define REQUEST "GET /open HTTP/1.1\r\nHost: h\r\n\r\n"

/* A request that is under way: the upstream has it, and has not answered. */
static int begin(int *upstream) {
    int fd = join(&s);
    rig_send(s.loop, fd, STR(REQUEST));
    *upstream = rig_accept(s.loop, s.upstream_listener);
    return fd;
}

static int status_of(const char *request) {
    int fd = join(&s);
    rig_send(s.loop, fd, str_of(request));
    int status = hear(&s, fd);
    close(fd);
    return status;
}

START_TEST(who_comes_when_all_places_are_taken_is_told_so_at_once) {
    stage_open(&s, "http: { max_requests: 2 }\n" OPEN);
    int up[2], fd[2] = {begin(&up[0]), begin(&up[1])};
    ck_assert_int_eq(status_of(REQUEST), 503);
    ck_assert_ptr_nonnull(
        strstr(TEXT(&s, STR_FMT, STR_ARG(buffer_bytes(&s.answer.body))), "\"overloaded\""));
    close(up[0]);
    ck_assert_int_eq(hear(&s, fd[0]), 502);
    int more_up, more = begin(&more_up);
    ck_assert_int_eq(status_of(REQUEST), 503);
    close(fd[0]), close(fd[1]), close(more), close(up[1]), close(more_up);
    stage_close(&s);
}
END_TEST

START_TEST(a_client_that_leaves_gives_its_place_back) {
    stage_open(&s, "http: { max_requests: 1, max_requests_per_ip: 1 }\n" OPEN);
    for (int i = 0; i < 3; i++) {
        int upstream, fd = begin(&upstream);
        close(fd);
        RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
        close(upstream);
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_client_may_have_so_many_under_way_and_no_more) {
    stage_open(&s, "http: { max_requests_per_ip: 1 }\n" OPEN);
    int upstream, fd = begin(&upstream);
    ck_assert_int_eq(status_of(REQUEST), 429);
    ck_assert_ptr_nonnull(
        strstr(TEXT(&s, STR_FMT, STR_ARG(buffer_bytes(&s.answer.body))), "\"too_many_streams\""));
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"),
                     "\"http.max_requests_per_ip\";q=1;qu=\"concurrent-requests\"");
    ck_assert_str_eq(FIELD(&s, "RateLimit"), "\"http.max_requests_per_ip\";r=0");
    ck_assert_int_eq(
        status_of("GET /open/x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"), 429);
    close(upstream);
    ck_assert_int_eq(hear(&s, fd), 502);
    close(fd);
    fd = begin(&upstream);
    close(fd), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(clients_behind_a_proxy_are_told_apart) {
    stage_open(&s, "http: { max_requests_per_ip: 1 }\ntrust: { client_ip: { x-forwarded-for: 1 } "
                   "}\n" OPEN);
    int upstream[2], fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = join(&s);
        const char *request =
            TEXT(&s, "GET /open HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n", i);
        rig_send(s.loop, fd[i], str_of(request));
        upstream[i] = rig_accept(s.loop, s.upstream_listener);
        ck_assert_int_eq(status_of(request), 429);
    }
    for (int i = 0; i < 2; i++)
        close(fd[i]), close(upstream[i]);
    stage_close(&s);
}
END_TEST

START_TEST(health_is_seen_when_all_is_full) {
    stage_open(&s, "http: { max_requests: 1, max_requests_per_ip: 1 }\n" OPEN);
    int upstream, fd = begin(&upstream);
    ck_assert_int_eq(status_of(REQUEST), 503);
    ck_assert_int_eq(status_of("GET /_jotgate/health HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    close(fd), close(upstream);
    stage_close(&s);
}
END_TEST

/* supabase-js takes 4xx for the end of the session. */
START_TEST(a_session_refresh_is_never_refused_with_429) {
    stage_open(&s, "http: { max_requests_per_ip: 1 }\n" OPEN);
    int upstream, fd = begin(&upstream);
    ck_assert_int_eq(status_of("POST /auth/v1/token?grant_type=refresh_token HTTP/1.1\r\nHost: "
                               "h\r\nContent-Length: 0\r\n\r\n"),
                     503);
    ck_assert_int_eq(status_of("GET /auth/v1/user HTTP/1.1\r\nHost: h\r\n\r\n"), 429);
    close(fd), close(upstream);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/admission", who_comes_when_all_places_are_taken_is_told_so_at_once,
           a_client_that_leaves_gives_its_place_back,
           a_client_may_have_so_many_under_way_and_no_more, clients_behind_a_proxy_are_told_apart,
           health_is_seen_when_all_is_full, a_session_refresh_is_never_refused_with_429)
