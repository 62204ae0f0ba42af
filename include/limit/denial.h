/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/policy.h"

/* What one machine remembers of a refusal, so that a caller who is over a limit and goes on calling costs Redis next to nothing: at most one question
 * every DENIAL_ASK_NS, and none is refused longer than that after room was made elsewhere (a returned lease, a grant, a reset). All
 * zero: nothing is remembered. Pure. */
struct denial {
    int64_t until_ns; /* monotonic: when the call would have been allowed */
    int64_t ask_ns;   /* the next question */
    int64_t cost;     /* that was refused; a cheaper call may pass */
    uint64_t version; /* of the feed of grants, resets and plans at the time */
};
#define DENIAL_ASK_NS (3 * NS_PER_S)

/* How long a caller is refused who has to wait for wait_ns: a rate makes room for one call after another, and who is far over it would ask again for each
 * of them. So it is at least what a tenth of the burst takes, up to a second: no burst is lost by it, and no Retry-After. */
int64_t denial_wait_ns(const struct limit_policy *policy, int64_t wait_ns);
/* `wait_ns` as the limit's state says it; INT64_MAX: never. */
void denial_remember(struct denial *denial, int64_t cost, int64_t wait_ns, uint64_t version,
                     int64_t mono_ns);

enum denial_verdict {
    DENIAL_NONE,   /* ask: nothing is known */
    DENIAL_STANDS, /* refuse without asking */
    DENIAL_ASK,    /* ask, and let others be refused meanwhile */
};
/* A newer version of the feed forgets every denial. */
enum denial_verdict denial_look(struct denial *denial, int64_t cost, uint64_t version,
                                int64_t mono_ns);
