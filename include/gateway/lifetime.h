/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* An exchange is born with its request's head and dies with its answer's last byte. */

/* `has_head`: false when what came is no request; then it has no fields. NULL when memory is out. */
struct exchange *exchange_new(struct gateway *gateway, struct client *client,
                              bool has_head) MUST_USE;
/* It waited for keys, or for its token to be checked, while the settings changed: nothing that it has met counts any more. It goes on waiting. */
void exchange_begin_anew(struct exchange *x);
/* Logs, counts, lets go of the upstream and of everything else. Once, at the end. */
void exchange_finish(struct exchange *x);

/* Breaks the answer off: the client must not take what it has for complete. Finishes the exchange. */
void exchange_cut(struct exchange *x, const char *reason);
void exchange_free_spares(struct gateway *gateway);
