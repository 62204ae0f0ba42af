/* SPDX-License-Identifier: MIT */
/* Proves io/redis_codec.h. tests/fuzz/fuzz_redis.c does the same with any bytes. */
#include "io/redis_codec.h"
#include "suite.h"
#include <stdio.h>

#define MAX_BYTES 1024

static struct redis_decoder *fed(const char *text) {
    struct redis_decoder *decoder = redis_decoder_new(MAX_BYTES);
    ck_assert_ptr_nonnull(decoder);
    ck_assert_int_eq(redis_decoder_feed(decoder, str_of(text)), 0);
    return decoder;
}

static const struct redis_reply *next(struct redis_decoder *decoder) {
    const struct redis_reply *reply;
    ck_assert_int_eq(redis_decode(decoder, &reply), REDIS_DECODED);
    ck_assert_ptr_nonnull(reply);
    return reply;
}

static enum redis_decoded verdict_on(const char *text) {
    const struct redis_reply *reply;
    struct redis_decoder *decoder = fed(text);
    enum redis_decoded verdict;
    while ((verdict = redis_decode(decoder, &reply)) == REDIS_DECODED)
        continue;
    ck_assert_ptr_null(reply);
    /* A stream that is of no use stays so. */
    ck_assert_int_eq(redis_decoder_feed(decoder, STR("+OK\r\n")), 0);
    if (verdict != REDIS_DECODED_MORE)
        ck_assert_int_eq(redis_decode(decoder, &reply), verdict);
    redis_decoder_free(decoder);
    return verdict;
}

START_TEST(commands_are_arrays_of_strings_and_any_byte_may_be_in_them) {
    struct buffer out = {0};
    const struct str arguments[] = {STR("SET"), STR("k\r\n\0"), STR_NONE};
    ck_assert_int_eq(redis_encode(&out, arguments, 3), 0);
    ck_assert(str_eq(buffer_bytes(&out), STR("*3\r\n$3\r\nSET\r\n$4\r\nk\r\n\0\r\n$0\r\n\r\n")));
    buffer_release(&out);
}
END_TEST

START_TEST(replies_of_every_kind_are_told_apart) {
    struct redis_decoder *decoder =
        fed("+OK\r\n-ERR no\r\n:-7\r\n$3\r\nabc\r\n$-1\r\n*0\r\n*-1\r\n");
    const struct redis_reply *reply = next(decoder);
    ck_assert(reply->kind == REPLY_STATUS && str_eq(reply->text, STR("OK")));
    reply = next(decoder);
    ck_assert(reply->kind == REPLY_ERROR && str_eq(reply->text, STR("ERR no")));
    reply = next(decoder);
    ck_assert(reply->kind == REPLY_INTEGER && reply->integer == -7);
    reply = next(decoder);
    ck_assert(reply->kind == REPLY_STRING && str_eq(reply->text, STR("abc")));
    ck_assert_int_eq(next(decoder)->kind, REPLY_NIL);
    reply = next(decoder);
    ck_assert(reply->kind == REPLY_ARRAY && reply->n == 0);
    ck_assert_int_eq(next(decoder)->kind, REPLY_NIL);
    ck_assert_int_eq(redis_decode(decoder, &reply), REDIS_DECODED_MORE);
    redis_decoder_free(decoder);
}
END_TEST

START_TEST(arrays_nest) {
    struct redis_decoder *decoder = fed("*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n+x\r\n");
    const struct redis_reply *reply = next(decoder);
    ck_assert(reply->kind == REPLY_ARRAY && reply->n == 3);
    ck_assert_int_eq(reply->list[0].integer, 1);
    ck_assert_uint_eq(reply->list[1].n, 2);
    ck_assert(str_eq(reply->list[1].list[0].text, STR("a")));
    ck_assert_int_eq(reply->list[1].list[1].kind, REPLY_NIL);
    ck_assert(str_eq(reply->list[2].text, STR("x")));
    redis_decoder_free(decoder);
}
END_TEST

START_TEST(replies_may_come_byte_by_byte) {
    static const char text[] = "*2\r\n$5\r\nhello\r\n:42\r\n";
    struct redis_decoder *decoder = redis_decoder_new(MAX_BYTES);
    const struct redis_reply *reply = NULL;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        ck_assert_int_eq(redis_decoder_feed(decoder, (struct str){text + i, 1}), 0);
        enum redis_decoded verdict = redis_decode(decoder, &reply);
        ck_assert_int_eq(verdict, i + 2 == sizeof(text) ? REDIS_DECODED : REDIS_DECODED_MORE);
    }
    ck_assert(str_eq(reply->list[0].text, STR("hello")) && reply->list[1].integer == 42);
    redis_decoder_free(decoder);
}
END_TEST

START_TEST(what_is_not_the_protocol_is_bad) {
    ck_assert_int_eq(verdict_on("HTTP/1.1 400 Bad Request\r\n"), REDIS_DECODED_BAD);
    ck_assert_int_eq(verdict_on("+OK\r\nnonsense\r\n"), REDIS_DECODED_BAD);
    ck_assert_int_eq(verdict_on("$abc\r\n"), REDIS_DECODED_BAD);
    ck_assert_int_eq(
        verdict_on("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
        REDIS_DECODED_BAD);
    ck_assert_int_eq(verdict_on("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), REDIS_DECODED_MORE);
    ck_assert_int_eq(verdict_on("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
                     REDIS_DECODED_BAD);
    ck_assert_int_eq(verdict_on("%1\r\n+a\r\n+b\r\n"), REDIS_DECODED_BAD); /* RESP3 */
    ck_assert_int_eq(verdict_on("*1\r\n,1.5\r\n"), REDIS_DECODED_BAD);
}
END_TEST

START_TEST(what_is_larger_than_agreed_is_huge_before_it_has_come) {
    ck_assert_int_eq(verdict_on("*1000000000\r\n"), REDIS_DECODED_HUGE);
    ck_assert_int_eq(verdict_on("*200\r\n*200\r\n"), REDIS_DECODED_HUGE);
    char text[MAX_BYTES + 64];
    int n = snprintf(text, sizeof(text), "$1000000\r\n");
    memset(text + n, 'x', MAX_BYTES);
    text[n + MAX_BYTES] = '\0';
    ck_assert_int_eq(verdict_on(text), REDIS_DECODED_HUGE);
}
END_TEST

START_TEST(many_replies_at_once_are_not_huge) {
    struct redis_decoder *decoder = redis_decoder_new(MAX_BYTES);
    const struct redis_reply *reply;
    for (int i = 0; i < 10 * MAX_BYTES; i++)
        ck_assert_int_eq(redis_decoder_feed(decoder, STR(":1\r\n")), 0);
    for (int i = 0; i < 10 * MAX_BYTES; i++)
        ck_assert_int_eq(next(decoder)->integer, 1);
    ck_assert_int_eq(redis_decode(decoder, &reply), REDIS_DECODED_MORE);
    redis_decoder_free(decoder);
}
END_TEST

SUITE_MAIN("io/redis_codec", commands_are_arrays_of_strings_and_any_byte_may_be_in_them,
           replies_of_every_kind_are_told_apart, arrays_nest, replies_may_come_byte_by_byte,
           what_is_not_the_protocol_is_bad, what_is_larger_than_agreed_is_huge_before_it_has_come,
           many_replies_at_once_are_not_huge)
