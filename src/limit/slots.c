/* SPDX-License-Identifier: MIT */
/* Maps from a key to its count, each behind a lock of its own: workers meet only when their keys share one. The count stands in the
 * place of the map's pointer. */
#include "limit/slots.h"

#include "base/hash.h"
#include "base/map.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define N_SHARDS 16

struct shard {
    pthread_mutex_t lock;
    struct map *in_use;
};

struct slots {
    struct hash_key hash_key;
    struct shard shards[N_SHARDS];
};

struct slots *slots_new(void) {
    struct slots *slots = calloc(1, sizeof(*slots));
    bool is_complete = true;
    if (!slots)
        return NULL;
    hash_key_new(&slots->hash_key);
    for (size_t i = 0; i < N_SHARDS; i++) {
        pthread_mutex_init(&slots->shards[i].lock, NULL); /* never fails without attributes */
        slots->shards[i].in_use = map_new();
        is_complete = is_complete && slots->shards[i].in_use;
    }
    if (is_complete)
        return slots;
    slots_free(slots);
    return NULL;
}

void slots_free(struct slots *slots) {
    if (!slots)
        return;
    for (size_t i = 0; i < N_SHARDS; i++) {
        pthread_mutex_destroy(&slots->shards[i].lock);
        map_free(slots->shards[i].in_use);
    }
    free(slots);
}

static struct map *lock(struct slots *slots, struct str key, struct shard **shard) {
    *shard = &slots->shards[hash64(&slots->hash_key, key) % N_SHARDS];
    int failed = pthread_mutex_lock(&(*shard)->lock);
    assert(!failed);
    (void)failed;
    return (*shard)->in_use;
}

static void unlock(struct shard *shard) {
    int failed = pthread_mutex_unlock(&shard->lock);
    assert(!failed);
    (void)failed;
}

bool slots_take(struct slots *slots, struct str key, size_t most) {
    struct shard *shard;
    struct map *in_use = lock(slots, key, &shard);
    uintptr_t n = (uintptr_t)map_get(in_use, key);
    bool is_taken = n < most && map_put(in_use, key, (void *)(n + 1)) == 0;
    unlock(shard);
    return is_taken;
}

void slots_give(struct slots *slots, struct str key) {
    struct shard *shard;
    struct map *in_use = lock(slots, key, &shard);
    uintptr_t n = (uintptr_t)map_get(in_use, key);
    /* No assertion: a count that could not be lowered once, for want of memory, was forgotten as a whole, in its key's favour. */
    if (n <= 1 || map_put(in_use, key, (void *)(n - 1)) < 0)
        map_remove(in_use, key);
    unlock(shard);
}

size_t slots_in_use(struct slots *slots, struct str key) {
    struct shard *shard;
    struct map *in_use = lock(slots, key, &shard);
    uintptr_t n = (uintptr_t)map_get(in_use, key);
    unlock(shard);
    return n;
}
