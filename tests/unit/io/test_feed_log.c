/* SPDX-License-Identifier: MIT */
/* The words of the log without a Redis; test_feed.c lets a real one speak them. */
#include "io/feed_log.h"

#include "suite.h"
#include <errno.h>
#include <stdio.h>

#define TEXT_REPLY(t) \
    { .kind = REPLY_STRING, .text = STR(t) }

/* An entry of up to three pairs. */
static bool read_entry(const struct redis_reply *fields, size_t n, struct feed_entry *entry) {
    const struct redis_reply pair[] = {TEXT_REPLY("17-0"),
                                       {.kind = REPLY_ARRAY, .n = n, .list = fields}};
    const struct redis_reply reply = {.kind = REPLY_ARRAY, .n = 2, .list = pair};
    return feed_entry_read(&reply, entry);
}

START_TEST(keys_of_one_slot_are_named_by_the_prefix) {
    struct feed_log log;
    ck_assert_int_eq(feed_log_init(&log, STR("jotgate:")), 0);
    ck_assert_str_eq(log.log_key, "jotgate:{feed}log");
    ck_assert_str_eq(log.deny_key, "jotgate:{feed}deny");
    ck_assert_uint_eq(redis_slot(str_of(log.log_key)), redis_slot(str_of(log.deny_key)));
    feed_log_fini(&log);
}
END_TEST

START_TEST(a_prefix_that_is_too_long_is_refused) {
    char prefix[96];
    struct feed_log log;
    memset(prefix, 'p', sizeof(prefix));
    ck_assert_int_eq(feed_log_init(&log, (struct str){prefix, sizeof(prefix)}), -E2BIG);
}
END_TEST

START_TEST(a_denial_is_read_with_its_end) {
    const struct redis_reply fields[] = {TEXT_REPLY("event"), TEXT_REPLY("deny"),
                                         TEXT_REPLY("of"),    TEXT_REPLY("subject:ada"),
                                         TEXT_REPLY("until"), TEXT_REPLY("1764000000")};
    struct feed_entry entry;
    ck_assert(read_entry(fields, 6, &entry));
    ck_assert(str_eq(entry.id, STR("17-0")));
    ck_assert_int_eq(entry.event, FEED_DENY);
    ck_assert(str_eq(entry.of, STR("subject:ada")));
    ck_assert_int_eq(entry.until_s, 1764000000);
}
END_TEST

START_TEST(a_change_needs_no_end) {
    const struct redis_reply fields[] = {TEXT_REPLY("of"), TEXT_REPLY("k1"), TEXT_REPLY("event"),
                                         TEXT_REPLY("apikey")};
    struct feed_entry entry;
    ck_assert(read_entry(fields, 4, &entry));
    ck_assert_int_eq(entry.event, FEED_APIKEY);
    ck_assert(str_eq(entry.of, STR("k1")));
}
END_TEST

START_TEST(strange_entries_are_none_but_keep_their_id) {
    const struct redis_reply unknown[] = {TEXT_REPLY("event"), TEXT_REPLY("party"),
                                          TEXT_REPLY("of"), TEXT_REPLY("ada")};
    const struct redis_reply endless[] = {TEXT_REPLY("event"), TEXT_REPLY("deny"), TEXT_REPLY("of"),
                                          TEXT_REPLY("subject:ada")};
    const struct redis_reply odd[] = {TEXT_REPLY("event"), TEXT_REPLY("deny"), TEXT_REPLY("of")};
    struct feed_entry entry;
    ck_assert(!read_entry(unknown, 4, &entry));
    ck_assert(str_eq(entry.id, STR("17-0")));
    ck_assert(!read_entry(endless, 4, &entry));
    ck_assert(!read_entry(odd, 3, &entry));
    ck_assert(!read_entry(NULL, 0, &entry));
    const struct redis_reply text = TEXT_REPLY("17-0");
    ck_assert(!feed_entry_read(&text, &entry));
    ck_assert_uint_eq(entry.id.n, 0);
}
END_TEST

SUITE_MAIN("io/feed_log", keys_of_one_slot_are_named_by_the_prefix,
           a_prefix_that_is_too_long_is_refused, a_denial_is_read_with_its_end,
           a_change_needs_no_end, strange_entries_are_none_but_keep_their_id)
