/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/claims.h"
#include "base/arena.h"

/* jotgate's own API keys. A key is shown once, when it is made; what is kept of it is its SHA-256, under which Redis holds the
 * record of whom it speaks for.
 *
 *     jg_ 43 characters of base64url: 32 random bytes ........... 4 characters: the start of their SHA-256
 *
 * The last four tell a mistyped key from one that is not known, without asking anybody. A key has 256 random bits, so a plain
 * hash is enough (nothing to guess), and finding a key by its hash leaks nothing by the time that it takes. */
#define API_KEY_PREFIX   "jg_"
#define API_KEY_BYTES    50 /* of its text, without NUL */
#define API_KEY_ID_BYTES 64 /* SHA-256 of the text in lower-case hex, without NUL */

/* A new key. Aborts when the kernel has no randomness to give. False when the library fails. */
bool api_key_new(char text[API_KEY_BYTES + 1]) MUST_USE;
/* Does it have the form of a key, with its check characters right? */
bool api_key_is_well_formed(struct str text);
/* What is kept of a key, and what it is looked up by. False when the library fails. */
bool api_key_id(struct str text, char id[API_KEY_ID_BYTES + 1]) MUST_USE;

/* Whom a key speaks for. Strings are borrowed: from the arena after reading, from the caller before writing. */
#define API_KEY_SCOPES_MAX 16
struct api_key_record {
    struct str subject; /* as limits and the admin API spell it; never empty */
    struct str plan;    /* empty: as for any user */
    struct str name;    /* for people; may be empty */
    struct str scopes[API_KEY_SCOPES_MAX];
    size_t n_scopes;
    int64_t created_s;
    int64_t expires_s; /* 0: never */
};

/* A scope's form, RFC 6749 3.3: printable ASCII without space, '"' and '\'. */
bool api_key_scope_is_good(struct str scope);
/* Appends the record as JSON: subject, plan, name, scopes, created, expires; empty ones are left out. */
int api_key_record_write(const struct api_key_record *record, struct buffer *out) MUST_USE;
/* -EINVAL when the text is no record (somebody else wrote it: let nobody in), -ENOMEM. Members that are not known are passed over. */
int api_key_record_read(struct api_key_record *record, struct str json,
                        struct arena *arena) MUST_USE;
/* A key is good while now < expires. */
bool api_key_record_is_expired(const struct api_key_record *record, int64_t now_s);

/* The record as the claims of a user: iat (when the key was made), sub, role "authenticated", scope (a string, RFC 8693 4.2), app_metadata.plan; so that rules,
 * plans and limits ask one thing only. *out has one reference. -EINVAL, -ENOMEM. */
int api_key_claims(const struct api_key_record *record, const struct claim_paths *paths,
                   struct claims **out) MUST_USE;
/* Appends the same as a token's payload, issued now by `issuer` for `ttl_s` seconds with audience "authenticated":
 * what `credential: user` signs. */
int api_key_payload(const struct api_key_record *record, struct str issuer, int64_t now_s,
                    int64_t ttl_s, struct buffer *out) MUST_USE;
