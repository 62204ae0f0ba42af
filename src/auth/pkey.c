/* SPDX-License-Identifier: MIT */
/* Keys from numbers. Their bounds are RFC 7518's, and such that no key makes a check cost more than it should. */
#include "pkey.h"

#include "base/cleanup.h"
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

/* clang-format off */
const struct scheme SCHEMES[ALGORITHM_COUNT] = {
    [ALGORITHM_HS256] = {FAMILY_HMAC,  "SHA256", CURVE_NONE, 32},
    [ALGORITHM_HS384] = {FAMILY_HMAC,  "SHA384", CURVE_NONE, 48},
    [ALGORITHM_HS512] = {FAMILY_HMAC,  "SHA512", CURVE_NONE, 64},
    [ALGORITHM_RS256] = {FAMILY_RSA,   "SHA256", CURVE_NONE, 0},
    [ALGORITHM_RS384] = {FAMILY_RSA,   "SHA384", CURVE_NONE, 0},
    [ALGORITHM_RS512] = {FAMILY_RSA,   "SHA512", CURVE_NONE, 0},
    [ALGORITHM_PS256] = {FAMILY_PSS,   "SHA256", CURVE_NONE, 0},
    [ALGORITHM_PS384] = {FAMILY_PSS,   "SHA384", CURVE_NONE, 0},
    [ALGORITHM_PS512] = {FAMILY_PSS,   "SHA512", CURVE_NONE, 0},
    [ALGORITHM_ES256] = {FAMILY_ECDSA, "SHA256", CURVE_P256, 0},
    [ALGORITHM_ES384] = {FAMILY_ECDSA, "SHA384", CURVE_P384, 0},
    [ALGORITHM_ES512] = {FAMILY_ECDSA, "SHA512", CURVE_P521, 0},
    [ALGORITHM_EdDSA] = {FAMILY_EDDSA, NULL,     CURVE_ED25519, 0},
};
/* clang-format on */

static void drop_builder(OSSL_PARAM_BLD **builder) { OSSL_PARAM_BLD_free(*builder); }
static void drop_params(OSSL_PARAM **params) { OSSL_PARAM_free(*params); }
static void drop_pkey_ctx(EVP_PKEY_CTX **ctx) { EVP_PKEY_CTX_free(*ctx); }

struct number {
    const char *name;
    struct str bytes; /* empty: not there */
};

/* From here on the library owns copies; `numbers` ends with a NULL name. */
static EVP_PKEY *key_from_numbers(const char *type, const char *group, struct str point,
                                  const struct number *numbers) {
    CLEANUP(drop_builder) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    CLEANUP(drop_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    BIGNUM *held[8] = {NULL};
    bool good = builder && ctx;
    int selection = EVP_PKEY_PUBLIC_KEY;
    if (good && group)
        good =
            OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.n);
    for (size_t i = 0; good && numbers[i].name; i++) {
        assert(i < 8);
        if (numbers[i].bytes.n == 0)
            continue;
        if (i >= 2 || group)
            selection = EVP_PKEY_KEYPAIR;
        held[i] = BN_bin2bn(octets(numbers[i].bytes), (int)numbers[i].bytes.n, NULL);
        good = held[i] && OSSL_PARAM_BLD_push_BN(builder, numbers[i].name, held[i]);
    }
    CLEANUP(drop_params) OSSL_PARAM *params = good ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY *key = NULL;
    if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, selection, params) != 1)
        key = NULL;
    for (size_t i = 0; i < 8; i++)
        BN_clear_free(held[i]);
    return key;
}

static EVP_PKEY *rsa_key(const struct key_material *m) {
    const struct number numbers[] = {
        {OSSL_PKEY_PARAM_RSA_N, m->n},
        {OSSL_PKEY_PARAM_RSA_E, m->e},
        {OSSL_PKEY_PARAM_RSA_D, m->d},
        {OSSL_PKEY_PARAM_RSA_FACTOR1, m->p},
        {OSSL_PKEY_PARAM_RSA_FACTOR2, m->q},
        {OSSL_PKEY_PARAM_RSA_EXPONENT1, m->dp},
        {OSSL_PKEY_PARAM_RSA_EXPONENT2, m->dq},
        {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, m->qi},
        {NULL, STR_NONE},
    };
    return key_from_numbers("RSA", NULL, STR_NONE, numbers);
}

/* SEC 1 2.3.3: an uncompressed point is 04 || x || y. The library refuses a point off the curve. */
static EVP_PKEY *ec_key(const struct key_material *m) {
    unsigned char point[1 + 2 * 66] = {4};
    size_t width = curve_bytes(m->curve);
    assert(m->x.n == width && m->y.n == width);
    memcpy(point + 1, m->x.at, width);
    memcpy(point + 1 + width, m->y.at, width);
    const struct number numbers[] = {{OSSL_PKEY_PARAM_PRIV_KEY, m->d}, {NULL, STR_NONE}};
    return key_from_numbers("EC", curve_name(m->curve),
                            (struct str){(const char *)point, 1 + 2 * width}, numbers);
}

static EVP_PKEY *okp_key(const struct key_material *m) {
    if (m->d.n > 0)
        return EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, octets(m->d), m->d.n);
    return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, octets(m->x), m->x.n);
}

static size_t bits_of(struct str number) {
    size_t bits = number.n * 8;
    for (unsigned first = number.n ? octets(number)[0] : 0x80; !(first & 0x80); first <<= 1)
        bits--;
    return bits;
}

/* The exponent's bound is OpenSSL's own for large moduli; without one a public operation can cost as much as a private one. */
static const char *check_rsa_numbers(const struct key_material *m) {
    if (bits_of(m->n) < RSA_BITS_MIN)
        return "an RSA key below 2048 bits";
    if (bits_of(m->n) > RSA_BITS_MAX)
        return "an RSA key above 8192 bits";
    if (!(octets(m->n)[m->n.n - 1] & 1))
        return "an RSA modulus that is even";
    if (m->e.n == 0 || !(octets(m->e)[m->e.n - 1] & 1) || bits_of(m->e) < 2)
        return "an RSA exponent that is even or below 3";
    if (bits_of(m->e) > 64)
        return "an RSA exponent above 64 bits";
    return NULL;
}

EVP_PKEY *key_from_material(const struct key_material *m, const char **why) {
    EVP_PKEY *key = NULL;
    *why = m->kind == MATERIAL_RSA ? check_rsa_numbers(m) : NULL;
    if (*why)
        return NULL;
    if (m->kind == MATERIAL_RSA)
        key = rsa_key(m);
    else if (m->kind == MATERIAL_EC)
        key = ec_key(m);
    else if (m->kind == MATERIAL_OKP)
        key = okp_key(m);
    if (!key) {
        ERR_clear_error();
        *why = "numbers that make no key";
    }
    return key;
}

/* RFC 7518 3.5: the salt is as long as the hash, MGF1 uses the same hash. */
bool set_padding(EVP_PKEY_CTX *ctx, enum family family) {
    if (family != FAMILY_PSS)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}
