/* SPDX-License-Identifier: MIT */
#include "usage.h"

#include "base/json.h"

/* A quota also says what it counts in, and when that begins and ends. */
static int put_window(struct buffer *out, const struct window_rule *rule,
                      const struct window *window) {
    char start[25], end[25];
    clock_rfc3339(window->start_s * NS_PER_S, start);
    clock_rfc3339(window->end_s * NS_PER_S, end);
    return buffer_printf(out,
                         ",\"per\":\"%s\",\"timezone\":\"" STR_FMT
                         "\",\"window_start\":\"%s\",\"window_end\":\"%s\"",
                         window_kind_name(rule->kind), STR_ARG(rule->zone->name), start, end);
}

int usage_put(struct buffer *out, struct str name, const struct limit_policy *policy,
              const struct limit_state *state, bool is_known) {
    TRY(buffer_append(out, STR("\"policy\":")));
    TRY(put_json_string(out, name));
    TRY(buffer_printf(out, ",\"key\":\"%s\",\"limit\":%lld", limit_key_name(policy->key),
                      (long long)limit_capacity(policy)));
    if (is_known)
        TRY(buffer_printf(out, ",\"remaining\":%lld,\"reset_seconds\":%lld",
                          (long long)state->remaining,
                          (long long)((state->reset_ns + NS_PER_S - 1) / NS_PER_S)));
    if (policy->kind == LIMIT_QUOTA)
        return put_window(out, &policy->quota, &state->window);
    return policy->kind == LIMIT_CONCURRENT
               ? buffer_append(out, STR(",\"unit\":\"concurrent-requests\""))
               : 0;
}
