/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"

/* Memory with one lifetime: everything allocated from an arena goes at one reset. Blocks grow as needed and one is kept
 * over resets, so that a warm arena allocates nothing. Poisoned for ASan when unused. */
struct arena_block;
struct arena {
    struct arena_block *block; /* newest */
    size_t used, size;         /* within the newest block */
    size_t total_bytes;        /* handed out since the last reset */
};

void arena_init(struct arena *arena);
void arena_reset(struct arena *arena); /* keeps at most one block of ordinary size */
void arena_fini(struct arena *arena);

/* Aligned for any type, not zeroed. NULL when memory is out. */
void *arena_alloc(struct arena *arena, size_t bytes) MUST_USE;
void *arena_zalloc(struct arena *arena, size_t bytes) MUST_USE;
/* A NUL-terminated copy (the NUL is not counted). at == NULL when memory is out. */
struct str arena_copy(struct arena *arena, struct str s) MUST_USE;
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF(2, 3) MUST_USE;
