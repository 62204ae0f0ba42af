/* SPDX-License-Identifier: MIT */
/* Entered in the set first, taken off it last: so nothing is kept that no list shows. */
#include "key_shelf.h"

#include "base/cleanup.h"
#include "gateway/api_keys.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 64

void shelf_init(struct shelf *shelf, struct asking *asking, struct str prefix) {
    *shelf = (struct shelf){.asking = asking, .prefix = prefix};
    int n = snprintf(shelf->index_key, sizeof(shelf->index_key), STR_FMT "keys", STR_ARG(prefix));
    assert(n > 0 && n < (int)sizeof(shelf->index_key)); /* the settings bound the prefix */
}

static struct str index_of(const struct shelf *shelf) { return str_of(shelf->index_key); }

/* ---- one key ---- */

static void put_record(struct shelf *shelf, struct answer *answer, const char *id, struct str json,
                       int64_t ttl_s) {
    char key[API_KEYS_KEY_MAX], ttl[24];
    api_keys_key(shelf->prefix, id, key);
    snprintf(ttl, sizeof(ttl), "%lld", (long long)ttl_s);
    const struct str arguments[] = {STR("SET"), str_of(key), json, STR("EX"), str_of(ttl)};
    asking_ask(shelf->asking, answer, str_of(key), arguments, ttl_s > 0 ? 5 : 3, NULL);
}

bool shelf_put(struct shelf *shelf, const char *id, const struct api_key_record *record,
               int64_t now_s) {
    CLEANUP(buffer_release) struct buffer json = {0};
    struct answer answer = {0};
    int64_t gone_s = record->expires_s ? record->expires_s + SHELF_KEEP_S : 0;
    char gone[24] = "+inf";
    if (gone_s)
        snprintf(gone, sizeof(gone), "%lld", (long long)gone_s);
    const struct str enter[] = {STR("ZADD"), index_of(shelf), str_of(gone), str_of(id)};
    if (api_key_record_write(record, &json) < 0)
        return false;
    asking_ask(shelf->asking, &answer, index_of(shelf), enter, 4, NULL);
    if (!asking_wait(shelf->asking))
        return false;
    put_record(shelf, &answer, id, buffer_bytes(&json), gone_s ? gone_s - now_s : 0);
    return asking_wait(shelf->asking);
}

struct total {
    struct answer answer;
    int64_t n;
};

static void take_count(struct answer *answer, const struct redis_reply *reply) {
    CONTAINER_OF(answer, struct total, answer)->n = reply->integer;
}

static bool count(struct shelf *shelf, struct str key, const struct str *arguments, size_t n,
                  bool *is_some) {
    struct total total = {0};
    asking_ask(shelf->asking, &total.answer, key, arguments, n, take_count);
    bool is_good = asking_wait(shelf->asking);
    *is_some |= total.n > 0;
    return is_good;
}

static bool tell(struct shelf *shelf, const char *id) {
    struct feed_log log;
    struct answer answer = {0};
    if (feed_log_init(&log, shelf->prefix) < 0)
        return false;
    asking_tell(shelf->asking, &answer, &log, FEED_APIKEY, str_of(id));
    bool is_good = asking_wait(shelf->asking);
    feed_log_fini(&log);
    return is_good;
}

bool shelf_remove(struct shelf *shelf, const char *id, bool *was_there) {
    char key[API_KEYS_KEY_MAX];
    api_keys_key(shelf->prefix, id, key);
    const struct str drop[] = {STR("DEL"), str_of(key)};
    const struct str strike[] = {STR("ZREM"), index_of(shelf), str_of(id)};
    *was_there = false;
    return count(shelf, str_of(key), drop, 2, was_there) && tell(shelf, id) &&
           count(shelf, index_of(shelf), strike, 3, was_there);
}

/* ---- many ---- */

struct page {
    struct answer answer;
    char ids[PAGE][API_KEY_ID_BYTES + 1];
    size_t n;
};

static void take_page(struct answer *answer, const struct redis_reply *reply) {
    struct page *page = CONTAINER_OF(answer, struct page, answer);
    for (size_t i = 0; reply->kind == REPLY_ARRAY && i < reply->n && page->n < PAGE; i++)
        if (reply->list[i].text.n == API_KEY_ID_BYTES)
            memcpy(page->ids[page->n++], reply->list[i].text.at, API_KEY_ID_BYTES);
}

static bool read_page(struct shelf *shelf, struct page *page, size_t first) {
    char from[24], to[24];
    snprintf(from, sizeof(from), "%zu", first);
    snprintf(to, sizeof(to), "%zu", first + PAGE - 1);
    const struct str arguments[] = {STR("ZRANGE"), index_of(shelf), str_of(from), str_of(to)};
    *page = (struct page){0};
    asking_ask(shelf->asking, &page->answer, index_of(shelf), arguments, 4, take_page);
    return asking_wait(shelf->asking);
}

bool shelf_find(struct shelf *shelf, struct str start, char id[API_KEY_ID_BYTES + 1], size_t *n) {
    struct page page = {.n = PAGE};
    *n = 0;
    for (size_t first = 0; page.n == PAGE; first += PAGE) {
        if (!read_page(shelf, &page, first))
            return false;
        for (size_t i = 0; i < page.n; i++)
            if (str_starts(str_of(page.ids[i]), start)) {
                memcpy(id, page.ids[i], sizeof(page.ids[i]));
                ++*n;
            }
    }
    return true;
}

struct fetched {
    struct answer answer;
    char *json; /* NULL: none is there */
    size_t n;
};

static void take_record(struct answer *answer, const struct redis_reply *reply) {
    struct fetched *record = CONTAINER_OF(answer, struct fetched, answer);
    if (reply->kind != REPLY_STRING)
        return;
    record->json = str_dup(reply->text);
    record->n = reply->text.n;
}

static bool see_page(struct shelf *shelf, const struct page *page,
                     void (*see)(void *arg, const char *id, struct str json), void *arg) {
    struct fetched records[PAGE] = {0};
    for (size_t i = 0; i < page->n; i++) {
        char key[API_KEYS_KEY_MAX];
        api_keys_key(shelf->prefix, page->ids[i], key);
        const struct str arguments[] = {STR("GET"), str_of(key)};
        asking_ask(shelf->asking, &records[i].answer, str_of(key), arguments, 2, take_record);
    }
    bool is_good = asking_wait(shelf->asking);
    for (size_t i = 0; i < page->n; i++) {
        if (is_good && records[i].json)
            see(arg, page->ids[i], (struct str){records[i].json, records[i].n});
        free(records[i].json);
    }
    return is_good;
}

/* Their records went by themselves. */
static bool strike_gone(struct shelf *shelf, int64_t now_s) {
    char until[24];
    struct answer answer = {0};
    snprintf(until, sizeof(until), "%lld", (long long)now_s);
    const struct str arguments[] = {STR("ZREMRANGEBYSCORE"), index_of(shelf), STR("-inf"),
                                    str_of(until)};
    asking_ask(shelf->asking, &answer, index_of(shelf), arguments, 4, NULL);
    return asking_wait(shelf->asking);
}

bool shelf_walk(struct shelf *shelf, int64_t now_s,
                void (*see)(void *arg, const char *id, struct str json), void *arg) {
    struct page page = {.n = PAGE};
    bool is_good = strike_gone(shelf, now_s);
    for (size_t first = 0; is_good && page.n == PAGE; first += PAGE)
        is_good = read_page(shelf, &page, first) && see_page(shelf, &page, see, arg);
    return is_good;
}
