/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/api_key.h"
#include "base/clock.h"

/* What a worker remembers of API keys, by their ids. One thread.
 *
 *          asked            0.9 s                        max_stale
 *   kept     |---- HELD ------|----------- STALE -----------|  forgotten
 *            |  nobody asks   | Redis is asked; when it     |
 *            |                | does not answer, this holds |
 *
 * So a key that was revoked anywhere is refused here within a second, counted from when Redis was asked: what it answered may be as
 * old as that. Keys that Redis does not know are remembered for three seconds in a table of their own, so that a flood of them
 * evicts none that is good. */
#define API_KEY_HELD_NS    (900 * NS_PER_MS)
#define API_KEY_UNKNOWN_NS (3 * NS_PER_S)
#define API_KEY_JSON_MOST  8192 /* of a record; a longer one is not one of ours */

struct api_key_cache;

struct api_key_held {
    char id[API_KEY_ID_BYTES + 1];
    struct claims *claims;
    struct str plan; /* empty: as for any user */
    struct str json; /* the record */
    int64_t expires_s;
    /* `credential: user`: signed last, good until then; kept for whoever signs. */
    struct buffer token;
    int64_t token_until_s;
};

/* n_entries >= 1. NULL: memory is out. */
struct api_key_cache *api_key_cache_new(size_t n_entries, int64_t max_stale_ns) MUST_USE;
void api_key_cache_free(struct api_key_cache *cache); /* takes NULL */
void api_key_cache_clear(struct api_key_cache *cache);

enum api_key_state {
    API_KEY_ASK,     /* nothing is known */
    API_KEY_HELD,    /* *held, which lives until the next call that changes the cache */
    API_KEY_STALE,   /* *held, if Redis does not answer */
    API_KEY_UNKNOWN, /* Redis did not know it a moment ago */
};
enum api_key_state api_key_cache_look(struct api_key_cache *cache, const char *id, int64_t now_ns,
                                      struct api_key_held **held) MUST_USE;
/* Redis was asked at asked_ns and gave this record. -EINVAL: it is none; -ENOMEM. After a failure nothing is known of the key. */
int api_key_cache_keep(struct api_key_cache *cache, const char *id, struct str json,
                       const struct claim_paths *paths, int64_t asked_ns) MUST_USE;
/* Redis did not know it. */
void api_key_cache_miss(struct api_key_cache *cache, const char *id, int64_t now_ns);
/* It was made or revoked: ask again. */
void api_key_cache_forget(struct api_key_cache *cache, const char *id);
size_t api_key_cache_count(const struct api_key_cache *cache);
