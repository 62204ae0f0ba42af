/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "limit/policy.h"

/* Where somebody stands with a limit, as JSON: members of an object, without its braces. `name` is what the reader knows the policy by.
 * Without `is_known` nobody can say what remains, and of `state` only the window counts. */
int usage_put(struct buffer *out, struct str name, const struct limit_policy *policy,
              const struct limit_state *state, bool is_known) MUST_USE;
