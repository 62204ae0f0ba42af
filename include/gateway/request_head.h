/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* The head that goes upstream, written anew from validated parts: the caller's method, raw path and query, and end-to-end fields; then our own
 * (interface.md, "Upstream requests carry"). In the exchange's arena; at == NULL when memory is out. */
struct str request_head_write(struct exchange *x) MUST_USE;
/* Has this request passed this process before (Via)? */
bool request_head_loops(const struct exchange *x);
