/* SPDX-License-Identifier: MIT */
/* Two tables under keyed hashes.
 *
 *   entries    chained by the hash of a token's end, recycled by the CLOCK algorithm (Corbato 1968): a hit marks an entry, the
 *              hand takes the first one without a mark and wipes the marks it passes, so that what is used stays and a flood of
 *              tokens that are used once passes through. Only what an issuer signed comes in here, and no two signatures end
 *              alike: so a hit costs a hash of 32 bytes, and a comparison of all
 *   forgeries  by the hash of all bytes (anybody may put another's signature to his own), direct mapped: a newer one takes the place of an older one, so a flood costs nobody else anything
 *
 *   buckets: hash -> slot+1      slots:  [token, claims, next] [token, claims, next] [   ] ...
 *                                               ^ hand
 *
 * What the cache saves is the signature check. Times, audience and rules are judged anew at every hit, and the key must
 * still be there whenever the keyring is another one. */
#include "auth/token_cache.h"

#include "base/hash.h"
#include <assert.h>
#include <stdlib.h>

#define END_BYTES 32

struct slot {
    char *token; /* NULL: free */
    uint32_t n_token;
    uint32_t next; /* slot + 1 in the same bucket; 0: last */
    uint64_t hash; /* of its end */
    struct claims *claims;
    uint64_t generation; /* of the keyring that the key was last seen in */
    struct key_print print;
    struct now seen; /* first */
    uint32_t issuer;
    bool is_symmetric;
    bool is_marked;
};

struct forgery {
    struct hash128 hash;
    int64_t until_ns;
    uint64_t generation;
    size_t issuer;
};

struct token_cache {
    struct hash_key key;
    struct token_cache_limits limits;
    uint32_t *buckets;
    size_t n_buckets, n_forgeries; /* powers of two */
    struct slot *slots;
    struct forgery *forgeries;
    size_t n_used, total_bytes;
    size_t n_fresh; /* slots below have been used at least once */
    uint32_t freed; /* slot + 1 of the first free one below n_fresh; chained by next */
    size_t hand;
};

static size_t power_of_two(size_t at_least) {
    size_t n = 1;
    while (n < at_least)
        n *= 2;
    return n;
}

/* A token is a credential: its bytes do not stay behind in freed memory. */
static void slot_fini(struct slot *slot) {
    bytes_wipe(slot->token, slot->n_token);
    free(slot->token);
    claims_unref(slot->claims);
    slot->token = NULL;
    slot->claims = NULL;
}

static void forget_entries(struct token_cache *cache) {
    for (size_t i = 0; i < cache->n_fresh; i++)
        if (cache->slots[i].token)
            slot_fini(&cache->slots[i]);
}

struct token_cache *token_cache_new(const struct token_cache_limits *limits) {
    assert(limits->n_entries > 0 && limits->n_entries < UINT32_MAX / 4 && limits->n_forgeries > 0);
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    hash_key_new(&cache->key);
    cache->limits = *limits;
    cache->n_buckets = power_of_two(limits->n_entries * 2);
    cache->n_forgeries = power_of_two(limits->n_forgeries);
    cache->buckets = calloc(cache->n_buckets, sizeof(cache->buckets[0]));
    cache->slots = calloc(limits->n_entries, sizeof(cache->slots[0]));
    cache->forgeries = calloc(cache->n_forgeries, sizeof(cache->forgeries[0]));
    if (cache->buckets && cache->slots && cache->forgeries)
        return cache;
    token_cache_free(cache);
    return NULL;
}

void token_cache_free(struct token_cache *cache) {
    if (!cache)
        return;
    forget_entries(cache);
    free(cache->buckets);
    free(cache->slots);
    free(cache->forgeries);
    free(cache);
}

/* ---- entries ---- */

static uint64_t hash_end(const struct token_cache *cache, struct str token) {
    return hash64(&cache->key, str_skip(token, token.n > END_BYTES ? token.n - END_BYTES : 0));
}

static uint32_t *bucket_of(struct token_cache *cache, uint64_t hash) {
    return &cache->buckets[hash & (cache->n_buckets - 1)];
}

static size_t slot_bytes(const struct slot *slot) {
    return slot->n_token + claims_bytes(slot->claims);
}

static struct slot *find(struct token_cache *cache, struct str token) {
    uint64_t hash = hash_end(cache, token);
    for (uint32_t at = *bucket_of(cache, hash); at; at = cache->slots[at - 1].next) {
        struct slot *slot = &cache->slots[at - 1];
        if (slot->hash == hash && slot->n_token == token.n &&
            memcmp(slot->token, token.at, token.n) == 0)
            return slot;
    }
    return NULL;
}

static void drop(struct token_cache *cache, struct slot *slot) {
    uint32_t at = (uint32_t)(slot - cache->slots) + 1;
    uint32_t *link = bucket_of(cache, slot->hash);
    while (*link != at) {
        assert(*link);
        link = &cache->slots[*link - 1].next;
    }
    *link = slot->next;
    assert(cache->total_bytes >= slot_bytes(slot) && cache->n_used > 0);
    cache->total_bytes -= slot_bytes(slot);
    cache->n_used--;
    slot_fini(slot);
    slot->next = cache->freed;
    cache->freed = at;
}

static void evict_one(struct token_cache *cache) {
    assert(cache->n_used > 0);
    for (;;) {
        struct slot *slot = &cache->slots[cache->hand];
        cache->hand = (cache->hand + 1) % cache->n_fresh;
        if (slot->token && !slot->is_marked) {
            drop(cache, slot);
            return;
        }
        slot->is_marked = false;
    }
}

/* There is one: evict_one came first where all were taken. */
static struct slot *take_free(struct token_cache *cache) {
    if (!cache->freed)
        return &cache->slots[cache->n_fresh++];
    struct slot *slot = &cache->slots[cache->freed - 1];
    cache->freed = slot->next;
    return slot;
}

/* Not to remember is no failure. */
static void remember(struct token_cache *cache, struct str token, const struct token_result *result,
                     uint64_t generation, const struct now *now) {
    size_t bytes = token.n + claims_bytes(result->claims);
    if (bytes > cache->limits.total_bytes)
        return;
    char *copy = malloc(token.n);
    if (!copy)
        return;
    memcpy(copy, token.at, token.n);
    while (cache->n_used == cache->limits.n_entries ||
           cache->total_bytes + bytes > cache->limits.total_bytes)
        evict_one(cache);
    struct slot *slot = take_free(cache);
    uint64_t hash = hash_end(cache, token);
    uint32_t *bucket = bucket_of(cache, hash);
    *slot = (struct slot){.token = copy,
                          .n_token = (uint32_t)token.n,
                          .next = *bucket,
                          .hash = hash,
                          .claims = claims_ref(result->claims),
                          .generation = generation,
                          .print = result->print,
                          .seen = *now,
                          .issuer = (uint32_t)result->issuer,
                          .is_symmetric = result->is_symmetric};
    *bucket = (uint32_t)(slot - cache->slots) + 1;
    cache->n_used++;
    cache->total_bytes += bytes;
}

/* The ring is another one than when the entry was last used: is what vouched for the token still there? */
static bool still_vouched(const struct slot *slot, const struct token_rules *rules,
                          const struct keyring *keys) {
    return keyring_holds(keys, slot->issuer, &slot->print) &&
           token_issuer_is(claims_issuer(slot->claims), &rules->issuers[slot->issuer],
                           &keys->issuers[slot->issuer]);
}

/* The wall clock may step back; a token's life goes on by the other one. */
static struct now at_least_as_late(const struct slot *slot, const struct now *now) {
    int64_t lived_ns = slot->seen.wall_ns + (now->mono_ns - slot->seen.mono_ns);
    return (struct now){now->mono_ns, now->wall_ns > lived_ns ? now->wall_ns : lived_ns};
}

static struct token_result answer(struct slot *slot, const struct token_rules *rules,
                                  const struct keyring *keys, const struct now *now) {
    struct token_result result = {
        .issuer = slot->issuer, .print = slot->print, .is_symmetric = slot->is_symmetric};
    if (!slot->is_symmetric && keys->issuers[slot->issuer].state != KEYS_FRESH) {
        result.verdict =
            keys->issuers[slot->issuer].state == KEYS_STALE ? TOKEN_KEYS_STALE : TOKEN_NO_KEYS;
    } else {
        struct now late = at_least_as_late(slot, now);
        result.claims = claims_ref(slot->claims);
        result.verdict = token_check_claims(slot->claims, &rules->issuers[slot->issuer], &late);
        slot->is_marked = result.verdict == TOKEN_VALID;
    }
    result.reason = token_verdict_text(result.verdict);
    return result;
}

/* ---- forgeries ---- */

static struct forgery *forgery_of(struct token_cache *cache, const struct hash128 *hash) {
    return &cache->forgeries[hash->hi & (cache->n_forgeries - 1)];
}

static void remember_forgery(struct token_cache *cache, struct str token, size_t issuer,
                             uint64_t generation, const struct now *now) {
    struct hash128 hash = hash128(&cache->key, token);
    *forgery_of(cache, &hash) =
        (struct forgery){hash, now->mono_ns + cache->limits.forgery_ns, generation, issuer};
}

/* NULL: it is not known to be one. */
static const struct forgery *find_forgery(struct token_cache *cache, struct str token,
                                          uint64_t generation, const struct now *now) {
    struct hash128 hash = hash128(&cache->key, token);
    const struct forgery *forgery = forgery_of(cache, &hash);
    bool is_known = forgery->until_ns > now->mono_ns && forgery->generation == generation &&
                    forgery->hash.lo == hash.lo && forgery->hash.hi == hash.hi;
    return is_known ? forgery : NULL;
}

/* ---- use ---- */

static struct token_result verify_and_remember(struct token_cache *cache, struct str token,
                                               const struct token_rules *rules,
                                               struct keyring *keys, const struct now *now,
                                               struct arena *scratch) {
    struct token_result result = token_verify(token, rules, keys, now, scratch);
    if (result.claims)
        remember(cache, token, &result, keys->generation, now);
    else if (result.verdict == TOKEN_BAD_SIGNATURE)
        remember_forgery(cache, token, result.issuer, keys->generation, now);
    return result;
}

bool token_cache_look(struct token_cache *cache, struct str token, const struct token_rules *rules,
                      struct keyring *keys, const struct now *now, struct token_result *result) {
    if (token.n > TOKEN_BYTES_MAX)
        return false;
    struct slot *slot = find(cache, token);
    assert(!slot || slot->issuer < rules->n_issuers);
    if (slot && slot->generation != keys->generation && !still_vouched(slot, rules, keys)) {
        drop(cache, slot);
        slot = NULL;
    }
    if (slot) {
        slot->generation = keys->generation;
        *result = answer(slot, rules, keys, now);
        return true;
    }
    const struct forgery *forgery = find_forgery(cache, token, keys->generation, now);
    if (!forgery)
        return false;
    *result = (struct token_result){.verdict = TOKEN_BAD_SIGNATURE,
                                    .reason = token_verdict_text(TOKEN_BAD_SIGNATURE),
                                    .issuer = forgery->issuer};
    return true;
}

struct token_result token_cache_verify(struct token_cache *cache, struct str token,
                                       const struct token_rules *rules, struct keyring *keys,
                                       const struct now *now, struct arena *scratch, bool *hit) {
    struct token_result result;
    *hit = token_cache_look(cache, token, rules, keys, now, &result);
    return *hit ? result : verify_and_remember(cache, token, rules, keys, now, scratch);
}

void token_cache_clear(struct token_cache *cache) {
    forget_entries(cache);
    memset(cache->buckets, 0, cache->n_buckets * sizeof(cache->buckets[0]));
    memset(cache->forgeries, 0, cache->n_forgeries * sizeof(cache->forgeries[0]));
    cache->n_used = cache->total_bytes = cache->n_fresh = cache->hand = 0;
    cache->freed = 0;
}

static bool same_list(const struct str *a, size_t n_a, const struct str *b, size_t n_b) {
    for (size_t i = 0; n_a == n_b && i < n_a; i++)
        if (!str_eq(a[i], b[i]))
            return false;
    return n_a == n_b;
}

/* An entry knows its issuer by number, and its claims by the numbers of their paths. */
bool token_cache_outlives(const struct token_rules *before, const struct token_rules *after) {
    if (before->n_issuers != after->n_issuers ||
        !same_list(before->paths->list, before->paths->n, after->paths->list, after->paths->n))
        return false;
    for (size_t i = 0; i < before->n_issuers; i++) {
        const struct issuer_rule *a = &before->issuers[i], *b = &after->issuers[i];
        if (!str_eq(a->name, b->name) || a->algorithms != b->algorithms ||
            !same_list(a->issuers, a->n_issuers, b->issuers, b->n_issuers))
            return false;
    }
    return true;
}

struct token_cache_stats token_cache_stats(const struct token_cache *cache) {
    struct token_cache_stats stats = {cache->n_used, cache->total_bytes, 0};
    for (size_t i = 0; i < cache->n_forgeries; i++)
        stats.n_forgeries += cache->forgeries[i].until_ns != 0;
    return stats;
}
