/* SPDX-License-Identifier: MIT */
/* Proves io/redis_script.h; what the prologue does: test_redis_server.c. */
#include "io/redis_script.h"
#include "suite.h"

START_TEST(the_name_is_the_sources_sha1) {
    struct redis_script script;
    ck_assert_int_eq(redis_script_init(&script, "return 1"), 0);
    ck_assert_uint_eq(strlen(script.sha1), 40);
    ck_assert_uint_eq(strspn(script.sha1, "0123456789abcdef"), 40);
    struct redis_script other;
    ck_assert_int_eq(redis_script_init(&other, "return 2"), 0);
    ck_assert_str_ne(script.sha1, other.sha1);
    redis_script_fini(&other);
    redis_script_fini(&script);
    ck_assert_ptr_null(script.source);
}
END_TEST

START_TEST(the_deadline_is_looked_at_before_the_body) {
    struct redis_script script;
    ck_assert_int_eq(redis_script_init(&script, "return 'body'"), 0);
    const char *check = strstr(script.source, "ARGV[1]"),
               *body = strstr(script.source, "return 'body'");
    ck_assert(check && body && check < body);
    redis_script_fini(&script);
}
END_TEST

SUITE_MAIN("io/redis_script", the_name_is_the_sources_sha1,
           the_deadline_is_looked_at_before_the_body)
