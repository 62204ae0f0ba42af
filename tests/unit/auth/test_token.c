/* SPDX-License-Identifier: MIT */
/* Tokens made with OpenSSL, with the vectors of RFC 7515 Appendix A and RFC 8037 Appendix A, and the attacks on keys, issuers and
 * claims that are known: each as one row. */
#include "token_world.h"

#include <openssl/x509.h>

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
        {KEY_ES, "{\"alg\":\"ES256\",\"kid\":\"es\",\"typ\":\"application/AT+jwt\",\"x\":[1]}",
         GOOD},
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
        {"\"exp\":-1e300", TOKEN_BAD_CLAIM},
        {"\"exp\":1e20", TOKEN_BAD_CLAIM},
        {"\"exp\":9223372036854775807", TOKEN_BAD_CLAIM},
        {"\"exp\":9007199254740992", TOKEN_VALID},
        {"\"exp\":-9007199254740992", TOKEN_EXPIRED},
        {"\"exp\":1700003600,\"nbf\":9007199254740992", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"iat\":9007199254740992", TOKEN_ISSUED_IN_FUTURE},
        {"\"exp\":1.7000036e9", TOKEN_VALID},
        {"\"exp\":1700003600,\"nbf\":1700000030", TOKEN_VALID},
        {"\"exp\":1700003600,\"nbf\":1700000031", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"nbf\":1700003700", TOKEN_NOT_YET_VALID},
        {"\"exp\":1700003600,\"nbf\":1e20", TOKEN_BAD_CLAIM},
        {"\"exp\":1700003600,\"nbf\":-1e20", TOKEN_BAD_CLAIM},
        {"\"exp\":1700003600,\"iat\":1700000030", TOKEN_VALID},
        {"\"exp\":1700003600,\"iat\":1700000031", TOKEN_ISSUED_IN_FUTURE},
        {"\"exp\":1700003600,\"iat\":9223372036854775807", TOKEN_BAD_CLAIM},
        {"\"exp\":1700003600,\"iat\":-9223372036854775808", TOKEN_BAD_CLAIM},
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
    struct claim_rule require = {(size_t)claim_paths_add(&paths, STR("role")), ROLES, 2, false};
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

int main(void) {
    Suite *suite = suite_create("auth/token");
    TCase *good = add_case(suite, "good");
    tcase_add_test(good, a_good_token_gives_its_claims_issuer_and_key);
    tcase_add_test(good, every_kind_of_key_and_header_that_is_good_passes);
    tcase_add_test(good, the_examples_of_the_standards_verify);
    tcase_add_test(good, one_changed_character_anywhere_spoils_an_example);
    tcase_add_test(good, a_signature_alone_needs_no_claims_but_an_enabled_algorithm);
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
