/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cidr.h"
#include "base/result.h"
#include <stdint.h>

/* Requests that wait for their token's signature to be checked: a line for each address, served in turn, so that who sends a thousand
 * waits for itself. Bounded; of the places that are left an address may have no more than the others would still find, so no few of
 * them can fill the queue (the dynamic thresholds of Choudhury and Hahne, 1998). One thread. */
struct check_queue;
struct check_line;

/* Embedded in what waits; all zeros: does not. */
struct check_waiter {
    struct check_waiter *next, *previous;
    struct check_line *line;
};

struct check_queue *check_queue_new(size_t most) MUST_USE; /* most >= 1; NULL when memory is out */
void check_queue_free(struct check_queue *queue);          /* takes NULL; nobody waits any more */
/* Who waits already goes on waiting. */
void check_queue_resize(struct check_queue *queue, size_t most);

/* At the end of the line of `address` (IPv6: one /64). False when there is no place for it, or memory is out. */
bool check_queue_join(struct check_queue *queue, struct check_waiter *waiter,
                      const struct ip *address) MUST_USE;
/* Fine when it does not wait. */
void check_queue_leave(struct check_queue *queue, struct check_waiter *waiter);
/* Whose turn it is, taken out of the queue; NULL when nobody waits. */
struct check_waiter *check_queue_take(struct check_queue *queue);
size_t check_queue_count(const struct check_queue *queue);
