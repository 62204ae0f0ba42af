/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "material.h"

/* What only a cryptographic library can do: is a signature good? */

bool sha256(struct str bytes, unsigned char digest[32]) MUST_USE; /* false when the library fails */

/* Made once per key, immutable, used by many threads at once. */
struct verifier;

/* What a key of this type, curve and size may do by RFC 7518 3.1 and RFC 8037 3.1 when its `alg` does not say. */
unsigned material_algorithms(const struct key_material *material);

/* For `algorithms`, which the material fits (asserted). NULL with a constant reason: bad numbers, or memory is out. */
struct verifier *verifier_new(const struct key_material *material, unsigned algorithms,
                              const char **why) MUST_USE;
/* Spends 20 ms and 150 KiB so that checks of ES256 take half the time from now on; nothing where the library or the material
 * does not let it. Before others see the verifier. */
void verifier_hasten(struct verifier *verifier, const struct key_material *material);
void verifier_free(struct verifier *verifier); /* takes NULL; wipes a secret */
/* 1 yes, 0 no, a negative errno when the library fails. */
int verifier_check(const struct verifier *verifier, enum algorithm algorithm, struct str input,
                   struct str signature) MUST_USE;
/* The RSA modulus' bits; 0 for other keys. */
int verifier_rsa_bits(const struct verifier *verifier);
