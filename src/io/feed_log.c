/* SPDX-License-Identifier: MIT */
#include "io/feed_log.h"
#include <errno.h>
#include <stdio.h>

/* ARGV: the denial's name, its end, how many may stand. */
static const char deny_body[] =
    "local now_s, until_s = math.floor(now / 1000000), tonumber(ARGV[3])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_s)\n"
    "if until_s <= now_s then\n"
    "  redis.call('ZREM', KEYS[2], ARGV[2])\n"
    "elseif redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4])\n"
    "    and not redis.call('ZSCORE', KEYS[2], ARGV[2]) then\n"
    "  return 0\n"
    "else\n"
    "  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])\n"
    "end\n"
    "redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*',\n"
    "  'event', 'deny', 'of', ARGV[2], 'until', ARGV[3])\n"
    "return 1\n";
_Static_assert(FEED_LOG_ENTRIES == 10000, "the script says it, too");

/* clang-format off */
static const struct str event_names[FEED_EVENTS] = {
    [FEED_DENY]    = STR("deny"),
    [FEED_SUBJECT] = STR("subject"),
    [FEED_APIKEY]  = STR("apikey"),
    [FEED_GRANT]   = STR("grant"),
};
/* clang-format on */

int feed_log_init(struct feed_log *log, struct str prefix) {
    *log = (struct feed_log){0};
    if (prefix.n + sizeof("{feed}deny") > sizeof(log->log_key))
        return -E2BIG;
    snprintf(log->log_key, sizeof(log->log_key), STR_FMT "{feed}log", STR_ARG(prefix));
    snprintf(log->deny_key, sizeof(log->deny_key), STR_FMT "{feed}deny", STR_ARG(prefix));
    return redis_script_init(&log->deny, deny_body);
}

void feed_log_fini(struct feed_log *log) { redis_script_fini(&log->deny); }

int feed_log_deny(const struct feed_log *log, struct redis *redis, struct redis_call *call,
                  struct str name, int64_t until_s, size_t n_most, redis_on_done *on_done) {
    char until[24], most[24];
    snprintf(until, sizeof(until), "%lld", (long long)until_s);
    snprintf(most, sizeof(most), "%zu", n_most);
    const struct str keys[] = {str_of(log->log_key), str_of(log->deny_key)};
    const struct str arguments[] = {name, str_of(until), str_of(most)};
    return redis_run(redis, call, &log->deny, keys, 2, arguments, 3, on_done);
}

int feed_log_tell(const struct feed_log *log, struct redis *redis, struct redis_call *call,
                  enum feed_event event, struct str of, redis_on_done *on_done) {
    const struct str key = str_of(log->log_key);
    const struct str arguments[] = {STR("XADD"),  key,      STR("MAXLEN"), STR("~"),
                                    STR("10000"), STR("*"), STR("event"),  event_names[event],
                                    STR("of"),    of};
    return redis_call(redis, call, key, arguments, sizeof(arguments) / sizeof(arguments[0]),
                      on_done);
}

static struct str value_named(const struct redis_reply *fields, struct str name) {
    for (size_t i = 0; i + 1 < fields->n; i += 2)
        if (str_eq(fields->list[i].text, name))
            return fields->list[i + 1].text;
    return STR_NONE;
}

static bool event_named(struct str name, enum feed_event *event) {
    for (size_t i = 0; i < FEED_EVENTS; i++)
        if (str_eq(event_names[i], name)) {
            *event = (enum feed_event)i;
            return true;
        }
    return false;
}

bool feed_entry_read(const struct redis_reply *reply, struct feed_entry *entry) {
    uint64_t until_s = 0;
    *entry = (struct feed_entry){0};
    if (reply->kind != REPLY_ARRAY || reply->n != 2 || reply->list[0].kind != REPLY_STRING)
        return false;
    const struct redis_reply *fields = &reply->list[1];
    entry->id = reply->list[0].text;
    entry->of = value_named(fields, STR("of"));
    if (entry->of.n == 0 || !event_named(value_named(fields, STR("event")), &entry->event))
        return false;
    if (entry->event == FEED_DENY &&
        (!str_to_u64(value_named(fields, STR("until")), &until_s) || until_s > INT64_MAX))
        return false;
    entry->until_s = (int64_t)until_s;
    return true;
}
