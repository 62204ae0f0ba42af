/* SPDX-License-Identifier: MIT */
/* Tokens made with OpenSSL, with the vectors of RFC 7515 Appendix A and RFC 8037 Appendix A, and the attacks that are known:
 * each as one row. */
#include "auth/token.h"
#include "forge.h"

#include <check.h>
#include <openssl/x509.h>

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

static struct keyset *parse_set(const char *document, const char *secret, bool allows_symmetric) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL,
                                     .allows_symmetric = allows_symmetric,
                                     .hs256_secret = str_of(secret)};
    struct keyset *set = NULL;
    char why[160];
    int failed = keyset_parse(&set, str_of(document), &options, why);
    ck_assert_msg(failed == 0, "%s", why);
    return set;
}

static void make_keys(void) {
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

static void free_keys(void) {
    for (size_t i = 0; i < N_KEYS; i++)
        EVP_PKEY_free(keys[i].key);
}

static void set_up(void) {
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

static void tear_down(void) {
    arena_fini(&arena);
    keyring_unref(ring);
}

static struct token_result verify_str(struct str token) {
    struct token_result result = token_verify(token, &rules, ring, &now, &arena);
    ck_assert(result.reason != NULL);
    ck_assert(result.verdict != TOKEN_VALID || result.claims);
    return result;
}

/* Frees the token; the claims are gone as well. */
static struct token_result verify(char *token) {
    struct token_result result = verify_str(str_of(token));
    claims_unref(result.claims);
    free(token);
    return result;
}

static void assert_verdict(char *token, enum token_verdict expected, const char *what) {
    struct token_result result = verify(token);
    ck_assert_msg(result.verdict == expected, "%s: %s, not %s", what,
                  token_verdict_name(result.verdict), token_verdict_name(expected));
}

/* ---- good tokens ---- */

START_TEST(a_good_token_gives_its_claims_issuer_and_key) {
    char *token = forge_token(&keys[KEY_ES], ES, GOOD);
    struct token_result result = verify_str(str_of(token));
    ck_assert_int_eq(result.verdict, TOKEN_VALID);
    ck_assert_uint_eq(result.issuer, 0);
    ck_assert(str_eq(claims_subject(result.claims), STR("u1")));
    ck_assert(keyring_holds(ring, 0, &result.print));
    ck_assert(!result.is_symmetric && !result.may_need_new_keys);
    claims_unref(result.claims);
    free(token);
}
END_TEST

START_TEST(every_kind_of_key_and_header_that_is_good_passes) {
    static const struct {
        int key;
        const char *header, *payload;
    } ROWS[] = {
        {KEY_ES, ES, GOOD},
        {KEY_ES, "{\"alg\":\"ES256\"}", GOOD},
        {KEY_ES, "{\"alg\":\"ES256\",\"kid\":\"es\",\"typ\":\"at+jwt\"}", GOOD},
        {KEY_ES, "{\"alg\":\"ES256\",\"kid\":\"es\",\"typ\":7,\"x\":[1]}", GOOD},
        {KEY_ES, " {\r\n \"alg\" : \"ES256\" } ", GOOD},
        {KEY_ES, "{\"\\u0061lg\":\"ES256\"}", GOOD},
        {KEY_RS, RS, GOOD},
        {KEY_ED, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", GOOD},
        {KEY_ED, "{\"alg\":\"Ed25519\",\"kid\":\"ed\"}", GOOD},
        {KEY_ES384, "{\"alg\":\"ES384\"}", GOOD},
        {KEY_PS, "{\"alg\":\"PS256\",\"kid\":\"ps\"}", GOOD},
        {KEY_B, ES, "{\"iss\":\"" B "\",\"sub\":\"u\"," LIFE "}"},
        /* jku, jwk, x5u, x5c are nobody's business (J09-J11). */
        {KEY_ES,
         "{\"alg\":\"ES256\",\"jku\":\"http://evil/\",\"x5u\":\"file:///etc/"
         "passwd\",\"x5c\":[\"AA\"],\"jwk\":{}}",
         GOOD},
        {KEY_ES, ES, "{" WHO ",\"aud\":[\"x\",\"authenticated\"]," LIFE "}"},
        {KEY_ES, ES, "{" WHO ",\"aud\":[\"other\"]," LIFE "}"},
        {KEY_ES, ES, WITH("\"nbf\":1699999990.5")},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(forge_token(&keys[ROWS[i].key], ROWS[i].header, ROWS[i].payload),
                       TOKEN_VALID, ROWS[i].header);
    assert_verdict(forge_hmac(STR(SECRET), HS, GOOD), TOKEN_VALID, "the secret");
    assert_verdict(forge_hmac(STR(SECRET), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", GOOD),
                   TOKEN_VALID, "the secret, no kid");
}
END_TEST

/* ---- the standards' own examples ---- */

#define JOE \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

static const struct {
    const char *name, *token, *key;
} EXAMPLES[] = {
    {"RFC 7515 A.1",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
     "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
     "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"},
    {"RFC 7515 A.2",
     "eyJhbGciOiJSUzI1NiJ9." JOE
     ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
     "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
     "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
     "eSN9383LcOLn6_dO--xi12jzDwusC-eOk"
     "HWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
     "IoypGlUPQGe77Rw",
     "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
     "wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
     "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
     "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQ"
     "OS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
     "DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
     "PAcDTW9gb54h4FRWyuXpoQ\"}"},
    {"RFC 7515 A.3",
     "eyJhbGciOiJFUzI1NiJ9." JOE
     ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"},
    {"RFC 8037 A.4",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
     "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B"
     "hVsPt9g7sVvpAr_MuM0KAg",
     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"},
};

START_TEST(the_examples_of_the_standards_verify) {
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
        struct keyset *set = parse_set(EXAMPLES[i].key, NULL, true);
        struct str header, payload, token = str_of(EXAMPLES[i].token);
        ck_assert_msg(token_verify_signature(token, set, ALGORITHMS_ALL, &header, &payload,
                                             &arena) == TOKEN_VALID,
                      "%s", EXAMPLES[i].name);
        ck_assert(str_contains(header, STR("\"alg\"")));
        ck_assert_msg(str_contains(payload, STR("joe")) ||
                          str_eq(payload, STR("Example of Ed25519 signing")),
                      "%s", EXAMPLES[i].name);
        keyset_unref(set);
    }
}
END_TEST

START_TEST(one_changed_character_anywhere_spoils_an_example) {
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
        struct keyset *set = parse_set(EXAMPLES[i].key, NULL, true);
        char *token = str_dup(str_of(EXAMPLES[i].token));
        struct str header, payload;
        for (size_t at = 0; token[at]; at++) {
            char was = token[at];
            token[at] = was == 'A' ? 'B' : 'A';
            enum token_verdict verdict = token_verify_signature(str_of(token), set, ALGORITHMS_ALL,
                                                                &header, &payload, &arena);
            ck_assert_msg(verdict != TOKEN_VALID, "%s at %zu", EXAMPLES[i].name, at);
            token[at] = was;
        }
        ck_assert_int_eq(
            token_verify_signature(str_of(token), set, ALGORITHMS_ALL, &header, &payload, &arena),
            TOKEN_VALID);
        free(token);
        keyset_unref(set);
    }
}
END_TEST

START_TEST(a_signature_alone_needs_no_claims_but_an_enabled_algorithm) {
    struct keyset *set = parse_set(keys[KEY_ES].jwk, NULL, false);
    struct str header, payload;
    char *token = forge_token_bytes(&keys[KEY_ES], STR(ES), (struct str){"\0\xff not JSON", 11});
    ck_assert_int_eq(
        token_verify_signature(str_of(token), set, ALGORITHMS_ALL, &header, &payload, &arena),
        TOKEN_VALID);
    ck_assert_uint_eq(payload.n, 11);
    ck_assert_int_eq(token_verify_signature(str_of(token), set, ALGORITHM_BIT(ALGORITHM_RS256),
                                            &header, &payload, &arena),
                     TOKEN_ALGORITHM);
    free(token);
    token = forge_token(&keys[KEY_ES], "{\"alg\":\"ES256\",\"kid\":\"nobody\"}", "");
    ck_assert_int_eq(
        token_verify_signature(str_of(token), set, ALGORITHMS_ALL, &header, &payload, &arena),
        TOKEN_UNKNOWN_KEY);
    free(token);
    keyset_unref(set);
}
END_TEST

/* ---- attacks on the form (J08, J19-J21, J40) ---- */

START_TEST(only_three_strict_parts_are_a_token) {
    static const struct {
        const char *token;
        enum token_verdict verdict;
    } ROWS[] = {
        {"", TOKEN_NOT_COMPACT},
        {".", TOKEN_NOT_COMPACT},
        {"a.b", TOKEN_NOT_COMPACT},
        {"a.b.c.d", TOKEN_NOT_COMPACT},
        {"a.b.c.d.e", TOKEN_NOT_COMPACT}, /* a JWE */
        {"....", TOKEN_NOT_COMPACT},
        {"undefined", TOKEN_NOT_COMPACT},
        {"sb_publishable_abc", TOKEN_NOT_COMPACT},
        {"{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"\"}", TOKEN_NOT_COMPACT},
        {"{\"a\":\"b.c\",\"d\":\"e.f\"}", TOKEN_BAD_ENCODING}, /* polyglot */
        {"..", TOKEN_BAD_HEADER},
        {"e30..", TOKEN_BAD_HEADER},
        {"e30=.e30.AA", TOKEN_BAD_ENCODING},
        {"e30.e30=.AA", TOKEN_BAD_ENCODING},
        {"e30.e30.AA==", TOKEN_BAD_ENCODING},
        {"e30.e30.AB", TOKEN_BAD_ENCODING}, /* unused bits set */
        {"e30.e30.A", TOKEN_BAD_ENCODING},
        {"e30.e30.A+A_", TOKEN_BAD_ENCODING},
        {"e30.e30.AA/A", TOKEN_BAD_ENCODING},
        {"e30.e30.AA AA", TOKEN_BAD_ENCODING},
        {"e30.e30.AAAA\n", TOKEN_BAD_ENCODING},
        {" e30.e30.AAAA", TOKEN_BAD_ENCODING},
        {"e3\xc3\xa9.e30.AAAA", TOKEN_BAD_ENCODING},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(str_dup(str_of(ROWS[i].token)), ROWS[i].verdict, ROWS[i].token);
}
END_TEST

START_TEST(length_is_bounded_before_anything_is_looked_at) {
    char *dots = malloc(1000001);
    memset(dots, '.', 1000000);
    dots[1000000] = '\0';
    assert_verdict(str_dup(str_of(dots)), TOKEN_TOO_LONG, "dots");
    ck_assert_int_eq(verify_str((struct str){dots, TOKEN_BYTES_MAX}).verdict, TOKEN_NOT_COMPACT);
    ck_assert_int_eq(verify_str((struct str){dots, TOKEN_BYTES_MAX + 1}).verdict, TOKEN_TOO_LONG);
    free(dots);
}
END_TEST

START_TEST(deep_and_wide_payloads_end_quietly) {
    char deep[11000] = "{\"iss\":\"" A "\",\"a\":";
    size_t n = strlen(deep);
    memset(deep + n, '[', 10000);
    deep[n + 10000] = '\0';
    assert_verdict(forge_token(&keys[KEY_ES], ES, deep), TOKEN_BAD_PAYLOAD, "deep");
    memset(deep + n, '9', 10000);
    memcpy(deep + n + 10000, "}", 2);
    assert_verdict(forge_token(&keys[KEY_ES], ES, deep), TOKEN_BAD_PAYLOAD, "long number");
}
END_TEST

/* ---- attacks on the header (J01, J02, J12, J14-J16) ---- */

START_TEST(headers_that_are_not_plain_are_refused) {
    static const struct {
        const char *header;
        enum token_verdict verdict;
    } ROWS[] = {
        {"", TOKEN_BAD_HEADER},
        {"null", TOKEN_BAD_HEADER},
        {"[]", TOKEN_BAD_HEADER},
        {"\"ES256\"", TOKEN_BAD_HEADER},
        {"{}", TOKEN_BAD_HEADER},
        {"{\"alg\":null}", TOKEN_BAD_HEADER},
        {"{\"alg\":[\"ES256\"]}", TOKEN_BAD_HEADER},
        {"{\"alg\":7}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"es\",\"kid\":\"x\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\"} trailing", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":7}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":[\"es\"]}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":null}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"a\\u0000b\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":[\"bork\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":[]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":\"exp\"}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":null}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":[\"alg\",\"alg\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":false,\"crit\":[\"b64\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":false}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":true}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"none\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"None\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"NONE\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\" none\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"es256\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES256K\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"HS257\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"PBES2-HS256+A128KW\",\"p2c\":2147483647}", TOKEN_ALGORITHM},
        {"{\"alg\":\"RS512\"}", TOKEN_ALGORITHM}, /* known, but not enabled */
        {"{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"' OR 1=1 --\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"ES\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"es \"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES512\"}", TOKEN_UNKNOWN_KEY},
        /* the algorithm is the key's, not the header's (J06, J24) */
        {"{\"alg\":\"ES256\",\"kid\":\"es384\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES256\",\"kid\":\"rs\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES384\",\"kid\":\"es\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"PS256\",\"kid\":\"rs\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"EdDSA\",\"kid\":\"es\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"RS256\"}", TOKEN_BAD_SIGNATURE},
        {"{\"alg\":\"HS256\",\"kid\":\"es\"}", TOKEN_BAD_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(forge_token(&keys[KEY_ES], ROWS[i].header, GOOD), ROWS[i].verdict,
                       ROWS[i].header);
}
END_TEST

START_TEST(an_unsigned_token_is_refused) {
    size_t n;
    char *token = forge_input(STR("{\"alg\":\"none\"}"), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_ALGORITHM, "none");
    token = forge_input(STR(ES), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_BAD_SIGNATURE, "ES256 with nothing");
    token = forge_input(STR(HS), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_BAD_SIGNATURE, "HS256 with nothing");
}
END_TEST

START_TEST(a_very_long_kid_is_just_unknown) {
    char header[11000];
    memset(header, 'k', sizeof(header));
    memcpy(header, "{\"alg\":\"ES256\",\"kid\":\"", 22);
    memcpy(header + sizeof(header) - 3, "\"}", 3);
    size_t n;
    char *token = forge_input(str_of(header), STR("{\"iss\":\"" A "\"}"), &n);
    memcpy(token + n, ".AAAA", 6);
    struct token_result result = verify_str(str_of(token));
    ck_assert_int_eq(result.verdict, TOKEN_UNKNOWN_KEY);
    ck_assert(result.may_need_new_keys);
    ck_assert_uint_eq(result.kid.n, sizeof(header) - 22 - 3);
    free(token);
}
END_TEST

/* ---- attacks on the key (J03-J05, J13, J22, J23, J35, J38) ---- */

START_TEST(a_public_key_is_no_secret) {
    /* HS256 over the public key as PEM and DER, as the modulus' text, with a leading blank, and the JWK's own text. */
    EVP_PKEY *const both[] = {keys[KEY_RS].key, keys[KEY_ES].key};
    for (size_t i = 0; i < 2; i++) {
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(both[i], &der);
        char pem[2000] = " -----BEGIN PUBLIC KEY-----\n";
        size_t at = strlen(pem);
        at = forge_base64(pem, at, der, (size_t)n);
        snprintf(pem + at, sizeof(pem) - at, "\n-----END PUBLIC KEY-----\n");
        struct str secrets[] = {{(const char *)der, (size_t)n},
                                str_of(pem),
                                str_of(pem + 1),
                                str_of(i ? keys[KEY_ES].jwk : keys[KEY_RS].jwk),
                                STR("\0"),
                                STR("secret")};
        for (size_t j = 0; j < sizeof(secrets) / sizeof(secrets[0]); j++) {
            assert_verdict(forge_hmac(secrets[j], "{\"alg\":\"HS256\",\"kid\":\"rs\"}", GOOD),
                           TOKEN_BAD_SIGNATURE, "kid rs");
            assert_verdict(forge_hmac(secrets[j], "{\"alg\":\"HS256\"}", GOOD), TOKEN_BAD_SIGNATURE,
                           "no kid");
        }
        OPENSSL_free(der);
    }
}
END_TEST

START_TEST(hmac_without_a_secret_finds_no_key_and_asks_for_none) {
    issuers[1].algorithms = ALGORITHMS_ALL;
    struct token_result result = verify(forge_hmac(
        STR(SECRET), "{\"alg\":\"HS256\",\"kid\":\"new\"}", "{\"iss\":\"" B "\"," LIFE "}"));
    ck_assert_int_eq(result.verdict, TOKEN_UNKNOWN_KEY);
    ck_assert(!result.may_need_new_keys);
    issuers[1].algorithms = ALGORITHMS_DEFAULT;
    assert_verdict(forge_hmac(STR(SECRET), HS, "{\"iss\":\"" B "\"," LIFE "}"), TOKEN_ALGORITHM,
                   "not enabled");
}
END_TEST

START_TEST(only_hs256_is_done_with_the_configured_secret) {
    assert_verdict(forge_hmac(STR(SECRET), "{\"alg\":\"HS384\"}", GOOD), TOKEN_UNKNOWN_KEY,
                   "HS384");
    assert_verdict(forge_hmac(STR(SECRET), "{\"alg\":\"HS512\"}", GOOD), TOKEN_UNKNOWN_KEY,
                   "HS512");
}
END_TEST

START_TEST(a_key_signs_for_its_own_issuer_only) {
    /* Both issuers have a key with the kid "es". */
    assert_verdict(forge_token(&keys[KEY_B], ES, GOOD), TOKEN_BAD_SIGNATURE,
                   "A's token by B's key");
    assert_verdict(forge_token(&keys[KEY_ES], ES, "{\"iss\":\"" B "\"," LIFE "}"),
                   TOKEN_BAD_SIGNATURE, "B's token by A's key");
    assert_verdict(forge_token(&keys[KEY_STRANGER], ES, GOOD), TOKEN_BAD_SIGNATURE,
                   "a stranger's key");
    assert_verdict(forge_hmac(STR(SECRET), HS, "{\"iss\":\"" B "\"," LIFE "}"), TOKEN_ALGORITHM,
                   "B's token by A's secret");
}
END_TEST

START_TEST(an_unknown_kid_may_need_new_keys) {
    struct token_result result =
        verify(forge_token(&keys[KEY_ES], "{\"alg\":\"ES256\",\"kid\":\"rotated\"}", GOOD));
    ck_assert_int_eq(result.verdict, TOKEN_UNKNOWN_KEY);
    ck_assert(result.may_need_new_keys);
    ck_assert_uint_eq(result.issuer, 0);
    ck_assert(str_eq(result.kid, STR("rotated")));
    ck_assert(!verify(forge_token(&keys[KEY_STRANGER], ES, GOOD)).may_need_new_keys);
}
END_TEST

START_TEST(ecdsa_signatures_of_another_form_are_refused) {
    size_t n;
    unsigned char raw[200], der[200];
    char *input = forge_input(STR(ES), STR(GOOD), &n);
    forge_sign(&keys[KEY_ES], input, n, raw);
    static const size_t LENGTHS[] = {1, 32, 63, 65, 72, 96, 128};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        char *token = malloc(n + 400);
        memcpy(token, input, n);
        memset(raw + 64, 0, sizeof(raw) - 64);
        token[n] = '.';
        forge_base64(token, n + 1, raw, LENGTHS[i]);
        assert_verdict(token, TOKEN_BAD_SIGNATURE, "another length");
    }
    memset(raw, 0, 64);
    memcpy(input + n, ".", 2);
    forge_base64(input, n + 1, raw, 64);
    assert_verdict(input, TOKEN_BAD_SIGNATURE, "psychic");

    input = forge_input(STR(ES), STR(GOOD), &n);
    size_t n_der = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, keys[KEY_ES].key, NULL),
                     1);
    ck_assert_int_eq(EVP_DigestSign(ctx, der, &n_der, (unsigned char *)input, n), 1);
    EVP_MD_CTX_free(ctx);
    input[n] = '.';
    forge_base64(input, n + 1, der, n_der);
    assert_verdict(input, TOKEN_BAD_SIGNATURE, "DER");
}
END_TEST

START_TEST(keys_that_cannot_be_had_are_not_the_callers_fault) {
    ring->issuers[0].state = KEYS_NEVER;
    assert_verdict(forge_token(&keys[KEY_ES], ES, GOOD), TOKEN_NO_KEYS, "never loaded");
    assert_verdict(forge_hmac(STR(SECRET), HS, GOOD), TOKEN_VALID, "the secret needs no fetch");
    ring->issuers[0].state = KEYS_STALE;
    assert_verdict(forge_token(&keys[KEY_ES], ES, GOOD), TOKEN_KEYS_STALE, "stale");
    assert_verdict(forge_hmac(STR(SECRET), HS, GOOD), TOKEN_VALID, "the secret does not age");
    assert_verdict(forge_token(&keys[KEY_B], ES, "{\"iss\":\"" B "\"," LIFE "}"), TOKEN_VALID,
                   "another issuer's");
    keyset_unref(ring->issuers[0].keys);
    ring->issuers[0] = (struct issuer_keys){.state = KEYS_NEVER};
    assert_verdict(forge_token(&keys[KEY_ES], ES, GOOD), TOKEN_NO_KEYS, "nothing at all");
    assert_verdict(forge_hmac(STR(SECRET), HS, GOOD), TOKEN_UNKNOWN_KEY, "no secret either");
}
END_TEST

/* ---- issuers (J34) ---- */

START_TEST(issuers_are_compared_exactly) {
    static const char *const STRANGE[] = {
        "\"" A "/\"",
        "\"http://a.supabase.co/auth/v1\"",
        "\"https://A.supabase.co/auth/v1\"",
        "\"" A ".evil\"",
        "\"https://a.supabase.co\"",
        "\"\"",
        "[\"" A "\"]",
        "{\"a\":\"" A "\"}",
        "null",
        "7",
        "true",
        "\" " A "\"",
        "\"" A "\\n\"",
    };
    for (size_t i = 0; i < sizeof(STRANGE) / sizeof(STRANGE[0]); i++) {
        char payload[300];
        snprintf(payload, sizeof(payload), "{\"iss\":%s,\"sub\":\"u\"," AUD "," LIFE "}",
                 STRANGE[i]);
        struct token_result result = verify(forge_token(&keys[KEY_ES], ES, payload));
        ck_assert_msg(result.verdict == TOKEN_UNKNOWN_ISSUER, "%s", payload);
        ck_assert_uint_eq(result.issuer, SIZE_MAX);
    }
    assert_verdict(forge_token(&keys[KEY_ES], ES, "{\"sub\":\"u\"," AUD "," LIFE "}"),
                   TOKEN_UNKNOWN_ISSUER, "no iss");
}
END_TEST

static void resolve_auto(void) {
    struct str *spellings = calloc(2, sizeof(*spellings));
    spellings[0] = (struct str){str_dup(STR(A)), sizeof(A) - 1};
    spellings[1] = (struct str){str_dup(STR("http://localhost/auth/v1")), 24};
    ring->issuers[0].issuers = spellings;
    ring->issuers[0].n_issuers = 2;
}

START_TEST(auto_means_what_it_was_resolved_to) {
    issuers[0].n_issuers = 0;
    resolve_auto();
    assert_verdict(forge_token(&keys[KEY_ES], ES, GOOD), TOKEN_VALID, "first spelling");
    assert_verdict(
        forge_token(&keys[KEY_ES], ES, "{\"iss\":\"http://localhost/auth/v1\"," AUD "," LIFE "}"),
        TOKEN_VALID, "second");
    assert_verdict(forge_token(&keys[KEY_ES], ES, "{\"iss\":\"supabase\"," LIFE "}"),
                   TOKEN_UNKNOWN_ISSUER, "another");
    issuers[0].n_issuers = 1;
}
END_TEST

START_TEST(while_auto_is_not_resolved_nobody_is_a_stranger) {
    issuers[0].n_issuers = 0;
    struct token_result result = verify(forge_token(&keys[KEY_ES], ES, GOOD));
    ck_assert_int_eq(result.verdict, TOKEN_NO_KEYS);
    ck_assert_uint_eq(result.issuer, 0);
    assert_verdict(forge_token(&keys[KEY_B], ES, "{\"iss\":\"" B "\"," LIFE "}"), TOKEN_VALID,
                   "a known issuer");
    assert_verdict(forge_token(&keys[KEY_ES], ES, "{" LIFE "}"), TOKEN_UNKNOWN_ISSUER, "no iss");
    issuers[0].n_issuers = 1;
}
END_TEST

/* ---- claims (J17, J18, J30, J31, J33, J36) ---- */

START_TEST(payloads_and_claims_of_the_wrong_kind_are_refused) {
    static const struct {
        const char *payload;
        enum token_verdict verdict;
    } ROWS[] = {
        {"", TOKEN_BAD_PAYLOAD},
        {"[]", TOKEN_BAD_PAYLOAD},
        {"\"x\"", TOKEN_BAD_PAYLOAD},
        {"7", TOKEN_BAD_PAYLOAD},
        {"null", TOKEN_BAD_PAYLOAD},
        {GOOD "x", TOKEN_BAD_PAYLOAD},
        {WITH("\"sub\":\"u2\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"s\\u0075b\":\"u2\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"role\":\"service_role\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"exp\":9999999999"), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":{\"b\":1,\"b\":2}"), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":NaN"), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":1e999"), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":9223372036854775808"), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":\"\\ud800\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":\"\xc0\xaf\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"a\":\"\\u0000\""), TOKEN_BAD_PAYLOAD},
        {WITH("\"nbf\":\"1\""), TOKEN_BAD_CLAIM},
        {"{" WHO "," AUD ",\"exp\":\"1700003600\"}", TOKEN_BAD_CLAIM},
        {"{" WHO "," AUD ",\"exp\":true}", TOKEN_BAD_CLAIM},
        {"{" WHO "," AUD ",\"exp\":null}", TOKEN_BAD_CLAIM},
        {"{" WHO "," AUD "," LIFE ",\"x\":1}", TOKEN_VALID},
        {"{\"iss\":\"" A "\",\"sub\":7," AUD "," LIFE "}", TOKEN_BAD_CLAIM},
        {"{\"iss\":\"" A "\",\"sub\":\"a\\nb\"," AUD "," LIFE "}", TOKEN_BAD_CLAIM},
        {"{\"iss\":\"" A "\",\"sub\":\"a\\u007fb\"," AUD "," LIFE "}", TOKEN_BAD_CLAIM},
        {"{\"iss\":\"" A "\",\"sub\":\"\\u0085\\u202e:*\"," AUD "," LIFE "}", TOKEN_VALID},
        {"{" WHO "," LIFE "}", TOKEN_WRONG_AUDIENCE},
        {"{" WHO ",\"aud\":null," LIFE "}", TOKEN_BAD_CLAIM},
        {"{" WHO ",\"aud\":7," LIFE "}", TOKEN_BAD_CLAIM},
        {"{" WHO ",\"aud\":[\"authenticated\",7]," LIFE "}", TOKEN_BAD_CLAIM},
        {"{" WHO ",\"aud\":[]," LIFE "}", TOKEN_WRONG_AUDIENCE},
        {"{" WHO ",\"aud\":\"\"," LIFE "}", TOKEN_WRONG_AUDIENCE},
        {"{" WHO ",\"aud\":\"Authenticated\"," LIFE "}", TOKEN_WRONG_AUDIENCE},
        {"{" WHO ",\"aud\":[\"a\",\"b\"]," LIFE "}", TOKEN_WRONG_AUDIENCE},
        {"{" WHO "," AUD "}", TOKEN_NO_EXPIRY},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(forge_token(&keys[KEY_ES], ES, ROWS[i].payload), ROWS[i].verdict,
                       ROWS[i].payload);
}
END_TEST

START_TEST(times_are_checked_with_leeway_to_the_second) {
    static const struct {
        const char *times;
        enum token_verdict verdict;
    } ROWS[] = {
        {"\"exp\":1700000000", TOKEN_VALID}, /* exactly now */
        {"\"exp\":1699999971", TOKEN_VALID}, /* now < exp + leeway */
        {"\"exp\":1699999970", TOKEN_EXPIRED},
        {"\"exp\":1699999970.9", TOKEN_EXPIRED},
        {"\"exp\":0", TOKEN_EXPIRED},
        {"\"exp\":-1", TOKEN_EXPIRED},
        {"\"exp\":-1e300", TOKEN_EXPIRED},
        {"\"exp\":1e20", TOKEN_VALID},
        {"\"exp\":9223372036854775807", TOKEN_VALID},
        {"\"exp\":1.7000036e9", TOKEN_VALID},
        {"\"exp\":1700003600,\"nbf\":1700000030", TOKEN_VALID},
        {"\"exp\":1700003600,\"nbf\":1700000031", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"nbf\":1700003700", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"nbf\":1e20", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"nbf\":-1e20", TOKEN_VALID},
        {"\"exp\":1700003600,\"iat\":1700000030", TOKEN_VALID},
        {"\"exp\":1700003600,\"iat\":1700000031", TOKEN_ISSUED_IN_FUTURE},
        {"\"exp\":1700003600,\"iat\":9223372036854775807", TOKEN_ISSUED_IN_FUTURE},
        {"\"exp\":1700003600,\"iat\":-9223372036854775808", TOKEN_VALID},
        {"\"exp\":1699999900,\"nbf\":1700003700", TOKEN_EXPIRED},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char payload[300];
        snprintf(payload, sizeof(payload), "{" WHO "," AUD ",%s}", ROWS[i].times);
        assert_verdict(forge_token(&keys[KEY_ES], ES, payload), ROWS[i].verdict, ROWS[i].times);
    }
}
END_TEST

START_TEST(an_expired_token_still_says_whose_it_was) {
    char *token = forge_token(&keys[KEY_ES], ES, "{" WHO "," AUD ",\"exp\":1}");
    struct token_result result = verify_str(str_of(token));
    ck_assert_int_eq(result.verdict, TOKEN_EXPIRED);
    ck_assert(str_eq(claims_subject(result.claims), STR("u1")));
    claims_unref(result.claims);
    free(token);
}
END_TEST

START_TEST(a_forged_token_is_not_told_what_else_is_wrong) {
    assert_verdict(forge_token(&keys[KEY_STRANGER], ES, "{" WHO ",\"aud\":7,\"exp\":\"x\"}"),
                   TOKEN_BAD_SIGNATURE, "bad claims");
    assert_verdict(forge_token(&keys[KEY_STRANGER], ES, "{" WHO "," AUD ",\"exp\":1}"),
                   TOKEN_BAD_SIGNATURE, "expired");
}
END_TEST

START_TEST(bad_claims_say_which) {
    struct token_result result =
        verify(forge_token(&keys[KEY_ES], ES, "{" WHO "," AUD ",\"exp\":\"x\"}"));
    ck_assert_ptr_nonnull(strstr(result.reason, "exp"));
    ck_assert_ptr_null(result.claims);
}
END_TEST

START_TEST(the_issuers_rules_are_kept) {
    static const struct str ROLES[] = {{"authenticated", 13}, {"admin", 5}};
    struct claim_rule require = {(size_t)claim_paths_add(&paths, STR("role")), ROLES, 2};
    issuers[0].require = &require;
    issuers[0].n_require = 1;
    assert_verdict(forge_token(&keys[KEY_ES], ES, GOOD), TOKEN_VALID, "met");
    static const char *const UNMET[] = {"\"role\":\"anon\"",
                                        "\"role\":null",
                                        "\"role\":7",
                                        "\"role\":\"Authenticated\"",
                                        "\"role\":{\"authenticated\":true}",
                                        "\"rol\":\"authenticated\""};
    for (size_t i = 0; i < sizeof(UNMET) / sizeof(UNMET[0]); i++) {
        char payload[300];
        snprintf(payload, sizeof(payload), "{\"iss\":\"" A "\"," AUD "," LIFE ",%s}", UNMET[i]);
        assert_verdict(forge_token(&keys[KEY_ES], ES, payload), TOKEN_RULE_NOT_MET, UNMET[i]);
    }
    assert_verdict(forge_token(&keys[KEY_ES], ES,
                               "{\"iss\":\"" A "\"," AUD "," LIFE ",\"role\":[\"x\",\"admin\"]}"),
                   TOKEN_VALID, "one of several");
}
END_TEST

/* ---- hints ---- */

START_TEST(a_peek_tells_what_a_token_says_of_itself) {
    struct token_hint hint;
    char *token = forge_token(&keys[KEY_STRANGER], "{\"alg\":\"HS256\"}",
                              "{\"iss\":\"supabase\",\"role\":\"anon\",\"exp\":1}");
    ck_assert(token_peek(str_of(token), &hint, &arena));
    ck_assert(str_eq(hint.issuer, STR("supabase")) && str_eq(hint.role, STR("anon")) &&
              !hint.has_subject);
    free(token);
    token = forge_token(&keys[KEY_STRANGER], "{}", "{\"sub\":\"u\",\"role\":7}");
    ck_assert(token_peek(str_of(token), &hint, &arena));
    ck_assert(hint.issuer.n == 0 && hint.role.n == 0 && hint.has_subject);
    free(token);
}
END_TEST

START_TEST(what_is_no_token_gives_no_hint) {
    static const char *const NONE[] = {"",          "a.b",     "sb_secret_x", "e30.W10.",
                                       "e30.e30=.", "e30.e3.", "a.b.c.d",     "undefined"};
    struct token_hint hint;
    for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++)
        ck_assert_msg(!token_peek(str_of(NONE[i]), &hint, &arena), "%s", NONE[i]);
}
END_TEST

START_TEST(every_verdict_has_a_name_and_a_reason_without_the_key) {
    for (unsigned i = 0; i < TOKEN_VERDICT_COUNT; i++) {
        ck_assert(strlen(token_verdict_name((enum token_verdict)i)) > 0);
        /* RFC 6750 3: what error_description may hold. */
        for (const char *c = token_verdict_text((enum token_verdict)i); *c; c++)
            ck_assert(*c >= 0x20 && *c <= 0x7e && *c != '"' && *c != '\\');
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(token_verdict_text((enum token_verdict)i),
                             token_verdict_text((enum token_verdict)j));
    }
    ck_assert_str_eq(token_verdict_name(TOKEN_ISSUED_IN_FUTURE), "issued_in_future");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
    TCase *tcase = tcase_create(name);
    tcase_add_unchecked_fixture(tcase, make_keys, free_keys);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void) {
    Suite *suite = suite_create("auth/token");
    TCase *good = add_case(suite, "good");
    tcase_add_test(good, a_good_token_gives_its_claims_issuer_and_key);
    tcase_add_test(good, every_kind_of_key_and_header_that_is_good_passes);
    tcase_add_test(good, the_examples_of_the_standards_verify);
    tcase_add_test(good, one_changed_character_anywhere_spoils_an_example);
    tcase_add_test(good, a_signature_alone_needs_no_claims_but_an_enabled_algorithm);
    TCase *form = add_case(suite, "form");
    tcase_add_test(form, only_three_strict_parts_are_a_token);
    tcase_add_test(form, length_is_bounded_before_anything_is_looked_at);
    tcase_add_test(form, deep_and_wide_payloads_end_quietly);
    tcase_add_test(form, headers_that_are_not_plain_are_refused);
    tcase_add_test(form, an_unsigned_token_is_refused);
    tcase_add_test(form, a_very_long_kid_is_just_unknown);
    TCase *key = add_case(suite, "key");
    tcase_add_test(key, a_public_key_is_no_secret);
    tcase_add_test(key, hmac_without_a_secret_finds_no_key_and_asks_for_none);
    tcase_add_test(key, only_hs256_is_done_with_the_configured_secret);
    tcase_add_test(key, a_key_signs_for_its_own_issuer_only);
    tcase_add_test(key, an_unknown_kid_may_need_new_keys);
    tcase_add_test(key, ecdsa_signatures_of_another_form_are_refused);
    tcase_add_test(key, keys_that_cannot_be_had_are_not_the_callers_fault);
    TCase *claims = add_case(suite, "claims");
    tcase_add_test(claims, issuers_are_compared_exactly);
    tcase_add_test(claims, auto_means_what_it_was_resolved_to);
    tcase_add_test(claims, while_auto_is_not_resolved_nobody_is_a_stranger);
    tcase_add_test(claims, payloads_and_claims_of_the_wrong_kind_are_refused);
    tcase_add_test(claims, times_are_checked_with_leeway_to_the_second);
    tcase_add_test(claims, an_expired_token_still_says_whose_it_was);
    tcase_add_test(claims, a_forged_token_is_not_told_what_else_is_wrong);
    tcase_add_test(claims, bad_claims_say_which);
    tcase_add_test(claims, the_issuers_rules_are_kept);
    TCase *hints = add_case(suite, "hints");
    tcase_add_test(hints, a_peek_tells_what_a_token_says_of_itself);
    tcase_add_test(hints, what_is_no_token_gives_no_hint);
    tcase_add_test(hints, every_verdict_has_a_name_and_a_reason_without_the_key);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
