/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* How many requests may be under way at once: in this worker, and of one client over all of them (http.max_requests,
 * http.max_requests_per_ip). Decided before anything is verified: refusing is cheap. */
enum admission_verdict {
    ADMISSION_OK,
    ADMISSION_FULL,   /* the worker's requests */
    ADMISSION_PER_IP, /* the client's */
};
/* Once a request; what it holds is given back by admission_leave, which is fine when it holds nothing. */
enum admission_verdict admission_enter(struct exchange *x) MUST_USE;
void admission_leave(struct exchange *x);
