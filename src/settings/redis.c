/* SPDX-License-Identifier: MIT */
/* The section `redis`: where the limits of several machines are counted. */
#include "http/octets.h"
#include "read.h"

#define AT(field)       offsetof(struct redis_settings, field)
#define PREFIX_BYTES    64
#define TIMEOUT_NS_MOST (10 * NS_PER_S)
#define MACHINES_MOST   10000

/* What was written is not repeated: it may hold a password. */
static bool read_redis_url(struct reader *r, const struct branch *b, void *target) {
    struct redis_settings *redis = target;
    const char *why;
    if (!read_scalar(r, b, &redis->url, NULL))
        return false;
    if (redis->url.n == 0)
        return true;
    if (redis_url_parse(redis->url, &redis->target, r->arena, &why))
        return true;
    reader_error(r, b, "%s", why);
    return false;
}

/* Braces would decide which node of a Cluster keeps a key. */
static bool read_prefix(struct reader *r, const struct branch *b, void *target) {
    struct str *prefix = target;
    if (!read_scalar(r, b, prefix, NULL))
        return false;
    if (prefix->n <= PREFIX_BYTES && octets_span(*prefix, OCTET_TARGET) == prefix->n &&
        str_index(*prefix, '{') == prefix->n && str_index(*prefix, '}') == prefix->n)
        return true;
    reader_error(r, b, "expected at most %d visible ASCII characters without { and }",
                 PREFIX_BYTES);
    return false;
}

static bool read_mode(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"leased", "exact"};
    return read_choice(r, b, names, 2, target);
}

static bool read_on_failure(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"share", "open", "closed"};
    return read_choice(r, b, names, 3, target);
}

static bool read_call_timeout(struct reader *r, const struct branch *b, void *target) {
    if (!read_timeout(r, b, target))
        return false;
    if (*(int64_t *)target <= TIMEOUT_NS_MOST)
        return true;
    reader_error(r, b, "expected at most 10s: every request may wait for so long");
    return false;
}

static bool read_machines(struct reader *r, const struct branch *b, void *target) {
    if (!read_count(r, b, target))
        return false;
    if (*(size_t *)target <= MACHINES_MOST)
        return true;
    reader_error(r, b, "expected at most %d", MACHINES_MOST);
    return false;
}

bool read_redis(struct reader *r, const struct branch *b, void *target) {
    /* clang-format off */
    static const struct entry entries[] = {
        {"url",               read_redis_url,    0,                     "${REDIS_URL:-}"},
        {"ca_file",           read_string,       AT(target.ca_file),    ""},
        {"prefix",            read_prefix,       AT(prefix),            "jotgate:"},
        {"mode",              read_mode,         AT(mode),              "leased"},
        {"on_failure",        read_on_failure,   AT(on_failure),        "share"},
        {"timeout",           read_call_timeout, AT(timeout_ns),        "50ms"},
        {"expected_machines", read_machines,     AT(expected_machines), "1"},
    };
    /* clang-format on */
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}
