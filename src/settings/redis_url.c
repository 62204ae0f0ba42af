/* SPDX-License-Identifier: MIT */
#include "settings/redis_url.h"
#include "base/cidr.h"
#include "http/octets.h"
#include "http/target.h"

#define DB_MOST       9999
#define SERVICE_BYTES 128

struct scheme {
    struct str name;
    enum redis_topology topology;
    bool is_tls, is_unix;
};

/* clang-format off */
static const struct scheme schemes[] = {
    {STR("redis://"),           REDIS_SINGLE,   false, false},
    {STR("rediss://"),          REDIS_SINGLE,   true,  false},
    {STR("unix://"),            REDIS_SINGLE,   false, true},
    {STR("redis+sentinel://"),  REDIS_SENTINEL, false, false},
    {STR("rediss+sentinel://"), REDIS_SENTINEL, true,  false},
    {STR("redis+cluster://"),   REDIS_CLUSTER,  false, false},
    {STR("rediss+cluster://"),  REDIS_CLUSTER,  true,  false},
};
/* clang-format on */

static const struct scheme *scheme_of(struct str url) {
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (str_starts(url, schemes[i].name))
            return &schemes[i];
    return NULL;
}

/* ---- user and password */

static bool decode(struct str text, struct arena *arena, struct str *out) {
    char *at = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; at && i < text.n; i++) {
        if (text.at[i] != '%') {
            at[n++] = text.at[i];
            continue;
        }
        int high = i + 2 < text.n ? hex_digit(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;
        if (low < 0)
            return false;
        at[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *out = (struct str){at, n};
    return at;
}

/* What stands before the last '@' of *rest; *rest moves behind it. */
static bool take_login(struct str *rest, struct redis_target *target, struct arena *arena,
                       const char **why) {
    size_t end = str_index(*rest, '/'), at = end;
    while (at > 0 && rest->at[at - 1] != '@')
        at--;
    if (at == 0)
        return true;
    struct str login = str_first(*rest, at - 1);
    *rest = str_skip(*rest, at);
    size_t colon = str_index(login, ':');
    *why = "expected USER:PASSWORD@ or :PASSWORD@, percent-encoded where they have other than "
           "letters and digits";
    return colon + 1 < login.n && decode(str_first(login, colon), arena, &target->user) &&
           decode(str_skip(login, colon + 1), arena, &target->password);
}

/* ---- addresses */

static bool parse_address(struct str text, uint16_t default_port, struct redis_address *address) {
    size_t end = text.n;
    uint64_t port = default_port;
    if (text.n == 0 || !host_is_valid(text))
        return false;
    while (end > 0 && text.at[end - 1] >= '0' && text.at[end - 1] <= '9')
        end--;
    if (end > 0 && end < text.n && text.at[end - 1] == ':') {
        if (!str_to_u64(str_skip(text, end), &port))
            return false;
        text = str_first(text, end - 1);
    }
    if (text.n > 1 && text.at[0] == '[')
        text = (struct str){text.at + 1, text.n - 2};
    *address = (struct redis_address){text, (uint16_t)port};
    return text.n > 0;
}

static bool parse_addresses(struct str list, struct redis_target *target, const char **why) {
    struct str part;
    *why = "expected HOST or HOST:PORT behind the scheme (a password's '/' is %2F, its '@' %40)";
    while (list.at && str_split(&list, ',', &part)) {
        if (target->n == (target->topology == REDIS_SINGLE ? 1 : REDIS_ADDRESSES_MAX)) {
            *why = "expected one host; several are for redis+sentinel:// and redis+cluster://, and "
                   "at most 16";
            return false;
        }
        if (!parse_address(part, target->topology == REDIS_SENTINEL ? 26379 : 6379,
                           &target->addresses[target->n++]))
            return false;
    }
    return target->n > 0;
}

/* ---- what follows them */

static bool parse_db(struct str text, uint32_t *db, const char **why) {
    uint64_t value = 0;
    *why = "expected the number of a database, like /0";
    if (text.n > 0 && (!str_to_u64(text, &value) || value > DB_MOST))
        return false;
    *db = (uint32_t)value;
    return true;
}

static bool parse_service(struct str *path, struct redis_target *target, const char **why) {
    size_t end = str_index(*path, '/');
    target->service = str_first(*path, end);
    *path = end < path->n ? str_skip(*path, end + 1) : STR_NONE;
    *why = "expected the service's name behind the Sentinels, like /mymaster";
    return end > 0 && end <= SERVICE_BYTES && octets_span(target->service, OCTET_TARGET) == end;
}

static bool parse_internet(struct str rest, struct redis_target *target, const char **why) {
    size_t slash = str_index(rest, '/');
    struct str path = slash < rest.n ? str_skip(rest, slash + 1) : STR_NONE;
    if (!parse_addresses(str_first(rest, slash), target, why) ||
        (target->topology == REDIS_SENTINEL && !parse_service(&path, target, why)) ||
        !parse_db(path, &target->db, why))
        return false;
    *why = "a Redis Cluster has database 0 only";
    return target->topology != REDIS_CLUSTER || target->db == 0;
}

static bool parse_unix(struct str rest, struct redis_target *target, const char **why) {
    size_t query = str_index(rest, '?');
    struct str path = str_first(rest, query), db = str_skip(rest, query);
    target->addresses[target->n++] = (struct redis_address){.host = path};
    *why = "expected unix:///PATH or unix:///PATH?db=N, the path shorter than 108 bytes";
    return path.n > 1 && path.n < 108 && path.at[0] == '/' &&
           (db.n == 0 ||
            (str_starts(db, STR("?db=")) && parse_db(str_skip(db, 4), &target->db, why)));
}

bool redis_url_parse(struct str url, struct redis_target *target, struct arena *arena,
                     const char **why) {
    const struct scheme *scheme = scheme_of(url);
    *target = (struct redis_target){0};
    *why = "expected redis://HOST:PORT, rediss://, unix:///PATH, redis+sentinel:// or "
           "redis+cluster://";
    if (!scheme || octets_span(url, OCTET_TARGET) < url.n)
        return false;
    struct str rest = str_skip(url, scheme->name.n);
    target->topology = scheme->topology;
    target->is_tls = scheme->is_tls;
    return take_login(&rest, target, arena, why) &&
           (scheme->is_unix ? parse_unix(rest, target, why) : parse_internet(rest, target, why));
}
