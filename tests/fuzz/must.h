/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

/* What a fuzz target has: one function (libFuzzer calls it, or replay.c), and claims that hold in every build. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(claim) \
    do { \
        if (!(claim)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
            abort(); \
        } \
    } while (0)

/* The bytes in a block of their own that ends where they end; the caller frees. */
static inline char *block_of(struct str bytes) {
    char *block = malloc(bytes.n > 0 ? bytes.n : 1);
    must(block);
    if (bytes.n > 0)
        memcpy(block, bytes.at, bytes.n);
    return block;
}

/* Every place is a cut of a short input, about a hundred are of a long one. */
static inline size_t cut_stride(size_t n) { return n <= 200 ? 1 : n / 100; }
