/* SPDX-License-Identifier: MIT */
/* The names of the algorithms; the list itself stands in the header. */
#include "auth/algorithm.h"

#include <assert.h>

static const char *const NAMES[ALGORITHM_COUNT] = {
#define X(name) #name,
    ALGORITHMS(X)
#undef X
};

enum algorithm algorithm_of(struct str name) {
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++)
        if (str_eq(name, str_of(NAMES[i])))
            return (enum algorithm)i;
    /* RFC 9864 2.2: "Ed25519" is EdDSA with its curve named, and Ed25519 is the only curve here. */
    return str_eq(name, STR("Ed25519")) ? ALGORITHM_EdDSA : ALGORITHM_COUNT;
}

const char *algorithm_name(enum algorithm algorithm) {
    assert(algorithm < ALGORITHM_COUNT);
    return NAMES[algorithm];
}
