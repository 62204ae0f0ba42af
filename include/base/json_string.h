/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"

/* A string as JSON has it (RFC 8259 7), with its quotes. Invalid UTF-8 becomes U+FFFD; controls, quotes, backslashes and DEL are
 * escaped. */
#define JSON_STRING_MAX(n) (6 * (n) + 2) /* bytes, of n */

int put_json_string(struct buffer *out, struct str s) MUST_USE;
/* Into JSON_STRING_MAX(s.n) bytes of room; gives where it ended. */
char *json_string_write(char *at, struct str s);
/* May it be a string's content byte by byte? (RFC 3629) */
bool json_is_utf8(struct str s);
