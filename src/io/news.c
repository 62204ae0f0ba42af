/* SPDX-License-Identifier: MIT */
#include "io/news.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct news *make(struct deny_list *denials, uint64_t next) {
    struct news *news = calloc(1, sizeof(*news));
    if (!news)
        return NULL;
    atomic_init(&news->references, 1);
    news->denials = deny_list_ref(denials);
    news->next = next;
    return news;
}

struct news *news_new(void) {
    struct deny_list *nobody = deny_list_new();
    struct news *news = nobody ? make(nobody, 1) : NULL;
    deny_list_unref(nobody);
    return news;
}

/* A number is left out, so that nobody who stood at `next` believes to have seen all. */
struct news *news_anew(const struct news *before, struct deny_list *denials) {
    return make(denials, before->next + 1);
}

static bool keep(struct news *news, const struct news_change *change) {
    char *copy = str_dup(change->of);
    if (copy)
        news->changes[news->n++] =
            (struct news_change){change->event, (struct str){copy, change->of.n}};
    return copy;
}

struct news *news_with(const struct news *before, struct deny_list *denials,
                       const struct news_change *changes, size_t n) {
    assert(n <= NEWS_CHANGES_MAX);
    struct news *news = make(denials, before->next + n);
    size_t n_kept = before->n + n > NEWS_CHANGES_MAX ? NEWS_CHANGES_MAX - n : before->n;
    bool is_good = news;
    for (size_t i = before->n - n_kept; is_good && i < before->n; i++)
        is_good = keep(news, &before->changes[i]);
    for (size_t i = 0; is_good && i < n; i++)
        is_good = keep(news, &changes[i]);
    if (is_good)
        return news;
    news_unref(news);
    return NULL;
}

struct news *news_ref(struct news *news) {
    atomic_fetch_add_explicit(&news->references, 1, memory_order_relaxed);
    return news;
}

void news_unref(struct news *news) {
    if (!news || atomic_fetch_sub_explicit(&news->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < news->n; i++)
        free((char *)news->changes[i].of.at);
    deny_list_unref(news->denials);
    free(news);
}

bool news_since(const struct news *news, uint64_t from, const struct news_change **first,
                size_t *n) {
    uint64_t oldest = news->next - news->n;
    *first = NULL;
    *n = 0;
    if (from < oldest)
        return false;
    assert(from <= news->next);
    *first = news->changes + (from - oldest);
    *n = (size_t)(news->next - from);
    return true;
}
