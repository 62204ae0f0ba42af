/* SPDX-License-Identifier: MIT */
#include "base/json_string.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "suite.h"

CLEANUP_FUNCTION(struct doc, doc_free)
#define DOC           CLEANUP(doc_freep) struct doc
#define BUFFER        CLEANUP(buffer_release) struct buffer
#define EACH(list, i) (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++)

START_TEST(strings_are_written_escaped) {
    static const struct {
        struct str in, out;
    } EXAMPLES[] = {
        {STR_NONE, STR("\"\"")},
        {STR("plain text/~"), STR("\"plain text/~\"")},
        {STR("\"\\\b\f\n\r\t"), STR("\"\\\"\\\\\\b\\f\\n\\r\\t\"")},
        {STR("\0\x01\x1f\x7f"), STR("\"\\u0000\\u0001\\u001f\\u007f\"")},
        {STR("\xc2\x80\xc2\x9b\xc2\xa0"), STR("\"\\u0080\\u009b\xc2\xa0\"")},
        {STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
         STR("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")},
        {STR("\xf4\x8f\xbf\xbf\xed\x9f\xbf"), STR("\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\"")},
    };
    for
        EACH(EXAMPLES, i) {
            BUFFER out = {0};
            ck_assert_int_eq(put_json_string(&out, EXAMPLES[i].in), 0);
            ck_assert_msg(str_eq(buffer_bytes(&out), EXAMPLES[i].out), "%zu: " STR_FMT, i,
                          STR_ARG(buffer_bytes(&out)));
        }
}
END_TEST

START_TEST(broken_utf8_becomes_the_replacement_character) {
    static const struct str BAD[] = {
        STR("\x80"),
        STR("\xbf"),
        STR("\xc0\xaf"),
        STR("\xc1\xbf"),
        STR("\xc3"),
        STR("\xe0\x9f\xbf"),
        STR("\xe2\x82"),
        STR("\xed\xa0\x80"),
        STR("\xf0\x8f\xbf\xbf"),
        STR("\xf4\x90\x80\x80"),
        STR("\xf5\x80\x80\x80"),
        STR("\xf0\x9f\x98"),
        STR("\xfe"),
        STR("\xff"),
        STR("\xc3\x28"),
        STR("\xe2\x28\xa1"),
    };
    for
        EACH(BAD, i) {
            BUFFER out = {0};
            ck_assert(!json_is_utf8(BAD[i]));
            ck_assert_int_eq(put_json_string(&out, BAD[i]), 0);
            ck_assert(str_starts(buffer_bytes(&out), STR("\"\xef\xbf\xbd")));
            DOC *doc = doc_parse(buffer_bytes(&out), NULL);
            ck_assert_msg(doc != NULL, "%zu", i);
        }
}
END_TEST

START_TEST(every_two_bytes_are_written_as_valid_json) {
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            char bytes[] = {(char)first, (char)second};
            BUFFER out = {0};
            ck_assert_int_eq(put_json_string(&out, (struct str){bytes, 2}), 0);
            DOC *doc = doc_parse(buffer_bytes(&out), NULL);
            /* jansson refuses NUL also where it is escaped. */
            ck_assert(doc || first == 0 || second == 0);
        }
    }
}
END_TEST

START_TEST(every_byte_is_written_among_plain_ones_as_it_is_alone) {
    for (int byte = 0; byte < 256; byte++) {
        char alone = (char)byte;
        BUFFER one = {0};
        ck_assert_int_eq(put_json_string(&one, (struct str){&alone, 1}), 0);
        for (size_t at = 0; at < 17; at++) {
            char among[17];
            BUFFER all = {0};
            memset(among, '~', sizeof(among));
            among[at] = alone;
            ck_assert_int_eq(put_json_string(&all, (struct str){among, sizeof(among)}), 0);
            struct str written = buffer_bytes(&all);
            ck_assert_uint_eq(written.n, buffer_length(&one) + 16);
            ck_assert_mem_eq(written.at + 1 + at, one.at + 1, buffer_length(&one) - 2);
        }
    }
}
END_TEST

START_TEST(room_of_the_stated_size_is_enough) {
    static const struct str WORST[] = {STR_NONE, STR("\x7f\x7f\x7f"), STR("\x01"), STR("\xff\xff")};
    for
        EACH(WORST, i) {
            char *room = malloc(JSON_STRING_MAX(WORST[i].n));
            BUFFER out = {0};
            ck_assert_int_eq(put_json_string(&out, WORST[i]), 0);
            char *end = json_string_write(room, WORST[i]);
            ck_assert(str_eq((struct str){room, (size_t)(end - room)}, buffer_bytes(&out)));
            free(room);
        }
}
END_TEST

SUITE_MAIN("base/json_string", strings_are_written_escaped,
           broken_utf8_becomes_the_replacement_character, every_two_bytes_are_written_as_valid_json,
           every_byte_is_written_among_plain_ones_as_it_is_alone, room_of_the_stated_size_is_enough)
