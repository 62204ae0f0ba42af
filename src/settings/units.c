/* SPDX-License-Identifier: MIT */
#include "settings/units.h"

#include "http/target.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits, then exactly one of the units. */
static bool split_number(struct str text, const struct unit *units, size_t n_units, uint64_t max,
                         uint64_t *value) {
    size_t digits = 0;
    uint64_t number;
    while (digits < text.n && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    if (!str_to_u64(str_first(text, digits), &number))
        return false;
    for (size_t i = 0; i < n_units; i++)
        if (str_eq(str_skip(text, digits), str_of(units[i].name))) {
            if (number > max / (uint64_t)units[i].factor)
                return false;
            *value = number * (uint64_t)units[i].factor;
            return true;
        }
    return false;
}

bool unit_duration(struct str text, int64_t *ns, const char **why) {
    static const struct unit units[] = {{"ms", NS_PER_MS},
                                        {"s", NS_PER_S},
                                        {"m", 60 * NS_PER_S},
                                        {"h", 3600 * NS_PER_S},
                                        {"d", 86400 * NS_PER_S}};
    uint64_t value;
    *why = "expected a duration: a whole number and ms, s, m, h or d, like 500ms, 30s, 10m, 24h "
           "(at most 10 years)";
    if (!split_number(text, units, 5, UINT64_C(315360000) * NS_PER_S, &value))
        return false;
    *ns = (int64_t)value;
    return true;
}

bool unit_size(struct str text, uint64_t *bytes, const char **why) {
    static const struct unit units[] = {
        {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    *why = "expected a size: a whole number of bytes, or with KiB, MiB or GiB, like 64KiB";
    return split_number(text, units, 4, UINT64_C(1) << 53, bytes);
}

bool unit_rate(struct str text, struct bucket_rule *rule, const char **why) {
    static const struct unit units[] = {{"second", NS_PER_S},
                                        {"minute", 60 * NS_PER_S},
                                        {"hour", 3600 * NS_PER_S},
                                        {"day", 86400 * NS_PER_S}};
    size_t slash = str_index(text, '/');
    uint64_t count;
    *why = "expected a rate: a whole number from 1 to 1000000000 per second, minute, hour or day, "
           "like 1200/minute";
    if (slash == text.n || !str_to_u64(str_first(text, slash), &count) || count < 1 ||
        count > 1000000000)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_eq(str_skip(text, slash + 1), str_of(units[i].name))) {
            *rule = (struct bucket_rule){
                .period_ns = units[i].factor, .count = (int64_t)count, .burst = (int64_t)count};
            return true;
        }
    return false;
}

bool unit_quota(struct str text, struct window_rule *rule, const char **why) {
    static const enum window_kind kinds[] = {WINDOW_DAY, WINDOW_WEEK, WINDOW_MONTH};
    size_t slash = str_index(text, '/');
    uint64_t limit;
    *why = "expected a quota: a whole number from 1 to 1000000000000 per day, week or month, like "
           "5000/day";
    if (slash == text.n || !str_to_u64(str_first(text, slash), &limit) || limit < 1 ||
        limit > (uint64_t)WINDOW_LIMIT_MAX)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_eq(str_skip(text, slash + 1), str_of(window_kind_name(kinds[i])))) {
            *rule = (struct window_rule){
                .kind = kinds[i], .anchor_day = 1, .limit = (int64_t)limit, .zone = &ZONE_UTC};
            return true;
        }
    return false;
}

/* host[:port] after the scheme. */
static bool split_authority(struct str authority, bool is_tls, struct origin *origin) {
    size_t end = authority.n;
    uint64_t port = is_tls ? 443 : 80;
    if (!host_is_valid(authority) || authority.n == 0)
        return false;
    while (end > 0 && authority.at[end - 1] >= '0' && authority.at[end - 1] <= '9')
        end--;
    bool has_port = end > 0 && end < authority.n && authority.at[end - 1] == ':';
    struct str host = has_port ? str_first(authority, end - 1) : authority;
    if (has_port && (!str_to_u64(str_skip(authority, end), &port) || port < 1 || port > 65535))
        return false;
    if (host.n > 1 && host.at[0] == '[')
        host = (struct str){host.at + 1, host.n - 2};
    origin->host = host;
    origin->port = (uint16_t)port;
    origin->host_header =
        has_port && port == (is_tls ? 443u : 80u) ? str_first(authority, end - 1) : authority;
    return host.n > 0;
}

bool unit_origin(struct str url, struct origin *origin, struct arena *arena, const char **why) {
    struct str own = arena_copy(arena, url);
    *origin = (struct origin){0};
    *why = "expected a URL: http://host:port, https://host, or unix:/path, without user, query and "
           "fragment";
    if (!own.at)
        return false;
    for (size_t i = 0; i < own.n; i++)
        if ((unsigned char)own.at[i] < ' ' || own.at[i] == 127)
            return false;
    if (str_starts(own, STR("unix:/"))) {
        origin->host = str_skip(own, 5);
        origin->host_header = STR("localhost");
        return own.n - 5 < 108;
    }
    origin->is_tls = str_starts(own, STR("https://"));
    if (!origin->is_tls && !str_starts(own, STR("http://")))
        return false;
    struct str rest = str_skip(own, origin->is_tls ? 8 : 7);
    size_t slash = str_index(rest, '/');
    struct str path = str_skip(rest, slash);
    while (str_ends(path, STR("/")))
        path.n--;
    for (size_t i = 0; i < path.n; i++)
        if (path.at[i] <= ' ' || path.at[i] >= 127 || path.at[i] == '?' || path.at[i] == '#')
            return false;
    origin->base_path = path;
    return split_authority(str_first(rest, slash), origin->is_tls, origin);
}
