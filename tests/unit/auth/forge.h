/* SPDX-License-Identifier: MIT */
#pragma once
/* Keys and tokens made with OpenSSL alone, so that what proves the room shares no code with it. Any header and any payload
 * can be signed: the bad ones are the point. */
#include "auth/token.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

/* Also in builds without assertions. */
#define FORGE_DO(step) \
    do { \
        if (!(step)) \
            abort(); \
    } while (0)

struct forge {
    EVP_PKEY *key;
    enum algorithm algorithm;
    char jwk[2048]; /* public, with kid */
};

static const char FORGE_ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Appends at text + n; returns the new length. */
static inline size_t forge_base64(char *text, size_t n, const void *bytes, size_t n_bytes) {
    const unsigned char *at = bytes;
    unsigned held = 0;
    int bits = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        held = held << 8 | at[i];
        for (bits += 8; bits >= 6; bits -= 6)
            text[n++] = FORGE_ALPHABET[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        text[n++] = FORGE_ALPHABET[held << (6 - bits) & 63];
    text[n] = '\0';
    return n;
}

static inline const char *forge_digest(enum algorithm algorithm) {
    const char *name = algorithm_name(algorithm);
    if (algorithm == ALGORITHM_EdDSA)
        return NULL;
    return strstr(name, "256") ? "SHA256" : strstr(name, "384") ? "SHA384" : "SHA512";
}

/* Width of an ECDSA coordinate, 0 for other algorithms. */
static inline size_t forge_width(enum algorithm algorithm) {
    return algorithm == ALGORITHM_ES256   ? 32
           : algorithm == ALGORITHM_ES384 ? 48
           : algorithm == ALGORITHM_ES512 ? 66
                                          : 0;
}

static inline void forge_number(EVP_PKEY *key, const char *parameter, size_t width, char *text) {
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    FORGE_DO(EVP_PKEY_get_bn_param(key, parameter, &number) == 1);
    int n = width ? (int)width : BN_num_bytes(number);
    FORGE_DO(BN_bn2binpad(number, bytes, n) == n);
    forge_base64(text, 0, bytes, (size_t)n);
    BN_free(number);
}

/* `extra` is put into the JWK as it is, e.g. "\"use\":\"sig\"," ("" for none). */
static inline void forge_describe(struct forge *f, const char *kid, const char *extra) {
    char a[1400], b[200];
    size_t width = forge_width(f->algorithm);
    const char *curve = width == 32 ? "P-256" : width == 48 ? "P-384" : "P-521";
    if (width) {
        forge_number(f->key, OSSL_PKEY_PARAM_EC_PUB_X, width, a);
        forge_number(f->key, OSSL_PKEY_PARAM_EC_PUB_Y, width, b);
        snprintf(f->jwk, sizeof(f->jwk),
                 "{%s\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\",\"kid\":\"%s\"}",
                 extra, curve, a, b, kid);
    } else if (f->algorithm == ALGORITHM_EdDSA) {
        unsigned char raw[32];
        size_t n = sizeof(raw);
        FORGE_DO(EVP_PKEY_get_raw_public_key(f->key, raw, &n) == 1);
        forge_base64(a, 0, raw, n);
        snprintf(f->jwk, sizeof(f->jwk),
                 "{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\",\"kid\":\"%s\"}", extra, a,
                 kid);
    } else {
        forge_number(f->key, OSSL_PKEY_PARAM_RSA_N, 0, a);
        forge_number(f->key, OSSL_PKEY_PARAM_RSA_E, 0, b);
        snprintf(f->jwk, sizeof(f->jwk),
                 "{%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\",\"kid\":\"%s\"}", extra, a, b, kid);
    }
}

static inline struct forge forge_key(enum algorithm algorithm, const char *kid) {
    struct forge f = {.algorithm = algorithm};
    size_t width = forge_width(algorithm);
    if (width)
        f.key = EVP_EC_gen(width == 32 ? "P-256" : width == 48 ? "P-384" : "P-521");
    else if (algorithm == ALGORITHM_EdDSA)
        f.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        f.key = EVP_RSA_gen(2048);
    FORGE_DO(f.key);
    forge_describe(&f, kid, "");
    return f;
}

static inline size_t forge_raw_ecdsa(const unsigned char *der, size_t n, size_t width,
                                     unsigned char *raw) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
    FORGE_DO(pair);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)width);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + width, (int)width);
    ECDSA_SIG_free(pair);
    return 2 * width;
}

/* By the key's own algorithm, whatever the header says. Returns the signature's length. */
static inline size_t forge_sign(const struct forge *f, const char *input, size_t n_input,
                                unsigned char *signature) {
    unsigned char der[1100];
    size_t n = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding;
    FORGE_DO(EVP_DigestSignInit_ex(ctx, &padding, forge_digest(f->algorithm), NULL, NULL, f->key,
                                   NULL) == 1);
    if (algorithm_name(f->algorithm)[0] == 'P') {
        FORGE_DO(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) > 0);
        FORGE_DO(EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) > 0);
    }
    FORGE_DO(EVP_DigestSign(ctx, der, &n, (const unsigned char *)input, n_input) == 1);
    EVP_MD_CTX_free(ctx);
    if (forge_width(f->algorithm))
        return forge_raw_ecdsa(der, n, forge_width(f->algorithm), signature);
    memcpy(signature, der, n);
    return n;
}

/* header "." payload, encoded; room for a signature behind it. The caller frees. */
static inline char *forge_input(struct str header, struct str payload, size_t *n) {
    char *token = malloc((header.n + payload.n) * 2 + 3000);
    FORGE_DO(token);
    *n = forge_base64(token, 0, header.at, header.n);
    token[(*n)++] = '.';
    *n = forge_base64(token, *n, payload.at, payload.n);
    return token;
}

static inline char *forge_token_bytes(const struct forge *f, struct str header,
                                      struct str payload) {
    unsigned char signature[1100];
    size_t n;
    char *token = forge_input(header, payload, &n);
    size_t n_signature = forge_sign(f, token, n, signature);
    token[n++] = '.';
    forge_base64(token, n, signature, n_signature);
    return token;
}

static inline char *forge_token(const struct forge *f, const char *header, const char *payload) {
    return forge_token_bytes(f, str_of(header), str_of(payload));
}

static inline char *forge_hmac(struct str secret, const char *header, const char *payload) {
    unsigned char mac[64];
    unsigned n_mac;
    size_t n;
    char *token = forge_input(str_of(header), str_of(payload), &n);
    const EVP_MD *md = strstr(header, "512")   ? EVP_sha512()
                       : strstr(header, "384") ? EVP_sha384()
                                               : EVP_sha256();
    FORGE_DO(HMAC(md, secret.at, (int)secret.n, (unsigned char *)token, n, mac, &n_mac));
    token[n++] = '.';
    forge_base64(token, n, mac, n_mac);
    return token;
}
