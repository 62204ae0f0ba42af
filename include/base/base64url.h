/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "base/str.h"

/* base64url without padding, strict (RFC 4648 5, RFC 7515 2): no '=', no white space, no foreign character, no length of
 * 1 mod 4, unused bits of the last character zero. So two different texts never decode to the same bytes. */

#define BASE64URL_DECODED_MAX(n) ((n) / 4 * 3 + 3)
#define BASE64URL_ENCODED_MAX(n) ((n) / 3 * 4 + 4)

/* Decodes into `out` (room for BASE64URL_DECODED_MAX(text.n)); *n receives the length. False when the text is not strict. */
bool base64url_decode(struct str text, unsigned char *out, size_t *n) MUST_USE;
/* Encodes into `out` (room for BASE64URL_ENCODED_MAX(bytes.n)); returns the length; no NUL. */
size_t base64url_encode(struct str bytes, char *out);
