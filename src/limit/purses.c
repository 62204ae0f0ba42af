/* SPDX-License-Identifier: MIT */
/* A table of sets: a hash names the set, and within it any of a few places will do.
 *
 *      hash.hi ──► shard [lock] ──► set ──► [ purse | purse | ... 8 ]
 *
 * A newcomer takes the place of whoever asked longest ago and holds nothing. Keys that can be changed from outside have a
 * version in a small table of counters, found by a hash of the key: strangers who share one are
 * forgotten together, which costs them a question. */
#include "limit/purses.h"

#include "base/hash.h"
#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS     64
#define WAYS       8
#define SETS       (PURSES_MAX / SHARDS / WAYS)
#define VERSIONS   1024
#define CACHE_LINE 64
/* An answer that never comes (the worker's client was freed) does not close a purse for ever. */
#define ASKS_NS (60 * NS_PER_S)

struct purse {
    struct hash128 hash; /* all zero: free */
    struct lease lease;
    struct denial denial;
    union limit_counter seen;
    int64_t capacity; /* of the policy that it was asked under */
    uint64_t version;
    int64_t asks_until_ns; /* somebody asks for a lease: monotonic */
    char *name;            /* NULL: nothing was ever lent */
    enum limit_kind kind;
    struct bucket_rule rate;
};

struct shard {
    alignas(CACHE_LINE) pthread_mutex_t lock;
    size_t n_named;
    struct purse purses[SETS * WAYS];
};

struct purses {
    struct hash_key key;
    _Atomic uint64_t versions[VERSIONS];
    struct shard shards[SHARDS];
};

struct purses *purses_new(void) {
    struct purses *purses = NULL;
    size_t n_bytes = (sizeof(*purses) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    purses = aligned_alloc(CACHE_LINE, n_bytes);
    if (!purses)
        return NULL;
    memset(purses, 0, n_bytes);
    hash_key_new(&purses->key);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&purses->shards[i].lock, NULL); /* never fails without attributes */
    return purses;
}

void purses_free(struct purses *purses) {
    if (!purses)
        return;
    for (size_t s = 0; s < SHARDS; s++) {
        for (size_t i = 0; i < SETS * WAYS; i++)
            free(purses->shards[s].purses[i].name);
        pthread_mutex_destroy(&purses->shards[s].lock);
    }
    free(purses);
}

/* ---- places ---- */

static struct shard *lock_shard(struct purses *purses, struct hash128 hash) {
    struct shard *shard = &purses->shards[hash.hi % SHARDS];
    int failed = pthread_mutex_lock(&shard->lock);
    assert(!failed);
    (void)failed;
    return shard;
}

static void unlock(struct shard *shard) {
    int failed = pthread_mutex_unlock(&shard->lock);
    assert(!failed);
    (void)failed;
}

static struct hash128 hash_of(const struct purses *purses, const struct limit_charge *charge) {
    struct hash128 rule = limit_policy_hash(&purses->key, charge->policy);
    struct hash_key rule_key = {rule.lo, rule.hi};
    return hash128(&rule_key, charge->key);
}

static bool hash_eq(struct hash128 a, struct hash128 b) { return a.lo == b.lo && a.hi == b.hi; }
static bool is_free(const struct purse *purse) { return !purse->hash.lo && !purse->hash.hi; }

static struct purse *set_of(struct shard *shard, struct hash128 hash) {
    return &shard->purses[hash.lo % SETS * WAYS];
}

static struct purse *find(struct shard *shard, struct hash128 hash) {
    struct purse *set = set_of(shard, hash);
    for (size_t i = 0; i < WAYS; i++)
        if (hash_eq(set[i].hash, hash))
            return &set[i];
    return NULL;
}

static bool is_in_use(const struct purse *purse, int64_t mono_ns) {
    return mono_ns < purse->asks_until_ns ||
           (purse->lease.left > 0 && mono_ns < purse->lease.dies_ns);
}

/* NULL: all neighbours hold something. */
static struct purse *find_or_make(struct shard *shard, struct hash128 hash, int64_t mono_ns) {
    struct purse *purse = find(shard, hash), *set = set_of(shard, hash);
    for (size_t i = 0; i < WAYS && !purse; i++)
        if (is_free(&set[i]))
            purse = &set[i];
    if (purse) {
        purse->hash = hash;
        return purse;
    }
    for (size_t i = 0; i < WAYS; i++)
        if (!is_in_use(&set[i], mono_ns) && (!purse || set[i].lease.dies_ns < purse->lease.dies_ns))
            purse = &set[i];
    if (!purse)
        return NULL;
    shard->n_named -= purse->name != NULL;
    free(purse->name);
    *purse = (struct purse){.hash = hash};
    return purse;
}

/* ---- versions ---- */

static _Atomic uint64_t *version_at(struct purses *purses, struct str key) {
    return &purses->versions[hash64(&purses->key, key) % VERSIONS];
}

/* Addresses, headers and everybody have no record, and nobody grants them anything. */
static uint64_t version_of(struct purses *purses, const struct limit_charge *charge) {
    enum limit_key key = charge->policy->key;
    if (key != LIMIT_KEY_SUBJECT && key != LIMIT_KEY_CLAIM)
        return 0;
    return atomic_load_explicit(version_at(purses, charge->key), memory_order_acquire);
}

void purses_forget(struct purses *purses, struct str key) {
    atomic_fetch_add_explicit(version_at(purses, key), 1, memory_order_acq_rel);
}

void purses_forget_all(struct purses *purses) {
    for (size_t i = 0; i < VERSIONS; i++)
        atomic_fetch_add_explicit(&purses->versions[i], 1, memory_order_acq_rel);
}

/* ---- deciding ---- */

/* What is left of the lease was seen as used. */
static struct limit_state reckon(const struct purse *purse, const struct limit_charge *charge,
                                 int64_t left, const struct now *now) {
    union limit_counter counter = purse->seen;
    const struct limit_state lent = {.window.end_s = purse->lease.end_s};
    if (left > 0)
        limit_counter_settle(&counter, charge, -left, &lent, now);
    return limit_counter_take(&counter, charge, now);
}

static int64_t left_of(const struct purse *purse, int64_t mono_ns) {
    return mono_ns < purse->lease.dies_ns ? purse->lease.left : 0;
}

static struct limit_state reckon_nothing(const struct purse *purse,
                                         const struct limit_charge *charge, const struct now *now) {
    struct limit_charge nothing = *charge;
    nothing.cost = 0;
    return reckon(purse, &nothing, left_of(purse, now->mono_ns), now);
}

static enum purse_verdict decide(struct purse *purse, const struct limit_charge *charge,
                                 uint64_t version, bool heeds_denials, const struct now *now,
                                 struct limit_state *state) {
    if (purse->version != version || purse->capacity != limit_capacity(charge->policy))
        return PURSE_ASKS;
    int64_t left = purse->lease.left;
    if (lease_spend(&purse->lease, charge->cost, now->mono_ns)) {
        *state = reckon(purse, charge, left, now);
        state->allowed = true;
        state->wait_ns = 0;
        return PURSE_PAYS;
    }
    if (!heeds_denials ||
        denial_look(&purse->denial, charge->cost, version, now->mono_ns) != DENIAL_STANDS)
        return PURSE_ASKS;
    *state = reckon_nothing(purse, charge, now);
    state->allowed = false;
    state->wait_ns =
        purse->denial.until_ns == INT64_MAX ? INT64_MAX : purse->denial.until_ns - now->mono_ns;
    return PURSE_REFUSES;
}

enum purse_verdict purses_pay(struct purses *purses, const struct limit_charge *charge,
                              bool heeds_denials, const struct now *now,
                              struct limit_state *state) {
    struct hash128 hash = hash_of(purses, charge);
    uint64_t version = version_of(purses, charge);
    struct shard *shard = lock_shard(purses, hash);
    struct purse *purse = find(shard, hash);
    enum purse_verdict verdict =
        purse ? decide(purse, charge, version, heeds_denials, now, state) : PURSE_ASKS;
    unlock(shard);
    return verdict;
}

/* No more than was lent: the ledger knows of no more. */
static bool put_back(struct purse *purse, int64_t amount, int64_t taken_end_s, int64_t mono_ns) {
    struct lease *lease = &purse->lease;
    if (mono_ns >= lease->dies_ns || taken_end_s != lease->end_s ||
        amount > lease->given - lease->left)
        return false;
    lease->left += amount;
    return true;
}

bool purses_settle(struct purses *purses, const struct limit_charge *charge, int64_t change,
                   int64_t taken_end_s, const struct now *now) {
    struct hash128 hash = hash_of(purses, charge);
    struct shard *shard = lock_shard(purses, hash);
    struct purse *purse = find(shard, hash);
    bool is_settled = purse && (change >= 0 ? lease_spend(&purse->lease, change, now->mono_ns)
                                            : put_back(purse, -change, taken_end_s, now->mono_ns));
    unlock(shard);
    return is_settled;
}

struct limit_state purses_look(struct purses *purses, const struct limit_charge *charge,
                               const struct now *now) {
    struct hash128 hash = hash_of(purses, charge);
    const struct purse nothing = {0};
    struct shard *shard = lock_shard(purses, hash);
    const struct purse *purse = find(shard, hash);
    struct limit_state state = reckon_nothing(purse ? purse : &nothing, charge, now);
    unlock(shard);
    return state;
}

int64_t purses_left(struct purses *purses, const struct limit_charge *charge,
                    const struct now *now) {
    struct hash128 hash = hash_of(purses, charge);
    struct shard *shard = lock_shard(purses, hash);
    const struct purse *purse = find(shard, hash);
    int64_t left = purse ? left_of(purse, now->mono_ns) : 0;
    unlock(shard);
    return left;
}

/* ---- asking ---- */

void purses_ask(struct purses *purses, const struct limit_charge *charge, bool lends,
                const struct now *now, struct purse_question *question) {
    *question = (struct purse_question){.version = version_of(purses, charge),
                                        .hash = hash_of(purses, charge),
                                        .asked_ns = now->mono_ns};
    struct shard *shard = lock_shard(purses, question->hash);
    struct purse *purse = find_or_make(shard, question->hash, now->mono_ns);
    if (purse && now->mono_ns >= purse->asks_until_ns) {
        question->is_lender = true;
        question->wish.wanted = lends ? lease_wanted(&purse->lease, now->mono_ns) : 0;
        question->wish.rest = lease_end(&purse->lease);
        purse->asks_until_ns = now->mono_ns + ASKS_NS;
    }
    unlock(shard);
}

/* For its return it needs a name. */
static bool give_name(struct shard *shard, struct purse *purse, const struct purse_answer *answer) {
    if (!purse->name) {
        purse->name = str_dup(answer->name);
        shard->n_named += purse->name != NULL;
    }
    const struct limit_policy *policy = answer->charge->policy;
    purse->kind = policy->kind;
    purse->rate = policy->kind == LIMIT_RATE ? policy->rate : (struct bucket_rule){0};
    return purse->name != NULL;
}

/* False: there was something to hold, and it cannot. */
static bool hold(struct shard *shard, struct purse *purse, const struct purse_question *question,
                 const struct purse_answer *answer) {
    struct lease_grant grant = *answer->grant;
    purse->asks_until_ns = 0;
    bool has_place = grant.lent == 0 || give_name(shard, purse, answer);
    if (!has_place)
        grant.lent = 0;
    lease_hold(&purse->lease, &grant, question->wish.wanted, question->asked_ns);
    return has_place;
}

static void see(struct purse *purse, const struct purse_question *question,
                const struct purse_answer *answer) {
    purse->seen = answer->seen;
    purse->capacity = limit_capacity(answer->charge->policy);
    purse->version = question->version;
}

bool purses_answer(struct purses *purses, const struct purse_question *question,
                   const struct purse_answer *answer, const struct now *now) {
    const struct limit_charge *charge = answer->charge;
    struct shard *shard = lock_shard(purses, question->hash);
    struct purse *purse = find(shard, question->hash);
    bool has_place = answer->grant->lent == 0;
    if (purse) {
        see(purse, question, answer);
        if (question->is_lender)
            has_place = hold(shard, purse, question, answer);
        purse->denial = (struct denial){0};
        if (answer->is_refused)
            denial_remember(&purse->denial, charge->cost,
                            denial_wait_ns(charge->policy, answer->grant->state.wait_ns),
                            question->version, now->mono_ns);
    }
    unlock(shard);
    return !has_place;
}

bool purses_answer_late(struct purses *purses, const struct purse_question *question,
                        const struct purse_answer *answer, const struct now *now) {
    struct shard *shard = lock_shard(purses, question->hash);
    struct purse *purse = question->is_lender ? find(shard, question->hash) : NULL;
    bool is_held = purse && !is_in_use(purse, now->mono_ns) && answer->grant->lent > 0 &&
                   hold(shard, purse, question, answer);
    if (is_held)
        see(purse, question, answer);
    unlock(shard);
    return !is_held && answer->grant->lent > 0;
}

void purses_fail(struct purses *purses, const struct purse_question *question, bool was_sent) {
    struct shard *shard = lock_shard(purses, question->hash);
    struct purse *purse = question->is_lender ? find(shard, question->hash) : NULL;
    if (purse) {
        purse->asks_until_ns = 0;
        if (!was_sent) {
            purse->lease.given = question->wish.rest.lent;
            purse->lease.left = question->wish.rest.left;
        }
    }
    unlock(shard);
}

/* ---- going back ---- */

static bool goes_back(const struct purse *purse, bool all, int64_t mono_ns) {
    const struct lease *lease = &purse->lease;
    return lease->left > 0 && mono_ns < lease->dies_ns && mono_ns >= purse->asks_until_ns &&
           (all || mono_ns >= lease->dies_ns - PURSES_RETURN_NS);
}

static size_t collect_from(struct shard *shard, bool all, int64_t mono_ns, struct purse_return *out,
                           size_t n) {
    size_t n_out = 0;
    for (size_t i = 0; i < SETS * WAYS && n_out < n && shard->n_named > 0; i++) {
        struct purse *purse = &shard->purses[i];
        if (!goes_back(purse, all, mono_ns))
            continue;
        int64_t spent = purse->lease.given - purse->lease.left;
        out[n_out++] =
            (struct purse_return){purse->name, purse->kind, purse->rate, lease_end(&purse->lease)};
        purse->name = NULL;
        shard->n_named--;
        /* The next question wants what was spent: for this the lease is dead. */
        purse->lease.given = spent;
        purse->lease.dies_ns = mono_ns;
    }
    return n_out;
}

size_t purses_collect(struct purses *purses, size_t part, size_t n_parts, bool all,
                      const struct now *now, struct purse_return *out, size_t n) {
    size_t n_out = 0;
    for (size_t s = part; s < SHARDS && n_out < n; s += n_parts) {
        struct shard *shard = lock_shard(purses, (struct hash128){.hi = s});
        n_out += collect_from(shard, all, now->mono_ns, out + n_out, n - n_out);
        unlock(shard);
    }
    return n_out;
}
