/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* JWS algorithms (RFC 7518 3.1, RFC 8037 3.1, RFC 9864) and sets of them. Spelt and compared exactly. */
/* clang-format off */
#define ALGORITHMS(X) X(HS256) X(HS384) X(HS512) X(RS256) X(RS384) X(RS512) X(PS256) X(PS384) X(PS512) \
                      X(ES256) X(ES384) X(ES512) X(EdDSA)
/* clang-format on */
enum algorithm {
#define X(name) ALGORITHM_##name,
    ALGORITHMS(X)
#undef X
        ALGORITHM_COUNT,
};
#define ALGORITHM_BIT(algorithm) (1u << (algorithm))
#define ALGORITHMS_HMAC \
    (ALGORITHM_BIT(ALGORITHM_HS256) | ALGORITHM_BIT(ALGORITHM_HS384) | \
     ALGORITHM_BIT(ALGORITHM_HS512))
#define ALGORITHMS_ALL ((1u << ALGORITHM_COUNT) - 1)
#define ALGORITHMS_DEFAULT \
    (ALGORITHM_BIT(ALGORITHM_ES256) | ALGORITHM_BIT(ALGORITHM_RS256) | \
     ALGORITHM_BIT(ALGORITHM_EdDSA))

/* ALGORITHM_COUNT when unknown. "Ed25519" (RFC 9864) is EdDSA. */
enum algorithm algorithm_of(struct str name);
const char *algorithm_name(enum algorithm algorithm);
