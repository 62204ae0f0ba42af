/* SPDX-License-Identifier: MIT */
#include "limit/lease.h"

#include <assert.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- where all count ---- */

/* As it stands at `wall_ns`. A clock that goes back leaves it as it is. */
static struct lease_ledger ledger_at(const struct lease_ledger *ledger, int64_t wall_ns) {
    struct lease_ledger now = *ledger;
    int64_t epoch = wall_ns / LEASE_EPOCH_NS;
    if (epoch > ledger->epoch)
        now = (struct lease_ledger){epoch, 0, epoch == ledger->epoch + 1 ? ledger->lent : 0};
    return now;
}

int64_t lease_lent(const struct lease_ledger *ledger, int64_t wall_ns) {
    struct lease_ledger now = ledger_at(ledger, wall_ns);
    return now.lent + now.lent_before;
}

/* How much may be lent on top of a call that left `remaining`. */
static int64_t lendable(const struct lease_ledger *ledger, const struct limit_policy *policy,
                        int64_t remaining, int64_t wanted) {
    int64_t capacity = limit_capacity(policy);
    int64_t share = capacity * LEASE_SHARE_PERCENT / 100 - ledger->lent - ledger->lent_before;
    int64_t far = remaining - capacity * LEASE_NEAR_PERCENT / 100;
    int64_t n = least(wanted, least((share + 1) / 2, far));
    return n > 0 ? n : 0;
}

struct lease_grant lease_grant_at(enum limit_kind kind, const struct limit_state *state,
                                  int64_t lent, int64_t epoch, int64_t wall_ns) {
    int64_t life_ns = least((epoch + 2) * LEASE_EPOCH_NS - wall_ns, 2 * LEASE_EPOCH_NS);
    if (kind == LIMIT_QUOTA)
        life_ns = least(life_ns, state->window.end_s * NS_PER_S - wall_ns);
    return (struct lease_grant){*state, lent, life_ns, epoch};
}

struct lease_grant lease_take(struct lease_shared *shared, const struct limit_charge *charge,
                              int64_t wanted, const struct now *now) {
    assert(wanted >= 0);
    shared->ledger = ledger_at(&shared->ledger, now->wall_ns);
    struct lease_ledger *ledger = &shared->ledger;
    struct limit_state met = limit_counter_take(&shared->counter, charge, now);
    struct lease_grant grant =
        lease_grant_at(charge->policy->kind, &met, 0, ledger->epoch, now->wall_ns);
    if (!grant.state.allowed)
        return grant;
    struct limit_charge more = *charge;
    more.cost = lendable(ledger, charge->policy, grant.state.remaining, wanted);
    if (more.cost == 0)
        return grant;
    grant.state = limit_counter_take(&shared->counter, &more, now);
    assert(grant.state.allowed); /* no more than was remaining */
    grant.lent = more.cost;
    ledger->lent += grant.lent;
    return grant;
}

/* Where it still counts as lent; NULL: nowhere. */
static int64_t *lent_in(struct lease_ledger *ledger, int64_t epoch) {
    return epoch == ledger->epoch       ? &ledger->lent
           : epoch + 1 == ledger->epoch ? &ledger->lent_before
                                        : NULL;
}

/* What the ledger does not know was counted by nobody: a restart forgot it, or a reset. */
void lease_return(struct lease_shared *shared, const struct limit_charge *charge,
                  const struct lease_rest *rest, const struct now *now) {
    assert(rest->left >= 0 && rest->left <= rest->lent);
    shared->ledger = ledger_at(&shared->ledger, now->wall_ns);
    int64_t *lent = lent_in(&shared->ledger, rest->epoch);
    if (!lent)
        return;
    const struct limit_state taken = {.window.end_s = rest->end_s};
    limit_counter_settle(&shared->counter, charge, -least(rest->left, *lent), &taken, now);
    *lent -= least(rest->lent, *lent);
}

/* ---- at one machine ---- */

bool lease_spend(struct lease *lease, int64_t cost, int64_t mono_ns) {
    if (mono_ns >= lease->dies_ns || cost > lease->left)
        return false;
    lease->left -= cost;
    return true;
}

int64_t lease_wanted(const struct lease *lease, int64_t mono_ns) {
    if (mono_ns >= lease->dies_ns)
        return lease->given - lease->left;
    return least(4 * lease->wanted + 4, LEASE_WANTED_MAX);
}

void lease_hold(struct lease *lease, const struct lease_grant *grant, int64_t wanted,
                int64_t asked_ns) {
    *lease = (struct lease){.given = grant->lent,
                            .left = grant->lent,
                            .wanted = wanted,
                            .dies_ns = asked_ns + grant->life_ns,
                            .epoch = grant->epoch,
                            .end_s = grant->state.window.end_s};
}

struct lease_rest lease_end(struct lease *lease) {
    struct lease_rest rest = {lease->left, lease->given, lease->epoch, lease->end_s};
    lease->given = lease->left = 0;
    return rest;
}
