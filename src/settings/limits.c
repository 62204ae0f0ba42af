/* SPDX-License-Identifier: MIT */
/* plans and limits: every policy gets its id, by which counters are keyed, and its place among all policies. */
#include "amount.h"

#define POLICIES_MAX 512

struct policy {
    struct str name;
    struct amount amount;
    bool is_shadow;
};

/* ---- plans ---- */

struct plans_section {
    struct str claim, key, default_tier, anonymous;
    const struct branch *tiers;
};

/* clang-format off */
static const struct entry plans_entries[] = {
    {"claim",     read_string, offsetof(struct plans_section, claim),        ""},
    {"key",       read_string, offsetof(struct plans_section, key),          "subject"},
    {"default",   read_string, offsetof(struct plans_section, default_tier), "!"},
    {"anonymous", read_string, offsetof(struct plans_section, anonymous),    ""},
    {"tiers",     keep_branch, offsetof(struct plans_section, tiers),        "!"},
};
static const struct entry policy_entries[] = {
    {"name",   read_name,   offsetof(struct policy, name),      "!"},
    {"shadow", read_bool,   offsetof(struct policy, is_shadow), "false"},
    AMOUNT_ENTRIES(offsetof(struct policy, amount)),
};
/* clang-format on */

static bool read_policy(struct reader *r, const struct branch *b, struct settings *s,
                        struct str tier, struct str group, struct limit_policy *policy) {
    struct policy read = {0};
    if (!READ_SECTION(r, b, policy_entries, &read) || !read_amount(r, b, &read.amount, s, policy))
        return false;
    policy->name = read.name;
    policy->group = str_eq(group, STR("default")) ? STR_NONE : group;
    policy->is_shadow = read.is_shadow;
    policy->id = arena_printf(r->arena, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(tier),
                              STR_ARG(group), STR_ARG(read.name));
    policy->counter =
        arena_printf(r->arena, "plan/" STR_FMT "/" STR_FMT, STR_ARG(group), STR_ARG(read.name));
    return policy->id.at && policy->counter.at;
}

static bool is_new_in_group(struct reader *r, const struct branch *at,
                            const struct limit_policy *policies, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(policies[i].name, policies[n].name)) {
            reader_error(r, at, "two limits of this group are called '" STR_FMT "'",
                         STR_ARG(policies[n].name));
            return false;
        }
    return true;
}

static bool read_group(struct reader *r, const struct branch *b, struct settings *s,
                       struct str tier, struct tier_group *group) {
    size_t n = 0;
    bool is_good = true;
    if (b->kind != BRANCH_LIST) {
        reader_error(r, b, "expected a list of limits: [ { name: daily, quota: 5000/day } ]");
        return false;
    }
    struct limit_policy *policies = reader_alloc(r, tree_count(b) * sizeof(*policies));
    if (!policies || !check_name(r, b, b->key))
        return false;
    for (const struct branch *child = b->children; child; child = child->next) {
        is_good &= read_policy(r, child, s, tier, b->key, &policies[n]) &&
                   is_new_in_group(r, child, policies, n);
        n++;
    }
    *group = (struct tier_group){b->key, policies, n};
    return is_good;
}

static bool read_tier(struct reader *r, const struct branch *b, struct settings *s,
                      struct tier *tier) {
    size_t n = 0;
    bool is_good = true;
    *tier = (struct tier){.name = b->key}; /* also of a bad one: others refer to it */
    if (b->kind != BRANCH_MAP) {
        reader_error(r, b, "expected the tier's groups: { default: [ ... ] }");
        return false;
    }
    struct tier_group *groups = reader_alloc(r, tree_count(b) * sizeof(*groups));
    if (!groups || !check_name(r, b, b->key))
        return false;
    for (const struct branch *child = b->children; child; child = child->next)
        is_good &= read_group(r, child, s, b->key, &groups[n++]);
    *tier = (struct tier){b->key, groups, n};
    return is_good;
}

static bool find_tier(struct reader *r, const struct branch *at, const struct plans *plans,
                      struct str name, size_t *index) {
    for (*index = 0; *index < plans->n_tiers; ++*index)
        if (str_eq(plans->tiers[*index].name, name))
            return true;
    reader_error(r, at, "no tier is called '" STR_FMT "'", STR_ARG(str_first(name, 60)));
    return false;
}

/* The tables are still ours to write; the settings show them as const. */
static void set_keys(struct tier *tier, enum limit_key key, size_t path) {
    for (size_t g = 0; g < tier->n_groups; g++)
        for (size_t i = 0; i < tier->groups[g].n_policies; i++) {
            struct limit_policy *policy = (struct limit_policy *)&tier->groups[g].policies[i];
            policy->key = key;
            policy->claim_path = path;
        }
}

static bool read_plan_key(struct reader *r, const struct branch *b, struct str key,
                          struct settings *s) {
    struct plans *plans = &s->plans;
    if (str_eq(key, STR("subject")))
        return true;
    if (!str_starts(key, STR("claim:"))) {
        reader_error(r, tree_member(b, "key"), "'" STR_FMT "': expected subject or claim:PATH",
                     STR_ARG(str_first(key, 60)));
        return false;
    }
    plans->keyed_by_claim = true;
    return read_claim_path(r, tree_member(b, "key"), str_skip(key, 6), &s->claim_paths,
                           &plans->key_path);
}

static bool read_plans(struct reader *r, const struct branch *b, struct settings *s) {
    struct plans_section read = {0};
    struct plans *plans = &s->plans;
    size_t n = 0;
    if (!READ_SECTION(r, b, plans_entries, &read))
        return false;
    if (read.tiers->kind != BRANCH_MAP || !read.tiers->children) {
        reader_error(r, read.tiers, "expected at least one tier: { free: { default: [ ... ] } }");
        return false;
    }
    struct tier *tiers = reader_alloc(r, tree_count(read.tiers) * sizeof(*tiers));
    if (!tiers)
        return false;
    bool is_good = true;
    for (const struct branch *child = read.tiers->children; child; child = child->next)
        is_good &= read_tier(r, child, s, &tiers[n++]);
    plans->tiers = tiers;
    plans->n_tiers = n;
    plans->anonymous_tier = SIZE_MAX;
    plans->has_claim = read.claim.n > 0;
    is_good &=
        find_tier(r, tree_member(b, "default"), plans, read.default_tier, &plans->default_tier);
    if (read.anonymous.n > 0)
        is_good &= find_tier(r, tree_member(b, "anonymous"), plans, read.anonymous,
                             &plans->anonymous_tier);
    if (plans->has_claim)
        is_good &= read_claim_path(r, tree_member(b, "claim"), read.claim, &s->claim_paths,
                                   &plans->claim_path);
    is_good &= read_plan_key(r, b, read.key, s);
    for (size_t i = 0; is_good && i < n; i++)
        set_keys(&tiers[i],
                 i == plans->anonymous_tier ? LIMIT_KEY_IP
                 : plans->keyed_by_claim    ? LIMIT_KEY_CLAIM
                                            : LIMIT_KEY_SUBJECT,
                 plans->key_path);
    return is_good;
}

/* Without plans: one tier whose one limit is LIMIT_PER_USER. */
static bool make_default_plans(struct reader *r, struct settings *s) {
    struct branch rate = {.key = STR("LIMIT_PER_USER"),
                          .text = STR("${LIMIT_PER_USER:-1200/minute}")};
    struct tier *tier = reader_alloc(r, sizeof(*tier));
    struct tier_group *group = reader_alloc(r, sizeof(*group));
    struct limit_policy *policy = reader_alloc(r, sizeof(*policy));
    if (!tier || !group || !policy || !read_rate(r, &rate, NULL, &policy->rate))
        return false;
    policy->name = STR("per_user");
    policy->id = STR("default/default/per_user");
    policy->counter = STR("plan/default/per_user");
    policy->key = LIMIT_KEY_SUBJECT;
    *group = (struct tier_group){STR("default"), policy, 1};
    *tier = (struct tier){STR("default"), group, 1};
    s->plans = (struct plans){.tiers = tier, .n_tiers = 1, .anonymous_tier = SIZE_MAX};
    return true;
}

/* ---- limits ---- */

struct limit {
    struct str key;
    struct amount amount;
    int applies_to;
    struct cidrs except;
    bool is_shadow;
};

static bool read_for(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"anonymous", "everyone"};
    return read_choice(r, b, names, 2, target);
}

/* clang-format off */
static const struct entry limit_entries[] = {
    {"key",    read_string, offsetof(struct limit, key),        "!"},
    {"for",    read_for,    offsetof(struct limit, applies_to), "everyone"},
    {"except", read_cidrs_or_none, offsetof(struct limit, except), NULL},
    {"shadow", read_bool,   offsetof(struct limit, is_shadow),  "false"},
    AMOUNT_ENTRIES(offsetof(struct limit, amount)),
};
/* clang-format on */

static bool read_limit_key(struct reader *r, const struct branch *b, struct str key,
                           struct settings *s, struct limit_policy *policy) {
    static const enum limit_key plain[] = {LIMIT_KEY_SUBJECT, LIMIT_KEY_IP, LIMIT_KEY_APIKEY,
                                           LIMIT_KEY_GLOBAL};
    const struct branch *at = tree_member(b, "key");
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (str_eq(key, str_of(limit_key_name(plain[i])))) {
            policy->key = plain[i];
            return true;
        }
    if (str_starts(key, STR("claim:"))) {
        policy->key = LIMIT_KEY_CLAIM;
        return read_claim_path(r, at, str_skip(key, 6), &s->claim_paths, &policy->claim_path);
    }
    if (str_starts(key, STR("header:"))) {
        policy->key = LIMIT_KEY_HEADER;
        return read_header_name(r, at, str_skip(key, 7), &policy->header);
    }
    reader_error(r, at,
                 "'" STR_FMT "': expected ip, subject, apikey, claim:PATH, header:NAME or global",
                 STR_ARG(str_first(key, 60)));
    return false;
}

static bool read_limit(struct reader *r, const struct branch *b, struct settings *s,
                       struct named_limit *limit) {
    struct limit read = {0};
    if (str_eq(b->key, STR("plan")) || str_starts(b->key, STR("plan."))) {
        reader_error(r, b, "in a route's limits this name means the caller's plan; take another");
        return false;
    }
    if (!check_name(r, b, b->key) || !READ_SECTION(r, b, limit_entries, &read) ||
        !read_limit_key(r, b, read.key, s, &limit->policy) ||
        !read_amount(r, b, &read.amount, s, &limit->policy))
        return false;
    limit->name = limit->policy.name = limit->policy.id = limit->policy.counter = b->key;
    limit->policy.is_shadow = read.is_shadow;
    limit->applies_to = (enum limit_for)read.applies_to;
    limit->except = read.except.list;
    limit->n_except = read.except.n;
    return true;
}

static bool make_default_limit(struct reader *r, const char *name, const char *rate_text,
                               size_t burst, struct named_limit *limit) {
    struct branch rate = {.key = str_of(name), .text = str_of(rate_text)};
    *limit = (struct named_limit){.name = str_of(name)};
    limit->policy.name = limit->policy.id = limit->policy.counter = str_of(name);
    limit->policy.key = LIMIT_KEY_IP;
    if (!read_rate(r, &rate, NULL, &limit->policy.rate))
        return false;
    if (burst)
        limit->policy.rate.burst = (int64_t)burst;
    return true;
}

static bool read_named(struct reader *r, const struct branch *map, struct settings *s) {
    bool has_per_ip = tree_member(map, "per_ip"), is_good = true;
    size_t n = 0;
    if (map && map->kind != BRANCH_MAP) {
        reader_error(r, map, "expected limits by name: { per_ip: { key: ip, rate: 600/minute } }");
        return false;
    }
    struct named_limit *limits =
        reader_alloc(r, ((map ? tree_count(map) : 0) + 1) * sizeof(*limits));
    if (!limits || !make_default_limit(r, "auth_refresh", "1800/minute", 600, &s->refresh_limit))
        return false;
    s->refresh_limit.applies_to = LIMIT_FOR_EVERYONE;
    if (!has_per_ip) {
        is_good = make_default_limit(r, "per_ip", "${LIMIT_PER_IP:-600/minute}", 0, &limits[n]);
        limits[n++].applies_to = LIMIT_FOR_ANONYMOUS;
    }
    for (const struct branch *b = map ? map->children : NULL; b; b = b->next) {
        bool is_refresh = str_eq(b->key, STR("auth_refresh"));
        is_good &= read_limit(r, b, s, is_refresh ? &s->refresh_limit : &limits[n]);
        n += !is_refresh;
    }
    s->limits = limits;
    s->n_limits = n;
    return is_good;
}

/* ---- failures ---- */

/* Like a limit, but for what it counts. */
static bool read_auth_failures(struct reader *r, const struct branch *b, struct settings *s) {
    /* clang-format off */
    static const struct entry entries[] = {
        {"rate",  keep_branch, 0, "!"},
        {"burst", keep_branch, sizeof(const struct branch *), NULL},
    };
    /* clang-format on */
    struct named_limit limit;
    const struct branch *read[2] = {NULL, NULL};
    bool is_good = make_default_limit(r, "auth_failures", "600/minute", 300, &limit) &&
                   (!b || (READ_SECTION(r, b, entries, read) &&
                           read_rate(r, read[0], read[1], &limit.policy.rate)));
    s->auth_failures = limit.policy;
    s->auth_failures.id = s->auth_failures.counter = STR("auth/failures"); /* no limit's name */
    return is_good;
}

/* ---- all of them ---- */

static void add_policy(struct settings *s, const struct limit_policy **all,
                       struct limit_policy *policy) {
    if (s->limits_mode == LIMITS_SHADOW)
        policy->is_shadow = true;
    policy->index = s->n_policies;
    if (s->n_policies < POLICIES_MAX)
        all[s->n_policies] = policy;
    s->n_policies++;
}

static bool number_policies(struct reader *r, const struct branch *root, struct settings *s) {
    const struct limit_policy **all = reader_alloc(r, POLICIES_MAX * sizeof(*all));
    if (!all)
        return false;
    for (size_t t = 0; t < s->plans.n_tiers; t++)
        for (size_t g = 0; g < s->plans.tiers[t].n_groups; g++)
            for (size_t i = 0; i < s->plans.tiers[t].groups[g].n_policies; i++)
                add_policy(s, all, (struct limit_policy *)&s->plans.tiers[t].groups[g].policies[i]);
    for (size_t i = 0; i < s->n_limits; i++)
        add_policy(s, all, (struct limit_policy *)&s->limits[i].policy);
    add_policy(s, all, &s->refresh_limit.policy);
    add_policy(s, all, &s->auth_failures);
    s->policies = all;
    if (s->n_policies <= POLICIES_MAX)
        return true;
    reader_error(r, root, "more than %d limits in plans and limits together", POLICIES_MAX);
    return false;
}

bool read_limits(struct reader *r, const struct branch *root, struct settings *s) {
    const struct branch *plans = tree_member(root, "plans");
    bool is_good = plans ? read_plans(r, plans, s) : make_default_plans(r, s);
    is_good &= read_named(r, tree_member(root, "limits"), s);
    is_good &= read_auth_failures(r, tree_member(root, "auth_failures"), s);
    return is_good && number_policies(r, root, s);
}
