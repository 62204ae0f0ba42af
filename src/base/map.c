/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing, at most three quarters full. An entry's home is its hash; removing moves the
 * entries behind it back towards their homes, so that there are no tombstones and a probe ends at the first hole. */
#include "base/map.h"

#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct slot {
    uint64_t hash;
    char *key;
    size_t key_bytes;
    void *value; /* NULL: a hole */
};

struct map {
    struct hash_key hash_key;
    struct slot *slots;
    size_t size; /* a power of two, or 0 */
    size_t count;
};

enum { SMALLEST_SLOTS = 16 };

struct map *map_new(void) {
    struct map *map = calloc(1, sizeof(*map));
    if (map)
        hash_key_new(&map->hash_key);
    return map;
}

void map_free(struct map *map) {
    if (!map)
        return;
    for (size_t i = 0; i < map->size; i++)
        if (map->slots[i].value)
            free(map->slots[i].key);
    free(map->slots);
    free(map);
}

static struct str key_of(const struct slot *slot) {
    return (struct str){slot->key, slot->key_bytes};
}

/* The slot that holds the key, or the hole where it would go. */
static struct slot *find(const struct map *map, struct str key, uint64_t hash) {
    assert(map->count < map->size);
    size_t mask = map->size - 1, i = hash & mask;
    while (map->slots[i].value &&
           (map->slots[i].hash != hash || !str_eq(key_of(&map->slots[i]), key)))
        i = (i + 1) & mask;
    return &map->slots[i];
}

void *map_get(const struct map *map, struct str key) {
    return map->count > 0 ? find(map, key, hash64(&map->hash_key, key))->value : NULL;
}

static int grow(struct map *map) {
    size_t size = map->size ? map->size * 2 : SMALLEST_SLOTS;
    struct slot *slots = calloc(size, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < map->size; i++) {
        if (!map->slots[i].value)
            continue;
        size_t to = map->slots[i].hash & (size - 1);
        while (slots[to].value)
            to = (to + 1) & (size - 1);
        slots[to] = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->size = size;
    return 0;
}

int map_put(struct map *map, struct str key, void *value) {
    assert(value);
    if (map->count + 1 > map->size / 4 * 3)
        TRY(grow(map));
    uint64_t hash = hash64(&map->hash_key, key);
    struct slot *slot = find(map, key, hash);
    if (!slot->value) {
        char *copy = str_dup(key);
        if (!copy)
            return -ENOMEM;
        *slot = (struct slot){hash, copy, key.n, NULL};
        map->count++;
    }
    slot->value = value;
    return 0;
}

static void close_hole(struct map *map, size_t hole) {
    size_t mask = map->size - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        /* An entry may move back into the hole unless its home lies behind it. */
        size_t from_home = (i - map->slots[i].hash) & mask, from_hole = (i - hole) & mask;
        if (from_home < from_hole)
            continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (struct slot){0};
}

void *map_remove(struct map *map, struct str key) {
    if (map->count == 0)
        return NULL;
    struct slot *slot = find(map, key, hash64(&map->hash_key, key));
    void *value = slot->value;
    if (!value)
        return NULL;
    free(slot->key);
    map->count--;
    close_hole(map, (size_t)(slot - map->slots));
    return value;
}

size_t map_count(const struct map *map) { return map->count; }

bool map_next(const struct map *map, size_t *cursor, struct str *key, void **value) {
    while (*cursor < map->size) {
        const struct slot *slot = &map->slots[(*cursor)++];
        if (!slot->value)
            continue;
        *key = key_of(slot);
        *value = slot->value;
        return true;
    }
    return false;
}
