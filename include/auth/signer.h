/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "base/buffer.h"

/* Makes tokens: for `jotgate mint`, the demo and tests (libjwt signs; OpenSSL where libjwt cannot: PS*, EdDSA). */
struct signer;

/* From a PEM private key, a private JWK, or (HMAC) a secret of at least the hash's length. -EINVAL with why, -ENOMEM. */
int signer_new(struct signer **out, enum algorithm algorithm, struct str key, struct str kid,
               char why[160]) MUST_USE;
void signer_free(struct signer *signer); /* takes NULL; wipes the key */
/* Sign a JSON object of claims; appends the compact token. */
int signer_sign(struct signer *signer, struct str claims_json, struct buffer *token) MUST_USE;

/* A new key pair: the private key as PEM (PKCS#8) and as a private JWK, and the public JWK with a random kid. EC P-256/384/521, RSA 2048, Ed25519. */
int signer_new_key(enum algorithm algorithm, struct buffer *private_pem,
                   struct buffer *public_jwk) MUST_USE;
