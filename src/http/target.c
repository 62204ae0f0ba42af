/* SPDX-License-Identifier: MIT */
/* The target, and the forms of its path. An upstream may decode the path once or twice, read '\' as '/', drop what follows
 * a ';', merge slashes and resolve dots, or do none of it. Routes are matched on the raw path and on the two forms that the
 * most lenient of them would end with; where these do not agree, the path is refused.
 *
 *     raw path ---decode---> once ---decode---> again
 *                              |                  |
 *                          simplify           simplify
 *                              v                  v
 *                            normal             twice   */
#include "http/target.h"

#include "base/cidr.h"
#include "http/octets.h"
#include <assert.h>

#define HOST_BYTES_MAX 255

/* ---- host ---- */

static bool is_port(struct str s) {
    uint64_t port;
    return s.n > 0 && s.n <= 5 && s.at[0] != '0' && str_to_u64(s, &port) && port <= 65535;
}

static bool is_host_name(struct str s) {
    bool in_label = false;
    for (size_t i = 0; i < s.n; i++) {
        bool is_dot = s.at[i] == '.';
        if (is_dot ? !in_label : !octet_is(s.at[i], OCTET_HOST))
            return false;
        in_label = !is_dot;
    }
    return s.n > 0 && s.n <= HOST_BYTES_MAX;
}

static bool is_ipv6(struct str s) {
    struct ip ip;
    return str_index(s, ':') < s.n && ip_parse(s, &ip);
}

bool host_is_valid(struct str host) {
    bool is_bracketed = host.n > 0 && host.at[0] == '[';
    size_t end = str_index(host, is_bracketed ? ']' : ':');
    if (is_bracketed && (end == host.n || !is_ipv6(str_skip(str_first(host, end), 1))))
        return false;
    if (!is_bracketed && !is_host_name(str_first(host, end)))
        return false;
    struct str rest = str_skip(host, is_bracketed ? end + 1 : end);
    return rest.n == 0 || (rest.at[0] == ':' && is_port(str_skip(rest, 1)));
}

/* ---- the path's forms ---- */

/* The byte that "%XX" at the front of `s` stands for; -1 when there is none. */
static int percent_byte(struct str s) {
    if (s.n < 3 || s.at[0] != '%')
        return -1;
    int high = hex_digit(s.at[1]), low = hex_digit(s.at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Is there a UTF-8 form that is longer than needed (RFC 3629 3)? A careless decoder reads %c0%ae as '.'. */
static bool has_overlong(struct str s) {
    for (size_t i = 0; i + 1 < s.n; i++) {
        unsigned char first = (unsigned char)s.at[i], second = (unsigned char)s.at[i + 1];
        bool continues = (second & 0xc0) == 0x80;
        if (continues && (first == 0xc0 || first == 0xc1))
            return true;
        if (continues && ((first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90)))
            return true;
    }
    return false;
}

/* Decodes `in` into `out` (room for in.n); what is no "%XX" stays as it is. False for bytes that no path may mean. */
static bool decode(struct str in, char *out, struct str *decoded) {
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        int byte = percent_byte(str_skip(in, i));
        if (byte >= 0 && (byte < 0x20 || byte == 0x7f))
            return false;
        out[n++] = byte >= 0 ? (char)byte : in.at[i];
        i += byte >= 0 ? 2 : 0;
    }
    *decoded = (struct str){out, n};
    return !has_overlong(*decoded);
}

static bool is_slash(char byte) { return byte == '/' || byte == '\\'; }

/* Where the last segment of the `n` bytes at `at` begins, its slash included. */
static size_t parent_end(const char *at, size_t n) {
    while (n > 0 && at[n - 1] != '/')
        n--;
    return n > 0 ? n - 1 : 0;
}

/* Rewrites `path` in place, which only shrinks: segments are moved up to the end of what stays. */
static struct str simplify(char *path, size_t path_n, bool *is_evasive) {
    assert(path_n > 0 && is_slash(path[0]));
    size_t kept = 0, at = 0;
    bool ends_open = true; /* the last thing seen leaves a '/' at the end */
    while (at < path_n) {
        size_t from = ++at; /* behind a slash */
        while (at < path_n && !is_slash(path[at]))
            at++;
        struct str segment = {path + from, at - from};
        segment = str_first(segment, str_index(segment, ';'));
        ends_open = segment.n == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
        if (str_eq(segment, STR(".."))) {
            kept = parent_end(path, kept);
            *is_evasive = true;
        }
        if (ends_open)
            continue;
        path[kept++] = '/';
        memmove(path + kept, segment.at, segment.n);
        kept += segment.n;
    }
    if (ends_open)
        path[kept++] = '/';
    return (struct str){path, kept};
}

static bool is_plain(struct str path) {
    for (size_t i = 0; i < path.n; i++) {
        char byte = path.at[i], next = i + 1 < path.n ? path.at[i + 1] : 'x';
        if (byte == '%' || byte == '\\' || byte == ';' ||
            (byte == '/' && (next == '/' || next == '.')))
            return false;
    }
    return true;
}

static bool percents_are_whole(struct str path) {
    for (size_t i = str_index(path, '%'); i < path.n; i++)
        if (path.at[i] == '%' && percent_byte(str_skip(path, i)) < 0)
            return false;
    return true;
}

static bool has_percent_byte(struct str s) {
    for (size_t i = str_index(s, '%'); i < s.n; i++)
        if (percent_byte(str_skip(s, i)) >= 0)
            return true;
    return false;
}

static size_t count_byte(struct str s, char byte) {
    size_t n = 0;
    for (size_t i = str_index(s, byte); i < s.n; i++)
        n += s.at[i] == byte;
    return n;
}

/* A parameter ends at the next '/': who sees more of them (decoded ones, or '\\') cuts less. */
static bool parameters_end_differently(struct str raw, struct str decoded) {
    if (str_index(decoded, ';') == decoded.n)
        return false;
    return str_index(decoded, '\\') < decoded.n || count_byte(decoded, '/') != count_byte(raw, '/');
}

static enum target_verdict forms_make(struct target *target, struct arena *arena) {
    if (is_plain(target->path)) {
        target->normal = target->twice = target->path;
        return TARGET_OK;
    }
    char *once = arena_alloc(arena, target->path.n);
    if (!once)
        return TARGET_NO_MEMORY;
    struct str decoded, again = STR_NONE;
    if (!percents_are_whole(target->path) || !decode(target->path, once, &decoded))
        return TARGET_MALFORMED;
    if (has_percent_byte(decoded)) {
        char *twice = arena_alloc(arena, decoded.n);
        if (!twice)
            return TARGET_NO_MEMORY;
        if (!decode(decoded, twice, &again))
            return TARGET_MALFORMED;
        target->is_evasive = parameters_end_differently(target->path, again);
        again = simplify(twice, again.n, &target->is_evasive);
    }
    target->is_evasive = target->is_evasive || parameters_end_differently(target->path, decoded);
    target->normal = simplify(once, decoded.n, &target->is_evasive);
    target->twice = again.at && !str_eq(again, target->normal) ? again : target->normal;
    return TARGET_OK;
}

/* ---- the target ---- */

/* absolute-form (RFC 9112 3.2.2): *rest receives what follows the authority. */
static enum target_verdict authority_read(struct target *target, struct str raw, struct str *rest) {
    size_t colon = str_index(raw, ':');
    struct str scheme = str_first(raw, colon), after = str_skip(raw, colon);
    if (colon == 0 || !str_starts(after, STR("://")) || octets_span(scheme, OCTET_ALNUM) != colon)
        return TARGET_MALFORMED;
    if (!str_eq_nocase(scheme, STR("http")) && !str_eq_nocase(scheme, STR("https")))
        return TARGET_BAD_AUTHORITY;
    after = str_skip(after, 3);
    size_t slash = str_index(after, '/');
    size_t end = str_index(str_first(after, slash), '?');
    target->authority = str_first(after, end);
    *rest = str_skip(after, end);
    return host_is_valid(target->authority) ? TARGET_OK : TARGET_BAD_AUTHORITY;
}

static enum target_verdict asterisk(struct target *target, struct str method) {
    target->path = target->normal = target->twice = STR("*");
    return str_eq(method, STR("OPTIONS")) ? TARGET_OK : TARGET_MALFORMED;
}

enum target_verdict target_parse(struct target *target, struct str method, struct str raw,
                                 struct arena *arena) {
    *target = (struct target){0};
    if (raw.n == 0 || target_span(raw) != raw.n || str_index(raw, '#') < raw.n)
        return TARGET_MALFORMED;
    if (str_eq(raw, STR("*")))
        return asterisk(target, method);
    struct str rest = raw;
    if (raw.at[0] != '/') {
        enum target_verdict verdict = authority_read(target, raw, &rest);
        if (verdict != TARGET_OK)
            return verdict;
        /* RFC 9112 3.2.4: OPTIONS on an authority alone is meant for the server as a whole. */
        if (rest.n == 0 && str_eq(method, STR("OPTIONS")))
            return asterisk(target, method);
    }
    size_t mark = str_index(rest, '?');
    target->path = mark > 0 ? str_first(rest, mark) : STR("/");
    target->query = mark < rest.n ? str_skip(rest, mark + 1) : STR_NONE;
    return forms_make(target, arena);
}

/* ---- the query ---- */

/* Does `encoded` decode to `name`? */
static bool name_reads_as(struct str encoded, struct str name) {
    size_t n = 0;
    for (size_t i = 0; i < encoded.n; i++, n++) {
        int byte = percent_byte(str_skip(encoded, i));
        char meant = byte >= 0 ? (char)byte : encoded.at[i] == '+' ? ' ' : encoded.at[i];
        if (n == name.n || meant != name.at[n])
            return false;
        i += byte >= 0 ? 2 : 0;
    }
    return n == name.n;
}

struct str query_value(struct str query, struct str name, size_t *count) {
    struct str found = STR_NONE, pair;
    *count = 0;
    while (str_split(&query, '&', &pair)) {
        size_t equals = str_index(pair, '=');
        if (!name_reads_as(str_first(pair, equals), name))
            continue;
        if ((*count)++ == 0)
            found = str_skip(pair, equals < pair.n ? equals + 1 : equals);
    }
    return found;
}
