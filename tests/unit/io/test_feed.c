/* SPDX-License-Identifier: MIT */
/* A feed as a worker sees it, and a client that plays the other processes, before a real redis-server. */
#include "io/feed.h"

#include "redis_server.h"
#include "suite.h"
#include <errno.h>

struct reader {
    struct loop *loop;
    struct resolver *resolver;
    struct arena arena;
    struct redis_target target;
    struct feed *feed;
    struct news *seen; /* the newest that came to the loop */
    int n_news;
};

static void on_news(void *arg, struct news *news) {
    struct reader *reader = arg;
    news_unref(reader->seen);
    reader->seen = news_ref(news);
    reader->n_news++;
}

static void reader_open(struct reader *reader, const char *url, size_t n_denials) {
    char why[160];
    const char *wrong;
    *reader = (struct reader){.loop = loop_new(), .resolver = resolver_new()};
    arena_init(&reader->arena);
    if (url)
        ck_assert(redis_url_parse(str_of(url), &reader->target, &reader->arena, &wrong));
    const struct feed_options options = {url ? &reader->target : NULL, STR("t:"), n_denials};
    reader->feed = feed_new(reader->resolver, &options, why);
    ck_assert_msg(reader->feed != NULL, "%s", why);
    ck_assert_int_eq(feed_subscribe(reader->feed, reader->loop, on_news, reader), 0);
    ck_assert_int_eq(feed_start(reader->feed), 0);
    RUN_UNTIL(reader->loop, reader->n_news > 0);
}

static void reader_close(struct reader *reader) {
    feed_stop(reader->feed);
    loop_free(reader->loop);
    feed_free(reader->feed);
    news_unref(reader->seen);
    resolver_free(reader->resolver);
    arena_fini(&reader->arena);
}

static bool denies(const struct reader *reader, const char *text) {
    struct now now = clock_now();
    struct ip ip;
    ck_assert(ip_parse(str_of(text), &ip));
    return deny_list_has_ip(reader->seen->denials, &ip, now_s(&now));
}

static int64_t in_a_minute(void) {
    struct now now = clock_now();
    return now_s(&now) + 60;
}

/* ---- without Redis */

START_TEST(without_redis_the_news_are_this_process_own) {
    struct reader reader;
    reader_open(&reader, NULL, 2);
    ck_assert(!feed_is_shared(reader.feed));
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("ip:192.0.2.1"), in_a_minute()), 0);
    RUN_UNTIL(reader.loop, denies(&reader, "192.0.2.1"));
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("ip:192.0.2.1"), 0), 0);
    RUN_UNTIL(reader.loop, !denies(&reader, "192.0.2.1"));
    ck_assert_int_eq(feed_enter(reader.feed, FEED_SUBJECT, STR("ada"), 0), 0);
    RUN_UNTIL(reader.loop, reader.seen->n == 1);
    ck_assert_int_eq(feed_age_ns(reader.feed, 1), 0);
    reader_close(&reader);
}
END_TEST

START_TEST(no_more_denials_stand_than_may) {
    struct reader reader;
    reader_open(&reader, NULL, 2);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:a"), in_a_minute()), 0);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:b"), in_a_minute()), 0);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:a"), in_a_minute()), 0);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:c"), in_a_minute()), -ENOSPC);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:a"), 0), 0);
    ck_assert_int_eq(feed_enter(reader.feed, FEED_DENY, STR("subject:c"), in_a_minute()), 0);
    reader_close(&reader);
}
END_TEST

/* ---- with a Redis */

struct world {
    struct server server;
    struct client other; /* another process */
    struct feed_log words;
    struct reader reader;
    char url[64];
};

static void world_open(struct world *w, size_t n_denials) {
    *w = (struct world){0};
    server_start(&w->server, "");
    snprintf(w->url, sizeof(w->url), "redis://127.0.0.1:%u", w->server.port);
    client_open(&w->other, w->url, "", NS_PER_S);
    RUN_UNTIL(w->other.loop, IS_UP(&w->other));
    ck_assert_int_eq(feed_log_init(&w->words, STR("t:")), 0);
    reader_open(&w->reader, w->url, n_denials);
    RUN_UNTIL(w->reader.loop, feed_age_ns(w->reader.feed, 1) >= 0);
}

static void world_close(struct world *w) {
    reader_close(&w->reader);
    client_close(&w->other);
    feed_log_fini(&w->words);
    server_stop(&w->server);
}

/* What the script said. */
static int64_t deny(struct world *w, const char *name, int64_t until_s, size_t n_most) {
    struct asked asked = {0};
    ck_assert_int_eq(feed_log_deny(&w->words, w->other.redis, &asked.call, str_of(name), until_s,
                                   n_most, on_asked),
                     0);
    ck_assert_int_eq(wait_for(&w->other, &asked), REDIS_ANSWERED);
    return asked.integer;
}

static void tell_of(struct world *w, enum feed_event event, const char *of) {
    struct asked asked = {0};
    ck_assert_int_eq(
        feed_log_tell(&w->words, w->other.redis, &asked.call, event, str_of(of), on_asked), 0);
    ck_assert_int_eq(wait_for(&w->other, &asked), REDIS_ANSWERED);
}
static void tell(struct world *w, const char *subject) { tell_of(w, FEED_SUBJECT, subject); }

static void say(struct world *w, const char *command) {
    struct asked asked = {0};
    ck_assert_int_eq(answer(&w->other, &asked, command), REDIS_ANSWERED);
}

#define UNTIL(w, condition) RUN_UNTIL((w)->reader.loop, condition)

static bool is_told(const struct world *w, uint64_t since) {
    const struct news_change *changes;
    size_t n;
    return news_since(w->reader.seen, since, &changes, &n);
}

/* With an entry that was read: of an empty log the first ones are applied, and then it is read whole. */
static void begin_log(struct world *w) {
    UNTIL(w, w->reader.seen->next > 1); /* read whole */
    uint64_t empty = w->reader.seen->next;
    tell(w, "first");
    UNTIL(w, !is_told(w, empty));
}

START_TEST(what_another_process_denies_is_seen_here_until_it_lifts_it) {
    struct world w;
    world_open(&w, 10);
    ck_assert_int_eq(deny(&w, "ip:192.0.2.1", in_a_minute(), 10), 1);
    UNTIL(&w, denies(&w.reader, "192.0.2.1"));
    ck_assert_int_eq(deny(&w, "ip:192.0.2.1", 0, 10), 1);
    UNTIL(&w, !denies(&w.reader, "192.0.2.1"));
    world_close(&w);
}
END_TEST

START_TEST(changes_come_in_their_order) {
    struct world w;
    world_open(&w, 10);
    begin_log(&w);
    uint64_t stood = w.reader.seen->next;
    const struct news_change *first;
    size_t n;
    tell(&w, "ada");
    tell(&w, "bob");
    UNTIL(&w, w.reader.seen->next == stood + 2);
    ck_assert(news_since(w.reader.seen, stood, &first, &n));
    ck_assert(str_eq(first[0].of, STR("ada")) && str_eq(first[1].of, STR("bob")));
    world_close(&w);
}
END_TEST

START_TEST(revoked_keys_are_counted_once) {
    struct world w;
    world_open(&w, 10);
    UNTIL(&w, w.reader.seen->next > 1);
    for (uint64_t n = 1; n <= 3; n++) { /* the first of a log, and more */
        tell_of(&w, FEED_APIKEY, "0123456789abcdef");
        UNTIL(&w, feed_revoked_keys(w.reader.feed) == n);
    }
    uint64_t stood = w.reader.seen->next;
    tell(&w, "ada");
    UNTIL(&w, w.reader.seen->next > stood);
    ck_assert_uint_eq(feed_revoked_keys(w.reader.feed), 3);
    world_close(&w);
}
END_TEST

START_TEST(a_process_that_starts_reads_every_denial_that_stands) {
    struct world w;
    char name[40];
    world_open(&w, 1000);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "ip:192.0.%d.%d", i / 100, i % 100);
        ck_assert_int_eq(deny(&w, name, in_a_minute(), 1000), 1);
    }
    struct reader late;
    reader_open(&late, w.url, 1000);
    RUN_UNTIL(late.loop, deny_list_count(late.seen->denials) == 300);
    ck_assert(denies(&late, "192.0.2.99"));
    reader_close(&late);
    world_close(&w);
}
END_TEST

START_TEST(a_log_that_has_lost_what_was_read_is_read_whole) {
    struct world w;
    world_open(&w, 10);
    deny(&w, "ip:192.0.2.1", in_a_minute(), 10);
    UNTIL(&w, denies(&w.reader, "192.0.2.1"));
    uint64_t stood = w.reader.seen->next;
    const struct news_change *first;
    size_t n;
    say(&w, "FLUSHALL"); /* as after a failover that lost writes */
    deny(&w, "ip:192.0.2.2", in_a_minute(), 10);
    UNTIL(&w, denies(&w.reader, "192.0.2.2"));
    ck_assert(!denies(&w.reader, "192.0.2.1"));
    ck_assert(!news_since(w.reader.seen, stood, &first, &n));
    world_close(&w);
}
END_TEST

START_TEST(what_an_empty_log_has_lost_is_noticed_with_its_next_entry) {
    struct world w;
    world_open(&w, 10);
    UNTIL(&w, w.reader.seen->next > 1);
    uint64_t empty = w.reader.seen->next;
    ck_assert(is_told(&w, empty));
    tell(&w, "ada");
    say(&w, "FLUSHALL"); /* whether ada was read or not */
    tell(&w, "bob");
    UNTIL(&w, !is_told(&w, empty));
    world_close(&w);
}
END_TEST

START_TEST(with_redis_away_the_last_news_hold_and_what_was_missed_comes_later) {
    struct world w;
    world_open(&w, 10);
    deny(&w, "ip:192.0.2.1", in_a_minute(), 10);
    UNTIL(&w, denies(&w.reader, "192.0.2.1"));
    server_kill(&w.server);
    RUN_UNTIL(w.other.loop, !IS_UP(&w.other));
    UNTIL(&w, feed_age_ns(w.reader.feed, clock_now().mono_ns) > NS_PER_S);
    ck_assert(denies(&w.reader, "192.0.2.1"));
    server_start(&w.server, "");
    RUN_UNTIL(w.other.loop, IS_UP(&w.other));
    deny(&w, "ip:192.0.2.2", in_a_minute(), 10);
    UNTIL(&w, denies(&w.reader, "192.0.2.2"));
    world_close(&w);
}
END_TEST

START_TEST(the_script_enters_no_more_than_may_stand) {
    struct world w;
    world_open(&w, 10);
    ck_assert_int_eq(deny(&w, "subject:a", in_a_minute(), 1), 1);
    ck_assert_int_eq(deny(&w, "subject:b", in_a_minute(), 1), 0);
    ck_assert_int_eq(deny(&w, "subject:a", in_a_minute() + 1, 1), 1);
    ck_assert_int_eq(deny(&w, "subject:a", 0, 1), 1);
    ck_assert_int_eq(deny(&w, "subject:b", in_a_minute(), 1), 1);
    world_close(&w);
}
END_TEST

START_TEST(strange_entries_are_passed_over) {
    struct world w;
    world_open(&w, 10);
    say(&w, "XADD t:{feed}log * event party of ada");
    say(&w, "ZADD t:{feed}deny 9000000000 nobody");
    deny(&w, "ip:192.0.2.1", in_a_minute(), 10);
    UNTIL(&w, denies(&w.reader, "192.0.2.1"));
    world_close(&w);
}
END_TEST

SUITE_MAIN("io/feed", without_redis_the_news_are_this_process_own, no_more_denials_stand_than_may,
           what_another_process_denies_is_seen_here_until_it_lifts_it, changes_come_in_their_order,
           revoked_keys_are_counted_once, a_process_that_starts_reads_every_denial_that_stands,
           a_log_that_has_lost_what_was_read_is_read_whole,
           what_an_empty_log_has_lost_is_noticed_with_its_next_entry,
           with_redis_away_the_last_news_hold_and_what_was_missed_comes_later,
           the_script_enters_no_more_than_may_stand, strange_entries_are_passed_over)
