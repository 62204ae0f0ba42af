/* SPDX-License-Identifier: MIT */
/* Good keys in a ring, the one used last in front, found by a map; the oldest makes room. Unknown ones direct mapped: a newer one takes
 * the place of an older one. */
#include "auth/api_key_cache.h"

#include "base/hash.h"
#include "base/map.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define N_UNKNOWN 1024 /* a power of two */

struct entry {
    struct api_key_held held; /* first: they are found by it */
    struct entry *next, *previous;
    int64_t asked_ns;
};

struct unknown {
    struct hash128 hash;
    int64_t until_ns;
};

struct api_key_cache {
    struct hash_key key;
    struct map *map; /* id -> entry */
    struct entry ring;
    size_t n_entries;
    int64_t max_stale_ns;
    struct unknown unknown[N_UNKNOWN];
};

static void unlink_entry(struct entry *entry) {
    entry->next->previous = entry->previous;
    entry->previous->next = entry->next;
}

static void put_in_front(struct api_key_cache *cache, struct entry *entry) {
    entry->next = cache->ring.next;
    entry->previous = &cache->ring;
    entry->next->previous = cache->ring.next = entry;
}

/* Tokens are credentials: their bytes do not stay behind in freed memory. */
static void entry_free(struct entry *entry) {
    if (!entry)
        return;
    claims_unref(entry->held.claims);
    bytes_wipe(entry->held.token.at, entry->held.token.at ? entry->held.token.size : 0);
    buffer_release(&entry->held.token);
    free((void *)entry->held.json.at);
    free((void *)entry->held.plan.at);
    free(entry);
}

static void drop(struct api_key_cache *cache, struct entry *entry) {
    map_remove(cache->map, str_of(entry->held.id));
    unlink_entry(entry);
    entry_free(entry);
}

struct api_key_cache *api_key_cache_new(size_t n_entries, int64_t max_stale_ns) {
    assert(n_entries > 0);
    struct api_key_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    hash_key_new(&cache->key);
    cache->n_entries = n_entries;
    cache->max_stale_ns = max_stale_ns;
    cache->ring.next = cache->ring.previous = &cache->ring;
    cache->map = map_new();
    if (cache->map)
        return cache;
    free(cache);
    return NULL;
}

void api_key_cache_clear(struct api_key_cache *cache) {
    while (cache->ring.next != &cache->ring)
        drop(cache, cache->ring.next); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the ring */
    memset(cache->unknown, 0, sizeof(cache->unknown));
}

void api_key_cache_free(struct api_key_cache *cache) {
    if (!cache)
        return;
    api_key_cache_clear(cache);
    map_free(cache->map);
    free(cache);
}

static struct unknown *place_of(struct api_key_cache *cache, const char *id, struct hash128 *hash) {
    *hash = hash128(&cache->key, str_of(id));
    return &cache->unknown[hash->lo & (N_UNKNOWN - 1)];
}

static bool is_unknown(struct api_key_cache *cache, const char *id, int64_t now_ns) {
    struct hash128 hash;
    const struct unknown *place = place_of(cache, id, &hash);
    return now_ns < place->until_ns && place->hash.lo == hash.lo && place->hash.hi == hash.hi;
}

enum api_key_state api_key_cache_look(struct api_key_cache *cache, const char *id, int64_t now_ns,
                                      struct api_key_held **held) {
    struct entry *entry = map_get(cache->map, str_of(id));
    if (!entry)
        return is_unknown(cache, id, now_ns) ? API_KEY_UNKNOWN : API_KEY_ASK;
    int64_t age_ns = now_ns - entry->asked_ns;
    if (age_ns >= API_KEY_HELD_NS && age_ns >= cache->max_stale_ns) {
        drop(cache, entry);
        return API_KEY_ASK;
    }
    unlink_entry(entry);
    put_in_front(cache, entry);
    *held = &entry->held;
    return age_ns < API_KEY_HELD_NS ? API_KEY_HELD : API_KEY_STALE;
}

static int fill(struct api_key_held *held, struct str json, const struct claim_paths *paths) {
    struct api_key_record record;
    struct arena arena;
    arena_init(&arena);
    int failure =
        json.n <= API_KEY_JSON_MOST ? api_key_record_read(&record, json, &arena) : -EINVAL;
    if (failure == 0)
        failure = api_key_claims(&record, paths, &held->claims);
    if (failure == 0) {
        held->expires_s = record.expires_s;
        held->json = (struct str){str_dup(json), json.n};
        held->plan = (struct str){str_dup(record.plan), record.plan.n};
        failure = held->json.at && held->plan.at ? 0 : -ENOMEM;
    }
    arena_fini(&arena);
    return failure;
}

static int enter(struct api_key_cache *cache, struct entry *entry) {
    if (map_count(cache->map) >= cache->n_entries)
        drop(cache, cache->ring.previous);
    TRY(map_put(cache->map, str_of(entry->held.id), entry));
    put_in_front(cache, entry);
    return 0;
}

/* Asked again about a key that has not changed: what was signed for it stays good. */
static bool refresh(struct api_key_cache *cache, const char *id, struct str json,
                    int64_t asked_ns) {
    struct entry *entry = map_get(cache->map, str_of(id));
    if (!entry || !str_eq(entry->held.json, json))
        return false;
    entry->asked_ns = asked_ns;
    return true;
}

int api_key_cache_keep(struct api_key_cache *cache, const char *id, struct str json,
                       const struct claim_paths *paths, int64_t asked_ns) {
    if (refresh(cache, id, json, asked_ns))
        return 0;
    api_key_cache_forget(cache, id);
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    assert(strlen(id) == API_KEY_ID_BYTES);
    memcpy(entry->held.id, id, API_KEY_ID_BYTES);
    entry->asked_ns = asked_ns;
    int failure = fill(&entry->held, json, paths);
    if (failure == 0)
        failure = enter(cache, entry);
    if (failure < 0)
        entry_free(entry);
    return failure; /* NOLINT(clang-analyzer-unix.Malloc): the ring and the map hold it now */
}

void api_key_cache_miss(struct api_key_cache *cache, const char *id, int64_t now_ns) {
    struct hash128 hash;
    api_key_cache_forget(cache, id);
    struct unknown *place = place_of(cache, id, &hash);
    *place = (struct unknown){hash, now_ns + API_KEY_UNKNOWN_NS};
}

void api_key_cache_forget(struct api_key_cache *cache, const char *id) {
    struct hash128 hash;
    struct entry *entry = map_get(cache->map, str_of(id));
    if (entry)
        drop(cache, entry);
    struct unknown *place = place_of(cache, id, &hash);
    if (place->hash.lo == hash.lo && place->hash.hi == hash.hi)
        *place = (struct unknown){0};
}

size_t api_key_cache_count(const struct api_key_cache *cache) { return map_count(cache->map); }
