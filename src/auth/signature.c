/* SPDX-License-Identifier: MIT */
/* Setting up a verification (fetching the digest, parsing parameters) costs microseconds and takes locks that all threads
 * share. So it is done once per key and algorithm, in a template; a verification duplicates the template, which only counts
 * references up, and works on its own copy. Nothing here leaves errors in the thread's queue: the TLS side reads it. */
#include "signature.h"

#include "auth/p256.h"
#include "base/cleanup.h"
#include "pkey.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct verifier {
    EVP_PKEY *key; /* NULL: an HMAC secret */
    EVP_MD_CTX *templates[ALGORITHM_COUNT];
    EVP_MAC_CTX *macs[ALGORITHM_COUNT];
    struct p256_key *p256; /* the quick way of ES256; may be NULL */
};

static void drop_md_ctx(EVP_MD_CTX **ctx) { EVP_MD_CTX_free(*ctx); }
static void drop_md(EVP_MD **md) { EVP_MD_free(*md); }
static void drop_mac(EVP_MAC **mac) { EVP_MAC_free(*mac); }
static void drop_mac_ctx(EVP_MAC_CTX **ctx) { EVP_MAC_CTX_free(*ctx); }
static void drop_ecdsa(ECDSA_SIG **signature) { ECDSA_SIG_free(*signature); }
static void drop_der(unsigned char **der) { OPENSSL_free(*der); }

bool sha256(struct str bytes, unsigned char digest[32]) {
    bool done = EVP_Digest(bytes.at, bytes.n, digest, NULL, EVP_sha256(), NULL) == 1;
    if (!done)
        ERR_clear_error();
    return done;
}

static bool scheme_fits(const struct scheme *scheme, const struct key_material *m) {
    switch (m->kind) {
    case MATERIAL_RSA:
        return scheme->family == FAMILY_RSA || scheme->family == FAMILY_PSS;
    case MATERIAL_EC:
    case MATERIAL_OKP:
        return scheme->curve == m->curve;
    case MATERIAL_OCT:
        return scheme->family == FAMILY_HMAC && m->k.n >= scheme->secret_bytes;
    }
    return false;
}

unsigned material_algorithms(const struct key_material *m) {
    unsigned fitting = 0;
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++)
        if (scheme_fits(&SCHEMES[i], m))
            fitting |= ALGORITHM_BIT(i);
    return fitting;
}

static EVP_MD_CTX *verify_template(EVP_PKEY *key, const struct scheme *scheme) {
    CLEANUP(drop_md) EVP_MD *md = scheme->digest ? EVP_MD_fetch(NULL, scheme->digest, NULL) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;
    if (ctx && (md || !scheme->digest) && EVP_DigestVerifyInit(ctx, &padding, md, NULL, key) == 1 &&
        set_padding(padding, scheme->family))
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

static EVP_MAC_CTX *mac_template(struct str secret, const struct scheme *scheme) {
    CLEANUP(drop_mac) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)scheme->digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (ctx && EVP_MAC_init(ctx, octets(secret), secret.n, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static bool add_template(struct verifier *v, const struct key_material *m, unsigned algorithm) {
    const struct scheme *scheme = &SCHEMES[algorithm];
    if (scheme->family == FAMILY_HMAC)
        return (v->macs[algorithm] = mac_template(m->k, scheme)) != NULL;
    return (v->templates[algorithm] = verify_template(v->key, scheme)) != NULL;
}

struct verifier *verifier_new(const struct key_material *m, unsigned algorithms, const char **why) {
    assert(algorithms != 0 && (algorithms & ~material_algorithms(m)) == 0);
    struct key_material public_part = *m;
    public_part.d = public_part.p = public_part.q = STR_NONE;
    public_part.dp = public_part.dq = public_part.qi = STR_NONE;
    struct verifier *v = calloc(1, sizeof(*v));
    *why = "memory is out";
    if (!v)
        return NULL;
    bool good = true;
    if (m->kind != MATERIAL_OCT)
        good = (v->key = key_from_material(&public_part, why)) != NULL;
    for (unsigned i = 0; good && i < ALGORITHM_COUNT; i++)
        if (algorithms & ALGORITHM_BIT(i)) {
            good = add_template(v, m, i);
            *why = "a key that the library cannot use";
        }
    if (good)
        return v;
    ERR_clear_error();
    verifier_free(v);
    return NULL;
}

void verifier_hasten(struct verifier *v, const struct key_material *m) {
    if (v->templates[ALGORITHM_ES256] && !v->p256)
        v->p256 = p256_key_new(m->x, m->y);
}

void verifier_free(struct verifier *v) {
    if (!v)
        return;
    p256_key_free(v->p256);
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++) {
        EVP_MD_CTX_free(v->templates[i]);
        EVP_MAC_CTX_free(v->macs[i]);
    }
    EVP_PKEY_free(v->key);
    free(v);
}

int verifier_rsa_bits(const struct verifier *v) {
    return v->key && EVP_PKEY_is_a(v->key, "RSA") ? EVP_PKEY_get_bits(v->key) : 0;
}

static int check_mac(const EVP_MAC_CTX *template, struct str input, struct str signature) {
    unsigned char expected[EVP_MAX_MD_SIZE];
    size_t n = 0;
    CLEANUP(drop_mac_ctx) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(template);
    if (!ctx || EVP_MAC_update(ctx, octets(input), input.n) != 1 ||
        EVP_MAC_final(ctx, expected, &n, sizeof(expected)) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    bool same = signature.n == n && CRYPTO_memcmp(signature.at, expected, n) == 0;
    OPENSSL_cleanse(expected, sizeof(expected));
    return same;
}

static int check_signature(const EVP_MD_CTX *template, struct str input, struct str signature) {
    CLEANUP(drop_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_MD_CTX_copy_ex(ctx, template) != 1) {
        ERR_clear_error();
        return -ENOMEM;
    }
    int matches = EVP_DigestVerify(ctx, octets(signature), signature.n, octets(input), input.n);
    if (matches == 1)
        return 1;
    /* A signature of the wrong size or range is an error to the library, to us it is just none. */
    bool out_of_memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return out_of_memory ? -ENOMEM : 0;
}

/* RFC 7518 3.4: r and s, each of the curve's width, one after the other; OpenSSL wants DER. */
static int check_ecdsa(const EVP_MD_CTX *template, size_t width, struct str input,
                       struct str signature) {
    if (signature.n != 2 * width)
        return 0;
    CLEANUP(drop_ecdsa) ECDSA_SIG *pair = ECDSA_SIG_new();
    CLEANUP(drop_der) unsigned char *der = NULL;
    BIGNUM *r = BN_bin2bn(octets(signature), (int)width, NULL);
    BIGNUM *s = BN_bin2bn(octets(signature) + width, (int)width, NULL);
    if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return -ENOMEM;
    }
    int n = i2d_ECDSA_SIG(pair, &der);
    if (n <= 0)
        return -ENOMEM;
    return check_signature(template, input, (struct str){(const char *)der, (size_t)n});
}

static int check_p256(const struct p256_key *key, struct str input, struct str signature) {
    unsigned char digest[32];
    return sha256(input, digest) ? p256_check(key, digest, signature) : -ENOMEM;
}

int verifier_check(const struct verifier *v, enum algorithm algorithm, struct str input,
                   struct str signature) {
    assert(algorithm < ALGORITHM_COUNT);
    const struct scheme *scheme = &SCHEMES[algorithm];
    if (signature.n == 0)
        return 0;
    if (scheme->family == FAMILY_HMAC) {
        assert(v->macs[algorithm]);
        return check_mac(v->macs[algorithm], input, signature);
    }
    assert(v->templates[algorithm]);
    if (algorithm == ALGORITHM_ES256 && v->p256)
        return check_p256(v->p256, input, signature);
    if (scheme->family == FAMILY_ECDSA)
        return check_ecdsa(v->templates[algorithm], curve_bytes(scheme->curve), input, signature);
    return check_signature(v->templates[algorithm], input, signature);
}
