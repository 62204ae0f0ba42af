/* SPDX-License-Identifier: MIT */
/* Proves http/head.h. Every head in this file is also fed cut in two at each place, from memory that moves meanwhile. */
#include "http/head.h"

#include <check.h>
#include <stdlib.h>

static struct head head, cut_head;
static char *moved;

static struct str copy_of(struct str bytes) {
    free(moved);
    moved = malloc(bytes.n + 1);
    if (bytes.n)
        memcpy(moved, bytes.at, bytes.n);
    return (struct str){moved, bytes.n};
}

static void same_head(const struct head *a, const struct head *b) {
    ck_assert(str_eq(a->method, b->method) && str_eq(a->target, b->target) &&
              str_eq(a->reason, b->reason));
    ck_assert(str_eq(a->host, b->host) && a->status == b->status && a->minor == b->minor &&
              a->framing == b->framing);
    ck_assert(a->body_bytes == b->body_bytes && a->keep_alive == b->keep_alive &&
              a->head_bytes == b->head_bytes);
    ck_assert(a->fields.n == b->fields.n && a->fields.absent == b->fields.absent);
    for (size_t i = 0; i < a->fields.n; i++) {
        const struct field *left = &a->fields.list[i], *right = &b->fields.list[i];
        ck_assert(str_eq(left->name, right->name) && str_eq(left->value, right->value) &&
                  left->id == right->id);
    }
    for (int id = 1; id < FIELD_ID_COUNT; id++) {
        struct fields all = {.list = a->fields.list, .n = a->fields.n};
        ck_assert_int_eq(a->fields.absent >> id & 1, !fields_find(all, (enum field_id)id));
    }
}

static enum head_verdict parse_limited(enum head_kind kind, struct str bytes,
                                       struct head_limits limits) {
    head_init(&head, kind, &limits);
    enum head_verdict verdict = head_parse(&head, bytes);
    for (size_t cut = 0; cut <= bytes.n; cut++) {
        head_init(&cut_head, kind, &limits);
        enum head_verdict first = head_parse(&cut_head, copy_of(str_first(bytes, cut)));
        if (first != HEAD_MORE)
            ck_assert_int_eq(first, verdict);
        ck_assert_int_eq(head_parse(&cut_head, copy_of(bytes)), verdict);
        if (verdict == HEAD_DONE)
            same_head(&head, &cut_head);
    }
    return verdict;
}

static enum head_verdict parse(enum head_kind kind, struct str bytes) {
    return parse_limited(kind, bytes, HEAD_LIMITS_DEFAULT);
}

struct row {
    struct str bytes;
    enum head_verdict verdict;
};
#define ROW(text, verdict) \
    { {text, sizeof(text) - 1}, verdict }
#define GET "GET / HTTP/1.1\r\nHost: x\r\n"

static void check_rows(enum head_kind kind, const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        enum head_verdict verdict = parse(kind, rows[i].bytes);
        ck_assert_msg(verdict == rows[i].verdict, "expected %d (%s), got %d (%s): " STR_FMT,
                      (int)rows[i].verdict, head_verdict_text(rows[i].verdict), (int)verdict,
                      head_verdict_text(verdict), STR_ARG(rows[i].bytes));
    }
}
#define CHECK_ROWS(kind, rows) check_rows((kind), (rows), sizeof(rows) / sizeof((rows)[0]))

START_TEST(request_is_read_into_its_parts) {
    struct str bytes =
        STR("POST /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nEmpty:\r\nX-Odd:\t two  words \t\r\n"
            "content-LENGTH: 12\r\nAccept:caf\xe9\r\n\r\nbody");
    ck_assert_int_eq(parse(HEAD_REQUEST, bytes), HEAD_DONE);
    ck_assert(str_eq(head.method, STR("POST")) && str_eq(head.target, STR("/a?b=c")));
    ck_assert_int_eq(head.minor, 1);
    ck_assert(str_eq(head.host, STR("example.com:8080")));
    ck_assert_uint_eq(head.fields.n, 5);
    ck_assert(str_eq(head.fields.list[1].name, STR("Empty")) && head.fields.list[1].value.n == 0);
    ck_assert_int_eq(head.fields.list[1].id, FIELD_OTHER);
    ck_assert(str_eq(head.fields.list[2].value, STR("two  words")));
    ck_assert(str_eq(head.fields.list[3].name, STR("content-LENGTH")));
    ck_assert_int_eq(head.fields.list[3].id, FIELD_CONTENT_LENGTH);
    ck_assert(str_eq(head.fields.list[4].value, STR("caf\xe9")));
    ck_assert_int_eq(head.framing, FRAMING_LENGTH);
    ck_assert_uint_eq(head.body_bytes, 12);
    ck_assert_uint_eq(head.head_bytes, bytes.n - 4);
    ck_assert(head.keep_alive && !head.expects_continue);
}
END_TEST

START_TEST(answer_is_read_into_its_parts) {
    ck_assert_int_eq(parse(HEAD_ANSWER, STR("HTTP/1.0 404 Not  Found\xa0\r\nX: y\r\n\r\nbody")),
                     HEAD_DONE);
    ck_assert_int_eq(head.status, 404);
    ck_assert_int_eq(head.minor, 0);
    ck_assert(str_eq(head.reason, STR("Not  Found\xa0")));
    ck_assert_int_eq(head.framing, FRAMING_UNTIL_CLOSE);
    ck_assert(!head.keep_alive);
    ck_assert_int_eq(parse(HEAD_ANSWER, STR("HTTP/1.1 200\r\n\r\n")), HEAD_DONE);
    ck_assert_uint_eq(head.reason.n, 0);
    ck_assert_int_eq(parse(HEAD_ANSWER, STR("HTTP/1.1 999 \r\n\r\n")), HEAD_DONE);
    ck_assert(head.status == 999 && head.reason.n == 0 && head.keep_alive);
}
END_TEST

START_TEST(one_empty_line_before_a_request_is_skipped) {
    static const struct row rows[] = {
        ROW("\r\n" GET "\r\n", HEAD_DONE),
        ROW("\r\n\r\n" GET "\r\n", HEAD_BAD_LINE),
        ROW("\n" GET "\r\n", HEAD_BAD_LINE),
        ROW("\r" GET "\r\n", HEAD_BAD_LINE),
        ROW("\r\n", HEAD_MORE),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
    ck_assert_int_eq(parse(HEAD_REQUEST, rows[0].bytes), HEAD_DONE);
    ck_assert_uint_eq(head.head_bytes, rows[0].bytes.n);
    ck_assert(str_eq(head.method, STR("GET")));
    ck_assert_int_eq(parse(HEAD_ANSWER, STR("\r\nHTTP/1.1 200 OK\r\n\r\n")), HEAD_BAD_LINE);
}
END_TEST

START_TEST(request_lines_have_one_form) {
    static const struct row rows[] = {
        ROW("", HEAD_MORE),
        ROW("G", HEAD_MORE),
        ROW("GET / HTTP/1.1\r\nHost: x\r\n\r", HEAD_MORE),
        ROW("GET / HTTP/1.0\r\n\r\n", HEAD_DONE),
        ROW("M-SEARCH * HTTP/1.1\r\nHost: x\r\n\r\n", HEAD_DONE),
        ROW("GET /\r\n", HEAD_BAD_LINE), /* 0.9 */
        ROW("GET / HTTP/0.9\r\n", HEAD_BAD_VERSION),
        ROW("GET / HTTP/1.2\r\n", HEAD_BAD_VERSION),
        ROW("GET / HTTP/2.0\r\n", HEAD_BAD_VERSION),
        ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HEAD_BAD_VERSION),
        ROW("GET / HTTP/1.32\r\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/11\r\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/1.\r\n", HEAD_BAD_LINE),
        ROW("GET / http/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/4294967295.255\r\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/1.1 \r\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/1.1\n", HEAD_BAD_LINE),
        ROW("GET / HTTP/1.1\rX", HEAD_BAD_LINE),
        ROW("GET  / HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /  HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW(" GET / HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET\t/ HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /a b HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /\x01 HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /\0 HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /\x7f HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET /caf\xc3\xa9 HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("GET HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("G(T / HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("G\x80T / HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW(" / HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("\x16\x03\x01\x02", HEAD_BAD_LINE), /* TLS spoken to a port without */
        ROW("12345678901234567890123456789012 / HTTP/1.0\r\n\r\n", HEAD_DONE),
        ROW("123456789012345678901234567890123 / HTTP/1.0\r\n\r\n", HEAD_BAD_LINE),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
}
END_TEST

START_TEST(status_lines_have_one_form) {
    static const struct row rows[] = {
        ROW("HTTP/1.1 100 Continue\r\n\r\n", HEAD_DONE),
        ROW("HTTP/1.1 20", HEAD_MORE),
        ROW("HTTP/1.1 200 a\tb\r\n\r\n", HEAD_DONE),
        ROW("HTTP/1.1 099 x\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 20 x\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 2000\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 200x\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 2 0 OK\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1  200 OK\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 -20 OK\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 \r\n", HEAD_BAD_LINE),
        ROW("HTTP/2 200\r\n", HEAD_BAD_LINE),
        ROW("HTTP/2.0 200\r\n", HEAD_BAD_VERSION),
        ROW("ICY 200 OK\r\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 200 OK\n", HEAD_BAD_LINE),
        ROW("HTTP/1.1 200 O\0K\r\n", HEAD_BAD_LINE),
        ROW("<html>\r\n", HEAD_BAD_LINE),
    };
    CHECK_ROWS(HEAD_ANSWER, rows);
}
END_TEST

START_TEST(field_lines_have_one_form) {
    static const struct row rows[] = {
        ROW(GET "A:b\r\nC: \r\nD:\te \r\n\r\n", HEAD_DONE),
        ROW(GET "A: b\xff\x80\r\n\r\n", HEAD_DONE),
        ROW(GET "A: b\n\r\n", HEAD_BAD_FIELD),         /* bare LF */
        ROW(GET "A: b\rC: d\r\n\r\n", HEAD_BAD_FIELD), /* bare CR */
        ROW(GET "A: b\r\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "\r\rX", HEAD_BAD_FIELD),
        ROW(GET "\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\r\n folded\r\n\r\n", HEAD_BAD_FIELD), /* folds */
        ROW(GET "A: b\r\n\tfolded\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\r\n \r\n\r\n", HEAD_BAD_FIELD),
        ROW("GET / HTTP/1.1\r\n Host: x\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A : b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A\t: b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET ": b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A(: b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A\x85: b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "\xa0"
                "A: b\r\n\r\n",
            HEAD_BAD_FIELD),
        ROW(GET "A\0: b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: \0b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\x0b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\x7f\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\x1b[31m\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "\"A\": b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "A: b\n\nGET / HTTP/1.1\r\nHost: y\r\n\r\n", HEAD_BAD_FIELD),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
}
END_TEST

START_TEST(host_is_there_once_and_well_formed) {
    static const struct row rows[] = {
        ROW("GET / HTTP/1.1\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", HEAD_BAD_HOST),
        ROW(GET "Host: x\r\n\r\n", HEAD_BAD_HOST),
        ROW(GET "hOST: y\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost: x/path\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost: x:80x\r\n\r\n", HEAD_BAD_HOST),
        ROW("GET / HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", HEAD_DONE),
        ROW("GET / HTTP/1.0\r\n\r\n", HEAD_DONE),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
    ck_assert_uint_eq(head.host.n, 0);
    ck_assert_int_eq(parse(HEAD_ANSWER, STR("HTTP/1.1 200 OK\r\nHost: @\r\nHost: @\r\n\r\n")),
                     HEAD_DONE);
}
END_TEST

START_TEST(content_length_is_one_number) {
    static const struct row rows[] = {
        ROW(GET "Content-Length: 0\r\n\r\n", HEAD_DONE),
        ROW(GET "Content-Length: 9223372036854775807\r\n\r\n", HEAD_DONE),
        ROW(GET "Content-Length: 9223372036854775808\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 18446744073709551616\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 18446744073709551617\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length:\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: +1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: -1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 0x1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1_0\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 010\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1Z\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1 0\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1.0\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: \xd9\xa1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1, 1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1,2\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", HEAD_BAD_LENGTH),
        ROW(GET "Content-Length: 1\r\ncontent-length: 2\r\n\r\n", HEAD_BAD_LENGTH),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
    static const struct row answers[] = {
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD_DONE),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", HEAD_BAD_LENGTH),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", HEAD_BAD_LENGTH),
    };
    CHECK_ROWS(HEAD_ANSWER, answers);
}
END_TEST

START_TEST(transfer_encoding_is_one_chunked_alone) {
    static const struct row rows[] = {
        ROW(GET "Transfer-Encoding: chunked\r\n\r\n", HEAD_DONE),
        ROW(GET "Transfer-Encoding: Chunked \r\n\r\n", HEAD_DONE),
        ROW(GET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_BAD_FRAMING),
        ROW(GET "transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", HEAD_BAD_FRAMING),
        ROW(GET "Transfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\n", HEAD_BAD_FRAMING),
        ROW(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            HEAD_BAD_FRAMING),
        ROW(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            HEAD_BAD_FRAMING),
        ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_BAD_FRAMING),
        ROW(GET "Transfer-Encoding: xchunked\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: chunkedx\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: ,chunked\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: chunked,\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: chunked, identity\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: gzip, chunked\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: chunked;a=b\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: \"chunked\"\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: \xa0"
                "chunked\r\n\r\n",
            HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: identity\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding:\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW(GET "Transfer-Encoding: \x0b"
                "chunked\r\n\r\n",
            HEAD_BAD_FIELD),
        ROW(GET "Transfer-Encoding:\r\n chunked\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "Transfer-Encoding : chunked\r\n\r\n", HEAD_BAD_FIELD),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
    static const struct row answers[] = {
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_DONE),
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            HEAD_BAD_FRAMING),
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", HEAD_UNKNOWN_CODING),
        ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_BAD_FRAMING),
    };
    CHECK_ROWS(HEAD_ANSWER, answers);
}
END_TEST

static bool lives_on(struct str bytes) {
    ck_assert_int_eq(parse(HEAD_REQUEST, bytes), HEAD_DONE);
    return head.keep_alive;
}

START_TEST(connection_lives_on_as_version_and_field_say) {
    ck_assert(lives_on(STR(GET "\r\n")));
    ck_assert(lives_on(STR(GET "Connection: keep-alive\r\n\r\n")));
    ck_assert(!lives_on(STR(GET "Connection: foo, CLOSE\r\n\r\n")));
    ck_assert(!lives_on(STR(GET "Connection: keep-alive\r\nConnection: close\r\n\r\n")));
    ck_assert(lives_on(STR(GET "Connection: closed\r\n\r\n")));
    ck_assert(!lives_on(STR("GET / HTTP/1.0\r\n\r\n")));
    ck_assert(lives_on(STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")));
    ck_assert(!lives_on(STR("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n")));
}
END_TEST

static enum head_verdict names_listed(int n) {
    struct buffer bytes = {0};
    ck_assert_int_eq(buffer_append(&bytes, STR(GET "Connection: a\r\nCONNECTION: a")), 0);
    for (int i = 2; i < n; i++)
        ck_assert_int_eq(buffer_append(&bytes, STR(",a")), 0);
    ck_assert_int_eq(buffer_append(&bytes, STR("\r\n\r\n")), 0);
    enum head_verdict verdict = parse(HEAD_REQUEST, buffer_bytes(&bytes));
    buffer_release(&bytes);
    return verdict;
}

START_TEST(connection_lists_few_names) {
    ck_assert_int_eq(names_listed(HEAD_CONNECTION_NAMES_MAX), HEAD_DONE);
    ck_assert_int_eq(names_listed(HEAD_CONNECTION_NAMES_MAX + 1), HEAD_TOO_LARGE);
}
END_TEST

START_TEST(only_continue_can_be_expected) {
    static const struct row rows[] = {
        ROW(GET "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", HEAD_DONE),
        ROW(GET "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD_DONE),
        ROW(GET "Expect: 200-ok\r\n\r\n", HEAD_BAD_EXPECTATION),
        ROW(GET "Expect: 100-continue, x\r\n\r\n", HEAD_BAD_EXPECTATION),
        ROW(GET "Expect:\r\n\r\n", HEAD_BAD_EXPECTATION),
        ROW(GET "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", HEAD_BAD_EXPECTATION),
        ROW("POST / HTTP/1.0\r\nExpect: whatever\r\n\r\n", HEAD_DONE),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
    ck_assert(parse(HEAD_REQUEST, rows[0].bytes) == HEAD_DONE && head.expects_continue);
    ck_assert(parse(HEAD_REQUEST, rows[1].bytes) == HEAD_DONE && head.expects_continue);
    ck_assert(parse(HEAD_REQUEST, rows[6].bytes) == HEAD_DONE && !head.expects_continue);
    ck_assert(parse(HEAD_REQUEST, STR(GET "Expect: 100-continue\r\n\r\n")) == HEAD_DONE &&
              !head.expects_continue);
}
END_TEST

START_TEST(each_limit_is_met_and_not_passed) {
    struct str line =
        STR("GET /345678 HTTP/1.1\r\nHost: x\r\n\r\n"); /* 20 bytes, 33 in all, 1 field */
    struct head_limits fits = {20, 33, 1};
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, fits), HEAD_DONE);
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, (struct head_limits){19, 33, 1}),
                     HEAD_TARGET_TOO_LONG);
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, (struct head_limits){20, 32, 1}),
                     HEAD_TOO_LARGE);
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, (struct head_limits){20, 33, 0}),
                     HEAD_TOO_LARGE);
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, (struct head_limits){20, 10, 1}),
                     HEAD_TOO_LARGE);
    ck_assert_int_eq(parse_limited(HEAD_REQUEST, line, (struct head_limits){0, 0, 0}),
                     HEAD_TOO_LARGE);
    ck_assert_int_eq(
        parse_limited(HEAD_ANSWER, STR("HTTP/1.1 200 OK\r\n\r\n"), (struct head_limits){14, 99, 1}),
        HEAD_TOO_LARGE);
}
END_TEST

START_TEST(endless_lines_end_at_the_limit) {
    static char long_head[70 * 1024];
    memset(long_head, 'a', sizeof(long_head));
    struct str bytes = {long_head, sizeof(long_head)};
    struct head_limits limits = HEAD_LIMITS_DEFAULT;
    head_init(&head, HEAD_REQUEST, &limits);
    ck_assert_int_eq(head_parse(&head, bytes), HEAD_BAD_LINE); /* an endless method */
    memcpy(long_head, "GET /", 5);
    head_init(&head, HEAD_REQUEST, &limits);
    ck_assert_int_eq(head_parse(&head, str_first(bytes, 16 * 1024)), HEAD_MORE);
    ck_assert_int_eq(head_parse(&head, bytes), HEAD_TARGET_TOO_LONG);
    memcpy(long_head, GET "A:", strlen(GET "A:"));
    head_init(&head, HEAD_REQUEST, &limits);
    ck_assert_int_eq(head_parse(&head, str_first(bytes, 64 * 1024 - 1)), HEAD_TOO_LARGE);
}
END_TEST

START_TEST(first_malformed_line_decides) {
    static const struct row rows[] = {
        ROW(GET "A : b\r\nHost: y\r\nContent-Length: x\r\n\r\n", HEAD_BAD_FIELD),
        ROW("GET / HTTP/3.0\r\nA : b\r\n\r\n", HEAD_BAD_VERSION),
        ROW(GET "Content-Length: x\r\nA : b", HEAD_MORE), /* meaning waits for the end */
        ROW(GET "Content-Length: x\r\nA : b\r\n", HEAD_BAD_FIELD),
    };
    CHECK_ROWS(HEAD_REQUEST, rows);
}
END_TEST

START_TEST(bytes_behind_the_head_are_left_alone) {
    ck_assert_int_eq(parse(HEAD_REQUEST, STR(GET "\r\n\x00\r\n\xffGET bad")), HEAD_DONE);
    ck_assert_uint_eq(head.head_bytes, strlen(GET "\r\n"));
}
END_TEST

START_TEST(head_that_failed_fails_again) {
    struct head_limits limits = HEAD_LIMITS_DEFAULT;
    static const struct row rows[] = {
        ROW("GET / HTTP/9.9\r\nHost: x\r\n\r\n", HEAD_BAD_VERSION),
        ROW(GET "A : b\r\n\r\n", HEAD_BAD_FIELD),
        ROW(GET "Host: x\r\n\r\n", HEAD_BAD_HOST),
    };
    for (size_t i = 0; i < 3; i++) {
        head_init(&head, HEAD_REQUEST, &limits);
        ck_assert_int_eq(head_parse(&head, rows[i].bytes), rows[i].verdict);
        ck_assert_int_eq(head_parse(&head, rows[i].bytes), rows[i].verdict);
    }
}
END_TEST

START_TEST(finished_head_follows_its_bytes) {
    struct head_limits limits = HEAD_LIMITS_DEFAULT;
    char here[] = GET "A: b\r\n\r\n", there[sizeof(here)];
    memcpy(there, here, sizeof(here));
    head_init(&head, HEAD_REQUEST, &limits);
    ck_assert_int_eq(head_parse(&head, str_of(here)), HEAD_DONE);
    ck_assert_int_eq(head_parse(&head, str_of(there)), HEAD_DONE);
    memset(here, '#', sizeof(here));
    ck_assert(str_eq(head.method, STR("GET")) && str_eq(head.host, STR("x")));
    ck_assert(str_eq(head.fields.list[1].value, STR("b")));
}
END_TEST

static enum framing framing_of(struct str answer, bool to_head) {
    ck_assert_int_eq(parse(HEAD_ANSWER, answer), HEAD_DONE);
    return head_answer_framing(&head, to_head);
}

START_TEST(answers_without_a_body_have_none) {
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), false),
                     FRAMING_LENGTH);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), true),
                     FRAMING_NONE);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 200 OK\r\n\r\n"), false), FRAMING_UNTIL_CLOSE);
    ck_assert_int_eq(
        framing_of(STR("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), false),
        FRAMING_CHUNKED);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n"), false),
                     FRAMING_NONE);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"), false),
                     FRAMING_NONE);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"), false),
                     FRAMING_NONE);
    ck_assert_int_eq(framing_of(STR("HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n"), false),
                     FRAMING_LENGTH);
    ck_assert_int_eq(parse(HEAD_REQUEST, STR(GET "\r\n")), HEAD_DONE);
    ck_assert_int_eq(head.framing, FRAMING_NONE);
}
END_TEST

START_TEST(every_verdict_has_words_and_an_answer) {
    for (int verdict = HEAD_DONE; verdict <= HEAD_TOO_LARGE; verdict++) {
        ck_assert_ptr_nonnull(head_verdict_text((enum head_verdict)verdict));
        bool is_error = verdict != HEAD_DONE && verdict != HEAD_MORE;
        ck_assert_int_eq(head_verdict_problem((enum head_verdict)verdict) != PROBLEM_NONE,
                         is_error);
    }
    ck_assert_int_eq(head_verdict_problem(HEAD_TARGET_TOO_LONG), PROBLEM_URI_TOO_LONG);
    ck_assert_int_eq(head_verdict_problem(HEAD_UNKNOWN_CODING), PROBLEM_NOT_IMPLEMENTED);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http/head");
    TCase *tests = tcase_create("head");
    tcase_add_test(tests, request_is_read_into_its_parts);
    tcase_add_test(tests, answer_is_read_into_its_parts);
    tcase_add_test(tests, one_empty_line_before_a_request_is_skipped);
    tcase_add_test(tests, request_lines_have_one_form);
    tcase_add_test(tests, status_lines_have_one_form);
    tcase_add_test(tests, field_lines_have_one_form);
    tcase_add_test(tests, host_is_there_once_and_well_formed);
    tcase_add_test(tests, content_length_is_one_number);
    tcase_add_test(tests, transfer_encoding_is_one_chunked_alone);
    tcase_add_test(tests, connection_lives_on_as_version_and_field_say);
    tcase_add_test(tests, connection_lists_few_names);
    tcase_add_test(tests, only_continue_can_be_expected);
    tcase_add_test(tests, each_limit_is_met_and_not_passed);
    tcase_add_test(tests, endless_lines_end_at_the_limit);
    tcase_add_test(tests, first_malformed_line_decides);
    tcase_add_test(tests, bytes_behind_the_head_are_left_alone);
    tcase_add_test(tests, head_that_failed_fails_again);
    tcase_add_test(tests, finished_head_follows_its_bytes);
    tcase_add_test(tests, answers_without_a_body_have_none);
    tcase_add_test(tests, every_verdict_has_words_and_an_answer);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(moved);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
