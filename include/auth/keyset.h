/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/algorithm.h"
#include "base/result.h"

/* The verification keys of one issuer (RFC 7517): immutable, reference-counted (atomic), shared by threads. Each key is
 * built once and is pinned to what it may verify: its type, curve and size, and its `alg` when it names one. A key that
 * cannot be used (unknown type, wrong use or key_ops, RSA below 2048 or above 8192 bits or an exponent that is even, below 3 or above
 * 64 bits, a point off the curve, a symmetric or private key in a published set, the same key a second time) is
 * skipped and reported, not the set. */
struct keyset;
struct key;

#define KEYSET_BYTES_MAX (1024 * 1024)
#define KEYSET_KEYS_MAX  100

/* What a key is known by: its RFC 7638 thumbprint, SHA-256 of its type and material, never of its kid. */
struct key_print {
    unsigned char bytes[32];
};

struct keyset_options {
    unsigned algorithms; /* ALGORITHM_BIT set that may be used */
    bool
        allows_symmetric; /* `oct` and private keys count too (local files of `jotgate verify` only) */
    struct str
        hs256_secret; /* added as a key without kid for HS256; empty: none. Not less than 32 bytes otherwise (asserted). */
    bool
        is_lasting; /* it will check many tokens: the first 8 of its P-256 keys are worth 20 ms and 150 KiB each */
    /* called for each skipped key with its kid (may be empty) and a constant reason; may be NULL */
    void (*on_skipped)(void *arg, struct str kid, const char *reason);
    void *arg;
};

/* From a JWKS document, or a single JWK, or STR_NONE for no document (just the secret). *out with one reference.
 * -EINVAL: not a JWKS (why says so), -E2BIG: more than 100 keys or 1 MiB, -ENOMEM. {"keys":[]} is valid. */
int keyset_parse(struct keyset **out, struct str document, const struct keyset_options *options,
                 char why[160]) MUST_USE;
struct keyset *keyset_ref(struct keyset *set);
void keyset_unref(struct keyset *set); /* takes NULL; wipes secrets */

/* The document that it was read from, so that it can be read again with other options; empty for none, and where symmetric keys
 * were allowed (it may hold secrets). */
struct str keyset_document(const struct keyset *set);
size_t keyset_count(const struct keyset *set);           /* usable keys, the secret included */
size_t keyset_count_published(const struct keyset *set); /* without the secret */
const struct key *keyset_at(const struct keyset *set, size_t index);
bool keyset_same(
    const struct keyset *a,
    const struct keyset *b); /* the same keys in any order, by print, kid and algorithms */
bool keyset_holds(const struct keyset *set, const struct key_print *print);

/* The keys that may verify (kid, algorithm), one after another: start with *cursor = 0; NULL when there are no more.
 * With a kid (not empty) only keys of that kid; HMAC: the configured secret whatever the kid (Supabase's HS256 tokens carry a kid
 * that is published nowhere), or an `oct` key by kid. Without a kid: every key that fits. */
const struct key *keyset_find(const struct keyset *set, struct str kid, enum algorithm algorithm,
                              size_t *cursor);

struct str key_kid(const struct key *key);
unsigned key_algorithms(const struct key *key);
const char *key_type(const struct key *key); /* "EC P-256", "RSA 2048", "OKP Ed25519", "oct" */
const struct key_print *key_print(const struct key *key);

/* Is `signature` this key's over `input` by `algorithm` (one of its own, asserted)? 1 yes, 0 no, a negative errno when the
 * library fails. ECDSA: r||s of exact width. Constant time for HMAC. Thread-safe. */
int key_verify(const struct key *key, enum algorithm algorithm, struct str input,
               struct str signature) MUST_USE;
