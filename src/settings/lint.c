/* SPDX-License-Identifier: MIT */
/* What may be said but is probably not meant. Each check looks for one kind of mistake and says what it costs and what to
 * write instead; a check that good settings would meet has no place here. */
#include "settings/settings.h"

#include "settings/units.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_ROUTES 3

struct lint {
    const struct settings *s;
    settings_report *report;
    void *arg;
    size_t n_findings;
};

static void find(struct lint *lint, const char *format, ...) PRINTF(2, 3);
static void find(struct lint *lint, const char *format, ...) {
    char message[768], line[1024];
    struct str file = lint->s->file.n ? lint->s->file : STR("environment");
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    snprintf(line, sizeof(line), STR_FMT ": %s", STR_ARG(str_first(file, 200)), message);
    for (char *c = line; *c; c++) /* one finding, one line */
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    lint->n_findings++;
    if (lint->report)
        lint->report(lint->arg, line);
}

/* ---- where tokens and metrics go ---- */

/* Names that only lead to this machine, its containers or its private network. */
static bool is_near(struct str host) {
    static const struct str ends[] = {{".internal", 9}, {".localhost", 10}, {".local", 6},
                                      {".flycast", 8},  {".svc", 4},        {".lan", 4}};
    struct ip ip;
    if (ip_parse(host, &ip))
        return ip_is_private(&ip);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (str_ends(host, ends[i]))
            return true;
    return str_index(host, '.') == host.n; /* "localhost", a container's name */
}

static bool is_told_before(const struct settings *s, size_t index) {
    const struct origin *origin = s->routes[index].upstream;
    for (size_t i = 0; i < index; i++)
        if (!s->routes[i].is_denied && !s->routes[i].upstream->is_tls &&
            str_eq(s->routes[i].upstream->host_header, origin->host_header))
            return true;
    return false;
}

static void check_upstreams(struct lint *lint) {
    const struct settings *s = lint->s;
    for (size_t i = 0; i < s->n_routes; i++) {
        const struct origin *origin = s->routes[i].upstream;
        if (s->routes[i].is_denied || origin->is_tls || origin->port == 0 ||
            is_near(origin->host) || is_told_before(s, i))
            continue;
        find(lint,
             "callers' tokens travel to http://" STR_FMT
             " in the clear; write https:// (route " STR_FMT ")",
             STR_ARG(str_first(origin->host_header, 200)),
             STR_ARG(str_first(s->routes[i].label, 100)));
    }
}

static void check_admin(struct lint *lint) {
    static const struct ip any_v6;
    struct str host = lint->s->admin;
    struct ip ip, any_v4;
    size_t colon = host.n;
    if (host.n == 0 || str_starts(host, STR("unix:")))
        return;
    while (colon > 0 && host.at[colon - 1] != ':')
        colon--;
    host = str_first(host, colon ? colon - 1 : 0);
    if (host.n > 2 && host.at[0] == '[')
        host = (struct str){host.at + 1, host.n - 2};
    bool is_any = host.n == 0 || !ip_parse(host, &ip) || !ip_parse(STR("0.0.0.0"), &any_v4) ||
                  memcmp(&ip, &any_v4, sizeof(ip)) == 0 || memcmp(&ip, &any_v6, sizeof(ip)) == 0;
    /* A machine on Fly.io has no public address of its own: what reaches it comes through a service of fly.toml. */
    if (is_any ? lint->s->trust.kind != TRUST_FLY : !ip_is_private(&ip))
        find(lint,
             "admin: " STR_FMT
             " is reachable from %s, and asks nobody who they are; write 127.0.0.1 or "
             "a private address",
             STR_ARG(str_first(lint->s->admin, 100)),
             is_any ? "every network of this machine" : "outside");
}

/* ---- whose tokens count ---- */

static struct str host_of(struct str url) {
    size_t i = 0;
    while (i + 3 <= url.n && !str_starts(str_skip(url, i), STR("://")))
        i++;
    struct str rest = i + 3 <= url.n ? str_skip(url, i + 3) : url;
    rest = str_first(rest, str_index(rest, '/'));
    if (rest.n > 0 && rest.at[0] == '[')
        return str_first(str_skip(rest, 1), str_index(rest, ']') - 1);
    return str_first(rest, str_index(rest, ':'));
}

static void check_keys(struct lint *lint, const struct issuer_rule *rule,
                       const struct issuer_source *source) {
    struct str name = str_first(rule->name, 100), url = source->jwks_url;
    if (source->discovery_url.n > 0)
        url = source->discovery_url;
    if (url.n == 0 && source->jwks_file.n == 0 && source->hs256_secret.n == 0)
        find(lint,
             "issuer " STR_FMT
             ": has no keys, so none of its tokens can be valid; give it jwks_url, "
             "jwks_file, discovery or hs256_secret",
             STR_ARG(name));
    if ((rule->algorithms & ALGORITHMS_HMAC) && source->hs256_secret.n == 0)
        find(lint,
             "issuer " STR_FMT ": its algorithms name HS256, HS384 or HS512, but there is no "
             "hs256_secret to check them with",
             STR_ARG(name));
    bool is_project = str_eq(host_of(url), lint->s->supabase.host); /* told as an upstream */
    if (str_starts(url, STR("http://")) && !is_project && !is_near(host_of(url)))
        find(lint,
             "issuer " STR_FMT
             ": its keys are fetched over http://, so whoever is on the way can make "
             "their own; write https://",
             STR_ARG(name));
}

/* Two rules for one iss: the first is taken, always. */
static void check_twins(struct lint *lint, size_t index) {
    const struct token_rules *tokens = &lint->s->tokens;
    const struct issuer_rule *rule = &tokens->issuers[index];
    for (size_t i = 0; i < index; i++)
        for (size_t a = 0; a < tokens->issuers[i].n_issuers; a++)
            for (size_t b = 0; b < rule->n_issuers; b++)
                if (str_eq(tokens->issuers[i].issuers[a], rule->issuers[b]))
                    find(lint,
                         "issuer " STR_FMT ": '" STR_FMT "' is also an issuer of " STR_FMT
                         ", whose rules are taken",
                         STR_ARG(str_first(rule->name, 100)),
                         STR_ARG(str_first(rule->issuers[b], 200)),
                         STR_ARG(str_first(tokens->issuers[i].name, 100)));
}

static void check_issuers(struct lint *lint) {
    const struct token_rules *tokens = &lint->s->tokens;
    for (size_t i = 0; i < tokens->n_issuers; i++) {
        const struct issuer_rule *rule = &tokens->issuers[i];
        check_keys(lint, rule, &lint->s->sources[i]);
        check_twins(lint, i);
        if (rule->n_audiences == 0)
            find(lint,
                 "issuer " STR_FMT ": without an audience, tokens that it made for other services "
                 "count here too; write audience: [authenticated]",
                 STR_ARG(str_first(rule->name, 100)));
        if (rule->leeway_s > 300)
            find(lint,
                 "issuer " STR_FMT ": tokens count for %lld s after they have expired (leeway)",
                 STR_ARG(str_first(rule->name, 100)), (long long)rule->leeway_s);
    }
}

static void check_jwks(struct lint *lint) {
    const struct settings *s = lint->s;
    if (s->jwks_refresh_s > s->jwks_max_stale_s)
        find(
            lint,
            "jwks: keys are stale after %lld s but only read again after %lld s; write a max_stale "
            "above refresh",
            (long long)s->jwks_max_stale_s, (long long)s->jwks_refresh_s);
}

/* ---- who may do more than others ---- */

static bool is_everywhere(const struct cidr *networks, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (networks[i].bits == 0 || (ip_is_v4(&networks[i].network) && networks[i].bits == 96))
            return true;
    return false;
}

static void check_trust(struct lint *lint) {
    const struct access_rules *access = &lint->s->access;
    const struct trust *trust = &lint->s->trust;
    bool is_open = access->n_service_networks == 0 ||
                   is_everywhere(access->service_networks, access->n_service_networks);
    if (access->allows_service && is_open)
        find(lint,
             "supabase.service_callers: whoever has the service_role key may use it from anywhere; "
             "name the networks: [10.0.0.0/8]");
    if (trust->kind == TRUST_HEADER && is_everywhere(trust->from, trust->n_from))
        find(lint,
             "trust.client_ip: anybody may say in " STR_FMT
             " who they are; write the proxy's own networks in 'from'",
             STR_ARG(str_first(trust->header, 100)));
    for (size_t i = 0; i < lint->s->n_limits; i++)
        if (is_everywhere(lint->s->limits[i].except, lint->s->limits[i].n_except))
            find(lint, "limits." STR_FMT ": everybody is excepted",
                 STR_ARG(str_first(lint->s->limits[i].name, 100)));
}

static void check_project_keys(struct lint *lint) {
    const struct project_keys *keys = &lint->s->project;
    if (str_starts(keys->secret, STR("sb_publishable_")))
        find(lint, "supabase.secret_key: this is a publishable key");
    if (lint->s->apikey_default == APIKEY_REPLACE && keys->publishable.n == 0)
        find(lint, "supabase.apikey: there is no publishable_key to replace others with");
}

static void check_api_keys(struct lint *lint) {
    const struct settings *s = lint->s;
    for (size_t i = 0; i < s->n_routes && s->redis.url.n == 0; i++)
        if (!s->routes[i].is_denied && s->routes[i].access == ACCESS_APIKEY)
            find(lint,
                 "route " STR_FMT ": API keys are kept in Redis, and there is none; set redis.url "
                 "(REDIS_URL)",
                 STR_ARG(str_first(s->routes[i].label, 100)));
}

/* ---- limits ---- */

/* A kind of caller, as limits see them. */
struct crowd {
    const struct tier *tier; /* NULL: no tier's limits meet them */
    bool is_anonymous;
};

static bool tier_limits(const struct tier *tier, struct str group) {
    for (size_t i = 0; tier && i < tier->n_groups; i++)
        if (str_eq(tier->groups[i].name, group) && tier->groups[i].n_policies > 0)
            return true;
    return false;
}

static bool is_met(const struct settings *s, const struct route *route, const struct crowd *crowd) {
    for (size_t i = 0; i < route->n_limits; i++) {
        const struct route_limit *limit = &route->limits[i];
        if (limit->is_plan
                ? tier_limits(crowd->tier, limit->group)
                : crowd->is_anonymous || s->limits[limit->named].applies_to == LIMIT_FOR_EVERYONE)
            return true;
    }
    return false;
}

/* Service callers are nobody's guests; an open route knows no users. */
static bool may_enter(const struct route *route, const struct crowd *crowd) {
    return !route->is_denied && route->access != ACCESS_SERVICE &&
           (crowd->is_anonymous || route->access != ACCESS_OPEN);
}

static void check_crowd(struct lint *lint, const struct crowd *crowd, const char *who) {
    char shown[400];
    size_t n = 0, used = 0;
    for (size_t i = 0; i < lint->s->n_routes; i++) {
        const struct route *route = &lint->s->routes[i];
        if (!may_enter(route, crowd) || is_met(lint->s, route, crowd) || ++n > SHOWN_ROUTES)
            continue;
        int more = snprintf(shown + used, sizeof(shown) - used, "%s" STR_FMT, n > 1 ? ", " : "",
                            STR_ARG(str_first(route->label, 100)));
        used += more > 0 ? (size_t)more : 0;
    }
    if (n > SHOWN_ROUTES)
        snprintf(shown + used, sizeof(shown) - used, " and %zu more", n - SHOWN_ROUTES);
    if (n > 0)
        find(lint, "no limit meets %s on %s; name one that does in the route's limits", who, shown);
}

static void check_unlimited(struct lint *lint) {
    const struct plans *plans = &lint->s->plans;
    bool has_anonymous = plans->n_tiers > 0 && plans->anonymous_tier != SIZE_MAX;
    check_crowd(lint,
                &(struct crowd){has_anonymous ? &plans->tiers[plans->anonymous_tier] : NULL, true},
                "callers without a verified subject, and anonymous users,");
    for (size_t i = 0; i < plans->n_tiers; i++) {
        char who[160];
        if (i == plans->anonymous_tier && i != plans->default_tier)
            continue;
        snprintf(who, sizeof(who), "users of the tier " STR_FMT,
                 STR_ARG(str_first(plans->tiers[i].name, 100)));
        check_crowd(lint, &(struct crowd){&plans->tiers[i], false}, who);
    }
}

static void check_cost(struct lint *lint, const struct route *route,
                       const struct limit_policy *policy) {
    if (policy->kind != LIMIT_CONCURRENT && route->cost > limit_capacity(policy))
        find(lint,
             "route " STR_FMT ": costs %lld calls, but the limit " STR_FMT
             " never lets more than %lld (its %s) through at once",
             STR_ARG(str_first(route->label, 100)), (long long)route->cost,
             STR_ARG(str_first(policy->id, 150)), (long long)limit_capacity(policy),
             policy->kind == LIMIT_QUOTA ? "quota" : "burst");
}

static void check_costs(struct lint *lint) {
    const struct settings *s = lint->s;
    for (size_t i = 0; i < s->n_routes; i++)
        for (size_t l = 0; !s->routes[i].is_denied && l < s->routes[i].n_limits; l++) {
            const struct route_limit *limit = &s->routes[i].limits[l];
            if (!limit->is_plan)
                check_cost(lint, &s->routes[i], &s->limits[limit->named].policy);
            for (size_t t = 0; limit->is_plan && t < s->plans.n_tiers; t++)
                for (size_t g = 0; g < s->plans.tiers[t].n_groups; g++) {
                    const struct tier_group *group = &s->plans.tiers[t].groups[g];
                    for (size_t p = 0; str_eq(group->name, limit->group) && p < group->n_policies;
                         p++)
                        check_cost(lint, &s->routes[i], &group->policies[p]);
                }
        }
}

static bool is_named(const struct settings *s, bool is_plan, struct str group, size_t named) {
    for (size_t i = 0; i < s->n_routes; i++)
        for (size_t l = 0; l < s->routes[i].n_limits; l++) {
            const struct route_limit *limit = &s->routes[i].limits[l];
            if (limit->is_plan == is_plan &&
                (is_plan ? str_eq(limit->group, group) : limit->named == named))
                return true;
        }
    return false;
}

/* per_ip is there without being written, and "default" also limits the gateway's own paths. */
static void check_idle_limits(struct lint *lint) {
    const struct settings *s = lint->s;
    for (size_t i = 0; i < s->n_limits; i++)
        if (!str_eq(s->limits[i].name, STR("per_ip")) && !is_named(s, false, STR_NONE, i))
            find(lint, "limits." STR_FMT ": no route names it, so it limits nobody",
                 STR_ARG(str_first(s->limits[i].name, 100)));
    for (size_t t = 0; t < s->plans.n_tiers; t++)
        for (size_t g = 0; g < s->plans.tiers[t].n_groups; g++) {
            struct str group = s->plans.tiers[t].groups[g].name;
            if (!str_eq(group, STR("default")) && !is_named(s, true, group, 0))
                find(lint,
                     "plans.tiers." STR_FMT "." STR_FMT ": no route names plan." STR_FMT
                     ", so it limits nobody",
                     STR_ARG(str_first(s->plans.tiers[t].name, 100)), STR_ARG(str_first(group, 64)),
                     STR_ARG(str_first(group, 64)));
        }
}

/* ---- variables that the file does not ask for ---- */

static bool is_rate_in_use(const struct settings *s, const char *text, bool in_plans) {
    struct bucket_rule rule;
    const char *why;
    if (!unit_rate(str_of(text), &rule, &why))
        return false;
    for (size_t i = 0; i < s->n_policies; i++) {
        const struct limit_policy *policy = s->policies[i];
        bool is_of_plan = str_index(policy->id, '/') < policy->id.n;
        if (is_of_plan == in_plans && policy->rate.period_ns == rule.period_ns &&
            policy->rate.count == rule.count)
            return true;
    }
    return false;
}

static bool has_secret(const struct settings *s) {
    for (size_t i = 0; i < s->tokens.n_issuers; i++)
        if (s->sources[i].hs256_secret.n > 0)
            return true;
    return false;
}

/* What is empty says nothing. NULL: it is not set. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static void check_variables(struct lint *lint) {
    static const char *const modes[] = {"enforce", "shadow", "off"};
    const struct settings *s = lint->s;
    const char *per_user = variable("LIMIT_PER_USER"), *per_ip = variable("LIMIT_PER_IP");
    const char *mode = variable("LIMITS");
    if (per_user && !is_rate_in_use(s, per_user, true))
        find(lint, "LIMIT_PER_USER is set, but 'plans' does not use it; write rate: "
                   "${LIMIT_PER_USER:-1200/minute}");
    if (per_ip && !is_rate_in_use(s, per_ip, false))
        find(lint, "LIMIT_PER_IP is set, but 'limits' does not use it; write rate: "
                   "${LIMIT_PER_IP:-600/minute}");
    if (mode && strcmp(mode, modes[s->limits_mode]) != 0)
        find(lint, "LIMITS is set, but 'limits_mode' does not use it; write ${LIMITS:-enforce}");
    if ((variable("SUPABASE_JWT_SECRET") || variable("SUPABASE_JWT_SECRET_FILE")) && !has_secret(s))
        find(lint, "SUPABASE_JWT_SECRET is set, but no issuer uses it; write hs256_secret: "
                   "${SUPABASE_JWT_SECRET:-}");
}

/* ---- routes ---- */

/* Beside `/a`, `/a*` takes only what merely begins so, like /ab: rarely what was meant. */
static void check_stars(struct lint *lint) {
    const struct settings *s = lint->s;
    for (size_t i = 0; i < s->n_routes; i++) {
        struct str path = s->paths[i].path;
        if (!str_ends(path, STR("*")) || str_ends(path, STR("/*")))
            continue;
        path = str_first(path, path.n - 1);
        for (size_t j = 0; j < s->n_routes; j++)
            if (str_eq(s->paths[j].path, path))
                find(lint,
                     "route " STR_FMT "*: the %s route " STR_FMT
                     " takes that path and all below it; "
                     "write " STR_FMT " to replace it, or " STR_FMT "/* for what is below",
                     STR_ARG(path), s->routes[j].is_builtin ? "built-in" : "other", STR_ARG(path),
                     STR_ARG(path), STR_ARG(path));
    }
}

/* ---- browsers ---- */

/* What an Origin field may hold: scheme://host, a port that is not the scheme's own, lower case, and no path; or null. */
static bool is_origin(struct str origin) {
    size_t scheme = 0;
    if (str_eq(origin, STR("null")))
        return true;
    while (scheme < origin.n && !str_starts(str_skip(origin, scheme), STR("://")))
        scheme++;
    if (scheme == 0 || scheme + 3 >= origin.n)
        return false;
    for (size_t i = 0; i < origin.n; i++) {
        char c = origin.at[i];
        if (c <= ' ' || c == '*' || c == '?' || c == '#' || (c >= 'A' && c <= 'Z') ||
            (c == '/' && i >= scheme + 3))
            return false;
    }
    return true;
}

static void check_origins(struct lint *lint) {
    for (size_t i = 0; !lint->s->cors_allows_all && i < lint->s->n_cors_origins; i++)
        if (!is_origin(lint->s->cors_origins[i]))
            find(lint,
                 "cors.origins: no browser sends the origin '" STR_FMT
                 "'; write https://app.example.com, or \"*\" alone for all",
                 STR_ARG(str_first(lint->s->cors_origins[i], 200)));
}

size_t settings_lint(const struct settings *settings, settings_report *report, void *arg) {
    static void (*const checks[])(struct lint *) = {
        check_upstreams,    check_admin,    check_issuers,   check_jwks,  check_trust,
        check_project_keys, check_api_keys, check_unlimited, check_costs, check_idle_limits,
        check_variables,    check_stars,    check_origins,
    };
    struct lint lint = {settings, report, arg, 0};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        checks[i](&lint);
    return lint.n_findings;
}
