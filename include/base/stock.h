/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"

/* Pieces of memory that come and go all the time: what is given back lies in stock for the next
 * taker. With malloc alone a burst of them has the heap grow and shrink again and again, and each
 * page costs the kernel a fault. One thread's.
 *
 * Whoever makes one says `piece_bytes` and how many may lie there; a larger piece is allocated and
 * freed. Poisoned for ASan while it lies there. */
struct stock {
    size_t piece_bytes, n_most;
    size_t n; /* the rest is zero at first */
    struct stock_piece *first;
};

/* NULL: memory is out. What stands in it is nobody's business. */
void *stock_take(struct stock *stock, size_t bytes) MUST_USE;
void *stock_take_zeroed(struct stock *stock, size_t bytes) MUST_USE; /* its first `bytes` are */
void stock_give(struct stock *stock, void *piece, size_t bytes);     /* as many as were taken */
void stock_release(struct stock *stock); /* frees what lies there; it can be used again */
