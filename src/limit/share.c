/* SPDX-License-Identifier: MIT */
#include "limit/share.h"

#include <assert.h>

#define COST_MAX INT64_C(1000000000000)

void share_of(struct share *share, const struct limit_charge *charge, int64_t machines) {
    assert(machines >= 1);
    share->policy = *charge->policy;
    share->charge = *charge;
    share->charge.policy = &share->policy;
    share->charge.cost = charge->cost > COST_MAX / machines ? COST_MAX : charge->cost * machines;
    if (share->policy.kind == LIMIT_RATE && share->policy.rate.burst < machines)
        share->policy.rate.burst = machines;
}
