/* SPDX-License-Identifier: MIT */
#pragma once
/* Two issuers with their keys, and a token's way through verification. */
#include "auth/token.h"
#include "forge.h"

#include <check.h>

#define A      "https://a.supabase.co/auth/v1"
#define B      "https://b.example"
#define NOW_S  INT64_C(1700000000)
#define SECRET "a secret of thirty-two bytes, yes"

#define WHO        "\"iss\":\"" A "\",\"sub\":\"u1\",\"role\":\"authenticated\""
#define AUD        "\"aud\":\"authenticated\""
#define LIFE       "\"iat\":1699999990,\"exp\":1700003600"
#define GOOD       "{" WHO "," AUD "," LIFE "}"
#define WITH(more) "{" WHO "," AUD "," LIFE "," more "}"
#define ES         "{\"alg\":\"ES256\",\"kid\":\"es\"}"
#define RS         "{\"alg\":\"RS256\",\"kid\":\"rs\"}"
#define HS         "{\"alg\":\"HS256\",\"kid\":\"published nowhere\"}"

enum { KEY_ES, KEY_RS, KEY_ED, KEY_ES384, KEY_PS, KEY_B, KEY_STRANGER, N_KEYS };
static struct forge keys[N_KEYS];
static struct keyring *ring;
static struct arena arena;
static struct now now = {.wall_ns = NOW_S * NS_PER_S};

static const struct str AUDIENCES[] = {{"authenticated", 13}, {"other", 5}};
static const struct str ISSUERS_A[] = {{A, sizeof(A) - 1}}, ISSUERS_B[] = {{B, sizeof(B) - 1}};
static struct claim_paths paths;
static struct issuer_rule issuers[2];
static struct token_rules rules = {issuers, 2, &paths};

static inline struct keyset *parse_set(const char *document, const char *secret,
                                       bool allows_symmetric) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL,
                                     .allows_symmetric = allows_symmetric,
                                     .hs256_secret = str_of(secret)};
    struct keyset *set = NULL;
    char why[160];
    int failed = keyset_parse(&set, str_of(document), &options, why);
    ck_assert_msg(failed == 0, "%s", why);
    return set;
}

static inline void make_keys(void) {
    static const struct {
        enum algorithm algorithm;
        const char *kid, *extra;
    } MADE[N_KEYS] = {
        [KEY_ES] = {ALGORITHM_ES256, "es", ""},
        [KEY_RS] = {ALGORITHM_RS256, "rs", "\"alg\":\"RS256\","},
        [KEY_ED] = {ALGORITHM_EdDSA, "ed", ""},
        [KEY_ES384] = {ALGORITHM_ES384, "es384", ""},
        [KEY_PS] = {ALGORITHM_PS256, "ps", ""},
        [KEY_B] = {ALGORITHM_ES256, "es", ""}, /* the same kid as issuer A's */
        [KEY_STRANGER] = {ALGORITHM_ES256, "es", ""},
    };
    for (size_t i = 0; i < N_KEYS; i++) {
        keys[i] = forge_key(MADE[i].algorithm, MADE[i].kid);
        forge_describe(&keys[i], MADE[i].kid, MADE[i].extra);
    }
}

static inline void free_keys(void) {
    for (size_t i = 0; i < N_KEYS; i++)
        EVP_PKEY_free(keys[i].key);
}

static inline void set_up(void) {
    static char document[16384];
    snprintf(document, sizeof(document), "{\"keys\":[%s,%s,%s,%s,%s]}", keys[KEY_ES].jwk,
             keys[KEY_RS].jwk, keys[KEY_ED].jwk, keys[KEY_ES384].jwk, keys[KEY_PS].jwk);
    ring = keyring_new(2);
    ring->issuers[0].keys = parse_set(document, SECRET, false);
    ring->issuers[0].state = KEYS_FRESH;
    ring->issuers[1].keys = parse_set(keys[KEY_B].jwk, NULL, false);
    ring->issuers[1].state = KEYS_FRESH;
    paths.n = 0;
    issuers[0] =
        (struct issuer_rule){.name = STR("supabase"),
                             .issuers = ISSUERS_A,
                             .n_issuers = 1,
                             .audiences = AUDIENCES,
                             .n_audiences = 2,
                             .algorithms = ALGORITHMS_ALL & ~ALGORITHM_BIT(ALGORITHM_RS512),
                             .leeway_s = 30};
    issuers[1] = (struct issuer_rule){.name = STR("b"),
                                      .issuers = ISSUERS_B,
                                      .n_issuers = 1,
                                      .algorithms = ALGORITHMS_DEFAULT,
                                      .leeway_s = 30};
    arena_init(&arena);
}

static inline void tear_down(void) {
    arena_fini(&arena);
    keyring_unref(ring);
}

static inline struct token_result verify_str(struct str token) {
    struct token_result result = token_verify(token, &rules, ring, &now, &arena);
    ck_assert(result.reason != NULL);
    ck_assert(result.verdict != TOKEN_VALID || result.claims);
    return result;
}

/* Frees the token; the claims are gone as well. */
static inline struct token_result verify(char *token) {
    struct token_result result = verify_str(str_of(token));
    claims_unref(result.claims);
    free(token);
    return result;
}

static inline void assert_verdict(char *token, enum token_verdict expected, const char *what) {
    struct token_result result = verify(token);
    ck_assert_msg(result.verdict == expected, "%s: %s, not %s", what,
                  token_verdict_name(result.verdict), token_verdict_name(expected));
}

static inline TCase *add_case(Suite *suite, const char *name) {
    TCase *tcase = tcase_create(name);
    tcase_add_unchecked_fixture(tcase, make_keys, free_keys);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    suite_add_tcase(suite, tcase);
    return tcase;
}
