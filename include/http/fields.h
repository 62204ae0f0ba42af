/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "base/str.h"

/* Header fields that somebody in the gateway asks for by name. The parser marks each field with its id once, so that
 * nobody compares names later. FIELD_OTHER is every other name. */
/* clang-format off */
#define FIELD_IDS(X) \
    X(ACCEPT, "accept") X(AC_REQUEST_HEADERS, "access-control-request-headers") \
    X(AC_REQUEST_METHOD, "access-control-request-method") X(AUTHORIZATION, "authorization") X(APIKEY, "apikey") \
    X(CONNECTION, "connection") X(CONTENT_LENGTH, "content-length") X(CONTENT_LOCATION, "content-location") \
    X(CONTENT_TYPE, "content-type") X(DATE, "date") \
    X(EXPECT, "expect") X(FORWARDED, "forwarded") X(HOST, "host") X(KEEP_ALIVE, "keep-alive") \
    X(LOCATION, "location") X(ORIGIN, "origin") X(PROXY_AUTHENTICATE, "proxy-authenticate") \
    X(PROXY_AUTHORIZATION, "proxy-authorization") X(PROXY_CONNECTION, "proxy-connection") X(RATELIMIT, "ratelimit") \
    X(RATELIMIT_POLICY, "ratelimit-policy") X(RETRY_AFTER, "retry-after") X(SB_API_KEY, "sb-api-key") \
    X(SB_FORWARDED_FOR, "sb-forwarded-for") X(SERVER, "server") X(TE, "te") X(TRACEPARENT, "traceparent") \
    X(TRACESTATE, "tracestate") X(TRAILER, "trailer") X(TRANSFER_ENCODING, "transfer-encoding") X(UPGRADE, "upgrade") \
    X(USER_AGENT, "user-agent") X(VIA, "via") X(X_API_KEY, "x-api-key") X(X_FORWARDED_FOR, "x-forwarded-for") \
    X(X_FORWARDED_HOST, "x-forwarded-host") X(X_FORWARDED_PORT, "x-forwarded-port") \
    X(X_FORWARDED_PREFIX, "x-forwarded-prefix") X(X_FORWARDED_PROTO, "x-forwarded-proto") X(X_REQUEST_ID, "x-request-id") \
    X(X_SUPABASE_API_VERSION, "x-supabase-api-version") X(X_REGION, "x-region") \
    X(AC_ALLOW_ORIGIN, "access-control-allow-origin") X(AC_EXPOSE_HEADERS, "access-control-expose-headers") \
    X(FLY_CLIENT_IP, "fly-client-ip") X(FLY_FORWARDED_PORT, "fly-forwarded-port") \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key") X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol") \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version")
/* clang-format on */

enum field_id {
    FIELD_OTHER,
#define X(id, text) FIELD_##id,
    FIELD_IDS(X)
#undef X
        FIELD_ID_COUNT,
};

struct field {
    struct str name, value; /* the name as it was sent; the value without outer white space */
    enum field_id id;
};

/* The id of a name, a token in any case; FIELD_OTHER when nobody asks for it. */
enum field_id field_id_of(struct str name);
struct str field_name(enum field_id id); /* lower case; not for FIELD_OTHER */

/* A list of fields in their order. Borrowed. */
struct fields {
    const struct field *list;
    size_t n;
    uint64_t absent; /* bits, by id, of those that are known not to be there; 0 says nothing */
};
static_assert(FIELD_ID_COUNT <= 64, "each id has its bit in `absent`");

/* The first field with this id, or NULL. */
const struct field *fields_find(struct fields fields, enum field_id id);
size_t fields_count(struct fields fields, enum field_id id);
/* Does any field with this id list the token (comma separated, any case; RFC 9110 5.6.1)? */
bool fields_list_has(struct fields fields, enum field_id id, struct str token);

/* Hop by hop (RFC 9110 7.6.1): Connection, Keep-Alive, Proxy-Authenticate, -Authorization, -Authentication-Info, -Connection (not
 * Proxy-Status), TE, Trailer, Transfer-Encoding, Upgrade, Content-Length and Expect (both written anew), underscore twins of the
 * two lengths and of Proxy-Authorization, and every name that a Connection field of `fields` lists. */
bool field_is_hop_by_hop(const struct field *field, struct fields fields);
/* Names that belong to the gateway and never pass from the client to the upstream: x-jotgate-*, sb-forwarded-for,
 * sb-api-key, forwarded, x-forwarded-*, fly-*, x-api-key, via, x-request-id, what frameworks take for the client's
 * address (x-real-ip, true-client-ip, cf-connecting-ip), the proxy to use (proxy) or the path (x-original-url,
 * x-rewrite-url), and their twins, with '_' or any other mark where these have '-'. */
bool field_is_gateway_owned(struct str name);
/* Names that never pass from the upstream to the client: fly-* (Fly would obey fly-replay) and x-jotgate-*. */
bool field_is_forbidden_in_answer(struct str name);

/* Append "name: value" and CR LF. */
int put_field(struct buffer *out, struct str name, struct str value) MUST_USE;

/* RFC 9110 5.6.2 token; RFC 9110 5.5 value without controls (HTAB allowed). */
bool is_token(struct str s);
bool is_field_value(struct str s);
