/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cleanup.h"
#include "base/json.h"
#include "base/result.h"

/* What a verified token says (RFC 7519), flat in one allocation, reference-counted within one thread.
 *
 * Rules, plans and limits ask for claims by dotted path. Which paths are ever asked for is known when the settings are read
 * (claim_paths), so their values are taken out once, at verification, and later looked up by index. */
#define CLAIM_PATHS_MAX 32
struct claim_paths {
    struct str list[CLAIM_PATHS_MAX];
    size_t n;
};
/* The path's index, added when new (the text must live as long as `paths`); -ENOSPC when full. */
int claim_paths_add(struct claim_paths *paths, struct str path) MUST_USE;

struct claims;

/* From a token's payload; *out with one reference. -EINVAL with *why a constant: not an object, or a registered claim has the
 * wrong type (iss, sub: strings; aud: string or strings; exp, nbf, iat: numbers within +-2^53), or iss, sub or role has control characters.
 * -ENOMEM. String values with NUL or invalid UTF-8 cannot occur (base/json). */
int claims_new(struct claims **out, const struct node *payload, const struct claim_paths *paths,
               const char **why) MUST_USE;
struct claims *claims_ref(struct claims *claims);
void claims_unref(struct claims *claims); /* takes NULL */
CLEANUP_FUNCTION(struct claims, claims_unref)
size_t claims_bytes(const struct claims *claims); /* how much memory they take */

struct str claims_issuer(const struct claims *claims);  /* iss; empty when absent */
struct str claims_subject(const struct claims *claims); /* sub; empty when absent */
struct str claims_role(const struct claims *claims);    /* role; empty when absent or no string */
struct str claims_session(const struct claims *claims); /* session_id, likewise */
struct str claims_id(const struct claims *claims);      /* jti, likewise */
bool claims_is_anonymous(const struct claims *claims);  /* is_anonymous: true */

/* Times in seconds since the epoch, fractions cut, within +-2^53; CLAIM_NO_TIME when absent. */
#define CLAIM_NO_TIME INT64_MIN
int64_t claims_expires_s(const struct claims *claims);
int64_t claims_not_before_s(const struct claims *claims);
int64_t claims_issued_s(const struct claims *claims);

/* aud: a string or strings. */
size_t claims_audience_count(const struct claims *claims);
struct str claims_audience(const struct claims *claims, size_t index);

/* The values at a path of `claim_paths`: a string, boolean or integer gives one (the latter two as their JSON text), an
 * array those of its members, anything else none. */
size_t claims_value_count(const struct claims *claims, size_t path_index);
struct str claims_value(const struct claims *claims, size_t path_index, size_t index);
