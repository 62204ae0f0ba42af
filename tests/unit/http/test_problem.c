/* SPDX-License-Identifier: MIT */
/* Proves http/problem.h. */
#include "http/problem.h"

#include "base/json.h"
#include <check.h>
#include <ctype.h>
#include <stdlib.h>

static struct doc *body_of(const struct problem_text *text) {
    struct buffer out = {0};
    char why[160];
    ck_assert_int_eq(problem_body(&out, text), 0);
    struct doc *doc = doc_parse(buffer_bytes(&out), why);
    ck_assert_msg(doc != NULL, "%s: " STR_FMT, why, STR_ARG(buffer_bytes(&out)));
    buffer_release(&out);
    return doc;
}

static bool member_is(const struct doc *doc, const char *name, const char *text) {
    return str_eq(node_string(node_member(doc_root(doc), name)), str_of(text));
}

START_TEST(every_problem_has_a_whole_row) {
#define X(id, lower_name, code_text, number, error, title_text) \
    { \
        const struct problem_row *row = problem_row(PROBLEM_##id); \
        ck_assert(str_eq_nocase(str_of(row->name), STR(#id))); \
        ck_assert(str_eq(str_of(row->code), STR(code_text)) && row->status == (number)); \
        ck_assert(str_eq(str_of(row->title), STR(title_text)) && \
                  str_eq(str_of(row->proxy_error), STR(error))); \
        for (const char *at = row->name; *at; at++) \
            ck_assert(islower(*at) || *at == '_'); \
        ck_assert(str_of(status_phrase(row->status)).n > 0 && row->status >= 400 && \
                  row->status < 600); \
    }
    PROBLEMS(X)
#undef X
    ck_assert_int_eq(problem_row(PROBLEM_RATE_LIMITED)->status, 429);
}
END_TEST

START_TEST(phrases_are_the_registered_ones) {
    ck_assert_str_eq(status_phrase(200), "OK");
    ck_assert_str_eq(status_phrase(429), "Too Many Requests");
    ck_assert_str_eq(status_phrase(505), "HTTP Version Not Supported");
    ck_assert_str_eq(status_phrase(546), "Unknown");
    ck_assert_str_eq(status_phrase(0), "Unknown");
    for (int id = PROBLEM_NONE + 1; id < PROBLEM_COUNT; id++)
        ck_assert_str_ne(status_phrase(problem_row((enum problem)id)->status), "Unknown");
}
END_TEST

START_TEST(body_reads_well_in_every_client) {
    struct problem_text text = {
        .problem = PROBLEM_NO_ROUTE, .message = STR("Nothing here"), .hint = STR("Look there")};
    struct doc *doc = body_of(&text);
    ck_assert(member_is(doc, "code", "no_route") && member_is(doc, "message", "Nothing here"));
    ck_assert(member_is(doc, "hint", "Look there") && member_is(doc, "detail", "Nothing here"));
    ck_assert(member_is(doc, "title", "No route for this path") &&
              member_is(doc, "type", "about:blank"));
    ck_assert_int_eq(node_kind(node_member(doc_root(doc), "details")), NODE_NULL);
    int64_t status;
    ck_assert(node_int(node_member(doc_root(doc), "status"), &status) && status == 404);
    ck_assert_ptr_null(node_member(doc_root(doc), "msg"));
    doc_free(doc);
}
END_TEST

START_TEST(body_for_auth_has_its_names_too) {
    struct problem_text text = {
        .problem = PROBLEM_RATE_LIMITED, .code = STR("over_request_rate_limit"), .for_auth = true};
    struct doc *doc = body_of(&text);
    ck_assert(member_is(doc, "code", "over_request_rate_limit") &&
              member_is(doc, "error_code", "over_request_rate_limit"));
    ck_assert(member_is(doc, "error", "over_request_rate_limit") &&
              member_is(doc, "msg", "Too many requests"));
    ck_assert(member_is(doc, "message", "Too many requests"));
    doc_free(doc);
}
END_TEST

START_TEST(hostile_text_stays_inside_its_string) {
    struct problem_text text = {.problem = PROBLEM_BAD_REQUEST,
                                .message = STR("\",\"code\":\"\r\n\x7f\xff"),
                                .details = STR("\\")};
    struct doc *doc = body_of(&text);
    ck_assert(member_is(doc, "code", "bad_request") && member_is(doc, "details", "\\"));
    ck_assert_uint_eq(node_count(doc_root(doc)), 8);
    doc_free(doc);
}
END_TEST

START_TEST(quota_has_its_registered_type) {
    struct problem_text text = {.problem = PROBLEM_RATE_LIMITED, .code = STR("quota_exceeded")};
    struct doc *doc = body_of(&text);
    ck_assert(
        member_is(doc, "type", "https://iana.org/assignments/http-problem-types#quota-exceeded"));
    doc_free(doc);
}
END_TEST

int main(void) {
    json_seed();
    Suite *suite = suite_create("http/problem");
    TCase *tests = tcase_create("problem");
    tcase_add_test(tests, every_problem_has_a_whole_row);
    tcase_add_test(tests, phrases_are_the_registered_ones);
    tcase_add_test(tests, body_reads_well_in_every_client);
    tcase_add_test(tests, body_for_auth_has_its_names_too);
    tcase_add_test(tests, hostile_text_stays_inside_its_string);
    tcase_add_test(tests, quota_has_its_registered_type);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
