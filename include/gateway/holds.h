/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Limits that say `concurrent`: a request holds a slot of each that it meets (x->holds, found by charges_find) from here to its end:
 * the answer's last byte, the cut, the client's leaving, the end of what its WebSocket was.
 *
 * They are counted over this process' workers and, where `redis` is configured, over all machines (io/redis_slots.h). With Redis away
 * `redis.on_failure` decides: each machine its share of the slots, at least one; no limit; or nobody passes. What was let in so is told
 * Redis when it is back. */
enum holds_verdict {
    HOLDS_TAKEN,       /* the request may go on */
    HOLDS_REFUSED,     /* holds_refused says by what; nothing is held */
    HOLDS_LATER,       /* Redis is asked: the pipeline will be advanced; ask again then */
    HOLDS_UNAVAILABLE, /* nobody knows, and the settings say that nobody passes */
};
/* Take them all, or none. A shadow limit's slot is taken even when it is one too many, while there is memory. */
enum holds_verdict holds_take(struct exchange *x) MUST_USE;
/* Redis has answered for one of them: true when it was the last that was waited for. */
bool holds_heard(struct exchange *x) MUST_USE;
/* Give back what is held; fine when nothing is. */
void holds_give(struct exchange *x);
/* The arena goes before the exchange: what giving back needs of it, and its new place, of as many bytes. */
size_t holds_bytes(const struct exchange *x);
void holds_move(struct exchange *x, char *at);
/* What stands, without taking; with Redis away what stands in this process. False: Redis is asked, as above. */
bool holds_look(struct exchange *x) MUST_USE;

/* How many more would be let in. */
int64_t holds_remaining(const struct hold *hold);
/* Which one refused the request; NULL: none did. */
const struct hold *holds_refused(const struct exchange *x);
/* Until a call that was refused is worth another try: nobody knows when a stream ends. */
#define HOLDS_RETRY_S 5
