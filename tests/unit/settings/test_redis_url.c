/* SPDX-License-Identifier: MIT */
/* Proves settings/redis_url.h. */
#include "settings/redis_url.h"
#include "suite.h"

static struct arena arena;
static struct redis_target target;

static const struct redis_target *parsed(const char *url) {
    const char *why = NULL;
    arena_fini(&arena);
    arena_init(&arena);
    ck_assert_msg(redis_url_parse(str_of(url), &target, &arena, &why), "%s: %s", url, why);
    return &target;
}

static void is(struct str s, const char *text) {
    ck_assert_msg(str_eq(s, str_of(text)), "'" STR_FMT "', not '%s'", STR_ARG(s), text);
}

static void is_at(const struct redis_address *address, const char *host, unsigned port) {
    is(address->host, host);
    ck_assert_uint_eq(address->port, port);
}

START_TEST(host_alone_is_enough) {
    const struct redis_target *t = parsed("redis://localhost");
    ck_assert(t->topology == REDIS_SINGLE && !t->is_tls && t->db == 0 && t->n == 1);
    ck_assert_uint_eq(t->user.n + t->password.n + t->ca_file.n, 0);
    is_at(&t->addresses[0], "localhost", 6379);
    is_at(&parsed("redis://h/")->addresses[0], "h", 6379);
    arena_fini(&arena);
}
END_TEST

START_TEST(user_password_port_and_database_are_taken_apart) {
    const struct redis_target *t = parsed("rediss://me:s%40%2Fcr%3aet@redis.example.com:7000/5");
    ck_assert(t->is_tls && t->db == 5);
    is(t->user, "me");
    is(t->password, "s@/cr:et");
    is_at(&t->addresses[0], "redis.example.com", 7000);
    t = parsed("redis://:only:password@[fd00::1]:1");
    is(t->user, "");
    is(t->password, "only:password");
    is_at(&t->addresses[0], "fd00::1", 1);
    arena_fini(&arena);
}
END_TEST

START_TEST(unix_sockets_have_a_path) {
    const struct redis_target *t = parsed("unix:///run/redis.sock");
    is_at(&t->addresses[0], "/run/redis.sock", 0);
    t = parsed("unix://u:p@/run/redis.sock?db=3");
    is_at(&t->addresses[0], "/run/redis.sock", 0);
    is(t->user, "u");
    is(t->password, "p");
    ck_assert_uint_eq(t->db, 3);
    arena_fini(&arena);
}
END_TEST

START_TEST(sentinels_come_with_a_service) {
    const struct redis_target *t = parsed("redis+sentinel://:p@a,b:1,[::1]/mymaster/2");
    ck_assert(t->topology == REDIS_SENTINEL && !t->is_tls && t->db == 2 && t->n == 3);
    is(t->service, "mymaster");
    is(t->password, "p");
    is_at(&t->addresses[0], "a", 26379);
    is_at(&t->addresses[1], "b", 1);
    is_at(&t->addresses[2], "::1", 26379);
    ck_assert(parsed("rediss+sentinel://a/m")->is_tls);
    arena_fini(&arena);
}
END_TEST

START_TEST(clusters_have_nodes) {
    const struct redis_target *t = parsed("redis+cluster://a:1,b");
    ck_assert(t->topology == REDIS_CLUSTER && t->n == 2);
    is_at(&t->addresses[0], "a", 1);
    is_at(&t->addresses[1], "b", 6379);
    ck_assert(parsed("rediss+cluster://a/0")->is_tls);
    arena_fini(&arena);
}
END_TEST

START_TEST(everything_else_is_refused) {
    static const struct {
        const char *url, *words;
    } rows[] = {
        {"", "redis://HOST"},
        {"localhost:6379", "redis://HOST"},
        {"http://localhost", "redis://HOST"},
        {"redis:/localhost", "redis://HOST"},
        {"REDIS://localhost", "redis://HOST"},
        {"redis://a b", "redis://HOST"},
        {"redis://a\nb", "redis://HOST"},
        {"redis://", "expected HOST"},
        {"redis:///0", "expected HOST"},
        {"redis://:6379", "expected HOST"},
        {"redis://host:", "expected HOST"},
        {"redis://host:0", "expected HOST"},
        {"redis://host:65536", "expected HOST"},
        {"redis://::1", "expected HOST"},
        {"redis://u:pa/ss@host", "expected HOST"},
        {"redis://host?db=1", "expected HOST"},
        {"redis://a,b", "one host"},
        {"redis+cluster://a,,b", "expected HOST"},
        {"redis+cluster://a,", "expected HOST"},
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16"},
        {"redis://user@host", "USER:PASSWORD@"},
        {"redis://user:@host", "USER:PASSWORD@"},
        {"redis://:@host", "USER:PASSWORD@"},
        {"redis://@host", "USER:PASSWORD@"},
        {"redis://u:%zz@host", "percent-encoded"},
        {"redis://u:p%4@host", "percent-encoded"},
        {"redis://host/x", "number of a database"},
        {"redis://host/-1", "number of a database"},
        {"redis://host/10000", "number of a database"},
        {"redis://host/0/", "number of a database"},
        {"redis://host/0?a=b", "number of a database"},
        {"redis+sentinel://a", "service's name"},
        {"redis+sentinel://a/", "service's name"},
        {"redis+sentinel://a//0", "service's name"},
        {"redis+sentinel://a/m/x", "number of a database"},
        {"redis+cluster://a/1", "database 0 only"},
        {"unix://", "unix:///PATH"},
        {"unix:///", "unix:///PATH"},
        {"unix://run/redis.sock", "unix:///PATH"},
        {"unix:///a?x=1", "unix:///PATH"},
        {"unix:///a?db=x", "number of a database"},
        {"unix:///23456789012345678901234567890123456789012345678901234567890123456789012345678901"
         "23456789012345678901234567890",
         "108 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = NULL;
        arena_init(&arena);
        ck_assert_msg(!redis_url_parse(str_of(rows[i].url), &target, &arena, &why), "taken: %s",
                      rows[i].url);
        ck_assert_msg(why && strstr(why, rows[i].words), "%s: %s", rows[i].url, why);
        arena_fini(&arena);
    }
}
END_TEST

SUITE_MAIN("settings/redis_url", host_alone_is_enough,
           user_password_port_and_database_are_taken_apart, unix_sockets_have_a_path,
           sentinels_come_with_a_service, clusters_have_nodes, everything_else_is_refused)
