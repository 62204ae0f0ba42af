/* SPDX-License-Identifier: MIT */
#pragma once
#include "limit/bucket.h"
#include "limit/window.h"
#include "settings/settings.h"

/* The small languages of setting values. All false with *why (a constant: what was expected) when malformed. */
bool unit_duration(struct str text, int64_t *ns,
                   const char **why) MUST_USE; /* "500ms" "30s" "10m" "24h" */
bool unit_size(struct str text, uint64_t *bytes,
               const char **why) MUST_USE; /* "512" "64KiB" "1MiB" "2GiB" */
bool unit_rate(struct str text, struct bucket_rule *rule,
               const char **why) MUST_USE; /* "1200/minute"; burst = N */
bool unit_quota(struct str text, struct window_rule *rule,
                const char **why) MUST_USE; /* "5000/month"; UTC, from the first day on */
/* "http://host:port/base", "https://...", "unix:/path"; strings are copied to the arena. No user info, query or fragment. */
bool unit_origin(struct str url, struct origin *origin, struct arena *arena,
                 const char **why) MUST_USE;
