/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/claims.h"
#include "auth/keyset.h"
#include "base/arena.h"
#include "base/clock.h"

/* One token (compact JWS, RFC 7515 7.1) against the keys and rules of the issuers that are trusted. Pure: no clock, no I/O. */

/* clang-format off */
#define TOKEN_VERDICTS(X) \
/*    id                 expired? reason that a caller and the log may read */ \
    X(VALID,             "the token is valid") \
    X(TOO_LONG,          "the token is longer than allowed") \
    X(NOT_COMPACT,       "the token is not a compact JWS of three parts") \
    X(BAD_ENCODING,      "a part of the token is not strict base64url") \
    X(BAD_HEADER,        "the token's header is not a JSON object with unique members and a string alg") \
    X(CRITICAL_HEADER,   "the token's header has crit or b64, which are not understood") \
    X(BAD_PAYLOAD,       "the token's payload is not a JSON object with unique members") \
    X(BAD_CLAIM,         "a registered claim of the token has the wrong type") \
    X(UNKNOWN_ISSUER,    "the token's issuer is not trusted here") \
    X(ALGORITHM,         "the token's algorithm is not allowed") \
    X(UNKNOWN_KEY,       "no key with the token's kid is known") \
    X(NO_KEYS,           "the issuer's keys have not been loaded yet") \
    X(KEYS_STALE,        "the issuer's keys are too old to be trusted") \
    X(BAD_SIGNATURE,     "the token's signature does not match") \
    X(NO_EXPIRY,         "the token has no exp claim") \
    X(EXPIRED,           "the token has expired") \
    X(NOT_YET_VALID,     "the token is not valid yet") \
    X(ISSUED_IN_FUTURE,  "the token was issued in the future") \
    X(WRONG_AUDIENCE,    "the token is for another audience") \
    X(RULE_NOT_MET,      "a claim that this issuer requires is missing or has another value") \
    X(FAILURE,           "the token could not be checked")
/* clang-format on */
enum token_verdict {
#define X(id, text) TOKEN_##id,
    TOKEN_VERDICTS(X)
#undef X
        TOKEN_VERDICT_COUNT,
};
const char *token_verdict_name(enum token_verdict verdict); /* "expired", for logs and metrics */
const char *token_verdict_text(enum token_verdict verdict);

#define TOKEN_BYTES_MAX (16 * 1024)

/* A rule about claims: the claim at this path has one of these values. */
struct claim_rule {
    size_t path_index; /* in claim_paths */
    const struct str *values;
    size_t n_values;
};
bool claim_rule_is_met(const struct claim_rule *rule, const struct claims *claims);

/* What the settings say of one issuer. Borrowed from the settings. */
struct issuer_rule {
    struct str name;           /* "supabase" */
    const struct str *issuers; /* exact; none: `auto`, see issuer_keys */
    size_t n_issuers;
    const struct str *audiences; /* one of them must be in aud; none: aud is not looked at */
    size_t n_audiences;
    unsigned algorithms;
    int64_t leeway_s;
    const struct claim_rule *require;
    size_t n_require;
};

/* What is known of one issuer's keys at this moment. */
enum keys_state {
    KEYS_NEVER, /* not loaded yet: 503 */
    KEYS_FRESH,
    KEYS_STALE, /* older than max_stale: 503 */
};
struct issuer_keys {
    struct keyset *keys;        /* NULL when KEYS_NEVER and no secret */
    enum keys_state state;
    bool last_fetch_failed;     /* an unknown kid is then 503, not 401 */
    const struct str *issuers;  /* what `auto` was resolved to: every spelling that is accepted */
    size_t n_issuers;
};
/* Immutable, reference-counted (atomic): all issuers' keys in the settings' order. Published by io/key_source. */
struct keyring {
    unsigned references; /* atomic, private */
    uint64_t generation; /* grows with each publication */
    size_t n;
    struct issuer_keys issuers[];
};
/* Room for n issuers, one reference, all zero; -> filled by the maker before it is published. NULL when memory is out. */
struct keyring *keyring_new(size_t n) MUST_USE;
struct keyring *keyring_ref(struct keyring *ring);
void keyring_unref(struct keyring *ring); /* takes NULL; drops the key sets and frees the issuers' strings with free() */
bool keyring_holds(const struct keyring *ring, size_t issuer, const struct key_print *print);

struct token_rules {
    const struct issuer_rule *issuers;
    size_t n_issuers;
    const struct claim_paths *paths;
};

struct token_result {
    enum token_verdict verdict;
    size_t issuer;            /* valid from UNKNOWN_KEY on and for the claims' verdicts; else SIZE_MAX */
    struct key_print print;   /* of the key that verified */
    struct claims *claims;    /* one reference, when the signature is good (also EXPIRED, ...); else NULL */
    struct str kid;           /* of the header, borrowed from `scratch`; for UNKNOWN_KEY */
    bool may_need_new_keys;   /* UNKNOWN_KEY of an asymmetric algorithm: a re-read could help */
};

/* Everything: form, header, issuer (looked up by the unverified iss), key by kid with its pinned algorithm, signature, claims.
 * The keys' own trouble is told apart from the caller's: NO_KEYS and KEYS_STALE are 503. */
struct token_result token_verify(struct str token, const struct token_rules *rules, const struct keyring *keys, const struct now *now,
                                 struct arena *scratch) MUST_USE;
/* Only what time changes, for a token verified before: VALID, EXPIRED, NOT_YET_VALID or ISSUED_IN_FUTURE. */
enum token_verdict token_check_times(const struct claims *claims, int64_t leeway_s, const struct now *now);
/* Only form, header and signature: the payload may be any bytes (`verify --signature-only`). *payload borrows from scratch. */
enum token_verdict token_verify_signature(struct str token, const struct keyset *keys, unsigned algorithms, struct str *header_json,
                                          struct str *payload, struct arena *scratch) MUST_USE;

/* Without any verification: does this look like a compact JWS, and what does its payload say of itself? For telling callers
 * apart, never for trust. Strings borrow from scratch; empty when absent. False when it is no compact JWS with a JSON payload. */
struct token_hint {
    struct str issuer, role;
    bool has_subject;
};
bool token_peek(struct str token, struct token_hint *hint, struct arena *scratch) MUST_USE;
