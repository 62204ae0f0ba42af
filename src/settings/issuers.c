/* SPDX-License-Identifier: MIT */
/* issuers: whose tokens count, by which keys. Without the section: the project's own. */
#include "read.h"

#include "settings/units.h"
#include <stdio.h>

#define SECRET_LEAST 32

struct issuer {
    struct str name, jwks_url, jwks_file, hs256_secret;
    struct strings issuer, audience, algorithms;
    int64_t leeway_s;
    bool discovery;
    const struct branch *require;
};

static bool read_branch(struct reader *r, const struct branch *b, void *target) {
    (void)r;
    *(const struct branch **)target = b->is_default ? NULL : b;
    return true;
}

static bool read_hs256_secret(struct reader *r, const struct branch *b, void *target) {
    struct str *secret = target;
    if (!read_secret(r, b, secret))
        return false;
    if (secret->n == 0 || secret->n >= SECRET_LEAST)
        return true;
    reader_error(r, b, "is %zu bytes long; a secret for HS256 has at least %d (RFC 7518 3.2)",
                 secret->n, SECRET_LEAST);
    return false;
}

/* clang-format off */
static const struct entry entries[] = {
    {"name",         read_name,             offsetof(struct issuer, name),         "supabase"},
    {"issuer",       read_strings,          offsetof(struct issuer, issuer),       "auto"},
    {"jwks_url",     read_string,           offsetof(struct issuer, jwks_url),     ""},
    {"jwks_file",    read_string,           offsetof(struct issuer, jwks_file),    ""},
    {"discovery",    read_bool,             offsetof(struct issuer, discovery),    "false"},
    {"audience",     read_strings_or_none,  offsetof(struct issuer, audience),     "authenticated"},
    {"algorithms",   read_strings,          offsetof(struct issuer, algorithms),   NULL},
    {"hs256_secret", read_hs256_secret,     offsetof(struct issuer, hs256_secret), NULL},
    {"leeway",       read_seconds,          offsetof(struct issuer, leeway_s),     "30s"},
    {"require",      read_branch,           offsetof(struct issuer, require),      NULL},
};
/* clang-format on */

static bool algorithms_of(struct reader *r, const struct branch *b, const struct issuer *issuer,
                          unsigned *set) {
    *set = issuer->algorithms.n ? 0 : ALGORITHMS_DEFAULT;
    for (size_t i = 0; i < issuer->algorithms.n; i++) {
        enum algorithm algorithm = algorithm_of(issuer->algorithms.list[i]);
        if (algorithm == ALGORITHM_COUNT) {
            reader_error(r, tree_member(b, "algorithms"),
                         "'" STR_FMT "': expected some of ES256 ES384 ES512 RS256 RS384 RS512 "
                         "PS256 PS384 PS512 EdDSA HS256 HS384 HS512",
                         STR_ARG(str_first(issuer->algorithms.list[i], 60)));
            return false;
        }
        *set |= ALGORITHM_BIT(algorithm);
    }
    if (issuer->hs256_secret.n > 0)
        *set |= ALGORITHM_BIT(ALGORITHM_HS256);
    return true;
}

static struct str below_project(struct reader *r, const struct settings *s, const char *path) {
    struct str base = s->supabase_url;
    while (str_ends(base, STR("/")))
        base.n--;
    return arena_printf(r->arena, STR_FMT "%s", STR_ARG(base), path);
}

/* What stands in it may be a password: it is refused before the host, and never shown. */
static bool check_url(struct reader *r, const struct branch *b, const char *key, struct str url) {
    const struct branch *at = tree_member(b, key);
    size_t query = str_index(url, '?');
    struct origin origin;
    const char *why;
    bool is_good = url.n == 0 || unit_origin(str_first(url, query), &origin, r->arena, &why);
    is_good = is_good && !str_starts(url, STR("unix:"));
    for (size_t i = query; is_good && i < url.n; i++)
        is_good = url.at[i] > ' ' && url.at[i] < 127 && url.at[i] != '#';
    if (!is_good)
        reader_error(r, at ? at : b,
                     "expected http:// or https://, a host and a path, without user and fragment");
    return is_good;
}

/* Where the keys come from: one of jwks_url, jwks_file, discovery; the project's own document when none is said. */
static bool find_source(struct reader *r, const struct branch *b, const struct settings *s,
                        const struct issuer *issuer, struct issuer_source *source) {
    bool is_auto = issuer->issuer.n == 1 && str_eq(issuer->issuer.list[0], STR("auto"));
    int n = (issuer->jwks_url.n > 0) + (issuer->jwks_file.n > 0) + issuer->discovery;
    if (n > 1) {
        reader_error(r, b, "expected one of jwks_url, jwks_file and discovery");
        return false;
    }
    *source = (struct issuer_source){.jwks_url = issuer->jwks_url,
                                     .jwks_file = issuer->jwks_file,
                                     .is_auto = is_auto,
                                     .hs256_secret = issuer->hs256_secret};
    if (is_auto && s->supabase_url.n == 0 && r->knows_project) {
        reader_error(r, b,
                     "'issuer: auto' is the project's own: set supabase.url, or name the issuer");
        return false;
    }
    if (is_auto) {
        source->auto_issuer_url = below_project(r, s, "/auth/v1/.well-known/openid-configuration");
        source->auto_issuer_default = below_project(r, s, "/auth/v1");
    }
    if (issuer->discovery && is_auto) {
        reader_error(r, b, "discovery needs the issuer's name: set 'issuer' to its URL");
        return false;
    }
    if (issuer->discovery) {
        struct str base = issuer->issuer.list[0];
        while (str_ends(base, STR("/")))
            base.n--;
        source->discovery_url =
            arena_printf(r->arena, STR_FMT "/.well-known/openid-configuration", STR_ARG(base));
    }
    if (n == 0 && (is_auto || s->supabase_url.n > 0) && r->knows_project)
        source->jwks_url = below_project(r, s, "/auth/v1/.well-known/jwks.json");
    return check_url(r, b, "jwks_url", source->jwks_url) &&
           check_url(r, b, "issuer", source->discovery_url);
}

static struct str join(struct reader *r, const struct strings *names) {
    struct str text = names->list[0];
    for (size_t i = 1; i < names->n; i++)
        text = arena_printf(r->arena, STR_FMT ", " STR_FMT, STR_ARG(text), STR_ARG(names->list[i]));
    return text;
}

static bool read_issuer(struct reader *r, const struct branch *b, struct settings *s,
                        struct issuer_rule *rule, struct issuer_source *source) {
    struct issuer issuer = {0};
    struct rule_list require = {0};
    if (!READ_SECTION(r, b, entries, &issuer))
        return false;
    bool is_good = algorithms_of(r, b, &issuer, &rule->algorithms);
    is_good &= find_source(r, b, s, &issuer, source);
    is_good &= !issuer.require || read_rules(r, issuer.require, &s->claim_paths, &require);
    if (!is_good)
        return false;
    rule->name = issuer.name;
    source->issuer_text = source->is_auto ? STR_NONE : join(r, &issuer.issuer);
    rule->issuers = source->is_auto ? NULL : issuer.issuer.list;
    rule->n_issuers = source->is_auto ? 0 : issuer.issuer.n;
    rule->audiences = issuer.audience.list;
    rule->n_audiences = issuer.audience.n;
    rule->leeway_s = issuer.leeway_s;
    rule->require = require.list;
    rule->n_require = require.n;
    return true;
}

/* SUPABASE_JWT_ISSUER and SUPABASE_JWT_SECRET say the rest of the environment's one issuer. */
static bool read_own(struct reader *r, struct settings *s, struct issuer_rule *rule,
                     struct issuer_source *source) {
    struct branch name = {
        .key = STR("name"), .text = STR("supabase"), .is_plain = true, .is_default = true};
    struct branch secret = {.key = STR("SUPABASE_JWT_SECRET"),
                            .text = STR("${SUPABASE_JWT_SECRET:-}")};
    struct branch issuer = {.key = STR("SUPABASE_JWT_ISSUER"),
                            .text = STR("${SUPABASE_JWT_ISSUER:-auto}")};
    struct branch map = {.kind = BRANCH_MAP, .children = &name, .is_default = true};
    secret.key = STR("hs256_secret");
    issuer.key = STR("issuer");
    name.next = &secret;
    secret.next = &issuer;
    return read_issuer(r, &map, s, rule, source);
}

static bool names_differ(struct reader *r, const struct branch *list,
                         const struct issuer_rule *rules, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (str_eq(rules[i].name, rules[j].name)) {
                reader_error(r, list, "two issuers are called '" STR_FMT "'",
                             STR_ARG(rules[i].name));
                return false;
            }
    return true;
}

bool read_issuers(struct reader *r, const struct branch *root, struct settings *s) {
    const struct branch *list = tree_member(root, "issuers");
    if (list && (list->kind != BRANCH_LIST || !list->children)) {
        reader_error(r, list, "expected a list of issuers");
        return false;
    }
    size_t n = list ? tree_count(list) : 1, i = 0;
    struct issuer_rule *rules = reader_alloc(r, n * sizeof(*rules));
    struct issuer_source *sources = reader_alloc(r, n * sizeof(*sources));
    if (!rules || !sources)
        return false;
    bool is_good = true;
    if (!list)
        is_good = read_own(r, s, &rules[0], &sources[0]);
    for (const struct branch *b = list ? list->children : NULL; b; b = b->next, i++)
        is_good &= read_issuer(r, b, s, &rules[i], &sources[i]);
    s->tokens = (struct token_rules){rules, n, &s->claim_paths};
    s->sources = sources;
    return is_good && names_differ(r, list, rules, n);
}
