/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/hash.h"
#include "io/key_document.h"
#include "io/key_origin.h"

/* One issuer's keys and what they go through: asked for, kept, doubted, aged. Belongs to one thread; key_source.c is that thread. */

struct key_issuer {
    const struct key_origin *origin;
    const struct key_times *times;
    struct hash_key hash_key;

    struct key_document document;
    struct key_schedule fetch;
    struct keyset *keys; /* NULL: none */
    enum keys_state state;
    bool is_failing, is_doubted; /* doubted: the last document would have emptied the set */
    bool has_accepted;
    struct hash128 accepted; /* the document that `keys` came from */
    char etag[200];
    int64_t good_ns;    /* the last good fetch ended, monotonic; when state is not KEYS_NEVER */
    int64_t fetched_ns; /* any fetch ended, monotonic; 0: none did yet */
    uint64_t n_fetches, n_failures;
    char error[200]; /* of the last fetch; empty when it was good */
};

int key_issuer_init(struct key_issuer *issuer, const struct key_origin *origin,
                    const struct key_times *times) MUST_USE;
void key_issuer_fini(struct key_issuer *issuer);

/* Settings that were read anew say the same places, and another secret or other algorithms: what was last had there (at `good_ns`)
 * holds, read as they want it, until it is asked for, which is due. */
int key_issuer_inherit(struct key_issuer *issuer, const struct issuer_keys *shown,
                       int64_t good_ns) MUST_USE;

/* Does it have anything to fetch keys from? */
bool key_issuer_has_source(const struct key_origin *origin);
int64_t key_issuer_due(const struct key_issuer *issuer);

/* Do what is due, or all that there is to do (also when it is not due), or the keys alone. Blocks. */
enum key_round { KEY_ROUND_DUE, KEY_ROUND_KEYS, KEY_ROUND_ALL };
struct key_round_result {
    bool fetched_keys;    /* whatever came of it */
    bool shows_otherwise; /* a keyring would look otherwise than before */
};
struct key_round_result key_issuer_round(struct key_issuer *issuer, struct key_fetcher *fetcher,
                                         enum key_round round);

/* What a keyring shows of it; `out` is zero before. */
int key_issuer_show(const struct key_issuer *issuer, struct issuer_keys *out) MUST_USE;
void key_issuer_status(const struct key_issuer *issuer,
                       struct key_status *status); /* all but age_s */
