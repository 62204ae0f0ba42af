/* SPDX-License-Identifier: MIT */
/* What a subject has used, looked at and changed where it is counted:
 *
 *     record ──► counters ──► memory ─────────────────────────────────► answer
 *                        └──► Redis, by lots ──► the feed ──► memory ──► answer
 *
 * The feed tells other processes to forget what they remember of the subject: refusals, leases. */
#include "admin_calls.h"

#include "base/json.h"
#include "gateway/holds.h"
#include "io/feed.h"
#include "usage.h"

#define AMOUNT_MAX 1000000000

static const char UNREAD[] = "Redis did not answer: ask again";
static const char UNCERTAIN[] =
    "Redis did not answer: what was asked may be done; look before you send it again";

/* ---- which counters ---- */

static bool is_meant(const struct limit_policy *policy, struct str name) {
    return limit_policy_is_of_subjects(policy) &&
           (name.n == 0 || limit_policy_is_called(policy, name));
}

/* In memory a bucket also belongs to its burst. */
static bool share_counter(const struct limit_policy *a, const struct limit_policy *b,
                          bool in_redis) {
    if (a->kind != b->kind || a->key != b->key || !str_eq(a->counter, b->counter))
        return false;
    if (a->kind == LIMIT_QUOTA)
        return a->quota.kind == b->quota.kind;
    return a->rate.count == b->rate.count && a->rate.period_ns == b->rate.period_ns &&
           (in_redis || a->rate.burst == b->rate.burst);
}

/* Where the policy's counter stands among the charges; n: not yet. */
static size_t counter_of(const struct admin_call *admin, const struct limit_policy *policy) {
    const struct usage *usage = &admin->usage;
    bool in_redis = admin->x->gateway->redis != NULL;
    size_t i = 0;
    while (i < usage->n && !share_counter(usage->charges[i].policy, policy, in_redis))
        i++;
    return i;
}

/* One of each counter, those of one kind of key together. */
static bool gather(struct admin_call *admin) {
    static const enum limit_key keys[] = {LIMIT_KEY_SUBJECT, LIMIT_KEY_CLAIM};
    const struct settings *s = admin->x->settings;
    struct usage *usage = &admin->usage;
    struct arena *arena = &admin->x->arena;
    usage->charges = arena_zalloc(arena, (s->n_policies + 1) * sizeof(*usage->charges));
    usage->found = arena_zalloc(arena, (s->n_policies + 1) * sizeof(*usage->found));
    if (!usage->charges || !usage->found)
        return false;
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
        for (size_t i = 0; i < s->n_policies; i++)
            if (s->policies[i]->key == keys[k] && is_meant(s->policies[i], usage->policy) &&
                counter_of(admin, s->policies[i]) == usage->n)
                usage->charges[usage->n++] =
                    (struct limit_charge){.policy = s->policies[i],
                                          .key = admin->subject,
                                          .anchor_day = admin->record.anchor_day};
    return true;
}

/* ---- what is under way, which is looked at with all the rest and changed by nobody ---- */

static const struct hold *hold_of(const struct exchange *x, const struct limit_policy *policy) {
    for (size_t i = 0; i < x->n_holds; i++)
        if (x->holds[i].policy->key == policy->key &&
            str_eq(x->holds[i].policy->counter, policy->counter))
            return &x->holds[i];
    return NULL;
}

static bool is_hold_of_subjects(const struct limit_policy *policy) {
    return policy->kind == LIMIT_CONCURRENT &&
           (policy->key == LIMIT_KEY_SUBJECT || policy->key == LIMIT_KEY_CLAIM);
}

/* As if the subject's request met them all; as many as one request may meet. */
static void gather_holds(struct admin_call *admin) {
    struct exchange *x = admin->x;
    x->n_holds = 0;
    for (size_t i = 0; admin->usage.policy.n == 0 && i < x->settings->n_policies; i++) {
        const struct limit_policy *policy = x->settings->policies[i];
        if (is_hold_of_subjects(policy) && !hold_of(x, policy) && x->n_holds < LIMITER_CHARGES_MAX)
            x->holds[x->n_holds++] = (struct hold){.policy = policy, .key = admin->subject};
    }
}

static int put_hold(struct buffer *out, const struct limit_policy *policy,
                    const struct hold *found) {
    const struct hold hold = {.policy = policy, .in_use = found->in_use};
    const struct limit_state state = {.remaining = holds_remaining(&hold)};
    TRY(usage_put(out, policy->id, policy, &state, true));
    return buffer_printf(out, ",\"used\":%lld", (long long)hold.in_use);
}

/* ---- the answer ---- */

static int put_limit(struct buffer *out, const struct admin_call *admin,
                     const struct limit_policy *policy) {
    const struct now *now = exchange_now(admin->x);
    size_t at = counter_of(admin, policy);
    const union limit_counter *counter = &admin->usage.found[at];
    struct limit_charge nothing = admin->usage.charges[at];
    nothing.policy = policy;
    struct limit_state state = limit_counter_look(counter, &nothing, now);
    TRY(usage_put(out, policy->id, policy, &state, true));
    return buffer_printf(out, ",\"used\":%lld",
                         (long long)limit_counter_used(counter, policy, now));
}

static int put_limits(struct buffer *out, const struct admin_call *admin) {
    const struct settings *s = admin->x->settings;
    const char *comma = "";
    TRY(buffer_append(out, STR("{\"subject\":")));
    TRY(put_json_string(out, admin->subject));
    TRY(buffer_append(out, STR(",\"limits\":[")));
    for (size_t i = 0; i < s->n_policies; i++) {
        const struct limit_policy *policy = s->policies[i];
        const struct hold *hold =
            policy->kind == LIMIT_CONCURRENT ? hold_of(admin->x, policy) : NULL;
        if (!hold && !is_meant(policy, admin->usage.policy))
            continue;
        TRY(buffer_printf(out, "%s{", comma));
        TRY(hold ? put_hold(out, policy, hold) : put_limit(out, admin, policy));
        TRY(buffer_append_byte(out, '}'));
        comma = ",";
    }
    return buffer_append(out, STR("]}\n"));
}

void admin_usage_answer(struct admin_call *admin) {
    if (!holds_look(admin->x))
        return;
    if (admin->usage.act != USAGE_LOOK)
        admin_audit(admin, admin->subject);
    admin_answer(admin, put_limits(admin_body(admin), admin));
}

/* ---- in memory ---- */

static void act_in_memory(struct admin_call *admin, size_t i) {
    struct usage *usage = &admin->usage;
    struct memory_limits *limits = admin->x->parts->limits;
    const struct limit_charge *charge = &usage->charges[i];
    const struct now *now = exchange_now(admin->x);
    union limit_counter stands = memory_limits_get(limits, charge, now);
    struct limit_state state = limit_counter_look(&stands, charge, now);
    switch (usage->act) {
    case USAGE_LOOK:
        break;
    case USAGE_CHANGE:
        memory_limits_settle(limits, charge, usage->change, &state, now);
        break;
    case USAGE_RESET:
        memory_limits_put(limits, charge, &(union limit_counter){0}, now);
        break;
    }
    usage->found[i] = memory_limits_get(limits, charge, now);
}

/* ---- in Redis ---- */

static void refuse(struct admin_call *admin) {
    admin_refuse(admin->x, PROBLEM_OVERLOADED, admin->usage.act == USAGE_LOOK ? UNREAD : UNCERTAIN);
}

static void on_told(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct admin_call *admin = CONTAINER_OF(call, struct admin_call, call);
    (void)reply;
    if (verdict == REDIS_ANSWERED)
        admin_usage_answer(admin);
    else
        refuse(admin);
}

static void tell(struct admin_call *admin) {
    if (admin->usage.act == USAGE_LOOK)
        admin_usage_answer(admin);
    else if (feed_log_tell(feed_words(admin->x->parts->feed), admin->x->gateway->redis,
                           &admin->call, FEED_GRANT, admin->subject, on_told) < 0)
        refuse(admin);
}

/* Should Redis go away, this machine goes on from here. */
static void remember(struct admin_call *admin, const struct redis_usage_call *call) {
    struct usage *usage = &admin->usage;
    const struct now *now = exchange_now(admin->x);
    for (size_t i = 0; i < call->n; i++) {
        union limit_counter *found = &usage->found[usage->n_done + i];
        *found = call->found[i];
        if (call->charges[i].policy->kind == LIMIT_RATE)
            found->bucket.tat_ns += now->mono_ns;
        memory_limits_put(admin->x->parts->limits, &call->charges[i], found, now);
    }
    usage->n_done += call->n;
}

static void ask_next(struct admin_call *admin);

static void on_lot(struct redis_usage_call *call, enum redis_verdict verdict) {
    struct admin_call *admin = CONTAINER_OF(call, struct admin_call, usage.call);
    if (verdict != REDIS_ANSWERED) {
        refuse(admin);
        return;
    }
    remember(admin, call);
    ask_next(admin);
}

static void ask_next(struct admin_call *admin) {
    struct usage *usage = &admin->usage;
    const struct limit_charge *lot = usage->charges + usage->n_done;
    size_t n = 0;
    while (n < LIMITER_CHARGES_MAX && usage->n_done + n < usage->n &&
           lot[n].policy->key == lot[0].policy->key)
        n++;
    if (n == 0)
        tell(admin);
    else if (redis_usage_run(admin->x->gateway->usage, &usage->call, usage->act, lot, n,
                             usage->change, on_lot) < 0)
        refuse(admin);
}

/* ---- use ---- */

static void act(struct admin_call *admin) {
    if (!gather(admin)) {
        admin_refuse(admin->x, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    gather_holds(admin);
    if (admin->x->gateway->redis) {
        ask_next(admin);
        return;
    }
    for (size_t i = 0; i < admin->usage.n; i++)
        act_in_memory(admin, i);
    admin_usage_answer(admin);
}

static const char *read_amount(struct admin_call *admin, const struct node *root) {
    const struct settings *s = admin->x->settings;
    struct usage *usage = &admin->usage;
    struct str name = node_string(node_member(root, "policy"));
    bool is_known = false;
    for (size_t i = 0; i < s->n_policies && name.n > 0 && !is_known; i++)
        is_known = is_meant(s->policies[i], name);
    if (node_kind(root) != NODE_OBJECT || node_count(root) != 2)
        return "the body: expected one JSON object of policy and n, and nothing else";
    if (!is_known)
        return "policy: expected a rate or quota that counts by subject, by its name or id: GET "
               "/_jotgate/subjects/SUBJECT/usage shows them";
    if (!node_int(node_member(root, "n"), &usage->change) || usage->change < 1 ||
        usage->change > AMOUNT_MAX)
        return "n: expected a whole number from 1 to 1000000000";
    usage->policy = arena_copy(&admin->x->arena, name);
    return usage->policy.at ? NULL : "out of memory";
}

static void change(struct admin_call *admin, int sign) {
    char why[160];
    struct doc *doc = doc_parse(buffer_bytes(&admin->body), why);
    const char *wrong = doc ? read_amount(admin, doc_root(doc)) : admin_unreadable(admin, why);
    doc_free(doc);
    if (wrong) {
        admin_refuse(admin->x, PROBLEM_INVALID_BODY, wrong);
        return;
    }
    admin->usage.act = USAGE_CHANGE;
    admin->usage.change *= sign;
    admin_recall(admin, act);
}

void admin_grant(struct admin_call *admin) { change(admin, -1); }
void admin_charge(struct admin_call *admin) { change(admin, 1); }
void admin_usage(struct admin_call *admin) { admin_recall(admin, act); }

void admin_reset(struct admin_call *admin) {
    admin->usage.act = USAGE_RESET;
    admin_recall(admin, act);
}
