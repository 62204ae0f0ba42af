/* SPDX-License-Identifier: MIT */
#include "base/stock.h"

#include "base/poison.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stock_piece {
    struct stock_piece *next; /* not poisoned: a search for leaks follows it */
    char rest[];
};

void *stock_take(struct stock *stock, size_t bytes) {
    struct stock_piece *piece = stock->first;
    assert(stock->piece_bytes > sizeof(*piece));
    if (bytes > stock->piece_bytes)
        return malloc(bytes);
    if (!piece)
        return malloc(stock->piece_bytes);
    JG_UNPOISON(piece->rest, stock->piece_bytes - sizeof(*piece));
    stock->first = piece->next;
    stock->n--;
    return piece;
}

void *stock_take_zeroed(struct stock *stock, size_t bytes) {
    void *piece = stock_take(stock, bytes);
    return piece ? memset(piece, 0, bytes) : NULL;
}

void stock_give(struct stock *stock, void *memory, size_t bytes) {
    struct stock_piece *piece = memory;
    if (bytes > stock->piece_bytes || stock->n >= stock->n_most) {
        free(memory);
        return;
    }
    piece->next = stock->first;
    stock->first = piece;
    stock->n++;
    JG_POISON(piece->rest, stock->piece_bytes - sizeof(*piece));
}

void stock_release(struct stock *stock) {
    while (stock->first) {
        struct stock_piece *piece = stock->first;
        JG_UNPOISON(piece->rest, stock->piece_bytes - sizeof(*piece));
        stock->first = piece->next;
        free(piece);
    }
    stock->n = 0;
}
