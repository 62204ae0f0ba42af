/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* Names made of contents (OpenSSL): in hexadecimal, NUL-terminated. False when the library fails. */
bool sha1_hex(struct str bytes, char out[41]) MUST_USE;
bool sha256_hex(struct str bytes, char out[65]) MUST_USE;
