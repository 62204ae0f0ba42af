/* SPDX-License-Identifier: MIT */
/* One thread's life, from its making to its end. */
#include "server/worker.h"

#include "auth/forge.h"
#include "io/roll.h"
#include "limit/slots.h"
#include "process.h"

static struct place place;
static struct settings *settings;
static struct gateway_parts parts;
static struct key_origin origin;
static struct worker *worker;
static char answer[8192];
static struct roll roll;

static void begin(const char *yaml) {
    static const struct key_times times = {
        .refresh_s = 600, .max_stale_s = 86400, .cooldown_s = 30, .timeout_ms = 5000};
    char why[160];
    ck_assert_int_eq(log_start(LOG_TEXT, LEVEL_ERROR), 0);
    place_open(&place);
    settings = place_settings(&place, yaml);
    origin = (struct key_origin){.name = STR("main"),
                                 .jwks_file = settings->sources[0].jwks_file,
                                 .algorithms = ALGORITHMS_DEFAULT};
    ck_assert_int_eq(roll_init(&roll), 0);
    parts = (struct gateway_parts){
        .roll = &roll,
        .settings = settings,
        .resolver = resolver_new(),
        .keys = key_source_new(&origin, 1, &times),
        .limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT),
        .connections = slots_new(),
        .requests = slots_new(),
        .metrics = metrics_new(settings, 2),
        .n_workers = 2,
        .n_connections = settings->http.max_connections,
        .via_id = STR("jotgate-test"),
    };
    worker = worker_new(&parts, 1, endpoint_listen(&place.at, 16), why);
    ck_assert_msg(worker != NULL, "%s", why);
}

static void end(void) {
    key_source_stop(parts.keys);
    worker_free(worker);
    roll_fini(&roll);
    key_source_free(parts.keys);
    metrics_unref(parts.metrics);
    memory_limits_free(parts.limits);
    slots_free(parts.connections);
    slots_free(parts.requests);
    resolver_free(parts.resolver);
    settings_unref(settings);
    place_close(&place);
    log_stop();
}

static int get(const char *path, const char *fields) {
    return place_get(&place.at, path, fields, answer, sizeof(answer));
}

START_TEST(a_worker_serves_from_a_thread_of_its_own) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    ck_assert_int_eq(get("/_jotgate/health", ""), 200);
    ck_assert_int_eq(get("/none", ""), 404);
    ck_assert(!worker_has_ended(worker));
    end();
}
END_TEST

static bool metrics_say(const char *line) {
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(parts.metrics, &text), 0);
    bool is_there = str_contains(buffer_bytes(&text), str_of(line));
    buffer_release(&text);
    return is_there;
}

START_TEST(what_a_worker_has_done_is_seen_as_soon_as_somebody_looks) {
    char line[64];
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    for (int i = 1; i <= 50; i++) {
        ck_assert_int_eq(get("/none", ""), 404);
        ck_assert(roll_call(&roll, PATIENCE_NS));
        snprintf(line, sizeof(line), "\njotgate_connections_accepted_total %d\n", i);
        ck_assert(metrics_say(line));
    }
    worker_finish(worker);
    WAIT_FOR(worker_has_ended(worker));
    ck_assert(
        roll_call(&roll, PATIENCE_NS)); /* nobody is waited for, and the last that was is seen */
    ck_assert(metrics_say("\njotgate_connections 0\n"));
    end();
}
END_TEST

START_TEST(a_worker_that_never_started_goes_quietly) {
    begin("");
    worker_free(NULL);
    end();
}
END_TEST

START_TEST(keys_reach_the_worker) {
    struct forge key = forge_key(ALGORITHM_ES256, "k1");
    begin("");
    place_write_keys(&place, key.jwk);
    char *token = forge_token(&key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
                              "{\"iss\":\"https://id.test\",\"aud\":\"authenticated\",\"sub\":"
                              "\"ada\",\"exp\":9999999999}"),
         fields[1024];
    snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", token);
    ck_assert_int_eq(worker_start(worker), 0);
    ck_assert_int_eq(get("/_jotgate/usage", fields), 503);
    ck_assert_int_eq(key_source_start(parts.keys), 0);
    WAIT_FOR(get("/_jotgate/usage", fields) == 200);
    ck_assert_ptr_nonnull(strstr(answer, "\"subject\":\"ada\""));
    free(token);
    EVP_PKEY_free(key.key);
    end();
}
END_TEST

START_TEST(draining_says_so_and_goes_on_accepting) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    worker_drain(worker);
    WAIT_FOR(get("/_jotgate/health", "") == 503);
    ck_assert_ptr_nonnull(strstr(answer, "\r\nConnection: close\r\n"));
    ck_assert(!worker_has_ended(worker));
    end();
}
END_TEST

START_TEST(a_worker_that_is_to_finish_ends_when_it_is_idle) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    worker_drain(worker);
    worker_finish(worker);
    WAIT_FOR(worker_has_ended(worker));
    ck_assert_int_eq(place_connect(&place.at), -1);
    end();
}
END_TEST

START_TEST(a_worker_finishes_what_is_under_way_first) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    int client = place_connect(&place.at);
    static const char request[] = "GET /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n";
    ck_assert_int_eq(send(client, request, strlen(request), 0), strlen(request));
    int upstream = accept(place.upstream, NULL, NULL);
    ck_assert_int_gt(recv(upstream, answer, sizeof(answer), 0), 0);
    worker_drain(worker);
    worker_finish(worker);
    int late;
    WAIT_FOR((late = place_connect(&place.at)) < 0 || close(late) < 0);
    ck_assert(!worker_has_ended(worker));
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    ck_assert_int_eq(send(upstream, ok, strlen(ok), 0), strlen(ok));
    place_hear(client, answer, sizeof(answer));
    ck_assert_ptr_nonnull(strstr(answer, "200 OK"));
    ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nhi"));
    close(client), close(upstream);
    WAIT_FOR(worker_has_ended(worker));
    end();
}
END_TEST

START_TEST(a_worker_that_is_to_stop_cuts_what_is_open) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    int client = place_connect(&place.at);
    static const char request[] = "GET /rest/v1/x HTTP/1.1\r\nHost: a\r\n\r\n";
    ck_assert_int_eq(send(client, request, strlen(request), 0), strlen(request));
    int upstream = accept(place.upstream, NULL, NULL);
    worker_stop(worker);
    WAIT_FOR(worker_has_ended(worker));
    end();
    place_hear(client, answer, sizeof(answer));
    ck_assert_str_eq(answer, "");
    close(client), close(upstream);
}
END_TEST

static struct epoch *epoch_for(const char *yaml) {
    struct settings *other = place_settings(&place, yaml);
    struct metrics *metrics = metrics_next(parts.metrics, other);
    struct keyring *ring = key_source_ring(parts.keys);
    struct epoch *epoch =
        epoch_new(&(struct epoch_parts){.settings = other,
                                        .metrics = metrics,
                                        .n_connections = other->http.max_connections,
                                        .layout = ring->layout});
    ck_assert(metrics && epoch);
    keyring_unref(ring);
    metrics_unref(metrics);
    settings_unref(other);
    return epoch;
}

START_TEST(a_worker_takes_on_the_newest_settings) {
    begin("");
    ck_assert_int_eq(worker_start(worker), 0);
    ck_assert_int_eq(get("/a", ""), 404);
    worker_change(worker, epoch_for("routes: [ { path: /a } ]\n"));
    WAIT_FOR(get("/a", "") == 401);
    worker_change(worker, epoch_for("routes: [ { path: /b } ]\n"));
    worker_change(worker, epoch_for("routes: [ { path: /c } ]\n"));
    WAIT_FOR(get("/c", "") == 401);
    ck_assert_int_eq(get("/a", ""), 404);
    ck_assert_int_eq(get("/b", ""), 404);
    end();
}
END_TEST

START_TEST(settings_that_a_worker_never_took_on_go_with_it) {
    begin("");
    worker_change(worker, epoch_for("routes: [ { path: /a } ]\n"));
    end();
}
END_TEST

SUITE_MAIN("server/worker", a_worker_serves_from_a_thread_of_its_own,
           what_a_worker_has_done_is_seen_as_soon_as_somebody_looks,
           a_worker_that_never_started_goes_quietly, keys_reach_the_worker,
           draining_says_so_and_goes_on_accepting, a_worker_that_is_to_finish_ends_when_it_is_idle,
           a_worker_finishes_what_is_under_way_first, a_worker_that_is_to_stop_cuts_what_is_open,
           a_worker_takes_on_the_newest_settings, settings_that_a_worker_never_took_on_go_with_it)
