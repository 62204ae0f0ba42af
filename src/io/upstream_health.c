/* SPDX-License-Identifier: MIT */
/* What became of a call tells how the address does that it went to. The log hears once that an address is ejected, and once, with
 * the number of times, that it answers again. */
#include "base/log.h"
#include "upstream_call.h"

void call_note_failure(struct upstream_call *call, const char *why) {
    struct site *site = call->site;
    const struct health_rule *rule = &call->pool->limits.health;
    const struct endpoint *endpoint = &call->line->endpoint;
    uint32_t n = health_failed(&site->health, rule, endpoint, call_now_ns(call));
    if (n == 0)
        return;
    call->pool->stats.n_ejections++;
    site_drop_idle(site, endpoint);
    if (n > 1)
        return;
    char address[128];
    endpoint_text(endpoint, address);
    log_warn("upstream address ejected", F_STR("host", site->host), F_TEXT("address", address),
             F_TEXT("reason", why), F_INT("for_ms", rule->eject_ns / NS_PER_MS));
}

void call_note_answer(struct upstream_call *call) {
    struct site *site = call->site;
    if (site->health.n < 2)
        return;
    char address[128];
    uint32_t n = health_answered(&site->health, &call->line->endpoint, call->timing.connected_ns,
                                 call_now_ns(call));
    if (n == 0)
        return;
    endpoint_text(&call->line->endpoint, address);
    log_info("upstream address answers again", F_STR("host", site->host),
             F_TEXT("address", address), F_INT("ejections", n));
}
