/* SPDX-License-Identifier: MIT */
/* Socket addresses: what is read, what is refused, what listens. */
#include "rig.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

static bool is_read_as(const char *text, const char *expected) {
    struct endpoint endpoint;
    char out[128] = "refused";
    if (endpoint_parse(str_of(text), &endpoint))
        endpoint_text(&endpoint, out);
    if (strcmp(out, expected) != 0)
        fprintf(stderr, "'%s' is '%s', not '%s'\n", text, out, expected);
    return strcmp(out, expected) == 0;
}

START_TEST(endpoints_are_equal_when_address_and_port_are) {
    static const char *const texts[] = {"127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80", "[::1]:80",
                                        "unix:/a",      "unix:/b",      "unix:/ab"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            struct endpoint a, b;
            ck_assert(endpoint_parse(str_of(texts[i]), &a) && endpoint_parse(str_of(texts[j]), &b));
            ck_assert_msg(endpoint_eq(&a, &b) == (i == j), "%s and %s", texts[i], texts[j]);
        }
}
END_TEST

START_TEST(addresses_with_ports_are_read) {
    ck_assert(is_read_as("127.0.0.1:8080", "127.0.0.1:8080"));
    ck_assert(is_read_as("[::1]:65535", "[::1]:65535"));
    ck_assert(is_read_as("[::]:0", "[::]:0"));
    ck_assert(is_read_as(":8080", "[::]:8080"));
    ck_assert(is_read_as("unix:/run/x.sock", "unix:/run/x.sock"));
    ck_assert(is_read_as("[2001:db8::1]:443", "[2001:db8::1]:443"));
}
END_TEST

START_TEST(what_is_no_address_is_refused) {
    const char *bad[] = {"",
                         ":",
                         "8080",
                         "localhost:80",
                         "127.0.0.1",
                         "127.0.0.1:",
                         "127.0.0.1:65536",
                         "::1:80",
                         "[::1]",
                         "[127.0.0.1]:80",
                         "[]:80",
                         "[::1:80",
                         "::1]:80",
                         "127.0.0.1:80x",
                         "1.2.3:80",
                         "127.0.0.1:-1",
                         "127.0.0.1: 80",
                         "unix:",
                         "[fe80::1%1]:80",
                         "*:80",
                         "127.0.0.1:99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(is_read_as(bad[i], "refused"), "%s", bad[i]);
}
END_TEST

START_TEST(unix_path_that_does_not_fit_is_refused) {
    char path[200];
    struct endpoint endpoint;
    memset(path, 'a', sizeof(path));
    ck_assert(endpoint_unix((struct str){path, 107}, &endpoint));
    ck_assert(!endpoint_unix((struct str){path, 108}, &endpoint));
    ck_assert(!endpoint_unix((struct str){"a\0b", 3}, &endpoint));
    ck_assert(!endpoint_ip(&endpoint, &(struct ip){0}, NULL));
}
END_TEST

START_TEST(ipv4_and_its_mapped_form_are_one_address) {
    struct endpoint endpoint;
    struct ip ip, other;
    uint16_t port;
    ck_assert(endpoint_parse(STR("10.1.2.3:80"), &endpoint));
    ck_assert(endpoint_ip(&endpoint, &ip, &port));
    ck_assert_uint_eq(port, 80);
    ck_assert(ip_parse(STR("::ffff:10.1.2.3"), &other));
    ck_assert_mem_eq(&ip, &other, sizeof(ip));
}
END_TEST

START_TEST(listener_takes_a_free_port_and_shares_it_with_the_next_worker) {
    struct endpoint at, same;
    int fd = rig_listen(&at);
    ck_assert_uint_ne(rig_port(&at), 0);
    int other = endpoint_listen(&at, 16);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(endpoint_of_socket(other, &same), 0);
    ck_assert_uint_eq(rig_port(&same), rig_port(&at));
    close(fd);
    close(other);
}
END_TEST

START_TEST(accepted_socket_sends_without_delay) {
    struct endpoint at;
    int fd = rig_listen(&at), on = 0;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (const void *)&at.address, at.length), 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    socklen_t n = sizeof(on);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    ck_assert_int_ne(on, 0);
    close(client);
    close(accepted);
    close(fd);
}
END_TEST

/* Or a client that reads slowly, but all the time, is not told from one that reads nothing. */
START_TEST(accepted_socket_keeps_little_unsent) {
    struct endpoint at;
    int fd = rig_listen(&at), bytes = 0;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (const void *)&at.address, at.length), 0);
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    socklen_t n = sizeof(bytes);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, &n), 0);
    ck_assert_int_gt(bytes, 0);
    ck_assert_int_le(bytes, 256 * 1024);
    close(client);
    close(accepted);
    close(fd);
}
END_TEST

START_TEST(address_of_another_machine_cannot_be_listened_on) {
    struct endpoint at;
    ck_assert(endpoint_parse(STR("192.0.2.1:0"), &at));
    ck_assert_int_eq(endpoint_listen(&at, 16), -EADDRNOTAVAIL);
}
END_TEST

START_TEST(unix_listener_replaces_a_dead_socket_but_not_a_live_one) {
    char folder[] = "/tmp/jg-endpoint-XXXXXX", text[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/s", folder);
    struct endpoint at;
    ck_assert(endpoint_parse(str_of(text), &at));
    int fd = endpoint_listen(&at, 16);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(endpoint_listen(&at, 16), -EADDRINUSE);
    close(fd);
    fd = endpoint_listen(&at, 16);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(text + 5);
    FILE *file = fopen(text + 5, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert_int_eq(endpoint_listen(&at, 16), -EADDRINUSE); /* no socket: not ours to remove */
    unlink(text + 5);
    rmdir(folder);
}
END_TEST

RIG_MAIN("io/endpoint", endpoints_are_equal_when_address_and_port_are,
         addresses_with_ports_are_read, what_is_no_address_is_refused,
         unix_path_that_does_not_fit_is_refused, ipv4_and_its_mapped_form_are_one_address,
         listener_takes_a_free_port_and_shares_it_with_the_next_worker,
         accepted_socket_sends_without_delay, accepted_socket_keeps_little_unsent,
         address_of_another_machine_cannot_be_listened_on,
         unix_listener_replaces_a_dead_socket_but_not_a_live_one)
