/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/hash.h"
#include "base/str.h"
#include "limit/bucket.h"
#include "limit/window.h"

/* A named limit as the settings say it, and what one caller has used of it. Wherever counters are kept (memory, Redis), a charge
 * is judged by these functions. */
enum limit_key {
    LIMIT_KEY_SUBJECT, /* the verified user */
    LIMIT_KEY_IP,      /* the resolved client; IPv6 by /64 */
    LIMIT_KEY_APIKEY,  /* the gateway's own API key; callers without one: by ip */
    LIMIT_KEY_CLAIM,   /* the value of a claim; callers without it: by ip */
    LIMIT_KEY_HEADER,  /* the value of a header field, as the caller says; without it: by ip */
    LIMIT_KEY_GLOBAL,  /* everybody together */
    LIMIT_KEY_COUNT,
};
const char *limit_key_name(enum limit_key key); /* "subject", "ip", "apikey", ... */

enum limit_kind {
    LIMIT_RATE,  /* refills steadily: bucket.h */
    LIMIT_QUOTA, /* counts in calendar windows: window.h */
    LIMIT_COUNTED_KINDS,
    LIMIT_CONCURRENT = LIMIT_COUNTED_KINDS, /* how many at once: slots.h, no counter */
};

struct limit_policy {
    struct str name;  /* "burst": what RateLimit-Policy says */
    struct str group; /* of a plan, unless it is "default"; else empty */
    /* Unique in the settings ("free/default/burst", "per_ip"): the metrics' and the log's. */
    struct str id;
    /* What counters are kept by, with the kind and, of a rate, the rate itself ("plan/default/burst", "per_ip"). The same in every tier: what was
     * used of a quota survives a change of plan. */
    struct str counter;
    enum limit_key key;
    size_t claim_path; /* LIMIT_KEY_CLAIM: index in claim_paths */
    struct str header; /* LIMIT_KEY_HEADER: lower case */
    enum limit_kind kind;
    struct bucket_rule rate;  /* LIMIT_RATE */
    struct window_rule quota; /* LIMIT_QUOTA */
    int64_t concurrent;       /* LIMIT_CONCURRENT: 1 .. 10^9 */
    size_t index;             /* among all policies of the settings; metrics' */
    bool is_shadow;           /* counts and reports, refuses nobody */
};
/* The most that may come at once when nothing was used: a rate's burst, a quota's limit, what is concurrent. */
int64_t limit_capacity(const struct limit_policy *policy);
/* Is it a rate or a quota that counts by subject, or by a claim that is one? */
bool limit_policy_is_of_subjects(const struct limit_policy *policy);
/* By its name, which others may have, too, or its id? */
bool limit_policy_is_called(const struct limit_policy *policy, struct str name);
/* What a rate or a quota counts with: the same for policies that share their counters, whatever their names. A bucket belongs to one
 * rule for life, so a rate's rule is part of it; of a quota only its period. As the key of its callers' hashes it lets no spelling of a
 * caller's key reach another policy's counters. */
struct hash128 limit_policy_hash(const struct hash_key *key, const struct limit_policy *policy);

/* One caller meets one policy that counts. */
struct limit_charge {
    const struct limit_policy *policy;
    struct str key; /* the subject, the address, the claim's value; empty for global */
    int64_t cost;   /* >= 0 */
    int anchor_day; /* of a monthly quota, where the subscriber has one; 0: the policy's */
};

/* What is remembered of one key under one policy. All zero: nothing. Which of the two it is the policy knows. */
union limit_counter {
    struct bucket bucket;
    struct window_count window;
};

/* Rates ask the monotonic clock, quotas the calendar's. Pure. */
struct limit_state limit_counter_look(const union limit_counter *c,
                                      const struct limit_charge *charge, const struct now *now);
/* The same, and counts it when allowed. */
struct limit_state limit_counter_take(union limit_counter *c, const struct limit_charge *charge,
                                      const struct now *now);
/* Charge `change` more (or give back), which became known after `taken` was met; refuses nothing, so debt may stand: nobody passes until it is
 * paid, by the rate or at the window's end. */
void limit_counter_settle(union limit_counter *c, const struct limit_charge *charge, int64_t change,
                          const struct limit_state *taken, const struct now *now);
/* How much was used and is not refilled or over yet; above the capacity: debt. */
int64_t limit_counter_used(const union limit_counter *c, const struct limit_policy *policy,
                           const struct now *now);
/* Says nothing any more: dropping it changes no answer. */
bool limit_counter_is_new(const union limit_counter *c, enum limit_kind kind,
                          const struct now *now);
