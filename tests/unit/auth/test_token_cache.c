/* SPDX-License-Identifier: MIT */
#include "auth/token_cache.h"
#include "forge.h"

#include <check.h>

#define ISS    "https://a/auth/v1"
#define SECRET "a secret of thirty-two bytes, yes"
#define NOW_S  INT64_C(1700000000)
#define ES     "{\"alg\":\"ES256\",\"kid\":\"es\"}"
#define HS     "{\"alg\":\"HS256\"}"

static const struct str ISSUERS[] = {{ISS, sizeof(ISS) - 1}};
static struct claim_paths paths;
static struct issuer_rule rule = {.name = {"a", 1},
                                  .issuers = ISSUERS,
                                  .n_issuers = 1,
                                  .algorithms = ALGORITHMS_ALL,
                                  .leeway_s = 30};
static struct token_rules rules = {&rule, 1, &paths};
static struct forge key, other;
static struct keyring *ring;
static struct token_cache *cache;
static struct arena arena;
static struct now now;

static void make_keys(void) {
    key = forge_key(ALGORITHM_ES256, "es");
    other = forge_key(ALGORITHM_ES256, "es");
}

static void free_keys(void) {
    EVP_PKEY_free(key.key);
    EVP_PKEY_free(other.key);
}

/* A ring with this JWKS (NULL: none) and the secret. */
static struct keyring *ring_of(const char *jwks, uint64_t generation) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL, .hs256_secret = STR(SECRET)};
    struct keyring *made = keyring_new(1);
    char why[160];
    ck_assert_int_eq(keyset_parse(&made->issuers[0].keys, str_of(jwks), &options, why), 0);
    made->issuers[0].state = KEYS_FRESH;
    made->generation = generation;
    return made;
}

static void use_ring(struct keyring *made) {
    keyring_unref(ring);
    ring = made;
}

static void set_up(void) {
    struct token_cache_limits limits = TOKEN_CACHE_LIMITS_DEFAULT;
    now = (struct now){.mono_ns = NS_PER_S, .wall_ns = NOW_S * NS_PER_S};
    cache = token_cache_new(&limits);
    arena_init(&arena);
    ring = ring_of(key.jwk, 1);
}

static void tear_down(void) {
    arena_fini(&arena);
    token_cache_free(cache);
    keyring_unref(ring);
    ring = NULL;
}

static void use_limits(struct token_cache_limits limits) {
    token_cache_free(cache);
    cache = token_cache_new(&limits);
}

static char *user_token(const char *subject) {
    char payload[200];
    snprintf(payload, sizeof(payload), "{\"iss\":\"" ISS "\",\"sub\":\"%s\",\"exp\":1700003600}",
             subject);
    return forge_token(&key, ES, payload);
}

/* The same without the cost of ECDSA. */
static char *cheap_token(int subject, int64_t exp) {
    char payload[200];
    snprintf(payload, sizeof(payload), "{\"iss\":\"" ISS "\",\"sub\":\"u%d\",\"exp\":%lld}",
             subject, (long long)exp);
    return forge_hmac(STR(SECRET), HS, payload);
}

static enum token_verdict verdict_of(const char *token, bool *hit) {
    struct token_result result =
        token_cache_verify(cache, str_of(token), &rules, ring, &now, &arena, hit);
    ck_assert_ptr_nonnull(result.reason);
    claims_unref(result.claims);
    return result.verdict;
}

static void assert_verdict(const char *token, enum token_verdict expected, bool expected_hit) {
    bool hit;
    struct token_result looked = {0};
    ck_assert(token_cache_look(cache, str_of(token), &rules, ring, &now, &looked) == expected_hit);
    ck_assert(!expected_hit || looked.verdict == expected);
    claims_unref(looked.claims);
    enum token_verdict verdict = verdict_of(token, &hit);
    ck_assert_msg(verdict == expected, "%s, not %s", token_verdict_name(verdict),
                  token_verdict_name(expected));
    ck_assert_msg(hit == expected_hit, "hit is %d", hit);
}

START_TEST(the_second_look_answers_the_same) {
    char *token = user_token("u1");
    bool hit[2];
    struct token_result results[2];
    for (int i = 0; i < 2; i++)
        results[i] = token_cache_verify(cache, str_of(token), &rules, ring, &now, &arena, &hit[i]);
    ck_assert(!hit[0] && hit[1]);
    ck_assert_int_eq(results[1].verdict, TOKEN_VALID);
    ck_assert_ptr_eq(results[0].claims, results[1].claims);
    ck_assert_uint_eq(results[1].issuer, 0);
    ck_assert_mem_eq(&results[0].print, &results[1].print, sizeof(struct key_print));
    token_cache_clear(cache);
    ck_assert(str_eq(claims_subject(results[1].claims),
                     STR("u1"))); /* the callers' references outlive the cache's */
    for (int i = 0; i < 2; i++)
        claims_unref(results[i].claims);
    free(token);
}
END_TEST

START_TEST(tokens_that_differ_in_their_signature_share_nothing) {
    char *a = user_token("u1"), *b = user_token("u1");
    ck_assert_str_ne(a, b);
    assert_verdict(a, TOKEN_VALID, false);
    assert_verdict(b, TOKEN_VALID, false);
    size_t last = strlen(a) - 5;
    a[last] = a[last] == 'A' ? 'B' : 'A';
    assert_verdict(a, TOKEN_BAD_SIGNATURE, false);
    free(a);
    free(b);
}
END_TEST

START_TEST(time_is_looked_at_at_every_hit) {
    char *token = user_token("u1");
    assert_verdict(token, TOKEN_VALID, false);
    now.wall_ns = (1700003600 + 29) * NS_PER_S;
    assert_verdict(token, TOKEN_VALID, true);
    now.wall_ns = (1700003600 + 30) * NS_PER_S;
    assert_verdict(token, TOKEN_EXPIRED, true);
    now.wall_ns = NOW_S * NS_PER_S; /* the clock stepped back */
    assert_verdict(token, TOKEN_VALID, true);
    free(token);
}
END_TEST

START_TEST(a_wall_clock_that_steps_back_lets_no_token_live_longer) {
    char *token = user_token("u1"); /* 3,600 s and the leeway of 30 s */
    assert_verdict(token, TOKEN_VALID, false);
    now.wall_ns -= 86400 * NS_PER_S;
    now.mono_ns += 3629 * NS_PER_S;
    assert_verdict(token, TOKEN_VALID, true);
    now.mono_ns += NS_PER_S;
    assert_verdict(token, TOKEN_EXPIRED, true);
    token_cache_clear(cache); /* a clock that was put right judges what was not seen before */
    assert_verdict(token, TOKEN_VALID, false);
    free(token);
}
END_TEST

START_TEST(a_replayed_expired_token_costs_one_signature) {
    char *token = cheap_token(1, 1);
    assert_verdict(token, TOKEN_EXPIRED, false);
    assert_verdict(token, TOKEN_EXPIRED, true);
    free(token);
}
END_TEST

START_TEST(an_entry_dies_with_its_keys_material_not_with_its_kid) {
    char *token = user_token("u1");
    char renamed[2048];
    assert_verdict(token, TOKEN_VALID, false);
    forge_describe(&key, "renamed", "");
    snprintf(renamed, sizeof(renamed), "%s", key.jwk);
    forge_describe(&key, "es", "");
    use_ring(ring_of(renamed, 2));
    assert_verdict(token, TOKEN_VALID, true);
    use_ring(ring_of(other.jwk, 3)); /* the same kid, another key */
    assert_verdict(token, TOKEN_BAD_SIGNATURE, false);
    use_ring(ring_of("{\"keys\":[]}", 4));
    assert_verdict(token, TOKEN_UNKNOWN_KEY, false);
    ck_assert_uint_eq(token_cache_stats(cache).n_entries, 0);
    use_ring(ring_of(key.jwk, 5));
    assert_verdict(token, TOKEN_VALID, false);
    free(token);
}
END_TEST

START_TEST(an_entry_dies_when_its_issuer_is_spelt_otherwise) {
    struct str *spelling = calloc(1, sizeof(*spelling));
    char *token = user_token("u1");
    assert_verdict(token, TOKEN_VALID, false);
    rule.n_issuers = 0; /* auto, resolved to another spelling */
    *spelling = (struct str){str_dup(STR("https://b")), 9};
    struct keyring *renewed = ring_of(key.jwk, 2);
    renewed->issuers[0].issuers = spelling;
    renewed->issuers[0].n_issuers = 1;
    use_ring(renewed);
    assert_verdict(token, TOKEN_UNKNOWN_ISSUER, false);
    rule.n_issuers = 1;
    free(token);
}
END_TEST

START_TEST(stale_keys_vouch_for_nothing_and_a_secret_does_not_age) {
    char *token = user_token("u1"), *cheap = cheap_token(1, 1700003600);
    assert_verdict(token, TOKEN_VALID, false);
    assert_verdict(cheap, TOKEN_VALID, false);
    struct keyring *stale = ring_of(key.jwk, 2);
    stale->issuers[0].state = KEYS_STALE;
    use_ring(stale);
    assert_verdict(token, TOKEN_KEYS_STALE, true);
    assert_verdict(cheap, TOKEN_VALID, true);
    free(token);
    free(cheap);
}
END_TEST

/* Entries are found by a token's end: whoever puts a good one's signature to his own payload meets the whole token. */
START_TEST(borrowed_signature_is_a_forgery_and_spoils_no_good_token) {
    char *good = user_token("u1"), *forged = user_token("u2");
    ck_assert_uint_eq(strlen(good), strlen(forged));
    size_t signature = (size_t)(strrchr(good, '.') - good);
    memcpy(forged + signature, good + signature, strlen(good) - signature);
    assert_verdict(forged, TOKEN_BAD_SIGNATURE, false);
    assert_verdict(good, TOKEN_VALID, false);
    assert_verdict(forged, TOKEN_BAD_SIGNATURE, true);
    assert_verdict(good, TOKEN_VALID, true);
    token_cache_clear(cache);
    assert_verdict(good, TOKEN_VALID, false);
    assert_verdict(forged, TOKEN_BAD_SIGNATURE, false);
    free(good);
    free(forged);
}
END_TEST

START_TEST(a_forgery_is_remembered_briefly) {
    char *token = forge_token(&other, ES, "{\"iss\":\"" ISS "\",\"sub\":\"u\",\"exp\":1700003600}");
    assert_verdict(token, TOKEN_BAD_SIGNATURE, false);
    assert_verdict(token, TOKEN_BAD_SIGNATURE, true);
    ck_assert_uint_eq(token_cache_stats(cache).n_forgeries, 1);
    ck_assert_uint_eq(token_cache_stats(cache).n_entries, 0);
    now.mono_ns += 10 * NS_PER_S;
    assert_verdict(token, TOKEN_BAD_SIGNATURE, false);
    use_ring(ring_of(other.jwk, 2)); /* with new keys it may be good */
    assert_verdict(token, TOKEN_VALID, false);
    free(token);
}
END_TEST

START_TEST(what_may_be_good_later_is_not_remembered) {
    char *unknown = forge_token(&key, "{\"alg\":\"ES256\",\"kid\":\"new\"}",
                                "{\"iss\":\"" ISS "\",\"exp\":1700003600}");
    char *stranger = forge_token(&key, ES, "{\"iss\":\"b\",\"exp\":1700003600}");
    for (int i = 0; i < 2; i++) {
        assert_verdict(unknown, TOKEN_UNKNOWN_KEY, false);
        assert_verdict(stranger, TOKEN_UNKNOWN_ISSUER, false);
        assert_verdict("a.b", TOKEN_NOT_COMPACT, false);
        assert_verdict("", TOKEN_NOT_COMPACT, false);
    }
    struct token_cache_stats stats = token_cache_stats(cache);
    ck_assert_uint_eq(stats.n_entries + stats.n_forgeries, 0);
    free(unknown);
    free(stranger);
}
END_TEST

START_TEST(too_long_a_token_is_not_even_hashed) {
    char *token = malloc(TOKEN_BYTES_MAX + 2);
    memset(token, 'A', TOKEN_BYTES_MAX + 1);
    token[TOKEN_BYTES_MAX + 1] = '\0';
    assert_verdict(token, TOKEN_TOO_LONG, false);
    free(token);
}
END_TEST

START_TEST(clearing_forgets_everything) {
    char *token = user_token("u1"),
         *forged = forge_token(&other, ES, "{\"iss\":\"" ISS "\",\"exp\":1700003600}");
    assert_verdict(token, TOKEN_VALID, false);
    assert_verdict(forged, TOKEN_BAD_SIGNATURE, false);
    token_cache_clear(cache);
    struct token_cache_stats stats = token_cache_stats(cache);
    ck_assert_uint_eq(stats.n_entries + stats.total_bytes + stats.n_forgeries, 0);
    assert_verdict(forged, TOKEN_BAD_SIGNATURE, false);
    assert_verdict(token, TOKEN_VALID, false);
    assert_verdict(token, TOKEN_VALID, true);
    free(token);
    free(forged);
}
END_TEST

START_TEST(entries_are_bounded_and_what_is_used_stays) {
    use_limits((struct token_cache_limits){100, 1 << 20, 16, NS_PER_S});
    char *hot = cheap_token(-1, 1700003600);
    assert_verdict(hot, TOKEN_VALID, false);
    for (int i = 0; i < 1000; i++) {
        char *token = cheap_token(i, 1700003600);
        assert_verdict(token, TOKEN_VALID, false);
        assert_verdict(hot, TOKEN_VALID, true);
        ck_assert_uint_le(token_cache_stats(cache).n_entries, 100);
        free(token);
    }
    ck_assert_uint_eq(token_cache_stats(cache).n_entries, 100);
    free(hot);
}
END_TEST

START_TEST(bytes_are_bounded) {
    use_limits((struct token_cache_limits){1000, 10000, 16, NS_PER_S});
    for (int i = 0; i < 200; i++) {
        char *token = cheap_token(i, 1700003600);
        assert_verdict(token, TOKEN_VALID, false);
        ck_assert_uint_le(token_cache_stats(cache).total_bytes, 10000);
        assert_verdict(token, TOKEN_VALID, true);
        free(token);
    }
    ck_assert_uint_ge(token_cache_stats(cache).n_entries, 5);
    use_limits((struct token_cache_limits){1000, 10, 16, NS_PER_S});
    char *token = cheap_token(1, 1700003600);
    assert_verdict(token, TOKEN_VALID, false);
    assert_verdict(token, TOKEN_VALID, false); /* larger than all: not held */
    free(token);
}
END_TEST

START_TEST(an_expired_entry_goes_before_a_good_one) {
    use_limits((struct token_cache_limits){2, 1 << 20, 16, NS_PER_S});
    char *good = cheap_token(1, 1700003600), *expired = cheap_token(2, 1),
         *newer = cheap_token(3, 1700003600);
    assert_verdict(good, TOKEN_VALID, false);
    assert_verdict(expired, TOKEN_EXPIRED, false);
    assert_verdict(good, TOKEN_VALID, true);
    assert_verdict(expired, TOKEN_EXPIRED, true);
    assert_verdict(newer, TOKEN_VALID, false);
    assert_verdict(good, TOKEN_VALID, true);
    assert_verdict(expired, TOKEN_EXPIRED, false);
    free(good);
    free(expired);
    free(newer);
}
END_TEST

START_TEST(a_flood_of_forgeries_evicts_no_good_token) {
    use_limits((struct token_cache_limits){4, 1 << 20, 8, NS_PER_S});
    char *good = cheap_token(1, 1700003600);
    assert_verdict(good, TOKEN_VALID, false);
    for (int i = 0; i < 200; i++) {
        char payload[100];
        snprintf(payload, sizeof(payload), "{\"iss\":\"" ISS "\",\"sub\":\"%d\"}", i);
        char *forged = forge_hmac(STR("not the secret"), HS, payload);
        assert_verdict(forged, TOKEN_BAD_SIGNATURE, false);
        free(forged);
    }
    ck_assert_uint_le(token_cache_stats(cache).n_forgeries, 8);
    assert_verdict(good, TOKEN_VALID, true);
    free(good);
}
END_TEST

/* Whatever happened before, the cache says what token_verify says. */
START_TEST(any_history_gives_the_verdicts_of_verification) {
    enum { N = 24 };
    char *tokens[N];
    struct keyring *rings[] = {ring_of(key.jwk, 11), ring_of(other.jwk, 12),
                               ring_of("{\"keys\":[]}", 13), ring_of(key.jwk, 14)};
    rings[3]->issuers[0].state = KEYS_STALE;
    for (int i = 0; i < N; i++)
        tokens[i] =
            i % 4 == 0   ? user_token(i % 8 ? "a" : "b")
            : i % 4 == 1 ? cheap_token(i, NOW_S + i * 40)
            : i % 4 == 2
                ? forge_token(&other, ES, "{\"iss\":\"" ISS "\",\"exp\":1700000500}")
                : forge_hmac(STR("another"), HS, "{\"iss\":\"" ISS "\",\"exp\":1700003600}");
    use_limits((struct token_cache_limits){6, 6000, 4, 5 * NS_PER_S});
    unsigned random = 7, hits = 0;
    for (int i = 0; i < 4000; i++) {
        bool hit;
        random = random * 1103515245 + 12345;
        const char *token = tokens[(random >> 16) % 6 + (random >> 24) % 4 * 6];
        struct keyring *at = rings[i / 50 % 4];
        now.mono_ns += NS_PER_S / 10;
        now.wall_ns += NS_PER_S / 10 + (int64_t)(random >> 20) % 200 * NS_PER_MS; /* never back */
        struct token_result expected = token_verify(str_of(token), &rules, at, &now, &arena);
        struct token_result found =
            token_cache_verify(cache, str_of(token), &rules, at, &now, &arena, &hit);
        ck_assert_msg(found.verdict == expected.verdict, "step %d: %s, not %s", i,
                      token_verdict_name(found.verdict), token_verdict_name(expected.verdict));
        ck_assert_uint_eq(found.issuer, expected.issuer);
        ck_assert(!found.claims == !expected.claims);
        hits += hit;
        claims_unref(found.claims);
        claims_unref(expected.claims);
        arena_reset(&arena);
    }
    ck_assert_uint_ge(hits, 100);
    for (int i = 0; i < N; i++)
        free(tokens[i]);
    for (int i = 0; i < 4; i++)
        keyring_unref(rings[i]);
}
END_TEST

START_TEST(entries_outlive_rules_that_are_judged_at_every_hit_and_no_others) {
    static const struct str other_issuers[] = {{"https://b", 9}},
                            audiences[] = {{"authenticated", 13}};
    struct claim_paths more_paths = paths;
    struct issuer_rule same = rule, list[2] = {rule, rule};
    struct token_rules after = {&same, 1, &paths};
    same.audiences = audiences;
    same.n_audiences = 1;
    same.leeway_s = 5;
    ck_assert(token_cache_outlives(&rules, &after));

    same.name = STR("b"); /* subjects are spelt by it */
    ck_assert(!token_cache_outlives(&rules, &after));
    same = rule;
    same.algorithms = ALGORITHM_BIT(ALGORITHM_ES256);
    ck_assert(!token_cache_outlives(&rules, &after));
    same = rule;
    same.issuers = other_issuers;
    ck_assert(!token_cache_outlives(&rules, &after));
    same.n_issuers = 0;
    ck_assert(!token_cache_outlives(&rules, &after));
    after = (struct token_rules){list, 2, &paths};
    ck_assert(!token_cache_outlives(&rules, &after));
    after = (struct token_rules){&rule, 1, &more_paths}; /* claims that were not kept */
    ck_assert(token_cache_outlives(&rules, &after));
    ck_assert_int_ge(claim_paths_add(&more_paths, STR("app_metadata.plan")), 0);
    ck_assert(!token_cache_outlives(&rules, &after));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/token_cache");
    TCase *all = tcase_create("cache");
    tcase_add_unchecked_fixture(all, make_keys, free_keys);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, the_second_look_answers_the_same);
    tcase_add_test(all, tokens_that_differ_in_their_signature_share_nothing);
    tcase_add_test(all, time_is_looked_at_at_every_hit);
    tcase_add_test(all, a_wall_clock_that_steps_back_lets_no_token_live_longer);
    tcase_add_test(all, a_replayed_expired_token_costs_one_signature);
    tcase_add_test(all, an_entry_dies_with_its_keys_material_not_with_its_kid);
    tcase_add_test(all, an_entry_dies_when_its_issuer_is_spelt_otherwise);
    tcase_add_test(all, stale_keys_vouch_for_nothing_and_a_secret_does_not_age);
    tcase_add_test(all, borrowed_signature_is_a_forgery_and_spoils_no_good_token);
    tcase_add_test(all, a_forgery_is_remembered_briefly);
    tcase_add_test(all, what_may_be_good_later_is_not_remembered);
    tcase_add_test(all, too_long_a_token_is_not_even_hashed);
    tcase_add_test(all, clearing_forgets_everything);
    tcase_add_test(all, entries_are_bounded_and_what_is_used_stays);
    tcase_add_test(all, bytes_are_bounded);
    tcase_add_test(all, an_expired_entry_goes_before_a_good_one);
    tcase_add_test(all, a_flood_of_forgeries_evicts_no_good_token);
    tcase_add_test(all, entries_outlive_rules_that_are_judged_at_every_hit_and_no_others);
    tcase_add_test(all, any_history_gives_the_verdicts_of_verification);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
