/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Appends RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers): the limits that the request met, or what else refused
 * it; nothing where there was none. */
int limit_fields_add(const struct exchange *x, struct buffer *fields) MUST_USE;
/* Until the next token of this address would be checked: what Retry-After says, too. */
int64_t limit_fields_failures_wait_s(const struct exchange *x);
