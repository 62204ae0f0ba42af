/* SPDX-License-Identifier: MIT */
/* Proves gateway/tunnel.h: bytes both ways, each side's end, and ours. */
#include "gateway/tunnel.h"

#include "socket_stage.h"

static struct stage s;

START_TEST(bytes_go_both_ways) {
    stage_open(&s, WS);
    struct pair pair = open_socket_with(&s, "/ws", "", "ahead");
    rig_expect(s.loop, pair.upstream, STR("ahead"));
    rig_send(s.loop, pair.client, STR("ping"));
    rig_expect(s.loop, pair.upstream, STR("ping"));
    rig_send(s.loop, pair.upstream, STR("pong"));
    rig_expect(s.loop, pair.client, STR("pong"));
    close_socket(&s, &pair);
    stage_close(&s);
}
END_TEST

START_TEST(the_handshake_is_written_anew) {
    stage_open(&s, WS);
    struct pair pair = open_socket_with(&s, "/ws?vsn=2", "Sec-WebSocket-Protocol: a, b\r\n", "");
    ck_assert_str_eq(SEEN(&s, "connection"), "upgrade");
    ck_assert_str_eq(SEEN(&s, "upgrade"), "websocket");
    ck_assert_str_eq(SEEN(&s, "sec-websocket-protocol"), "a, b");
    ck_assert_str_eq(FIELD(&s, "connection"), "Upgrade");
    ck_assert_str_eq(FIELD(&s, "upgrade"), "websocket");
    ck_assert_str_eq(FIELD(&s, "sec-websocket-accept"), "x");
    close_socket(&s, &pair);
    stage_close(&s);
}
END_TEST

START_TEST(an_end_is_one_directions_only) {
    stage_open(&s, WS);
    struct pair pair = open_socket(&s);
    rig_send(s.loop, pair.client, STR("last"));
    shutdown(pair.client, SHUT_WR);
    rig_expect(s.loop, pair.upstream, STR("last"));
    ck_assert_int_eq(rig_expect_end(s.loop, pair.upstream), 0);
    rig_send(s.loop, pair.upstream, STR("mine"));
    rig_expect(s.loop, pair.client, STR("mine"));
    shutdown(pair.upstream, SHUT_WR);
    ck_assert_int_eq(rig_expect_end(s.loop, pair.client), 0);
    RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 0);
    close_socket(&s, &pair);
    stage_close(&s);
}
END_TEST

START_TEST(a_reset_passes_as_a_reset) {
    stage_open(&s, WS);
    struct pair pair = open_socket(&s);
    rig_reset(pair.client);
    ck_assert_int_eq(rig_expect_end(s.loop, pair.upstream), ECONNRESET);
    close(pair.upstream);
    pair = open_socket(&s);
    rig_reset(pair.upstream);
    ck_assert_int_eq(rig_expect_end(s.loop, pair.client), ECONNRESET);
    close(pair.client);
    RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 0);
    stage_close(&s);
}
END_TEST

START_TEST(an_idle_one_is_closed_between_frames) {
    stage_open(&s, "routes: [ { path: /ws, access: public, upstream: \"${UPSTREAM}\", timeouts: { "
                   "idle: 50ms } } ]\n");
    struct pair pair = open_socket(&s);
    rig_expect(s.loop, pair.client, STR("\x88\x1f\x03\xe9nothing was sent for too long"));
    ck_assert_int_eq(rig_expect_end(s.loop, pair.client), 0);
    close_socket(&s, &pair);
    stage_close(&s);
}
END_TEST

START_TEST(no_frame_of_ours_is_put_into_one) {
    stage_open(&s, "routes: [ { path: /ws, access: public, upstream: \"${UPSTREAM}\", timeouts: { "
                   "idle: 50ms } } ]\n");
    struct pair pair = open_socket(&s);
    rig_send(s.loop, pair.upstream,
             STR("\x81\x05"
                 "part"));
    rig_expect(s.loop, pair.client,
               STR("\x81\x05"
                   "part"));
    ck_assert_int_eq(rig_expect_end(s.loop, pair.client), 0); /* no Close within a frame */
    close_socket(&s, &pair);
    stage_close(&s);
}
END_TEST

START_TEST(tunnels_do_not_count_as_calls) {
    stage_open(&s, "upstream: { max_open: 1 }\n" WS);
    struct pair first = open_socket(&s), second = open_socket(&s);
    ck_assert_int_eq(pass(&s, GET(&s, "/ws", "")), 200);
    close(first.client), close(first.upstream);
    close_socket(&s, &second);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/tunnel", bytes_go_both_ways, the_handshake_is_written_anew,
           an_end_is_one_directions_only, a_reset_passes_as_a_reset,
           an_idle_one_is_closed_between_frames, no_frame_of_ours_is_put_into_one,
           tunnels_do_not_count_as_calls)
