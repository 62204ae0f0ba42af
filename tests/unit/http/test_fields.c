/* SPDX-License-Identifier: MIT */
/* Proves http/fields.h. */
#include "http/fields.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>

static struct field field_of(const char *name, const char *value) {
    return (struct field){str_of(name), str_of(value), field_id_of(str_of(name))};
}

START_TEST(every_known_name_finds_its_id_in_any_case) {
    for (int id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        struct str name = field_name((enum field_id)id);
        char other_case[64];
        for (size_t i = 0; i < name.n; i++)
            other_case[i] = (char)(i % 2 ? name.at[i] : toupper(name.at[i]));
        ck_assert_msg((int)field_id_of(name) == id, STR_FMT " has no slot", STR_ARG(name));
        ck_assert_int_eq(field_id_of((struct str){other_case, name.n}), id);
    }
}
END_TEST

START_TEST(names_that_only_look_known_are_others) {
    static const char *const others[] = {
        "",
        "h",
        "hos",
        "hosts",
        "h\xcfst",
        "HOST ",
        " host",
        "content_length",
        "content-lengtx",
        "transfer-encodinG\x01",
        "t\0",
        "connectioN1",
        "\re",
        "x-api-keys",
        "x-region2",
        "hqst",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_int_eq(field_id_of(str_of(others[i])), FIELD_OTHER);
}
END_TEST

START_TEST(found_field_is_the_first_and_all_are_counted) {
    struct field list[] = {field_of("accept", "a"), field_of("Via", "b"), field_of("ACCEPT", "c")};
    struct fields fields = {.list = list, .n = 3};
    ck_assert_ptr_eq(fields_find(fields, FIELD_ACCEPT), &list[0]);
    ck_assert_ptr_null(fields_find(fields, FIELD_HOST));
    ck_assert_uint_eq(fields_count(fields, FIELD_ACCEPT), 2);
    ck_assert_uint_eq(fields_count(fields, FIELD_HOST), 0);
    ck_assert_ptr_null(fields_find((struct fields){0}, FIELD_HOST));
}
END_TEST

START_TEST(what_is_known_to_be_absent_is_not_looked_for) {
    struct field list[] = {field_of("accept", "a"), field_of("Connection", "b")};
    struct fields fields = {list, 2, UINT64_C(1) << FIELD_CONNECTION};
    ck_assert_ptr_eq(fields_find(fields, FIELD_ACCEPT), &list[0]);
    ck_assert_ptr_null(fields_find(fields, FIELD_CONNECTION));
    ck_assert_uint_eq(fields_count(fields, FIELD_CONNECTION), 0);
    ck_assert(!fields_list_has(fields, FIELD_CONNECTION, STR("b")));
}
END_TEST

START_TEST(list_has_whole_tokens_only) {
    struct field list[] = {field_of("Connection", " foo ,,\tClose"),
                           field_of("connection", "upgrade"), field_of("te", "trailers")};
    struct fields fields = {.list = list, .n = 3};
    ck_assert(fields_list_has(fields, FIELD_CONNECTION, STR("close")));
    ck_assert(fields_list_has(fields, FIELD_CONNECTION, STR("FOO")));
    ck_assert(fields_list_has(fields, FIELD_CONNECTION, STR("Upgrade")));
    ck_assert(!fields_list_has(fields, FIELD_CONNECTION, STR("clos")));
    ck_assert(!fields_list_has(fields, FIELD_CONNECTION, STR("foo ,,\tClose")));
    ck_assert(!fields_list_has(fields, FIELD_CONNECTION, STR("trailers")));
}
END_TEST

START_TEST(hop_by_hop_are_the_named_ones_and_those_that_connection_lists) {
    struct field list[] = {field_of("Connection", "close, X-Mine")};
    struct fields fields = {.list = list, .n = 1};
    static const char *const hop[] = {
        "connection",
        "Keep-Alive",
        "proxy-authenticate",
        "Proxy-Authorization",
        "proxy-connection",
        "TE",
        "trailer",
        "proxy-authentication-info",
        "Transfer-Encoding",
        "upgrade",
        "content-length",
        "expect",
        "x-mine",
        "X-MINE",
        "transfer_encoding",
        "Content_Length",
        "Proxy_Authorization",
    };
    static const char *const whole[] = {"x-mine2", "proxy-status",  "content-type",
                                        "accept",  "authorization", "x-min"};
    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        struct field field = field_of(hop[i], "v");
        ck_assert_msg(field_is_hop_by_hop(&field, fields), "%s", hop[i]);
    }
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        struct field field = field_of(whole[i], "v");
        ck_assert_msg(!field_is_hop_by_hop(&field, fields), "%s", whole[i]);
    }
}
END_TEST

START_TEST(gateway_owns_its_names_and_their_twins) {
    static const char *const owned[] = {
        "x-jotgate-sub",
        "X-Jotgate-",
        "x_jotgate_sub",
        "x-jotgate_role",
        "Sb-Forwarded-For",
        "sb_forwarded_for",
        "sb-api-key",
        "Forwarded",
        "X-Forwarded-For",
        "x_forwarded_for",
        "x-forwarded-anything",
        "fly-client-ip",
        "FLY_CLIENT_IP",
        "fly-replay-src",
        "x-api-key",
        "x_api_key",
        "via",
        "X-Request-Id",
        "x.forwarded.for",
        "x!api~key",
        "X-Real-IP",
        "true-client-ip",
        "True_Client_IP",
        "CF-Connecting-IP",
        "cf_connecting_ip",
        "Proxy",
        "x-original-url",
        "X_Rewrite_Url",
    };
    static const char *const free_names[] = {
        "x-jotgate",
        "forwarded-for",
        "x-forwarded",
        "fly",
        "flying-client",
        "api-key",
        "apikey",
        "x-api-keys",
        "vias",
        "",
        "authorization",
        "x-request-idx",
        "sb-api-key2",
        "xx-forwarded-for",
        "x--forwarded-for",
    };
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
        ck_assert_msg(field_is_gateway_owned(str_of(owned[i])), "%s", owned[i]);
    for (size_t i = 0; i < sizeof(free_names) / sizeof(free_names[0]); i++)
        ck_assert_msg(!field_is_gateway_owned(str_of(free_names[i])), "%s", free_names[i]);
}
END_TEST

START_TEST(answers_cannot_steer_fly) {
    ck_assert(field_is_forbidden_in_answer(STR("fly-replay")));
    ck_assert(field_is_forbidden_in_answer(STR("Fly-Replay-Cache")));
    ck_assert(field_is_forbidden_in_answer(STR("fly_replay")));
    ck_assert(field_is_forbidden_in_answer(STR("X-Jotgate-Sub")));
    ck_assert(!field_is_forbidden_in_answer(STR("flying")));
    ck_assert(!field_is_forbidden_in_answer(STR("x-request-id")));
    ck_assert(!field_is_forbidden_in_answer(STR("via")));
}
END_TEST

START_TEST(tokens_and_values_are_those_of_the_grammar) {
    ck_assert(is_token(STR("GET")));
    ck_assert(is_token(STR("!#$%&'*+-.^_`|~09azAZ")));
    ck_assert(!is_token(STR("")));
    ck_assert(!is_token(STR("a b")));
    ck_assert(!is_token(STR("a:")));
    ck_assert(!is_token(STR("caf\xc3\xa9")));
    ck_assert(is_field_value(STR("")));
    ck_assert(is_field_value(STR("a\tb caf\xc3\xa9")));
    ck_assert(!is_field_value(STR("a\r\nb: c")));
    ck_assert(!is_field_value(STR("a\0b")));
    ck_assert(!is_field_value(STR("a\x7f")));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http/fields");
    TCase *tests = tcase_create("fields");
    tcase_add_test(tests, every_known_name_finds_its_id_in_any_case);
    tcase_add_test(tests, names_that_only_look_known_are_others);
    tcase_add_test(tests, found_field_is_the_first_and_all_are_counted);
    tcase_add_test(tests, what_is_known_to_be_absent_is_not_looked_for);
    tcase_add_test(tests, list_has_whole_tokens_only);
    tcase_add_test(tests, hop_by_hop_are_the_named_ones_and_those_that_connection_lists);
    tcase_add_test(tests, gateway_owns_its_names_and_their_twins);
    tcase_add_test(tests, answers_cannot_steer_fly);
    tcase_add_test(tests, tokens_and_values_are_those_of_the_grammar);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
