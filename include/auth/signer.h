/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "base/buffer.h"

/* Makes tokens: for `credential: user`, `jotgate mint`, the demo and tests (libjwt signs; OpenSSL where libjwt cannot: PS*, EdDSA). */
struct signer;

/* From a PEM private key (not encrypted), a private JWK (RSA with its factors), or, for HMAC, a secret of at least the hash's
 * length or an `oct` JWK. `kid` goes into each header; at == NULL: the JWK's own, else the RFC 7638 thumbprint (HMAC: none);
 * empty: none. -EINVAL with why, -ENOMEM. */
int signer_new(struct signer **out, enum algorithm algorithm, struct str key, struct str kid,
               char why[160]) MUST_USE;
/* The same from a key that says itself what it signs with: a private JWK or PEM of an EC P-256 key (ES256) or an RSA key (RS256), an `oct`
 * JWK, or a secret (HS256). */
int signer_new_for(struct signer **out, struct str key, char why[160]) MUST_USE;
void signer_free(struct signer *signer); /* takes NULL; wipes the key */
/* Sign a JSON object of claims with unique members (-EINVAL otherwise); appends the compact token. */
int signer_sign(struct signer *signer, struct str claims_json, struct buffer *token) MUST_USE;

/* A new key pair: appends the private key as PEM (PKCS#8) and the public JWK, whose kid is its RFC 7638 thumbprint. EC P-256,
 * P-384, P-521, RSA 2048, Ed25519; -EINVAL for HMAC. */
int signer_new_key(enum algorithm algorithm, struct buffer *private_pem,
                   struct buffer *public_jwk) MUST_USE;
