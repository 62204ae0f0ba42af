/* SPDX-License-Identifier: MIT */
/* Proves settings_print: what it shows reads back as the same settings, and secrets never show. */
#include "rig.h"

#include "suite.h"

#define SECRET "a-secret-that-is-long-enough-for-hs256"

static char *printed(const struct settings *settings) {
    struct buffer out = {0};
    ck_assert_int_eq(settings_print(settings, &out), 0);
    char *text = str_dup(buffer_bytes(&out));
    ck_assert_ptr_nonnull(text);
    buffer_release(&out);
    return text;
}

static void assert_shows(const char *text, const char *words) {
    ck_assert_msg(strstr(text, words), "'%s' is missing in:\n%s", words, text);
}

/* Printed, read, printed: the same. */
static void assert_reads_back(const char *first) {
    ck_assert_msg(rig_read(first) == 0, "%s\n%s", rig.said, first);
    char *second = printed(rig.settings);
    ck_assert_str_eq(first, second);
    free(second);
}

START_TEST(what_the_environment_says_reads_back) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_int_eq(rig_environment(), 0);
    char *text = printed(rig.settings);
    unsetenv("SUPABASE_URL");
    assert_reads_back(text);
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(the_reference_means_the_same_as_no_file) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_int_eq(rig_environment(), 0);
    char *without = printed(rig.settings);
    rig_forget();
    ck_assert_ptr_nonnull(getenv("REFERENCE"));
    ck_assert_msg(settings_load(&rig.settings, getenv("REFERENCE"), rig_report, &rig) == 0, "%s",
                  rig.said);
    char *with = printed(rig.settings);
    ck_assert_str_eq(with, without);
    free(with);
    free(without);
    rig_teardown();
}
END_TEST

START_TEST(the_reference_asks_for_every_variable_that_the_defaults_ask_for) {
    rig_setup();
    setenv("SUPABASE_URL", "http://127.0.0.1:54321", 1);
    setenv("SUPABASE_JWT_ISSUER", "https://auth.example.com", 1);
    setenv("SUPABASE_JWT_SECRET", SECRET, 1);
    setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x", 1);
    setenv("SUPABASE_ANON_KEY", "anon", 1);
    setenv("SUPABASE_SECRET_KEY", "sb_secret_x", 1);
    setenv("SUPABASE_SERVICE_ROLE_KEY", "service", 1);
    setenv("SUPABASE_REGION", "us-east-1", 1);
    setenv("LIMIT_PER_USER", "7/hour", 1);
    setenv("LIMIT_PER_IP", "8/hour", 1);
    setenv("LIMITS", "shadow", 1);
    setenv("PORT", "8888", 1);
    setenv("FLY_APP_NAME", "app", 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    char *without = printed(rig.settings);
    rig_forget();
    ck_assert_msg(settings_load(&rig.settings, getenv("REFERENCE"), rig_report, &rig) == 0, "%s",
                  rig.said);
    char *with = printed(rig.settings);
    ck_assert_str_eq(with, without);
    assert_shows(with, "\"[::]:8888\"");
    assert_shows(with, "limits_mode: shadow");
    assert_shows(with, "rate: 7/hour");
    assert_shows(with, "rate: 8/hour");
    assert_shows(with, "us-east-1");
    assert_shows(with, "client_ip: fly");
    assert_shows(with, "https://auth.example.com");
    free(with);
    free(without);
    rig_teardown();
}
END_TEST

START_TEST(settings_of_every_shape_read_back) {
    static const char text[] =
        "listen: \"127.0.0.1:0\"\nadmin: \"\"\nworkers: 3\ndrain: { delay: 1500ms, timeout: 2h }\n"
        "http: { max_request_line: 1000, max_head: 2KiB, max_fields: 7, head_timeout: 1ms, "
        "body_timeout: 2ms, idle_timeout: 3ms, write_timeout: 4ms, "
        "min_body_rate: 1KiB, request_timeout: 5h, "
        "max_connections: 10, max_connections_per_ip: 3, max_requests: 9, max_requests_per_ip: 2 "
        "}\n"
        "upstream: { max_idle: 0, max_open: 5, idle_timeout: 61s, max_queue: 6, "
        "queue_timeout: 7ms, eject: { failures: 8, for: 9s } }\n"
        "log: { level: debug, format: json }\n"
        "tokens: { cache_entries: 5, cache_size: 1MiB, check_share: 7%, check_queue: 9 }\n"
        "auth_failures: { rate: 5/hour, burst: 6 }\n"
        "jwks: { refresh: 2m, max_stale: 25h, cooldown: 1s, timeout: 250ms }\n"
        "limits_mode: shadow\nlimit_buckets: 99\ndeny_list: { max: 7, keep: 90m }\nsubjects: { "
        "max: 8 }\n"
        "websockets: { max_per_ip: 0, max_per_subject: 11 }\nclose_streams_at_expiry: true\n"
        "supabase: { url: \"http://127.0.0.1:54321/x\", region: us-east-1, apikey: keep, "
        "service_callers: [10.0.0.0/8, \"fd00::/8\", 192.0.2.1] }\n"
        "issuers:\n"
        "  - { name: a, issuer: [\"https://a\", \"odd: 'one\\\"\\n\"], jwks_url: \"https://a/k\", "
        "audience: [] }\n"
        "  - { name: b, issuer: \"https://b/\", discovery: true, algorithms: [ES512, PS256], "
        "leeway: 0s, "
        "require: { role: [a, b], \"app.x y\": c } }\n"
        "  - { name: c, issuer: c, jwks_file: /tmp/k.json }\n"
        "plans:\n  claim: app_metadata.plan\n  key: \"claim:org_id\"\n  default: free\n  "
        "anonymous: guest\n"
        "  tiers:\n    guest: { default: [] }\n    empty: {}\n"
        "    free: { default: [ { name: a, rate: 1/second, burst: 9 }, { name: b, rate: 5/day, "
        "shadow: true } ], "
        "ai: [ { name: ai, quota: 3/day }, { name: m, quota: 9/month, timezone: Europe/Berlin, "
        "anchor_day: 31, shadow: true } ] }\n"
        "payment: { claim: app_metadata.status, downgrade: [past_due, unpaid], refuse: [gone] }\n"
        "limits:\n  all: { key: global, rate: 9/second, for: everyone, shadow: true }\n"
        "  org: { key: \"claim:org_id\", rate: 9/minute, except: [127.0.0.1] }\n"
        "  device: { key: \"header:X-Device\", quota: 7/week, timezone: Asia/Kathmandu }\n"
        "  streams: { key: subject, concurrent: 5 }\n"
        "  auth_refresh: { key: ip, rate: 5/minute, for: everyone }\n"
        "trust: { client_ip: { header: cf-connecting-ip, from: [10.0.0.0/8, \"::1\"] } }\n"
        "cors: { origins: [\"https://a.example\", \"https://b.example\"] }\n";
    rig_setup();
    ck_assert_msg(rig_read(text) == 0, "%s", rig.said);
    char *first = printed(rig.settings);
    assert_shows(first, "delay: 1500ms\n");
    assert_shows(first, "timeout: 2h\n");
    assert_shows(first, "max_request_line: 1000\n");
    assert_shows(first, "max_per_ip: 0\n");
    assert_shows(first, "max_per_subject: 11\n");
    assert_shows(first, "close_streams_at_expiry: true\n");
    assert_shows(first, "max_head: 2KiB\n");
    assert_shows(first, "body_timeout: 2ms\n  min_body_rate: 1KiB\n  request_timeout: 5h\n  "
                        "idle_timeout: 3ms\n  write_timeout: 4ms\n");
    assert_shows(first, "idle_timeout: 61s\n");
    assert_shows(first, "check_share: 7%\n  check_queue: 9\n");
    assert_shows(first, "auth_failures: { rate: 5/hour, burst: 6 }\n");
    assert_shows(first, "key: claim:org_id\n");
    assert_shows(first, "{ name: ai, quota: 3/day, timezone: UTC }\n");
    assert_shows(first, "quota: 9/month, timezone: \"Europe/Berlin\", anchor_day: 31 }");
    assert_shows(first,
                 "device: { key: header:x-device, quota: 7/week, timezone: \"Asia/Kathmandu\",");
    assert_shows(first, "streams: { key: subject, concurrent: 5, for: everyone");
    assert_shows(first, "payment: { claim: app_metadata.status, downgrade: [past_due, unpaid], "
                        "refuse: [gone] }\n");
    assert_shows(first, "discovery: true\n");
    assert_shows(first, "[\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1/32\"]");
    assert_shows(first, "algorithms: [PS256, ES512]");
    assert_reads_back(first);
    free(first);

    ck_assert_int_eq(
        rig_read_project("trust: { client_ip: { x-forwarded-for: 2 } }\nlimits_mode: off\n"), 0);
    first = printed(rig.settings);
    assert_shows(first, "{ x-forwarded-for: 2 }");
    assert_reads_back(first);
    free(first);
    rig_teardown();
}
END_TEST

START_TEST(secrets_are_masked_and_their_length_does_not_show) {
    static const char *const secrets[] = {SECRET, SECRET SECRET SECRET};
    char *texts[2];
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    for (size_t i = 0; i < 2; i++) {
        setenv("SUPABASE_JWT_SECRET", secrets[i], 1);
        setenv("SUPABASE_PUBLISHABLE_KEY", secrets[i], 1);
        setenv("SUPABASE_ANON_KEY", secrets[i], 1);
        setenv("SUPABASE_SECRET_KEY", secrets[i], 1);
        setenv("SUPABASE_SERVICE_ROLE_KEY", secrets[i], 1);
        setenv("JOTGATE_ADMIN_TOKEN", secrets[i], 1);
        setenv("SUPABASE_SIGNING_KEY", secrets[i], 1);
        ck_assert_msg(rig_environment() == 0, "%s", rig.said);
        texts[i] = printed(rig.settings);
        ck_assert_ptr_null(strstr(texts[i], "a-secret"));
        assert_shows(texts[i], "hs256_secret: \"***\"");
        assert_shows(texts[i], "secret_key: \"***\"");
        assert_shows(texts[i], "signing_key: \"***\"");
    }
    ck_assert_str_eq(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
    rig_teardown();
}
END_TEST

START_TEST(a_url_does_not_show_its_query) {
    rig_setup();
    good("issuers: [ { issuer: x, jwks_url: \"https://keys.example/jwks?key=hidden&x=hidden\" } "
         "]\n");
    char *text = printed(rig.settings);
    assert_shows(text, "jwks_url: \"https://keys.example/jwks?***\"");
    ck_assert_ptr_null(strstr(text, "hidden"));
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(redis_is_shown_without_its_password) {
    rig_setup();
    struct settings settings = *good("redis: { ca_file: /ca.pem, mode: exact, on_failure: closed, "
                                     "timeout: 1s, expected_machines: 3 }\n");
    settings.redis.url = STR("rediss://me:s3cret@h:1/2"); /* would be refused yet */
    char *text = printed(&settings);
    assert_shows(text, "redis:\n  url: \"rediss://***:***@h:1/2\"\n  ca_file: \"/ca.pem\"\n"
                       "  prefix: \"jotgate:\"\n  mode: exact\n  on_failure: closed\n"
                       "  timeout: 1s\n  expected_machines: 3\n");
    ck_assert(!strstr(text, "s3cret"));
    free(text);
    settings.redis.url = STR("unix://:p@/run/r.sock?db=1");
    text = printed(&settings);
    assert_shows(text, "url: \"unix://***:***@/run/r.sock?db=1\"\n");
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(routes_stand_in_aligned_columns) {
    rig_setup();
    good("builtin: none\nroutes:\n"
         "  - { path: /rest/v1/rpc/admin_*, access: user, require: { app_metadata.role: [admin, "
         "owner] } }\n"
         "  - { path: /a, access: open, methods: [GET, POST], upstream: "
         "\"http://worker.internal:3000/base\", limits: [per_ip], "
         "strip: /a, max_body: 1MiB, cost: 5 }\n"
         "  - { path: /s, access: service, upstream: \"unix:/run/s.sock\", limits: [] }\n"
         "  - { path: /no, access: denied }\n");
    char *text = printed(rig.settings);
    char *routes = strstr(text, "# routes\n");
    ck_assert_ptr_nonnull(routes);
    ck_assert_str_eq(
        routes,
        "# routes\n"
        "#   path                  methods   access   upstream                          limits\n"
        "#   /rest/v1/rpc/admin_*  any       user     https://abc.supabase.co           plan, "
        "per_ip  require: { app_metadata.role: "
        "[admin, owner] }\n"
        "#   /a                    GET,POST  open     http://worker.internal:3000/base  per_ip  "
        "strip: /a  max_body: 1MiB  cost: 5\n"
        "#   /s                    any       service  unix:/run/s.sock                  none\n"
        "#   /no                   any       denied   -                                 -\n");
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(built_in_routes_are_shown_too) {
    rig_setup();
    good("");
    char *text = printed(rig.settings);
    assert_shows(text, "#   /rest/v1 ");
    assert_shows(text, "#   /auth/v1 ");
    const char *line = strstr(text, "#   /auth/v1 "), *refresh = strstr(text, "auth_refresh alone");
    ck_assert(refresh > line && refresh < strchr(line, '\n'));
    ck_assert_ptr_null(strstr(refresh + 1, "auth_refresh alone")); /* not of /auth/v1/admin */
    assert_shows(text, " denied ");
    free(text);
    rig_teardown();
}
END_TEST

/* Names from the file reach a terminal and a file that is read again. */
START_TEST(odd_values_stay_inside_their_quotes) {
    rig_setup();
    good("issuers: [ { name: odd, issuer: \"x\\ny: 1\", jwks_file: \"/a b: \\e[31m #c\" } ]\n"
         "routes: [ { path: /u, upstream: \"unix:/a #b\", limits: [] } ]\n");
    char *text = printed(rig.settings);
    ck_assert_ptr_null(strstr(text, "\ny: 1"));
    ck_assert_ptr_null(strchr(text, '\033'));
    assert_shows(text, "unix:\"/a #b\"");
    ck_assert_int_eq(rig_read(text), 0);
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(certificates_are_shown_by_their_files) {
    static const char text[] =
        "listen: \"127.0.0.1:0\"\nsupabase: { url: \"http://127.0.0.1:1\" }\n"
        "tls: [ { certificate: /etc/a.crt, key: /etc/a.key }, "
        "{ certificate: \"/etc/b: #.crt\", key: /etc/b.key } ]\n";
    rig_setup();
    ck_assert_msg(rig_read(text) == 0, "%s", rig.said);
    char *first = printed(rig.settings);
    assert_shows(first, "\ntls:\n  - { certificate: \"/etc/a.crt\", key: \"/etc/a.key\" }\n"
                        "  - { certificate: \"/etc/b: #.crt\", key: \"/etc/b.key\" }\n");
    assert_reads_back(first);
    ck_assert_uint_eq(rig.settings->n_tls, 2);
    free(first);
    good("");
    first = printed(rig.settings);
    assert_shows(first, "\ntls: []\n");
    free(first);
    rig_teardown();
}
END_TEST

SUITE_MAIN("settings/print", what_the_environment_says_reads_back,
           the_reference_means_the_same_as_no_file,
           the_reference_asks_for_every_variable_that_the_defaults_ask_for,
           settings_of_every_shape_read_back, secrets_are_masked_and_their_length_does_not_show,
           a_url_does_not_show_its_query, redis_is_shown_without_its_password,
           routes_stand_in_aligned_columns, built_in_routes_are_shown_too,
           odd_values_stay_inside_their_quotes, certificates_are_shown_by_their_files)
