/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"
#include "limit/policy.h"

/* How many of a key are under way at once, over all machines (limits that say `concurrent`): slots in Redis that are lent for seconds,
 * by Redis' own clock, and renewed as long as they are in use. So a machine that is killed or cut off frees its slots by saying nothing.
 *
 *   PREFIX{KIND:KEY}COUNTER:slots      jotgate:{subject:7d1f...}plan/default/streams:slots
 *
 * is a sorted set: of each slot in use its name (of the process, the worker and a number) by the microsecond at which it is lost, renewed
 * every SLOTS_BEAT_NS, many slots by one call. The key expires with its last slot. At most N are in use while Redis keeps its
 * data: what is renewed after Redis has forgotten it (a restart, or frozen for longer than SLOTS_LIFE_NS) comes on top of what
 * was let in meanwhile. */
#define SLOTS_LIFE_NS (6 * NS_PER_S)
#define SLOTS_BEAT_NS (2 * NS_PER_S)

struct redis_slots;
struct redis_slot;

struct redis_slots_parts {
    struct loop *loop;
    struct redis *redis; /* freed first */
    struct str prefix;   /* borrowed until redis_slots_free */
    struct str machine;  /* the process' name among all */
    size_t worker;       /* among the process' */
    /* What was asked for `owner` has ended, and it was not given meanwhile; never from inside. */
    void (*on_done)(void *owner, struct redis_slot *slot);
};
/* NULL: memory is out. */
struct redis_slots *redis_slots_new(const struct redis_slots_parts *parts) MUST_USE;
void redis_slots_free(struct redis_slots *slots); /* takes NULL; every slot was given */

/* One more of this key, which nobody knows of yet. The policy is LIMIT_CONCURRENT. NULL: memory is out, or the key has no name. */
struct redis_slot *redis_slot_new(struct redis_slots *slots, const struct limit_policy *policy,
                                  struct str key, void *owner) MUST_USE;
/* Takes it, unless `most` are in use; with `most` of 0 it only looks. Once. -ENOMEM, -E2BIG. */
int redis_slot_ask(struct redis_slot *slot, int64_t most) MUST_USE;
enum redis_verdict redis_slot_verdict(const struct redis_slot *slot); /* of what was asked */
/* ANSWERED: is it taken, and how many are in use now? */
bool redis_slot_is_taken(const struct redis_slot *slot);
int64_t redis_slot_in_use(const struct redis_slot *slot);
/* It is in use, whatever Redis said: from now on Redis is told so. */
void redis_slot_hold(struct redis_slot *slot);
/* Not in use any more, or not asked for any more; frees it. Takes NULL. Redis is told until it has answered: of up to 4096 a worker,
 * each for SLOTS_LIFE_NS. */
void redis_slot_give(struct redis_slot *slot);
