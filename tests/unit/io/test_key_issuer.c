/* SPDX-License-Identifier: MIT */
/* What becomes of a key set by what the issuer answers: kept, doubted, aged, replaced. */
#include "key_fixture.h"

/* What no key set is, and how it is told. */
static void refused(int code, const char *body, const char *error) {
    uint64_t before = status().n_failures;
    serve(code, body);
    refresh();
    ck_assert_uint_eq(n_published(), 2);
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_msg(keys()->last_fetch_failed, "%d %.40s", code, body);
    ck_assert_uint_eq(status().n_failures, before + 1);
    ck_assert_msg(strstr(status().error, error) != NULL, "%d %.40s: %s", code, body,
                  status().error);
}

START_TEST(old_set_stays_whatever_the_issuer_says_instead) {
    begin();
    start();
    refused(500, SET(KEY_A), "500");
    refused(429, SET(KEY_A), "429");
    refused(404, SET(KEY_A), "404");
    refused(204, "", "204");
    refused(301, SET(KEY_A), "301");
    refused(307, SET(KEY_A), "307");
    refused(304, "", "304"); /* without prior If-None-Match */
    refused(200, "<html>maintenance</html>", "");
    refused(200, "{\"keys\":[" KEY_A, "");
    refused(200, "", "empty");
    refused(200, "{}", "");
    refused(200, "{\"keys\":[],\"keys\":[" KEY_A "]}", "");
    ck_assert_int_eq(script.n_others, 0); /* no redirect was followed */
    serve(200, SET(KEY_A));
    refresh();
    ck_assert(!keys()->last_fetch_failed);
    ck_assert_uint_eq(n_published(), 1);
    ck_assert_str_eq(status().error, "");
    end();
}
END_TEST

START_TEST(document_of_more_than_a_mebibyte_or_a_hundred_keys_is_refused) {
    begin();
    start();
    struct buffer large = {0};
    ck_assert_int_eq(buffer_append(&large, STR("{\"keys\":[" KEY_A "]")), 0);
    while (buffer_length(&large) < 1024 * 1024)
        ck_assert_int_eq(buffer_append(&large, STR("                                ")), 0);
    ck_assert_int_eq(buffer_append(&large, STR("}\0")), 0);
    refused(200, large.at + large.head, "1 MiB");
    buffer_release(&large);

    struct buffer many = {0};
    ck_assert_int_eq(buffer_append(&many, STR("{\"keys\":[" KEY_A)), 0);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(buffer_append(&many, STR("," KEY_B)), 0);
    ck_assert_int_eq(buffer_append(&many, STR("]}\0")), 0);
    refused(200, many.at + many.head, "");
    buffer_release(&many);
    end();
}
END_TEST

START_TEST(set_is_emptied_only_by_two_fetches_that_agree) {
    begin();
    start();
    serve(200, SET(""));
    refresh();
    ck_assert_uint_eq(n_published(), 2);
    ck_assert(keys()->last_fetch_failed);
    refresh();
    ck_assert_uint_eq(n_published(), 0);
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert(!keys()->last_fetch_failed);
    char why[256];
    ck_assert(!key_source_is_ready(source, why));
    ck_assert_msg(strstr(why, "SUPABASE_JWT_SECRET") != NULL, "%s", why);
    end();
}
END_TEST

START_TEST(doubt_ends_when_the_keys_are_back) {
    begin();
    start();
    for (int i = 0; i < 3; i++) {
        serve(200, SET(""));
        refresh();
        ck_assert_uint_eq(n_published(), 2);
        serve(200, SET(KEY_A "," KEY_B));
        refresh();
        ck_assert_uint_eq(n_published(), 2);
        ck_assert(!keys()->last_fetch_failed);
    }
    end();
}
END_TEST

START_TEST(doubted_set_is_asked_for_without_its_etag) {
    begin();
    snprintf(script.etag, sizeof(script.etag), "\"1\"");
    start();
    pthread_mutex_lock(&script.lock);
    snprintf(script.etag, sizeof(script.etag), "\"2\"");
    script.body = SET("");
    pthread_mutex_unlock(&script.lock);
    refresh();
    ck_assert_uint_eq(n_published(), 2);
    refresh();
    ck_assert_uint_eq(n_published(), 0);
    ck_assert_str_eq(script.if_none_match, "");
    end();
}
END_TEST

START_TEST(set_that_is_empty_at_first_is_believed_but_not_ready) {
    begin();
    serve(200, SET(""));
    start();
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert(!keys()->last_fetch_failed);
    char why[256];
    ck_assert(!key_source_is_ready(source, why));
    ck_assert_msg(strstr(why, "SUPABASE_JWT_SECRET") != NULL, "%s", why);
    end();
}
END_TEST

START_TEST(answer_without_a_byte_is_no_empty_set) {
    begin();
    serve(200, "");
    start();
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert(keys()->last_fetch_failed);
    refresh();
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    end();
}
END_TEST

START_TEST(empty_set_with_a_secret_is_ready) {
    begin();
    serve(200, SET(""));
    origin.hs256_secret = STR(SECRET);
    start();
    char why[256];
    ck_assert(key_source_is_ready(source, why));
    ck_assert_uint_eq(keyset_count(keys()->keys), 1);
    end();
}
END_TEST

START_TEST(key_that_cannot_be_used_is_skipped_not_the_set) {
    begin();
    serve(200, SET("{\"kty\":\"XX\",\"kid\":\"odd\"}," KEY_A));
    start();
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_uint_eq(n_published(), 1);
    end();
}
END_TEST

START_TEST(etag_is_sent_back_and_unchanged_keys_are_no_new_generation) {
    begin();
    snprintf(script.etag, sizeof(script.etag), "\"v1\"");
    start();
    uint64_t generation = ring->generation;
    const struct keyset *set = keys()->keys;
    refresh();
    ck_assert_str_eq(script.if_none_match, "\"v1\"");
    ck_assert_uint_eq(ring->generation, generation);
    ck_assert_ptr_eq(keys()->keys, set);
    ck_assert(!keys()->last_fetch_failed);
    end();
}
END_TEST

START_TEST(same_keys_in_other_words_are_no_new_generation) {
    begin();
    start();
    uint64_t generation = ring->generation;
    serve(200, " {\"more\":1, \"keys\":[" KEY_B "," KEY_A "]}");
    refresh();
    ck_assert_uint_eq(ring->generation, generation);
    end();
}
END_TEST

START_TEST(key_that_leaves_the_set_leaves_the_ring) {
    begin();
    start();
    uint64_t generation = ring->generation;
    size_t cursor = 0;
    const struct key *key = keyset_find(keys()->keys, STR("b"), ALGORITHM_ES256, &cursor);
    ck_assert_ptr_nonnull(key);
    struct key_print print = *key_print(key);
    ck_assert(keyring_holds(ring, 0, &print));
    serve(200, SET(KEY_A));
    refresh();
    ck_assert(!keyring_holds(ring, 0, &print));
    ck_assert_uint_gt(ring->generation, generation);
    end();
}
END_TEST

START_TEST(old_set_ages_until_it_is_too_old) {
    begin();
    times.refresh_s = 1;
    times.max_stale_s = 1;
    start();
    serve(500, "");
    while (keys()->state != KEYS_STALE)
        await_events(1);
    ck_assert_uint_eq(n_published(), 2);
    char why[256];
    ck_assert(key_source_is_ready(source, why)); /* later trouble is reported, not fatal */
    ck_assert_str_eq(why, "the keys of supabase could not be read again, and are too old: HTTP "
                          "status 500");
    serve(200, SET(KEY_A));
    refresh();
    while (keys()->state != KEYS_FRESH)
        await_events(1);
    ck_assert(key_source_is_ready(source, why));
    ck_assert_str_eq(why, "");
    end();
}
END_TEST

SUITE_MAIN("io/key_issuer", old_set_stays_whatever_the_issuer_says_instead,
           document_of_more_than_a_mebibyte_or_a_hundred_keys_is_refused,
           set_is_emptied_only_by_two_fetches_that_agree, doubt_ends_when_the_keys_are_back,
           doubted_set_is_asked_for_without_its_etag,
           set_that_is_empty_at_first_is_believed_but_not_ready,
           answer_without_a_byte_is_no_empty_set, empty_set_with_a_secret_is_ready,
           key_that_cannot_be_used_is_skipped_not_the_set,
           etag_is_sent_back_and_unchanged_keys_are_no_new_generation,
           same_keys_in_other_words_are_no_new_generation, key_that_leaves_the_set_leaves_the_ring,
           old_set_ages_until_it_is_too_old)
