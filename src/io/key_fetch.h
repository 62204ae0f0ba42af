/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"

/* One document at a time over HTTP, by libcurl (this is its one door): whole or not at all, in bounded time and memory. Redirects are
 * not followed, proxies of the environment not used. For the thread that makes it; only key_fetcher_cancel may come from another. */
struct key_fetcher;

#define KEY_DOCUMENT_BYTES_MAX (1024 * 1024)

struct key_answer {
    int status;         /* of HTTP; 0 when no whole answer came: see why */
    struct buffer body; /* key_answer_fini frees it */
    char etag[200];     /* empty: none, or too long to be worth keeping */
    int64_t fresh_s;    /* Cache-Control's max-age less Age, not below 0; -1 when nothing is said */
    char why[160];      /* what went wrong; empty when an answer came */
};

struct key_fetcher *key_fetcher_new(
    void) MUST_USE; /* NULL when memory is out; not while other threads use libcurl's globals */
void key_fetcher_free(struct key_fetcher *fetcher); /* takes NULL */
/* GET `url`, within timeout_ms in all. `etag` may be empty. Blocks. */
void key_fetcher_get(struct key_fetcher *fetcher, const char *url, const char *etag,
                     int64_t timeout_ms, struct key_answer *answer);
/* What runs, and whatever is asked from now on, ends at once without an answer. */
void key_fetcher_cancel(struct key_fetcher *fetcher);
bool key_fetcher_is_cancelled(const struct key_fetcher *fetcher);
void key_answer_fini(struct key_answer *answer);
