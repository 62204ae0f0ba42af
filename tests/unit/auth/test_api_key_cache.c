/* SPDX-License-Identifier: MIT */
#include "auth/api_key_cache.h"

#include "suite.h"
#include <errno.h>
#include <stdio.h>

#define MAX_STALE_NS (600 * NS_PER_S)
#define ADA          "{\"subject\":\"ada\",\"plan\":\"pro\",\"created\":1,\"expires\":1700000000}"
#define BOB          "{\"subject\":\"bob\",\"created\":1}"

static struct claim_paths paths;
static struct api_key_cache *cache;
static struct api_key_held *held;

static const char *id_of(unsigned n) {
    static char ids[4][API_KEY_ID_BYTES + 1];
    char *id = ids[n % 4];
    snprintf(id, sizeof(ids[0]), "%064u", n);
    return id;
}

static void set_up(void) {
    cache = api_key_cache_new(3, MAX_STALE_NS);
    ck_assert_ptr_nonnull(cache);
}
static void tear_down(void) { api_key_cache_free(cache); }

static void keep(unsigned n, const char *json, int64_t asked_ns) {
    ck_assert_int_eq(api_key_cache_keep(cache, id_of(n), str_of(json), &paths, asked_ns), 0);
}
static enum api_key_state look(unsigned n, int64_t now_ns) {
    return api_key_cache_look(cache, id_of(n), now_ns, &held);
}

START_TEST(what_was_never_seen_has_to_be_asked_for) {
    set_up();
    ck_assert_int_eq(look(1, 0), API_KEY_ASK);
    tear_down();
}
END_TEST

START_TEST(a_key_is_held_from_when_it_was_asked_for_then_stale_then_gone) {
    set_up();
    keep(1, ADA, 5);
    ck_assert_int_eq(look(1, 5 + API_KEY_HELD_NS - 1), API_KEY_HELD);
    ck_assert(str_eq(claims_subject(held->claims), STR("ada")) && str_eq(held->plan, STR("pro")));
    ck_assert(held->expires_s == 1700000000 && str_eq(held->json, STR(ADA)));
    ck_assert_int_eq(look(1, 5 + API_KEY_HELD_NS), API_KEY_STALE);
    ck_assert_int_eq(look(1, 5 + MAX_STALE_NS - 1), API_KEY_STALE);
    ck_assert_int_eq(look(1, 5 + MAX_STALE_NS), API_KEY_ASK);
    ck_assert_uint_eq(api_key_cache_count(cache), 0);
    tear_down();
}
END_TEST

START_TEST(a_record_that_changed_is_another_and_one_that_did_not_keeps_its_token) {
    set_up();
    keep(1, ADA, 0);
    ck_assert_int_eq(look(1, 1), API_KEY_HELD);
    ck_assert_int_eq(buffer_append(&held->token, STR("signed")), 0);
    keep(1, ADA, NS_PER_S);
    ck_assert_int_eq(look(1, NS_PER_S + 1), API_KEY_HELD);
    ck_assert(str_eq(buffer_bytes(&held->token), STR("signed")));
    keep(1, BOB, 2 * NS_PER_S);
    ck_assert_int_eq(look(1, 2 * NS_PER_S), API_KEY_HELD);
    ck_assert(str_eq(claims_subject(held->claims), STR("bob")) && held->plan.n == 0);
    ck_assert_uint_eq(buffer_length(&held->token), 0);
    ck_assert_uint_eq(api_key_cache_count(cache), 1);
    tear_down();
}
END_TEST

START_TEST(an_unknown_key_is_remembered_briefly_and_is_not_held_any_more) {
    set_up();
    keep(1, ADA, 0);
    api_key_cache_miss(cache, id_of(1), 7);
    ck_assert_int_eq(look(1, 7), API_KEY_UNKNOWN);
    ck_assert_int_eq(look(1, 7 + API_KEY_UNKNOWN_NS - 1), API_KEY_UNKNOWN);
    ck_assert_int_eq(look(1, 7 + API_KEY_UNKNOWN_NS), API_KEY_ASK);
    tear_down();
}
END_TEST

START_TEST(what_is_forgotten_is_asked_for_again) {
    set_up();
    keep(1, ADA, 0);
    api_key_cache_miss(cache, id_of(2), 0);
    api_key_cache_forget(cache, id_of(1));
    api_key_cache_forget(cache, id_of(2));
    api_key_cache_forget(cache, id_of(3));
    ck_assert_int_eq(look(1, 1), API_KEY_ASK);
    ck_assert_int_eq(look(2, 1), API_KEY_ASK);
    keep(1, ADA, 0);
    api_key_cache_miss(cache, id_of(2), 0);
    api_key_cache_clear(cache);
    ck_assert_int_eq(look(1, 1), API_KEY_ASK);
    ck_assert_int_eq(look(2, 1), API_KEY_ASK);
    tear_down();
}
END_TEST

START_TEST(the_one_used_longest_ago_makes_room) {
    set_up();
    keep(1, ADA, 0), keep(2, ADA, 0), keep(3, ADA, 0);
    ck_assert_int_eq(look(1, 1), API_KEY_HELD);
    keep(4, BOB, 0);
    ck_assert_uint_eq(api_key_cache_count(cache), 3);
    ck_assert_int_eq(look(2, 1), API_KEY_ASK);
    ck_assert_int_eq(look(1, 1), API_KEY_HELD);
    ck_assert_int_eq(look(3, 1), API_KEY_HELD);
    tear_down();
}
END_TEST

START_TEST(a_flood_of_unknown_keys_evicts_no_good_one) {
    set_up();
    keep(1, ADA, 0);
    for (unsigned i = 100; i < 5000; i++)
        api_key_cache_miss(cache, id_of(i), 1);
    ck_assert_int_eq(look(1, 1), API_KEY_HELD);
    ck_assert_uint_eq(api_key_cache_count(cache), 1);
    tear_down();
}
END_TEST

START_TEST(what_is_no_record_lets_nobody_in) {
    static const char *const texts[] = {"",
                                        "{}",
                                        "[]",
                                        "ada",
                                        "{\"subject\":7}",
                                        "{\"subject\":\"\"}",
                                        "{\"subject\":\"a\",\"subject\":\"b\"}"};
    char *huge = malloc(API_KEY_JSON_MOST + 100);
    set_up();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        keep(1, ADA, 0);
        ck_assert_int_eq(api_key_cache_keep(cache, id_of(1), str_of(texts[i]), &paths, 1), -EINVAL);
        ck_assert_int_eq(look(1, 1), API_KEY_ASK);
    }
    snprintf(huge, API_KEY_JSON_MOST + 100, "{\"subject\":\"a\",\"name\":\"%*s\"}",
             API_KEY_JSON_MOST, "");
    ck_assert_int_eq(api_key_cache_keep(cache, id_of(1), str_of(huge), &paths, 1), -EINVAL);
    free(huge);
    tear_down();
}
END_TEST

SUITE_MAIN("auth/api_key_cache", what_was_never_seen_has_to_be_asked_for,
           a_key_is_held_from_when_it_was_asked_for_then_stale_then_gone,
           a_record_that_changed_is_another_and_one_that_did_not_keeps_its_token,
           an_unknown_key_is_remembered_briefly_and_is_not_held_any_more,
           what_is_forgotten_is_asked_for_again, the_one_used_longest_ago_makes_room,
           a_flood_of_unknown_keys_evicts_no_good_one, what_is_no_record_lets_nobody_in)
