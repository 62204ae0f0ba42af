/* SPDX-License-Identifier: MIT */
/* Who is told of new keys, when they are asked for, and who they are of. */
#include "key_fixture.h"

START_TEST(first_ring_knows_nothing_and_the_second_has_the_keys) {
    begin();
    subscribe(&origin, 1);
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert_ptr_null(keys()->keys);
    uint64_t generation = ring->generation;
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_uint_eq(n_published(), 2);
    ck_assert(!keys()->last_fetch_failed);
    ck_assert_uint_gt(ring->generation, generation);
    end();
}
END_TEST

START_TEST(request_says_who_asks_and_for_what) {
    begin();
    start();
    ck_assert_str_eq(script.user_agent, "jotgate/" JG_VERSION);
    ck_assert_str_eq(script.accept, "application/json");
    ck_assert_str_eq(script.if_none_match, "");
    end();
}
END_TEST

START_TEST(status_tells_count_age_and_fetches) {
    begin();
    subscribe(&origin, 1);
    ck_assert_int_eq(status().age_s, -1);
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    struct key_status now = status();
    ck_assert_int_eq(now.state, KEYS_FRESH);
    ck_assert_uint_eq(now.n_keys, 2);
    ck_assert_int_ge(now.age_s, 0);
    ck_assert_uint_eq(now.n_fetches, 1);
    ck_assert_uint_eq(now.n_failures, 0);
    ck_assert_str_eq(now.error, "");
    end();
}
END_TEST

START_TEST(issuer_that_cannot_be_reached_leaves_us_unready_and_heals_by_itself) {
    begin();
    uint16_t port = service_port(server);
    service_stop(server);
    start();
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert(keys()->last_fetch_failed);
    char why[256];
    ck_assert(!key_source_is_ready(source, why));
    ck_assert_msg(strstr(why, "supabase") && strstr(why, "could not be had"), "%s", why);
    struct endpoint at = loopback(port);
    ck_assert_int_eq(service_start(&server, &at, handle, NULL), 0);
    while (keys()->state == KEYS_NEVER)
        await_events(1);
    ck_assert(!keys()->last_fetch_failed);
    ck_assert(key_source_is_ready(source, why));
    end();
}
END_TEST

START_TEST(secret_is_there_before_and_without_any_fetch) {
    begin();
    serve(500, "");
    origin.hs256_secret = STR(SECRET);
    subscribe(&origin, 1);
    ck_assert_uint_eq(keyset_count(keys()->keys), 1);
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert_uint_eq(keyset_count(keys()->keys), 1);
    serve(200, SET(KEY_A));
    refresh();
    ck_assert_uint_eq(keyset_count(keys()->keys), 2);
    ck_assert_uint_eq(n_published(), 1);
    end();
}
END_TEST

START_TEST(secret_alone_is_ready_and_fetches_nothing) {
    begin();
    origin.jwks_url = STR_NONE;
    origin.hs256_secret = STR(SECRET);
    origin.auto_issuer_default = STR("https://x.test/auth/v1");
    subscribe(&origin, 1);
    char why[256];
    ck_assert(key_source_is_ready(source, why));
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_uint_eq(keys()->n_issuers, 1);
    ck_assert_int_eq(key_source_start(source), 0);
    ck_assert(!key_source_want(source, ring, 0));
    refresh();
    end();
    ck_assert_int_eq(script.n_jwks + script.n_documents + script.n_others, 0);
}
END_TEST

START_TEST(slow_issuer_is_given_up_at_the_timeout) {
    begin();
    times.timeout_ms = 150;
    hold(true);
    start();
    ck_assert(keys()->last_fetch_failed);
    ck_assert_msg(strstr(status().error, "imed out") || strstr(status().error, "imeout"), "%s",
                  status().error);
    end();
}
END_TEST

static void not_fetched(const char *url) {
    begin();
    origin.jwks_url = str_of(url);
    start();
    ck_assert_msg(keys()->last_fetch_failed && keys()->state == KEYS_NEVER, "%s", url);
    end();
}

START_TEST(nothing_but_http_and_https_is_fetched) {
    not_fetched("file:///etc/hostname");
    not_fetched("ftp://127.0.0.1/x");
    not_fetched("gopher://127.0.0.1/x");
    not_fetched("not a url");
}
END_TEST

START_TEST(wanted_key_is_fetched_once_and_then_not_within_the_cooldown) {
    begin();
    times.cooldown_s = 0;
    serve(200, SET(KEY_A));
    start();
    serve(200, SET(KEY_A "," KEY_B));
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert_uint_eq(n_published(), 2);
    ck_assert_int_eq(count(&script.n_jwks), 2);
    end();
}
END_TEST

START_TEST(ten_thousand_unknown_kids_cost_no_fetch_within_the_cooldown) {
    begin();
    start();
    for (int i = 0; i < 10000; i++)
        ck_assert(!key_source_want(source, ring, 0));
    end();
    ck_assert_int_eq(script.n_jwks, 1);
}
END_TEST

START_TEST(ten_thousand_unknown_kids_share_the_fetch_that_runs) {
    begin();
    times.cooldown_s = 0;
    start();
    hold(true);
    ck_assert(key_source_want(source, ring, 0));
    await_held();
    for (int i = 0; i < 10000; i++)
        ck_assert(key_source_want(source, ring, 0));
    hold(false);
    int before = n_events;
    await_events(1);
    ck_assert_int_eq(n_events, before + 1);
    ck_assert_uint_eq(status().n_fetches, 2);
    end();
    ck_assert_int_eq(script.n_jwks, 2);
}
END_TEST

START_TEST(whoever_waited_is_written_to_when_the_fetch_fails_or_changes_nothing) {
    begin();
    times.cooldown_s = 0;
    start();
    uint64_t generation = ring->generation;
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert_uint_eq(ring->generation, generation);
    serve(503, "");
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert(keys()->last_fetch_failed);
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert(keys()->last_fetch_failed);
    end();
}
END_TEST

START_TEST(ring_that_is_still_in_the_mail_is_waited_for_within_the_cooldown) {
    begin();
    subscribe(&origin, 1);
    ck_assert_int_eq(key_source_start(source), 0);
    /* Our loop stands still, so the ring stays in the mail. */
    while (status().n_fetches == 0)
        ck_assert_int_eq(usleep(1000), 0);
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert_uint_eq(n_published(), 2);
    ck_assert(!key_source_want(source, ring, 0));
    end();
    ck_assert_int_eq(script.n_jwks, 1);
}
END_TEST

START_TEST(nothing_is_wanted_of_a_source_that_stands) {
    begin();
    times.cooldown_s = 0;
    subscribe(&origin, 1);
    ck_assert(!key_source_want(source, ring, 0));
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    key_source_stop(source);
    ck_assert(!key_source_want(source, ring, 0));
    struct keyring *newest = key_source_ring(source);
    ck_assert_ptr_eq(newest, ring);
    keyring_unref(newest);
    end();
}
END_TEST

START_TEST(stop_does_not_wait_for_a_silent_issuer) {
    begin();
    hold(true);
    subscribe(&origin, 1);
    ck_assert_int_eq(key_source_start(source), 0);
    await_held();
    int64_t before_ns = clock_now().mono_ns;
    key_source_stop(source);
    ck_assert_int_lt(clock_now().mono_ns - before_ns, 10 * NS_PER_S); /* of 20 */
    end();
}
END_TEST

START_TEST(broken_issuer_keeps_no_other_from_its_keys) {
    begin();
    struct key_origin both[] = {origin, origin};
    both[0].name = STR("broken");
    both[0].jwks_url = STR("http://127.0.0.1:1/jwks");
    subscribe(both, 2);
    ck_assert_int_eq(key_source_start(source), 0);
    while (ring->issuers[1].state != KEYS_FRESH || !ring->issuers[0].last_fetch_failed)
        await_events(1);
    ck_assert_int_eq(ring->issuers[0].state, KEYS_NEVER);
    ck_assert_uint_eq(keyset_count(ring->issuers[1].keys), 2);
    char why[256];
    ck_assert(key_source_is_ready(source, why));
    ck_assert_ptr_eq(strstr(why, "the keys of broken could not be had yet: "), why);
    end();
}
END_TEST

static void *run_other(void *arg) {
    loop_run(arg);
    return NULL;
}

static void on_other(void *arg, struct keyring *newest) {
    if (newest->issuers[0].state == KEYS_FRESH)
        loop_stop(arg);
}

START_TEST(every_loop_gets_the_keys_on_its_own_thread) {
    begin();
    struct loop *other = loop_new();
    source = key_source_new(&origin, 1, &times);
    ck_assert_int_eq(key_source_subscribe(source, loop, on_keyring, NULL), 0);
    ck_assert_int_eq(key_source_subscribe(source, other, on_other, other), 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_other, other), 0);
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    while (keys()->state != KEYS_FRESH)
        await_events(1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    end();
    loop_free(other);
}
END_TEST

/* ---- files --------------------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/test_key_source_XXXXXX";

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(keys_come_from_a_file_and_are_read_again_when_wanted) {
    begin();
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(SET(KEY_A));
    origin.jwks_url = STR_NONE;
    origin.jwks_file = str_of(path);
    times.cooldown_s = 0;
    start();
    ck_assert_uint_eq(n_published(), 1);
    write_file(SET(KEY_A "," KEY_B));
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert_uint_eq(n_published(), 2);
    write_file("{");
    refresh();
    ck_assert_uint_eq(n_published(), 2);
    ck_assert(keys()->last_fetch_failed);
    unlink(path);
    refresh();
    ck_assert_uint_eq(n_published(), 2);
    ck_assert_msg(strstr(status().error, "No such file") != NULL, "%s", status().error);
    end();
    ck_assert_int_eq(script.n_jwks, 0);
}
END_TEST

START_TEST(directory_is_no_key_file) {
    begin();
    origin.jwks_url = STR_NONE;
    origin.jwks_file = STR("/tmp");
    start();
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert(keys()->last_fetch_failed);
    end();
}
END_TEST

/* ---- issuer: auto -------------------------------------------------------------------------------------------------- */

#define DEFAULT_ISSUER "http://x.test/auth/v1"

static void begin_auto(void) {
    begin();
    origin.auto_issuer_url = str_of(document_url);
    origin.auto_issuer_default = STR(DEFAULT_ISSUER);
}

static bool issuer_is(const char *text) {
    return keys()->n_issuers == 1 && str_eq(keys()->issuers[0], str_of(text));
}

START_TEST(auto_issuer_is_what_the_document_says_and_nothing_else) {
    begin_auto();
    serve_document(
        200, "{\"issuer\":\"https://real.test/auth/v1/\",\"jwks_uri\":\"http://evil.test/\"}");
    subscribe(&origin, 1);
    ck_assert_uint_eq(keys()->n_issuers, 0); /* nobody knows yet: 503 */
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
    ck_assert(issuer_is("https://real.test/auth/v1/")); /* spelt as there */
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_str_eq(status().issuer, "https://real.test/auth/v1/");
    refresh();
    end();
    ck_assert_int_eq(script.n_documents, 1); /* had once, asked never again */
    ck_assert_int_eq(script.n_jwks, 2);
}
END_TEST

static void means_default(int code, const char *document) {
    begin_auto();
    serve_document(code, document);
    start();
    ck_assert_msg(issuer_is(DEFAULT_ISSUER), "%d %s", code, document);
    serve_document(200, "{\"issuer\":\"https://real.test\"}");
    refresh();
    ck_assert_msg(issuer_is("https://real.test"), "%d %s", code, document);
    end();
}

START_TEST(auto_issuer_is_the_default_until_there_is_a_document) {
    means_default(404, "");
    means_default(403, "{\"issuer\":\"https://not.this\"}");
    means_default(301, "");
    means_default(200, "<html>");
    means_default(200, "{}");
    means_default(200, "{\"issuer\":\"\"}");
    means_default(200, "{\"issuer\":[\"https://not.this\"]}");
    means_default(503, ""); /* no answer at all, but the keys are here */
    means_default(429, "");
}
END_TEST

START_TEST(auto_issuer_stays_open_while_neither_document_nor_keys_can_be_had) {
    begin_auto();
    serve_document(503, "");
    serve(503, "");
    start();
    ck_assert_uint_eq(keys()->n_issuers, 0);
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    serve_document(200, "{\"issuer\":\"https://real.test\"}");
    refresh();
    ck_assert(issuer_is("https://real.test"));
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    end();
}
END_TEST

START_TEST(unreachable_document_is_asked_again_by_itself) {
    begin_auto();
    serve_document(503, "");
    start();
    ck_assert(issuer_is(DEFAULT_ISSUER));
    serve_document(200, "{\"issuer\":\"https://real.test\"}");
    while (!issuer_is("https://real.test"))
        await_events(1);
    end();
    ck_assert_int_eq(script.n_jwks, 1); /* the keys were good already */
}
END_TEST

/* ---- discovery ----------------------------------------------------------------------------------------------------- */

START_TEST(discovery_leads_to_the_keys) {
    begin();
    char document[200];
    snprintf(document, sizeof(document), "{\"issuer\":\"https://op.test\",\"jwks_uri\":\"%s\"}",
             jwks_url);
    serve_document(200, document);
    origin.jwks_url = STR_NONE;
    origin.discovery_url = str_of(document_url);
    times.cooldown_s = 0;
    start();
    ck_assert_uint_eq(n_published(), 2);
    ck_assert(issuer_is("https://op.test"));
    serve(404, "");
    refresh();
    ck_assert(keys()->last_fetch_failed);
    ck_assert_uint_eq(n_published(), 2);
    ck_assert_int_eq(count(&script.n_documents), 1);
    serve(200, SET(KEY_A));
    ck_assert(key_source_want(source, ring, 0));
    await_events(1);
    ck_assert_uint_eq(n_published(), 1);
    ck_assert_int_eq(count(&script.n_documents), 2); /* they might have moved */
    end();
}
END_TEST

static void leads_nowhere(int code, const char *document) {
    begin();
    serve_document(code, document);
    origin.jwks_url = STR_NONE;
    origin.discovery_url = str_of(document_url);
    start();
    ck_assert_msg(keys()->state == KEYS_NEVER && keys()->last_fetch_failed, "%s", document);
    ck_assert_str_ne(status().error, "");
    end();
    ck_assert_int_eq(script.n_jwks, 0);
}

START_TEST(discovery_without_a_usable_place_leads_nowhere) {
    leads_nowhere(404, "");
    leads_nowhere(503, "");
    leads_nowhere(200, "{\"issuer\":\"https://op.test\"}");
    leads_nowhere(200, "{\"issuer\":\"https://op.test\",\"jwks_uri\":7}");
    leads_nowhere(200, "{\"issuer\":\"https://op.test\",\"jwks_uri\":\"file:///etc/hostname\"}");
    leads_nowhere(200, "{\"issuer\":\"https://op.test\",\"jwks_uri\":\"ftp://op.test/\"}");
    leads_nowhere(200, "{\"jwks_uri\":\"https://op.test/\"}");
}
END_TEST

/* ---- other settings ---- */

static struct key_origin two[2];

static void name_two(void) {
    two[0] = (struct key_origin){
        .name = STR("second"), .hs256_secret = STR(SECRET), .algorithms = ALGORITHMS_ALL};
    two[1] = origin;
}

START_TEST(an_issuer_that_is_told_as_before_keeps_its_keys_and_is_not_asked) {
    begin();
    start();
    name_two();
    char name[] = "supabase"; /* the text is another: the settings that it was in are gone */
    two[1].name = str_of(name);
    struct keyset *keys_before = ring->issuers[0].keys;
    ck_assert_int_eq(key_source_change(source, two, 2, &times), 0);
    name[0] = 'X';
    await_events(1);
    ck_assert_uint_eq(ring->layout, 1);
    ck_assert_uint_eq(ring->n, 2);
    ck_assert_ptr_eq(ring->issuers[1].keys, keys_before);
    ck_assert_int_eq(ring->issuers[1].state, KEYS_FRESH);
    ck_assert_uint_eq(keyset_count(ring->issuers[0].keys), 1);
    struct key_status now;
    ck_assert(key_source_status(source, 1, &now) && !key_source_status(source, 2, &now));
    ck_assert_str_eq(now.name, "supabase");
    ck_assert_uint_eq(now.n_fetches, 1);
    ck_assert_int_eq(key_source_change(source, &origin, 1, &times), 0);
    await_events(1);
    ck_assert_uint_eq(ring->layout, 2);
    ck_assert_ptr_eq(ring->issuers[0].keys, keys_before);
    end();
    ck_assert_int_eq(script.n_jwks, 1);
}
END_TEST

START_TEST(another_secret_counts_at_once_and_the_published_keys_stay) {
    begin();
    origin.hs256_secret = STR(SECRET);
    origin.algorithms = ALGORITHMS_ALL;
    start();
    ck_assert_uint_eq(keyset_count(keys()->keys), 3);
    struct keyset *before = keyset_ref(keys()->keys);
    hold(true);
    origin.hs256_secret = STR("another secret of at least 32 bytes");
    ck_assert_int_eq(key_source_change(source, &origin, 1, &times), 0);
    await_events(1);
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_uint_eq(keyset_count(keys()->keys), 3);
    ck_assert(!keyset_holds(keys()->keys, key_print(keyset_at(before, 2))));
    ck_assert(keyset_holds(keys()->keys, key_print(keyset_at(before, 0))));
    origin.hs256_secret = STR_NONE;
    ck_assert_int_eq(key_source_change(source, &origin, 1, &times), 0);
    await_events(1);
    ck_assert_uint_eq(keyset_count(keys()->keys), 2);
    keyset_unref(before);
    end();
}
END_TEST

START_TEST(another_place_knows_no_keys_until_it_was_asked) {
    begin();
    start();
    char elsewhere[80];
    snprintf(elsewhere, sizeof(elsewhere), "%s?elsewhere", jwks_url);
    origin.jwks_url = str_of(elsewhere);
    hold(true);
    ck_assert_int_eq(key_source_change(source, &origin, 1, &times), 0);
    await_events(1);
    ck_assert_int_eq(keys()->state, KEYS_NEVER);
    ck_assert_uint_eq(status().n_fetches, 1); /* its name is the same: counted on */
    hold(false);
    await_events(1);
    ck_assert_int_eq(keys()->state, KEYS_FRESH);
    ck_assert_uint_eq(status().n_fetches, 2);
    end();
    ck_assert_int_eq(script.n_jwks, 2);
}
END_TEST

START_TEST(settings_change_while_a_fetch_hangs_and_whoever_is_gone_gets_nothing) {
    begin();
    times.cooldown_s = 0;
    start();
    name_two();
    hold(true);
    ck_assert(key_source_want(source, ring, 0));
    await_held();
    struct keyring *seen = keyring_ref(ring);
    ck_assert_int_eq(key_source_change(source, two, 2, &times), 0); /* busy, and stays */
    await_events(1);
    ck_assert_uint_eq(keyset_count_published(ring->issuers[1].keys), 2);
    ck_assert(key_source_want(source, seen, 0));  /* another layout: a newer ring comes */
    ck_assert(!key_source_want(source, ring, 0)); /* has nothing to fetch from */
    ck_assert_int_eq(key_source_change(source, two, 1, &times), 0); /* busy, and dismissed */
    await_events(1);
    ck_assert_uint_eq(ring->n, 1);
    hold(false);
    ck_assert_int_eq(key_source_change(source, two, 2, &times), 0);
    await_events(1);
    ck_assert_uint_eq(ring->layout, 3);
    keyring_unref(seen);
    end();
}
END_TEST

START_TEST(a_file_is_read_again_with_the_settings) {
    char file[] = "/tmp/jotgate-test-XXXXXX";
    int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    begin();
    origin.jwks_url = STR_NONE;
    origin.jwks_file = str_of(file);
    ck_assert_int_gt(pwrite(fd, SET(KEY_A), strlen(SET(KEY_A)), 0), 0);
    start();
    ck_assert_uint_eq(n_published(), 1);
    ck_assert_int_gt(pwrite(fd, SET(KEY_A "," KEY_B), strlen(SET(KEY_A "," KEY_B)), 0), 0);
    ck_assert_int_eq(key_source_change(source, &origin, 1, &times), 0);
    while (n_published() == 1)
        await_events(1);
    ck_assert_uint_eq(n_published(), 2);
    end();
    close(fd);
    unlink(file);
}
END_TEST

SUITE_MAIN("io/key_source", first_ring_knows_nothing_and_the_second_has_the_keys,
           request_says_who_asks_and_for_what, status_tells_count_age_and_fetches,
           issuer_that_cannot_be_reached_leaves_us_unready_and_heals_by_itself,
           secret_is_there_before_and_without_any_fetch, secret_alone_is_ready_and_fetches_nothing,
           slow_issuer_is_given_up_at_the_timeout, nothing_but_http_and_https_is_fetched,
           wanted_key_is_fetched_once_and_then_not_within_the_cooldown,
           ten_thousand_unknown_kids_cost_no_fetch_within_the_cooldown,
           ten_thousand_unknown_kids_share_the_fetch_that_runs,
           whoever_waited_is_written_to_when_the_fetch_fails_or_changes_nothing,
           ring_that_is_still_in_the_mail_is_waited_for_within_the_cooldown,
           nothing_is_wanted_of_a_source_that_stands, stop_does_not_wait_for_a_silent_issuer,
           broken_issuer_keeps_no_other_from_its_keys, every_loop_gets_the_keys_on_its_own_thread,
           keys_come_from_a_file_and_are_read_again_when_wanted, directory_is_no_key_file,
           auto_issuer_is_what_the_document_says_and_nothing_else,
           auto_issuer_is_the_default_until_there_is_a_document,
           auto_issuer_stays_open_while_neither_document_nor_keys_can_be_had,
           unreachable_document_is_asked_again_by_itself, discovery_leads_to_the_keys,
           discovery_without_a_usable_place_leads_nowhere,
           an_issuer_that_is_told_as_before_keeps_its_keys_and_is_not_asked,
           another_secret_counts_at_once_and_the_published_keys_stay,
           another_place_knows_no_keys_until_it_was_asked,
           settings_change_while_a_fetch_hangs_and_whoever_is_gone_gets_nothing,
           a_file_is_read_again_with_the_settings)
