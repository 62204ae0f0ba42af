/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* The gateway's own answers, and what it adds to everybody's. */

void answer_problem(struct exchange *x);   /* x->problem, in every client's language */
void answer_preflight(struct exchange *x); /* a CORS preflight for a known route */
void answer_json(struct exchange *x, int status, struct str body);

/* The fields that every answer carries: x-request-id, RateLimit, RateLimit-Policy, CORS (unless `upstream` set it). */
int answer_add_fields(const struct exchange *x, struct buffer *fields,
                      struct fields upstream) MUST_USE;
