/* SPDX-License-Identifier: MIT */
/* One worker's gateway: keys that come, draining, the end. */
#include "gateway/gateway.h"

#include "rig.h"

static struct stage s;

/* ---- keys */

static int n_keyrings;

static void on_keyring(void *arg, struct keyring *ring) {
    n_keyrings++;
    gateway_set_keyring(arg, ring);
}

static void serve_keys(const char *jwk) {
    int fd = rig_accept(s.loop, s.upstream_listener);
    see(&s, fd);
    ck_assert_str_eq(seen_line(&s), "GET /jwks");
    const char *document = TEXT(&s, "{\"keys\":[%s]}", jwk);
    rig_send(
        s.loop, fd,
        str_of(TEXT(&s, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                    strlen(document), document)));
    close(fd);
}

/* As a worker makes it: the key source runs, without a cooldown, and its document is the scripted upstream's /jwks. */
static void open_with_source(void) {
    static const struct key_times times = {
        .refresh_s = 600, .max_stale_s = 86400, .cooldown_s = 0, .timeout_ms = 20000};
    stage_prepare(&s, "");
    key_source_free(s.keys);
    s.keys = key_source_new(&s.origin, 1, &times);
    ck_assert_ptr_nonnull(s.keys);
    stage_start(&s);
    ck_assert_int_eq(key_source_subscribe(s.keys, s.loop, on_keyring, s.gateway), 0);
    RUN_UNTIL(s.loop, n_keyrings == 1);
    ck_assert_int_eq(key_source_start(s.keys), 0);
    serve_keys(s.key.jwk);
    RUN_UNTIL(s.loop, n_keyrings == 2);
}

static void close_with_source(void) {
    key_source_stop(s.keys);
    stage_close(&s);
}

static const char *request_with(const struct forge *key, const char *kid) {
    return GET(&s, "/rest/v1/x",
               TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, key, kid, ADA, 600)));
}

static void answer_upstream(void) {
    int upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(s.loop, upstream, STR(OK_HI));
    close(upstream);
}

START_TEST(who_waits_for_keys_holds_up_nobody) {
    open_with_source();
    struct forge other = forge_key(ALGORITHM_ES256, "k2");
    int clients[3];
    for (size_t i = 0; i < 3; i++)
        clients[i] = ask(&s, request_with(&other, "k2"));
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 3);
    int other_client = ask(&s, GET(&s, "/_jotgate/health", ""));
    ck_assert_int_eq(hear(&s, other_client), 200);
    close(other_client);
    EVP_PKEY_free(other.key);
    close_with_source();
    for (size_t i = 0; i < 3; i++)
        close(clients[i]);
}
END_TEST

START_TEST(one_fetch_serves_all_who_wait) {
    open_with_source();
    struct forge other = forge_key(ALGORITHM_ES256, "k2");
    int clients[3];
    for (size_t i = 0; i < 3; i++)
        clients[i] = ask(&s, request_with(&other, "k2"));
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 3);
    serve_keys(TEXT(&s, "%s,%s", s.key.jwk, other.jwk));
    for (size_t i = 0; i < 3; i++)
        answer_upstream();
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(hear(&s, clients[i]), 200);
        close(clients[i]);
    }
    EVP_PKEY_free(other.key);
    close_with_source();
}
END_TEST

START_TEST(a_kid_that_stays_unknown_is_401) {
    open_with_source();
    int client = ask(&s, request_with(&s.key, "k9"));
    serve_keys(s.key.jwk);
    ck_assert_int_eq(hear(&s, client), 401);
    ASSERT_SAYS(&s, "code", "bad_jwt");
    close(client);
    close_with_source();
}
END_TEST

START_TEST(a_kid_that_could_not_be_asked_for_is_503) {
    open_with_source();
    int client = ask(&s, request_with(&s.key, "k9")), fd = rig_accept(s.loop, s.upstream_listener);
    see(&s, fd);
    close(fd);
    ck_assert_int_eq(hear(&s, client), 503);
    ASSERT_SAYS(&s, "code", "keys_unavailable");
    ck_assert_int_eq(pass(&s, request_with(&s.key, "k1")), 200); /* the others' keys stay good */
    close(client);
    close_with_source();
}
END_TEST

START_TEST(a_client_may_leave_while_its_request_waits_for_keys) {
    open_with_source();
    int client = ask(&s, request_with(&s.key, "k9"));
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 1);
    close(client);
    RUN_UNTIL(s.loop, gateway_count_requests(s.gateway) == 0);
    serve_keys(s.key.jwk);
    RUN_UNTIL(s.loop, n_keyrings >= 3);
    close_with_source();
}
END_TEST

START_TEST(a_key_that_is_gone_takes_its_tokens_along) {
    stage_open(&s, "");
    const char *request = GET(&s, "/rest/v1/x", bearer(&s, ADA));
    ck_assert_int_eq(pass(&s, request), 200);
    struct forge other = forge_key(ALGORITHM_ES256, "k1");
    struct keyring *ring = stage_ring(other.jwk);
    ring->generation = 2;
    gateway_set_keyring(s.gateway, ring);
    keyring_unref(ring);
    ck_assert_int_eq(refuse(&s, request), 401);
    EVP_PKEY_free(other.key);
    stage_close(&s);
}
END_TEST

/* ---- draining */

START_TEST(draining_answers_and_says_close) {
    stage_open(&s, "");
    gateway_drain(s.gateway);
    int client = ask(&s, GET(&s, "/rest/v1/x", ""));
    answer_upstream();
    ck_assert_int_eq(hear(&s, client), 200);
    ck_assert_str_eq(FIELD(&s, "Connection"), "close");
    ck_assert_int_eq(rig_expect_end(s.loop, client), 0);
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(what_was_open_when_listening_stops_is_finished) {
    stage_open(&s, "");
    int client = ask(&s, GET(&s, "/rest/v1/x", "")),
        upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    gateway_drain(s.gateway);
    gateway_stop_listening(s.gateway);
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(late, (const struct sockaddr *)&s.at.address, s.at.length), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 1);
    rig_send(s.loop, upstream, STR(OK_HI));
    ck_assert_int_eq(hear(&s, client), 200);
    close(client), close(upstream), close(late);
    RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 0);
    stage_close(&s);
}
END_TEST

/* ---- numbers */

START_TEST(requests_and_connections_are_counted) {
    stage_open(&s, "");
    ck_assert_uint_eq(gateway_count_connections(s.gateway), 0);
    int client = ask(&s, GET(&s, "/rest/v1/x", "")), idle = join(&s),
        upstream = rig_accept(s.loop, s.upstream_listener);
    rig_settle(s.loop);
    ck_assert_uint_eq(gateway_count_connections(s.gateway), 2);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 1);
    close(client), close(idle), close(upstream);
    RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 0);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 0);
    stage_close(&s);
}
END_TEST

START_TEST(connections_have_a_bound) {
    stage_open(&s, "http: { max_connections: 2 }\n");
    int one = join(&s), two = join(&s), three;
    rig_send(s.loop, one, STR("GET"));
    rig_send(s.loop, two, STR("GET"));
    RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 2);
    rig_settle(s.loop);
    three = join(&s);
    ck_assert_int_eq(hear(&s, three), 503);
    ck_assert_uint_eq(gateway_count_connections(s.gateway), 2);
    close(one), close(two), close(three);
    stage_close(&s);
}
END_TEST

START_TEST(a_gateway_may_go_before_it_listens) {
    stage_prepare(&s, "");
    struct gateway_parts parts = stage_parts(&s);
    s.gateway = gateway_new(&parts);
    ck_assert_ptr_nonnull(s.gateway);
    gateway_drain(s.gateway);
    gateway_stop_listening(s.gateway);
    ck_assert_uint_eq(gateway_count_requests(s.gateway), 0);
    gateway_free(NULL);
    stage_close(&s);
}
END_TEST

START_TEST(each_gateway_has_a_connection_to_redis_for_its_life) {
    struct endpoint at;
    int listener = rig_listen(&at);
    const char *why;
    stage_prepare(&s, "");
    struct redis_settings *redis = &s.settings->redis;
    redis->url = str_of(TEXT(&s, "redis://127.0.0.1:%u", rig_port(&at)));
    ck_assert(redis_url_parse(redis->url, &redis->target, &s.arena, &why));
    stage_start(&s);
    stage_publish(&s);
    int fd = rig_accept(s.loop, listener);
    rig_expect(s.loop, fd, STR("*1\r\n$4\r\nTIME\r\n"));
    ck_assert_int_eq(pass(&s, GET(&s, "/rest/v1/x", "")), 200); /* nobody waits for it */
    stage_close(&s);
    char byte;
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
    close(fd);
    close(listener);
}
END_TEST

/* ---- other settings */

/* The newest keys are of the layout `ring_layout`, the settings are for 7. */
static void change_to(const char *yaml, uint64_t ring_layout) {
    struct settings *settings = stage_settings(&s, yaml);
    struct metrics *metrics = metrics_next(s.metrics, settings);
    struct keyring *ring = stage_ring(s.key.jwk);
    struct epoch *epoch =
        epoch_new(&(struct epoch_parts){.settings = settings,
                                        .metrics = metrics,
                                        .n_connections = settings->http.max_connections,
                                        .layout = 7});
    ck_assert(metrics && epoch);
    ring->generation = 2;
    ring->layout = ring_layout;
    gateway_change(s.gateway, epoch, ring);
    keyring_unref(ring);
    metrics_unref(metrics);
    settings_unref(settings);
}

#define OLD "routes: [ { path: /old, access: open } ]\n"
#define NEW "routes: [ { path: /new, access: open, strip: /new } ]\n"

START_TEST(other_settings_serve_what_comes_and_the_old_ones_what_is_under_way) {
    stage_open(&s, OLD);
    int client = ask(&s, GET(&s, "/old", "")), upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    change_to(NEW, 7);
    ck_assert_int_eq(pass(&s, GET(&s, "/new/a", "")), 200);
    ck_assert_str_eq(seen_line(&s), "GET /a");
    ck_assert_int_eq(refuse(&s, GET(&s, "/old", "")), 404);
    rig_send(s.loop, upstream, STR(OK_HI));
    close(upstream);
    ck_assert_int_eq(hear(&s, client), 200);
    ck_assert_str_eq(BODY(&s), "hi");
    close(client);
    stage_close(&s);
}
END_TEST

START_TEST(settings_that_newer_keys_have_overtaken_are_left_alone) {
    stage_open(&s, OLD);
    change_to(NEW, 8);
    ck_assert_int_eq(pass(&s, GET(&s, "/old", "")), 200);
    ck_assert_int_eq(refuse(&s, GET(&s, "/new", "")), 404);
    stage_close(&s);
}
END_TEST

START_TEST(limits_of_connections_to_both_sides_change_along) {
    stage_open(&s, "http: { max_connections: 3 }\nupstream: { max_open: 1, max_queue: 0 }\n" OLD);
    const char *long_field = TEXT(&s, "X-Long: %0900d\r\n", 0);
    ck_assert_int_eq(pass(&s, GET(&s, "/old", long_field)), 200);
    int client = ask(&s, GET(&s, "/old", "")), upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    ck_assert_int_eq(refuse(&s, GET(&s, "/old", "")), 503);
    change_to("http: { max_connections: 3, max_head: 800 }\nupstream: { max_open: 2 }\n" OLD, 7);
    ck_assert_int_eq(pass(&s, GET(&s, "/old", "")), 200);
    ck_assert_int_eq(refuse(&s, GET(&s, "/old", long_field)), 431);
    close(client), close(upstream);
    stage_close(&s);
}
END_TEST

START_TEST(callers_stay_who_they_are_whatever_becomes_of_the_cache) {
    static const char *const changes[] = {"", "tokens: { cache_entries: 7 }\n",
                                          "tokens: { cache_size: 1MiB }\n"};
    stage_open(&s, "");
    const char *request = GET(&s, "/rest/v1/x", bearer(&s, ADA));
    ck_assert_int_eq(pass(&s, request), 200);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        change_to(changes[i], 7);
        ck_assert_int_eq(pass(&s, request), 200);
    }
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/gateway", who_waits_for_keys_holds_up_nobody, one_fetch_serves_all_who_wait,
           a_kid_that_stays_unknown_is_401, a_kid_that_could_not_be_asked_for_is_503,
           a_client_may_leave_while_its_request_waits_for_keys,
           a_key_that_is_gone_takes_its_tokens_along, draining_answers_and_says_close,
           what_was_open_when_listening_stops_is_finished, requests_and_connections_are_counted,
           connections_have_a_bound, a_gateway_may_go_before_it_listens,
           each_gateway_has_a_connection_to_redis_for_its_life,
           other_settings_serve_what_comes_and_the_old_ones_what_is_under_way,
           settings_that_newer_keys_have_overtaken_are_left_alone,
           limits_of_connections_to_both_sides_change_along,
           callers_stay_who_they_are_whatever_becomes_of_the_cache)
