/* SPDX-License-Identifier: MIT */
#include "auth/keyset.h"
#include "forge.h"

#include <check.h>
#include <errno.h>

/* RFC 7515 A.2.1 and A.3.1, RFC 8037 A.2: public keys that everybody knows. */
#define RSA_N \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-" \
    "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-" \
    "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-" \
    "KXBdQOS-UTo7WTBEMa2R2Cap" \
    "Hg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_" \
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4" \
    "FRWyuXpoQ"
#define EC_X  "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y  "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define OKP_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define OCT_K \
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

#define RSA(extra) "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"" extra "}"
#define EC(extra) \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"" extra "}"
#define OKP(extra) "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\"" extra "}"
#define OCT(extra) "{\"kty\":\"oct\",\"k\":\"" OCT_K "\"" extra "}"
#define SET(keys)  "{\"keys\":[" keys "]}"

struct skipped {
    int n;
    const char *reason;
    char kid[64];
};

static void on_skipped(void *arg, struct str kid, const char *reason) {
    struct skipped *skipped = arg;
    skipped->n++;
    skipped->reason = reason;
    snprintf(skipped->kid, sizeof(skipped->kid), STR_FMT, STR_ARG(kid));
}

static bool is_lasting; /* what checks many tokens judges no other way */

static struct keyset *parse(const char *document, unsigned algorithms, bool allows_symmetric,
                            struct skipped *skipped) {
    struct keyset_options options = {.algorithms = algorithms,
                                     .allows_symmetric = allows_symmetric,
                                     .is_lasting = is_lasting,
                                     .on_skipped = skipped ? on_skipped : NULL,
                                     .arg = skipped};
    struct keyset *set = NULL;
    char why[160];
    int failed = keyset_parse(&set, str_of(document), &options, why);
    ck_assert_msg(failed == 0, "%s", why);
    return set;
}

static struct keyset *parse_all(const char *document) {
    return parse(document, ALGORITHMS_ALL, false, NULL);
}

static const struct key *find(const struct keyset *set, const char *kid, enum algorithm algorithm) {
    size_t cursor = 0;
    return keyset_find(set, str_of(kid), algorithm, &cursor);
}

static void assert_print(const struct key *key, const char *expected) {
    char text[64];
    forge_base64(text, 0, key_print(key)->bytes, 32);
    ck_assert_str_eq(text, expected);
}

/* ---- what is accepted ---- */

START_TEST(keys_of_every_type_are_pinned_to_what_they_may_do) {
    struct keyset *set =
        parse(SET(RSA("") "," EC("") "," OKP("") "," OCT("")), ALGORITHMS_ALL, true, NULL);
    ck_assert_uint_eq(keyset_count(set), 4);
    ck_assert_str_eq(key_type(keyset_at(set, 0)), "RSA 2048");
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 0)),
                      ALGORITHM_BIT(ALGORITHM_RS256) | ALGORITHM_BIT(ALGORITHM_RS384) |
                          ALGORITHM_BIT(ALGORITHM_RS512) | ALGORITHM_BIT(ALGORITHM_PS256) |
                          ALGORITHM_BIT(ALGORITHM_PS384) | ALGORITHM_BIT(ALGORITHM_PS512));
    ck_assert_str_eq(key_type(keyset_at(set, 1)), "EC P-256");
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 1)), ALGORITHM_BIT(ALGORITHM_ES256));
    ck_assert_str_eq(key_type(keyset_at(set, 2)), "OKP Ed25519");
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 2)), ALGORITHM_BIT(ALGORITHM_EdDSA));
    ck_assert_str_eq(key_type(keyset_at(set, 3)), "oct");
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 3)), ALGORITHMS_HMAC);
    keyset_unref(set);
}
END_TEST

START_TEST(a_key_with_alg_does_just_that) {
    struct keyset *set = parse_all(SET(RSA(",\"alg\":\"PS384\"")));
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 0)), ALGORITHM_BIT(ALGORITHM_PS384));
    ck_assert_ptr_null(find(set, "", ALGORITHM_RS256));
    ck_assert_ptr_nonnull(find(set, "", ALGORITHM_PS384));
    keyset_unref(set);
}
END_TEST

START_TEST(only_enabled_algorithms_remain) {
    struct keyset *set = parse(SET(RSA("")), ALGORITHMS_DEFAULT, false, NULL);
    ck_assert_uint_eq(key_algorithms(keyset_at(set, 0)), ALGORITHM_BIT(ALGORITHM_RS256));
    keyset_unref(set);
}
END_TEST

START_TEST(a_document_may_be_one_key) {
    struct keyset *set = parse_all(EC(",\"kid\":\"one\""));
    ck_assert_uint_eq(keyset_count(set), 1);
    ck_assert(str_eq(key_kid(keyset_at(set, 0)), STR("one")));
    keyset_unref(set);
}
END_TEST

START_TEST(an_empty_set_is_a_set) {
    struct keyset *set = parse_all("{\"keys\":[]}");
    ck_assert_uint_eq(keyset_count(set), 0);
    ck_assert_ptr_null(find(set, "", ALGORITHM_ES256));
    keyset_unref(set);
}
END_TEST

START_TEST(supabase_members_are_welcome) {
    struct keyset *set = parse(SET(EC(",\"kid\":\"b0e5\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_"
                                      "ops\":[\"verify\"],\"ext\":true")),
                               ALGORITHMS_DEFAULT, false, NULL);
    ck_assert_uint_eq(keyset_count_published(set), 1);
    keyset_unref(set);
}
END_TEST

START_TEST(prints_are_rfc7638_thumbprints) {
    /* RFC 7638 3.1 and RFC 8037 A.3. */
    struct keyset *set = parse_all(
        SET("{\"kty\":\"RSA\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\",\"e\":\"AQAB\",\"n\":"
            "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAF"
            "bWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-"
            "5JsGY4Hc5n9yBXArwl93lqt7_RN5w6"
            "Cf0h4QyQ5v-65YGjQR0_"
            "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
            "bFTWhAI4vMQFh"
            "6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}," OKP(
                ",\"kid\":\"x\"")));
    assert_print(keyset_at(set, 0), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_print(keyset_at(set, 1), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    keyset_unref(set);
}
END_TEST

START_TEST(a_print_is_the_material_whatever_the_kid_and_leading_zeros) {
    struct keyset *a = parse_all(SET(RSA(",\"kid\":\"a\"")));
    struct keyset *b =
        parse_all("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\",\"kid\":\"b\"}");
    ck_assert(keyset_holds(b, key_print(keyset_at(a, 0))));
    ck_assert(!keyset_same(a, b));
    keyset_unref(a);
    keyset_unref(b);
}
END_TEST

START_TEST(the_secret_verifies_hs256_whatever_the_kid) {
    struct keyset_options options = {.algorithms = ALGORITHMS_DEFAULT,
                                     .hs256_secret = STR("a secret of thirty-two bytes, yes")};
    char why[160];
    struct keyset *set = NULL;
    ck_assert_int_eq(keyset_parse(&set, STR_NONE, &options, why), 0);
    ck_assert_uint_eq(keyset_count(set), 1);
    ck_assert_uint_eq(keyset_count_published(set), 0);
    ck_assert_ptr_nonnull(find(set, "whatever", ALGORITHM_HS256));
    ck_assert_ptr_nonnull(find(set, "", ALGORITHM_HS256));
    ck_assert_ptr_null(find(set, "", ALGORITHM_HS512));
    keyset_unref(set);

    ck_assert_int_eq(keyset_parse(&set, STR(SET(EC(""))), &options, why), 0);
    ck_assert_uint_eq(keyset_count(set), 2);
    ck_assert_uint_eq(keyset_count_published(set), 1);
    keyset_unref(set);
}
END_TEST

START_TEST(keys_that_share_a_kid_are_told_apart_by_the_algorithm) {
    struct keyset *set = parse_all(SET(RSA(",\"kid\":\"k\"") "," EC(",\"kid\":\"k\"")));
    ck_assert_str_eq(key_type(find(set, "k", ALGORITHM_ES256)), "EC P-256");
    ck_assert_str_eq(key_type(find(set, "k", ALGORITHM_RS256)), "RSA 2048");
    ck_assert_ptr_null(find(set, "other", ALGORITHM_ES256));
    ck_assert_ptr_null(find(set, "k", ALGORITHM_ES384));
    keyset_unref(set);
}
END_TEST

START_TEST(each_of_many_keys_is_found_by_its_kid_and_no_other_is) {
    static char document[20000];
    int n = snprintf(document, sizeof(document), "{\"keys\":[");
    for (int i = 0; i < 100; i++)
        n += snprintf(document + n, sizeof(document) - (size_t)n,
                      "%s{\"kty\":\"oct\",\"k\":\"%02dM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\","
                      "\"kid\":\"k%02d\"}",
                      i ? "," : "", i, i * 37 % 100);
    snprintf(document + n, sizeof(document) - (size_t)n, "]}");
    struct keyset *set = parse(document, ALGORITHMS_ALL, true, NULL);
    ck_assert_uint_eq(keyset_count(set), 100);
    for (int i = 0; i < 100; i++) {
        char kid[8];
        size_t cursor = 0;
        struct str wanted = {kid, (size_t)snprintf(kid, sizeof(kid), "k%02d", i)};
        ck_assert(str_eq(key_kid(keyset_find(set, wanted, ALGORITHM_HS256, &cursor)), wanted));
        ck_assert_ptr_null(keyset_find(set, wanted, ALGORITHM_HS256, &cursor));
        ck_assert_ptr_null(keyset_find(set, wanted, ALGORITHM_HS256, &cursor));
    }
    ck_assert_ptr_null(find(set, "a", ALGORITHM_HS256));
    ck_assert_ptr_null(find(set, "k", ALGORITHM_HS256));
    ck_assert_ptr_null(find(set, "k505", ALGORITHM_HS256));
    ck_assert_ptr_null(find(set, "z", ALGORITHM_HS256));
    keyset_unref(set);
}
END_TEST

START_TEST(without_a_kid_every_fitting_key_is_offered_once) {
    struct forge other = forge_key(ALGORITHM_ES256, "second");
    char document[4096];
    snprintf(document, sizeof(document), "{\"keys\":[%s,%s,%s]}", EC(",\"kid\":\"first\""), RSA(""),
             other.jwk);
    struct keyset *set = parse_all(document);
    size_t cursor = 0;
    ck_assert(str_eq(key_kid(keyset_find(set, STR_NONE, ALGORITHM_ES256, &cursor)), STR("first")));
    ck_assert(str_eq(key_kid(keyset_find(set, STR_NONE, ALGORITHM_ES256, &cursor)), STR("second")));
    ck_assert_ptr_null(keyset_find(set, STR_NONE, ALGORITHM_ES256, &cursor));
    keyset_unref(set);
    EVP_PKEY_free(other.key);
}
END_TEST

START_TEST(sets_are_the_same_in_any_order) {
    struct keyset *a = parse_all(SET(RSA(",\"kid\":\"r\"") "," EC(",\"kid\":\"e\"")));
    struct keyset *b = parse_all(SET(EC(",\"kid\":\"e\"") "," RSA(",\"kid\":\"r\"")));
    struct keyset *renamed = parse_all(SET(EC(",\"kid\":\"other\"") "," RSA(",\"kid\":\"r\"")));
    struct keyset *narrowed =
        parse_all(SET(EC(",\"kid\":\"e\"") "," RSA(",\"kid\":\"r\",\"alg\":\"RS256\"")));
    struct keyset *fewer = parse_all(SET(EC(",\"kid\":\"e\"")));
    ck_assert(keyset_same(a, b));
    ck_assert(!keyset_same(a, renamed));
    ck_assert(!keyset_same(a, narrowed));
    ck_assert(!keyset_same(a, fewer) && !keyset_same(fewer, a));
    struct keyset *sets[] = {a, b, renamed, narrowed, fewer};
    for (size_t i = 0; i < 5; i++)
        keyset_unref(sets[i]);
}
END_TEST

START_TEST(a_set_can_be_read_again_from_its_document) {
    static const char text[] = "{\"keys\":[]}";
    struct keyset *set = parse(text, ALGORITHMS_ALL, false, NULL);
    ck_assert(str_eq(keyset_document(set), STR(text)));
    keyset_unref(set);
    set = parse(text, ALGORITHMS_ALL, true, NULL); /* where secrets may be */
    ck_assert_uint_eq(keyset_document(set).n, 0);
    keyset_unref(set);
}
END_TEST

START_TEST(a_set_lives_until_the_last_reference) {
    struct keyset *set = parse_all(SET(EC("")));
    ck_assert_ptr_eq(keyset_ref(set), set);
    keyset_unref(set);
    ck_assert_uint_eq(keyset_count(set), 1);
    keyset_unref(set);
    keyset_unref(NULL);
}
END_TEST

/* ---- what is skipped ---- */

START_TEST(an_unusable_key_is_skipped_and_the_set_lives_on) {
    static const char *const BAD[][2] = {
        {"7", "object"},
        {"[]", "object"},
        {"{}", "type"},
        {"{\"kty\":\"rsa\"}", "type"},
        {"{\"kty\":1}", "type"},
        {"{\"kty\":\"PQC\"}", "type"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", "missing"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "missing"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}", "missing"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":65537}", "not a string"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "=\",\"e\":\"AQAB\"}", "base64url"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", "below 3"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AA\"}", "below 3"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"BA\"}", "even"},
        {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAAAAAAB\"}", "64 bits"},
        {"{\"kty\":\"RSA\",\"n\":\"uQ\",\"e\":\"AQAB\"}", "2048"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}", "no key"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", "missing"},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "length"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"" EC_Y "\"}", "length"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "curve"},
        {"{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "curve"},
        {"{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "curve"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
         "\"y\":"
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         "no key"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" OKP_X "\"}", "curve"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" OKP_X "\"}", "curve"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "length"},
        {OCT(""), "symmetric"},
        {OKP(",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""), "private"},
        {EC(",\"use\":\"enc\""), "use"},
        {EC(",\"use\":7"), "use"},
        {EC(",\"key_ops\":[\"sign\"]"), "key_ops"},
        {EC(",\"key_ops\":[]"), "key_ops"},
        {EC(",\"key_ops\":\"verify\""), "key_ops"},
        {EC(",\"key_ops\":{\"verify\":\"verify\"}"), "key_ops"},
        {EC(",\"alg\":\"RS256\""), "alg"},
        {EC(",\"alg\":\"ES384\""), "alg"},
        {EC(",\"alg\":\"none\""), "alg"},
        {EC(",\"alg\":\"\""), "alg"},
        {EC(",\"alg\":\"ECDH-ES\""), "alg"},
        {EC(",\"alg\":null"), "alg"},
        {EC(",\"kid\":5"), "kid"},
        {RSA(",\"alg\":\"HS256\""), "alg"},
        {OKP(",\"kid\":\"good\""), "twice"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct skipped skipped = {0};
        char document[2048];
        snprintf(document, sizeof(document), "{\"keys\":[%s,%s]}", OKP(",\"kid\":\"good\""),
                 BAD[i][0]);
        struct keyset *set = parse(document, ALGORITHMS_ALL, false, &skipped);
        ck_assert_msg(keyset_count(set) == 1 && skipped.n == 1, "%s", BAD[i][0]);
        ck_assert_msg(strstr(skipped.reason, BAD[i][1]) != NULL, "%s: %s", BAD[i][0],
                      skipped.reason);
        keyset_unref(set);
    }
}
END_TEST

START_TEST(a_modulus_is_bounded_on_both_sides) {
    static const struct {
        size_t bytes;
        unsigned char first, last;
        const char *reason; /* NULL: taken */
    } MODULI[] = {
        {256, 0x80, 0x01, NULL},    {256, 0x7f, 0x01, "2048"},  {128, 0x80, 0x01, "2048"},
        {64, 0xff, 0x01, "2048"},   {256, 0x80, 0x02, "even"},  {1024, 0xff, 0x01, NULL},
        {1025, 0x01, 0x01, "8192"}, {2048, 0xff, 0x01, "8192"},
    };
    for (size_t i = 0; i < sizeof(MODULI) / sizeof(MODULI[0]); i++) {
        unsigned char n[2048];
        char text[3000], document[4096];
        struct skipped skipped = {0};
        memset(n, 0x55, sizeof(n));
        n[0] = MODULI[i].first;
        n[MODULI[i].bytes - 1] = MODULI[i].last;
        forge_base64(text, 0, n, MODULI[i].bytes);
        snprintf(document, sizeof(document), "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}", text);
        struct keyset *set = parse(document, ALGORITHMS_ALL, false, &skipped);
        ck_assert_uint_eq(keyset_count(set), MODULI[i].reason ? 0 : 1);
        if (MODULI[i].reason)
            ck_assert_ptr_nonnull(strstr(skipped.reason, MODULI[i].reason));
        keyset_unref(set);
    }
}
END_TEST

START_TEST(a_short_secret_may_do_only_what_its_length_allows) {
    static const struct {
        size_t bytes;
        unsigned algorithms;
    } SECRETS[] = {{16, 0}, {31, 0}, {32, 1}, {47, 1}, {48, 3}, {63, 3}, {64, 7}};
    for (size_t i = 0; i < sizeof(SECRETS) / sizeof(SECRETS[0]); i++) {
        char secret[64], text[128], document[256];
        memset(secret, 'x', sizeof(secret));
        forge_base64(text, 0, secret, SECRETS[i].bytes);
        snprintf(document, sizeof(document), "{\"kty\":\"oct\",\"k\":\"%s\"}", text);
        struct keyset *set = parse(document, ALGORITHMS_ALL, true, NULL);
        ck_assert_uint_eq(keyset_count(set) ? key_algorithms(keyset_at(set, 0)) : 0,
                          SECRETS[i].algorithms);
        keyset_unref(set);
    }
}
END_TEST

START_TEST(a_skipped_key_is_reported_with_its_kid) {
    struct skipped skipped = {0};
    struct keyset *set = parse(SET(OCT(",\"kid\":\"legacy\"")), ALGORITHMS_ALL, false, &skipped);
    ck_assert_str_eq(skipped.kid, "legacy");
    ck_assert_uint_eq(keyset_count(set), 0);
    keyset_unref(set);
    keyset_unref(parse(SET(OCT("") ",{},3"), ALGORITHMS_ALL, false, NULL));
}
END_TEST

START_TEST(a_key_of_no_enabled_algorithm_is_skipped) {
    struct skipped skipped = {0};
    struct keyset *set = parse(SET(EC("")), ALGORITHM_BIT(ALGORITHM_RS256), false, &skipped);
    ck_assert_ptr_nonnull(strstr(skipped.reason, "not enabled"));
    keyset_unref(set);
}
END_TEST

/* ---- what is no set ---- */

START_TEST(what_is_no_key_set_is_refused) {
    static const char *const BAD[] = {
        "",
        " ",
        "<html>",
        "null",
        "[]",
        "7",
        "\"keys\"",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":\"\"}",
        "{\"keys\":[}",
        "{\"keys\":[]} x",
        "{\"keys\":[],\"keys\":[]}",
        SET(EC("")) SET(EC("")),
        "{\"Keys\":[]}",
        "{\"keys\":[{\"kty\":\"EC\"",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct keyset_options options = {.algorithms = ALGORITHMS_ALL};
        struct keyset *set = NULL;
        char why[160] = "";
        ck_assert_msg(keyset_parse(&set, str_of(BAD[i]), &options, why) == -EINVAL, "%s", BAD[i]);
        ck_assert_msg(why[0] != '\0' && set == NULL, "%s", BAD[i]);
    }
}
END_TEST

START_TEST(a_set_is_bounded_in_keys_and_bytes) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL};
    struct keyset *set = NULL;
    char why[160];
    size_t room = KEYSET_BYTES_MAX + 64;
    char *document = malloc(room);
    for (int n = 100; n <= 101; n++) {
        size_t at = (size_t)snprintf(document, room, "{\"keys\":[");
        for (int i = 0; i < n; i++)
            at += (size_t)snprintf(document + at, room - at, "%s{\"kty\":\"EC\"}", i ? "," : "");
        snprintf(document + at, room - at, "]}");
        ck_assert_int_eq(keyset_parse(&set, str_of(document), &options, why),
                         n == 100 ? 0 : -E2BIG);
    }
    keyset_unref(set);
    memset(document, ' ', room);
    memcpy(document, "{\"keys\":[]}", 11);
    ck_assert_int_eq(
        keyset_parse(&set, (struct str){document, KEYSET_BYTES_MAX + 1}, &options, why), -E2BIG);
    ck_assert_int_eq(keyset_parse(&set, (struct str){document, KEYSET_BYTES_MAX}, &options, why),
                     0);
    keyset_unref(set);
    free(document);
}
END_TEST

/* ---- verifying ---- */

static void assert_verifies(const struct forge *f) {
    struct keyset *set = parse_all(f->jwk);
    const struct key *key = keyset_at(set, 0);
    unsigned char signature[1100];
    size_t n = forge_sign(f, "signed", 6, signature);
    struct str good = {(const char *)signature, n};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(key_verify(key, f->algorithm, STR("signed"), good), 1);
    ck_assert_int_eq(key_verify(key, f->algorithm, STR("signet"), good), 0);
    ck_assert_int_eq(key_verify(key, f->algorithm, STR("signed"), str_first(good, n - 1)), 0);
    ck_assert_int_eq(key_verify(key, f->algorithm, STR("signed"), STR_NONE), 0);
    for (unsigned other = 0; other < ALGORITHM_COUNT; other++)
        if (other != f->algorithm && (key_algorithms(key) & ALGORITHM_BIT(other)))
            ck_assert_int_eq(key_verify(key, (enum algorithm)other, STR("signed"), good), 0);
    for (size_t byte = 0; byte < n; byte += 7) {
        signature[byte] ^= 1;
        ck_assert_int_eq(key_verify(key, f->algorithm, STR("signed"), good), 0);
        signature[byte] ^= 1;
    }
    keyset_unref(set);
}

START_TEST(every_algorithm_verifies_its_own_signature_and_no_other) {
    is_lasting = _i;
    struct forge rsa = forge_key(ALGORITHM_RS256, "k");
    for (unsigned i = ALGORITHM_RS256; i < ALGORITHM_ES256; i++) {
        rsa.algorithm = (enum algorithm)i;
        assert_verifies(&rsa);
    }
    EVP_PKEY_free(rsa.key);
    for (unsigned i = ALGORITHM_ES256; i < ALGORITHM_COUNT; i++) {
        struct forge f = forge_key((enum algorithm)i, "k");
        assert_verifies(&f);
        EVP_PKEY_free(f.key);
    }
}
END_TEST

START_TEST(a_mac_is_whole_and_no_longer) {
    unsigned char mac[80] = {0};
    unsigned n;
    struct keyset *set = parse(OCT(""), ALGORITHMS_ALL, true, NULL);
    const struct key *key = keyset_at(set, 0);
    unsigned char secret[64] = {0x03, 0x23, 0x35, 0x4b, 0x2b, 0x0f, 0xa5, 0xbc, 0x83, 0x7e, 0x06,
                                0x65, 0x77, 0x7b, 0xa6, 0x8f, 0x5a, 0xb3, 0x28, 0xe6, 0xf0, 0x54,
                                0xc9, 0x28, 0xa9, 0x0f, 0x84, 0xb2, 0xd2, 0x50, 0x2e, 0xbf, 0xd3,
                                0xfb, 0x5a, 0x92, 0xd2, 0x06, 0x47, 0xef, 0x96, 0x8a, 0xb4, 0xc3,
                                0x77, 0x62, 0x3d, 0x22, 0x3d, 0x2e, 0x21, 0x72, 0x05, 0x2e, 0x4f,
                                0x08, 0xc0, 0xcd, 0x9a, 0xf5, 0x67, 0xd0, 0x80, 0xa3};
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), secret, 64, (const unsigned char *)"x", 1, mac, &n));
    for (size_t length = 0; length <= 80; length++)
        ck_assert_int_eq(
            key_verify(key, ALGORITHM_HS256, STR("x"), (struct str){(const char *)mac, length}),
            length == 32);
    keyset_unref(set);
}
END_TEST

/* RFC 7518 3.5: "the size of the salt value is the same size as the hash function output". */
START_TEST(a_pss_salt_is_as_long_as_the_hash) {
    struct forge f = forge_key(ALGORITHM_PS256, "k");
    struct keyset *set = parse_all(f.jwk);
    static const int SALTS[] = {0, 20, 31, 32, 33, 64};
    for (size_t i = 0; i < sizeof(SALTS) / sizeof(SALTS[0]); i++) {
        unsigned char signature[256];
        size_t n = sizeof(signature);
        EVP_PKEY_CTX *padding;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, &padding, "SHA256", NULL, NULL, f.key, NULL),
                         1);
        ck_assert_int_gt(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING), 0);
        ck_assert_int_gt(EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, SALTS[i]), 0);
        ck_assert_int_eq(EVP_DigestSign(ctx, signature, &n, (const unsigned char *)"x", 1), 1);
        EVP_MD_CTX_free(ctx);
        ck_assert_int_eq(key_verify(keyset_at(set, 0), ALGORITHM_PS256, STR("x"),
                                    (struct str){(const char *)signature, n}),
                         SALTS[i] == 32);
    }
    keyset_unref(set);
    EVP_PKEY_free(f.key);
}
END_TEST

START_TEST(ecdsa_signatures_have_one_form) {
    is_lasting = _i;
    /* Psychic signatures (r or s zero), values of the order and above, DER, and other widths. */
    struct keyset *set = parse_all(EC(""));
    const struct key *key = keyset_at(set, 0);
    static const unsigned char ORDER[32] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                            0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    char raw[128] = {0};
    ck_assert_int_eq(key_verify(key, ALGORITHM_ES256, STR("x"), (struct str){raw, 64}), 0);
    memcpy(raw, ORDER, 32);
    ck_assert_int_eq(key_verify(key, ALGORITHM_ES256, STR("x"), (struct str){raw, 64}), 0);
    memcpy(raw + 32, ORDER, 32);
    ck_assert_int_eq(key_verify(key, ALGORITHM_ES256, STR("x"), (struct str){raw, 64}), 0);
    memset(raw, 0xff, 64);
    ck_assert_int_eq(key_verify(key, ALGORITHM_ES256, STR("x"), (struct str){raw, 64}), 0);
    static const size_t LENGTHS[] = {1, 63, 65, 70, 71, 72, 96, 128};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++)
        ck_assert_int_eq(key_verify(key, ALGORITHM_ES256, STR("x"), (struct str){raw, LENGTHS[i]}),
                         0);
    keyset_unref(set);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/keyset");
    TCase *good = tcase_create("taken"), *bad = tcase_create("refused"),
          *verify = tcase_create("verify");
    tcase_set_timeout(verify, 20);
    tcase_add_test(good, keys_of_every_type_are_pinned_to_what_they_may_do);
    tcase_add_test(good, a_key_with_alg_does_just_that);
    tcase_add_test(good, only_enabled_algorithms_remain);
    tcase_add_test(good, a_document_may_be_one_key);
    tcase_add_test(good, an_empty_set_is_a_set);
    tcase_add_test(good, supabase_members_are_welcome);
    tcase_add_test(good, prints_are_rfc7638_thumbprints);
    tcase_add_test(good, a_print_is_the_material_whatever_the_kid_and_leading_zeros);
    tcase_add_test(good, the_secret_verifies_hs256_whatever_the_kid);
    tcase_add_test(good, keys_that_share_a_kid_are_told_apart_by_the_algorithm);
    tcase_add_test(good, each_of_many_keys_is_found_by_its_kid_and_no_other_is);
    tcase_add_test(good, without_a_kid_every_fitting_key_is_offered_once);
    tcase_add_test(good, sets_are_the_same_in_any_order);
    tcase_add_test(good, a_set_can_be_read_again_from_its_document);
    tcase_add_test(good, a_set_lives_until_the_last_reference);
    tcase_add_test(bad, an_unusable_key_is_skipped_and_the_set_lives_on);
    tcase_add_test(bad, a_modulus_is_bounded_on_both_sides);
    tcase_add_test(bad, a_short_secret_may_do_only_what_its_length_allows);
    tcase_add_test(bad, a_skipped_key_is_reported_with_its_kid);
    tcase_add_test(bad, a_key_of_no_enabled_algorithm_is_skipped);
    tcase_add_test(bad, what_is_no_key_set_is_refused);
    tcase_add_test(bad, a_set_is_bounded_in_keys_and_bytes);
    tcase_add_loop_test(verify, every_algorithm_verifies_its_own_signature_and_no_other, 0, 2);
    tcase_add_test(verify, a_mac_is_whole_and_no_longer);
    tcase_add_test(verify, a_pss_salt_is_as_long_as_the_hash);
    tcase_add_loop_test(verify, ecdsa_signatures_have_one_form, 0, 2);
    TCase *cases[] = {good, bad, verify};
    for (size_t i = 0; i < 3; i++)
        suite_add_tcase(suite, cases[i]);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
