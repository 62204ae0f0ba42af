/* SPDX-License-Identifier: MIT */
/* Proves http/target.h. */
#include "http/target.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;
static struct target target;

static void setup(void) { arena_init(&arena); }
static void teardown(void) { arena_fini(&arena); }

static enum target_verdict parse(const char *raw) {
    return target_parse(&target, STR("GET"), str_of(raw), &arena);
}

START_TEST(origin_form_is_split_at_the_first_question_mark) {
    ck_assert_int_eq(parse("/rest/v1/a%20b?select=*&x=/../?"), TARGET_OK);
    ck_assert(str_eq(target.path, STR("/rest/v1/a%20b")));
    ck_assert(str_eq(target.query, STR("select=*&x=/../?")));
    ck_assert(str_eq(target.normal, STR("/rest/v1/a b")));
    ck_assert_ptr_eq(target.twice.at, target.normal.at);
    ck_assert_ptr_null(target.authority.at);
    ck_assert_int_eq(parse("/plain"), TARGET_OK);
    ck_assert_ptr_null(target.query.at);
    ck_assert(str_eq(target.normal, STR("/plain")) && target.normal.at == target.path.at);
    ck_assert_int_eq(parse("/?"), TARGET_OK);
    ck_assert(target.query.at && target.query.n == 0);
}
END_TEST

START_TEST(absolute_form_brings_its_own_authority) {
    ck_assert_int_eq(parse("HTTP://example.com:8080/a?b"), TARGET_OK);
    ck_assert(str_eq(target.authority, STR("example.com:8080")));
    ck_assert(str_eq(target.path, STR("/a")) && str_eq(target.query, STR("b")));
    ck_assert_int_eq(parse("https://example.com?b/c"), TARGET_OK);
    ck_assert(str_eq(target.authority, STR("example.com")) && str_eq(target.path, STR("/")) &&
              str_eq(target.query, STR("b/c")));
    ck_assert_int_eq(parse("http://[::1]"), TARGET_OK);
    ck_assert(str_eq(target.path, STR("/")) && str_eq(target.normal, STR("/")));
}
END_TEST

START_TEST(bad_authorities_are_told_apart) {
    static const char *const bad[] = {
        "http:///a",
        "http://user@example.com/",
        "http://user:pw@example.com/",
        "http://example.com:99999/",
        "ftp://example.com/",
        "http://exa%6dple.com/",
        "http://a\\b/",
        "http://example.com:/",
        "ws://example.com/",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(parse(bad[i]) == TARGET_BAD_AUTHORITY, "%s", bad[i]);
}
END_TEST

START_TEST(asterisk_is_for_options_only) {
    ck_assert_int_eq(parse("*"), TARGET_MALFORMED);
    ck_assert_int_eq(target_parse(&target, STR("options"), STR("*"), &arena), TARGET_MALFORMED);
    ck_assert_int_eq(target_parse(&target, STR("OPTIONS"), STR("*"), &arena), TARGET_OK);
    ck_assert(str_eq(target.path, STR("*")) && str_eq(target.normal, STR("*")) &&
              str_eq(target.twice, STR("*")));
    ck_assert_int_eq(target_parse(&target, STR("OPTIONS"), STR("http://x"), &arena), TARGET_OK);
    ck_assert(str_eq(target.path, STR("*")) && str_eq(target.authority, STR("x")));
    ck_assert_int_eq(target_parse(&target, STR("OPTIONS"), STR("http://x/"), &arena), TARGET_OK);
    ck_assert(str_eq(target.path, STR("/")));
    ck_assert_int_eq(target_parse(&target, STR("OPTIONS"), STR("*a"), &arena), TARGET_MALFORMED);
}
END_TEST

START_TEST(malformed_targets_are_refused) {
    static const char *const bad[] = {
        "",
        "admin",
        "example.com:443",
        "//\x80",
        "/a b",
        "/a\tb",
        "/a\x7f",
        "/caf\xc3\xa9",
        "/a#b",
        "/a?b#c",
        "#",
        "?a=b",
        "http:/a",
        "http:a",
        "://a/",
        "1",
        "/%",
        "/%4",
        "/%zz",
        "/a%2",
        "/a%%41",
        "/%g0",
        "/%00",
        "/a%00.txt",
        "/%0a",
        "/%0D%0A",
        "/%1f",
        "/%7f",
        "/%09",
        "/%2500",
        "/%250a",
        "/%c0%ae%c0%ae/",
        "/%c0%af",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/%25c0%25af",
        "/%c1%9c",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(parse(bad[i]) == TARGET_MALFORMED, "%s", bad[i]);
    ck_assert_int_eq(target_parse(&target, STR("GET"), STR("/a\0b"), &arena), TARGET_MALFORMED);
}
END_TEST

START_TEST(queries_are_only_checked_for_visible_bytes) {
    static const char *const good[] = {"/?%",        "/?a=100%",       "/?%00", "/?a=like.%foo%",
                                       "/?a=%c0%af", "/?{}[]|\\^`\"<>"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(parse(good[i]) == TARGET_OK, "%s", good[i]);
}
END_TEST

/* Facts about how upstreams read paths: dots, encoded once and twice, matrix parameters, slashes both ways. */
START_TEST(every_spelling_of_a_path_shows_its_meaning) {
    static const struct {
        const char *raw, *normal, *twice;
    } rows[] = {
        {"/rest/v1/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/../admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/%2e%2e/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/.%2E/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/%252e%252e/admin", "/rest/v1/x/%2e%2e/admin", "/rest/v1/admin"},
        {"/rest/v1/x/..;/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/..;a=b/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/x/..%3ba/admin", "/rest/v1/admin", NULL},
        {"/rest/v1//admin", "/rest/v1/admin", NULL},
        {"//rest/v1/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/\\admin", "/rest/v1/admin", NULL},
        {"/rest\\v1\\admin", "/rest/v1/admin", NULL},
        {"/rest/v1%5cadmin", "/rest/v1/admin", NULL},
        {"/rest/v1/x\\..\\admin", "/rest/v1/admin", NULL},
        {"/rest/v1%2fadmin", "/rest/v1/admin", NULL},
        {"/rest/v1%252Fadmin", "/rest/v1%2Fadmin", "/rest/v1/admin"},
        {"/rest/v1/admin;x=1", "/rest/v1/admin", NULL},
        {"/rest;x/v1;y/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/;x/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/%61dmin", "/rest/v1/admin", NULL},
        {"/rest/v1/%2561dmin", "/rest/v1/%61dmin", "/rest/v1/admin"},
        {"/rest/v1/./admin", "/rest/v1/admin", NULL},
        {"/./rest/.;/v1/%2e/admin", "/rest/v1/admin", NULL},
        {"/../../rest/v1/admin", "/rest/v1/admin", NULL},
        {"/rest/v1/admin.", "/rest/v1/admin.", NULL},
        {"/rest/v1/ADMIN", "/rest/v1/ADMIN", NULL},
        {"/rest/v1/admin/", "/rest/v1/admin/", NULL},
        {"/rest/v1/admin/.", "/rest/v1/admin/", NULL},
        {"/rest/v1/admin/x/..", "/rest/v1/admin/", NULL},
        {"/rest/v1/admin//", "/rest/v1/admin/", NULL},
        {"/..", "/", NULL},
        {"/a/..", "/", NULL},
        {"/a/../..", "/", NULL},
        {"//", "/", NULL},
        {"/.", "/", NULL},
        {"/;", "/", NULL},
        {"/...", "/...", NULL},
        {"/.a", "/.a", NULL},
        {"/a..b/..c", "/a..b/..c", NULL},
        {"/%25", "/%", NULL},
        {"/100%25.png", "/100%.png", NULL},
        {"/%25%32%65", "/%2e", "/"},
        {"/caf%c3%a9/%E2%82%AC", "/caf\xc3\xa9/\xe2\x82\xac", NULL},
        {"/%c0x", "/\xc0x", NULL},
        {"/a%3fb%23c", "/a?b#c", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(parse(rows[i].raw) == TARGET_OK, "%s", rows[i].raw);
        ck_assert(str_eq(target.path, str_of(rows[i].raw)));
        ck_assert_msg(str_eq(target.normal, str_of(rows[i].normal)), "%s: " STR_FMT, rows[i].raw,
                      STR_ARG(target.normal));
        if (rows[i].twice)
            ck_assert_msg(str_eq(target.twice, str_of(rows[i].twice)), "%s: " STR_FMT, rows[i].raw,
                          STR_ARG(target.twice));
        else
            ck_assert_ptr_eq(target.twice.at, target.normal.at);
    }
}
END_TEST

START_TEST(paths_that_end_elsewhere_for_some_upstreams_are_evasive) {
    static const char *const evasive[] = {
        "/a/../b",  "/..",       "/a/..",      "/a/%2e%2e/b", "/a/%252e%252e/b",
        "/a/..;/b", "/a/..%5cb", "/a\\..",     "/a%2f..",     "/;\\a",
        "/a;b\\c",  "/a;b%2fc",  "/a;b%252fc", "/a%3bb%5cc",  "/a%253b%2fc",
    };
    for (size_t i = 0; i < sizeof(evasive) / sizeof(evasive[0]); i++) {
        ck_assert_msg(parse(evasive[i]) == TARGET_OK, "%s", evasive[i]);
        ck_assert_msg(target.is_evasive, "%s", evasive[i]);
    }
    static const char *const plain[] = {"/",     "/a/b",   "/a//b", "/a/./b", "/a..b",
                                        "/...",  "/a;b/c", "/a%3b", "/a%2fb", "/a%252fb",
                                        "/a\\b", "/.;/a",  "/a?..", "/a?;%2f"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        ck_assert_msg(parse(plain[i]) == TARGET_OK, "%s", plain[i]);
        ck_assert_msg(!target.is_evasive, "%s", plain[i]);
    }
}
END_TEST

START_TEST(good_hosts_are_names_and_addresses) {
    static const char *const good[] = {
        "x",
        "localhost",
        "EXAMPLE.com",
        "example.com.",
        "a-b.c_d.e1",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[2001:DB8::1]:65535",
        "[::ffff:1.2.3.4]:1",
        "my_service:8080",
        "x:1",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(host_is_valid(str_of(good[i])), "%s", good[i]);
}
END_TEST

START_TEST(bad_hosts_are_refused) {
    static const char *const bad[] = {
        "",           ".",         ".x",          "x..y",     "x..",    ":80",     "x:",
        "x:0",        "x:080",     "x:65536",     "x:123456", "x:8a",   "x:-1",    "x:80:80",
        "x y",        "x,y",       "a@b",         "a@b:80",   "x/y",    "x?y",     "x#y",
        "x\\y",       "exa%6dple", "caf\xc3\xa9", "x\t",      "*",      "::1",     "[::1",
        "[]",         "[]:80",     "[1.2.3.4]",   "[::1]x",   "[::1]:", "[::1]:x", "[::1%25eth0]",
        "[::1%eth0]", "[v1.x]",    "[x]",         "[[::1]]",  "x]",     "a:b@c",   "http://x",
        "x;y",        "'x'",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!host_is_valid(str_of(bad[i])), "%s", bad[i]);
    char name[257];
    memset(name, 'a', sizeof(name));
    ck_assert(host_is_valid((struct str){name, 255}));
    ck_assert(!host_is_valid((struct str){name, 256}));
    ck_assert(!host_is_valid(STR("x\0y")));
}
END_TEST

START_TEST(query_values_are_found_and_counted) {
    size_t count;
    struct str query = STR("a=1&apikey=first%20one&b&apikey=second&api%6Bey=third&apikeys=x&=y");
    ck_assert(str_eq(query_value(query, STR("apikey"), &count), STR("first%20one")));
    ck_assert_uint_eq(count, 3);
    struct str empty = query_value(query, STR("b"), &count);
    ck_assert(empty.at && empty.n == 0 && count == 1);
    ck_assert_ptr_null(query_value(query, STR("c"), &count).at);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(query_value(STR_NONE, STR("a"), &count).at);
    ck_assert_ptr_null(query_value(STR("apike=x&apikeyy=x&%61=2"), STR("apikey"), &count).at);
    ck_assert(str_eq(query_value(STR("a+b=c=d"), STR("a b"), &count), STR("c=d")));
    ck_assert(str_eq(query_value(STR("%zz=1"), STR("%zz"), &count), STR("1")));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http/target");
    TCase *tests = tcase_create("target");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, origin_form_is_split_at_the_first_question_mark);
    tcase_add_test(tests, absolute_form_brings_its_own_authority);
    tcase_add_test(tests, bad_authorities_are_told_apart);
    tcase_add_test(tests, asterisk_is_for_options_only);
    tcase_add_test(tests, malformed_targets_are_refused);
    tcase_add_test(tests, queries_are_only_checked_for_visible_bytes);
    tcase_add_test(tests, every_spelling_of_a_path_shows_its_meaning);
    tcase_add_test(tests, paths_that_end_elsewhere_for_some_upstreams_are_evasive);
    tcase_add_test(tests, good_hosts_are_names_and_addresses);
    tcase_add_test(tests, bad_hosts_are_refused);
    tcase_add_test(tests, query_values_are_found_and_counted);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
