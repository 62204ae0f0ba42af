/* SPDX-License-Identifier: MIT */
/* The names that the settings, the headers and the metrics have for what a limit counts by. */
#include "limit/policy.h"

#include <assert.h>

static const char *const KEY_NAMES[LIMIT_KEY_COUNT] = {
    [LIMIT_KEY_SUBJECT] = "subject",
    [LIMIT_KEY_IP] = "ip",
    [LIMIT_KEY_CLAIM] = "claim",
    [LIMIT_KEY_GLOBAL] = "global",
};

const char *limit_key_name(enum limit_key key) {
    assert((unsigned)key < LIMIT_KEY_COUNT);
    return KEY_NAMES[key];
}
