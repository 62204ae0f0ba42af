/* SPDX-License-Identifier: MIT */
#include "base/base64url.h"

#include "base/hash.h"
#include "suite.h"

static bool decodes_to(struct str text, struct str bytes) {
    unsigned char out[256];
    size_t n;
    return base64url_decode(text, out, &n) && str_eq((struct str){(char *)out, n}, bytes);
}

static bool is_refused(struct str text) {
    unsigned char out[256];
    size_t n;
    return !base64url_decode(text, out, &n);
}

START_TEST(published_examples_go_both_ways) {
    static const struct {
        struct str bytes, text;
    } EXAMPLES[] = {
        /* RFC 4648 10, without the padding */
        {STR(""), STR("")},
        {STR("f"), STR("Zg")},
        {STR("fo"), STR("Zm8")},
        {STR("foo"), STR("Zm9v")},
        {STR("foob"), STR("Zm9vYg")},
        {STR("fooba"), STR("Zm9vYmE")},
        {STR("foobar"), STR("Zm9vYmFy")},
        /* RFC 7515 Appendix C */
        {STR("\x03\xec\xff\xe0\xc1"), STR("A-z_4ME")},
    };
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
        char out[64];
        size_t n = base64url_encode(EXAMPLES[i].bytes, out);
        ck_assert(str_eq((struct str){out, n}, EXAMPLES[i].text));
        ck_assert(decodes_to(EXAMPLES[i].text, EXAMPLES[i].bytes));
    }
}
END_TEST

START_TEST(random_bytes_of_every_length_survive_in_exact_memory) {
    for (size_t length = 0; length < 200; length++) {
        char *bytes = malloc(length + 1), *text = malloc(BASE64URL_ENCODED_MAX(length));
        random_bytes(bytes, length);
        size_t text_n = base64url_encode((struct str){bytes, length}, text);
        unsigned char *out = malloc(BASE64URL_DECODED_MAX(text_n));
        size_t n;
        ck_assert(base64url_decode((struct str){text, text_n}, out, &n));
        ck_assert_uint_eq(n, length);
        ck_assert_int_eq(memcmp(out, bytes, length), 0);
        free(bytes);
        free(text);
        free(out);
    }
}
END_TEST

START_TEST(foreign_character_is_refused_at_every_place) {
    for (size_t length = 2; length <= 11; length++) {
        for (size_t at = 0; at < length && length % 4 != 1; at++) {
            for (int c = 0; c < 256; c++) {
                char text[12] = "AAAAAAAAAAA";
                text[at] = (char)c;
                bool is_ours = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                               (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
                if (!is_ours)
                    ck_assert(is_refused((struct str){text, length}));
            }
        }
    }
}
END_TEST

START_TEST(padding_white_space_and_the_other_alphabet_are_refused) {
    static const struct str BAD[] = {STR("Zg=="),     STR("Zm8="),   STR("Zm9v="), STR("=Zm9v"),
                                     STR("Zm9v\n"),   STR(" Zm9v"),  STR("Zm 9"),  STR("A+z/"),
                                     STR("Zm9v\0\0"), STR("Zm9v.."), STR("===="),  STR("\xff\xff")};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        ck_assert_msg(is_refused(BAD[i]), "%zu: " STR_FMT, i, STR_ARG(BAD[i]));
}
END_TEST

START_TEST(length_of_one_too_many_is_refused) {
    char text[64];
    memset(text, 'A', sizeof(text));
    for (size_t n = 0; n < sizeof(text); n++)
        ck_assert_int_eq(is_refused((struct str){text, n}), n % 4 == 1);
}
END_TEST

START_TEST(no_two_texts_have_the_same_bytes) {
    /* Whatever decodes, encodes to itself: all texts of two characters, and the last of three. */
    size_t n_accepted = 0;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            for (size_t n = 2; n <= 3; n++) {
                struct str text = {
                    n == 2 ? (char[]){(char)a, (char)b, 0} : (char[]){'Q', (char)a, (char)b}, n};
                unsigned char out[BASE64URL_DECODED_MAX(3)];
                char again[BASE64URL_ENCODED_MAX(3)];
                size_t length;
                if (!base64url_decode(text, out, &length))
                    continue;
                n_accepted++;
                size_t back = base64url_encode((struct str){(char *)out, length}, again);
                ck_assert(str_eq((struct str){again, back}, text));
            }
        }
    }
    ck_assert_uint_eq(n_accepted, 64 * 4 + 64 * 16);
}
END_TEST

SUITE_MAIN("base/base64url", published_examples_go_both_ways,
           random_bytes_of_every_length_survive_in_exact_memory,
           foreign_character_is_refused_at_every_place,
           padding_white_space_and_the_other_alphabet_are_refused,
           length_of_one_too_many_is_refused, no_two_texts_have_the_same_bytes)
