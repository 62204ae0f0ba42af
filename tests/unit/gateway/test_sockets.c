/* SPDX-License-Identifier: MIT */
/* Proves gateway/sockets.h: so many WebSockets at once, by address and by subject. */
#include "gateway/sockets.h"

#include "socket_stage.h"

static struct stage s;

static int refused(const char *fields) {
    return refuse(&s, GET(&s, "/ws", TEXT(&s, SHAKE "%s", fields)));
}

static size_t of_loopback(void) {
    struct ip ip;
    ck_assert(ip_parse(STR("127.0.0.1"), &ip));
    return slots_in_use(s.sockets_by_ip, (struct str){(const char *)ip.bytes, sizeof(ip.bytes)});
}

/* Before what the route's own limits say. */
#define ASSERT_CEILING(name, n) \
    do { \
        const char *policies = FIELD(&s, "RateLimit-Policy"); \
        ck_assert_ptr_nonnull(policies); \
        ck_assert_ptr_eq(strstr(policies, "\"" name "\";q=" #n ";qu=\"concurrent-requests\""), \
                         policies); \
        ck_assert_ptr_nonnull(strstr(FIELD(&s, "RateLimit"), "\"" name "\";r=0")); \
    } while (0)

START_TEST(one_too_many_of_an_address_is_429_until_one_has_gone) {
    stage_open(&s, "websockets: { max_per_ip: 2 }\n" WS);
    struct pair first = open_socket(&s), second = open_socket(&s);
    ck_assert_int_eq(refused(""), 429);
    ASSERT_SAYS(&s, "code", "too_many_streams");
    ck_assert_str_eq(FIELD(&s, "Retry-After"), "10");
    ASSERT_CEILING("websockets.max_per_ip", 2);
    ck_assert_int_eq(pass(&s, GET(&s, "/ws", "")), 200); /* requests are no sockets */
    close(first.client), close(first.upstream);
    RUN_UNTIL(s.loop, of_loopback() == 1 && gateway_count_connections(s.gateway) == 1);
    first = open_socket(&s);
    close(first.client), close(first.upstream);
    close_socket(&s, &second);
    ck_assert_uint_eq(of_loopback(), 0);
    stage_close(&s);
}
END_TEST

START_TEST(subjects_are_counted_where_the_handshake_shows_one) {
    stage_open(&s, "websockets: { max_per_subject: 1, max_per_ip: 0 }\n" WS);
    const char *ada = bearer(&s, ADA), *bob = bearer(&s, "\"sub\":\"bob\"");
    struct pair adas = open_socket_with(&s, "/ws", ada, "");
    ck_assert_int_eq(refused(ada), 429);
    ASSERT_CEILING("websockets.max_per_subject", 1);
    struct pair bobs = open_socket_with(&s, "/ws", bob, ""), nobodys = open_socket(&s);
    ck_assert_uint_eq(slots_in_use(s.sockets_by_subject, STR("ada")), 1);
    close(adas.client), close(adas.upstream), close(bobs.client), close(bobs.upstream);
    close_socket(&s, &nobodys);
    ck_assert_uint_eq(slots_in_use(s.sockets_by_subject, STR("ada")), 0);
    stage_close(&s);
}
END_TEST

START_TEST(a_handshake_that_comes_to_nothing_takes_no_place) {
    stage_open(&s, "websockets: { max_per_ip: 1 }\n" WS);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pass(&s, GET(&s, "/ws", SHAKE)), 200);
    ck_assert_uint_eq(of_loopback(), 0);
    stage_close(&s);
}
END_TEST

START_TEST(in_shadow_they_are_counted_and_let_in) {
    stage_open(&s, "websockets: { max_per_ip: 1 }\nlimits_mode: shadow\n" WS);
    struct pair first = open_socket(&s), second = open_socket(&s);
    ck_assert_uint_eq(of_loopback(), 2);
    close(first.client), close(first.upstream);
    close_socket(&s, &second);
    stage_close(&s);
}
END_TEST

START_TEST(without_limits_nobody_counts) {
    stage_open(&s, "websockets: { max_per_ip: 1 }\nlimits_mode: off\n" WS);
    struct pair first = open_socket(&s), second = open_socket(&s);
    ck_assert_uint_eq(of_loopback(), 0);
    close(first.client), close(first.upstream);
    close_socket(&s, &second);
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/sockets", one_too_many_of_an_address_is_429_until_one_has_gone,
           subjects_are_counted_where_the_handshake_shows_one,
           a_handshake_that_comes_to_nothing_takes_no_place, in_shadow_they_are_counted_and_let_in,
           without_limits_nobody_counts)
