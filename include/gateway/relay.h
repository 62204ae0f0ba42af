/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Two pumps between client and upstream, each as fast as its slower side, in bounded memory. */

/* The request's head goes upstream; the rest follows events. False when memory is out. */
bool relay_start(struct exchange *x) MUST_USE;
void relay_request_body(struct exchange *x); /* client -> upstream, as far as it goes now */
void relay_continue(struct exchange *x);     /* the upstream wants the body, or keeps silent */
void relay_answer_head(struct exchange *x);  /* the upstream's head has come: ours goes out */
void relay_answer_body(struct exchange *x);  /* upstream -> client, as far as it goes now */
/* The end of an answer that is chunked or ends with the connection, as if the upstream had ended it here. */
void relay_end_events(struct exchange *x, unsigned code, const char *reason);
void relay_failed(struct exchange *x, enum upstream_failure failure, const char *reason);
