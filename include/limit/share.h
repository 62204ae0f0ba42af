/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* Redis is away: each of n machines goes on alone, from the last state of the counter that it saw, as if every call were n calls.
 *
 * Then a machine admits, in calls, at most (room + rate * T) / n, and n machines at most room + rate * T, where `room` is what the counter had left
 * when they saw it: the limit itself, less what was used. What was used elsewhere after the last look is the error, for one lease's life at most.
 * A rate whose burst is below n lets every machine admit one call at once (else nobody would ever pass): room is then n. A quota that has less than n
 * left is used up. Pure. */
struct share {
    struct limit_policy policy; /* what the charge points to */
    struct limit_charge charge;
};
/* `machines` >= 1: those last seen, or expected_machines at a cold start. Fills *share, which must outlive the use of its charge. */
void share_of(struct share *share, const struct limit_charge *charge, int64_t machines);
