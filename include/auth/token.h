/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/claims.h"
#include "auth/keyring.h"
#include "base/arena.h"
#include "base/clock.h"

/* One token (compact JWS, RFC 7515 7.1) against the keys and rules of the issuers that are trusted. Pure: no clock, no I/O. */

/* clang-format off */
#define TOKEN_VERDICTS(X) \
/*    id                 name                reason that a caller and the log may read */ \
    X(VALID,             "valid",            "the token is valid") \
    X(TOO_LONG,          "too_long",         "the token is longer than allowed") \
    X(NOT_COMPACT,       "not_compact",      "the token is not a compact JWS of three parts") \
    X(BAD_ENCODING,      "bad_encoding",     "a part of the token is not strict base64url") \
    X(BAD_HEADER,        "bad_header",       "the token's header is not a JSON object with unique members, a string alg and a sound kid") \
    X(CRITICAL_HEADER,   "critical_header",  "the token's header has crit or b64, which are not understood") \
    X(WRONG_TYPE,        "wrong_type",       "the token's typ says that it is no access token") \
    X(BAD_PAYLOAD,       "bad_payload",      "the token's payload is not a JSON object with unique members") \
    X(BAD_CLAIM,         "bad_claim",        "a registered claim of the token has the wrong type") \
    X(UNKNOWN_ISSUER,    "unknown_issuer",   "the token's issuer is not trusted here") \
    X(ALGORITHM,         "algorithm",        "the token's algorithm is not allowed") \
    X(UNKNOWN_KEY,       "unknown_key",      "no key with the token's kid is known") \
    X(NO_KEYS,           "no_keys",          "the issuer's keys have not been loaded yet") \
    X(KEYS_STALE,        "keys_stale",       "the issuer's keys are too old to be trusted") \
    X(BAD_SIGNATURE,     "bad_signature",    "the token's signature does not match") \
    X(NO_EXPIRY,         "no_expiry",        "the token has no exp claim") \
    X(EXPIRED,           "expired",          "the token has expired") \
    X(NOT_YET_VALID,     "not_yet_valid",    "the token is not valid yet") \
    X(ISSUED_IN_FUTURE,  "issued_in_future", "the token was issued in the future") \
    X(WRONG_AUDIENCE,    "wrong_audience",   "the token is for another audience") \
    X(RULE_NOT_MET,      "rule_not_met",     "a claim that this issuer requires is missing or has another value") \
    X(FAILURE,           "failure",          "the token could not be checked")
/* clang-format on */
enum token_verdict {
#define X(id, name, text) TOKEN_##id,
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
    /* The claim is `scope`, words with spaces between them in any order (RFC 8693 4.2, RFC 6749 3.3): it has a value when it has all words of it. */
    bool is_scope;
};
bool claim_rule_is_met(const struct claim_rule *rule, const struct claims *claims);

/* What the settings say of one issuer. Borrowed from the settings. */
struct issuer_rule {
    struct str name;           /* "supabase" */
    const struct str *issuers; /* compared exactly; none: `auto`, see struct issuer_keys */
    size_t n_issuers;
    const struct str *audiences; /* one of them must be in aud; none: aud is not looked at */
    size_t n_audiences;
    unsigned algorithms;
    int64_t leeway_s;
    const struct claim_rule *require;
    size_t n_require;
};

struct token_rules {
    const struct issuer_rule *issuers;
    size_t n_issuers;
    const struct claim_paths *paths;
};

struct token_result {
    enum token_verdict verdict;
    const char *reason;     /* a constant: the verdict's text, or which claim of it is bad */
    size_t issuer;          /* whose token it claims to be, from ALGORITHM on; else SIZE_MAX */
    struct key_print print; /* of the key that verified; meaningful when there are claims */
    struct claims *
        claims; /* one reference, when the signature and the claims' types are good (also EXPIRED, ...); else NULL */
    struct str kid;         /* of the header, borrowed from `scratch`; for UNKNOWN_KEY */
    bool is_symmetric;      /* the algorithm is HMAC */
    bool may_need_new_keys; /* UNKNOWN_KEY of an asymmetric algorithm: a re-read could help */
};

/* Everything, in this order: form, header, issuer (looked up by the unverified iss), algorithm allowed, state of the keys, key by
 * kid with its pinned algorithm, signature, the claims' types, times, audience, the issuer's rules. The keys' own trouble is told
 * apart from the caller's: NO_KEYS (also for a token of nobody known while an `auto` issuer is not resolved) and KEYS_STALE are
 * 503. jku, jwk, x5u and x5c are ignored; typ is not looked at. */
struct token_result token_verify(struct str token, const struct token_rules *rules,
                                 const struct keyring *keys, const struct now *now,
                                 struct arena *scratch) MUST_USE;
/* The last three steps alone (times, audience, rules), for a token whose signature was good before. */
enum token_verdict token_check_claims(const struct claims *claims, const struct issuer_rule *rule,
                                      const struct now *now);
/* Only what time changes: VALID, NO_EXPIRY, EXPIRED, NOT_YET_VALID or ISSUED_IN_FUTURE. Valid while now < exp + leeway. */
enum token_verdict token_check_times(const struct claims *claims, int64_t leeway_s,
                                     const struct now *now);
/* Is `issuer` (an iss) this rule's? */
bool token_issuer_is(struct str issuer, const struct issuer_rule *rule,
                     const struct issuer_keys *keys);
/* Only form, header and signature: the payload may be any bytes (`verify --signature-only`). *payload borrows from scratch. */
enum token_verdict token_verify_signature(struct str token, const struct keyset *keys,
                                          unsigned algorithms, struct str *header_json,
                                          struct str *payload, struct arena *scratch) MUST_USE;

/* Has it the form of a compact JWS: three parts, not too long? */
bool token_is_compact(struct str token);
/* Without any verification: does this look like a compact JWS, and what does its payload say of itself? For telling callers
 * apart, never for trust. Strings borrow from scratch; empty when absent. False when it is no compact JWS with a JSON payload. */
struct token_hint {
    struct str issuer, role;
    bool has_subject;
};
bool token_peek(struct str token, struct token_hint *hint, struct arena *scratch) MUST_USE;
