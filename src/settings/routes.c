/* SPDX-License-Identifier: MIT */
/* routes: the file's, then the built-in ones below them in rank. */
#include "read.h"

#include "http/fields.h"
#include "limit/limiter.h"
#include "settings/units.h"
#include <errno.h>

#define RANK_OWN      1
#define ACCESS_DENIED 5

struct route_section {
    struct str path, upstream, strip;
    int access, apikey, credential;
    bool has_apikey;
    struct strings methods, limits, token_from;
    bool has_limits;
    uint64_t max_body;
    int64_t cost;
    struct str settle_header;
    int payment;
    struct {
        int64_t connect_ns, first_byte_ns, idle_ns;
    } timeouts;
    const struct branch *require;
};

static bool read_access(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"open", "public", "user", "apikey", "service", "denied"};
    return read_choice(r, b, names, 6, target);
}

static const char *const apikey_modes[] = {"keep", "fill", "replace"};

static bool read_apikey(struct reader *r, const struct branch *b, void *target) {
    struct route_section *section =
        (struct route_section *)((char *)target - offsetof(struct route_section, apikey));
    section->has_apikey = true;
    return read_choice(r, b, apikey_modes, 3, target);
}

static bool read_credential(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"caller", "service", "user"};
    return read_choice(r, b, names, 3, target);
}

static bool read_route_limits(struct reader *r, const struct branch *b, void *target) {
    struct route_section *section =
        (struct route_section *)((char *)target - offsetof(struct route_section, limits));
    section->has_limits = true;
    return read_strings_or_none(r, b, target);
}

static bool read_timeouts(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"connect", read_timeout, 0, "5s"},
        {"first_byte", read_timeout, sizeof(int64_t), "155s"},
        {"idle", read_timeout, 2 * sizeof(int64_t), "150s"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

/* What frames the answer is no price, and is never the upstream's to say. */
static bool may_be_taken_off(struct reader *r, const struct branch *b, const struct str *name) {
    struct field field = {.name = *name, .id = field_id_of(*name)};
    if (!field_is_hop_by_hop(&field, (struct fields){0}))
        return true;
    reader_error(r, b,
                 "'header:" STR_FMT "' is about the connection, not about the cost; expected a "
                 "field of its own, like header:x-jotgate-cost",
                 STR_ARG(*name));
    return false;
}

static bool read_settle(struct reader *r, const struct branch *b, void *target) {
    struct str text;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    if (str_starts(text, STR("header:")))
        return read_header_name(r, b, str_skip(text, 7), target) && may_be_taken_off(r, b, target);
    reader_error(r, b, "'" STR_FMT "': expected header:NAME, the answer's field that says the cost",
                 STR_ARG(str_first(text, 60)));
    return false;
}

/* A number, or { reserve: N, settle: header:NAME }. */
static bool read_price(struct reader *r, const struct branch *b, void *target) {
    static const struct entry parts[] = {
        {"reserve", read_cost, offsetof(struct route_section, cost), "1"},
        {"settle", read_settle, offsetof(struct route_section, settle_header), "!"},
    };
    if (b->kind != BRANCH_MAP)
        return read_cost(r, b, target);
    return READ_SECTION(r, b, parts, (char *)target - offsetof(struct route_section, cost));
}

static bool read_heed(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"enforce", "ignore"};
    return read_choice(r, b, names, 2, target);
}

/* clang-format off */
static const struct entry entries[] = {
    {"path",       read_string,       offsetof(struct route_section, path),       "!"},
    {"access",     read_access,       offsetof(struct route_section, access),     "user"},
    {"methods",    read_strings,      offsetof(struct route_section, methods),    NULL},
    {"require",    keep_branch,       offsetof(struct route_section, require),    NULL},
    {"upstream",   read_string,       offsetof(struct route_section, upstream),   ""},
    {"strip",      read_string,       offsetof(struct route_section, strip),      ""},
    {"max_body",   read_size,         offsetof(struct route_section, max_body),   NULL},
    {"apikey",     read_apikey,       offsetof(struct route_section, apikey),     NULL},
    {"credential", read_credential,   offsetof(struct route_section, credential), "caller"},
    {"limits",     read_route_limits, offsetof(struct route_section, limits),     NULL},
    {"cost",       read_price,        offsetof(struct route_section, cost),       "1"},
    {"payment",    read_heed,         offsetof(struct route_section, payment),    "enforce"},
    {"timeouts",   read_timeouts,     offsetof(struct route_section, timeouts),   ""},
    {"token_from", read_strings_or_none, offsetof(struct route_section, token_from), NULL},
};
/* clang-format on */

static bool read_methods(struct reader *r, const struct branch *b, const struct strings *names,
                         unsigned *methods) {
    *methods = names->n ? 0 : METHODS_ANY;
    for (size_t i = 0; i < names->n; i++) {
        enum method method = method_of(names->list[i]);
        if (method == METHOD_OTHER || method == METHOD_NEVER) {
            reader_error(r, tree_member(b, "methods"),
                         "'" STR_FMT "': expected GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
                         STR_ARG(str_first(names->list[i], 32)));
            return false;
        }
        *methods |= method;
    }
    return true;
}

static bool find_named(const struct settings *s, struct str name, size_t *index) {
    for (*index = 0; *index < s->n_limits; ++*index)
        if (str_eq(s->limits[*index].name, name))
            return true;
    return false;
}

static bool group_exists(const struct settings *s, struct str group) {
    for (size_t t = 0; t < s->plans.n_tiers; t++)
        for (size_t g = 0; g < s->plans.tiers[t].n_groups; g++)
            if (str_eq(s->plans.tiers[t].groups[g].name, group))
                return true;
    return str_eq(group, STR("default"));
}

static bool read_limit_name(struct reader *r, const struct branch *at, const struct settings *s,
                            struct str name, struct route_limit *limit) {
    bool is_plan = str_eq(name, STR("plan"));
    if (is_plan || str_starts(name, STR("plan."))) {
        *limit = (struct route_limit){.is_plan = true,
                                      .group = is_plan ? STR("default") : str_skip(name, 5)};
        if (group_exists(s, limit->group))
            return true;
        reader_error(r, at, "no tier of plans has a group '" STR_FMT "'",
                     STR_ARG(str_first(limit->group, 60)));
        return false;
    }
    if (find_named(s, name, &limit->named))
        return true;
    reader_error(r, at, "'" STR_FMT "': expected plan, plan.GROUP or a name under 'limits'",
                 STR_ARG(str_first(name, 60)));
    return false;
}

/* The most policies that a caller of any tier meets here. */
static size_t count_charges(const struct settings *s, const struct route *route) {
    size_t most = 0;
    for (size_t t = 0; t < s->plans.n_tiers; t++) {
        size_t n = 0;
        for (size_t i = 0; i < route->n_limits; i++) {
            const struct tier *tier = &s->plans.tiers[t];
            n += !route->limits[i].is_plan;
            for (size_t g = 0; route->limits[i].is_plan && g < tier->n_groups; g++)
                if (str_eq(tier->groups[g].name, route->limits[i].group))
                    n += tier->groups[g].n_policies;
        }
        most = n > most ? n : most;
    }
    return most;
}

static bool set_limits(struct reader *r, const struct branch *b, const struct settings *s,
                       const struct route_section *read, struct route *route) {
    static const struct str defaults[] = {{"plan", 4}, {"per_ip", 6}};
    const struct str *names = read->has_limits ? read->limits.list : defaults;
    size_t n = read->has_limits ? read->limits.n : 2;
    const struct branch *at = tree_member(b, "limits") ? tree_member(b, "limits") : b;
    if (!r->knows_limits)
        return true;
    struct route_limit *limits = reader_alloc(r, n * sizeof(*limits));
    for (size_t i = 0; limits && i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            if (j == i && !read_limit_name(r, at, s, names[i], &limits[i]))
                return false;
            if (j < i && str_eq(names[i], names[j])) {
                reader_error(r, at, "'" STR_FMT "' is there twice", STR_ARG(names[i]));
                return false;
            }
        }
    route->limits = limits;
    route->n_limits = n;
    if (!limits || count_charges(s, route) <= LIMITER_CHARGES_MAX)
        return limits;
    reader_error(r, at, "a caller would meet more than %d limits here", LIMITER_CHARGES_MAX);
    return false;
}

/* "query:access_token", "subprotocol:jwt-" */
static bool read_token_place(struct reader *r, const struct branch *at, struct str text,
                             struct token_place *place) {
    static const struct str kinds[] = {{"query:", 6}, {"subprotocol:", 12}};
    for (size_t i = 0; i < 2; i++)
        if (str_starts(text, kinds[i]) && is_token(str_skip(text, kinds[i].n))) {
            *place = (struct token_place){(enum token_place_kind)i, str_skip(text, kinds[i].n)};
            return true;
        }
    reader_error(
        r, at, "'" STR_FMT "': expected query:NAME or subprotocol:PREFIX, like query:access_token",
        STR_ARG(str_first(text, 60)));
    return false;
}

static bool set_token_from(struct reader *r, const struct branch *b, const struct strings *names,
                           struct route *route) {
    const struct branch *at = tree_member(b, "token_from");
    struct token_place *places = reader_alloc(r, names->n * sizeof(*places));
    for (size_t i = 0; i < names->n; i++)
        if (!places || !read_token_place(r, at, names->list[i], &places[i]))
            return false;
    route->token_from = places;
    route->n_token_from = names->n;
    if (names->n == 0 || route->access != ACCESS_OPEN)
        return true;
    reader_error(r, at, "an open route looks at no token");
    return false;
}

static bool set_upstream(struct reader *r, const struct branch *b, struct settings *s,
                         const struct route_section *read, struct route *route) {
    const char *why;
    route->upstream = &s->supabase;
    route->is_supabase = read->upstream.n == 0;
    if (route->is_supabase) {
        if (s->supabase_url.n > 0 || !r->knows_project)
            return true;
        reader_error(r, b, "the route has no upstream and supabase.url is not set");
        return false;
    }
    struct origin *origin = reader_alloc(r, sizeof(*origin));
    if (!origin || !unit_origin(read->upstream, origin, r->arena, &why)) {
        bool has_user = str_index(read->upstream, '@') < read->upstream.n; /* and a password */
        reader_error(r, tree_member(b, "upstream"), "'" STR_FMT "': %s",
                     STR_ARG(has_user ? STR("...") : str_first(read->upstream, 120)),
                     origin ? why : "out of memory");
        return false;
    }
    route->upstream = origin;
    return true;
}

/* "/rest/v1/..." -> "rest": how errors are worded. */
static struct str service_of(const struct route *route, struct str path) {
    static const struct str services[] = {{"rest", 4},    {"auth", 4},     {"functions", 9},
                                          {"storage", 7}, {"realtime", 8}, {"graphql", 7}};
    for (size_t i = 0; route->is_supabase && i < sizeof(services) / sizeof(services[0]); i++) {
        struct str rest = path.n ? str_skip(path, 1) : path;
        if (str_starts(rest, services[i]) && str_starts(str_skip(rest, services[i].n), STR("/v1")))
            return services[i];
    }
    return STR_NONE;
}

static bool check_route(struct reader *r, const struct branch *b, const struct settings *s,
                        const struct route_section *read, const struct route *route) {
    if (route->credential == CREDENTIAL_SERVICE && r->knows_project && !s->project.secret.n &&
        !s->project.service_role.n) {
        reader_error(r, tree_member(b, "credential"),
                     "needs supabase.secret_key (SUPABASE_SECRET_KEY)");
        return false;
    }
    if (route->credential == CREDENTIAL_SERVICE && !route->is_supabase) {
        reader_error(
            r, tree_member(b, "credential"),
            "the secret key is only sent to supabase.url, and this route has its own upstream");
        return false;
    }
    if (route->credential == CREDENTIAL_SERVICE && route->access <= ACCESS_PUBLIC) {
        reader_error(
            r, tree_member(b, "credential"),
            "service needs access: user, apikey or service; anybody could use the secret key");
        return false;
    }
    if (route->credential == CREDENTIAL_USER && route->access != ACCESS_APIKEY) {
        reader_error(r, tree_member(b, "credential"),
                     "user needs access: apikey; elsewhere users bring a token of their own");
        return false;
    }
    if (route->credential == CREDENTIAL_USER && r->knows_project && s->signing_key.n == 0) {
        reader_error(r, tree_member(b, "credential"),
                     "needs supabase.signing_key (SUPABASE_SIGNING_KEY)");
        return false;
    }
    if (route->n_require > 0 && route->access == ACCESS_OPEN) {
        reader_error(r, tree_member(b, "require"),
                     "an open route looks at no token, so nobody could meet the rule");
        return false;
    }
    struct str prefix =
        str_ends(read->path, STR("*")) ? str_first(read->path, read->path.n - 1) : read->path;
    if (read->strip.n > 0 && (read->strip.at[0] != '/' || str_ends(read->strip, STR("/")) ||
                              !str_starts(prefix, read->strip) ||
                              (prefix.n > read->strip.n && prefix.at[read->strip.n] != '/'))) {
        reader_error(r, tree_member(b, "strip"),
                     "expected a leading part of the path that ends at a segment, like /api");
        return false;
    }
    if (str_starts_nocase(read->path, STR("/_jotgate"))) {
        reader_error(r, tree_member(b, "path"), "/_jotgate is the gateway's own");
        return false;
    }
    return true;
}

static bool read_route(struct reader *r, const struct branch *b, struct settings *s,
                       int default_apikey, struct route *route, struct route_path *path) {
    struct route_section read = {.max_body = UINT64_MAX};
    struct rule_list require = {0};
    if (!READ_SECTION(r, b, entries, &read))
        return false;
    bool is_good = read_methods(r, b, &read.methods, &path->methods);
    is_good &= !read.require || read_rules(r, read.require, &s->claim_paths, &require);
    is_good &= set_upstream(r, b, s, &read, route);
    is_good &= set_limits(r, b, s, &read, route);
    path->path = read.path;
    route->label = read.path;
    route->is_denied = read.access == ACCESS_DENIED;
    route->access = route->is_denied ? ACCESS_OPEN : (enum access)read.access;
    route->require = require.list;
    route->n_require = require.n;
    route->strip = read.strip;
    route->max_body_bytes = read.max_body;
    route->apikey = read.has_apikey      ? (enum apikey_mode)read.apikey
                    : route->is_supabase ? (enum apikey_mode)default_apikey
                                         : APIKEY_KEEP;
    route->credential = (enum credential)read.credential;
    route->cost = read.cost;
    route->settle_header = read.settle_header;
    route->ignores_payment = read.payment == 1;
    route->connect_ns = read.timeouts.connect_ns;
    route->first_byte_ns = read.timeouts.first_byte_ns;
    route->idle_ns = read.timeouts.idle_ns;
    route->service = service_of(route, read.path);
    route->refresh_ceiling = str_eq(route->service, STR("auth"));
    is_good &= set_token_from(r, b, &read.token_from, route);
    return check_route(r, b, s, &read, route) && is_good;
}

static const struct branch *nth(const struct branch *list, size_t i) {
    const struct branch *b = list ? list->children : NULL;
    for (; b && i > 0; i--)
        b = b->next;
    return b;
}

/* Built-in routes are good, and below the file's in rank: what is bad is the file's. */
static bool make_table(struct reader *r, const struct branch *list, struct settings *s) {
    size_t bad = 0, twin = 0;
    int failure = route_table_new(&s->table, s->paths, s->n_routes, &bad);
    if (failure == 0)
        return true;
    if (failure == -ENOMEM) {
        reader_error(r, NULL, "out of memory");
        return false;
    }
    const struct branch *at = nth(list, bad);
    struct str path = str_first(s->paths[bad].path, 200);
    while (twin < bad && !str_eq(s->paths[twin].path, s->paths[bad].path))
        twin++;
    if (failure == -EEXIST && twin < bad)
        reader_error(r, at,
                     "'" STR_FMT "': is there twice for the same method (first in line %zu); keep "
                     "one, or give each 'methods' of its own",
                     STR_ARG(path), nth(list, twin)->line);
    else
        reader_error(
            r, at,
            "'" STR_FMT
            "': expected a plain path like /rest/v1 ('*' only at the end), once for each method",
            STR_ARG(path));
    return false;
}

static bool read_builtin(struct reader *r, const struct branch *root, const struct settings *s,
                         struct branch **list) {
    static const char *const names[] = {"none", "supabase", "supabase-self-hosted"};
    struct branch fallback = {.key = STR("builtin"), .text = STR("supabase"), .is_default = true};
    const struct branch *b = tree_member(root, "builtin");
    struct reader quiet = {.arena = r->arena, .file = "built-in"};
    int choice;
    if (!read_choice(r, b ? b : &fallback, names, 3, &choice))
        return false;
    if (!b && s->supabase_url.n == 0)
        choice = 0;
    *list = NULL;
    if (choice == 0)
        return true;
    struct str text = arena_printf(r->arena, "routes:\n%s", builtin_routes(str_of(names[choice])));
    struct branch *tree = tree_parse(&quiet, text);
    if (tree)
        *list = tree_member(tree, "routes");
    return *list;
}

bool read_routes(struct reader *r, const struct branch *root, struct settings *s) {
    const struct branch *own = tree_member(root, "routes");
    struct branch *builtin;
    if (own && own->kind != BRANCH_LIST) {
        reader_error(r, own, "expected a list of routes");
        return false;
    }
    if (!read_builtin(r, root, s, &builtin))
        return false;
    size_t n_own = own ? tree_count(own) : 0, n = n_own + (builtin ? tree_count(builtin) : 0),
           i = 0;
    struct route *routes = reader_alloc(r, n * sizeof(*routes));
    struct route_path *paths = reader_alloc(r, n * sizeof(*paths));
    bool is_good = routes && paths;
    for (const struct branch *b = own ? own->children : NULL; paths && routes && b;
         b = b->next, i++) {
        is_good &= read_route(r, b, s, s->apikey_default, &routes[i], &paths[i]);
        paths[i].rank = RANK_OWN;
    }
    for (const struct branch *b = builtin ? builtin->children : NULL; is_good && b;
         b = b->next, i++) {
        is_good &= read_route(r, b, s, s->apikey_default, &routes[i], &paths[i]);
        routes[i].is_builtin = true;
    }
    s->routes = routes;
    s->paths = paths;
    s->n_routes = n;
    if (is_good && n == 0 && r->knows_project) {
        reader_error(r, root, "no routes: set supabase.url for the built-in ones, or 'routes'");
        return false;
    }
    return is_good && make_table(r, own, s);
}
