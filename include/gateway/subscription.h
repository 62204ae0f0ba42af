/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* What the caller has bought: the tier and whether it was paid (settings `plans` and `payment`), as the subject's record says it (x->record),
 * else the verified token. */

/* The tier whose limits this caller meets; NULL: none (service callers; anonymous ones where there is no tier for them). A token that names a tier
 * that is not there, or a status that downgrades, gets the default tier; the former is counted. */
const struct tier *subscription_tier(const struct exchange *x);
/* Is this caller's payment status one that is refused here? Never on routes that ignore it, nor for callers without a plan of their own. */
bool subscription_is_refused(const struct exchange *x);
