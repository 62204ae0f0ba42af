/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/base64url.h"
#include "base/buffer.h"
#include "material.h"

/* The RFC 7638 thumbprint: SHA-256 over a key's type and public material (oct: the secret). */
#define THUMBPRINT_BYTES 32
#define THUMBPRINT_TEXT  BASE64URL_ENCODED_MAX(THUMBPRINT_BYTES)

/* -ENOMEM, -EIO. */
int thumbprint_of(const struct key_material *material,
                  unsigned char print[THUMBPRINT_BYTES]) MUST_USE;
/* As a kid spells it, without NUL; returns the length. */
size_t thumbprint_text(const unsigned char print[THUMBPRINT_BYTES], char text[THUMBPRINT_TEXT]);
/* Appends what is hashed, `{"crv":...,"kty":...`, without its closing brace, so that more can follow. */
int thumbprint_put_open(struct buffer *out, const struct key_material *material) MUST_USE;
