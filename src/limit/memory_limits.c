/* SPDX-License-Identifier: MIT */
/* Many small tables instead of a large one, so that workers seldom meet at a lock and growing one
 * stops the others for no time.
 *
 *      (counter, rate) --hash--> policy --as key--> hash of the caller's key
 *                                                        |         |
 *      table (subject, ip, ... of rates, of quotas)      hi        lo
 *        |                                               |         |
 *        +-----> shard 0  [lock]                         |         |
 *                shard 1  [lock] <-----------------------+         |
 *                ...        slots [ . | . | hash, count  | . ] <---+   linear probing
 *
 * There is no deleting: a shard that has no room is laid out anew with only the counters that still
 * say something, larger or smaller as they need. A counter that is as good as new may go because its
 * owner could not tell; a living one never goes, or else whoever is refused would only have to bring
 * enough strangers to be forgotten. So when all are living, the strangers wait: they share the counter
 * that is found by their policy alone.
 *
 * All or nothing: the charges are first taken from copies, and the copies put back when all agree. */
#include "limit/memory_limits.h"

#include "base/hash.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#define SHARDS_MAX        64
#define SHARD_BUCKETS_MIN 1024 /* fewer shards rather than smaller ones: small ones fill unevenly */
#define CAPACITY_MIN      16
/* A shard that can grow no more is swept at most this often: each stranger would otherwise cost a
 * walk over it. */
#define SWEEP_PAUSE_NS (100 * NS_PER_MS)
#define CACHE_LINE     64
#define TABLES         (LIMIT_KEY_COUNT * LIMIT_COUNTED_KINDS)

struct slot {
    struct hash128 hash; /* all zero: free (a hash is so once in 2^128) */
    union limit_counter counter;
};

struct shard {
    alignas(CACHE_LINE) pthread_mutex_t lock;
    enum limit_kind kind; /* of all its counters */
    struct slot *slots;
    size_t capacity, used; /* used < capacity: every probe ends */
    int64_t sweep_after_ns;
    uint64_t n_shared;
};

struct memory_limits {
    struct hash_key key;
    size_t n_shards;                  /* of each table */
    size_t buckets_max, capacity_max; /* of each shard */
    size_t n_bytes;
    struct shard shards[]; /* key by key, kind by kind */
};

/* Where a charge is counted. */
struct place {
    struct shard *shard;
    struct hash128 policy, hash;
    union limit_counter counter; /* a copy */
};

static size_t count_shards(const struct memory_limits *limits) { return TABLES * limits->n_shards; }

struct memory_limits *memory_limits_new(const struct memory_limits_options *options) {
    assert(options->n_per_kind >= 1);
    size_t n_shards = options->n_per_kind / SHARD_BUCKETS_MIN;
    n_shards = n_shards < 1 ? 1 : n_shards > SHARDS_MAX ? SHARDS_MAX : n_shards;
    size_t n_bytes = sizeof(struct memory_limits) + TABLES * n_shards * sizeof(struct shard);
    n_bytes = (n_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct memory_limits *limits = aligned_alloc(CACHE_LINE, n_bytes);
    if (!limits)
        return NULL;
    memset(limits, 0, n_bytes);
    hash_key_new(&limits->key);
    limits->n_bytes = n_bytes;
    limits->n_shards = n_shards;
    limits->buckets_max = options->n_per_kind / n_shards;
    /* Three quarters full at most, and somewhere to put the shared ones. */
    limits->capacity_max = limits->buckets_max + limits->buckets_max / 3 + CAPACITY_MIN;
    bool is_complete = true;
    for (size_t i = 0; i < count_shards(limits); i++) {
        struct shard *shard = &limits->shards[i];
        pthread_mutex_init(&shard->lock, NULL); /* never fails without attributes */
        shard->kind = (enum limit_kind)(i / n_shards % LIMIT_COUNTED_KINDS);
        shard->capacity = CAPACITY_MIN;
        shard->slots = calloc(CAPACITY_MIN, sizeof(struct slot));
        is_complete = is_complete && shard->slots;
    }
    if (is_complete)
        return limits;
    memory_limits_free(limits);
    return NULL;
}

void memory_limits_free(struct memory_limits *limits) {
    if (!limits)
        return;
    for (size_t i = 0; i < count_shards(limits); i++) {
        pthread_mutex_destroy(&limits->shards[i].lock);
        free(limits->shards[i].slots);
    }
    free(limits);
}

static void shard_lock(struct shard *shard) {
    int failed = pthread_mutex_lock(&shard->lock);
    assert(!failed);
    (void)failed;
}

static void shard_unlock(struct shard *shard) {
    int failed = pthread_mutex_unlock(&shard->lock);
    assert(!failed);
    (void)failed;
}

/* ---- one shard, locked ------------------------------------------------------------------------- */

/* x as a fraction of 2^64, of n. */
static size_t scale(uint64_t x, size_t n) { return (size_t)((unsigned __int128)x * n >> 64); }

static bool hash_eq(struct hash128 a, struct hash128 b) { return a.lo == b.lo && a.hi == b.hi; }
static bool slot_is_free(const struct slot *slot) { return !slot->hash.lo && !slot->hash.hi; }

/* The slot that holds `hash`, or else the free one that would. */
static struct slot *find_slot(struct slot *slots, size_t capacity, struct hash128 hash) {
    size_t i = scale(hash.lo, capacity);
    while (!slot_is_free(&slots[i]) && !hash_eq(slots[i].hash, hash))
        i = i + 1 < capacity ? i + 1 : 0;
    return &slots[i];
}

static bool shard_holds(const struct shard *shard, struct hash128 hash) {
    return !slot_is_free(find_slot(shard->slots, shard->capacity, hash));
}

/* As good as new where there is none: free slots are all zero. */
static union limit_counter shard_get(const struct shard *shard, struct hash128 hash) {
    return find_slot(shard->slots, shard->capacity, hash)->counter;
}

static void shard_put(struct shard *shard, struct hash128 hash, union limit_counter counter) {
    struct slot *slot = find_slot(shard->slots, shard->capacity, hash);
    shard->used += slot_is_free(slot);
    assert(shard->used < shard->capacity);
    *slot = (struct slot){hash, counter};
}

static bool slot_says_something(const struct shard *shard, size_t i, const struct now *now) {
    return !limit_counter_is_new(&shard->slots[i].counter, shard->kind, now);
}

static size_t count_living(const struct shard *shard, const struct now *now) {
    size_t n = 0;
    for (size_t i = 0; i < shard->capacity; i++)
        n += slot_says_something(shard, i, now);
    return n;
}

/* Half full with n more, so that the next time is far. When memory is out all stays as it is. */
static void shard_lay_out_anew(struct shard *shard, size_t capacity_max, size_t n,
                               const struct now *now) {
    size_t capacity = 2 * (count_living(shard, now) + n);
    capacity = capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
    capacity = capacity > capacity_max ? capacity_max : capacity;
    struct slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return;
    size_t used = 0;
    for (size_t i = 0; i < shard->capacity; i++) {
        const struct slot *old = &shard->slots[i];
        if (!slot_says_something(shard, i, now))
            continue;
        *find_slot(slots, capacity, old->hash) = *old;
        used++;
    }
    assert(used < capacity);
    free(shard->slots);
    shard->slots = slots;
    shard->capacity = capacity;
    shard->used = used;
}

static bool shard_takes(const struct shard *shard, size_t buckets_max, size_t n) {
    return shard->used + n <= buckets_max && shard->used + n <= shard->capacity / 4 * 3;
}

/* Is there room for n strangers, if need be after a sweep? */
static bool shard_makes_room(struct shard *shard, const struct memory_limits *limits, size_t n,
                             const struct now *now) {
    if (shard_takes(shard, limits->buckets_max, n))
        return true;
    if (now->mono_ns < shard->sweep_after_ns)
        return false;
    shard_lay_out_anew(shard, limits->capacity_max, n, now);
    bool takes = shard_takes(shard, limits->buckets_max, n);
    if (!takes || shard->capacity == limits->capacity_max)
        shard->sweep_after_ns = now->mono_ns + SWEEP_PAUSE_NS;
    return takes;
}

/* ---- one charge -------------------------------------------------------------------------------- */

static struct place place_of(struct memory_limits *limits, const struct limit_charge *charge) {
    const struct limit_policy *policy = charge->policy;
    assert((unsigned)policy->key < LIMIT_KEY_COUNT && (unsigned)policy->kind < LIMIT_COUNTED_KINDS);
    struct place place = {.policy = limit_policy_hash(&limits->key, policy)};
    struct hash_key policy_key = {place.policy.lo, place.policy.hi};
    place.hash = hash128(&policy_key, charge->key);
    size_t table = policy->key * LIMIT_COUNTED_KINDS + policy->kind;
    place.shard =
        &limits->shards[table * limits->n_shards + scale(place.hash.hi, limits->n_shards)];
    return place;
}

/* Fetch the counter that counts for `place`, which is the i-th of n; false when there is no room even
 * for a shared one. */
static bool place_open(struct memory_limits *limits, struct place *places, size_t i, size_t n,
                       const struct now *now) {
    struct place *place = &places[i];
    struct shard *shard = place->shard;
    if (!shard_holds(shard, place->hash) && !shard_makes_room(shard, limits, n, now)) {
        place->hash = place->policy;
        shard->n_shared++;
        if (!shard_holds(shard, place->hash) && shard->used + n >= shard->capacity)
            return false;
    }
    place->counter = shard_get(shard, place->hash);
    /* Two charges of one call may meet in a counter: the second finds what the first left. */
    for (size_t j = 0; j < i; j++)
        if (places[j].shard == shard && hash_eq(places[j].hash, place->hash))
            place->counter = places[j].counter;
    return true;
}

/* ---- all charges ------------------------------------------------------------------------------- */

/* The shards of `places`, each once, in the one order that all callers share. */
static size_t lock_shards(const struct place *places, size_t n,
                          struct shard *locked[LIMITER_CHARGES_MAX]) {
    size_t n_locked = 0;
    for (size_t i = 0; i < n; i++) {
        struct shard *shard = places[i].shard;
        size_t at = 0;
        while (at < n_locked && locked[at] < shard)
            at++;
        if (at < n_locked && locked[at] == shard)
            continue;
        memmove(&locked[at + 1], &locked[at], (n_locked - at) * sizeof(*locked));
        locked[at] = shard;
        n_locked++;
    }
    for (size_t i = 0; i < n_locked; i++)
        shard_lock(locked[i]);
    return n_locked;
}

static void unlock_shards(struct shard *locked[], size_t n_locked) {
    for (size_t i = 0; i < n_locked; i++)
        shard_unlock(locked[i]);
}

/* Try all charges on copies. */
static bool try_all(struct memory_limits *limits, struct place *places,
                    const struct limit_charge *charges, size_t n, const struct now *now,
                    struct limit_state *states) {
    bool allows = true;
    for (size_t i = 0; i < n; i++) {
        if (place_open(limits, places, i, n, now))
            states[i] = limit_counter_take(&places[i].counter, &charges[i], now);
        else
            states[i] = (struct limit_state){.wait_ns = NS_PER_S, .reset_ns = NS_PER_S};
        allows = allows && (states[i].allowed || charges[i].policy->is_shadow);
    }
    return allows;
}

bool memory_limits_pass(struct memory_limits *limits, const struct limit_charge *charges, size_t n,
                        const struct now *now, bool counts, struct limit_state *states) {
    assert(n <= LIMITER_CHARGES_MAX);
    struct place places[LIMITER_CHARGES_MAX];
    struct shard *locked[LIMITER_CHARGES_MAX];
    for (size_t i = 0; i < n; i++)
        places[i] = place_of(limits, &charges[i]);
    size_t n_locked = lock_shards(places, n, locked);
    bool allows = try_all(limits, places, charges, n, now, states);
    for (size_t i = 0; i < n; i++) {
        const struct place *place = &places[i];
        if (!states[i].allowed)
            continue;
        if (!allows) {
            union limit_counter stands = shard_get(place->shard, place->hash);
            struct limit_charge nothing = charges[i];
            nothing.cost = 0;
            states[i] = limit_counter_look(&stands, &nothing, now);
        } else if (counts && !limit_counter_is_new(&place->counter, place->shard->kind, now)) {
            shard_put(place->shard, place->hash, place->counter);
        }
    }
    unlock_shards(locked, n_locked);
    return allows;
}

void memory_limits_settle(struct memory_limits *limits, const struct limit_charge *charge,
                          int64_t change, const struct limit_state *taken, const struct now *now) {
    struct place place = place_of(limits, charge);
    shard_lock(place.shard);
    if (place_open(limits, &place, 0, 1, now)) {
        limit_counter_settle(&place.counter, charge, change, taken, now);
        if (shard_holds(place.shard, place.hash) ||
            !limit_counter_is_new(&place.counter, place.shard->kind, now))
            shard_put(place.shard, place.hash, place.counter);
    }
    shard_unlock(place.shard);
}

union limit_counter memory_limits_get(struct memory_limits *limits,
                                      const struct limit_charge *charge, const struct now *now) {
    struct place place = place_of(limits, charge);
    shard_lock(place.shard);
    if (!place_open(limits, &place, 0, 1, now))
        place.counter = (union limit_counter){0};
    shard_unlock(place.shard);
    return place.counter;
}

void memory_limits_put(struct memory_limits *limits, const struct limit_charge *charge,
                       const union limit_counter *seen, const struct now *now) {
    struct place place = place_of(limits, charge);
    shard_lock(place.shard);
    bool is_new = limit_counter_is_new(seen, place.shard->kind, now);
    if (shard_holds(place.shard, place.hash) ||
        (!is_new && shard_makes_room(place.shard, limits, 1, now)))
        shard_put(place.shard, place.hash, *seen);
    shard_unlock(place.shard);
}

struct memory_limits_stats memory_limits_stats(struct memory_limits *limits) {
    struct memory_limits_stats stats = {.total_bytes = limits->n_bytes};
    for (size_t i = 0; i < count_shards(limits); i++) {
        struct shard *shard = &limits->shards[i];
        shard_lock(shard);
        stats.n_counters[i / limits->n_shards / LIMIT_COUNTED_KINDS] += shard->used;
        stats.total_bytes += shard->capacity * sizeof(struct slot);
        stats.n_shared += shard->n_shared;
        shard_unlock(shard);
    }
    return stats;
}
