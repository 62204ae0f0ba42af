/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"

/* How many of a key are in use at this moment, over all workers: connections and requests of one address, what a limit calls concurrent. A key costs memory only
 * while one of its slots is in use, so a table is never larger than what is open. Any thread. */
struct slots;

struct slots *slots_new(void) MUST_USE; /* NULL when memory is out */
void slots_free(struct slots *slots);   /* takes NULL */

/* One more of `key`; false when `most` are in use already, or memory is out. */
bool slots_take(struct slots *slots, struct str key, size_t most) MUST_USE;
/* Gives back one that was taken. */
void slots_give(struct slots *slots, struct str key);
size_t slots_in_use(struct slots *slots, struct str key);
