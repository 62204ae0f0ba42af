/* SPDX-License-Identifier: MIT */
#include "auth/claims.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct claims *claims_of(const char *payload, const struct claim_paths *paths,
                                const char **why) {
    static const struct claim_paths NO_PATHS;
    struct claims *claims = NULL;
    struct doc *doc = doc_parse(str_of(payload), NULL);
    ck_assert_msg(doc != NULL, "%s", payload);
    int failed = claims_new(&claims, doc_root(doc), paths ? paths : &NO_PATHS, why);
    ck_assert_int_eq(failed, claims ? 0 : -EINVAL);
    doc_free(doc);
    return claims;
}

static void assert_str(struct str s, const char *expected) {
    ck_assert_msg(str_eq(s, str_of(expected)), "'" STR_FMT "' is not '%s'", STR_ARG(s), expected);
}

START_TEST(registered_claims_outlive_their_document) {
    const char *why;
    struct claims *claims =
        claims_of("{\"iss\":\"https://a/auth/"
                  "v1\",\"sub\":\"u1\",\"role\":\"authenticated\",\"aud\":\"authenticated\","
                  "\"exp\":2000,\"nbf\":1000,\"iat\":1500,\"is_anonymous\":true,"
                  "\"session_id\":\"s1\",\"jti\":\"j1\"}",
                  NULL, &why);
    ck_assert_ptr_nonnull(claims);
    assert_str(claims_issuer(claims), "https://a/auth/v1");
    assert_str(claims_subject(claims), "u1");
    assert_str(claims_role(claims), "authenticated");
    assert_str(claims_session(claims), "s1");
    assert_str(claims_id(claims), "j1");
    ck_assert(claims_is_anonymous(claims));
    ck_assert_int_eq(claims_expires_s(claims), 2000);
    ck_assert_int_eq(claims_not_before_s(claims), 1000);
    ck_assert_int_eq(claims_issued_s(claims), 1500);
    ck_assert_uint_eq(claims_audience_count(claims), 1);
    assert_str(claims_audience(claims, 0), "authenticated");
    claims_unref(claims);
}
END_TEST

START_TEST(an_empty_object_says_nothing) {
    const char *why;
    struct claims *claims = claims_of("{}", NULL, &why);
    ck_assert_ptr_nonnull(claims);
    ck_assert_uint_eq(claims_issuer(claims).n + claims_subject(claims).n + claims_role(claims).n,
                      0);
    ck_assert_int_eq(claims_expires_s(claims), CLAIM_NO_TIME);
    ck_assert_int_eq(claims_not_before_s(claims), CLAIM_NO_TIME);
    ck_assert_int_eq(claims_issued_s(claims), CLAIM_NO_TIME);
    ck_assert_uint_eq(claims_audience_count(claims), 0);
    ck_assert(!claims_is_anonymous(claims));
    claims_unref(claims);
}
END_TEST

START_TEST(several_audiences_keep_their_order) {
    const char *why;
    struct claims *claims = claims_of("{\"aud\":[\"a\",\"\",\"c\"]}", NULL, &why);
    ck_assert_uint_eq(claims_audience_count(claims), 3);
    assert_str(claims_audience(claims, 0), "a");
    assert_str(claims_audience(claims, 1), "");
    assert_str(claims_audience(claims, 2), "c");
    claims_unref(claims);
}
END_TEST

START_TEST(values_are_found_by_their_paths) {
    struct claim_paths paths = {.n = 0};
    ck_assert_int_eq(claim_paths_add(&paths, STR("app_metadata.plan")), 0);
    ck_assert_int_eq(claim_paths_add(&paths, STR("app_metadata.roles")), 1);
    ck_assert_int_eq(claim_paths_add(&paths, STR("missing")), 2);
    ck_assert_int_eq(claim_paths_add(&paths, STR("paid")), 3);
    ck_assert_int_eq(claim_paths_add(&paths, STR("level")), 4);
    ck_assert_int_eq(claim_paths_add(&paths, STR("app_metadata")), 5);
    ck_assert_int_eq(claim_paths_add(&paths, STR("ratio")), 6);
    ck_assert_int_eq(claim_paths_add(&paths, STR("nothing")), 7);
    ck_assert_int_eq(claim_paths_add(&paths, STR("paid")), 3);
    const char *why;
    struct claims *claims = claims_of(
        "{\"aud\":[\"x\",\"y\"],\"paid\":true,\"level\":-3,\"ratio\":1.5,\"nothing\":null,"
        "\"app_metadata\":{\"plan\":\"pro\",\"roles\":[\"a\",7,false,{},[\"z\"],\"b\"]}}",
        &paths, &why);
    ck_assert_uint_eq(claims_value_count(claims, 0), 1);
    assert_str(claims_value(claims, 0, 0), "pro");
    ck_assert_uint_eq(claims_value_count(claims, 1), 4);
    assert_str(claims_value(claims, 1, 0), "a");
    assert_str(claims_value(claims, 1, 1), "7");
    assert_str(claims_value(claims, 1, 2), "false");
    assert_str(claims_value(claims, 1, 3), "b");
    ck_assert_uint_eq(claims_value_count(claims, 2), 0);
    assert_str(claims_value(claims, 3, 0), "true");
    assert_str(claims_value(claims, 4, 0), "-3");
    ck_assert_uint_eq(claims_value_count(claims, 5), 0);
    ck_assert_uint_eq(claims_value_count(claims, 6), 0);
    ck_assert_uint_eq(claims_value_count(claims, 7), 0);
    claims_unref(claims);
}
END_TEST

START_TEST(paths_are_bounded) {
    static char names[CLAIM_PATHS_MAX + 1][16];
    struct claim_paths paths = {.n = 0};
    for (int i = 0; i < CLAIM_PATHS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "p%d", i);
        ck_assert_int_eq(claim_paths_add(&paths, str_of(names[i])), i);
    }
    ck_assert_int_eq(claim_paths_add(&paths, STR("one more")), -ENOSPC);
    ck_assert_int_eq(claim_paths_add(&paths, STR("p0")), 0);
}
END_TEST

START_TEST(times_are_cut_to_seconds) {
    static const struct {
        const char *exp;
        int64_t expected;
    } TIMES[] = {
        {"1000", 1000},
        {"1000.9", 1000},
        {"-5", -5},
        {"-5.5", -5},
        {"0", 0},
        {"1e3", 1000},
        {"9007199254740992", INT64_C(1) << 53},
        {"-9007199254740992", -(INT64_C(1) << 53)},
    };
    for (size_t i = 0; i < sizeof(TIMES) / sizeof(TIMES[0]); i++) {
        char payload[100];
        const char *why;
        snprintf(payload, sizeof(payload), "{\"exp\":%s}", TIMES[i].exp);
        struct claims *claims = claims_of(payload, NULL, &why);
        ck_assert_ptr_nonnull(claims);
        ck_assert_msg(claims_expires_s(claims) == TIMES[i].expected, "%s", TIMES[i].exp);
        claims_unref(claims);
    }
}
END_TEST

START_TEST(wrong_types_and_control_characters_are_refused_with_a_reason) {
    static const char *const BAD[][2] = {
        {"[]", "object"},
        {"\"x\"", "object"},
        {"1", "object"},
        {"null", "object"},
        {"{\"exp\":9007199254740994}", "exp"},
        {"{\"exp\":-9007199254740994}", "exp"},
        {"{\"exp\":1e20}", "exp"},
        {"{\"nbf\":-1e300}", "nbf"},
        {"{\"iat\":9223372036854775807}", "iat"},
        {"{\"iat\":-9223372036854775808}", "iat"},
        {"{\"exp\":\"1000\"}", "exp"},
        {"{\"exp\":true}", "exp"},
        {"{\"exp\":null}", "exp"},
        {"{\"exp\":[1]}", "exp"},
        {"{\"nbf\":\"1\"}", "nbf"},
        {"{\"nbf\":{}}", "nbf"},
        {"{\"iat\":false}", "iat"},
        {"{\"iat\":\"\"}", "iat"},
        {"{\"sub\":1}", "sub"},
        {"{\"sub\":null}", "sub"},
        {"{\"sub\":[\"u\"]}", "sub"},
        {"{\"sub\":\"a\\nb\"}", "sub"},
        {"{\"sub\":\"\\u001f\"}", "sub"},
        {"{\"sub\":\"\\u007f\"}", "sub"},
        {"{\"iss\":[\"a\"]}", "iss"},
        {"{\"iss\":1}", "iss"},
        {"{\"iss\":\"a\\r\\n\"}", "iss"},
        {"{\"role\":\"a\\r\\nx: y\"}", "role"},
        {"{\"aud\":null}", "aud"},
        {"{\"aud\":1}", "aud"},
        {"{\"aud\":{}}", "aud"},
        {"{\"aud\":{\"a\":\"b\"}}", "aud"},
        {"{\"aud\":[\"a\",1]}", "aud"},
        {"{\"aud\":[null]}", "aud"},
        {"{\"aud\":true}", "aud"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        const char *why = NULL;
        ck_assert_msg(claims_of(BAD[i][0], NULL, &why) == NULL, "%s", BAD[i][0]);
        ck_assert_msg(why && strstr(why, BAD[i][1]), "%s: %s", BAD[i][0], why);
    }
}
END_TEST

START_TEST(a_role_or_is_anonymous_of_another_type_says_nothing) {
    const char *why;
    struct claims *claims =
        claims_of("{\"role\":[\"admin\"],\"is_anonymous\":\"true\",\"aud\":[]}", NULL, &why);
    ck_assert_uint_eq(claims_role(claims).n, 0);
    ck_assert(!claims_is_anonymous(claims));
    ck_assert_uint_eq(claims_audience_count(claims), 0);
    claims_unref(claims);
}
END_TEST

START_TEST(unusual_subjects_are_kept_as_they_are) {
    const char *why;
    struct claims *claims = claims_of("{\"sub\":\"a:b*\\u202e\\u00e9 \"}", NULL, &why);
    assert_str(claims_subject(claims), "a:b*\xe2\x80\xae\xc3\xa9 ");
    claims_unref(claims);
}
END_TEST

START_TEST(claims_live_until_the_last_reference) {
    const char *why;
    struct claims *claims = claims_of("{\"sub\":\"u\"}", NULL, &why);
    ck_assert_ptr_eq(claims_ref(claims), claims);
    claims_unref(claims);
    assert_str(claims_subject(claims), "u");
    ck_assert_uint_ge(claims_bytes(claims), 1);
    claims_unref(claims);
    claims_unref(NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/claims");
    TCase *good = tcase_create("said"), *bad = tcase_create("refused");
    tcase_add_test(good, registered_claims_outlive_their_document);
    tcase_add_test(good, an_empty_object_says_nothing);
    tcase_add_test(good, several_audiences_keep_their_order);
    tcase_add_test(good, values_are_found_by_their_paths);
    tcase_add_test(good, times_are_cut_to_seconds);
    tcase_add_test(good, unusual_subjects_are_kept_as_they_are);
    tcase_add_test(good, claims_live_until_the_last_reference);
    tcase_add_test(bad, paths_are_bounded);
    tcase_add_test(bad, wrong_types_and_control_characters_are_refused_with_a_reason);
    tcase_add_test(bad, a_role_or_is_anonymous_of_another_type_says_nothing);
    suite_add_tcase(suite, good);
    suite_add_tcase(suite, bad);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
