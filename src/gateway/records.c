/* SPDX-License-Identifier: MIT */
/* Each subject has an entry; while it is asked for, who waits hangs on it.
 *
 *   request ──► entry known ──► go on
 *          └──► entry asked ──► waiters ──► answer: they go on
 *                  └── changed meanwhile (the feed was faster than the answer): they go on, and it is forgotten */
#include "gateway/records.h"

#include "base/map.h"
#include "gateway/record.h"
#include "gateway_internal.h"
#include "io/feed.h"
#include "io/redis_name.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct record_entry {
    struct record_entry *next, *previous; /* in the order of their coming */
    struct records *records;
    char *subject;
    size_t subject_bytes;
    struct arena arena; /* the record's */
    struct record record;
    bool is_asked, is_stale;
    struct redis_call call;
    struct exchange *waiters; /* by next_reader */
};

struct records {
    struct gateway *gateway;
    void (*advance)(struct exchange *x);
    struct map *map;
    struct redis_script keep;
    struct record_entry all; /* sentinel */
};

static const char keep_body[] = "if ARGV[2] == '' then\n"
                                "  redis.call('DEL', KEYS[1])\n"
                                "else\n"
                                "  redis.call('SET', KEYS[1], ARGV[2])\n"
                                "end\n"
                                "return 1\n";

struct records *records_new(struct gateway *gateway, void (*advance)(struct exchange *x)) {
    struct records *records = calloc(1, sizeof(*records));
    struct map *map = map_new();
    if (!records || !map || redis_script_init(&records->keep, keep_body) < 0) {
        free(records);
        map_free(map);
        return NULL;
    }
    records->gateway = gateway;
    records->advance = advance;
    records->map = map;
    records->all.next = records->all.previous = &records->all;
    return records;
}

static struct str subject_of(const struct record_entry *entry) {
    return (struct str){entry->subject, entry->subject_bytes};
}

static void drop(struct record_entry *entry) {
    assert(!entry->waiters);
    redis_cancel(&entry->call);
    (void)map_remove(entry->records->map, subject_of(entry));
    entry->next->previous = entry->previous;
    entry->previous->next = entry->next;
    arena_fini(&entry->arena);
    free(entry->subject);
    free(entry);
}

void records_free(struct records *records) {
    if (!records)
        return;
    for (struct record_entry *entry = records->all.next, *next; entry != &records->all;
         entry = next) {
        next = entry->next;
        drop(entry);
    }
    map_free(records->map);
    redis_script_fini(&records->keep);
    free(records);
}

static struct record_entry *enter(struct records *records, struct str subject) {
    struct record_entry *entry = calloc(1, sizeof(*entry));
    char *copy = entry ? str_dup(subject) : NULL;
    if (!copy || map_put(records->map, subject, entry) < 0) {
        free(copy);
        free(entry);
        return NULL;
    }
    arena_init(&entry->arena);
    entry->records = records;
    entry->subject = copy;
    entry->subject_bytes = subject.n;
    entry->next = &records->all;
    entry->previous = records->all.previous;
    entry->previous->next = entry;
    records->all.previous = entry;
    return entry;
}

/* One that is asked for stays: somebody waits for it, and there are no more of them than requests. */
static void make_room(struct records *records) {
    size_t most = records->gateway->parts.settings->most_records;
    struct record_entry *entry = records->all.next;
    while (map_count(records->map) >= most && entry != &records->all) {
        struct record_entry *next = entry->next;
        if (!entry->is_asked)
            drop(entry);
        entry = next;
    }
}

/* ---- asking ---- */

bool records_key(struct str prefix, struct str subject, char key[RECORD_KEY_MAX]) {
    char name[REDIS_NAME_MAX];
    int n = redis_name(subject, name)
                ? snprintf(key, RECORD_KEY_MAX, STR_FMT "s:%s", STR_ARG(prefix), name)
                : RECORD_KEY_MAX;
    return n < RECORD_KEY_MAX;
}

int records_keep(struct records *records, struct redis_call *call, struct str subject,
                 struct str json, redis_on_done *on_done) {
    const struct gateway *gateway = records->gateway;
    char key[RECORD_KEY_MAX];
    if (!records_key(gateway->first->redis.prefix, subject, key))
        return -ENOMEM;
    const struct str keys[] = {str_of(key)}, arguments[] = {json};
    return redis_run(gateway->redis, call, &records->keep, keys, 1, arguments, 1, on_done);
}

static void take(struct exchange *x, const struct record_entry *entry) {
    const struct record *record = &entry->record;
    x->record = *record;
    x->record.plan = arena_copy(&x->arena, record->plan);
    x->record.status = arena_copy(&x->arena, record->status);
    x->record_is_known = true;
}

static void release_waiters(struct record_entry *entry) {
    struct exchange *x;
    while ((x = entry->waiters)) {
        entry->waiters = x->next_reader;
        x->reads = NULL;
        take(x, entry);
        entry->records->advance(x);
    }
}

/* What is no record was not written by us: it says nothing. */
static void on_record(struct redis_call *call, enum redis_verdict verdict,
                      const struct redis_reply *reply) {
    struct record_entry *entry = CONTAINER_OF(call, struct record_entry, call);
    bool is_known = verdict == REDIS_ANSWERED && !entry->is_stale;
    if (verdict == REDIS_ANSWERED && reply->kind == REPLY_STRING &&
        record_read(&entry->record, reply->text, &entry->arena))
        entry->record = (struct record){0};
    entry->is_asked = false;
    release_waiters(entry);
    if (!is_known)
        drop(entry);
}

static bool ask(struct record_entry *entry) {
    const struct gateway *gateway = entry->records->gateway;
    char key[RECORD_KEY_MAX];
    if (!records_key(gateway->first->redis.prefix, subject_of(entry), key) ||
        !redis_is_up(gateway->redis, str_of(key)))
        return false;
    const struct str arguments[] = {STR("GET"), str_of(key)};
    entry->is_asked =
        redis_call(gateway->redis, &entry->call, str_of(key), arguments, 2, on_record) == 0;
    return entry->is_asked;
}

static void read_own(struct record_entry *entry) {
    struct feed *feed = entry->records->gateway->parts.feed;
    struct str json = feed ? feed_kept(feed, subject_of(entry), &entry->arena) : STR_NONE;
    if (json.n > 0 && record_read(&entry->record, json, &entry->arena))
        entry->record = (struct record){0};
}

static bool has_record(const struct exchange *x) {
    return x->caller.kind == CALLER_USER && !x->caller.is_anonymous_user &&
           x->caller.subject.n > 0 && !x->record_is_known;
}

bool records_find(struct exchange *x) {
    struct records *records = x->gateway->records;
    if (x->reads)
        return false;
    if (!has_record(x))
        return true;
    struct record_entry *entry = map_get(records->map, x->caller.subject);
    if (!entry) {
        make_room(records);
        entry = enter(records, x->caller.subject);
        if (!entry)
            return true;
        if (!x->gateway->redis)
            read_own(entry);
        else if (!ask(entry)) {
            drop(entry);
            return true;
        }
    }
    if (!entry->is_asked) {
        take(x, entry);
        return true;
    }
    x->reads = entry;
    x->next_reader = entry->waiters;
    entry->waiters = x;
    return false;
}

void records_leave(struct exchange *x) {
    struct exchange **at = x->reads ? &x->reads->waiters : NULL;
    if (!at)
        return;
    while (*at != x)
        at = &(*at)->next_reader;
    *at = x->next_reader;
    x->reads = NULL;
}

/* ---- the feed ---- */

/* An answer that is on its way may be older than the news: it counts for who waits, and is not remembered. */
static void forget(struct record_entry *entry) {
    if (entry->is_asked)
        entry->is_stale = true;
    else
        drop(entry);
}

static void forget_all(struct records *records) {
    for (struct record_entry *entry = records->all.next, *next; entry != &records->all;
         entry = next) {
        next = entry->next;
        forget(entry);
    }
}

void records_heed(struct records *records, const struct news *before, const struct news *news) {
    const struct news_change *changes;
    size_t n;
    if (!news_since(news, before->next, &changes, &n)) {
        forget_all(records);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct record_entry *entry =
            changes[i].event == FEED_SUBJECT ? map_get(records->map, changes[i].of) : NULL;
        if (entry)
            forget(entry);
    }
}
