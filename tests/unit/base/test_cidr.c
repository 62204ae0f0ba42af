/* SPDX-License-Identifier: MIT */
#include "base/cidr.h"
#include <stdio.h>

#include "suite.h"

static struct ip ip_of(const char *text) {
    struct ip ip;
    ck_assert_msg(ip_parse(str_of(text), &ip), "%s", text);
    return ip;
}

static bool is_in(const char *network, const char *address) {
    struct cidr cidr;
    struct ip ip = ip_of(address);
    ck_assert_msg(cidr_parse(str_of(network), &cidr), "%s", network);
    return cidr_contains(&cidr, &ip);
}

#define EACH(list, i) (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++)

START_TEST(address_has_one_canonical_text) {
    static const char *const EXAMPLES[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"::", "::"},
        {"::1", "::1"},
        /* RFC 5952 4 */
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for
        EACH(EXAMPLES, i) {
            struct ip ip = ip_of(EXAMPLES[i][0]), again;
            char text[IP_TEXT_MAX];
            ck_assert_uint_eq(ip_text(&ip, text), strlen(EXAMPLES[i][1]));
            ck_assert_str_eq(text, EXAMPLES[i][1]);
            again = ip_of(text);
            ck_assert_int_eq(memcmp(&ip, &again, sizeof(ip)), 0);
        }
}
END_TEST

START_TEST(every_byte_of_an_ipv4_address_is_said_as_it_is) {
    for (int byte = 0; byte < 256; byte++) {
        char wanted[IP_TEXT_MAX], text[IP_TEXT_MAX];
        snprintf(wanted, sizeof(wanted), "%d.7.%d.%d", byte, 255 - byte, byte);
        struct ip ip = ip_of(wanted);
        ck_assert_uint_eq(ip_text(&ip, text), strlen(wanted));
        ck_assert_str_eq(text, wanted);
    }
}
END_TEST

START_TEST(anything_but_an_address_is_refused) {
    static const struct str BAD[] = {
        STR(""),
        STR("1.2.3"),
        STR("1.2.3.4.5"),
        STR("01.2.3.4"),
        STR("256.1.1.1"),
        STR("1.2.3.4 "),
        STR(" 1.2.3.4"),
        STR("0x7f.0.0.1"),
        STR("127.1"),
        STR("2130706433"),
        STR("1.2.3.-4"),
        STR("1.2.3.4\0"),
        STR("::1\0x"),
        STR("fe80::1%eth0"),
        STR("[::1]"),
        STR(":::"),
        STR("1::2::3"),
        STR("12345::"),
        STR("1:2:3:4:5:6:7"),
        STR("1:2:3:4:5:6:7:8:9"),
        STR("::g"),
        STR("::1.2.3"),
        STR("::1.2.3.400"),
        STR("1.2.3.4:80"),
        STR("localhost"),
        STR("1.2.3.4/8"),
        STR_NONE,
        STR("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"),
    };
    for
        EACH(BAD, i) {
            struct ip ip;
            ck_assert_msg(!ip_parse(BAD[i], &ip), "'" STR_FMT "'", STR_ARG(BAD[i]));
        }
}
END_TEST

START_TEST(forwarded_forms_may_have_brackets_and_port) {
    static const char *const EXAMPLES[][2] = {
        {"192.0.2.1", "192.0.2.1"},         {"192.0.2.1:443", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},     {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:0", "2001:db8::1"}, {"[::ffff:10.0.0.1]:65535", "10.0.0.1"},
    };
    for
        EACH(EXAMPLES, i) {
            struct ip ip, expected = ip_of(EXAMPLES[i][1]);
            ck_assert_msg(ip_parse_hostport(str_of(EXAMPLES[i][0]), &ip), "%s", EXAMPLES[i][0]);
            ck_assert_int_eq(memcmp(&ip, &expected, sizeof(ip)), 0);
        }
}
END_TEST

START_TEST(broken_forwarded_forms_are_refused) {
    static const struct str BAD[] = {
        STR(""),
        STR(":"),
        STR(":80"),
        STR("1.2.3.4:"),
        STR("1.2.3.4:65536"),
        STR("1.2.3.4:+1"),
        STR("1.2.3.4:000080"),
        STR("1.2.3.4:8 "),
        STR("[::1"),
        STR("::1]"),
        STR("[::1]80"),
        STR("[::1]:"),
        STR("[::1]:x"),
        STR("[::1]]"),
        STR("[[::1]]"),
        STR("[]"),
        STR("[1.2.3.4]"),
        STR("[1.2.3.4]:80"),
        STR("unknown"),
        STR("_hidden"),
        STR("\"[::1]\""),
        STR("[::1]:80:80"),
        STR("["),
        STR("[:"),
        STR_NONE,
    };
    for
        EACH(BAD, i) {
            struct ip ip;
            ck_assert_msg(!ip_parse_hostport(BAD[i], &ip), "'" STR_FMT "'", STR_ARG(BAD[i]));
        }
}
END_TEST

START_TEST(network_contains_what_shares_its_prefix) {
    ck_assert(is_in("10.0.0.0/8", "10.255.255.255"));
    ck_assert(!is_in("10.0.0.0/8", "11.0.0.0"));
    ck_assert(is_in("172.16.0.0/12", "172.31.255.255"));
    ck_assert(!is_in("172.16.0.0/12", "172.32.0.0"));
    ck_assert(is_in("0.0.0.0/0", "255.1.2.3"));
    ck_assert(!is_in("0.0.0.0/0", "2001:db8::1"));
    ck_assert(is_in("::/0", "2001:db8::1"));
    ck_assert(is_in("::/0", "1.2.3.4"));
    ck_assert(is_in("192.0.2.7", "192.0.2.7"));
    ck_assert(!is_in("192.0.2.7/32", "192.0.2.6"));
    ck_assert(is_in("2001:db8::/33", "2001:db8:7fff::1"));
    ck_assert(!is_in("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(is_in("::ffff:10.0.0.0/104", "10.1.2.3"));
    ck_assert(!is_in("a00::/8", "10.0.0.1"));
}
END_TEST

START_TEST(broken_networks_are_refused) {
    static const struct str BAD[] = {
        STR(""),
        STR("/8"),
        STR("10.0.0.0/"),
        STR("10.0.0.0/33"),
        STR("10.0.0.0/-1"),
        STR("10.0.0.0/08"),
        STR("10.0.0.0/8/8"),
        STR("10.0.0.1/8"),
        STR("10.0.0/8"),
        STR("fd00::/129"),
        STR("fd00::1/64"),
        STR("fd00::/ 8"),
        STR("::ffff:10.0.0.0/8"),
        STR("1.2.3.4/0"),
        STR("10.0.0.0/18446744073709551617"),
        STR_NONE,
    };
    for
        EACH(BAD, i) {
            struct cidr cidr;
            ck_assert_msg(!cidr_parse(BAD[i], &cidr), "'" STR_FMT "'", STR_ARG(BAD[i]));
        }
}
END_TEST

START_TEST(network_around_an_address_is_found) {
    struct cidr around, network;
    ck_assert(cidr_around(STR("10.1.2.3/12"), &around) && cidr_parse(STR("10.0.0.0/12"), &network));
    ck_assert_mem_eq(&around, &network, sizeof(network));
    ck_assert(cidr_around(STR("fd00:1::2/9"), &around) && cidr_parse(STR("fd00::/9"), &network));
    ck_assert_mem_eq(&around, &network, sizeof(network));
    ck_assert(!cidr_around(STR("10.0.0.1/33"), &around) && !cidr_around(STR("x/8"), &around));
}
END_TEST

START_TEST(every_prefix_length_splits_at_its_bit) {
    for (unsigned int bits = 1; bits <= 128; bits++) {
        struct cidr cidr = {.bits = (uint8_t)bits};
        struct ip ip = {0};
        memset(ip.bytes, 0xff, sizeof(ip.bytes));
        memset(cidr.network.bytes, 0xff, sizeof(ip.bytes));
        ip.bytes[(bits - 1) / 8] ^= (unsigned char)(0x80 >> (bits - 1) % 8);
        ck_assert(!cidr_contains(&cidr, &ip));
        cidr.bits--;
        ck_assert(cidr_contains(&cidr, &ip));
    }
}
END_TEST

START_TEST(private_addresses_are_told_from_public_ones) {
    static const char *const PRIVATE[] = {
        "127.0.0.1",      "127.255.255.255", "::1",         "10.0.0.1",    "172.16.0.1",
        "172.31.255.255", "192.168.0.1",     "169.254.0.1", "100.64.0.1",  "100.127.255.255",
        "fe80::1",        "febf::1",         "fc00::1",     "fdaa:0:1::3", "::ffff:10.1.2.3"};
    static const char *const PUBLIC[] = {
        "126.255.255.255", "128.0.0.0",      "::",          "::2",
        "11.0.0.0",        "172.15.255.255", "172.32.0.0",  "192.167.255.255",
        "192.169.0.0",     "100.63.255.255", "100.128.0.0", "fec0::1",
        "fe00::1",         "fb00::1",        "fe7f::1",     "2001:db8::1",
        "::10.0.0.1"};
    for
        EACH(PRIVATE, i) {
            struct ip ip = ip_of(PRIVATE[i]);
            ck_assert_msg(ip_is_private(&ip), "%s", PRIVATE[i]);
            ck_assert_int_eq(ip_is_loopback(&ip), i < 3);
        }
    for
        EACH(PUBLIC, i) {
            struct ip ip = ip_of(PUBLIC[i]);
            ck_assert_msg(!ip_is_private(&ip) && !ip_is_loopback(&ip), "%s", PUBLIC[i]);
        }
}
END_TEST

START_TEST(subscriber_is_an_ipv4_address_or_a_64) {
    struct ip v4 = ip_of("192.0.2.77"), v6 = ip_of("2001:db8:1:2:3:4:5:6");
    char text[IP_TEXT_MAX];
    struct ip cut = ip_subscriber(&v6);
    ip_text(&cut, text);
    ck_assert_str_eq(text, "2001:db8:1:2::");
    cut = ip_subscriber(&v4);
    ip_text(&cut, text);
    ck_assert_str_eq(text, "192.0.2.77");
    ck_assert(ip_is_v4(&v4) && !ip_is_v4(&v6));
}
END_TEST

SUITE_MAIN("base/cidr", address_has_one_canonical_text,
           every_byte_of_an_ipv4_address_is_said_as_it_is, anything_but_an_address_is_refused,
           forwarded_forms_may_have_brackets_and_port, broken_forwarded_forms_are_refused,
           network_contains_what_shares_its_prefix, broken_networks_are_refused,
           network_around_an_address_is_found, every_prefix_length_splits_at_its_bit,
           private_addresses_are_told_from_public_ones, subscriber_is_an_ipv4_address_or_a_64)
