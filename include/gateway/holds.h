/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Limits that say `concurrent`: a request holds a slot of each that it meets (x->holds, found by charges_find) from here to its end:
 * the answer's last byte, the cut, the client's leaving, the end of what its WebSocket was. */

/* Take them all, or none. True when the request may go on; a shadow limit's slot is taken even when it is one too many, while
 * there is memory. */
bool holds_take(struct exchange *x) MUST_USE;
/* Give back what is held; fine when nothing is. */
void holds_give(struct exchange *x);
/* The arena goes before the exchange: what giving back needs of it, and its new place, of as many bytes. */
size_t holds_bytes(const struct exchange *x);
void holds_move(struct exchange *x, char *at);
/* What stands, without taking. */
void holds_look(struct exchange *x);

/* How many more would be let in. */
int64_t holds_remaining(const struct hold *hold);
/* Which one refused the request; NULL: none did. */
const struct hold *holds_refused(const struct exchange *x);
/* Until a call that was refused is worth another try: nobody knows when a stream ends. */
#define HOLDS_RETRY_S 5
