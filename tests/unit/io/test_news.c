/* SPDX-License-Identifier: MIT */
#include "io/news.h"

#include "suite.h"
#include <stdio.h>

/* Takes `before`; one more change of that subject. */
static struct news *tell(struct news *before, const char *subject) {
    const struct news_change change = {FEED_SUBJECT, str_of(subject)};
    struct news *news = news_with(before, before->denials, &change, 1);
    ck_assert_ptr_nonnull(news);
    news_unref(before);
    return news;
}

START_TEST(news_begin_with_nobody_denied_and_nothing_changed) {
    struct news *news = news_new();
    const struct news_change *first;
    size_t n = 9;
    ck_assert_uint_eq(deny_list_count(news->denials), 0);
    ck_assert(news_since(news, news->next, &first, &n));
    ck_assert_uint_eq(n, 0);
    ck_assert(!news_since(news, 0, &first, &n));
    news_unref(news);
    news_unref(NULL);
}
END_TEST

START_TEST(who_stood_somewhere_is_told_what_came_since) {
    struct news *news = news_new();
    uint64_t stood = news->next;
    const struct news_change *first;
    size_t n;
    news = tell(tell(news, "ada"), "bob");
    ck_assert(news_since(news, stood, &first, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert(str_eq(first[0].of, STR("ada")) && str_eq(first[1].of, STR("bob")));
    ck_assert(news_since(news, stood + 1, &first, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert(str_eq(first[0].of, STR("bob")));
    news_unref(news);
}
END_TEST

START_TEST(who_has_slept_too_long_is_told_to_forget_all) {
    struct news *news = news_new();
    uint64_t stood = news->next;
    const struct news_change *first;
    size_t n;
    for (size_t i = 0; i < NEWS_CHANGES_MAX; i++)
        news = tell(news, "ada");
    ck_assert(news_since(news, stood, &first, &n));
    ck_assert_uint_eq(n, NEWS_CHANGES_MAX);
    news = tell(news, "bob");
    ck_assert(!news_since(news, stood, &first, &n));
    ck_assert(news_since(news, stood + 1, &first, &n));
    ck_assert(str_eq(first[NEWS_CHANGES_MAX - 1].of, STR("bob")));
    news_unref(news);
}
END_TEST

START_TEST(news_begun_anew_are_known_to_nobody) {
    struct news *before = news_new();
    const struct news_change *first;
    size_t n;
    struct news *news = news_anew(before, before->denials);
    ck_assert(!news_since(news, before->next, &first, &n));
    ck_assert(news_since(news, news->next, &first, &n));
    news_unref(before);
    news_unref(news);
}
END_TEST

START_TEST(news_live_until_the_last_reference) {
    struct news *news = tell(news_new(), "ada");
    ck_assert_ptr_eq(news_ref(news), news);
    news_unref(news);
    ck_assert(str_eq(news->changes[0].of, STR("ada")));
    news_unref(news);
}
END_TEST

SUITE_MAIN("io/news", news_begin_with_nobody_denied_and_nothing_changed,
           who_stood_somewhere_is_told_what_came_since,
           who_has_slept_too_long_is_told_to_forget_all, news_begun_anew_are_known_to_nobody,
           news_live_until_the_last_reference)
