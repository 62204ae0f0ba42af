/* SPDX-License-Identifier: MIT */
/* One line a route, in columns that are as wide as their widest cell: each cell is written once to be measured and once to
 * be seen. */
#include "put.h"

#include "base/json.h"
#include <assert.h>
#include <errno.h>

enum column { PATH, METHODS, ACCESS, UPSTREAM, LIMITS, COLUMN_COUNT };

/* Visible as it is, or quoted: a line break in a name would end the comment. */
static int put_visible(struct buffer *out, struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 127)
            return put_json_string(out, s);
    return buffer_append(out, s);
}

static int put_methods(struct buffer *out, unsigned methods) {
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    const char *comma = "";
    if (methods == METHODS_ANY)
        return buffer_append(out, STR("any"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (methods & (1u << i)) {
            TRY(buffer_printf(out, "%s%s", comma, names[i]));
            comma = ",";
        }
    return 0;
}

static int put_origin(struct buffer *out, const struct origin *origin) {
    if (origin->port == 0) {
        TRY(buffer_append(out, STR("unix:")));
        return put_visible(out, origin->host);
    }
    TRY(buffer_append(out, origin->is_tls ? STR("https://") : STR("http://")));
    TRY(put_visible(out, origin->host_header));
    return put_visible(out, origin->base_path);
}

static int put_route_limits(struct buffer *out, const struct settings *s,
                            const struct route *route) {
    if (route->n_limits == 0)
        return buffer_append(out, STR("none"));
    for (size_t i = 0; i < route->n_limits; i++) {
        const struct route_limit *limit = &route->limits[i];
        bool is_default = limit->is_plan && str_eq(limit->group, STR("default"));
        struct str name = limit->is_plan ? limit->group : s->limits[limit->named].name;
        TRY(buffer_append(out, i ? STR(", ") : STR("")));
        TRY(buffer_append(out, limit->is_plan ? STR("plan") : STR("")));
        TRY(buffer_append(out, limit->is_plan && !is_default ? STR(".") : STR("")));
        TRY(is_default ? 0 : put_visible(out, name));
    }
    return 0;
}

static int put_cell(struct buffer *out, const struct settings *s, size_t i, enum column column) {
    static const char *const accesses[] = {"open", "public", "user", "apikey", "service"};
    const struct route *route = &s->routes[i];
    bool goes_nowhere = route->is_denied;
    switch (column) {
    case PATH:
        return put_visible(out, s->paths[i].path);
    case METHODS:
        return put_methods(out, s->paths[i].methods);
    case ACCESS:
        return buffer_append(out, goes_nowhere ? STR("denied") : str_of(accesses[route->access]));
    case UPSTREAM:
        return goes_nowhere ? buffer_append(out, STR("-")) : put_origin(out, route->upstream);
    case LIMITS:
        return goes_nowhere ? buffer_append(out, STR("-")) : put_route_limits(out, s, route);
    case COLUMN_COUNT:
        break;
    }
    return -EINVAL;
}

static int put_token_from(struct buffer *out, const struct route *route) {
    for (size_t i = 0; i < route->n_token_from; i++) {
        const struct token_place *place = &route->token_from[i];
        TRY(buffer_append(out, i ? STR(",") : STR("  token_from: ")));
        TRY(buffer_append(out,
                          place->kind == TOKEN_IN_QUERY ? STR("query:") : STR("subprotocol:")));
        TRY(put_visible(out, place->name));
    }
    return 0;
}

/* Not every route of /auth/v1 is there for /auth/v1/token?grant_type=refresh_token. */
static bool takes_refreshes(const struct route *route) {
    struct str prefix = route->label;
    prefix.n -= str_ends(prefix, STR("*"));
    return route->refresh_ceiling && str_starts(STR("/auth/v1/token"), prefix);
}

/* What is not as most routes are. */
static int put_rest(struct buffer *out, const struct settings *s, const struct route *route) {
    if (route->n_require > 0) {
        TRY(buffer_append(out, STR("  require: ")));
        TRY(put_rules(out, s, route->require, route->n_require));
    }
    if (route->credential != CREDENTIAL_CALLER)
        TRY(buffer_append(out, route->credential == CREDENTIAL_SERVICE
                                   ? STR("  credential: service")
                                   : STR("  credential: user")));
    if (route->is_supabase && route->apikey != s->apikey_default)
        TRY(buffer_printf(out, "  apikey: %s", apikey_mode_name(route->apikey)));
    if (route->strip.n > 0) {
        TRY(buffer_append(out, STR("  strip: ")));
        TRY(put_visible(out, route->strip));
    }
    if (route->max_body_bytes != UINT64_MAX) {
        TRY(buffer_append(out, STR("  max_body: ")));
        TRY(put_size(out, route->max_body_bytes));
    }
    TRY(put_token_from(out, route));
    if (takes_refreshes(route))
        TRY(buffer_append(out, STR("  token refresh: auth_refresh alone")));
    if (route->ignores_payment)
        TRY(buffer_append(out, STR("  payment: ignore")));
    if (route->settle_header.n > 0)
        return buffer_printf(out, "  cost: { reserve: %lld, settle: header:" STR_FMT " }",
                             (long long)route->cost, STR_ARG(route->settle_header));
    return route->cost == 1 ? 0 : buffer_printf(out, "  cost: %lld", (long long)route->cost);
}

static const char *const titles[COLUMN_COUNT] = {"path", "methods", "access", "upstream", "limits"};

static int measure(const struct settings *s, size_t widths[COLUMN_COUNT]) {
    struct buffer cell = {0};
    int failure = 0;
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        widths[c] = strlen(titles[c]);
        for (size_t i = 0; failure == 0 && i < s->n_routes; i++) {
            buffer_clear(&cell);
            failure = put_cell(&cell, s, i, (enum column)c);
            widths[c] = buffer_length(&cell) > widths[c] ? buffer_length(&cell) : widths[c];
        }
    }
    buffer_release(&cell);
    return failure;
}

static int pad(struct buffer *out, size_t start, size_t width) {
    size_t used = buffer_length(out) - start;
    assert(used <= width);
    return buffer_printf(out, "%*s", (int)(width - used) + 2, "");
}

static int print_route(const struct settings *s, size_t i, const size_t widths[COLUMN_COUNT],
                       struct buffer *out) {
    TRY(buffer_append(out, STR("#   ")));
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        size_t start = buffer_length(out);
        TRY(put_cell(out, s, i, (enum column)c));
        if (c < LIMITS)
            TRY(pad(out, start, widths[c]));
    }
    TRY(put_rest(out, s, &s->routes[i]));
    return buffer_append(out, STR("\n"));
}

int print_routes(const struct settings *s, struct buffer *out) {
    size_t widths[COLUMN_COUNT];
    TRY(measure(s, widths));
    TRY(buffer_append(out, STR("\n# routes\n#   ")));
    for (size_t c = 0; c < COLUMN_COUNT; c++)
        TRY(buffer_printf(out, "%-*s", c < LIMITS ? (int)widths[c] + 2 : 0, titles[c]));
    TRY(buffer_append(out, STR("\n")));
    for (size_t i = 0; i < s->n_routes; i++)
        TRY(print_route(s, i, widths, out));
    return 0;
}
