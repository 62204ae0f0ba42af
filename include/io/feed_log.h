/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/deny_list.h"
#include "io/redis.h"

/* The log in Redis through which every gateway learns what was changed by another, or by the command line.
 *
 *   PREFIX{feed}log    a stream, newest last, about FEED_LOG_ENTRIES long:  event deny|subject|apikey|grant  of WHOM  [until SECONDS]
 *   PREFIX{feed}deny   a sorted set: every denial that stands (auth/deny_list.h), by the unix second of its end
 *
 * Both are of one slot, so a denial is entered in both at once or in neither. Who has read the log's last entry and finds it no more
 * (trimmed, flushed, failed over) has missed something, and reads the set whole; so does who finds the first entries of a log that was
 * empty, which may not be the first. */
#define FEED_LOG_ENTRIES 10000

enum feed_event {
    FEED_DENY,    /* `of` is a denial's name, which stands until `until_s`; past: it is lifted */
    FEED_SUBJECT, /* the subject's record is another */
    FEED_APIKEY,  /* the key with this id was made or revoked */
    FEED_GRANT,   /* what the subject has used was changed from outside */
    FEED_EVENTS,
};

struct feed_log {
    char log_key[96], deny_key[96];
    struct redis_script deny;
};
int feed_log_init(struct feed_log *log, struct str prefix) MUST_USE; /* -ENOMEM, -E2BIG */
void feed_log_fini(struct feed_log *log);

/* Both as redis_run and redis_call. The answer of the former is an integer: 0 when n_most denials stand already, and nothing was
 * entered. `log` has to outlive the call. */
int feed_log_deny(const struct feed_log *log, struct redis *redis, struct redis_call *call,
                  struct str name, int64_t until_s, size_t n_most, redis_on_done *on_done) MUST_USE;
int feed_log_tell(const struct feed_log *log, struct redis *redis, struct redis_call *call,
                  enum feed_event event, struct str of, redis_on_done *on_done) MUST_USE;

/* One entry, as XRANGE gives it. Texts are borrowed. */
struct feed_entry {
    struct str id;
    enum feed_event event;
    struct str of;
    int64_t until_s; /* FEED_DENY */
};
/* False: the entry is not one of ours; its id is told all the same where there is one. */
bool feed_entry_read(const struct redis_reply *reply, struct feed_entry *entry);
