/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/cleanup.h"
#include "suite.h"

#include <errno.h>

CLEANUP_FUNCTION(struct doc, doc_free)
#define DOC           CLEANUP(doc_freep) struct doc
#define BUFFER        CLEANUP(buffer_release) struct buffer
#define EACH(list, i) (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++)

START_TEST(values_of_every_kind_are_read) {
    DOC *doc = doc_parse(STR("{\"s\":\"a\\u00e9\",\"i\":-7,\"r\":2.5,\"t\":true,\"f\":false,"
                             "\"n\":null,\"a\":[1,[]],\"o\":{}}"),
                         NULL);
    const struct node *root = doc_root(doc);
    int64_t integer;
    double real;
    ck_assert(str_eq(node_string(node_member(root, "s")), STR("a\xc3\xa9")));
    ck_assert(node_int(node_member(root, "i"), &integer) && integer == -7);
    ck_assert(node_number(node_member(root, "i"), &real) && real <= -7 && real >= -7);
    ck_assert(node_number(node_member(root, "r"), &real) && real >= 2.5 && real <= 2.5);
    ck_assert(node_bool(node_member(root, "t")) && !node_bool(node_member(root, "f")));
    ck_assert_int_eq(node_kind(node_member(root, "n")), NODE_NULL);
    ck_assert_int_eq(node_kind(node_member(root, "f")), NODE_BOOL);
    ck_assert_int_eq(node_kind(node_member(root, "r")), NODE_NUMBER);
    ck_assert_int_eq(node_kind(node_member(root, "s")), NODE_STRING);
    ck_assert_int_eq(node_kind(node_at(node_member(root, "a"), 1)), NODE_ARRAY);
    ck_assert_int_eq(node_kind(root), NODE_OBJECT);
    ck_assert_uint_eq(node_count(node_member(root, "a")), 2);
    ck_assert_uint_eq(node_count(root), 8);
}
END_TEST

START_TEST(absent_and_mistyped_nodes_read_as_nothing) {
    DOC *doc = doc_parse(STR("{\"s\":\"7\",\"r\":7.0,\"a\":[]}"), NULL);
    const struct node *root = doc_root(doc), *absent = node_member(root, "x");
    int64_t integer = 1;
    double real = 1;
    ck_assert_int_eq(node_kind(absent), NODE_ABSENT);
    ck_assert_ptr_null(node_member(absent, "x"));
    ck_assert_ptr_null(node_member(node_member(root, "s"), "x"));
    ck_assert_ptr_null(node_at(absent, 0));
    ck_assert_ptr_null(node_at(node_member(root, "a"), 0));
    ck_assert_ptr_null(node_at(root, 0));
    ck_assert_uint_eq(node_count(absent) + node_count(node_member(root, "s")), 0);
    ck_assert_ptr_null(node_string(absent).at);
    ck_assert_ptr_null(node_string(node_member(root, "r")).at);
    ck_assert(!node_bool(absent) && !node_bool(node_member(root, "s")));
    ck_assert(!node_int(absent, &integer) && !node_int(node_member(root, "s"), &integer));
    ck_assert(!node_int(node_member(root, "r"), &integer));
    ck_assert(!node_number(absent, &real) && !node_number(node_member(root, "s"), &real));
    ck_assert_ptr_null(node_path(NULL, STR("a.b")));
    doc_free(NULL);
}
END_TEST

START_TEST(any_single_value_is_a_document) {
    static const struct str GOOD[] = {STR("7"),         STR("\"x\""), STR("null"),
                                      STR(" [ ] \r\n"), STR("{}"),    STR("9223372036854775807")};
    for
        EACH(GOOD, i) {
            DOC *doc = doc_parse(GOOD[i], NULL);
            ck_assert_msg(doc != NULL, STR_FMT, STR_ARG(GOOD[i]));
        }
}
END_TEST

START_TEST(anything_else_is_refused_with_a_reason) {
    static const struct str BAD[] = {
        STR(""),
        STR_NONE,
        STR(" "),
        STR("{"),
        STR("{}{}"),
        STR("{} x"),
        STR("{}\0"),
        STR("nul"),
        STR("{\"a\":1,\"a\":2}"),
        STR("{\"a\":1,\"\\u0061\":2}"),
        STR("{\"o\":{\"b\":1,\"b\":1}}"),
        STR("\"\xff\""),
        STR("\"\xc0\x80\""),
        STR("\"\xed\xa0\x80\""),
        STR("\"\\ud800\""),
        STR("\"a\\u0000b\""),
        STR("{\"a\\u0000\":1}"),
        STR("\"a\0b\""),
        STR("\"a\nb\""),
        STR("01"),
        STR("+1"),
        STR("1."),
        STR(".5"),
        STR("0x1"),
        STR("NaN"),
        STR("Infinity"),
        STR("1e999"),
        STR("9223372036854775808"),
        STR("[1,]"),
        STR("{\"a\":1,}"),
        STR("{a:1}"),
        STR("'a'"),
        STR("/**/1"),
        STR("\xef\xbb\xbf{}"),
        STR("{\"a\"}"),
        STR("[1 2]"),
    };
    for
        EACH(BAD, i) {
            char why[160] = "";
            DOC *doc = doc_parse(BAD[i], why);
            ck_assert_msg(!doc, "%zu: " STR_FMT, i, STR_ARG(BAD[i]));
            ck_assert_int_ne(why[0], '\0');
            ck_assert_ptr_null(doc_parse(BAD[i], NULL));
        }
}
END_TEST

START_TEST(reason_never_quotes_the_document) {
    char why[160];
    DOC *doc = doc_parse(STR("{\"secret-member\":1,\"secret-member\":2}"), why);
    ck_assert_ptr_null(doc);
    ck_assert(!str_contains(str_of(why), STR("secret")));
    ck_assert(str_contains(str_of(why), STR("a member occurs twice")));
    ck_assert_ptr_null(doc_parse(STR("{\"a\": secret-word}"), why));
    ck_assert(!str_contains(str_of(why), STR("secret")));
}
END_TEST

START_TEST(nesting_is_bounded) {
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH), why[160];
    memset(text, '[', DEPTH);
    ck_assert_ptr_null(doc_parse((struct str){text, DEPTH}, why));
    ck_assert(str_contains(str_of(why), STR("nested too deep")));
    free(text);
}
END_TEST

START_TEST(path_goes_down_member_by_member) {
    DOC *doc = doc_parse(STR("{\"app_metadata\":{\"plan\":\"pro\",\"a\":{\"b\":1}},"
                             "\"x\":[{\"y\":1}],\"\":{\"\":true}}"),
                         NULL);
    const struct node *root = doc_root(doc);
    ck_assert(str_eq(node_string(node_path(root, STR("app_metadata.plan"))), STR("pro")));
    ck_assert_int_eq(node_kind(node_path(root, STR("app_metadata.a.b"))), NODE_NUMBER);
    ck_assert_int_eq(node_kind(node_path(root, STR("app_metadata"))), NODE_OBJECT);
    ck_assert(node_bool(node_path(root, STR("."))));
    ck_assert_ptr_null(node_path(root, STR("app_metadata.")));
    ck_assert_ptr_null(node_path(root, STR("app_metadata.plan.x")));
    ck_assert_ptr_null(node_path(root, STR(".app_metadata")));
    ck_assert_ptr_null(node_path(root, STR("x.y")));
    ck_assert_ptr_null(node_path(root, STR("x.0.y")));
    ck_assert_ptr_null(node_path(root, STR("plan")));
    ck_assert_ptr_null(node_path(root, STR("app_metadata.plan\0")));
}
END_TEST

START_TEST(member_named_by_the_whole_rest_of_the_path_wins) {
    DOC *doc = doc_parse(STR("{\"a.b\":1,\"a\":{\"b\":2,\"c.d\":3,\"c\":{\"d\":4}},"
                             "\"https://example.com/role\":5}"),
                         NULL);
    const struct node *root = doc_root(doc);
    int64_t value;
    ck_assert(node_int(node_path(root, STR("a.b")), &value) && value == 1);
    ck_assert(node_int(node_path(root, STR("a.c.d")), &value) && value == 3);
    ck_assert(node_int(node_path(root, STR("https://example.com/role")), &value) && value == 5);
}
END_TEST

START_TEST(members_come_in_the_order_of_the_document) {
    DOC *doc = doc_parse(STR("{\"z\":1,\"a\":2,\"m\":3}"), NULL);
    static const struct str NAMES[] = {STR("z"), STR("a"), STR("m")};
    void *cursor = NULL;
    struct str name;
    const struct node *value;
    for
        EACH(NAMES, i) {
            int64_t number;
            ck_assert(node_next(doc_root(doc), &cursor, &name, &value));
            ck_assert(str_eq(name, NAMES[i]));
            ck_assert(node_int(value, &number) && number == (int64_t)i + 1);
        }
    ck_assert(!node_next(doc_root(doc), &cursor, &name, &value));
    cursor = NULL;
    ck_assert(!node_next(NULL, &cursor, &name, &value));
}
END_TEST

START_TEST(nodes_are_written_compact_and_in_order) {
    static const struct str TEXTS[] = {
        STR("{\"b\":[1,-2,true,false,null],\"a\":{\"s\":\"q\\\"\xc3\xa9\\n\"}}"),
        STR("7"),
        STR("\"x\""),
        STR("[]"),
        STR("9223372036854775807"),
        STR("[0.5]"),
    };
    for
        EACH(TEXTS, i) {
            DOC *doc = doc_parse(TEXTS[i], NULL);
            BUFFER out = {0};
            ck_assert_int_eq(put_json_node(&out, doc_root(doc)), 0);
            ck_assert_msg(str_eq(buffer_bytes(&out), TEXTS[i]), STR_FMT,
                          STR_ARG(buffer_bytes(&out)));
        }
}
END_TEST

SUITE_MAIN("base/json", values_of_every_kind_are_read, absent_and_mistyped_nodes_read_as_nothing,
           any_single_value_is_a_document, anything_else_is_refused_with_a_reason,
           reason_never_quotes_the_document, nesting_is_bounded, path_goes_down_member_by_member,
           member_named_by_the_whole_rest_of_the_path_wins,
           members_come_in_the_order_of_the_document, nodes_are_written_compact_and_in_order)
