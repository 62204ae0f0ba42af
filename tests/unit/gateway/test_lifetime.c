/* SPDX-License-Identifier: MIT */
/* An exchange's birth and its end, whoever ends it. */
#include "gateway/lifetime.h"

#include "rig.h"

static struct stage s;

static const char *metrics_text(void) {
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(s.metrics, &text), 0);
    const char *copy = TEXT(&s, STR_FMT, STR_ARG(buffer_bytes(&text)));
    buffer_release(&text);
    return copy;
}

static bool is_hex(const char *id) {
    return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

START_TEST(a_good_request_id_is_kept) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x", "X-Request-Id: abc-DEF_0.9\r\n"));
    ck_assert_str_eq(SEEN(&s, "X-Request-Id"), "abc-DEF_0.9");
    ck_assert_str_eq(FIELD(&s, "X-Request-Id"), "abc-DEF_0.9");
    refuse(&s, GET(&s, "/none", "X-Request-Id: abc-DEF_0.9\r\n"));
    ck_assert_str_eq(FIELD(&s, "X-Request-Id"), "abc-DEF_0.9");
    stage_close(&s);
}
END_TEST

START_TEST(any_other_request_id_is_made_here) {
    stage_open(&s, "");
    static const char *const bad[] = {"short", "has space in it", "quote\"quote",
                                      "sl/ash/es/are/bad", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "X-Request-Id: %s\r\n", bad[i])));
        ck_assert_msg(is_hex(SEEN(&s, "X-Request-Id")), "%s", SEEN(&s, "X-Request-Id"));
        ck_assert_str_eq(FIELD(&s, "X-Request-Id"), SEEN(&s, "X-Request-Id"));
    }
    const char *one = SEEN(&s, "X-Request-Id");
    pass(&s, GET(&s, "/rest/v1/x", TEXT(&s, "X-Request-Id: %065d\r\n", 1)));
    ck_assert(is_hex(SEEN(&s, "X-Request-Id")));
    ck_assert_str_ne(SEEN(&s, "X-Request-Id"), one);
    stage_close(&s);
}
END_TEST

START_TEST(random_ids_do_not_repeat_when_their_lot_is_used_up) {
    stage_open(&s, "");
    const char *ids[100];
    for (size_t i = 0; i < 100; i++) {
        refuse(&s, GET(&s, "/none", ""));
        ids[i] = FIELD(&s, "X-Request-Id");
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(ids[i], ids[j]);
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_upstream_call_with_it) {
    stage_open(&s, "");
    int client = ask(&s, GET(&s, "/rest/v1/x", "")),
        upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    close(client);
    rig_expect_end(s.loop, upstream);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 0);
    ck_assert_ptr_nonnull(
        strstr(metrics_text(), "jotgate_requests_total{route=\"/rest/v1\",class=\"left\"} 1\n"));
    close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_client_that_leaves_within_its_body_leaves_no_whole_request) {
    stage_open(&s, "");
    int client = ask(
        &s,
        "POST /rest/v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    int upstream = rig_accept(s.loop, s.upstream_listener);
    see_head(&s, upstream);
    rig_settle(s.loop);
    close(client);
    read_body(&s, upstream, FRAMING_CHUNKED, &s.seen);
    ck_assert(!s.seen.is_whole);
    close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(a_client_that_leaves_within_the_answer_stops_it) {
    stage_open(&s, "");
    int client = ask(&s, GET(&s, "/rest/v1/x", "")),
        upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(s.loop, upstream,
             STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
    ck_assert_int_eq(hear_head(&s, client), 200);
    rig_reset(client);
    rig_expect_end(s.loop, upstream);
    ck_assert_ptr_nonnull(
        strstr(metrics_text(), "jotgate_requests_total{route=\"/rest/v1\",class=\"2xx\"} 1\n"));
    close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(every_end_is_counted_once) {
    stage_open(&s, "");
    pass(&s, GET(&s, "/rest/v1/x", ""));
    refuse(&s, GET(&s, "/none", ""));
    refuse(&s, "nonsense\r\n\r\n");
    pass_with(&s, GET(&s, "/rest/v1/x", ""), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    rig_settle(s.loop);
    const char *text = metrics_text();
    ck_assert_ptr_nonnull(strstr(text, "jotgate_request_seconds_count 4\n"));
    ck_assert_ptr_nonnull(strstr(text, "jotgate_upstream_seconds_count 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "jotgate_refusals_total{verdict=\"no_route\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "jotgate_refusals_total{verdict=\"bad_request\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "jotgate_refusals_total{verdict=\"upstream_broken\"} 1\n"));
    stage_close(&s);
}
END_TEST

START_TEST(what_is_open_when_the_gateway_goes_is_cut) {
    stage_open(&s, "");
    int client = ask(&s, GET(&s, "/rest/v1/x", "")),
        upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(s.loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
    ck_assert_int_eq(hear_head(&s, client), 200);
    stage_close(&s);
    char byte[8];
    ssize_t n;
    while ((n = recv(client, byte, sizeof(byte), 0)) > 0)
        continue;
    ck_assert_int_eq(n, -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(client), close(upstream);
}
END_TEST

SUITE_MAIN("gateway/lifetime", a_good_request_id_is_kept, any_other_request_id_is_made_here,
           random_ids_do_not_repeat_when_their_lot_is_used_up,
           a_client_that_leaves_takes_its_upstream_call_with_it,
           a_client_that_leaves_within_its_body_leaves_no_whole_request,
           a_client_that_leaves_within_the_answer_stops_it, every_end_is_counted_once,
           what_is_open_when_the_gateway_goes_is_cut)
