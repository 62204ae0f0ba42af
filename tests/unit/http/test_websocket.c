/* SPDX-License-Identifier: MIT */
/* Proves http/websocket.h: who asks for a WebSocket, and where frames begin however they are cut. */
#include "http/websocket.h"

#include "suite.h"
#include <stdio.h>

#define GOOD_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ASKS     "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define VERSION  "Sec-WebSocket-Version: 13\r\n"

static enum websocket_request read(const char *first_line, const char *fields) {
    static char text[2048];
    static struct head head;
    const char *why = NULL;
    int n = snprintf(text, sizeof(text), "%s\r\nHost: a\r\n%s\r\n", first_line, fields);
    head_init(&head, HEAD_REQUEST, &HEAD_LIMITS_DEFAULT);
    ck_assert_int_eq(head_parse(&head, (struct str){text, (size_t)n}), HEAD_DONE);
    enum websocket_request request = websocket_request(&head, &why);
    ck_assert_int_eq(request == WEBSOCKET_MALFORMED, why != NULL);
    return request;
}

START_TEST(a_good_handshake_is_one) {
    ck_assert_int_eq(read("GET / HTTP/1.1", ASKS GOOD_KEY VERSION), WEBSOCKET_ASKED);
    ck_assert_int_eq(read("GET / HTTP/1.1",
                          "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n" GOOD_KEY VERSION),
                     WEBSOCKET_ASKED);
    ck_assert_int_eq(read("GET / HTTP/1.1", ASKS GOOD_KEY "Sec-WebSocket-Version: 99\r\n"),
                     WEBSOCKET_ASKED);
}
END_TEST

START_TEST(other_upgrades_ask_for_none) {
    static const char *const others[] = {
        "",
        "Upgrade: websocket\r\n" GOOD_KEY VERSION,
        "Connection: upgrade\r\n" GOOD_KEY VERSION,
        "Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: upgrade\r\nUpgrade: websockets\r\n" GOOD_KEY VERSION,
        "Connection: upgraded\r\nUpgrade: websocket\r\n" GOOD_KEY VERSION,
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(read("GET / HTTP/1.1", others[i]) == WEBSOCKET_NOT_ASKED, "%s", others[i]);
    ck_assert_int_eq(read("GET / HTTP/1.0", ASKS GOOD_KEY VERSION), WEBSOCKET_NOT_ASKED);
}
END_TEST

START_TEST(what_asks_badly_is_malformed) {
    static const char *const bad[] = {
        ASKS VERSION,
        ASKS GOOD_KEY,
        ASKS GOOD_KEY GOOD_KEY VERSION,
        ASKS GOOD_KEY VERSION VERSION,
        ASKS "Sec-WebSocket-Key: short\r\n" VERSION,
        ASKS "Sec-WebSocket-Key:\r\n" VERSION,
        ASKS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A\r\n" VERSION,
        ASKS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n" VERSION,
        ASKS "Sec-WebSocket-Key: dGhlIHNhbXBsZ{Bub25jZQ==\r\n" VERSION,
        ASKS GOOD_KEY VERSION "Content-Length: 1\r\n",
        ASKS GOOD_KEY VERSION "Transfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(read("GET / HTTP/1.1", bad[i]) == WEBSOCKET_MALFORMED, "%s", bad[i]);
    ck_assert_int_eq(read("POST / HTTP/1.1", ASKS GOOD_KEY VERSION), WEBSOCKET_MALFORMED);
    ck_assert_int_eq(read("HEAD / HTTP/1.1", ASKS GOOD_KEY VERSION), WEBSOCKET_MALFORMED);
}
END_TEST

/* ---- frames */

/* Frames of every length form, masked and not; `ends` receives where each of them ends. */
static size_t make_frames(unsigned char *out, size_t *ends, size_t *n_ends) {
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536};
    size_t at = 0;
    for (int masked = 0; masked < 2; masked++)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            size_t n = lengths[i];
            out[at++] = i % 2 ? 0x81 : 0x02;
            out[at++] = (unsigned char)(masked << 7 | (n < 126 ? (int)n : n < 65536 ? 126 : 127));
            for (int shift = n < 126 ? -8 : n < 65536 ? 8 : 56; shift >= 0; shift -= 8)
                out[at++] = (unsigned char)(n >> shift);
            for (int mask = 0; mask < masked * 4; mask++)
                out[at++] = 0xff;
            memset(out + at, 0x88, n); /* looks like a Close */
            at += n;
            ends[(*n_ends)++] = at;
        }
    return at;
}

START_TEST(frames_are_whole_at_their_ends_only) {
    static unsigned char bytes[600000];
    size_t ends[32], n_ends = 0, n = make_frames(bytes, ends, &n_ends);
    struct websocket_frames frames = {0};
    ck_assert(websocket_frames_are_whole(&frames));
    for (size_t i = 0, end = 0; i < n; i++) {
        websocket_frames_pass(&frames, (struct str){(const char *)bytes + i, 1});
        end += i + 1 > ends[end];
        ck_assert_msg(websocket_frames_are_whole(&frames) == (i + 1 == ends[end]), "byte %zu", i);
    }
}
END_TEST

START_TEST(however_they_are_cut) {
    static unsigned char bytes[600000];
    size_t ends[32], n_ends = 0, n = make_frames(bytes, ends, &n_ends);
    static const size_t steps[] = {2, 3, 7, 100, 4096, 16384, 600000};
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        struct websocket_frames frames = {0};
        for (size_t i = 0; i < n; i += steps[s]) {
            size_t piece = n - i < steps[s] ? n - i : steps[s];
            websocket_frames_pass(&frames, (struct str){(const char *)bytes + i, piece});
        }
        ck_assert(websocket_frames_are_whole(&frames));
    }
}
END_TEST

START_TEST(behind_a_close_there_are_no_frames) {
    struct websocket_frames frames = {0};
    websocket_frames_pass(&frames, (struct str){"\x88\x02\x03\xe8", 4});
    ck_assert(!websocket_frames_are_whole(&frames));
    websocket_frames_pass(&frames, (struct str){"\x81\x00", 2});
    ck_assert(!websocket_frames_are_whole(&frames));
}
END_TEST

START_TEST(a_length_beyond_all_bounds_is_no_frame) {
    struct websocket_frames frames = {0};
    websocket_frames_pass(&frames, (struct str){"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10});
    ck_assert(!websocket_frames_are_whole(&frames));
}
END_TEST

START_TEST(a_close_of_ours_is_a_frame) {
    unsigned char out[WEBSOCKET_CLOSE_MAX];
    char text[200];
    memset(text, 'x', sizeof(text));
    ck_assert_uint_eq(websocket_close_write(out, WEBSOCKET_GOING_AWAY, STR("bye"), false), 7);
    ck_assert_mem_eq(out,
                     "\x88\x05\x03\xe9"
                     "bye",
                     7);
    ck_assert_uint_eq(websocket_close_write(out, WEBSOCKET_POLICY, STR_NONE, true), 8);
    ck_assert_mem_eq(out, "\x88\x82\0\0\0\0\x03\xf0", 8);
    ck_assert_uint_eq(websocket_close_write(out, 1000, (struct str){text, sizeof(text)}, true),
                      WEBSOCKET_CLOSE_MAX);
    ck_assert_uint_eq(out[1], 128 | 125);
}
END_TEST

SUITE_MAIN("http/websocket", a_good_handshake_is_one, other_upgrades_ask_for_none,
           what_asks_badly_is_malformed, frames_are_whole_at_their_ends_only, however_they_are_cut,
           behind_a_close_there_are_no_frames, a_length_beyond_all_bounds_is_no_frame,
           a_close_of_ours_is_a_frame)
