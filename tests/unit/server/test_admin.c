/* SPDX-License-Identifier: MIT */
/* What an operator reads, without a socket. */
#include "server/admin.h"

#include "base/json.h"
#include "io/service.h"
#include "process.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static struct place place;
static struct settings *settings;
static struct key_origin origin;
static struct admin admin;
static struct service_answer answer;

/* Keys: the shared secret alone, or none that were ever had. */
static void begin(bool has_secret) {
    static const struct key_times times = {
        .refresh_s = 600, .max_stale_s = 86400, .cooldown_s = 30, .timeout_ms = 5000};
    place_open(&place);
    settings = place_settings(&place, "");
    origin = (struct key_origin){.name = STR("ma\"in"),
                                 .issuer = STR("https://a.test, https://b.test"),
                                 .algorithms = ALGORITHMS_ALL};
    if (has_secret)
        origin.hs256_secret = STR(SECRET);
    else
        origin.jwks_url = STR("http://127.0.0.1:1/none");
    admin = (struct admin){
        .keys = key_source_new(&origin, 1, &times),
        .limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT),
        .n_workers = 3,
    };
    struct metrics *metrics = metrics_new(settings, 1);
    admin_note_settings(&admin, metrics);
    metrics_unref(metrics);
}

static void end(void) {
    buffer_release(&answer.body);
    key_source_free(admin.keys);
    admin_fini(&admin);
    memory_limits_free(admin.limits);
    settings_unref(settings);
    place_close(&place);
}

static int ask(const char *method, const char *path) {
    struct service_request request = {.method = str_of(method), .path = str_of(path)};
    buffer_release(&answer.body);
    answer = (struct service_answer){.status = 200, .content_type = "application/json"};
    admin_handle(&admin, &request, &answer);
    return answer.status;
}

static bool says(const char *text) {
    return str_contains(buffer_bytes(&answer.body), str_of(text));
}
#define ASSERT_SAYS(text) ck_assert_msg(says(text), STR_FMT, STR_ARG(buffer_bytes(&answer.body)))

START_TEST(alive_needs_nothing) {
    begin(false);
    ck_assert_int_eq(ask("GET", "/healthz"), 200);
    end();
}
END_TEST

START_TEST(ready_when_tokens_can_be_verified) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/readyz"), 200);
    ASSERT_SAYS("\"ready\":true");
    end();
}
END_TEST

START_TEST(trouble_with_redis_is_told_and_not_fatal) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ck_assert(!says("\"redis\""));
    admin.redis = &(struct redis_settings){.mode = REDIS_EXACT, .on_failure = REDIS_CLOSED};
    admin.sights = redis_sights_new(2);
    ck_assert_int_eq(ask("GET", "/readyz"), 200);
    ASSERT_SAYS("{\"ready\":true,\"why\":\"Redis is not connected yet\"}");
    redis_sights_tell(admin.sights, 0, &(struct redis_sight){1, 1, 0, "", ""});
    ck_assert_int_eq(ask("GET", "/readyz"), 200);
    ASSERT_SAYS("{\"ready\":true,\"why\":\"\"}");
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"redis\":{\"state\":\"up\",\"servers\":1,\"up\":1,\"mode\":\"exact\","
                "\"on_failure\":\"closed\"},");
    struct redis_sight away = {1, 0, clock_now().mono_ns, "h:1", "it \"refuses\""};
    redis_sights_tell(admin.sights, 1, &away);
    ck_assert_int_eq(ask("GET", "/readyz"), 200);
    ASSERT_SAYS("{\"ready\":true,\"why\":\"Redis is away since 2");
    ASSERT_SAYS("Z: h:1: it \\\"refuses\\\"\"}");
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"ready\":true,\"why\":\"Redis is away since 2");
    ASSERT_SAYS("\"state\":\"away\",\"servers\":1,\"up\":0,");
    ASSERT_SAYS(",\"server\":\"h:1\",\"reason\":\"it \\\"refuses\\\"\"}");
    struct doc *doc = doc_parse(buffer_bytes(&answer.body), NULL);
    ck_assert_ptr_nonnull(doc);
    doc_free(doc);
    redis_sights_free(admin.sights);
    end();
}
END_TEST

START_TEST(not_ready_says_what_is_missing) {
    begin(false);
    ck_assert_int_eq(ask("GET", "/readyz"), 503);
    ASSERT_SAYS("\"ready\":false,\"why\":\"the keys of ma\\\"in are being fetched\"");
    end();
}
END_TEST

START_TEST(not_ready_while_draining) {
    begin(true);
    atomic_store(&admin.is_draining, true);
    ck_assert_int_eq(ask("GET", "/readyz"), 503);
    ASSERT_SAYS("draining");
    ck_assert_int_eq(ask("GET", "/healthz"), 200);
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"draining\":true,\"ready\":false");
    end();
}
END_TEST

START_TEST(status_is_json_and_holds_no_secret) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/status"), 200);
    struct doc *doc = doc_parse(buffer_bytes(&answer.body), NULL);
    ck_assert_ptr_nonnull(doc);
    const struct node *issuer = node_at(node_member(doc_root(doc), "issuers"), 0);
    int64_t workers;
    ck_assert(node_int(node_member(doc_root(doc), "workers"), &workers));
    ck_assert_int_eq(workers, 3);
    ck_assert(node_bool(node_member(issuer, "secret")));
    ck_assert(
        str_eq(node_string(node_member(issuer, "issuer")), STR("https://a.test, https://b.test")));
    ck_assert_int_eq(node_kind(node_member(doc_root(doc), "limits")), NODE_OBJECT);
    doc_free(doc);
    ck_assert(!says(SECRET));
    end();
}
END_TEST

START_TEST(metrics_come_from_everywhere) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/metrics"), 200);
    ck_assert_str_eq(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    ASSERT_SAYS("\njotgate_connections 0\n");
    ASSERT_SAYS("\njotgate_keys_age_seconds{issuer=");
    ASSERT_SAYS("\njotgate_limit_buckets{key=\"ip\"} 0\n");
    ASSERT_SAYS("\njotgate_log_dropped_total 0\n");
    ASSERT_SAYS("\njotgate_info{version=\"" JG_VERSION "\"} 1\n");
    end();
}
END_TEST

START_TEST(a_page_shows_it_live) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/"), 200);
    ck_assert_str_eq(answer.content_type, "text/html; charset=utf-8");
    ASSERT_SAYS("<title>jotgate</title>");
    end();
}
END_TEST

START_TEST(nothing_else_is_there) {
    begin(true);
    ck_assert_int_eq(ask("GET", "/status/"), 404);
    ck_assert_int_eq(ask("GET", "/_jotgate/health"), 404);
    ck_assert_int_eq(ask("GET", ""), 404);
    end();
}
END_TEST

START_TEST(nothing_can_be_changed) {
    begin(true);
    ck_assert_int_eq(ask("POST", "/status"), 405);
    ck_assert_str_eq(answer.extra_name[0], "Allow");
    ck_assert_str_eq(answer.extra_value[0], "GET, HEAD");
    ck_assert_int_eq(ask("DELETE", "/"), 405);
    end();
}
END_TEST

START_TEST(a_reload_that_was_refused_says_why_until_one_is_not) {
    char why[300];
    memset(why, 'x', sizeof(why));
    why[sizeof(why) - 1] = '\0';
    begin(true);
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"reloads\":0,\"refused\":0,\"error\":\"\"");
    admin_note_refusal(&admin, "f.yaml:2:1: \"bananas\"");
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"reloads\":0,\"refused\":1,\"error\":\"f.yaml:2:1: \\\"bananas\\\"\"");
    admin_note_refusal(&admin, why); /* as much of it as there is room for */
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"refused\":2,\"error\":\"xxxx");
    ck_assert_int_eq(ask("GET", "/metrics"), 200);
    ASSERT_SAYS("\njotgate_reloads_total{result=\"ok\"} 0\n");
    ASSERT_SAYS("\njotgate_reloads_total{result=\"failed\"} 2\n");

    struct metrics *metrics = metrics_next(admin.metrics, settings);
    admin_note_settings(&admin, metrics);
    metrics_unref(metrics);
    ck_assert_int_eq(ask("GET", "/status"), 200);
    ASSERT_SAYS("\"reloads\":1,\"refused\":2,\"error\":\"\"");
    end();
}
END_TEST

SUITE_MAIN("server/admin", alive_needs_nothing, ready_when_tokens_can_be_verified,
           trouble_with_redis_is_told_and_not_fatal, not_ready_says_what_is_missing,
           not_ready_while_draining, status_is_json_and_holds_no_secret,
           metrics_come_from_everywhere, a_page_shows_it_live, nothing_else_is_there,
           nothing_can_be_changed, a_reload_that_was_refused_says_why_until_one_is_not)
