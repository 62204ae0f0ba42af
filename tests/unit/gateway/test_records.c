/* SPDX-License-Identifier: MIT */
/* Proves gateway/records.h without Redis: what the process keeps overrules the token, at once after each change. With Redis it is
 * proven by tests/story/test_subjects.py. */
#include "gateway/records.h"

#include "rig.h"

#define PLANS \
    "plans: { claim: app_metadata.plan, default: free, tiers: {\n" \
    "  free: { default: [ { name: burst, rate: 1/hour } ] },\n" \
    "  pro: { default: [ { name: burst, rate: 100/hour } ] } } }\n" \
    "payment: { claim: app_metadata.status, downgrade: [late], refuse: [gone] }\n" \
    "routes:\n" \
    "  - { path: /a, access: user, limits: [plan], upstream: \"${UPSTREAM}\" }\n" \
    "  - { path: /pay, access: user, limits: [], payment: ignore, upstream: \"${UPSTREAM}\" }\n"

static struct stage s;

static void keep(const char *subject, const char *json, size_t n_most) {
    ck_assert_int_eq(feed_keep(s.feed, str_of(subject), str_of(json), n_most), 0);
    ck_assert_int_eq(feed_enter(s.feed, FEED_SUBJECT, str_of(subject), 0), 0);
    struct news *news = feed_news(s.feed);
    gateway_set_news(s.gateway, news);
    news_unref(news);
}

#define AS_ADA(path) GET(&s, path, bearer(&s, ADA))

START_TEST(a_payer_who_was_over_the_limit_is_let_in) {
    stage_open(&s, PLANS);
    ck_assert_int_eq(pass(&s, AS_ADA("/a")), 200);
    ck_assert_int_eq(refuse(&s, AS_ADA("/a")), 429);
    keep("ada", "{\"plan\":\"pro\"}", 10);
    ck_assert_int_eq(pass(&s, AS_ADA("/a")), 200);
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "ratelimit-policy"), "q=100"));
    keep("ada", "", 10);
    ck_assert_int_eq(refuse(&s, AS_ADA("/a")), 429);
    stage_close(&s);
}
END_TEST

START_TEST(the_records_status_overrules_the_tokens) {
    stage_open(&s, PLANS);
    keep("ada", "{\"status\":\"gone\"}", 10);
    ck_assert_int_eq(refuse(&s, AS_ADA("/a")), 402);
    ck_assert_int_eq(pass(&s, AS_ADA("/pay")), 200);
    keep("ada", "{\"status\":\"late\",\"plan\":\"pro\"}", 10);
    ck_assert_int_eq(pass(&s, AS_ADA("/a")), 200);
    ck_assert_ptr_nonnull(strstr(FIELD(&s, "ratelimit-policy"), "q=1"));
    ck_assert_int_eq(refuse(&s, AS_ADA("/a")), 429);
    const char *gone = bearer(&s, ADA ",\"app_metadata\":{\"status\":\"gone\"}");
    keep("ada", "{\"status\":\"active\",\"plan\":\"pro\"}", 10);
    ck_assert_int_eq(pass(&s, GET(&s, "/a", gone)), 200);
    stage_close(&s);
}
END_TEST

START_TEST(a_record_is_its_subjects_alone) {
    stage_open(&s, PLANS);
    keep("adam", "{\"status\":\"gone\"}", 10);
    keep("main:ada", "{\"status\":\"gone\"}", 10);
    ck_assert_int_eq(pass(&s, AS_ADA("/a")), 200);
    ck_assert_int_eq(refuse(&s, GET(&s, "/a", bearer(&s, "\"sub\":\"adam\""))), 402);
    stage_close(&s);
}
END_TEST

START_TEST(no_more_are_remembered_than_may_be) {
    stage_open(&s, "subjects: { max: 2 }\n" PLANS);
    keep("ada", "{\"plan\":\"pro\"}", 10);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(pass(&s, GET(&s, "/pay", bearer(&s, TEXT(&s, "\"sub\":\"user-%d\"", i)))),
                         200);
        ck_assert_int_eq(pass(&s, AS_ADA("/a")), 200);
    }
    stage_close(&s);
}
END_TEST

START_TEST(no_more_are_kept_than_may_be) {
    stage_open(&s, PLANS);
    keep("a", "{}", 1);
    ck_assert_int_eq(feed_keep(s.feed, STR("b"), STR("{}"), 1), -ENOSPC);
    keep("a", "{\"plan\":\"pro\"}", 1);
    keep("a", "", 1);
    keep("b", "{}", 1);
    stage_close(&s);
}
END_TEST

START_TEST(keys_are_named_by_prefix_and_subject) {
    char key[RECORD_KEY_MAX];
    ck_assert(records_key(STR("jotgate:"), STR("auth0:ada"), key));
    ck_assert_str_eq(key, "jotgate:s:auth0:ada");
    ck_assert(records_key(STR("jotgate:"), STR("a b"), key));
    ck_assert_int_eq(strncmp(key, "jotgate:s:#", 11), 0);
}
END_TEST

SUITE_MAIN("gateway/records", a_payer_who_was_over_the_limit_is_let_in,
           the_records_status_overrules_the_tokens, a_record_is_its_subjects_alone,
           no_more_are_remembered_than_may_be, no_more_are_kept_than_may_be,
           keys_are_named_by_prefix_and_subject)
