/* SPDX-License-Identifier: MIT */
/* This room's door to OpenSSL.
 *
 * Setting up a verification (fetching the digest, parsing parameters) costs microseconds and takes locks that all threads
 * share. So it is done once per key and algorithm, in a template; a verification duplicates the template, which only counts
 * references up, and works on its own copy. Nothing here leaves errors in the thread's queue: the TLS side reads it. */
#include "signature.h"

#include "auth/p256.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum family { FAMILY_HMAC, FAMILY_RSA, FAMILY_PSS, FAMILY_ECDSA, FAMILY_EDDSA };

/* clang-format off */
static const struct scheme {
    enum family family;
    const char *digest;
    enum material_curve curve;
    size_t secret_bytes; /* RFC 7518 3.2: "A key of the same size as the hash output or larger MUST be used" */
} SCHEMES[ALGORITHM_COUNT] = {
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

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct verifier {
    EVP_PKEY *key; /* NULL: an HMAC secret */
    EVP_MD_CTX *templates[ALGORITHM_COUNT];
    EVP_MAC_CTX *macs[ALGORITHM_COUNT];
    struct p256_key *p256; /* the quick way of ES256; may be NULL */
};

/* An EVP_PKEY with its private part, under a name that other files may say. */
struct private_key;
static EVP_PKEY *pkey_of(const struct private_key *key) { return (EVP_PKEY *)key; }
static struct private_key *private_key_of(EVP_PKEY *pkey) { return (struct private_key *)pkey; }

static void drop_bn(BIGNUM **number) { BN_clear_free(*number); }
static void drop_builder(OSSL_PARAM_BLD **builder) { OSSL_PARAM_BLD_free(*builder); }
static void drop_params(OSSL_PARAM **params) { OSSL_PARAM_free(*params); }
static void drop_pkey_ctx(EVP_PKEY_CTX **ctx) { EVP_PKEY_CTX_free(*ctx); }
static void drop_md_ctx(EVP_MD_CTX **ctx) { EVP_MD_CTX_free(*ctx); }
static void drop_md(EVP_MD **md) { EVP_MD_free(*md); }
static void drop_mac(EVP_MAC **mac) { EVP_MAC_free(*mac); }
static void drop_mac_ctx(EVP_MAC_CTX **ctx) { EVP_MAC_CTX_free(*ctx); }
static void drop_ecdsa(ECDSA_SIG **signature) { ECDSA_SIG_free(*signature); }
static void drop_der(unsigned char **der) { OPENSSL_free(*der); }
static void drop_bio(BIO **bio) { BIO_free(*bio); }

static const unsigned char *octets(struct str s) { return (const unsigned char *)s.at; }

bool sha256(struct str bytes, unsigned char digest[32]) {
    bool done = EVP_Digest(bytes.at, bytes.n, digest, NULL, EVP_sha256(), NULL) == 1;
    if (!done)
        ERR_clear_error();
    return done;
}

/* ---- keys from numbers ---- */

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

/* NULL with a reason. */
static EVP_PKEY *key_from_material(const struct key_material *m, const char **why) {
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

/* ---- verifying ---- */

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

/* RFC 7518 3.5: the salt is as long as the hash, MGF1 uses the same hash. */
static bool set_padding(EVP_PKEY_CTX *ctx, enum family family) {
    if (family != FAMILY_PSS)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
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

/* ---- signing ---- */

/* Never ask a terminal for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *arg) {
    (void)buffer, (void)size, (void)writing, (void)arg;
    return -1;
}

struct private_key *private_key_from_pem(struct str pem, const char **why) {
    *why = "not a PEM private key (or an encrypted one)";
    if (pem.n > 64 * 1024)
        return NULL;
    CLEANUP(drop_bio) BIO *bio = BIO_new_mem_buf(pem.at ? pem.at : "", (int)pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    if (!key)
        ERR_clear_error();
    return private_key_of(key);
}

struct private_key *private_key_from_material(const struct key_material *m, const char **why) {
    *why = "a key without its private part";
    if (m->d.n == 0 || m->kind == MATERIAL_OCT)
        return NULL;
    *why = "an RSA key without p, q, dp, dq and qi";
    if (m->kind == MATERIAL_RSA && !(m->p.n && m->q.n && m->dp.n && m->dq.n && m->qi.n))
        return NULL;
    return private_key_of(key_from_material(m, why));
}

struct private_key *private_key_new(enum algorithm algorithm) {
    const struct scheme *scheme = &SCHEMES[algorithm];
    EVP_PKEY *key = NULL;
    if (scheme->family == FAMILY_ECDSA)
        key = EVP_EC_gen(curve_name(scheme->curve));
    else if (scheme->family == FAMILY_EDDSA)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else if (scheme->family != FAMILY_HMAC)
        key = EVP_RSA_gen(2048);
    if (!key)
        ERR_clear_error();
    return private_key_of(key);
}

void private_key_free(struct private_key *key) { EVP_PKEY_free(pkey_of(key)); }

static bool get_number(EVP_PKEY *key, const char *name, struct str *out, size_t width,
                       struct arena *arena) {
    BIGNUM *number = NULL;
    bool found = EVP_PKEY_get_bn_param(key, name, &number) == 1;
    CLEANUP(drop_bn) BIGNUM *held = number;
    if (!found)
        return false;
    size_t n = width ? width : (size_t)BN_num_bytes(held);
    unsigned char *room = arena_alloc(arena, n);
    if (!room || BN_bn2binpad(held, room, (int)n) < 0)
        return false;
    *out = (struct str){(const char *)room, n};
    return true;
}

static bool get_point(EVP_PKEY *key, struct key_material *m, struct arena *arena) {
    char group[32];
    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       NULL) != 1)
        return false;
    int nid = OBJ_sn2nid(group);
    for (enum material_curve c = CURVE_P256; c <= CURVE_P521; c++)
        if (nid == EC_curve_nist2nid(curve_name(c)))
            m->curve = c;
    return m->curve &&
           get_number(key, OSSL_PKEY_PARAM_EC_PUB_X, &m->x, curve_bytes(m->curve), arena) &&
           get_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, &m->y, curve_bytes(m->curve), arena);
}

static bool get_raw(EVP_PKEY *key, struct key_material *m, struct arena *arena) {
    size_t n = curve_bytes(CURVE_ED25519);
    unsigned char *room = arena_alloc(arena, n);
    m->curve = CURVE_ED25519;
    m->x = (struct str){(const char *)room, n};
    return room && EVP_PKEY_get_raw_public_key(key, room, &n) == 1;
}

bool private_key_material(const struct private_key *key, struct key_material *m,
                          struct arena *arena) {
    EVP_PKEY *pkey = pkey_of(key);
    bool good = false;
    *m = (struct key_material){0};
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        m->kind = MATERIAL_RSA;
        good = get_number(pkey, OSSL_PKEY_PARAM_RSA_N, &m->n, 0, arena) &&
               get_number(pkey, OSSL_PKEY_PARAM_RSA_E, &m->e, 0, arena);
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        m->kind = MATERIAL_EC;
        good = get_point(pkey, m, arena);
    } else if (EVP_PKEY_is_a(pkey, "ED25519")) {
        m->kind = MATERIAL_OKP;
        good = get_raw(pkey, m, arena);
    }
    ERR_clear_error();
    return good;
}

int private_key_put_pem(const struct private_key *key, struct buffer *pem) {
    CLEANUP(drop_bio) BIO *bio = BIO_new(BIO_s_secmem());
    char *at;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, pkey_of(key), NULL, NULL, 0, NULL, NULL) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    long n = BIO_get_mem_data(bio, &at);
    return buffer_append(pem, (struct str){at, (size_t)n});
}

int private_key_sign(const struct private_key *key, enum algorithm algorithm, struct str input,
                     struct buffer *signature) {
    const struct scheme *scheme = &SCHEMES[algorithm];
    assert(scheme->family != FAMILY_HMAC && scheme->family != FAMILY_ECDSA);
    CLEANUP(drop_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;
    size_t n = (size_t)EVP_PKEY_get_size(pkey_of(key));
    char *room;
    TRY(buffer_reserve(signature, n, &room));
    if (!ctx ||
        EVP_DigestSignInit_ex(ctx, &padding, scheme->digest, NULL, NULL, pkey_of(key), NULL) != 1 ||
        !set_padding(padding, scheme->family) ||
        EVP_DigestSign(ctx, (unsigned char *)room, &n, octets(input), input.n) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    buffer_commit(signature, n);
    return 0;
}
