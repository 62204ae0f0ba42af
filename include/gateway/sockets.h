/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* How many WebSockets the caller has open, in all workers together: by address (IPv6: its /64), and by subject where the handshake shows one. */

/* Takes a place for this one. False when there is none: settings.websockets. Nobody is refused while limits are in shadow or off. */
bool sockets_take(struct exchange *x);
void sockets_give(struct exchange *x); /* at the exchange's end; fine when it has none */
