/* SPDX-License-Identifier: MIT */
/* Proves http/body.h. Every body in this file is also read cut in two at each place, and byte by byte. */
#include "http/body.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct buffer collected;
static size_t used_bytes;

/* Feeds one piece; true while the reader wants more. */
static bool feed(struct body_reader *reader, struct str piece, enum body_verdict *verdict) {
    struct str rest = piece, data;
    while ((*verdict = body_read(reader, &rest, &data)) == BODY_DATA) {
        ck_assert_uint_gt(data.n, 0);
        ck_assert_int_eq(buffer_append(&collected, data), 0);
    }
    used_bytes += piece.n - rest.n;
    return *verdict == BODY_MORE;
}

static enum body_verdict read_cut(enum framing framing, uint64_t n, struct str bytes, size_t cut) {
    struct body_reader reader;
    enum body_verdict verdict;
    body_reader_init(&reader, framing, n);
    buffer_clear(&collected);
    used_bytes = 0;
    if (feed(&reader, str_first(bytes, cut), &verdict))
        feed(&reader, str_skip(bytes, cut), &verdict);
    return verdict;
}

static enum body_verdict read_bytewise(enum framing framing, uint64_t n, struct str bytes) {
    struct body_reader reader;
    enum body_verdict verdict = BODY_MORE;
    body_reader_init(&reader, framing, n);
    buffer_clear(&collected);
    used_bytes = 0;
    for (size_t i = 0; i < bytes.n && verdict == BODY_MORE; i++)
        feed(&reader, str_first(str_skip(bytes, i), 1), &verdict);
    return verdict;
}

/* The verdict; `collected` and `used_bytes` are the same however the bytes were cut. */
static enum body_verdict read_all(enum framing framing, uint64_t n, struct str bytes) {
    enum body_verdict verdict = read_cut(framing, n, bytes, bytes.n);
    char *whole = malloc(buffer_length(&collected) + 1);
    struct str data = {whole, buffer_length(&collected)};
    if (data.n)
        memcpy(whole, buffer_bytes(&collected).at, data.n);
    size_t used = used_bytes;
    for (size_t cut = 0; cut <= bytes.n; cut++) {
        ck_assert_int_eq(read_cut(framing, n, bytes, cut), verdict);
        ck_assert(str_eq(data, buffer_bytes(&collected)) && used == used_bytes);
    }
    if (bytes.n > 0) {
        ck_assert_int_eq(read_bytewise(framing, n, bytes), verdict);
        ck_assert(str_eq(data, buffer_bytes(&collected)) && used == used_bytes);
    }
    free(whole);
    return verdict;
}

static enum body_verdict chunked(struct str bytes) { return read_all(FRAMING_CHUNKED, 0, bytes); }

START_TEST(chunks_are_joined_and_what_follows_is_left) {
    struct str bytes = STR("5\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\n\r\nGET");
    ck_assert_int_eq(chunked(bytes), BODY_DONE);
    ck_assert(str_eq(buffer_bytes(&collected), STR("hello world")));
    ck_assert_uint_eq(used_bytes, bytes.n - 3);
    ck_assert_int_eq(chunked(STR("a\r\n0123456789\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n")),
                     BODY_DONE);
    ck_assert_uint_eq(buffer_length(&collected), 20);
    ck_assert_int_eq(chunked(STR("0\r\n\r\n")), BODY_DONE);
    ck_assert_uint_eq(buffer_length(&collected), 0);
}
END_TEST

START_TEST(extensions_are_dropped) {
    static const char *const bodies[] = {
        "1;a\r\nx\r\n0;a=b;c=\"d;\\\" \xff\t\";e\r\n\r\n",
        "1;a=\"\"\r\nx\r\n0\r\n\r\n",
        "1;a;b;c=1\r\nx\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        ck_assert_msg(chunked(str_of(bodies[i])) == BODY_DONE, "%s", bodies[i]);
        ck_assert(str_eq(buffer_bytes(&collected), STR("x")));
    }
}
END_TEST

START_TEST(trailers_are_dropped) {
    struct str bytes =
        STR("1\r\nx\r\n0\r\nContent-Length: 5\r\nHost:y\r\nEmpty:\r\nX: \xff \t\r\n\r\n");
    ck_assert_int_eq(chunked(bytes), BODY_DONE);
    ck_assert(str_eq(buffer_bytes(&collected), STR("x")));
    ck_assert_uint_eq(used_bytes, bytes.n);
}
END_TEST

static void all_are(enum body_verdict expected, const struct str *bodies, size_t n) {
    for (size_t i = 0; i < n; i++) {
        enum body_verdict verdict = chunked(bodies[i]);
        ck_assert_msg(verdict == expected, "%d instead of %d: " STR_FMT, (int)verdict,
                      (int)expected, STR_ARG(bodies[i]));
    }
}
#define S(text) \
    { text, sizeof(text) - 1 }
#define ALL_ARE(expected, bodies) \
    all_are((expected), (bodies), sizeof(bodies) / sizeof((bodies)[0]))

START_TEST(unfinished_bodies_want_more) {
    static const struct str bodies[] = {
        S(""),
        S("5"),
        S("5\r"),
        S("5\r\n"),
        S("5\r\nhel"),
        S("5\r\nhello"),
        S("5\r\nhello\r"),
        S("5\r\nhello\r\n"),
        S("5;"),
        S("5;a=\"\\"),
        S("0\r\n"),
        S("0\r\n\r"),
        S("0\r\nA"),
        S("0\r\nA:"),
        S("0\r\nA: b\r\n\r"),
    };
    ALL_ARE(BODY_MORE, bodies);
}
END_TEST

START_TEST(sizes_are_hexadecimal_digits_and_nothing_else) {
    static const struct str bodies[] = {
        S("\r\n"),
        S("0x5\r\n"),
        S("+5\r\n"),
        S("-5\r\n"),
        S(" 5\r\n"),
        S("5 \r\n"),
        S("5\t\r\n"),
        S("5_0\r\n"),
        S("5these\r\n"),
        S("g\r\n"),
        S(";a\r\n"),
        S("5 ;a\r\n"),
        S("\xd9\xa5\r\n"),
        S("5\0\r\n"),
        S("\x0b"
          "5\r\n"),
        S("5,5\r\n"),
        S("5.\r\n"),
        S("00000000000000005\r\n"),
        S("10000000000000000\r\n"),
        S("ffffffffffffffff\r\n"),
        S("8000000000000000\r\n"),
        S("fffffffffffffffff"),
        S("00000000000000000"),
    };
    ALL_ARE(BODY_BAD, bodies);
    static const struct str good[] = {S("7fffffffffffffff\r\nx"), S("0000000000000005\r\nhel"),
                                      S("fFfF\r\n")};
    ALL_ARE(BODY_MORE, good);
}
END_TEST

START_TEST(lines_end_with_cr_lf_and_nothing_else) {
    static const struct str bodies[] = {
        S("5\nhello"),
        S("5\r\rhello"),
        S("5\rXhello"),
        S("5;a\nhello"),
        S("5;a\rb\nhello"),
        S("5\r\nhello\n"),
        S("5\r\nhelloXX"),
        S("5\r\nhello\rX"),
        S("5\r\nhello0\r\n\r\n"),
        S("5\r\nhello\r\n\r\n0\r\n\r\n"),
        S("0\r\n\n"),
        S("0\r\n\rX"),
        S("0\n\n"),
        S("0\r\nA: b\n\r\n"),
        S("0\r\nA: b\rC: d\r\n\r\n"),
        S("5\r\nhello\n\r\n"),
    };
    ALL_ARE(BODY_BAD, bodies);
}
END_TEST

START_TEST(extensions_are_well_formed) {
    static const struct str bodies[] = {
        S("5;\r\n"),           S("5;;a\r\n"),       S("5; a\r\n"),           S("5;a =b\r\n"),
        S("5;a= b\r\n"),       S("5;a=\r\n"),       S("5;=b\r\n"),           S("5;a=b=c\r\n"),
        S("5;a=\"\r\n\"\r\n"), S("5;a=\"\n\"\r\n"), S("5;a=\"\\\r\n\"\r\n"), S("5;a=\"b\"c\r\n"),
        S("5;a\0\r\n"),        S("5;a=\"\x7f\""),   S("5;a=(\r\n"),          S("5;\xff\r\n"),
        S("5;a=b\x85"),        S("5;a\"b\"\r\n"),
    };
    ALL_ARE(BODY_BAD, bodies);
}
END_TEST

START_TEST(trailers_are_well_formed) {
    static const struct str bodies[] = {
        S("0\r\n A: b\r\n\r\n"),   S("0\r\nA : b\r\n\r\n"),         S("0\r\n: b\r\n\r\n"),
        S("0\r\nA\r\n\r\n"),       S("0\r\nA: b\r\n fold\r\n\r\n"), S("0\r\nA: \0\r\n\r\n"),
        S("0\r\nA: \x7f\r\n\r\n"), S("0\r\n\x80: b\r\n\r\n"),       S("0\r\nA(: b\r\n\r\n"),
    };
    ALL_ARE(BODY_BAD, bodies);
}
END_TEST

/* How many bytes of `filler` the reader takes behind `start` before it refuses. */
static size_t bytes_until_refused(struct str start, struct str filler) {
    struct body_reader reader;
    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    struct str in = start, data;
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_MORE);
    for (size_t fed = 0; fed < 1000000; fed += filler.n) {
        in = filler;
        if (body_read(&reader, &in, &data) == BODY_BAD)
            return fed;
    }
    return SIZE_MAX;
}

START_TEST(extensions_and_trailers_are_bounded) {
    ck_assert_uint_le(bytes_until_refused(STR("1;a"), STR("a")), BODY_LINE_BYTES_MAX);
    ck_assert_uint_ge(bytes_until_refused(STR("1;a"), STR("a")), BODY_LINE_BYTES_MAX - 8);
    ck_assert_uint_le(bytes_until_refused(STR("1;a=\""), STR(" ")), BODY_LINE_BYTES_MAX);
    ck_assert_uint_le(bytes_until_refused(STR("0\r\n"), STR("A: b\r\n")), BODY_TRAILER_BYTES_MAX);
    ck_assert_uint_le(bytes_until_refused(STR("0\r\nA:"), STR("b")), BODY_TRAILER_BYTES_MAX);
    ck_assert_uint_ge(bytes_until_refused(STR("0\r\nA:"), STR("b")), BODY_TRAILER_BYTES_MAX - 8);
}
END_TEST

START_TEST(number_of_chunks_is_not_bounded) {
    struct body_reader reader;
    struct str in = STR_NONE, data;
    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    for (int i = 0; i < BODY_TRAILER_BYTES_MAX; i++) {
        in = STR("1\r\nx\r\n");
        ck_assert_int_eq(body_read(&reader, &in, &data), BODY_DATA);
        ck_assert_int_eq(body_read(&reader, &in, &data), BODY_MORE);
    }
    in = STR("0\r\n\r\n");
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_DONE);
}
END_TEST

START_TEST(bad_stays_bad_and_done_stays_done) {
    struct body_reader reader;
    struct str in = STR("x0\r\n\r\n"), data;
    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_BAD);
    in = STR("0\r\n\r\n");
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_BAD);
    ck_assert_uint_eq(in.n, 5);
    ck_assert(!body_reader_is_done(&reader) && !body_reader_at_close(&reader));

    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_DONE);
    in = STR("5\r\nhello");
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_DONE);
    ck_assert_uint_eq(in.n, 8);
    ck_assert(body_reader_is_done(&reader) && body_reader_at_close(&reader));
}
END_TEST

START_TEST(length_ends_the_body) {
    ck_assert_int_eq(read_all(FRAMING_LENGTH, 5, STR("helloGET")), BODY_DONE);
    ck_assert(str_eq(buffer_bytes(&collected), STR("hello")));
    ck_assert_uint_eq(used_bytes, 5);
    ck_assert_int_eq(read_all(FRAMING_LENGTH, 6, STR("hello")), BODY_MORE);
    ck_assert_int_eq(read_all(FRAMING_LENGTH, 0, STR("hello")), BODY_DONE);
    ck_assert_uint_eq(used_bytes, 0);
    ck_assert_int_eq(read_all(FRAMING_NONE, 0, STR("hello")), BODY_DONE);
    ck_assert_uint_eq(used_bytes, 0);
}
END_TEST

START_TEST(only_the_peers_close_ends_a_body_without_length) {
    struct body_reader reader;
    struct str in = STR("hello"), data;
    ck_assert_int_eq(read_all(FRAMING_UNTIL_CLOSE, 0, in), BODY_MORE);
    ck_assert(str_eq(buffer_bytes(&collected), STR("hello")));
    body_reader_init(&reader, FRAMING_UNTIL_CLOSE, 0);
    ck_assert(body_reader_at_close(&reader) && !body_reader_is_done(&reader));
    body_reader_init(&reader, FRAMING_LENGTH, 6);
    ck_assert_int_eq(body_read(&reader, &in, &data), BODY_DATA);
    ck_assert(!body_reader_at_close(&reader));
    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    ck_assert(!body_reader_at_close(&reader));
}
END_TEST

START_TEST(what_is_written_is_read_back) {
    struct buffer out = {0};
    static char long_run[0x12345];
    memset(long_run, '\r', sizeof(long_run));
    ck_assert_int_eq(body_write_chunk(&out, STR("hello")), 0);
    ck_assert(str_eq(buffer_bytes(&out), STR("5\r\nhello\r\n")));
    ck_assert_int_eq(body_write_chunk(&out, (struct str){long_run, sizeof(long_run)}), 0);
    ck_assert_int_eq(body_write_end(&out), 0);
    ck_assert_int_eq(read_cut(FRAMING_CHUNKED, 0, buffer_bytes(&out), 40), BODY_DONE);
    ck_assert_uint_eq(buffer_length(&collected), 5 + sizeof(long_run));
    ck_assert_uint_eq(used_bytes, buffer_length(&out));
    buffer_release(&out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("http/body");
    TCase *tests = tcase_create("body");
    tcase_add_test(tests, chunks_are_joined_and_what_follows_is_left);
    tcase_add_test(tests, extensions_are_dropped);
    tcase_add_test(tests, trailers_are_dropped);
    tcase_add_test(tests, unfinished_bodies_want_more);
    tcase_add_test(tests, sizes_are_hexadecimal_digits_and_nothing_else);
    tcase_add_test(tests, lines_end_with_cr_lf_and_nothing_else);
    tcase_add_test(tests, extensions_are_well_formed);
    tcase_add_test(tests, trailers_are_well_formed);
    tcase_add_test(tests, extensions_and_trailers_are_bounded);
    tcase_add_test(tests, number_of_chunks_is_not_bounded);
    tcase_add_test(tests, bad_stays_bad_and_done_stays_done);
    tcase_add_test(tests, length_ends_the_body);
    tcase_add_test(tests, only_the_peers_close_ends_a_body_without_length);
    tcase_add_test(tests, what_is_written_is_read_back);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buffer_release(&collected);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
