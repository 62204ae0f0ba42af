/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Where Location and Content-Location of an upstream's answer lead. A URL of the upstream's own would take the caller around the
 * gateway: an upload by TUS goes on at the Location that its creation was answered with. So what names the origin that the route
 * forwards to (scheme, host and port, below its base path) names the gateway instead, as this caller called it; every other URL,
 * and what is relative, passes as it came. */

/* Is `url` one of the upstream's? Then *rest is what follows its base path: a path with query and fragment, or empty. Borrowed. */
bool location_is_upstreams(const struct origin *upstream, struct str url, struct str *rest);

/* Appends the value as the caller of `x` is to see it. On /auth/v1 that is the value as it came: where Supabase Auth sends a browser
 * (a provider, the application) carries codes and tokens, and is for the project's allow list alone to choose. -ENOMEM. */
int location_write(struct buffer *out, const struct exchange *x, struct str url) MUST_USE;
