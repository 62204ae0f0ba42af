/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "material.h"

/* Keys that sign: for `credential: user`, tools, the demo and tests. */
struct private_key;

/* NULL with a constant reason. */
struct private_key *private_key_from_pem(struct str pem, const char **why) MUST_USE;
struct private_key *private_key_from_material(const struct key_material *material,
                                              const char **why) MUST_USE;
/* A new pair of the kind that the algorithm asks for (not HMAC). NULL when the library fails. */
struct private_key *private_key_new(enum algorithm algorithm) MUST_USE;
void private_key_free(struct private_key *key); /* takes NULL */
CLEANUP_FUNCTION(struct private_key, private_key_free)

/* The public part, in the arena. False when the library fails. */
bool private_key_material(const struct private_key *key, struct key_material *material,
                          struct arena *arena) MUST_USE;
/* Appends it as PEM (PKCS#8, not encrypted). -EIO, -ENOMEM. */
int private_key_put_pem(const struct private_key *key, struct buffer *pem) MUST_USE;
/* Appends the raw signature by any algorithm but HMAC and ECDSA. -EIO, -ENOMEM. */
int private_key_sign(const struct private_key *key, enum algorithm algorithm, struct str input,
                     struct buffer *signature) MUST_USE;
