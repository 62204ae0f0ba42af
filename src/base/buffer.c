/* SPDX-License-Identifier: MIT */
/* A queue of bytes in one piece of memory:
 *
 *   at [ consumed | the bytes ...... | room ]
 *      0          head               tail   size */
#include "base/buffer.h"

#include "base/pen.h"
#include "base/stock.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST_BYTES = 256 };

static void compact(struct buffer *b) {
    size_t length = buffer_length(b);
    if (b->head > 0 && length > 0)
        memmove(b->at, b->at + b->head, length);
    b->head = 0;
    b->tail = length;
}

static void give_back(struct buffer *b) {
    if (b->at && b->stock)
        stock_give(b->stock, b->at, b->size);
    else
        free(b->at);
}

/* Out of the stock's piece, into a larger one. */
static char *move(struct buffer *b, size_t size) {
    char *at = stock_take(b->stock, size);
    if (at && b->tail > 0)
        memcpy(at, b->at, b->tail);
    if (at)
        give_back(b);
    return at;
}

static int grow(struct buffer *b, size_t needed) {
    size_t smallest = b->stock ? b->stock->piece_bytes : SMALLEST_BYTES;
    size_t size = b->size ? b->size : smallest;
    while (size < needed)
        size *= 2;
    char *at = b->stock && b->size <= smallest ? move(b, size) : realloc(b->at, size);
    if (!at)
        return -ENOMEM;
    b->at = at;
    b->size = size;
    return 0;
}

int buffer_make_room(struct buffer *b, size_t bytes, char **room) {
    assert(b->head <= b->tail && b->tail <= b->size);
    assert(b->at || b->size == 0);
    size_t length = buffer_length(b);
    if (bytes > SIZE_MAX / 4 || length > SIZE_MAX / 4)
        return -ENOMEM;
    if (!b->at || b->size - b->tail < bytes) {
        compact(b);
        if (!b->at || b->size - length < bytes)
            TRY(grow(b, length + bytes));
    }
    *room = b->at + b->tail;
    return 0;
}

void buffer_consume(struct buffer *b, size_t bytes) {
    assert(bytes <= buffer_length(b));
    b->head += bytes;
    if (b->head == b->tail)
        buffer_clear(b);
}

void buffer_clear(struct buffer *b) { b->head = b->tail = 0; }

void buffer_release(struct buffer *b) {
    give_back(b);
    *b = (struct buffer){.stock = b->stock};
}

int buffer_append_growing(struct buffer *b, struct str s) {
    char *room;
    TRY(buffer_reserve(b, s.n, &room));
    memcpy(room, s.at, s.n);
    b->tail += s.n;
    return 0;
}

/* Into the room that is there; a second time only where that was too little. */
int buffer_printf(struct buffer *b, const char *format, ...) {
    va_list args, again;
    char *room;
    TRY(buffer_reserve(b, 1, &room));
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(room, b->size - b->tail, format, args);
    va_end(args);
    int result = n < 0 ? -EINVAL : 0;
    if (result == 0 && (size_t)n >= b->size - b->tail) {
        result = buffer_reserve(b, (size_t)n + 1, &room);
        if (result == 0)
            vsnprintf(room, (size_t)n + 1, format, again);
    }
    if (result == 0)
        b->tail += (size_t)n;
    va_end(again);
    return result;
}

int buffer_append_u64(struct buffer *b, uint64_t value) {
    char *room;
    TRY(buffer_reserve(b, PEN_U64_MAX, &room));
    buffer_commit(b, (size_t)(pen_u64(room, value) - room));
    return 0;
}
