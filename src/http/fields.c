/* SPDX-License-Identifier: MIT */
/* Names of fields. A name is looked up once, by its length, first and last but one byte, which tell all known names apart:
 * one slot, one comparison. A name that is added to FIELD_IDS needs its line here (the test finds a missing one, the compiler
 * two in the same slot: then choose other factors). */
#include "http/fields.h"

#include "base/pen.h"
#include "http/octets.h"
#include <assert.h>

/* clang-format off */
#define SLOT(n, first, last_but_one) (((n) + (first) * 9 + (last_but_one) * 20) & 255)
static const uint8_t slots[256] = {
    [SLOT(6, 'a', 'p')] = FIELD_ACCEPT, [SLOT(30, 'a', 'r')] = FIELD_AC_REQUEST_HEADERS,
    [SLOT(29, 'a', 'o')] = FIELD_AC_REQUEST_METHOD, [SLOT(13, 'a', 'o')] = FIELD_AUTHORIZATION,
    [SLOT(6, 'a', 'e')] = FIELD_APIKEY, [SLOT(10, 'c', 'o')] = FIELD_CONNECTION,
    [SLOT(14, 'c', 't')] = FIELD_CONTENT_LENGTH, [SLOT(12, 'c', 'p')] = FIELD_CONTENT_TYPE,
    [SLOT(16, 'c', 'o')] = FIELD_CONTENT_LOCATION,
    [SLOT(4, 'd', 't')] = FIELD_DATE, [SLOT(6, 'e', 'c')] = FIELD_EXPECT,
    [SLOT(9, 'f', 'e')] = FIELD_FORWARDED, [SLOT(4, 'h', 's')] = FIELD_HOST,
    [SLOT(10, 'k', 'v')] = FIELD_KEEP_ALIVE, [SLOT(8, 'l', 'o')] = FIELD_LOCATION,
    [SLOT(6, 'o', 'i')] = FIELD_ORIGIN, [SLOT(18, 'p', 't')] = FIELD_PROXY_AUTHENTICATE,
    [SLOT(19, 'p', 'o')] = FIELD_PROXY_AUTHORIZATION, [SLOT(16, 'p', 'o')] = FIELD_PROXY_CONNECTION,
    [SLOT(9, 'r', 'i')] = FIELD_RATELIMIT, [SLOT(16, 'r', 'c')] = FIELD_RATELIMIT_POLICY,
    [SLOT(11, 'r', 'e')] = FIELD_RETRY_AFTER, [SLOT(10, 's', 'e')] = FIELD_SB_API_KEY,
    [SLOT(16, 's', 'o')] = FIELD_SB_FORWARDED_FOR, [SLOT(6, 's', 'e')] = FIELD_SERVER,
    [SLOT(2, 't', 't')] = FIELD_TE, [SLOT(11, 't', 'n')] = FIELD_TRACEPARENT,
    [SLOT(10, 't', 't')] = FIELD_TRACESTATE, [SLOT(7, 't', 'e')] = FIELD_TRAILER,
    [SLOT(17, 't', 'n')] = FIELD_TRANSFER_ENCODING, [SLOT(7, 'u', 'd')] = FIELD_UPGRADE,
    [SLOT(10, 'u', 'n')] = FIELD_USER_AGENT, [SLOT(3, 'v', 'i')] = FIELD_VIA,
    [SLOT(9, 'x', 'e')] = FIELD_X_API_KEY, [SLOT(15, 'x', 'o')] = FIELD_X_FORWARDED_FOR,
    [SLOT(16, 'x', 's')] = FIELD_X_FORWARDED_HOST, [SLOT(16, 'x', 'r')] = FIELD_X_FORWARDED_PORT,
    [SLOT(18, 'x', 'i')] = FIELD_X_FORWARDED_PREFIX, [SLOT(17, 'x', 't')] = FIELD_X_FORWARDED_PROTO,
    [SLOT(12, 'x', 'i')] = FIELD_X_REQUEST_ID, [SLOT(22, 'x', 'o')] = FIELD_X_SUPABASE_API_VERSION,
    [SLOT(8, 'x', 'o')] = FIELD_X_REGION, [SLOT(27, 'a', 'i')] = FIELD_AC_ALLOW_ORIGIN,
    [SLOT(29, 'a', 'r')] = FIELD_AC_EXPOSE_HEADERS, [SLOT(13, 'f', 'i')] = FIELD_FLY_CLIENT_IP,
    [SLOT(18, 'f', 'r')] = FIELD_FLY_FORWARDED_PORT, [SLOT(17, 's', 'e')] = FIELD_SEC_WEBSOCKET_KEY,
    [SLOT(21, 's', 'o')] = FIELD_SEC_WEBSOCKET_VERSION, [SLOT(22, 's', 'o')] = FIELD_SEC_WEBSOCKET_PROTOCOL,
};
/* clang-format on */

static const struct str names[FIELD_ID_COUNT] = {
#define X(id, text) [FIELD_##id] = {text, sizeof(text) - 1},
    FIELD_IDS(X)
#undef X
};

static int lower(char byte) { return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte; }

#define LOWER UINT64_C(0x2020202020202020)

static uint64_t eight_lower(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return bytes | LOWER;
}

static uint32_t four_lower(const char *at) {
    uint32_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return bytes | (uint32_t)LOWER;
}

/* Of a token with a name of ours, which are lower case letters and '-': no byte of a token but the same letter becomes one of
 * them when its bit of case is set. The last bytes may be looked at twice. */
static bool same_name(struct str name, struct str known) {
    size_t n = name.n;
    const char *a = name.at, *b = known.at;
    if (n != known.n)
        return false;
    for (size_t at = 0; at + 8 < n; at += 8)
        if (eight_lower(a + at) != eight_lower(b + at))
            return false;
    if (n >= 8)
        return eight_lower(a + n - 8) == eight_lower(b + n - 8);
    if (n >= 4)
        return four_lower(a) == four_lower(b) && four_lower(a + n - 4) == four_lower(b + n - 4);
    for (size_t at = 0; at < n; at++)
        if ((a[at] | 0x20) != b[at])
            return false;
    return true;
}

enum field_id field_id_of(struct str name) {
    if (name.n < 2)
        return FIELD_OTHER;
    unsigned slot =
        SLOT((unsigned)name.n, (unsigned)lower(name.at[0]), (unsigned)lower(name.at[name.n - 2]));
    enum field_id id = (enum field_id)slots[slot];
    return id != FIELD_OTHER && same_name(name, names[id]) ? id : FIELD_OTHER;
}

struct str field_name(enum field_id id) {
    assert(id > FIELD_OTHER && id < FIELD_ID_COUNT);
    return names[id];
}

static bool may_have(const struct fields *fields, enum field_id id) {
    return !(fields->absent >> id & 1);
}

const struct field *fields_find(struct fields fields, enum field_id id) {
    if (!may_have(&fields, id))
        return NULL;
    for (size_t i = 0; i < fields.n; i++)
        if (fields.list[i].id == id)
            return &fields.list[i];
    return NULL;
}

size_t fields_count(struct fields fields, enum field_id id) {
    size_t count = 0;
    for (size_t i = 0; may_have(&fields, id) && i < fields.n; i++)
        count += fields.list[i].id == id;
    return count;
}

static bool list_has(struct str list, struct str token) {
    struct str part;
    while (str_split(&list, ',', &part))
        if (str_eq_nocase(str_trim(part), token))
            return true;
    return false;
}

bool fields_list_has(struct fields fields, enum field_id id, struct str token) {
    for (size_t i = 0; may_have(&fields, id) && i < fields.n; i++)
        if (fields.list[i].id == id && list_has(fields.list[i].value, token))
            return true;
    return false;
}

/* CGI and its children turn every byte that is no letter or digit into '_', and tell neither of them from '-'. So names are
 * compared the way the most forgetful upstream would read them. */
static bool reads_as(struct str name, struct str known, bool as_prefix) {
    if (name.n < known.n || (!as_prefix && name.n != known.n))
        return false;
    for (size_t i = 0; i < known.n; i++) {
        int byte = octet_is(name.at[i], OCTET_ALNUM) ? lower(name.at[i]) : '-';
        if (byte != known.at[i])
            return false;
    }
    return true;
}

struct owned_name {
    struct str name;
    bool is_prefix;
};

#define LETTER(letter) (UINT32_C(1) << ((letter) - 'a'))

/* Most names differ from all that are listed by their first byte, one of `letters` (the test finds a missing one). */
static bool is_listed(struct str name, uint32_t letters, const struct owned_name *list, size_t n) {
    int first = name.n > 0 ? lower(name.at[0]) : 0;
    if (first < 'a' || first > 'z' || !(letters & LETTER(first)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (reads_as(name, list[i].name, list[i].is_prefix))
            return true;
    return false;
}

/* clang-format off */
#define NAME(text) {{text, sizeof(text) - 1}, false}
#define PREFIX(text) {{text, sizeof(text) - 1}, true}
/* clang-format on */

bool field_is_hop_by_hop(const struct field *field, struct fields fields) {
    static const struct owned_name twins[] = {NAME("content-length"), NAME("transfer-encoding"),
                                              NAME("proxy-authorization"),
                                              NAME("proxy-authentication-info")};
    switch ((int)field->id) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_EXPECT:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_AUTHENTICATE:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    default:
        return is_listed(field->name, LETTER('c') | LETTER('t') | LETTER('p'), twins,
                         sizeof(twins) / sizeof(twins[0])) ||
               fields_list_has(fields, FIELD_CONNECTION, field->name);
    }
}

bool field_is_gateway_owned(struct str name) {
    static const struct owned_name owned[] = {
        PREFIX("x-jotgate-"),
        PREFIX("x-forwarded-"),
        PREFIX("fly-"),
        NAME("sb-forwarded-for"),
        NAME("sb-api-key"),
        NAME("forwarded"),
        NAME("x-api-key"),
        NAME("x-request-id"),
        NAME("via"),
        /* what others' frameworks take for the client's address, the proxy to use (httpoxy), or the path */
        NAME("x-real-ip"),
        NAME("true-client-ip"),
        NAME("cf-connecting-ip"),
        NAME("proxy"),
        NAME("x-original-url"),
        NAME("x-rewrite-url"),
    };
    const uint32_t letters = LETTER('x') | LETTER('f') | LETTER('s') | LETTER('v') | LETTER('t') |
                             LETTER('c') | LETTER('p');
    return is_listed(name, letters, owned, sizeof(owned) / sizeof(owned[0]));
}

bool field_is_forbidden_in_answer(struct str name) {
    static const struct owned_name forbidden[] = {PREFIX("fly-"), PREFIX("x-jotgate-")};
    return is_listed(name, LETTER('f') | LETTER('x'), forbidden,
                     sizeof(forbidden) / sizeof(forbidden[0]));
}

int put_field(struct buffer *out, struct str name, struct str value) {
    char *room;
    TRY(buffer_reserve(out, name.n + value.n + strlen(": \r\n"), &room));
    char *end = pen_str(pen_str(room, name), STR(": "));
    end = pen_str(pen_str(end, value), STR("\r\n"));
    buffer_commit(out, (size_t)(end - room));
    return 0;
}

bool is_token(struct str s) { return s.n > 0 && octets_span(s, OCTET_TOKEN) == s.n; }

bool is_field_value(struct str s) { return value_span(s) == s.n; }
