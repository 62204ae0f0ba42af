/* SPDX-License-Identifier: MIT */
#include "auth/deny_list.h"

#include "suite.h"
#include <errno.h>
#include <stdio.h>

#define NOW_S 1764000000

static struct claims *claims_of(const char *payload) {
    static const struct claim_paths NO_PATHS;
    struct claims *claims = NULL;
    const char *why;
    struct doc *doc = doc_parse(str_of(payload), NULL);
    ck_assert_int_eq(claims_new(&claims, doc_root(doc), &NO_PATHS, &why), 0);
    doc_free(doc);
    return claims;
}

static struct deny_list *list_of(const char *name, int64_t until_s) {
    struct deny_list *list = deny_list_new();
    ck_assert_int_eq(deny_list_add(list, str_of(name), until_s), 0);
    return list;
}

/* Ada's token says who, which session, which token, and that it was issued at NOW_S. */
static enum deny_verdict judge(const struct deny_list *list, const char *subject, int64_t now_s) {
    struct claims *claims = claims_of("{\"session_id\":\"s1\",\"jti\":\"j1\",\"iat\":1764000000}");
    enum deny_verdict verdict = deny_list_judge(list, str_of(subject), claims, now_s);
    claims_unref(claims);
    return verdict;
}

static enum deny_verdict judge_one(const char *name) {
    struct deny_list *list = list_of(name, NOW_S + 60);
    enum deny_verdict verdict = judge(list, "ada", NOW_S);
    deny_list_unref(list);
    return verdict;
}

START_TEST(an_empty_list_denies_nobody) {
    struct deny_list *list = deny_list_new();
    struct ip ip;
    ck_assert(ip_parse(STR("192.0.2.1"), &ip));
    ck_assert_int_eq(judge(list, "ada", NOW_S), DENY_NOT);
    ck_assert(!deny_list_has_ip(list, &ip, NOW_S));
    deny_list_unref(list);
}
END_TEST

START_TEST(a_denied_subject_is_denied_with_every_token) {
    ck_assert_int_eq(judge_one("subject:ada"), DENY_USER);
    ck_assert_int_eq(judge_one("subject:bob"), DENY_NOT);
    ck_assert_int_eq(judge_one("subject:ad"), DENY_NOT);
}
END_TEST

START_TEST(a_session_and_a_token_are_revoked) {
    ck_assert_int_eq(judge_one("session_id:s1"), DENY_REVOKED);
    ck_assert_int_eq(judge_one("session_id:s2"), DENY_NOT);
    ck_assert_int_eq(judge_one("jti:j1"), DENY_REVOKED);
    ck_assert_int_eq(judge_one("jti:s1"), DENY_NOT);
    ck_assert_int_eq(judge_one("subject:s1"), DENY_NOT);
}
END_TEST

START_TEST(tokens_issued_until_then_are_revoked_and_later_ones_are_good) {
    ck_assert_int_eq(judge_one("issued:1764000000:ada"), DENY_REVOKED);
    ck_assert_int_eq(judge_one("issued:1763999999:ada"), DENY_NOT);
    ck_assert_int_eq(judge_one("issued:1764000000:bob"), DENY_NOT);
}
END_TEST

START_TEST(a_token_that_does_not_say_when_it_was_issued_is_revoked) {
    struct deny_list *list = list_of("issued:1:ada", NOW_S + 60);
    struct claims *claims = claims_of("{}");
    ck_assert_int_eq(deny_list_judge(list, STR("ada"), claims, NOW_S), DENY_REVOKED);
    claims_unref(claims);
    deny_list_unref(list);
}
END_TEST

START_TEST(of_two_revocations_the_later_counts) {
    for (int order = 0; order < 2; order++) {
        struct deny_list *list =
            list_of(order ? "issued:1764000000:ada" : "issued:5:ada", NOW_S + 60);
        ck_assert_int_eq(deny_list_add(list,
                                       str_of(order ? "issued:5:ada" : "issued:1764000000:ada"),
                                       NOW_S + 60),
                         0);
        ck_assert_int_eq(judge(list, "ada", NOW_S), DENY_REVOKED);
        ck_assert_uint_eq(deny_list_count(list), 1);
        deny_list_unref(list);
    }
}
END_TEST

START_TEST(a_denial_ends_at_its_time) {
    struct deny_list *list = list_of("subject:ada", NOW_S + 60);
    ck_assert_int_eq(judge(list, "ada", NOW_S + 59), DENY_USER);
    ck_assert_int_eq(judge(list, "ada", NOW_S + 60), DENY_NOT);
    deny_list_unref(list);
}
END_TEST

START_TEST(an_address_is_denied_in_every_spelling_and_ipv6_with_its_64) {
    struct buffer name = {0};
    struct ip ip;
    ck_assert_int_eq(denial_name(&name, DENY_IP, STR("2001:db8::0001"), 0), 0);
    struct deny_list *list = deny_list_new();
    ck_assert_int_eq(deny_list_add(list, buffer_bytes(&name), NOW_S + 60), 0);
    ck_assert(ip_parse(STR("2001:db8::ffff"), &ip));
    ck_assert(deny_list_has_ip(list, &ip, NOW_S));
    ck_assert(ip_parse(STR("2001:db8:0:1::1"), &ip));
    ck_assert(!deny_list_has_ip(list, &ip, NOW_S));
    buffer_release(&name);
    deny_list_unref(list);
}
END_TEST

static void assert_name(enum deny_kind kind, const char *value, int64_t issued_s,
                        const char *expected) {
    struct buffer name = {0};
    struct deny_list *list = deny_list_new();
    ck_assert_int_eq(denial_name(&name, kind, str_of(value), issued_s), 0);
    ck_assert(str_eq(buffer_bytes(&name), str_of(expected)));
    ck_assert_int_eq(deny_list_add(list, buffer_bytes(&name), NOW_S), 0);
    buffer_release(&name);
    deny_list_unref(list);
}

START_TEST(names_say_what_is_denied) {
    assert_name(DENY_SUBJECT, "name:ada:1", 0, "subject:name:ada:1");
    assert_name(DENY_ISSUED, "a:b", 17, "issued:17:a:b");
    assert_name(DENY_SESSION, "s", 0, "session_id:s");
    assert_name(DENY_TOKEN, "j", 0, "jti:j");
    assert_name(DENY_IP, "::ffff:192.0.2.1", 0, "ip:192.0.2.1");
}
END_TEST

START_TEST(a_subject_of_another_kinds_name_is_only_a_subject) {
    struct deny_list *list = list_of("subject:ip:192.0.2.1", NOW_S + 60);
    struct ip ip;
    ck_assert(ip_parse(STR("192.0.2.1"), &ip));
    ck_assert(!deny_list_has_ip(list, &ip, NOW_S));
    ck_assert_int_eq(judge(list, "ip:192.0.2.1", NOW_S), DENY_USER);
    deny_list_unref(list);
}
END_TEST

START_TEST(what_is_no_denial_is_refused) {
    char longest[DENIAL_VALUE_MAX + 2];
    struct buffer name = {0};
    memset(longest, 'a', sizeof(longest));
    struct str value = {longest, DENIAL_VALUE_MAX + 1};
    static const char *const bad[] = {"",          "ada",           "subject:",  "issued:ada",
                                      "issued::a", "issued:-1:ada", "issued:1:", "users:ada"};
    struct deny_list *list = deny_list_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(deny_list_add(list, str_of(bad[i]), NOW_S), -EINVAL);
    ck_assert_uint_eq(deny_list_count(list), 0);
    ck_assert_int_eq(denial_name(&name, DENY_SUBJECT, value, 0), -EINVAL);
    ck_assert_int_eq(denial_name(&name, DENY_SUBJECT, STR(""), 0), -EINVAL);
    ck_assert_int_eq(denial_name(&name, DENY_IP, STR("nowhere"), 0), -EINVAL);
    ck_assert_int_eq(denial_name(&name, DENY_IP, STR("10.0.0.0/8"), 0), -EINVAL);
    value.n = DENIAL_VALUE_MAX;
    ck_assert_int_eq(denial_name(&name, DENY_SUBJECT, value, 0), 0);
    buffer_release(&name);
    deny_list_unref(list);
}
END_TEST

SUITE_MAIN("auth/deny_list", an_empty_list_denies_nobody,
           a_denied_subject_is_denied_with_every_token, a_session_and_a_token_are_revoked,
           tokens_issued_until_then_are_revoked_and_later_ones_are_good,
           a_token_that_does_not_say_when_it_was_issued_is_revoked,
           of_two_revocations_the_later_counts, a_denial_ends_at_its_time,
           an_address_is_denied_in_every_spelling_and_ipv6_with_its_64, names_say_what_is_denied,
           a_subject_of_another_kinds_name_is_only_a_subject, what_is_no_denial_is_refused)
