/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"

/* How many machines share the limits in one Redis: each says every few seconds that it is there, by Redis' clock, and hears how many said
 * so lately. The key is PREFIXmachines, a sorted set of names by time, which expires when nobody is there. */
struct machines;

#define MACHINES_BEAT_NS (3 * NS_PER_S)
#define MACHINES_GONE_NS (10 * NS_PER_S) /* silent for so long is gone */

/* Borrows `redis`. `name`: of this process; its workers may say the same. NULL: memory is out. */
struct machines *machines_new(struct loop *loop, struct redis *redis, struct str prefix,
                              struct str name) MUST_USE;
void machines_free(struct machines *machines); /* takes NULL */
size_t
machines_seen(const struct machines *machines); /* the last time that Redis answered; 0: never */
