/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/fields.h"

/* What the caller sent to say who it is; borrowed from the head. A string's at is NULL when the
 * field is absent. */
struct credentials {
    struct str bearer; /* after "Bearer " (any case, one or more spaces), one RFC 6750 b64token */
    struct str authorization; /* the whole value of another scheme, passed on as it is */
    struct str apikey;        /* header, else query (still encoded) where there is no header */
    bool apikey_in_query;
    /* jotgate's own API key ("jg_..."), from x-api-key or from where Supabase's clients put the key that they are made with
     * (bearer, apikey, which are then as if absent, and must not be passed on). */
    struct str api_key;
    bool hides_authorization, hides_apikey;
    /* What came more than once, in words; NULL: nothing. Authorization, the apikey header, apikey in the query, x-api-key; a header
     * and a query, or API keys, that differ. */
    const char *doubled;
    bool is_malformed; /* "Bearer" with nothing or with anything but one token */
};
void credentials_read(struct credentials *credentials, struct fields fields, struct str query);

/* Where else a route's callers may show their token: browsers cannot send Authorization with a WebSocket or an EventSource. */
struct token_place {
    enum token_place_kind {
        TOKEN_IN_QUERY,       /* the parameter `name` */
        TOKEN_IN_SUBPROTOCOL, /* Sec-WebSocket-Protocol: a member that begins with `name` ("jwt-") */
    } kind;
    struct str name;
};
/* After credentials_read: the bearer, where one of these places has one. Two tokens in two places (Authorization is one) are doubled, also when
 * they are alike (RFC 6750 2); the parameter `apikey` is only looked at when no other place has a token, for it is sent beside them. */
void credentials_read_places(struct credentials *credentials, const struct token_place *places,
                             size_t n, struct fields fields, struct str query);
