/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* A WebSocket: both sides have said 101, and from now on bytes go both ways as fast as the slower side takes them, unread but for where
 * frames begin. A side's end (FIN) is passed on as an end of writing; the tunnel is over when both have ended; a reset of one side resets
 * the other. Nothing moving for the route's `idle` ends it too. */

/* The upstream's 101 has come: ours goes out with `fields`, and the exchange gives back all that a tunnel does not need. */
void tunnel_start(struct exchange *x, struct str fields);
void tunnel_pump(
    struct exchange *x); /* both ways, as far as it goes now; may finish the exchange */

/* Ends it from here: a Close frame with `code` and `reason` (a constant) where a frame may begin, FIN, to both sides. What they have not
 * taken a little later is cut, and so is all of it when this is asked a second time. */
void tunnel_end(struct exchange *x, unsigned code, const char *reason);
