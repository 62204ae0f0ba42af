/* SPDX-License-Identifier: MIT */
/* Each key that is asked for has a question; who shows it meanwhile hangs on it. */
#include "gateway/api_keys.h"

#include "auth/signer.h"
#include "base/log.h"
#include "base/map.h"
#include "gateway/checks.h"
#include "gateway/streams.h"
#include "gateway_internal.h"
#include "user_token.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define DOUBT_NS (250 * NS_PER_MS)

struct key_question {
    struct api_keys *keys;
    char id[API_KEY_ID_BYTES + 1];
    int64_t asked_ns;
    bool is_old; /* the key was made or revoked since */
    struct redis_call call;
    struct exchange *waiters; /* by next_shower */
};

struct api_keys {
    struct gateway *gateway;
    void (*advance)(struct exchange *x);
    struct map *questions; /* by id */
    struct api_key_cache *cache;
    struct signer *signer; /* NULL: the settings have no signing key */
    struct timer doubts;   /* runs while a request under way is doubted */
    struct api_keys_stats stats;
};

static struct api_key_cache *make_cache(const struct settings *settings) {
    return api_key_cache_new(settings->api_key_entries, settings->api_key_max_stale_ns);
}

/* The settings' reader has tried the key; what fails now is memory. */
static struct signer *make_signer(const struct settings *settings) {
    struct signer *signer = NULL;
    char why[160];
    if (settings->signing_key.n > 0 && signer_new_for(&signer, settings->signing_key, why) < 0)
        log_error("the signing key cannot be used", F_TEXT("why", why));
    return signer;
}

struct api_keys *api_keys_new(struct gateway *gateway, void (*advance)(struct exchange *x)) {
    struct api_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return NULL;
    keys->gateway = gateway;
    keys->advance = advance;
    keys->questions = map_new();
    keys->cache = make_cache(gateway->parts.settings);
    keys->signer = make_signer(gateway->parts.settings);
    if (keys->questions && keys->cache)
        return keys;
    api_keys_free(keys);
    return NULL;
}

static void question_free(struct key_question *question) {
    assert(!question->waiters);
    redis_cancel(&question->call);
    (void)map_remove(question->keys->questions, str_of(question->id));
    free(question);
}

void api_keys_free(struct api_keys *keys) {
    if (!keys)
        return;
    struct str id;
    void *question;
    loop_timer_clear(keys->gateway->parts.loop, &keys->doubts);
    for (size_t at = 0; keys->questions && map_next(keys->questions, &at, &id, &question); at = 0)
        question_free(question);
    map_free(keys->questions);
    api_key_cache_free(keys->cache);
    signer_free(keys->signer);
    free(keys);
}

void api_keys_key(struct str prefix, const char *id, char key[API_KEYS_KEY_MAX]) {
    int n = snprintf(key, API_KEYS_KEY_MAX, STR_FMT "k:%s", STR_ARG(prefix), id);
    assert(n > 0 && n < API_KEYS_KEY_MAX); /* the settings bound the prefix */
}

/* ---- asking ---- */

static void believe(struct gateway *gateway, struct str id) {
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next)
        x->key_is_doubted &= !str_eq(x->caller.api_key, id);
}

static void take(struct key_question *question, enum redis_verdict verdict,
                 const struct redis_reply *reply) {
    struct api_keys *keys = question->keys;
    const struct claim_paths *paths = &keys->gateway->epoch->settings->claim_paths;
    if (verdict != REDIS_ANSWERED || question->is_old)
        return;
    believe(keys->gateway, str_of(question->id));
    if (reply->kind == REPLY_NIL)
        streams_revoke(keys->gateway, str_of(question->id));
    if (reply->kind == REPLY_NIL)
        api_key_cache_miss(keys->cache, question->id, loop_now(keys->gateway->parts.loop)->mono_ns);
    else if (reply->kind != REPLY_STRING ||
             api_key_cache_keep(keys->cache, question->id, reply->text, paths, question->asked_ns) <
                 0)
        api_key_cache_forget(keys->cache, question->id); /* nobody we know wrote that */
}

/* Whoever has waited runs again and looks; what is asked for anew meanwhile is another question. */
static void on_record(struct redis_call *call, enum redis_verdict verdict,
                      const struct redis_reply *reply) {
    struct key_question *question = CONTAINER_OF(call, struct key_question, call);
    struct api_keys *keys = question->keys;
    struct exchange *x, *waiters = question->waiters;
    take(question, verdict, reply);
    for (x = waiters; x; x = x->next_shower) {
        x->shows = NULL;
        x->asked_for_api_key = !question->is_old;
    }
    question->waiters = NULL;
    question_free(question);
    while ((x = waiters)) {
        waiters = x->next_shower;
        keys->advance(x);
    }
}

static struct key_question *ask(struct api_keys *keys, const char *id) {
    struct gateway *gateway = keys->gateway;
    char key[API_KEYS_KEY_MAX];
    api_keys_key(gateway->first->redis.prefix, id, key);
    if (!gateway->redis || !redis_is_up(gateway->redis, str_of(key)) ||
        map_count(keys->questions) >= API_KEYS_ASKED)
        return NULL;
    struct key_question *question = calloc(1, sizeof(*question));
    if (!question || map_put(keys->questions, str_of(id), question) < 0) {
        free(question);
        return NULL;
    }
    const struct str arguments[] = {STR("GET"), str_of(key)};
    question->keys = keys;
    memcpy(question->id, id, sizeof(question->id));
    question->asked_ns = loop_now(gateway->parts.loop)->mono_ns;
    keys->stats.fetches++;
    if (redis_call(gateway->redis, &question->call, str_of(key), arguments, 2, on_record) == 0)
        return question;
    question_free(question);
    return NULL;
}

/* ---- judging ---- */

static void refuse(struct exchange *x, enum problem problem, const char *reason) {
    x->caller = (struct caller){.problem = problem, .reason = reason, .issuer = SIZE_MAX};
}

static void count(struct exchange *x, enum api_keys_result result) {
    x->gateway->api_keys->stats.results[result]++;
}

static void accept_held(struct exchange *x, struct api_key_held *held, bool is_stale) {
    x->caller = access_of_api_key(held, exchange_now(x), &x->arena);
    count(x, x->caller.problem != PROBLEM_NONE ? API_KEYS_EXPIRED
             : is_stale                        ? API_KEYS_STALE
                                               : API_KEYS_GOOD);
    user_token_find(x, held, x->gateway->api_keys->signer);
}

static void refuse_unknown(struct exchange *x) {
    count(x, API_KEYS_UNKNOWN);
    if (x->asked_for_api_key) /* what is remembered cost nothing */
        checks_count_failure(x);
    refuse(x, PROBLEM_BAD_API_KEY, "the API key is not known, or was revoked");
}

static bool wait_for(struct exchange *x, const char *id) {
    struct api_keys *keys = x->gateway->api_keys;
    struct key_question *question = map_get(keys->questions, str_of(id));
    if (!question)
        question = ask(keys, id);
    x->asked_for_api_key = true;
    if (!question)
        return false;
    x->shows = question;
    x->next_shower = question->waiters;
    question->waiters = x;
    return true;
}

bool api_keys_find(struct exchange *x) {
    struct api_keys *keys = x->gateway->api_keys;
    struct api_key_held *held = NULL;
    char id[API_KEY_ID_BYTES + 1];
    if (!api_key_id(x->credentials.api_key, id)) {
        refuse(x, PROBLEM_INTERNAL, "the API key could not be hashed");
        return true;
    }
    enum api_key_state state = api_key_cache_look(keys->cache, id, exchange_now(x)->mono_ns, &held);
    if (state == API_KEY_ASK && !x->asked_for_api_key && checks_refuse_failures(x)) {
        refuse(x, PROBLEM_TOO_MANY_FAILURES,
               "too many credentials from this address were not valid");
        return true;
    }
    if ((state == API_KEY_ASK || state == API_KEY_STALE) && !x->asked_for_api_key &&
        wait_for(x, id))
        return false;
    switch (state) {
    case API_KEY_HELD:
    case API_KEY_STALE:
        accept_held(x, held, state == API_KEY_STALE);
        break;
    case API_KEY_UNKNOWN:
        refuse_unknown(x);
        break;
    case API_KEY_ASK:
        count(x, API_KEYS_UNAVAILABLE);
        refuse(x, PROBLEM_KEYS_UNAVAILABLE,
               x->gateway->redis ? "API keys cannot be looked up right now"
                                 : "API keys need Redis, and none is configured");
    }
    return true;
}

void api_keys_leave(struct exchange *x) {
    if (!x->shows)
        return;
    struct exchange **at = &x->shows->waiters;
    while (*at != x)
        at = &(*at)->next_shower;
    *at = x->next_shower;
    x->shows = NULL;
}

/* ---- what changes ---- */

static void forget(struct api_keys *keys, struct str id) {
    char text[API_KEY_ID_BYTES + 1] = "";
    if (id.n != API_KEY_ID_BYTES)
        return;
    memcpy(text, id.at, id.n);
    struct key_question *question = map_get(keys->questions, id);
    if (question)
        question->is_old = true;
    api_key_cache_forget(keys->cache, text);
}

static void forget_all(struct api_keys *keys) {
    struct str id;
    void *question;
    size_t at = 0;
    while (map_next(keys->questions, &at, &id, &question))
        ((struct key_question *)question)->is_old = true;
    api_key_cache_clear(keys->cache);
}

/* ---- doubts ---- */

/* What cannot be asked now is asked at the next turn of the timer: Redis may be away, or too many questions under way. */
static void on_doubts(struct timer *timer) {
    struct api_keys *keys = CONTAINER_OF(timer, struct api_keys, doubts);
    struct gateway *gateway = keys->gateway;
    char id[API_KEY_ID_BYTES + 1] = "";
    bool is_any = false;
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next) {
        if (!x->key_is_doubted)
            continue;
        is_any = true;
        memcpy(id, x->caller.api_key.at, API_KEY_ID_BYTES);
        if (!map_get(keys->questions, x->caller.api_key))
            (void)!ask(keys, id);
    }
    if (is_any)
        loop_timer_set(gateway->parts.loop, timer,
                       loop_now(gateway->parts.loop)->mono_ns + DOUBT_NS, on_doubts);
}

/* `id` at NULL: every key. */
static void doubt(struct api_keys *keys, struct str id) {
    struct gateway *gateway = keys->gateway;
    for (struct exchange *x = gateway->open.next; x != &gateway->open; x = x->next)
        if (x->caller.api_key.n > 0 && (!id.at || str_eq(x->caller.api_key, id)))
            x->key_is_doubted = true;
    on_doubts(&keys->doubts);
}

void api_keys_heed(struct api_keys *keys, const struct news *before, const struct news *news) {
    const struct news_change *changes;
    size_t n;
    if (!news_since(news, before->next, &changes, &n)) {
        forget_all(keys);
        doubt(keys, STR_NONE);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (changes[i].event != FEED_APIKEY)
            continue;
        forget(keys, changes[i].of);
        doubt(keys, changes[i].of);
    }
}

void api_keys_change(struct api_keys *keys, const struct settings *settings) {
    struct api_key_cache *cache = make_cache(settings);
    signer_free(keys->signer);
    keys->signer = make_signer(settings);
    if (!cache) {
        api_key_cache_clear(keys->cache);
        return;
    }
    api_key_cache_free(keys->cache);
    keys->cache = cache;
}

struct api_keys_stats api_keys_stats(const struct api_keys *keys) {
    struct api_keys_stats stats = keys->stats;
    stats.n_held = api_key_cache_count(keys->cache);
    return stats;
}
