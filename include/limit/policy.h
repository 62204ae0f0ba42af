/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"
#include "limit/bucket.h"

/* A named limit as the settings say it. */
enum limit_key {
    LIMIT_KEY_SUBJECT, /* the verified user */
    LIMIT_KEY_IP,      /* the resolved client; IPv6 by /64 */
    LIMIT_KEY_CLAIM,   /* the value of a claim; callers without it: by ip */
    LIMIT_KEY_GLOBAL,  /* everybody together */
    LIMIT_KEY_COUNT,
};
const char *limit_key_name(enum limit_key key); /* "subject", "ip", "claim", "global" */

struct limit_policy {
    struct str name; /* "burst": what RateLimit-Policy and the metrics say */
    /* Unique in the settings ("free/default/burst", "per_ip"): what counters are keyed by. */
    struct str id;
    enum limit_key key;
    size_t claim_path; /* LIMIT_KEY_CLAIM: index in claim_paths */
    struct bucket_rule rate;
    size_t index;   /* among all policies of the settings; metrics' */
    bool is_shadow; /* counts and reports, refuses nobody */
};
