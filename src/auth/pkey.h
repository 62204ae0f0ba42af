/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "material.h"

#include <openssl/evp.h>

/* What the algorithms of RFC 7518 and RFC 8037 are to OpenSSL, and its keys; for the files of this room that verify and sign. */

enum family { FAMILY_HMAC, FAMILY_RSA, FAMILY_PSS, FAMILY_ECDSA, FAMILY_EDDSA };

struct scheme {
    enum family family;
    const char *digest;
    enum material_curve curve;
    size_t
        secret_bytes; /* RFC 7518 3.2: "A key of the same size as the hash output or larger MUST be used" */
};
extern const struct scheme SCHEMES[ALGORITHM_COUNT];

/* From here on the library owns copies. NULL with a constant reason. */
EVP_PKEY *key_from_material(const struct key_material *material, const char **why) MUST_USE;
/* For RSA with PSS; true where there is nothing to set. */
bool set_padding(EVP_PKEY_CTX *ctx, enum family family) MUST_USE;

static inline const unsigned char *octets(struct str s) { return (const unsigned char *)s.at; }
