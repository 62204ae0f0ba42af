/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"
#include "io/news.h"
#include "io/redis.h"

/* A worker's memory of subjects' records (gateway/record.h), good ones and missing ones; the feed says when one is another.
 *
 *   PREFIXs:SUBJECT     a string in Redis, the record as JSON; strange subjects are hashed (io/redis_name.h)
 *
 * A subject's first request waits for its record, for redis.timeout at most; with Redis away the token's claims decide, and
 * what is remembered holds. Without Redis the process keeps them (io/feed.h). Bounded by subjects.max: what was remembered first goes. */
struct records;

/* `advance` is called for who has waited. NULL: memory is out. */
struct records *records_new(struct gateway *gateway, void (*advance)(struct exchange *x)) MUST_USE;
/* takes NULL; nobody may wait any more */
void records_free(struct records *records);

/* x->record is filled in, as far as it can be known. False: it is asked for, and the exchange is advanced when it is there. */
bool records_find(struct exchange *x) MUST_USE;
void records_leave(struct exchange *x); /* does not wait any more; fine when it does not */
/* Forgets what the news say is another now. */
void records_heed(struct records *records, const struct news *before, const struct news *news);

/* The key of a subject's record. False when a library fails. */
#define RECORD_KEY_MAX 160
bool records_key(struct str prefix, struct str subject, char key[RECORD_KEY_MAX]) MUST_USE;
/* Keeps `json` as the subject's record in Redis, without text none: before the call's deadline or never, so that what was refused does not
 * overwrite later what was kept since. As redis_run. */
int records_keep(struct records *records, struct redis_call *call, struct str subject,
                 struct str json, redis_on_done *on_done) MUST_USE;
