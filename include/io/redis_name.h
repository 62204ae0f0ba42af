/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* Whom a key of Redis is about, as it stands in the key: itself, or its SHA-256 as #HEX where it is longer than 64 bytes or has
 * other bytes than letters, digits and -_.:@+|/. So no caller can spell another's key, nor choose a Cluster's node. */
#define REDIS_NAME_MAX 72
bool redis_name(struct str whom,
                char out[REDIS_NAME_MAX]) MUST_USE; /* false when the library fails */
