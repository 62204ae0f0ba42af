/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"
#include "io/news.h"

/* Whose are the API keys that callers show? A worker's answer: what it remembers (auth/api_key_cache.h), else Redis'.
 *
 *   PREFIXk:ID     a string in Redis, the record as JSON (auth/api_key.h); ID is the SHA-256 of the key's text in hex
 *
 * However many show the same key at once, it is asked for once; at most API_KEYS_ASKED keys are asked for at the same time. With Redis
 * away what is remembered holds for apikeys.max_stale, and other keys are 503. Who sent too many tokens and keys that failed
 * (auth_failures) is refused before Redis is asked.
 *
 * Of a key that the news name, or of every one after a gap in them, Redis is asked again where a request of it is under way, until it
 * has answered: a key that is not there any more has its streams ended. */
#define API_KEYS_ASKED 256

struct api_keys;

/* `advance` is called for who has waited. NULL: memory is out. */
struct api_keys *api_keys_new(struct gateway *gateway,
                              void (*advance)(struct exchange *x)) MUST_USE;
/* takes NULL; nobody may wait any more */
void api_keys_free(struct api_keys *keys);

/* After access_decide said needs_api_key: x->caller becomes the key's subject, or has a problem. False: it is asked for, and the exchange
 * is advanced when the answer is there. */
bool api_keys_find(struct exchange *x) MUST_USE;
void api_keys_leave(struct exchange *x); /* does not wait any more; fine when it does not */
/* Forgets what the news say was made or revoked. */
void api_keys_heed(struct api_keys *keys, const struct news *before, const struct news *news);
/* Other settings: what is remembered was read by the old ones. */
void api_keys_change(struct api_keys *keys, const struct settings *settings);

enum api_keys_result { /* of callers who showed a well-formed key */
                       API_KEYS_GOOD,
                       API_KEYS_STALE, /* let in as remembered, while Redis does not answer */
                       API_KEYS_EXPIRED,
                       API_KEYS_UNKNOWN,
                       API_KEYS_UNAVAILABLE,
                       API_KEYS_RESULTS,
};
struct api_keys_stats {
    uint64_t results[API_KEYS_RESULTS];
    uint64_t fetches; /* questions to Redis */
    size_t n_held;
};
struct api_keys_stats api_keys_stats(const struct api_keys *keys);

#define API_KEYS_KEY_MAX 160
void api_keys_key(struct str prefix, const char *id, char key[API_KEYS_KEY_MAX]);
