/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"

/* ES256 by a key that checks many signatures. FIPS 186-5 6.4.2 adds two products, u1·G + u2·Q; the library has a table of
 * multiples for its G and none for our Q, and so the second takes six times as long as the first. A key set's keys are few and
 * live for months, so each gets a table of its own: 20 ms once and 150 KiB, for half the time of every check.
 * Immutable, used by many threads at once. */
struct p256_key;

/* From the point's coordinates, 32 bytes each. NULL: the library makes no such tables, the point is none, or memory is out;
 * there is always the library's own way. */
struct p256_key *p256_key_new(struct str x, struct str y) MUST_USE;
void p256_key_free(struct p256_key *key); /* takes NULL */

/* Is `signature` (r || s, RFC 7518 3.4) this key's over what has this SHA-256? 1 yes, 0 no, -ENOMEM. */
int p256_check(const struct p256_key *key, const unsigned char digest[32],
               struct str signature) MUST_USE;
