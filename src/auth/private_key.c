/* SPDX-License-Identifier: MIT */
#include "private_key.h"

#include "pkey.h"
#include <assert.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/* An EVP_PKEY with its private part, under a name that other files may say. */
struct private_key;
static EVP_PKEY *pkey_of(const struct private_key *key) { return (EVP_PKEY *)key; }
static struct private_key *private_key_of(EVP_PKEY *pkey) { return (struct private_key *)pkey; }

static void drop_bn(BIGNUM **number) { BN_clear_free(*number); }
static void drop_md_ctx(EVP_MD_CTX **ctx) { EVP_MD_CTX_free(*ctx); }
static void drop_bio(BIO **bio) { BIO_free(*bio); }

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
