/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"
#include <assert.h>

struct stock;

/* A growing queue of bytes: appended at the end, consumed at the front. All zeros is an empty buffer without memory, as is one with
 * nothing but a stock, from which its memory then comes while a piece is enough. An emptied buffer starts over at its beginning;
 * buffer_release gives the memory back. */
struct buffer {
    char *at;
    size_t head, tail, size; /* the bytes are at[head..tail) */
    struct stock *stock;     /* or NULL; outlives the buffer */
};

static inline struct str buffer_bytes(const struct buffer *b) {
    return (struct str){b->at ? b->at + b->head : NULL, b->tail - b->head};
}
static inline size_t buffer_length(const struct buffer *b) { return b->tail - b->head; }

/* Where there is no room yet; callers take buffer_reserve. */
int buffer_make_room(struct buffer *b, size_t bytes, char **room) MUST_USE;
/* Make room for `bytes` more; *room receives where to write. Compacts before it grows. -ENOMEM. */
static inline MUST_USE int buffer_reserve(struct buffer *b, size_t bytes, char **room) {
    if (!b->at || b->size - b->tail < bytes)
        return buffer_make_room(b, bytes, room);
    *room = b->at + b->tail;
    return 0;
}
/* After writing into the reserved room. */
static inline void buffer_commit(struct buffer *b, size_t bytes) {
    assert(bytes <= b->size - b->tail);
    b->tail += bytes;
}
void buffer_consume(struct buffer *b, size_t bytes); /* bytes <= length */
void buffer_clear(struct buffer *b);                 /* keeps the memory */
void buffer_release(struct buffer *b); /* gives the memory back; the buffer can be used again */

/* Appending where there is no room yet; callers take buffer_append and buffer_append_byte. */
int buffer_append_growing(struct buffer *b, struct str s) MUST_USE;

/* A head is a hundred short appends: the common case is a copy and nothing else. */
static inline MUST_USE int buffer_append(struct buffer *b, struct str s) {
    if (s.n == 0)
        return 0;
    if (b->size - b->tail < s.n)
        return buffer_append_growing(b, s);
    assert(s.at);
    memcpy(b->at + b->tail, s.at, s.n);
    b->tail += s.n;
    return 0;
}
static inline MUST_USE int buffer_append_byte(struct buffer *b, char byte) {
    return buffer_append(b, (struct str){&byte, 1});
}
int buffer_printf(struct buffer *b, const char *format, ...) PRINTF(2, 3) MUST_USE;
/* A decimal number. */
int buffer_append_u64(struct buffer *b, uint64_t value) MUST_USE;
