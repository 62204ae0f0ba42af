/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/keyset.h"

/* What is known of one issuer's keys at this moment. */
enum keys_state {
    KEYS_NEVER, /* not loaded yet: 503 */
    KEYS_FRESH,
    KEYS_STALE, /* older than max_stale: 503 */
};
struct issuer_keys {
    struct keyset *keys;       /* NULL when KEYS_NEVER and no secret */
    enum keys_state state;     /* of the published keys; a configured secret is always good */
    bool last_fetch_failed;    /* an unknown kid is then 503, not 401 */
    const struct str *issuers; /* what `auto` was resolved to: every spelling that is accepted */
    size_t n_issuers;
};

/* Immutable, reference-counted (atomic): all issuers' keys in the settings' order. Published by io/key_source. */
struct keyring {
    _Atomic unsigned references; /* private */
    uint64_t generation;         /* grows with each publication */
    uint64_t layout; /* grows when the issuers or their order change: whose settings' order it is */
    size_t n;
    struct issuer_keys issuers[];
};

/* Room for n issuers, one reference, all zero; filled by the maker before it is published. NULL when memory is out. */
struct keyring *keyring_new(size_t n) MUST_USE;
struct keyring *keyring_ref(struct keyring *ring);
void keyring_unref(
    struct keyring *
        ring); /* takes NULL; drops the key sets, frees each of the issuers' strings and their list with free() */
/* Does this issuer still have the key of that material? */
bool keyring_holds(const struct keyring *ring, size_t issuer, const struct key_print *print);
