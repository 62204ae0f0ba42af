/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis.h"

/* How Redis looks to each worker's client, as its thread told last; to be read by any other. */
struct redis_sights;

struct redis_sights *redis_sights_new(size_t n_workers) MUST_USE; /* NULL when memory is out */
void redis_sights_free(struct redis_sights *sights);              /* takes NULL */
void redis_sights_tell(struct redis_sights *sights, size_t worker, const struct redis_sight *sight);
/* To whom it looks worst: the most servers needed, the fewest up, and who is away the longest. All zeros: nobody has told. */
struct redis_sight redis_sights_worst(struct redis_sights *sights);
