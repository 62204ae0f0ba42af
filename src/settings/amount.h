/* SPDX-License-Identifier: MIT */
#pragma once
#include "read.h"

/* How much a limit allows, as plans and limits both write it: `rate: 600/minute, burst: 200`,
 * `quota: 5000/month, timezone: Europe/Berlin, anchor_day: 15`, or `concurrent: 5`. */
struct amount {
    const struct branch *rate, *burst, *quota, *timezone, *anchor_day, *concurrent;
};
/* clang-format off */
#define AMOUNT_ENTRIES(at) /* the amount's offset within its section */ \
    {"rate",       keep_branch, (at) + offsetof(struct amount, rate),       NULL}, \
    {"burst",      keep_branch, (at) + offsetof(struct amount, burst),      NULL}, \
    {"quota",      keep_branch, (at) + offsetof(struct amount, quota),      NULL}, \
    {"timezone",   keep_branch, (at) + offsetof(struct amount, timezone),   NULL}, \
    {"anchor_day", keep_branch, (at) + offsetof(struct amount, anchor_day), NULL}, \
    {"concurrent", keep_branch, (at) + offsetof(struct amount, concurrent), NULL}
/* clang-format on */

/* Into the policy's kind and its rate, quota or number. `at` is the limit. */
bool read_amount(struct reader *r, const struct branch *at, const struct amount *amount,
                 struct settings *s, struct limit_policy *policy);
bool read_rate(struct reader *r, const struct branch *rate, const struct branch *burst,
               struct bucket_rule *rule);
/* A zone of the system's database, read once and kept in s->zones. */
bool read_zone(struct reader *r, const struct branch *b, struct settings *s,
               const struct zone **zone);
