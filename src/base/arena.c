/* SPDX-License-Identifier: MIT */
/* One lifetime, one reset.
 *
 *   arena.block -> [ header | handed out ..... | free ... ]   bumped by `used`
 *                     |
 *                     v previous blocks, full or of one large piece
 *
 * Free bytes are poisoned for AddressSanitizer and pieces stand a gap apart, so that running out of
 * a piece or using it after the reset is seen as clearly as with malloc. */
#include "base/arena.h"

#include "base/poison.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef JG_HAS_ASAN
enum { GAP_BYTES = 16 };
#else
enum { GAP_BYTES = 0 };
#endif

enum { ALIGNMENT = _Alignof(max_align_t), ORDINARY_BYTES = 8192 - 64 };

struct arena_block {
    struct arena_block *previous;
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t size) {
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->previous = NULL;
    block->size = size;
    JG_POISON(block->bytes, size);
    return block;
}

static void block_free(struct arena_block *block) {
    JG_UNPOISON(block->bytes, block->size);
    free(block);
}

void arena_init(struct arena *arena) { *arena = (struct arena){0}; }

void arena_reset(struct arena *arena) {
    struct arena_block *kept = NULL;
    for (struct arena_block *block = arena->block, *previous; block; block = previous) {
        previous = block->previous;
        if (!kept && block->size == ORDINARY_BYTES)
            kept = block;
        else
            block_free(block);
    }
    arena_init(arena);
    if (!kept)
        return;
    kept->previous = NULL;
    JG_POISON(kept->bytes, kept->size);
    arena->block = kept;
    arena->size = kept->size;
}

void arena_fini(struct arena *arena) {
    arena_reset(arena);
    if (arena->block)
        block_free(arena->block);
    arena_init(arena);
}

static char *bump(struct arena *arena, size_t bytes, size_t step) {
    assert(arena->block && step <= arena->size - arena->used);
    char *at = arena->block->bytes + arena->used;
    arena->used += step;
    arena->total_bytes += bytes;
    JG_UNPOISON(at, bytes);
    return at;
}

/* A piece larger than an ordinary block gets a block of its own, put behind the newest so that the
 * room left there is still used. */
static char *alloc_large(struct arena *arena, size_t bytes) {
    struct arena_block *block = block_new(bytes);
    if (!block)
        return NULL;
    if (arena->block) {
        block->previous = arena->block->previous;
        arena->block->previous = block;
    } else {
        arena->block = block;
        arena->size = arena->used = bytes;
    }
    arena->total_bytes += bytes;
    JG_UNPOISON(block->bytes, bytes);
    return block->bytes;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t wanted = bytes ? bytes : 1;
    size_t step = (wanted + GAP_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (step > arena->size - arena->used) {
        if (step > ORDINARY_BYTES)
            return alloc_large(arena, wanted);
        struct arena_block *block = block_new(ORDINARY_BYTES);
        if (!block)
            return NULL;
        block->previous = arena->block;
        arena->block = block;
        arena->size = block->size;
        arena->used = 0;
    }
    return bump(arena, wanted, step);
}

void *arena_zalloc(struct arena *arena, size_t bytes) {
    void *at = arena_alloc(arena, bytes);
    return at ? memset(at, 0, bytes) : NULL;
}

struct str arena_copy(struct arena *arena, struct str s) {
    char *at = s.n < SIZE_MAX ? arena_alloc(arena, s.n + 1) : NULL;
    if (!at)
        return STR_NONE;
    if (s.n > 0)
        memcpy(at, s.at, s.n);
    at[s.n] = '\0';
    return (struct str){at, s.n};
}

struct str arena_printf(struct arena *arena, const char *format, ...) {
    char most[256]; /* a second time only what is longer */
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(most, sizeof(most), format, args);
    va_end(args);
    char *at = n >= 0 ? arena_alloc(arena, (size_t)n + 1) : NULL;
    if (at && (size_t)n < sizeof(most))
        memcpy(at, most, (size_t)n + 1);
    else if (at)
        vsnprintf(at, (size_t)n + 1, format, again);
    va_end(again);
    return at ? (struct str){at, (size_t)n} : STR_NONE;
}
