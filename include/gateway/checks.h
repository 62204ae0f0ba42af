/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Checking a signature costs 20 to 110 µs, and anybody can send tokens that were never seen before. So:
 *
 *   - who sent too many that failed (auth_failures) is refused before the next one is checked;
 *   - in each turn of its loop a worker checks for so long as its share allows of what else it did in that turn, once at least
 *     (tokens.check_share); the rest waits for the turns to come, fairly by address (check_queue.h), and those that are too many
 *     are refused.
 *
 * A worker that has nothing else to do checks all the time. Callers whose tokens are remembered never come here, and never wait
 * for more than the checks of one turn. */
enum checks_verdict {
    CHECKS_NOW,     /* x->may_check: decide again, with the check */
    CHECKS_LATER,   /* it waits; checks_next will give it back */
    CHECKS_FULL,    /* too many wait */
    CHECKS_REFUSED, /* too many failures; x->retry_ns says for how long */
};
enum checks_verdict checks_ask(struct exchange *x) MUST_USE;
/* What was decided with a check: it took `ns`, and the token was bad or not. */
void checks_count(struct exchange *x, int64_t ns, bool has_failed);
/* A credential failed that cost us something: a token's check, an API key's look-up. */
void checks_count_failure(struct exchange *x);
/* Have too many failed? x->retry_ns then says for how long. */
bool checks_refuse_failures(struct exchange *x) MUST_USE;
/* Whose turn it is now: taken out of the queue, to be advanced. NULL: nobody waits, or the budget is used up, and
 * gateway->checks.on_turn comes again. */
struct exchange *checks_next(struct gateway *gateway);
/* Does not wait any more; fine when it does not. */
void checks_leave(struct exchange *x);

/* How long checks may take beside `other_ns` of other work, to be `percent` (1 to 90) of both. */
int64_t checks_budget_ns(int64_t other_ns, unsigned percent);
