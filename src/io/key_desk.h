/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "io/key_issuer.h"

/* One issuer at the key source: what the control thread does for it, and what others see of that and want. */
struct desk {
    struct arena arena; /* the origin's text: the settings that it is from may be gone */
    struct key_origin origin;
    struct key_times times;   /* as of the round that runs */
    struct key_issuer issuer; /* the control thread's while it is busy, else the lock's */

    /* The lock's: */
    bool is_busy;      /* a round runs */
    bool is_wanted;    /* somebody waits for the keys */
    bool is_demanded;  /* the operator: everything, and from now on, not what runs already */
    bool is_dismissed; /* the settings do not name it any more: whoever is busy with it frees it */
    size_t index;      /* in the ring that was published last */
    struct key_status status;
    int64_t good_ns, fetched_ns; /* 0: never */
};

struct desk *desk_new(const struct key_origin *origin, const struct key_times *times) MUST_USE;
void desk_free(struct desk *desk); /* takes NULL; wipes the secret */
/* After a round. */
void desk_write(struct desk *desk);

/* Several: an array of their own, in the settings' order, that desks_free frees with them. */
void desks_free(struct desk **desks, size_t n); /* takes NULL */
bool desks_have(struct desk *const *desks, size_t n, const struct desk *desk);
/* The next ring; one that is busy shows what it showed `before`. NULL when memory is out. */
struct keyring *desks_compose(struct desk *const *desks, size_t n,
                              const struct keyring *before) MUST_USE;
/* The desks of `origins`: those that are told word for word as before stay who they are, others are new, and know what a
 * predecessor in the same places showed in `ring`. NULL when memory is out. desks_change_back frees the new ones and the array. */
struct desk **desks_change(struct desk *const *desks, size_t n_before, const struct keyring *ring,
                           const struct key_origin *origins, size_t n,
                           const struct key_times *times) MUST_USE;
void desks_change_back(struct desk *const *before, size_t n_before, struct desk **after, size_t n);
