/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/news.h"

/* The process' reader of the log in Redis (feed_log.h): one thread, which looks four times a second and shows every subscribed loop the
 * news. Where Redis is away the last news hold; what was missed is read when it is back. Without Redis there is no thread, and the
 * news are what feed_enter is told: this process' own. */
struct feed;

struct feed_options {
    const struct redis_target *target; /* borrowed until feed_free; NULL: no Redis */
    struct str prefix;                 /* borrowed likewise */
    size_t n_denials;                  /* at most so many stand at once */
};
/* NULL with why. */
struct feed *feed_new(struct resolver *resolver, const struct feed_options *options,
                      char why[160]) MUST_USE;
/* on_news(arg, news) comes on the loop's thread for the newest news: at once, and whenever there are others. `news` is borrowed for the
 * call. Before feed_start. */
int feed_subscribe(struct feed *feed, struct loop *loop,
                   void (*on_news)(void *arg, struct news *news), void *arg) MUST_USE;
int feed_start(struct feed *feed) MUST_USE; /* -errno */
/* Joins; then no more mail is posted. */
void feed_stop(struct feed *feed);
/* Takes NULL. The subscribed loops must not run any more: what they still have in the mail names the feed. */
void feed_free(struct feed *feed);

bool feed_is_shared(const struct feed *feed);               /* is there a Redis? */
const struct feed_log *feed_words(const struct feed *feed); /* for those who write to the log */
size_t feed_most_denials(const struct feed *feed);
struct news *feed_news(struct feed *feed); /* the newest, with a reference; any thread */
/* Without Redis: enters it for this process, at once. -ENOSPC: as many denials as there may be; -EINVAL; -ENOMEM. Any thread. */
int feed_enter(struct feed *feed, enum feed_event event, struct str of, int64_t until_s) MUST_USE;
/* Without Redis: what this process keeps of a subject, as text; empty: nothing, and to forget it. -ENOSPC: n_most are kept. Any thread. */
int feed_keep(struct feed *feed, struct str subject, struct str text, size_t n_most) MUST_USE;
struct str feed_kept(struct feed *feed, struct str subject, struct arena *arena);

/* How many API keys the log said were revoked. Any thread. */
uint64_t feed_revoked_keys(struct feed *feed);
/* How long ago the log was last read to its end; 0 without Redis, -1: never yet. Any thread. */
int64_t feed_age_ns(struct feed *feed, int64_t mono_ns);
