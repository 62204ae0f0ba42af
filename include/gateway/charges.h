/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Which limits does this request meet, and under which keys? Fills x->charges and, with those that say `concurrent`, x->holds. A session refresh meets only the refresh limit; service callers
 * only limits for everyone. */
void charges_find(struct exchange *x);
enum charges_verdict {
    CHARGES_ALLOWED,
    CHARGES_REFUSED,     /* charges_problem says what to call it */
    CHARGES_LATER,       /* Redis is asked: the pipeline will be advanced; ask again then */
    CHARGES_UNAVAILABLE, /* nobody knows, and redis.on_failure lets nobody pass */
};
/* Take them all, or none: x->outcome. */
enum charges_verdict charges_take(struct exchange *x);
/* What to call it when they were refused. */
enum problem charges_problem(const struct exchange *x);
/* What stands, without counting. ALLOWED when it is known. */
enum charges_verdict charges_look(struct exchange *x);
/* Where the route's cost is settled by a field of the answer: charge the difference to what was reserved, and let x->outcome say what stands.
 * Without the field, or with one that is no whole number up to 10^9, the reserve stands. */
void charges_settle(struct exchange *x, struct fields answer);
/* Is this the session refresh, whose refusal by 4xx would sign the user out? */
bool charges_is_refresh(const struct exchange *x);
