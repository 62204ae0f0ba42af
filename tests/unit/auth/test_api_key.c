/* SPDX-License-Identifier: MIT */
#include "auth/api_key.h"

#include "suite.h"
#include <errno.h>

/* sha256("jg_...") and the check characters of 32 zero bytes, from another implementation. */
#define ZERO_KEY "jg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZmh6"

static bool is_good(const char *text) { return api_key_is_well_formed(str_of(text)); }

START_TEST(a_new_key_is_well_formed_and_unlike_any_other) {
    char first[API_KEY_BYTES + 1], second[API_KEY_BYTES + 1];
    ck_assert(api_key_new(first) && api_key_new(second));
    ck_assert_uint_eq(strlen(first), API_KEY_BYTES);
    ck_assert(is_good(first) && is_good(second));
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(check_characters_are_the_start_of_the_digest) { ck_assert(is_good(ZERO_KEY)); }
END_TEST

START_TEST(one_mistyped_character_is_noticed) {
    char text[API_KEY_BYTES + 1];
    ck_assert(api_key_new(text));
    for (size_t i = 0; i < API_KEY_BYTES; i++) {
        char was = text[i];
        text[i] = was == 'x' ? 'y' : 'x';
        ck_assert_msg(!is_good(text), "%s", text);
        text[i] = was;
    }
}
END_TEST

START_TEST(other_forms_are_no_keys) {
    static const char *const texts[] = {
        "",
        "jg_",
        "JG_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZmh6",
        "jg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZmh",
        (ZERO_KEY "A"),
        (" " ZERO_KEY),
        "jg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=Zmh6",
        "sb_publishable_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(!is_good(texts[i]), "%s", texts[i]);
}
END_TEST

START_TEST(id_is_the_sha256_in_hex) {
    char id[API_KEY_ID_BYTES + 1];
    ck_assert(api_key_id(STR("abc"), id)); /* FIPS 180-2, B.1 */
    ck_assert_str_eq(id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

/* ---- records */

static const char *written(const struct api_key_record *record) {
    static struct buffer out;
    buffer_clear(&out);
    ck_assert_int_eq(api_key_record_write(record, &out), 0);
    ck_assert_int_eq(buffer_append_byte(&out, '\0'), 0);
    return buffer_bytes(&out).at;
}

START_TEST(a_record_is_read_as_it_was_written) {
    struct arena arena;
    arena_init(&arena);
    struct api_key_record record = {.subject = STR("u\"1"),
                                    .plan = STR("pro"),
                                    .name = STR("build server"),
                                    .scopes = {STR("read"), STR("write:all")},
                                    .n_scopes = 2,
                                    .created_s = 5,
                                    .expires_s = 99};
    struct api_key_record back;
    const char *json = written(&record);
    ck_assert_str_eq(json, "{\"subject\":\"u\\\"1\",\"plan\":\"pro\",\"name\":\"build "
                           "server\",\"scopes\":[\"read\",\"write:all\"],\"created\":5,"
                           "\"expires\":99}");
    ck_assert_int_eq(api_key_record_read(&back, str_of(json), &arena), 0);
    ck_assert(str_eq(back.subject, record.subject) && str_eq(back.plan, record.plan) &&
              str_eq(back.name, record.name));
    ck_assert_uint_eq(back.n_scopes, 2);
    ck_assert(str_eq(back.scopes[1], STR("write:all")));
    ck_assert_int_eq(back.created_s, 5);
    ck_assert_int_eq(back.expires_s, 99);
    arena_fini(&arena);
}
END_TEST

START_TEST(what_is_no_record_lets_nobody_in) {
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"subject\":\"\"}",
        "{\"subject\":1}",
        "{\"subject\":\"a\",\"subject\":\"b\"}",
        "{\"subject\":\"a\",\"plan\":7}",
        "{\"subject\":\"a\",\"expires\":\"tomorrow\"}",
        "{\"subject\":\"a\",\"expires\":-1}",
        "{\"subject\":\"a\",\"scopes\":\"read\"}",
        "{\"subject\":\"a\",\"scopes\":[\"re ad\"]}",
        "{\"subject\":\"a\",\"scopes\":[\"a\\\"b\"]}",
        "{\"subject\":\"a\",\"scopes\":[1]}",
        "{\"subject\":\"a\",\"scopes\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
        "{\"subject\":\"a\"} x",
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct api_key_record record;
        ck_assert_msg(api_key_record_read(&record, str_of(texts[i]), &arena) == -EINVAL, "%s",
                      texts[i]);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(a_key_is_good_until_it_expires) {
    struct api_key_record record = {.expires_s = 100};
    ck_assert(!api_key_record_is_expired(&record, 99));
    ck_assert(api_key_record_is_expired(&record, 100));
    record.expires_s = 0;
    ck_assert(!api_key_record_is_expired(&record, INT64_MAX));
}
END_TEST

START_TEST(a_record_speaks_as_a_users_claims) {
    struct claim_paths paths = {0};
    struct claims *claims;
    int plan = claim_paths_add(&paths, STR("app_metadata.plan"));
    int scope = claim_paths_add(&paths, STR("scope"));
    struct api_key_record record = {.subject = STR("u1"),
                                    .plan = STR("pro"),
                                    .scopes = {STR("a"), STR("b")},
                                    .n_scopes = 2,
                                    .created_s = 7};
    ck_assert_int_eq(api_key_claims(&record, &paths, &claims), 0);
    ck_assert(str_eq(claims_subject(claims), STR("u1")));
    ck_assert(str_eq(claims_role(claims), STR("authenticated")));
    ck_assert_int_eq(claims_issued_s(claims), 7);
    ck_assert(str_eq(claims_value(claims, (size_t)plan, 0), STR("pro")));
    ck_assert(str_eq(claims_value(claims, (size_t)scope, 0), STR("a b")));
    claims_unref(claims);
    record.subject = STR("line\nbreak");
    ck_assert_int_eq(api_key_claims(&record, &paths, &claims), -EINVAL);
}
END_TEST

START_TEST(a_payload_names_issuer_audience_and_times) {
    struct buffer out = {0};
    struct api_key_record record = {.subject = STR("u1")};
    ck_assert_int_eq(api_key_payload(&record, STR("https://p/auth/v1"), 1000, 60, &out), 0);
    ck_assert(str_eq(buffer_bytes(&out),
                     STR("{\"iss\":\"https://p/auth/v1\",\"aud\":\"authenticated\",\"iat\":1000,"
                         "\"exp\":1060,\"sub\":\"u1\",\"role\":\"authenticated\"}")));
    buffer_release(&out);
}
END_TEST

SUITE_MAIN("auth/api_key", a_new_key_is_well_formed_and_unlike_any_other,
           check_characters_are_the_start_of_the_digest, one_mistyped_character_is_noticed,
           other_forms_are_no_keys, id_is_the_sha256_in_hex, a_record_is_read_as_it_was_written,
           what_is_no_record_lets_nobody_in, a_key_is_good_until_it_expires,
           a_record_speaks_as_a_users_claims, a_payload_names_issuer_audience_and_times)
