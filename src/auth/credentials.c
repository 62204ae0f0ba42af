/* SPDX-License-Identifier: MIT */
/* Where credentials stand in a request. */
#include "auth/credentials.h"

#include "auth/api_key.h"
#include "http/octets.h"
#include "http/target.h"

/* RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_b64token(struct str s) { return s.n > 0 && b64_span(s) == s.n; }

/* RFC 9110 11.4: credentials = auth-scheme [ 1*SP ( token68 / ... ) ], the scheme in any case. */
static void read_authorization(struct credentials *c, struct str value) {
    size_t space = str_index(value, ' '), tab = str_index(value, '\t');
    size_t n_scheme = space < tab ? space : tab;
    if (!str_eq_nocase(str_first(value, n_scheme), STR("Bearer"))) {
        c->authorization = value.at ? value : STR("");
        return;
    }
    struct str token = str_skip(value, n_scheme);
    while (token.n > 0 && token.at[0] == ' ')
        token = str_skip(token, 1);
    c->hides_authorization = str_starts(token, STR(API_KEY_PREFIX));
    c->is_malformed = !is_b64token(token);
    if (!c->is_malformed)
        c->bearer = token;
}

static void note_doubled(struct credentials *c, bool is_doubled, const char *what) {
    if (is_doubled && !c->doubled)
        c->doubled = what;
}

static void take_api_key(struct credentials *c, struct str text) {
    note_doubled(c, c->api_key.at && !str_eq(c->api_key, text), "two API keys that differ");
    c->api_key = text;
}

/* An API key is the gateway's alone: it is taken out of where tokens stand, so that nobody passes it on. */
static void find_api_key(struct credentials *c, struct fields fields) {
    const struct field *own = fields_find(fields, FIELD_X_API_KEY);
    note_doubled(c, fields_count(fields, FIELD_X_API_KEY) > 1, "more than one x-api-key");
    c->hides_apikey = !c->apikey_in_query && str_starts(c->apikey, STR(API_KEY_PREFIX));
    if (own && str_starts(own->value, STR(API_KEY_PREFIX)))
        take_api_key(c, own->value);
    if (c->hides_authorization && c->bearer.at) {
        take_api_key(c, c->bearer);
        c->bearer = STR_NONE;
    }
    if (c->hides_apikey) {
        take_api_key(c, c->apikey);
        c->apikey = STR_NONE;
    }
}

void credentials_read(struct credentials *c, struct fields fields, struct str query) {
    const struct field *authorization = fields_find(fields, FIELD_AUTHORIZATION);
    const struct field *apikey = fields_find(fields, FIELD_APIKEY);
    size_t n_in_query = 0;
    struct str in_query = query_value(query, STR("apikey"), &n_in_query);
    *c = (struct credentials){0};
    note_doubled(c, fields_count(fields, FIELD_AUTHORIZATION) > 1, "more than one Authorization");
    note_doubled(c, fields_count(fields, FIELD_APIKEY) > 1, "more than one apikey header");
    note_doubled(c, n_in_query > 1, "more than one apikey in the query");
    if (authorization)
        read_authorization(c, authorization->value);
    /* The upstream gets both, and one of two that differ would have been looked at by nobody. */
    note_doubled(c, apikey && n_in_query > 0 && !str_eq(apikey->value, in_query),
                 "an apikey header and another apikey in the query");
    c->apikey_in_query = !apikey && n_in_query > 0;
    if (apikey)
        c->apikey = apikey->value.at ? apikey->value : STR("");
    else if (n_in_query > 0)
        c->apikey = in_query;
    find_api_key(c, fields);
}

/* ---- other places ---- */

static size_t find_in_query(struct str query, struct str name, struct str *token) {
    size_t n = 0;
    *token = query_value(query, name, &n);
    return token->n > 0 || n > 1 ? n : 0; /* one that is empty is none */
}

static size_t find_in_list(struct str list, struct str prefix, struct str *token) {
    struct str part;
    size_t n = 0;
    while (str_split(&list, ',', &part)) {
        part = str_trim(part);
        if (!str_starts(part, prefix))
            continue;
        *token = str_skip(part, prefix.n);
        n++;
    }
    return n;
}

static size_t find_in_subprotocols(struct fields fields, struct str prefix, struct str *token) {
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++)
        if (fields.list[i].id == FIELD_SEC_WEBSOCKET_PROTOCOL)
            n += find_in_list(fields.list[i].value, prefix, token);
    return n;
}

static size_t find_in(const struct token_place *place, struct fields fields, struct str query,
                      struct str *token) {
    switch (place->kind) {
    case TOKEN_IN_QUERY:
        return find_in_query(query, place->name, token);
    case TOKEN_IN_SUBPROTOCOL:
        return find_in_subprotocols(fields, place->name, token);
    }
    return 0;
}

static bool is_apikey(const struct token_place *place) {
    return place->kind == TOKEN_IN_QUERY && str_eq(place->name, STR("apikey"));
}

void credentials_read_places(struct credentials *c, const struct token_place *places, size_t n,
                             struct fields fields, struct str query) {
    struct str token = STR_NONE, apikey = STR_NONE;
    size_t n_tokens = fields_count(fields, FIELD_AUTHORIZATION);
    bool has_authorization = n_tokens > 0;
    for (size_t i = 0; i < n; i++)
        if (is_apikey(&places[i]))
            find_in(&places[i], fields, query, &apikey);
        else
            n_tokens += find_in(&places[i], fields, query, &token);
    note_doubled(c, n_tokens > 1,
                 "more than one token in Authorization, the query and Sec-WebSocket-Protocol");
    if (has_authorization)
        return;
    if (n_tokens == 0)
        token = apikey;
    if (token.at && (n_tokens > 0 || token.n > 0)) {
        c->is_malformed = !is_b64token(token);
        c->bearer = c->is_malformed ? STR_NONE : token;
    }
}
