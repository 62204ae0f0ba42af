/* SPDX-License-Identifier: MIT */
/* One snapshot of every issuer's keys: made by one thread, read by all, gone with its last reader. */
#include "auth/keyring.h"

#include <assert.h>
#include <stdlib.h>

struct keyring *keyring_new(size_t n) {
    struct keyring *ring = calloc(1, sizeof(*ring) + n * sizeof(ring->issuers[0]));
    if (!ring)
        return NULL;
    ring->references = 1;
    ring->n = n;
    return ring;
}

struct keyring *keyring_ref(struct keyring *ring) {
    assert(ring->references > 0);
    ring->references++;
    return ring;
}

static void issuer_keys_fini(struct issuer_keys *issuer) {
    keyset_unref(issuer->keys);
    for (size_t i = 0; i < issuer->n_issuers; i++)
        free((char *)issuer->issuers[i].at);
    free((struct str *)issuer->issuers);
}

void keyring_unref(struct keyring *ring) {
    if (!ring)
        return;
    assert(ring->references > 0);
    if (--ring->references > 0)
        return;
    for (size_t i = 0; i < ring->n; i++)
        issuer_keys_fini(&ring->issuers[i]);
    free(ring);
}

bool keyring_holds(const struct keyring *ring, size_t issuer, const struct key_print *print) {
    assert(issuer < ring->n);
    const struct keyset *keys = ring->issuers[issuer].keys;
    return keys && keyset_holds(keys, print);
}
