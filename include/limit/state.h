/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/clock.h"
#include "base/result.h"
#include <stdbool.h>

/* From start_s on, until end_s begins; unix time. */
struct window {
    int64_t start_s, end_s;
};

/* What a call met at one limit, of whatever kind. */
struct limit_state {
    bool allowed;      /* a cost of 0 always is */
    int64_t remaining; /* calls of cost 1 that would be allowed now, after this one */
    /* Until a call of this cost would be allowed, and not 1 ns earlier; 0 when allowed; INT64_MAX:
     * never (it costs more than the limit ever has). */
    int64_t wait_ns;
    int64_t reset_ns;     /* until the limit is as good as new */
    struct window window; /* a quota's; {0, 0}: a rate */
};
