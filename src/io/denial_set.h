/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/deny_list.h"
#include "base/map.h"

/* The denials that stand, as the feed's reader keeps them: name -> end. Snapshots are made of it. */
struct denial_set {
    struct map *map;
};
int denial_set_init(struct denial_set *set) MUST_USE; /* -ENOMEM */
void denial_set_fini(struct denial_set *set);

/* Enters, moves or (until_s <= now_s) lifts one. -ENOSPC: there are n_most. -ENOMEM. */
int denial_set_put(struct denial_set *set, struct str name, int64_t until_s, int64_t now_s,
                   size_t n_most) MUST_USE;
/* What stands now, as a list. NULL: memory is out. */
struct deny_list *denial_set_list(struct denial_set *set, int64_t now_s) MUST_USE;
