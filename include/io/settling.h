/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/arrears.h"
#include "io/redis.h"
#include "limit/limiter.h"

/* A worker tells Redis, once that is back, what passed while it was away, and what it counted besides that.
 *
 * Each counter's arrears are one call, with the deadline of every script and a number of their own, which Redis keeps for ten minutes
 * beside the counter (NAME:told:NUMBER): a call whose end is not known is made again with the same number, and counted once. Whose
 * end stays unknown for longer is given up. At most 32 are under way, so that the traffic goes on beside it. */
struct settling;

struct settling_parts {
    struct loop *loop;
    struct redis *redis;     /* freed before it */
    struct str prefix;       /* of the keys */
    struct arrears *arrears; /* of the process */
};
/* Borrows all of it. NULL: memory is out. */
struct settling *settling_new(const struct settling_parts *parts) MUST_USE;
/* Takes NULL. What is under way may have been told. */
void settling_free(struct settling *settling);
size_t settling_under_way(const struct settling *settling); /* counters */

/* Out of a share among `machines` passed calls[i] of charges[i], where `outcome` allowed it; negative: fewer than was said before. The
 * outcome's states are in the share's terms (limit/share.h). */
void settling_owe(struct settling *settling, const struct limit_charge *charges,
                  const struct limit_outcome *outcome, const int64_t calls[LIMITER_CHARGES_MAX],
                  int64_t machines);
/* Redis counted `charge`, which met `state` there, but its answer came too late to be heeded: it is taken back. It was asked at
 * asked_ns (monotonic). */
void settling_undo(struct settling *settling, const struct limit_charge *charge,
                   const struct limit_state *state, int64_t asked_ns);
