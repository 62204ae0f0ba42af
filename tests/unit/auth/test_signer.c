/* SPDX-License-Identifier: MIT */
/* libjwt and OpenSSL sign, this room verifies: two makers that share no code but OpenSSL's arithmetic. */
#include "auth/signer.h"
#include "auth/token.h"
#include "base/base64url.h"
#include "forge.h"

#include <check.h>
#include <errno.h>
#include <openssl/pem.h>

#define CLAIMS \
    "{\"iss\":\"https://" \
    "a\",\"sub\":\"u1\",\"exp\":1700003600,\"app_metadata\":{\"plan\":\"pro\"}}"
#define SECRET "sixty-four bytes are needed for HS512, and here they are: 0123456"

static struct arena arena;

static void set_up(void) { arena_init(&arena); }
static void tear_down(void) { arena_fini(&arena); }

static struct signer *signer_of(enum algorithm algorithm, struct str key, struct str kid) {
    struct signer *signer = NULL;
    char why[160];
    int failed = signer_new(&signer, algorithm, key, kid, why);
    ck_assert_msg(failed == 0, "%s", why);
    return signer;
}

/* The token, NUL-terminated in the arena. */
static struct str sign(struct signer *signer, const char *claims) {
    struct buffer token = {0};
    ck_assert_int_eq(signer_sign(signer, str_of(claims), &token), 0);
    struct str copy = arena_copy(&arena, buffer_bytes(&token));
    buffer_release(&token);
    return copy;
}

static enum token_verdict verify(struct str token, struct str jwks, struct str secret,
                                 struct str *header, struct str *payload) {
    struct keyset_options options = {
        .algorithms = ALGORITHMS_ALL, .allows_symmetric = true, .hs256_secret = secret};
    struct keyset *set = NULL;
    char why[160];
    ck_assert_int_eq(keyset_parse(&set, jwks, &options, why), 0);
    ck_assert_uint_eq(keyset_count(set), 1);
    enum token_verdict verdict =
        token_verify_signature(token, set, ALGORITHMS_ALL, header, payload, &arena);
    keyset_unref(set);
    return verdict;
}

static void assert_member(struct str json, const char *name, const char *expected) {
    struct doc *doc = doc_parse(json, NULL);
    ck_assert_ptr_nonnull(doc);
    struct str value = node_string(node_member(doc_root(doc), name));
    ck_assert_msg(str_eq(value, str_of(expected)), STR_FMT ": %s", STR_ARG(json), name);
    doc_free(doc);
}

static struct str header_of(struct signer *signer) {
    struct str token = sign(signer, CLAIMS), encoded = str_first(token, str_index(token, '.'));
    unsigned char *room = arena_alloc(&arena, BASE64URL_DECODED_MAX(encoded.n));
    size_t n;
    ck_assert(base64url_decode(encoded, room, &n));
    return (struct str){(const char *)room, n};
}

START_TEST(a_key_says_itself_what_it_signs_with) {
    static const enum algorithm pairs[] = {ALGORITHM_ES256, ALGORITHM_RS256};
    static const char *const secrets[] = {
        SECRET, "{\"kty\":\"oct\",\"k\":\"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA\"}"};
    struct signer *signer;
    char why[160];
    for (size_t i = 0; i < 2; i++) {
        struct buffer pem = {0}, jwk = {0};
        ck_assert_int_eq(signer_new_key(pairs[i], &pem, &jwk), 0);
        ck_assert_int_eq(signer_new_for(&signer, buffer_bytes(&pem), why), 0);
        assert_member(header_of(signer), "alg", algorithm_name(pairs[i]));
        signer_free(signer);
        ck_assert_int_eq(signer_new_for(&signer, buffer_bytes(&jwk), why), -EINVAL); /* public */
        buffer_release(&pem);
        buffer_release(&jwk);
        ck_assert_int_eq(signer_new_for(&signer, str_of(secrets[i]), why), 0);
        assert_member(header_of(signer), "alg", "HS256");
        signer_free(signer);
    }
}
END_TEST

START_TEST(what_only_looks_like_a_key_signs_nothing) {
    static const char *const keys[] = {
        "",
        "{}",
        "[]",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
        "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}",
        "{ a secret of at least 32 bytes, but in braces }",
        "[{\"kty\":\"oct\",\"k\":\"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA\"}]",
        "-----BEGIN a secret of at least 32 bytes, all the same -----",
        "a secret of 31 bytes is no good"};
    struct signer *signer = NULL;
    char why[160];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ck_assert_msg(signer_new_for(&signer, str_of(keys[i]), why) == -EINVAL, "%s", keys[i]);
        ck_assert_ptr_nonnull(strstr(why, "expected a private JWK or PEM"));
    }
    ck_assert_ptr_null(signer);
}
END_TEST

START_TEST(a_new_key_signs_what_its_public_jwk_verifies) {
    for (unsigned i = ALGORITHM_RS256; i < ALGORITHM_COUNT; i++) {
        enum algorithm algorithm = (enum algorithm)i;
        struct buffer pem = {0}, jwk = {0};
        struct str header, payload;
        ck_assert_int_eq(signer_new_key(algorithm, &pem, &jwk), 0);
        struct signer *signer = signer_of(algorithm, buffer_bytes(&pem), STR("the kid"));
        struct str token = sign(signer, CLAIMS);
        assert_member(buffer_bytes(&jwk), "alg", algorithm_name(algorithm));
        assert_member(buffer_bytes(&jwk), "use", "sig");
        /* The JWK's kid is its thumbprint, the token's another one. */
        ck_assert_int_eq(verify(token, buffer_bytes(&jwk), STR_NONE, &header, &payload),
                         TOKEN_UNKNOWN_KEY);
        assert_member(header, "kid", "the kid");
        signer_free(signer);

        signer = signer_of(algorithm, buffer_bytes(&pem), STR_NONE);
        token = sign(signer, CLAIMS);
        ck_assert_msg(verify(token, buffer_bytes(&jwk), STR_NONE, &header, &payload) == TOKEN_VALID,
                      "%s", algorithm_name(algorithm));
        assert_member(header, "alg", algorithm_name(algorithm));
        assert_member(header, "typ", "JWT");
        assert_member(payload, "sub", "u1");
        signer_free(signer);

        signer = signer_of(algorithm, buffer_bytes(&pem), STR(""));
        token = sign(signer, CLAIMS);
        ck_assert_int_eq(verify(token, buffer_bytes(&jwk), STR_NONE, &header, &payload),
                         TOKEN_VALID);
        ck_assert(!str_contains(header, STR("kid")));
        signer_free(signer);
        bytes_wipe(pem.at, pem.size);
        buffer_release(&pem);
        buffer_release(&jwk);
    }
}
END_TEST

START_TEST(a_secret_signs_by_every_hash_that_it_is_long_enough_for) {
    char jwk[300];
    size_t n = (size_t)snprintf(jwk, sizeof(jwk), "{\"kty\":\"oct\",\"k\":\"");
    n = forge_base64(jwk, n, SECRET, sizeof(SECRET) - 1);
    snprintf(jwk + n, sizeof(jwk) - n, "\"}");
    for (unsigned i = ALGORITHM_HS256; i <= ALGORITHM_HS512; i++) {
        struct str header, payload, keys[] = {STR(SECRET), str_of(jwk)};
        for (size_t j = 0; j < 2; j++) {
            struct signer *signer = signer_of((enum algorithm)i, keys[j], STR_NONE);
            struct str token = sign(signer, CLAIMS);
            ck_assert_int_eq(verify(token, str_of(jwk), STR_NONE, &header, &payload), TOKEN_VALID);
            assert_member(header, "alg", algorithm_name((enum algorithm)i));
            ck_assert(!str_contains(header, STR("kid")));
            signer_free(signer);
        }
    }
}
END_TEST

START_TEST(a_private_jwk_signs_with_its_own_kid) {
    /* RFC 8037 A.1 and A.2. */
    static const char PRIVATE[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_"
                                  "9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\","
                                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":"
                                  "\"mine\",\"key_ops\":[\"sign\"]}";
    static const char PUBLIC[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
                                 "7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":\"mine\"}";
    struct signer *signer = signer_of(ALGORITHM_EdDSA, STR(PRIVATE), STR_NONE);
    struct str header, payload, token = sign(signer, CLAIMS);
    ck_assert_int_eq(verify(token, STR(PUBLIC), STR_NONE, &header, &payload), TOKEN_VALID);
    assert_member(header, "kid", "mine");
    signer_free(signer);
    /* RFC 7515 A.3.1 */
    static const char EC[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-"
        "0iY7X1fCE9-E9LI\"}";
    signer = signer_of(ALGORITHM_ES256, STR(EC), STR_NONE);
    token = sign(signer, CLAIMS);
    ck_assert_int_eq(verify(token,
                            STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                                "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"),
                            STR_NONE, &header, &payload),
                     TOKEN_UNKNOWN_KEY); /* its kid is the thumbprint, the JWK has none */
    signer_free(signer);
}
END_TEST

static void number(char *out, size_t size, size_t *n, EVP_PKEY *key, const char *name,
                   const char *parameter) {
    char text[1400];
    forge_number(key, parameter, 0, text);
    *n += (size_t)snprintf(out + *n, size - *n, ",\"%s\":\"%s\"", name, text);
}

START_TEST(an_rsa_jwk_signs_with_its_factors_only) {
    struct forge f = forge_key(ALGORITHM_RS256, "k");
    char jwk[4096];
    size_t n = (size_t)snprintf(jwk, sizeof(jwk), "{\"kty\":\"RSA\"");
    number(jwk, sizeof(jwk), &n, f.key, "n", OSSL_PKEY_PARAM_RSA_N);
    number(jwk, sizeof(jwk), &n, f.key, "e", OSSL_PKEY_PARAM_RSA_E);
    number(jwk, sizeof(jwk), &n, f.key, "d", OSSL_PKEY_PARAM_RSA_D);
    size_t without_factors = n;
    number(jwk, sizeof(jwk), &n, f.key, "p", OSSL_PKEY_PARAM_RSA_FACTOR1);
    number(jwk, sizeof(jwk), &n, f.key, "q", OSSL_PKEY_PARAM_RSA_FACTOR2);
    number(jwk, sizeof(jwk), &n, f.key, "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1);
    number(jwk, sizeof(jwk), &n, f.key, "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2);
    number(jwk, sizeof(jwk), &n, f.key, "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
    snprintf(jwk + n, sizeof(jwk) - n, "}");
    static const enum algorithm BOTH[] = {ALGORITHM_RS256, ALGORITHM_PS512};
    for (size_t i = 0; i < 2; i++) {
        struct str header, payload;
        struct signer *signer = signer_of(BOTH[i], str_of(jwk), STR("k"));
        ck_assert_int_eq(verify(sign(signer, CLAIMS), str_of(f.jwk), STR_NONE, &header, &payload),
                         TOKEN_VALID);
        signer_free(signer);
    }
    struct signer *signer = NULL;
    char why[160];
    snprintf(jwk + without_factors, sizeof(jwk) - without_factors, "}");
    ck_assert_int_eq(signer_new(&signer, ALGORITHM_RS256, str_of(jwk), STR_NONE, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "dp"));
    EVP_PKEY_free(f.key);
}
END_TEST

START_TEST(a_key_that_does_not_fit_is_refused_with_a_reason) {
    struct buffer ec = {0}, ed = {0}, jwk = {0};
    ck_assert_int_eq(signer_new_key(ALGORITHM_ES256, &ec, &jwk), 0);
    struct str public_jwk = arena_copy(&arena, buffer_bytes(&jwk));
    ck_assert_int_eq(signer_new_key(ALGORITHM_EdDSA, &ed, &jwk), 0);
    EVP_PKEY *small = EVP_RSA_gen(1024), *koblitz = EVP_EC_gen("secp256k1");
    BIO *bio[] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    char *at[2];
    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio[0], small, NULL, NULL, 0, NULL, NULL), 1);
    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio[1], koblitz, EVP_aes_128_cbc(),
                                              (unsigned char *)"pw", 2, NULL, NULL),
                     1);
    struct str weak = {at[0], (size_t)BIO_get_mem_data(bio[0], &at[0])};
    struct str encrypted = {at[1], (size_t)BIO_get_mem_data(bio[1], &at[1])};
    weak.at = at[0];
    encrypted.at = at[1];
    const struct {
        enum algorithm algorithm;
        struct str key;
        const char *why;
    } ROWS[] = {
        {ALGORITHM_ES384, buffer_bytes(&ec), "fit"},
        {ALGORITHM_RS256, buffer_bytes(&ec), "fit"},
        {ALGORITHM_EdDSA, buffer_bytes(&ec), "fit"},
        {ALGORITHM_ES256, buffer_bytes(&ed), "fit"},
        {ALGORITHM_RS256, weak, "2048"},
        {ALGORITHM_ES256, encrypted, "PEM"},
        {ALGORITHM_ES256, STR(""), "PEM"},
        {ALGORITHM_ES256, STR_NONE, "PEM"},
        {ALGORITHM_ES256, STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
         "PEM"},
        {ALGORITHM_ES256, STR("{\"kty\":\"EC\"}"), "curve"},
        {ALGORITHM_ES256, public_jwk, "private"},
        {ALGORITHM_HS256, STR(""), "shorter"},
        {ALGORITHM_HS256, STR_NONE, "shorter"},
        {ALGORITHM_HS256, STR("thirty-one bytes are not enough"), "shorter"},
        {ALGORITHM_HS512, STR("sixty-three bytes are not enough for HS512, and these are fewer"),
         "shorter"},
        {ALGORITHM_HS256, STR("{\"kty\":\"oct\",\"k\":\"c2hvcnQ\",\"a\":\"bbbbbbbbbbbbbbbbbb\"}"),
         "shorter"},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct signer *signer = NULL;
        char why[160] = "";
        ck_assert_msg(signer_new(&signer, ROWS[i].algorithm, ROWS[i].key, STR("k"), why) == -EINVAL,
                      "row %zu", i);
        ck_assert_msg(strstr(why, ROWS[i].why) != NULL && !signer, "row %zu: %s", i, why);
    }
    ck_assert_int_eq(signer_new_key(ALGORITHM_HS256, &ec, &jwk), -EINVAL);
    for (size_t i = 0; i < 2; i++)
        BIO_free(bio[i]);
    EVP_PKEY_free(small);
    EVP_PKEY_free(koblitz);
    buffer_release(&ec);
    buffer_release(&ed);
    buffer_release(&jwk);
    signer_free(NULL);
}
END_TEST

START_TEST(only_an_object_of_unique_claims_is_signed) {
    static const char *const BAD[] = {
        "", "[]", "7", "null", "{", "{\"sub\":\"a\",\"sub\":\"b\"}", "{} {}", "{\"a\":\"\xff\"}"};
    struct buffer pem = {0}, jwk = {0}, token = {0};
    ck_assert_int_eq(signer_new_key(ALGORITHM_EdDSA, &pem, &jwk), 0);
    struct signer *signers[] = {signer_of(ALGORITHM_EdDSA, buffer_bytes(&pem), STR_NONE),
                                signer_of(ALGORITHM_HS256, STR(SECRET), STR_NONE)};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        for (size_t j = 0; j < 2; j++)
            ck_assert_msg(signer_sign(signers[j], str_of(BAD[i]), &token) == -EINVAL, "%s", BAD[i]);
    ck_assert_uint_eq(buffer_length(&token), 0);
    for (size_t j = 0; j < 2; j++)
        signer_free(signers[j]);
    buffer_release(&pem);
    buffer_release(&jwk);
    buffer_release(&token);
}
END_TEST

START_TEST(tokens_are_appended) {
    struct buffer out = {0};
    struct signer *signer = signer_of(ALGORITHM_HS256, STR(SECRET), STR("a \"quoted\" kid"));
    ck_assert_int_eq(buffer_append(&out, STR("token=")), 0);
    ck_assert_int_eq(signer_sign(signer, STR("{}"), &out), 0);
    ck_assert(str_starts(buffer_bytes(&out), STR("token=ey")));
    buffer_release(&out);
    signer_free(signer);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/signer");
    TCase *all = tcase_create("signer");
    tcase_set_timeout(all, 20);
    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, a_new_key_signs_what_its_public_jwk_verifies);
    tcase_add_test(all, a_secret_signs_by_every_hash_that_it_is_long_enough_for);
    tcase_add_test(all, a_private_jwk_signs_with_its_own_kid);
    tcase_add_test(all, an_rsa_jwk_signs_with_its_factors_only);
    tcase_add_test(all, a_key_that_does_not_fit_is_refused_with_a_reason);
    tcase_add_test(all, a_key_says_itself_what_it_signs_with);
    tcase_add_test(all, what_only_looks_like_a_key_signs_nothing);
    tcase_add_test(all, only_an_object_of_unique_claims_is_signed);
    tcase_add_test(all, tokens_are_appended);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
