/* SPDX-License-Identifier: MIT */
#include "auth/credentials.h"

#include <check.h>
#include <stdlib.h>

static struct credentials read_fields(const char *const *pairs, size_t n, const char *query) {
    struct field list[8];
    struct credentials credentials;
    ck_assert_uint_le(n, 8);
    for (size_t i = 0; i < n; i++) {
        struct str name = str_of(pairs[2 * i]);
        list[i] = (struct field){name, str_of(pairs[2 * i + 1]), field_id_of(name)};
    }
    credentials_read(&credentials, (struct fields){.list = list, .n = n}, str_of(query));
    return credentials;
}

static struct credentials read_authorization(const char *value) {
    const char *const pair[] = {"Authorization", value};
    return read_fields(pair, 1, NULL);
}

START_TEST(nothing_sent_is_nothing_read) {
    const char *const none[] = {"Accept", "*/*"};
    struct credentials c = read_fields(none, 1, NULL);
    ck_assert_ptr_null(c.bearer.at);
    ck_assert_ptr_null(c.authorization.at);
    ck_assert_ptr_null(c.apikey.at);
    ck_assert(!c.doubled && !c.is_malformed && !c.apikey_in_query);
}
END_TEST

START_TEST(a_bearer_is_read_in_any_case_and_with_any_number_of_spaces) {
    static const char *const GOOD[] = {"Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c",
                                       "bEaReR a.b.c"};
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct credentials c = read_authorization(GOOD[i]);
        ck_assert_msg(str_eq(c.bearer, STR("a.b.c")) && !c.is_malformed && !c.authorization.at,
                      "%s", GOOD[i]);
    }
    ck_assert(
        str_eq(read_authorization("Bearer sb_publishable_a-b").bearer, STR("sb_publishable_a-b")));
    ck_assert(str_eq(read_authorization("Bearer a+/~==").bearer, STR("a+/~==")));
}
END_TEST

START_TEST(a_bearer_without_exactly_one_token_is_malformed) {
    static const char *const BAD[] = {
        "Bearer",     "bearer",       "Bearer\ta.b.c",   "Bearer \ta",
        "Bearer a b", "Bearer a\tb",  "Bearer Bearer a", "Bearer a, Bearer b",
        "Bearer a,b", "Bearer \"a\"", "Bearer \xc3\xa9", "Bearer [object Object]"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct credentials c = read_authorization(BAD[i]);
        ck_assert_msg(c.is_malformed && !c.bearer.at, "%s", BAD[i]);
    }
}
END_TEST

START_TEST(another_scheme_is_kept_whole) {
    static const char *const OTHERS[] = {"Basic dTpw",
                                         "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
                                         "Bearerx a", "Token", ""};
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        struct credentials c = read_authorization(OTHERS[i]);
        ck_assert_msg(c.authorization.at && str_eq(c.authorization, str_of(OTHERS[i])), "%s",
                      OTHERS[i]);
        ck_assert(!c.bearer.at && !c.is_malformed);
    }
}
END_TEST

START_TEST(an_apikey_is_read_from_the_header_before_the_query) {
    const char *const pairs[] = {"apikey", "from-header"};
    struct credentials c = read_fields(pairs, 1, "a=b&apikey=from-header");
    ck_assert(str_eq(c.apikey, STR("from-header")) && !c.apikey_in_query && !c.doubled);
    c = read_fields(NULL, 0, "a=b&apikey=from-query&c");
    ck_assert(str_eq(c.apikey, STR("from-query")) && c.apikey_in_query && !c.doubled);
    c = read_fields(NULL, 0, "xapikey=1&Apikey=2");
    ck_assert_ptr_null(c.apikey.at);
}
END_TEST

static void assert_doubled(struct credentials c, const char *words) {
    ck_assert_msg(c.doubled && strstr(c.doubled, words), "'%s': %s", words,
                  c.doubled ? c.doubled : "nothing");
}

START_TEST(two_of_a_kind_are_doubled) {
    const char *const authorizations[] = {"Authorization", "Bearer a", "authorization", "Bearer a"};
    const char *const apikeys[] = {"apikey", "a", "ApiKey", "b"};
    const char *const one[] = {"apikey", "a"};
    assert_doubled(read_fields(authorizations, 2, NULL), "Authorization");
    assert_doubled(read_fields(apikeys, 2, NULL), "apikey header");
    assert_doubled(read_fields(NULL, 0, "apikey=a&apikey=b"), "in the query");
    assert_doubled(read_fields(NULL, 0, "apikey=a&%61pikey=b"), "in the query");
    assert_doubled(read_fields(one, 1, "apikey=a&apikey=b"), "in the query");
    assert_doubled(read_fields(one, 1, "apikey=another"), "header and another");
    assert_doubled(read_fields(one, 1, "%61pikey=another"), "header and another");
    assert_doubled(read_fields(one, 1, "apikey"), "header and another");
}
END_TEST

/* ---- other places */

static const struct token_place PLACES[] = {{TOKEN_IN_QUERY, {"access_token", 12}},
                                            {TOKEN_IN_SUBPROTOCOL, {"jwt-", 4}},
                                            {TOKEN_IN_QUERY, {"apikey", 6}}};

static struct credentials read_places(const char *authorization, const char *protocols,
                                      const char *query) {
    struct field list[2] = {
        {STR("Authorization"), str_of(authorization ? authorization : ""), FIELD_AUTHORIZATION},
        {STR("Sec-WebSocket-Protocol"), str_of(protocols), FIELD_SEC_WEBSOCKET_PROTOCOL}};
    struct fields fields = {.list = authorization ? list : list + 1, .n = authorization ? 2 : 1};
    struct credentials credentials;
    credentials_read(&credentials, fields, str_of(query));
    credentials_read_places(&credentials, PLACES, 3, fields, str_of(query));
    return credentials;
}

START_TEST(a_token_stands_in_one_of_the_places_that_count) {
    static const struct {
        const char *authorization, *protocols, *query;
    } good[] = {
        {"Bearer a.b.c", "", ""},         {NULL, "", "x=1&access_token=a.b.c"},
        {NULL, "chat, jwt-a.b.c ,x", ""}, {NULL, "jwt-a.b.c", "access_token="},
        {NULL, "", "apikey=a.b.c"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct credentials c = read_places(good[i].authorization, good[i].protocols, good[i].query);
        ck_assert_msg(str_eq(c.bearer, STR("a.b.c")), "%zu", i);
        ck_assert(!c.doubled && !c.is_malformed);
    }
    ck_assert_ptr_null(read_places(NULL, "a.b.c, xjwt-a.b.c", "token=a.b.c").bearer.at);
    ck_assert(read_places(NULL, "jwt-", "").is_malformed);
    ck_assert(read_places(NULL, "", "access_token=a%20b").is_malformed);
}
END_TEST

START_TEST(two_places_with_a_token_are_doubled) {
    assert_doubled(read_places("Bearer a", "", "access_token=a"),
                   "more than one token in Authorization");
    assert_doubled(read_places("Bearer a", "jwt-a", ""), "more than one token in Authorization");
    assert_doubled(read_places("Basic a", "jwt-a", ""), "more than one token in Authorization");
    assert_doubled(read_places(NULL, "jwt-a", "access_token=a"),
                   "more than one token in Authorization");
    assert_doubled(read_places(NULL, "jwt-a,jwt-a", ""), "more than one token in Authorization");
    assert_doubled(read_places(NULL, "", "access_token=a&access_token=a"),
                   "more than one token in Authorization");
    assert_doubled(read_places(NULL, "", "access_token=&access_token=a"),
                   "more than one token in Authorization");
}
END_TEST

START_TEST(an_apikey_in_the_query_is_the_last_place) {
    ck_assert(str_eq(read_places("Bearer a", "", "apikey=b").bearer, STR("a")));
    ck_assert(str_eq(read_places(NULL, "jwt-a", "apikey=b").bearer, STR("a")));
    ck_assert(!read_places(NULL, "jwt-a", "apikey=b").doubled);
    ck_assert(read_places(NULL, "", "apikey=b&apikey=b").doubled);
}
END_TEST

#define KEY "jg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZmh6"

START_TEST(an_api_key_is_taken_out_of_where_tokens_stand) {
    static const char *const own[] = {"X-Api-Key", KEY};
    static const char *const bearer[] = {"Authorization", "bearer " KEY};
    static const char *const apikey[] = {"apikey", KEY};
    static const char *const all[] = {"X-Api-Key",     KEY,      "Authorization",
                                      ("Bearer " KEY), "apikey", KEY};
    struct credentials c = read_fields(own, 1, NULL);
    ck_assert(str_eq(c.api_key, STR(KEY)) && !c.hides_authorization && !c.hides_apikey);
    c = read_fields(bearer, 1, NULL);
    ck_assert(str_eq(c.api_key, STR(KEY)) && c.hides_authorization && !c.bearer.at);
    c = read_fields(apikey, 1, NULL);
    ck_assert(str_eq(c.api_key, STR(KEY)) && c.hides_apikey && !c.apikey.at);
    c = read_fields(all, 3, NULL);
    ck_assert(str_eq(c.api_key, STR(KEY)) && !c.doubled && !c.bearer.at && !c.apikey.at);
}
END_TEST

START_TEST(api_keys_that_differ_are_doubled) {
    static const char *const twice[] = {"X-Api-Key", KEY, "X-Api-Key", KEY};
    static const char *const bearer[] = {"X-Api-Key", KEY, "Authorization", "Bearer jg_x"};
    static const char *const apikey[] = {"X-Api-Key", KEY, "apikey", "jg_x"};
    assert_doubled(read_fields(twice, 2, NULL), "more than one x-api-key");
    assert_doubled(read_fields(bearer, 2, NULL), "two API keys that differ");
    assert_doubled(read_fields(apikey, 2, NULL), "two API keys that differ");
}
END_TEST

START_TEST(what_is_not_ours_is_no_api_key_and_one_that_is_broken_is_still_hidden) {
    static const char *const alien[] = {"X-Api-Key", "secret", "Authorization", "Bearer a.b.c"};
    struct credentials c = read_fields(alien, 2, NULL);
    ck_assert(!c.api_key.at && str_eq(c.bearer, STR("a.b.c")) && !c.doubled);
    c = read_authorization("Bearer jg_a b");
    ck_assert(c.is_malformed && c.hides_authorization && !c.api_key.at);
    c = read_fields(NULL, 0, "apikey=" KEY);
    ck_assert(!c.api_key.at && str_eq(c.apikey, STR(KEY)) && c.apikey_in_query);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/credentials");
    TCase *all = tcase_create("credentials");
    tcase_add_test(all, nothing_sent_is_nothing_read);
    tcase_add_test(all, a_bearer_is_read_in_any_case_and_with_any_number_of_spaces);
    tcase_add_test(all, a_bearer_without_exactly_one_token_is_malformed);
    tcase_add_test(all, another_scheme_is_kept_whole);
    tcase_add_test(all, an_apikey_is_read_from_the_header_before_the_query);
    tcase_add_test(all, two_of_a_kind_are_doubled);
    tcase_add_test(all, a_token_stands_in_one_of_the_places_that_count);
    tcase_add_test(all, two_places_with_a_token_are_doubled);
    tcase_add_test(all, an_apikey_in_the_query_is_the_last_place);
    tcase_add_test(all, an_api_key_is_taken_out_of_where_tokens_stand);
    tcase_add_test(all, api_keys_that_differ_are_doubled);
    tcase_add_test(all, what_is_not_ours_is_no_api_key_and_one_that_is_broken_is_still_hidden);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
