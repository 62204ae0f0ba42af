/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/deny_list.h"
#include "io/feed_log.h"

/* What a process knows of the feed at one moment: immutable once it is shared, reference-counted (atomic). It holds the last changes,
 * numbered, so that a worker which missed some news misses nothing: it asks from where it stood, or is told to forget all. */
#define NEWS_CHANGES_MAX 256

struct news_change {
    enum feed_event event; /* all but FEED_DENY */
    struct str of;
};
struct news {
    _Atomic unsigned references; /* private */
    struct deny_list *denials;
    uint64_t next; /* the number of the change that comes next */
    size_t n;      /* at most NEWS_CHANGES_MAX: next - n is the first one's number */
    struct news_change changes[NEWS_CHANGES_MAX];
};

/* No denials, no changes; numbered from 1. NULL: memory is out. */
struct news *news_new(void) MUST_USE;
/* As `before`, with these denials (a reference is taken) and without memory of any change. */
struct news *news_anew(const struct news *before, struct deny_list *denials) MUST_USE;
/* As `before`, with these denials and a change more. */
struct news *news_with(const struct news *before, struct deny_list *denials,
                       const struct news_change *changes, size_t n) MUST_USE;
struct news *news_ref(struct news *news);
void news_unref(struct news *news); /* takes NULL */

/* The changes from number `from` on: *first and how many. False: some are not known any more, so whatever was read of subjects and keys
 * before may be wrong. */
bool news_since(const struct news *news, uint64_t from, const struct news_change **first,
                size_t *n);
