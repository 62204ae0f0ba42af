/* SPDX-License-Identifier: MIT */
/* Who ends what has no end: a denial, the token's expiry, a revoked API key, a tunnel's idle limit, the drain. */
#include "gateway/streams.h"

#include "gateway/denials.h"
#include "gateway_internal.h"
#include "http/websocket.h"

#define DRAIN_STEP_LEAST_NS (20 * NS_PER_MS)
#define DRAIN_STEP_MOST_NS  (500 * NS_PER_MS)
#define FAR_S               (100LL * 365 * 24 * 3600)

/* ---- one stream's time ---- */

static int64_t idle_due_ns(const struct exchange *x) {
    return x->stream.idle_ns == INT64_MAX ? INT64_MAX : x->stream.moved_ns + x->stream.idle_ns;
}

static const char DENIED[] = "access was denied";

static const char *why_over(const struct exchange *x) {
    if (denials_apply(x))
        return DENIED;
    if (x->key_is_revoked)
        return "the API key was revoked";
    return x->caller.api_key.n > 0 ? "the API key has expired" : "the token has expired";
}

static void on_due(struct timer *timer) {
    struct exchange *x = CONTAINER_OF(timer, struct exchange, stream.timer);
    int64_t now_ns = exchange_now(x)->mono_ns;
    if (now_ns >= x->stream.end_ns)
        x->stream.end(x, WEBSOCKET_POLICY, why_over(x));
    else if (now_ns >= idle_due_ns(x))
        x->stream.end(x, WEBSOCKET_GOING_AWAY, "nothing was sent for too long");
    else
        stream_arm(x);
}

void stream_arm(struct exchange *x) {
    int64_t idle_ns = idle_due_ns(x);
    int64_t due_ns = x->stream.end_ns < idle_ns ? x->stream.end_ns : idle_ns;
    if (due_ns != INT64_MAX)
        loop_timer_set(x->parts->loop, &x->stream.timer, due_ns, on_due);
}

/* An API key's record is no issuer's, and may have no end. */
static int64_t expires_s(const struct exchange *x) {
    if (x->caller.api_key.n > 0)
        return x->caller.api_key_expires_s > 0 ? x->caller.api_key_expires_s : INT64_MAX;
    return claims_expires_s(x->caller.claims) +
           x->settings->tokens.issuers[x->caller.issuer].leeway_s;
}

/* In the loop's time: a wall clock that is set back lets nobody stay longer. */
static int64_t expiry_ns(const struct exchange *x) {
    const struct now *now = exchange_now(x);
    if (x->key_is_revoked || denials_apply(x))
        return now->mono_ns;
    if (!x->settings->close_streams_at_expiry || !x->caller.claims)
        return INT64_MAX;
    int64_t left_s = expires_s(x) - now_s(now);
    return left_s < FAR_S ? now->mono_ns + left_s * NS_PER_S : INT64_MAX;
}

bool stream_begin(struct exchange *x, void (*end)(struct exchange *, unsigned, const char *),
                  int64_t idle_ns) {
    int64_t now_ns = exchange_now(x)->mono_ns;
    x->stream.end = end;
    x->stream.moved_ns = now_ns;
    x->stream.idle_ns = idle_ns;
    x->stream.end_ns = expiry_ns(x);
    if (x->stream.end_ns <= now_ns) {
        end(x, WEBSOCKET_POLICY, why_over(x));
        return false;
    }
    stream_arm(x);
    return true;
}

/* ---- many of them ---- */

/* Ending one may finish its exchange: the next is looked up first. Ends at most `n`. */
static void end_some(struct gateway *gateway, stream_picker *concerns, const void *arg, size_t n,
                     unsigned code, const char *reason) {
    for (struct exchange *x = gateway->open.next, *next; n > 0 && x != &gateway->open; x = next) {
        next = x->next;
        if (!x->stream.end || x->stream.is_ending || (concerns && !concerns(x, arg)))
            continue;
        x->stream.end(x, code, reason);
        n--;
    }
}

void streams_end(struct gateway *gateway, stream_picker *concerns, const void *arg, unsigned code,
                 const char *reason) {
    end_some(gateway, concerns, arg, SIZE_MAX, code, reason);
}

static bool is_denied(const struct exchange *x, const void *arg) {
    (void)arg;
    return denials_apply(x);
}

void streams_end_denied(struct gateway *gateway) {
    if (deny_list_count(gateway->news->denials) > 0)
        streams_end(gateway, is_denied, NULL, WEBSOCKET_POLICY, DENIED);
}

/* By its timer: whoever heard of it may stand within another's call. */
void streams_revoke(struct gateway *gateway, struct str api_key) {
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next) {
        if (!str_eq(x->caller.api_key, api_key))
            continue;
        x->key_is_revoked = true;
        if (!x->stream.end || x->stream.is_ending)
            continue;
        x->stream.end_ns = exchange_now(x)->mono_ns;
        stream_arm(x);
    }
}

/* ---- the drain ---- */

static bool is_tunnel(const struct exchange *x, const void *arg) {
    (void)arg;
    return x->tunnel;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
}

static void on_drain_tick(struct timer *timer) {
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, drain_timer);
    int64_t now_ns = loop_now(gateway->parts.loop)->mono_ns;
    int64_t left_ns = gateway->drain_end_ns - now_ns;
    if (left_ns <= 0) {
        streams_end(gateway, NULL, NULL, WEBSOCKET_GOING_AWAY, "the gateway is going away");
        return;
    }
    int64_t n = (int64_t)gateway->n_tunnels;
    int64_t step_ns = clamp(n > 0 ? left_ns / n : left_ns, DRAIN_STEP_LEAST_NS, DRAIN_STEP_MOST_NS);
    int64_t share = (n * step_ns + left_ns - 1) / left_ns;
    end_some(gateway, is_tunnel, NULL, (size_t)share, WEBSOCKET_GOING_AWAY,
             "the gateway is going away");
    loop_timer_set(gateway->parts.loop, timer, now_ns + step_ns, on_drain_tick);
}

void streams_drain(struct gateway *gateway, int64_t timeout_ns) {
    int64_t now_ns = loop_now(gateway->parts.loop)->mono_ns;
    int64_t margin_ns = timeout_ns / 4 < NS_PER_S ? timeout_ns / 4 : NS_PER_S;
    gateway->drain_end_ns = now_ns + timeout_ns - margin_ns;
    loop_timer_set(gateway->parts.loop, &gateway->drain_timer, now_ns, on_drain_tick);
}

void streams_stop(struct gateway *gateway) {
    loop_timer_clear(gateway->parts.loop, &gateway->drain_timer);
}
