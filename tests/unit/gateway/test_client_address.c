/* SPDX-License-Identifier: MIT */
#include "gateway/client_address.h"

#include "suite.h"

#define PEER "192.0.2.1"

static struct ip ip_of(const char *text) {
    struct ip ip;
    ck_assert(ip_parse(str_of(text), &ip));
    return ip;
}

static struct field field(const char *name, const char *value) {
    return (struct field){str_of(name), str_of(value), field_id_of(str_of(name))};
}

static bool speaks_tls; /* the peer */

/* Finds with a peer at PEER; the fields are pairs of name and value up to NULL. */
static struct client_address find(const struct trust *trust, const char *const *pairs) {
    struct field list[8];
    struct fields fields = {.list = list, .n = 0};
    for (; *pairs; pairs += 2)
        list[fields.n++] = field(pairs[0], pairs[1]);
    return client_address_find(trust, ip_of(PEER), speaks_tls, fields);
}
#define FIND(trust, ...) find((trust), (const char *const[]){__VA_ARGS__, NULL})

static void is(struct client_address found, const char *ip, bool is_https) {
    char text[IP_TEXT_MAX];
    ip_text(&found.ip, text);
    ck_assert_str_eq(text, ip);
    ck_assert_int_eq(found.is_https, is_https);
}

START_TEST(nobody_is_believed_when_the_peer_is_the_client) {
    struct trust trust = {.kind = TRUST_PEER};
    is(FIND(&trust, "X-Forwarded-For", "10.0.0.9", "Fly-Client-IP", "10.0.0.8", "X-Forwarded-Proto",
            "https", "Forwarded", "for=10.0.0.7"),
       PEER, false);
}
END_TEST

START_TEST(fly_says_who_the_client_is) {
    struct trust trust = {.kind = TRUST_FLY};
    is(FIND(&trust, "Fly-Client-IP", "203.0.113.5", "X-Forwarded-For", "10.0.0.9",
            "X-Forwarded-Proto", "https"),
       "203.0.113.5", true);
    is(FIND(&trust, "Fly-Client-IP", "2001:db8::5", "X-Forwarded-Proto", "http"), "2001:db8::5",
       false);
}
END_TEST

START_TEST(fly_without_an_address_leaves_the_peer) {
    struct trust trust = {.kind = TRUST_FLY};
    is(FIND(&trust, "X-Forwarded-For", "10.0.0.9"), PEER, false);
    is(FIND(&trust, "Fly-Client-IP", "203.0.113.5, 10.0.0.9"), PEER, false);
    is(FIND(&trust, "Fly-Client-IP", ""), PEER, false);
}
END_TEST

START_TEST(a_named_header_counts_from_its_networks) {
    struct cidr from;
    ck_assert(cidr_parse(STR("192.0.2.0/24"), &from));
    struct trust trust = {
        .kind = TRUST_HEADER, .header = STR("cf-connecting-ip"), .from = &from, .n_from = 1};
    is(FIND(&trust, "CF-Connecting-IP", "203.0.113.5", "X-Forwarded-Proto", "https"), "203.0.113.5",
       true);
    is(FIND(&trust, "CF-Connecting-IP", "unknown"), PEER, false);
    is(FIND(&trust, "X-Forwarded-For", "10.0.0.9"), PEER, false);
}
END_TEST

START_TEST(a_named_header_from_elsewhere_is_a_strangers_word) {
    struct cidr from;
    ck_assert(cidr_parse(STR("198.51.100.0/24"), &from));
    struct trust trust = {
        .kind = TRUST_HEADER, .header = STR("cf-connecting-ip"), .from = &from, .n_from = 1};
    is(FIND(&trust, "CF-Connecting-IP", "203.0.113.5", "X-Forwarded-Proto", "https"), PEER, false);
}
END_TEST

START_TEST(the_nth_address_from_the_right_counts) {
    struct trust one = {.kind = TRUST_FORWARDED_FOR, .hops = 1},
                 three = {.kind = TRUST_FORWARDED_FOR, .hops = 3};
    is(FIND(&one, "X-Forwarded-For", "10.0.0.9, 203.0.113.5", "X-Forwarded-Proto", "https"),
       "203.0.113.5", true);
    is(FIND(&three, "X-Forwarded-For", "10.0.0.9,203.0.113.5", "X-Forwarded-For", "10.0.0.7",
            "X-Forwarded-For", "10.0.0.8"),
       "203.0.113.5", false);
    is(FIND(&one, "X-Forwarded-For", "10.0.0.9, [2001:db8::5]:443"), "2001:db8::5", false);
    is(FIND(&one, "X-Forwarded-For", "203.0.113.5:4711 "), "203.0.113.5", false);
}
END_TEST

START_TEST(too_few_or_strange_addresses_leave_the_peer) {
    struct trust two = {.kind = TRUST_FORWARDED_FOR, .hops = 2};
    is(FIND(&two, "X-Forwarded-For", "10.0.0.9"), PEER, false);
    is(FIND(&two, "X-Forwarded-For", "unknown, 10.0.0.9"), PEER, false);
    is(FIND(&two, "X-Forwarded-For", ""), PEER, false);
    is(FIND(&two, "X-Forwarded-Proto", "https"), PEER, true);
}
END_TEST

START_TEST(only_https_is_https) {
    struct trust trust = {.kind = TRUST_FLY};
    is(FIND(&trust, "X-Forwarded-Proto", "HTTPS"), PEER, true);
    is(FIND(&trust, "X-Forwarded-Proto", "http, https"), PEER, false);
    is(FIND(&trust, "X-Forwarded-Proto", ""), PEER, false);
}
END_TEST

START_TEST(a_peer_that_speaks_tls_is_https_unless_a_proxy_says_otherwise) {
    struct cidr here, elsewhere;
    ck_assert(cidr_parse(STR("192.0.2.0/24"), &here));
    ck_assert(cidr_parse(STR("198.51.100.0/24"), &elsewhere));
    struct trust peer = {.kind = TRUST_PEER}, fly = {.kind = TRUST_FLY},
                 hops = {.kind = TRUST_FORWARDED_FOR, .hops = 1},
                 header = {TRUST_HEADER, STR("x-real-ip"), &here, 1, 0},
                 stranger = {TRUST_HEADER, STR("x-real-ip"), &elsewhere, 1, 0};
    const struct trust *const proxies[] = {&fly, &hops, &header}, *const strangers[] = {&peer,
                                                                                        &stranger};
    speaks_tls = true;
    for (size_t i = 0; i < 3; i++) {
        is(FIND(proxies[i], "Accept", "*/*"), PEER, true);
        is(FIND(proxies[i], "X-Forwarded-Proto", "http"), PEER, false);
    }
    for (size_t i = 0; i < 2; i++) {
        is(FIND(strangers[i], "Accept", "*/*"), PEER, true);
        is(FIND(strangers[i], "X-Forwarded-Proto", "http"), PEER, true);
    }
}
END_TEST

SUITE_MAIN("gateway/client_address", nobody_is_believed_when_the_peer_is_the_client,
           fly_says_who_the_client_is, fly_without_an_address_leaves_the_peer,
           a_named_header_counts_from_its_networks,
           a_named_header_from_elsewhere_is_a_strangers_word, the_nth_address_from_the_right_counts,
           too_few_or_strange_addresses_leave_the_peer, only_https_is_https,
           a_peer_that_speaks_tls_is_https_unless_a_proxy_says_otherwise)
