/* SPDX-License-Identifier: MIT */
/* What the settings came to, written as the file that would say it: what `jotgate check` shows and what two ways of
 * saying the same thing can be compared by. Secrets are masked, whatever their length; routes follow as comments, for
 * most of them are built in. */
#include "settings/settings.h"

#include "base/log.h"
#include "put.h"
#include <assert.h>
#include <errno.h>

/* ---- plain settings: a table ---- */

enum kind {
    SECTION,
    TEXT,
    URL,
    SECRET,
    DURATION,
    SECONDS,
    MILLISECONDS,
    SIZE,
    SIZE32,
    COUNT,
    COUNT32,
    YES_OR_NO,
    PERCENT
};
struct row {
    const char *name;
    enum kind kind;
    size_t offset;
};

/* clang-format off */
#define AT(member) offsetof(struct settings, member)
static const struct row rows[] = {
    {"listen",                       TEXT,         AT(listen)},
    {"admin",                        TEXT,         AT(admin)},
    {"drain",                        SECTION,      0},
    {"  delay",                      DURATION,     AT(drain_delay_ns)},
    {"  timeout",                    DURATION,     AT(drain_timeout_ns)},
    {"http",                         SECTION,      0},
    {"  max_request_line",           SIZE32,       AT(http.max_request_line)},
    {"  max_head",                   SIZE32,       AT(http.max_head)},
    {"  max_fields",                 COUNT32,      AT(http.max_fields)},
    {"  head_timeout",               DURATION,     AT(http.head_timeout_ns)},
    {"  body_timeout",               DURATION,     AT(http.body_timeout_ns)},
    {"  min_body_rate",              SIZE,         AT(http.min_body_rate)},
    {"  request_timeout",            DURATION,     AT(http.request_timeout_ns)},
    {"  idle_timeout",               DURATION,     AT(http.idle_timeout_ns)},
    {"  write_timeout",              DURATION,     AT(http.write_timeout_ns)},
    {"  max_connections",            COUNT32,      AT(http.max_connections)},
    {"  max_connections_per_ip",     COUNT32,      AT(http.max_connections_per_ip)},
    {"  max_requests",               COUNT32,      AT(http.max_requests)},
    {"  max_requests_per_ip",        COUNT32,      AT(http.max_requests_per_ip)},
    {"upstream",                     SECTION,      0},
    {"  max_idle",                   COUNT32,      AT(upstream_max_idle)},
    {"  max_open",                   COUNT32,      AT(upstream_max_open)},
    {"  idle_timeout",               DURATION,     AT(upstream_idle_ns)},
    {"  max_queue",                  COUNT32,      AT(upstream_max_queue)},
    {"  queue_timeout",              DURATION,     AT(upstream_queue_ns)},
    {"  eject",                      SECTION,      0},
    {"    failures",                 COUNT32,      AT(upstream_eject_failures)},
    {"    for",                      DURATION,     AT(upstream_eject_ns)},
    {"websockets",                   SECTION,      0},
    {"  max_per_ip",                 COUNT32,      AT(websockets.max_per_ip)},
    {"  max_per_subject",            COUNT32,      AT(websockets.max_per_subject)},
    {"close_streams_at_expiry",      YES_OR_NO,    AT(close_streams_at_expiry)},
    {"tokens",                       SECTION,      0},
    {"  cache_entries",              COUNT,        AT(token_cache_entries)},
    {"  cache_size",                 SIZE,         AT(token_cache_bytes)},
    {"  check_share",                PERCENT,      AT(check_share)},
    {"  check_queue",                COUNT,        AT(check_queue)},
    {"apikeys",                      SECTION,      0},
    {"  cache_entries",              COUNT,        AT(api_key_entries)},
    {"  max_stale",                  DURATION,     AT(api_key_max_stale_ns)},
    {"jwks",                         SECTION,      0},
    {"  refresh",                    SECONDS,      AT(jwks_refresh_s)},
    {"  max_stale",                  SECONDS,      AT(jwks_max_stale_s)},
    {"  cooldown",                   SECONDS,      AT(jwks_cooldown_s)},
    {"  timeout",                    MILLISECONDS, AT(jwks_timeout_ms)},
    {"limit_buckets",                COUNT,        AT(limit_buckets)},
    {"deny_list",                    SECTION,      0},
    {"  max",                        COUNT,        AT(deny_list.most)},
    {"  keep",                       SECONDS,      AT(deny_list.keep_s)},
    {"subjects",                     SECTION,      0},
    {"  max",                        COUNT,        AT(most_records)},
    {"supabase",                     SECTION,      0},
    {"  url",                        URL,          AT(supabase_url)},
    {"  region",                     TEXT,         AT(supabase_region)},
    {"  publishable_key",            SECRET,       AT(project.publishable)},
    {"  anon_key",                   SECRET,       AT(project.anon)},
    {"  secret_key",                 SECRET,       AT(project.secret)},
    {"  service_role_key",           SECRET,       AT(project.service_role)},
    {"  signing_key",                SECRET,       AT(signing_key)},
};
/* clang-format on */

static int put_value(struct buffer *out, enum kind kind, const void *at) {
    switch (kind) {
    case SECTION:
        return 0;
    case TEXT:
        return put_text(out, *(const struct str *)at);
    case URL:
        return put_url(out, *(const struct str *)at);
    case SECRET:
        return put_secret(out);
    case DURATION:
        return put_duration(out, *(const int64_t *)at);
    case SECONDS:
        return put_duration(out, *(const int64_t *)at * NS_PER_S);
    case MILLISECONDS:
        return put_duration(out, *(const int64_t *)at * NS_PER_MS);
    case SIZE:
        return put_size(out, *(const size_t *)at);
    case SIZE32:
        return put_size(out, *(const uint32_t *)at);
    case COUNT:
        return buffer_append_u64(out, *(const size_t *)at);
    case COUNT32:
        return buffer_append_u64(out, *(const uint32_t *)at);
    case YES_OR_NO:
        return buffer_append(out, *(const bool *)at ? STR("true") : STR("false"));
    case PERCENT:
        return buffer_printf(out, "%u%%", *(const uint32_t *)at);
    }
    return -EINVAL;
}

static int print_plain(const struct settings *s, struct buffer *out) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const void *value = (const char *)s + rows[i].offset;
        if (rows[i].kind == SECRET && ((const struct str *)value)->n == 0)
            continue; /* written but empty would be refused */
        TRY(buffer_printf(out, "%s:%s", rows[i].name, rows[i].kind == SECTION ? "" : " "));
        TRY(put_value(out, rows[i].kind, value));
        TRY(buffer_append(out, STR("\n")));
    }
    return 0;
}

/* ---- settings with a shape of their own ---- */

static int print_choices(const struct settings *s, struct buffer *out) {
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const formats[] = {"auto", "json", "text"};
    static const char *const modes[] = {"enforce", "shadow", "off"};
    assert(s->log_level >= LEVEL_ERROR && s->log_level <= LEVEL_DEBUG);
    assert(s->log_format >= LOG_AUTO && s->log_format <= LOG_TEXT);
    TRY(buffer_append(out, STR("workers: ")));
    TRY(s->n_workers ? buffer_append_u64(out, s->n_workers) : buffer_append(out, STR("auto")));
    TRY(buffer_printf(out, "\nlog: { level: %s, format: %s }\n", levels[s->log_level],
                      formats[s->log_format]));
    return buffer_printf(out, "limits_mode: %s\n", modes[s->limits_mode]);
}

const char *apikey_mode_name(enum apikey_mode mode) {
    static const char *const names[] = {"keep", "fill", "replace"};
    return names[mode];
}

static int print_tls(const struct settings *s, struct buffer *out) {
    if (s->n_tls == 0)
        return buffer_append(out, STR("tls: []\n"));
    TRY(buffer_append(out, STR("tls:\n")));
    for (size_t i = 0; i < s->n_tls; i++) {
        TRY(buffer_append(out, STR("  - { certificate: ")));
        TRY(put_text(out, s->tls[i].certificate));
        TRY(buffer_append(out, STR(", key: ")));
        TRY(put_text(out, s->tls[i].key));
        TRY(buffer_append(out, STR(" }\n")));
    }
    return 0;
}

/* Ends the section `supabase`, which the table's last rows opened. */
static int print_access(const struct settings *s, struct buffer *out) {
    const struct access_rules *access = &s->access;
    TRY(buffer_printf(out,
                      "  apikey: %s\n  service_callers: ", apikey_mode_name(s->apikey_default)));
    if (access->n_service_networks > 0)
        TRY(put_networks(out, access->service_networks, access->n_service_networks));
    else
        TRY(buffer_append(out, access->allows_service ? STR("allow") : STR("refuse")));
    return buffer_append(out, STR("\n"));
}

static int print_algorithms(struct buffer *out, unsigned set) {
    const char *comma = "";
    TRY(buffer_append(out, STR("    algorithms: [")));
    for (int i = 0; i < ALGORITHM_COUNT; i++)
        if (set & ALGORITHM_BIT(i)) {
            TRY(buffer_printf(out, "%s%s", comma, algorithm_name((enum algorithm)i)));
            comma = ", ";
        }
    return buffer_append(out, STR("]\n"));
}

static int print_source(const struct issuer_source *source, struct buffer *out) {
    if (source->discovery_url.n > 0)
        TRY(buffer_append(out, STR("    discovery: true\n")));
    if (source->jwks_url.n > 0) {
        TRY(buffer_append(out, STR("    jwks_url: ")));
        TRY(put_url(out, source->jwks_url));
        TRY(buffer_append(out, STR("\n")));
    }
    if (source->jwks_file.n > 0) {
        TRY(buffer_append(out, STR("    jwks_file: ")));
        TRY(put_text(out, source->jwks_file));
        TRY(buffer_append(out, STR("\n")));
    }
    if (source->hs256_secret.n == 0)
        return 0;
    TRY(buffer_append(out, STR("    hs256_secret: ")));
    TRY(put_secret(out));
    return buffer_append(out, STR("\n"));
}

static int print_issuer(const struct settings *s, size_t i, struct buffer *out) {
    const struct issuer_rule *rule = &s->tokens.issuers[i];
    TRY(buffer_append(out, STR("  - name: ")));
    TRY(put_text(out, rule->name));
    TRY(buffer_append(out, STR("\n    issuer: ")));
    TRY(rule->n_issuers ? put_list(out, rule->issuers, rule->n_issuers)
                        : buffer_append(out, STR("auto")));
    TRY(buffer_append(out, STR("\n")));
    TRY(print_source(&s->sources[i], out));
    TRY(buffer_append(out, STR("    audience: ")));
    TRY(put_list(out, rule->audiences, rule->n_audiences));
    TRY(buffer_append(out, STR("\n")));
    TRY(print_algorithms(out, rule->algorithms));
    TRY(buffer_append(out, STR("    leeway: ")));
    TRY(put_duration(out, rule->leeway_s * NS_PER_S));
    TRY(buffer_append(out, STR("\n    require: ")));
    TRY(put_rules(out, s, rule->require, rule->n_require));
    return buffer_append(out, STR("\n"));
}

static int print_issuers(const struct settings *s, struct buffer *out) {
    TRY(buffer_append(out, STR("issuers:\n")));
    for (size_t i = 0; i < s->tokens.n_issuers; i++)
        TRY(print_issuer(s, i, out));
    return 0;
}

static int print_group(const struct settings *s, const struct tier_group *group,
                       struct buffer *out) {
    TRY(buffer_append(out, STR("      ")));
    TRY(put_text(out, group->name));
    TRY(buffer_append(out, group->n_policies ? STR(":\n") : STR(": []\n")));
    for (size_t i = 0; i < group->n_policies; i++) {
        const struct limit_policy *policy = &group->policies[i];
        bool is_own_shadow = policy->is_shadow && s->limits_mode != LIMITS_SHADOW;
        TRY(buffer_append(out, STR("        - { name: ")));
        TRY(put_text(out, policy->name));
        TRY(buffer_append(out, STR(", ")));
        TRY(put_amount(out, policy));
        TRY(buffer_append(out, is_own_shadow ? STR(", shadow: true }\n") : STR(" }\n")));
    }
    return 0;
}

static int print_tier(const struct settings *s, const struct tier *tier, struct buffer *out) {
    TRY(buffer_append(out, STR("    ")));
    TRY(put_text(out, tier->name));
    TRY(buffer_append(out, tier->n_groups ? STR(":\n") : STR(": {}\n")));
    for (size_t i = 0; i < tier->n_groups; i++)
        TRY(print_group(s, &tier->groups[i], out));
    return 0;
}

static int print_plans(const struct settings *s, struct buffer *out) {
    const struct plans *plans = &s->plans;
    if (plans->n_tiers == 0)
        return 0;
    TRY(buffer_append(out, STR("plans:\n")));
    if (plans->has_claim) {
        TRY(buffer_append(out, STR("  claim: ")));
        TRY(put_claim(out, s, plans->claim_path));
        TRY(buffer_append(out, STR("\n")));
    }
    TRY(buffer_append(out, STR("  key: ")));
    if (plans->keyed_by_claim) {
        TRY(buffer_append(out, STR("claim:")));
        TRY(put_claim(out, s, plans->key_path));
    } else {
        TRY(buffer_append(out, STR("subject")));
    }
    TRY(buffer_append(out, STR("\n  default: ")));
    TRY(put_text(out, plans->tiers[plans->default_tier].name));
    if (plans->anonymous_tier != SIZE_MAX) {
        TRY(buffer_append(out, STR("\n  anonymous: ")));
        TRY(put_text(out, plans->tiers[plans->anonymous_tier].name));
    }
    TRY(buffer_append(out, STR("\n  tiers:\n")));
    for (size_t i = 0; i < plans->n_tiers; i++)
        TRY(print_tier(s, &plans->tiers[i], out));
    return 0;
}

static int print_payment(const struct settings *s, struct buffer *out) {
    const struct payment *payment = &s->payment;
    if (!payment->has_claim)
        return 0;
    TRY(buffer_append(out, STR("payment: { claim: ")));
    TRY(put_claim(out, s, payment->claim_path));
    TRY(buffer_append(out, STR(", downgrade: ")));
    TRY(put_list(out, payment->downgrade, payment->n_downgrade));
    TRY(buffer_append(out, STR(", refuse: ")));
    TRY(put_list(out, payment->refuse, payment->n_refuse));
    return buffer_append(out, STR(" }\n"));
}

static int print_limit(const struct settings *s, const struct named_limit *limit,
                       struct buffer *out) {
    const struct limit_policy *policy = &limit->policy;
    TRY(buffer_append(out, STR("  ")));
    TRY(put_text(out, limit->name));
    TRY(buffer_printf(out, ": { key: %s", limit_key_name(policy->key)));
    if (policy->key == LIMIT_KEY_CLAIM) {
        TRY(buffer_append(out, STR(":")));
        TRY(put_claim(out, s, policy->claim_path));
    } else if (policy->key == LIMIT_KEY_HEADER) {
        TRY(buffer_printf(out, ":" STR_FMT, STR_ARG(policy->header)));
    }
    TRY(buffer_append(out, STR(", ")));
    TRY(put_amount(out, policy));
    TRY(buffer_append(out, limit->applies_to == LIMIT_FOR_EVERYONE ? STR(", for: everyone")
                                                                   : STR(", for: anonymous")));
    if (limit->n_except > 0) {
        TRY(buffer_append(out, STR(", except: ")));
        TRY(put_networks(out, limit->except, limit->n_except));
    }
    bool is_own_shadow = policy->is_shadow && s->limits_mode != LIMITS_SHADOW;
    return buffer_append(out, is_own_shadow ? STR(", shadow: true }\n") : STR(" }\n"));
}

static int print_limits(const struct settings *s, struct buffer *out) {
    TRY(buffer_append(out, STR("limits:\n")));
    for (size_t i = 0; i < s->n_limits; i++)
        TRY(print_limit(s, &s->limits[i], out));
    TRY(print_limit(s, &s->refresh_limit, out));
    TRY(buffer_append(out, STR("auth_failures: { ")));
    TRY(put_amount(out, &s->auth_failures));
    return buffer_append(out, STR(" }\n"));
}

static int print_redis(const struct settings *s, struct buffer *out) {
    static const char *const modes[] = {"leased", "exact"};
    static const char *const choices[] = {"share", "open", "closed"};
    const struct redis_settings *redis = &s->redis;
    TRY(buffer_append(out, STR("redis:\n  url: ")));
    TRY(put_login_url(out, redis->url));
    if (redis->target.ca_file.n > 0) {
        TRY(buffer_append(out, STR("\n  ca_file: ")));
        TRY(put_text(out, redis->target.ca_file));
    }
    TRY(buffer_append(out, STR("\n  prefix: ")));
    TRY(put_text(out, redis->prefix));
    TRY(buffer_printf(out, "\n  mode: %s\n  on_failure: %s\n  timeout: ", modes[redis->mode],
                      choices[redis->on_failure]));
    TRY(put_duration(out, redis->timeout_ns));
    return buffer_printf(out, "\n  expected_machines: %zu\n", redis->expected_machines);
}

static int print_trust(const struct settings *s, struct buffer *out) {
    const struct trust *trust = &s->trust;
    TRY(buffer_append(out, STR("trust: { client_ip: ")));
    switch (trust->kind) {
    case TRUST_PEER:
        return buffer_append(out, STR("peer }\n"));
    case TRUST_FLY:
        return buffer_append(out, STR("fly }\n"));
    case TRUST_FORWARDED_FOR:
        return buffer_printf(out, "{ x-forwarded-for: %zu } }\n", trust->hops);
    case TRUST_HEADER:
        TRY(buffer_append(out, STR("{ header: ")));
        TRY(put_text(out, trust->header));
        TRY(buffer_append(out, STR(", from: ")));
        TRY(put_networks(out, trust->from, trust->n_from));
        return buffer_append(out, STR(" } }\n"));
    }
    return -EINVAL;
}

static int print_cors(const struct settings *s, struct buffer *out) {
    TRY(buffer_append(out, STR("cors: { origins: ")));
    if (s->cors_allows_all)
        TRY(buffer_append(out, STR("\"*\"")));
    else
        TRY(put_list(out, s->cors_origins, s->n_cors_origins));
    return buffer_append(out, STR(" }\n"));
}

int settings_print(const struct settings *s, struct buffer *out) {
    static int (*const sections[])(const struct settings *, struct buffer *) = {
        print_choices, print_tls,    print_plain, print_access, print_issuers, print_plans,
        print_payment, print_limits, print_redis, print_trust,  print_cors,    print_routes,
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        TRY(sections[i](s, out));
    return 0;
}
