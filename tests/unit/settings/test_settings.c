/* SPDX-License-Identifier: MIT */
/* Proves settings/settings.h: what is taken, and what it then says. Refusals: test_refusals.c. */
#include "rig.h"

#include "base/log.h"
#include "suite.h"
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static const struct route *route_at(const struct settings *s, const char *path) {
    for (size_t i = 0; i < s->n_routes; i++)
        if (is(s->paths[i].path, path))
            return &s->routes[i];
    ck_abort_msg("no route %s", path);
}

static void assert_rate(const struct limit_policy *policy, int64_t count, int64_t period_s,
                        int64_t burst) {
    ck_assert_int_eq(policy->rate.count, count);
    ck_assert_int_eq(policy->rate.period_ns, period_s * NS_PER_S);
    ck_assert_int_eq(policy->rate.burst, burst);
}

/* ---- the environment alone ---- */

START_TEST(a_project_is_enough_and_the_rest_has_defaults) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    const struct settings *s = rig.settings;
    ck_assert_uint_eq(rig.n_lines, 0);
    ck_assert_uint_eq(s->file.n, 0);
    ck_assert(is(s->listen, "[::]:8080") && is(s->admin, "127.0.0.1:9091"));
    ck_assert_uint_eq(s->n_workers, 0);
    ck_assert_int_eq(s->drain_delay_ns, 5 * NS_PER_S);
    ck_assert_int_eq(s->drain_timeout_ns, 30 * NS_PER_S);
    ck_assert_uint_eq(s->http.max_request_line, 16 << 10);
    ck_assert_uint_eq(s->http.max_head, 64 << 10);
    ck_assert_uint_eq(s->http.max_fields, 128);
    ck_assert_int_eq(s->http.head_timeout_ns, 15 * NS_PER_S);
    ck_assert_int_eq(s->http.body_timeout_ns, 30 * NS_PER_S);
    ck_assert_int_eq(s->http.idle_timeout_ns, 75 * NS_PER_S);
    ck_assert_int_eq(s->http.write_timeout_ns, 60 * NS_PER_S);
    ck_assert_uint_eq(s->http.max_connections, 16384);
    ck_assert_uint_eq(s->http.max_connections_per_ip, 0);
    ck_assert_uint_eq(s->http.max_requests, 0);
    ck_assert_uint_eq(s->http.max_requests_per_ip, 0);
    ck_assert_uint_eq(s->http.min_body_rate, 128);
    ck_assert_int_eq(s->http.request_timeout_ns, 0);
    ck_assert_uint_eq(s->upstream_max_idle, 1024);
    ck_assert_uint_eq(s->upstream_max_open, 1024);
    ck_assert_int_eq(s->upstream_idle_ns, 30 * NS_PER_S);
    ck_assert_uint_eq(s->upstream_max_queue, 1024);
    ck_assert_int_eq(s->upstream_queue_ns, NS_PER_S);
    ck_assert_uint_eq(s->upstream_eject_failures, 5);
    ck_assert_int_eq(s->upstream_eject_ns, 10 * NS_PER_S);
    ck_assert_uint_eq(s->websockets.max_per_ip, 1000);
    ck_assert_uint_eq(s->websockets.max_per_subject, 100);
    ck_assert(!s->close_streams_at_expiry);
    ck_assert_uint_eq(s->token_cache_entries, 10000);
    ck_assert_uint_eq(s->api_key_entries, 10000);
    ck_assert_int_eq(s->api_key_max_stale_ns, 600 * NS_PER_S);
    ck_assert_uint_eq(s->token_cache_bytes, 32 << 20);
    ck_assert_uint_eq(s->check_share, 50);
    ck_assert_uint_eq(s->check_queue, 1024);
    assert_rate(&s->auth_failures, 600, 60, 300);
    ck_assert_uint_eq(s->limit_buckets, 1 << 20);
    ck_assert_uint_eq(s->deny_list.most, 10000);
    ck_assert_int_eq(s->deny_list.keep_s, 168 * 3600);
    ck_assert_uint_eq(s->most_records, 100000);
    ck_assert_int_eq(s->log_level, LEVEL_INFO);
    ck_assert_int_eq(s->log_format, LOG_AUTO);
    ck_assert_int_eq(s->limits_mode, LIMITS_ENFORCE);
    ck_assert_int_eq(s->trust.kind, TRUST_PEER);
    ck_assert(s->cors_allows_all && s->admin_token.n == 0);
    ck_assert(!s->access.allows_service && s->apikey_default == APIKEY_FILL);
    ck_assert_uint_eq(s->project.publishable.n + s->project.anon.n + s->project.secret.n +
                          s->project.service_role.n,
                      0);
    rig_teardown();
}
END_TEST

START_TEST(the_project_is_the_upstream_and_the_issuer) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co/", 1);
    setenv("SUPABASE_REGION", "us-east-1", 1);
    ck_assert_int_eq(rig_environment(), 0);
    const struct settings *s = rig.settings;
    ck_assert(s->supabase.is_tls && s->supabase.port == 443 &&
              is(s->supabase.host, "abc.supabase.co"));
    ck_assert(is(s->supabase_region, "us-east-1"));
    ck_assert_uint_eq(s->tokens.n_issuers, 1);
    const struct issuer_rule *rule = &s->tokens.issuers[0];
    const struct issuer_source *source = &s->sources[0];
    ck_assert(is(rule->name, "supabase") && source->is_auto && rule->n_issuers == 0);
    ck_assert_uint_eq(source->issuer_text.n, 0);
    ck_assert(is(source->jwks_url, "https://abc.supabase.co/auth/v1/.well-known/jwks.json"));
    ck_assert(is(source->auto_issuer_url,
                 "https://abc.supabase.co/auth/v1/.well-known/openid-configuration"));
    ck_assert(is(source->auto_issuer_default, "https://abc.supabase.co/auth/v1"));
    ck_assert(source->jwks_file.n == 0 && source->discovery_url.n == 0 &&
              source->hs256_secret.n == 0);
    ck_assert(rule->n_audiences == 1 && is(rule->audiences[0], "authenticated"));
    ck_assert_uint_eq(rule->algorithms, ALGORITHMS_DEFAULT);
    ck_assert(rule->leeway_s == 30 && rule->n_require == 0);
    ck_assert_int_eq(s->jwks_refresh_s, 600);
    ck_assert_int_eq(s->jwks_max_stale_s, 86400);
    ck_assert_int_eq(s->jwks_cooldown_s, 30);
    ck_assert_int_eq(s->jwks_timeout_ms, 5000);
    ck_assert_ptr_eq(s->access.tokens, &s->tokens);
    ck_assert_ptr_eq(s->access.project, &s->project);
    ck_assert_ptr_eq(s->tokens.paths, &s->claim_paths);
    rig_teardown();
}
END_TEST

START_TEST(limits_without_a_file_are_per_user_and_per_ip) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_int_eq(rig_environment(), 0);
    const struct settings *s = rig.settings;
    ck_assert_uint_eq(s->plans.n_tiers, 1);
    ck_assert(!s->plans.has_claim && s->plans.default_tier == 0 &&
              s->plans.anonymous_tier == SIZE_MAX);
    ck_assert_uint_eq(s->plans.tiers[0].n_groups, 1);
    const struct tier_group *group = &s->plans.tiers[0].groups[0];
    ck_assert(is(group->name, "default") && group->n_policies == 1);
    assert_rate(&group->policies[0], 1200, 60, 1200);
    ck_assert_int_eq(group->policies[0].key, LIMIT_KEY_SUBJECT);
    ck_assert_uint_eq(s->n_limits, 1);
    ck_assert(is(s->limits[0].name, "per_ip") && s->limits[0].applies_to == LIMIT_FOR_ANONYMOUS &&
              s->limits[0].n_except == 0);
    assert_rate(&s->limits[0].policy, 600, 60, 600);
    ck_assert_int_eq(s->limits[0].policy.key, LIMIT_KEY_IP);
    assert_rate(&s->refresh_limit.policy, 1800, 60, 600);
    ck_assert_int_eq(s->refresh_limit.applies_to, LIMIT_FOR_EVERYONE);
    ck_assert_int_eq(s->refresh_limit.policy.key, LIMIT_KEY_IP);
    rig_teardown();
}
END_TEST

START_TEST(every_variable_has_its_say) {
    rig_setup();
    setenv("SUPABASE_URL", "http://host.docker.internal:54321", 1);
    setenv("SUPABASE_JWT_ISSUER", "https://auth.example.com/auth/v1", 1);
    setenv("SUPABASE_JWT_SECRET", SECRET, 1);
    setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_a", 1);
    setenv("SUPABASE_ANON_KEY", "anon", 1);
    setenv("SUPABASE_SECRET_KEY", "sb_secret_b", 1);
    setenv("SUPABASE_SERVICE_ROLE_KEY", "service", 1);
    setenv("LIMIT_PER_USER", "7/hour", 1);
    setenv("LIMIT_PER_IP", "8/second", 1);
    setenv("LIMITS", "off", 1);
    setenv("JOTGATE_ADMIN_TOKEN", SECRET SECRET, 1);
    setenv("PORT", "1234", 1);
    setenv("FLY_APP_NAME", "app", 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    const struct settings *s = rig.settings;
    ck_assert(!s->supabase.is_tls && s->supabase.port == 54321 &&
              is(s->supabase.host_header, "host.docker.internal:54321"));
    ck_assert(!s->sources[0].is_auto && s->tokens.issuers[0].n_issuers == 1);
    ck_assert(is(s->tokens.issuers[0].issuers[0], "https://auth.example.com/auth/v1"));
    ck_assert(is(s->sources[0].jwks_url,
                 "http://host.docker.internal:54321/auth/v1/.well-known/jwks.json"));
    ck_assert(is(s->sources[0].hs256_secret, SECRET));
    ck_assert_uint_eq(s->tokens.issuers[0].algorithms,
                      ALGORITHMS_DEFAULT | ALGORITHM_BIT(ALGORITHM_HS256));
    ck_assert(is(s->project.publishable, "sb_publishable_a") && is(s->project.anon, "anon"));
    ck_assert(is(s->project.secret, "sb_secret_b") && is(s->project.service_role, "service"));
    assert_rate(&s->plans.tiers[0].groups[0].policies[0], 7, 3600, 7);
    assert_rate(&s->limits[0].policy, 8, 1, 8);
    ck_assert(s->limits_mode == LIMITS_OFF && s->trust.kind == TRUST_FLY);
    ck_assert(is(s->admin_token, SECRET SECRET) && is(s->listen, "[::]:1234"));
    rig_teardown();
}
END_TEST

/* Compose files pass names that nobody gave a value. */
START_TEST(a_name_without_a_value_is_not_set) {
    static const char *const names[] = {"SUPABASE_JWT_ISSUER",
                                        "SUPABASE_PUBLISHABLE_KEY",
                                        "SUPABASE_ANON_KEY",
                                        "SUPABASE_SIGNING_KEY",
                                        "JOTGATE_ADMIN_TOKEN",
                                        "SUPABASE_REGION",
                                        "LIMIT_PER_USER",
                                        "LIMIT_PER_IP",
                                        "LIMITS",
                                        "REDIS_URL",
                                        "PORT",
                                        "FLY_APP_NAME"};
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        setenv(names[i], "", 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    const struct settings *s = rig.settings;
    ck_assert(s->sources[0].is_auto && s->trust.kind == TRUST_PEER);
    ck_assert_uint_eq(s->project.publishable.n + s->project.anon.n + s->signing_key.n, 0);
    ck_assert_uint_eq(s->admin_token.n + s->redis.url.n, 0);
    assert_rate(&s->plans.tiers[0].groups[0].policies[0], 1200, 60, 1200);
    ck_assert(s->limits_mode == LIMITS_ENFORCE && is(s->listen, "[::]:8080"));
    static const char text[] = "supabase: { url: http://a, publishable_key: "
                               "\"${SUPABASE_PUBLISHABLE_KEY:-}\" }\n";
    ck_assert_msg(rig_read(text) == 0, "%s", rig.said);
    rig_teardown();
}
END_TEST

START_TEST(a_variable_may_be_a_file) {
    char path[] = "/tmp/settings-XXXXXX";
    rig_setup();
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, SECRET "\r\n", strlen(SECRET) + 2), (ssize_t)strlen(SECRET) + 2);
    close(fd);
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("SUPABASE_JWT_SECRET_FILE", path, 1);
    setenv("SUPABASE_SECRET_KEY_FILE", path, 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    ck_assert(is(rig.settings->sources[0].hs256_secret, SECRET));
    ck_assert(is(rig.settings->project.secret, SECRET));
    unlink(path);
    rig_teardown();
}
END_TEST

START_TEST(shadow_makes_every_policy_one) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("LIMITS", "shadow", 1);
    ck_assert_int_eq(rig_environment(), 0);
    ck_assert_uint_gt(rig.settings->n_policies, 0);
    for (size_t i = 0; i < rig.settings->n_policies; i++)
        ck_assert(rig.settings->policies[i]->is_shadow);
    rig_teardown();
}
END_TEST

/* ---- the built-in routes ---- */

START_TEST(built_in_routes_are_supabases) {
    static const char *const services[] = {"rest", "graphql", "functions", "storage", "realtime"};
    rig_setup();
    const struct settings *s = good("");
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        char path[40];
        snprintf(path, sizeof(path), "/%s/v1", services[i]);
        const struct route *route = route_at(s, path);
        ck_assert(route->access == ACCESS_PUBLIC && route->is_builtin && route->is_supabase &&
                  !route->is_denied);
        ck_assert(is(route->service, services[i]) && !route->refresh_ceiling);
        ck_assert_ptr_eq(route->upstream, &s->supabase);
        ck_assert(route->apikey == APIKEY_FILL && route->credential == CREDENTIAL_CALLER);
        ck_assert_uint_eq(route->n_limits, 2);
        ck_assert(route->limits[0].is_plan && is(route->limits[0].group, "default"));
        ck_assert(!route->limits[1].is_plan &&
                  is(s->limits[route->limits[1].named].name, "per_ip"));
        ck_assert(route->max_body_bytes == UINT64_MAX && route->cost == 1 && route->strip.n == 0);
    }
    const struct route *auth = route_at(s, "/auth/v1");
    ck_assert(auth->access == ACCESS_OPEN && auth->refresh_ceiling && is(auth->service, "auth"));
    ck_assert(route_at(s, "/realtime/v1/api/tenants")->is_denied);
    for (size_t i = 0; i < s->n_routes; i++)
        ck_assert(!str_starts(s->paths[i].path, STR("/pg")) && !is(s->paths[i].path, "/"));
    rig_teardown();
}
END_TEST

START_TEST(built_in_routes_can_be_left_out) {
    rig_setup();
    const struct settings *s = good("builtin: none\nroutes: [ { path: /a } ]\n");
    ck_assert_uint_eq(s->n_routes, 1);
    s = good("builtin: supabase-self-hosted\n");
    ck_assert(route_at(s, "/sso/saml/acs")->access == ACCESS_OPEN);
    ck_assert(route_at(s, "/rest/v1")->is_builtin);
    rig_teardown();
}
END_TEST

START_TEST(a_files_route_wins_over_a_built_in_one) {
    struct arena arena;
    struct target target;
    size_t index;
    unsigned allowed;
    rig_setup();
    arena_init(&arena);
    const struct settings *s =
        good("routes: [ { path: /rest/v1, access: user, methods: [GET] } ]\n");
    ck_assert_int_eq(target_parse(&target, STR("GET"), STR("/rest/v1/todos"), &arena), TARGET_OK);
    ck_assert_int_eq(route_table_match(s->table, &target, METHOD_GET, &index, &allowed),
                     ROUTE_FOUND);
    ck_assert(!s->routes[index].is_builtin && s->routes[index].access == ACCESS_USER);
    ck_assert_int_eq(route_table_match(s->table, &target, METHOD_POST, &index, &allowed),
                     ROUTE_FOUND);
    ck_assert(s->routes[index].is_builtin);
    arena_fini(&arena);
    rig_teardown();
}
END_TEST

/* ---- the file ---- */

START_TEST(routes_say_all_they_can) {
    rig_setup();
    setenv("SUPABASE_SECRET_KEY", "sb_secret_b", 1);
    const struct settings *s =
        good("plans: { default: free, tiers: { free: { default: [], ai: [ { name: ai, rate: 9/hour "
             "} ] } } }\n"
             "limits: { slow: { key: global, rate: 1/second } }\n"
             "routes:\n"
             "  - path: /functions/v1/ai\n    limits: [plan, plan.ai, slow]\n    cost: 5\n"
             "    timeouts: { connect: 1s, first_byte: 2s, idle: 3s }\n"
             "  - { path: /rest/v1/rpc/admin_*, access: user, require: { app_metadata.role: "
             "[admin, owner], aal: aal2 }, credential: service, "
             "apikey: keep }\n"
             "  - { path: /api, access: open, upstream: \"http://worker.internal:3000/base\", "
             "methods: [GET, POST], strip: /api, "
             "max_body: 1MiB, limits: [] }\n"
             "  - { path: /s, access: service, upstream: \"unix:/run/s.sock\", cost: 0 }\n");
    const struct route *ai = route_at(s, "/functions/v1/ai");
    ck_assert(ai->access == ACCESS_USER && !ai->is_builtin && is(ai->service, "functions") &&
              is(ai->label, "/functions/v1/ai"));
    ck_assert_uint_eq(ai->n_limits, 3);
    ck_assert(is(ai->limits[1].group, "ai") && ai->limits[1].is_plan);
    ck_assert(!ai->limits[2].is_plan && is(s->limits[ai->limits[2].named].name, "slow"));
    ck_assert(ai->cost == 5 && ai->connect_ns == NS_PER_S && ai->first_byte_ns == 2 * NS_PER_S &&
              ai->idle_ns == 3 * NS_PER_S);

    const struct route *rpc = route_at(s, "/rest/v1/rpc/admin_*");
    ck_assert(rpc->credential == CREDENTIAL_SERVICE && rpc->apikey == APIKEY_KEEP &&
              rpc->n_require == 2);
    ck_assert(is(s->claim_paths.list[rpc->require[0].path_index], "app_metadata.role"));
    ck_assert(rpc->require[0].n_values == 2 && is(rpc->require[0].values[1], "owner"));
    ck_assert(rpc->require[1].n_values == 1 && is(rpc->require[1].values[0], "aal2"));
    ck_assert_int_eq(rpc->first_byte_ns, 155 * NS_PER_S);
    ck_assert_int_eq(rpc->connect_ns, 5 * NS_PER_S);
    ck_assert_int_eq(rpc->idle_ns, 150 * NS_PER_S);

    const struct route *api = route_at(s, "/api");
    ck_assert(api->access == ACCESS_OPEN && !api->is_supabase && api->apikey == APIKEY_KEEP &&
              api->service.n == 0);
    ck_assert(is(api->upstream->host_header, "worker.internal:3000") &&
              is(api->upstream->base_path, "/base"));
    ck_assert(is(api->strip, "/api") && api->max_body_bytes == 1 << 20 && api->n_limits == 0);
    ck_assert_uint_eq(s->paths[2].methods, METHOD_GET | METHOD_POST);
    ck_assert(route_at(s, "/s")->access == ACCESS_SERVICE &&
              route_at(s, "/s")->upstream->port == 0 && route_at(s, "/s")->cost == 0);
    rig_teardown();
}
END_TEST

START_TEST(plans_have_tiers_groups_and_policies) {
    rig_setup();
    const struct settings *s =
        good("plans:\n  claim: app_metadata.plan\n  key: \"claim:org_id\"\n  default: free\n  "
             "anonymous: guest\n  tiers:\n"
             "    guest: { default: [ { name: burst, rate: 60/minute, burst: 61 } ] }\n"
             "    free:\n      default: [ { name: burst, rate: 600/minute, burst: 200 }, { name: "
             "slow, rate: 9/day, shadow: true } ]\n"
             "      ai: [ { name: ai, rate: 20/day } ]\n"
             "routes: [ { path: /a, limits: [plan.ai] } ]\n");
    const struct plans *plans = &s->plans;
    ck_assert(plans->has_claim && is(s->claim_paths.list[plans->claim_path], "app_metadata.plan"));
    ck_assert(plans->keyed_by_claim && is(s->claim_paths.list[plans->key_path], "org_id"));
    ck_assert(plans->n_tiers == 2 && plans->anonymous_tier == 0 && plans->default_tier == 1);
    const struct limit_policy *guest = &plans->tiers[0].groups[0].policies[0],
                              *slow = &plans->tiers[1].groups[0].policies[1];
    assert_rate(guest, 60, 60, 61);
    ck_assert(guest->key == LIMIT_KEY_IP && is(guest->id, "guest/default/burst") &&
              !guest->is_shadow);
    assert_rate(slow, 9, 86400, 9);
    ck_assert(slow->key == LIMIT_KEY_CLAIM && is(s->claim_paths.list[slow->claim_path], "org_id") &&
              slow->is_shadow);
    ck_assert(is(plans->tiers[1].groups[1].name, "ai") &&
              is(plans->tiers[1].groups[1].policies[0].id, "free/ai/ai"));
    rig_teardown();
}
END_TEST

START_TEST(limits_have_names_keys_and_exceptions) {
    rig_setup();
    const struct settings *s = good("limits:\n"
                                    "  per_ip: { key: ip, rate: 5/minute, burst: 2, for: "
                                    "anonymous, except: [10.0.0.0/8, \"fd00::/8\", 192.0.2.1] }\n"
                                    "  all: { key: global, rate: 9/second }\n"
                                    "  mine: { key: subject, rate: 9/second, shadow: true }\n"
                                    "  org: { key: \"claim:org\", rate: 9/second, except: [] }\n"
                                    "  auth_refresh: { key: ip, rate: 3/minute, for: everyone }\n");
    ck_assert_uint_eq(s->n_limits, 4);
    ck_assert(s->limits[0].n_except == 3 && s->limits[0].applies_to == LIMIT_FOR_ANONYMOUS);
    assert_rate(&s->limits[0].policy, 5, 60, 2);
    struct ip ip;
    ck_assert(ip_parse(STR("10.1.2.3"), &ip) && cidr_contains(&s->limits[0].except[0], &ip));
    ck_assert(s->limits[1].policy.key == LIMIT_KEY_GLOBAL &&
              s->limits[1].applies_to == LIMIT_FOR_EVERYONE);
    ck_assert(s->limits[2].policy.key == LIMIT_KEY_SUBJECT && s->limits[2].policy.is_shadow);
    ck_assert(s->limits[3].policy.key == LIMIT_KEY_CLAIM &&
              is(s->claim_paths.list[s->limits[3].policy.claim_path], "org"));
    assert_rate(&s->refresh_limit.policy, 3, 60, 3);
    rig_teardown();
}
END_TEST

START_TEST(policies_are_numbered_and_their_ids_differ) {
    rig_setup();
    const struct settings *s = good("plans: { default: a, tiers: { a: { default: [ { name: x, "
                                    "rate: 1/minute }, { name: y, rate: 1/minute } ], "
                                    "g: [ { name: x, rate: 1/minute } ] }, b: { default: [ { name: "
                                    "x, rate: 1/minute } ] } } }\n"
                                    "limits: { x: { key: ip, rate: 1/minute } }\n");
    ck_assert_uint_eq(s->n_policies, 4 + 2 + 2);
    for (size_t i = 0; i < s->n_policies; i++) {
        ck_assert_uint_eq(s->policies[i]->index, i);
        ck_assert(bucket_rule_is_valid(&s->policies[i]->rate));
        for (size_t j = 0; j < i; j++)
            ck_assert(!str_eq(s->policies[i]->id, s->policies[j]->id));
    }
    ck_assert_ptr_eq(s->policies[0], &s->plans.tiers[0].groups[0].policies[0]);
    ck_assert_ptr_eq(s->policies[4], &s->limits[0].policy);
    ck_assert_ptr_eq(s->policies[6], &s->refresh_limit.policy);
    ck_assert_ptr_eq(s->policies[7], &s->auth_failures);
    rig_teardown();
}
END_TEST

START_TEST(issuers_have_rules_and_a_source) {
    rig_setup();
    const struct settings *s = good(
        "issuers:\n"
        "  - name: first\n    issuer: [\"https://a\", \"https://b/\"]\n    jwks_url: "
        "\"https://keys/a?x=1\"\n"
        "    audience: [x, y]\n    algorithms: [ES512, Ed25519]\n    leeway: 0s\n    require: { "
        "role: [authenticated], aal: aal2 }\n"
        "  - { name: second, issuer: \"https://c/\", discovery: true, audience: [] }\n"
        "  - { name: third, issuer: d, jwks_file: /run/keys.json, hs256_secret: " SECRET " }\n");
    ck_assert_uint_eq(s->tokens.n_issuers, 3);
    const struct issuer_rule *rules = s->tokens.issuers;
    ck_assert(is(s->sources[0].issuer_text, "https://a, https://b/"));
    ck_assert(rules[0].n_issuers == 2 && is(rules[0].issuers[1], "https://b/") &&
              !s->sources[0].is_auto);
    ck_assert(is(s->sources[0].jwks_url, "https://keys/a?x=1"));
    ck_assert(rules[0].n_audiences == 2 && is(rules[0].audiences[1], "y") &&
              rules[0].leeway_s == 0 && rules[0].n_require == 2);
    ck_assert_uint_eq(rules[0].algorithms,
                      ALGORITHM_BIT(ALGORITHM_ES512) | ALGORITHM_BIT(ALGORITHM_EdDSA));
    ck_assert(is(s->sources[1].discovery_url, "https://c/.well-known/openid-configuration") &&
              s->sources[1].jwks_url.n == 0);
    ck_assert(rules[1].n_audiences == 0 && is(rules[1].issuers[0], "https://c/"));
    ck_assert(is(s->sources[2].jwks_file, "/run/keys.json") && s->sources[2].jwks_url.n == 0);
    ck_assert(rules[2].algorithms & ALGORITHM_BIT(ALGORITHM_HS256));
    rig_teardown();
}
END_TEST

START_TEST(trust_takes_five_forms) {
    rig_setup();
    ck_assert_int_eq(good("trust: { client_ip: peer }\n")->trust.kind, TRUST_PEER);
    ck_assert_int_eq(good("trust: { client_ip: fly }\n")->trust.kind, TRUST_FLY);
    ck_assert_int_eq(good("trust: { client_ip: auto }\n")->trust.kind, TRUST_PEER);
    setenv("FLY_APP_NAME", "x", 1);
    ck_assert_int_eq(good("trust: { client_ip: auto }\n")->trust.kind, TRUST_FLY);
    ck_assert_int_eq(good("trust: { client_ip: peer }\n")->trust.kind, TRUST_PEER);
    const struct settings *s = good(
        "trust: { client_ip: { header: CF-Connecting-IP, from: [173.245.48.0/20, \"::1\"] } }\n");
    ck_assert(s->trust.kind == TRUST_HEADER &&
              str_eq_nocase(s->trust.header, STR("cf-connecting-ip")) && s->trust.n_from == 2);
    s = good("trust: { client_ip: { x-forwarded-for: 2 } }\n");
    ck_assert(s->trust.kind == TRUST_FORWARDED_FOR && s->trust.hops == 2);
    rig_teardown();
}
END_TEST

START_TEST(service_callers_are_refused_let_in_or_let_in_from_networks) {
    rig_setup();
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", service_callers: refuse }\n"), 0);
    ck_assert(!rig.settings->access.allows_service);
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", service_callers: allow }\n"), 0);
    ck_assert(rig.settings->access.allows_service && rig.settings->access.n_service_networks == 0);
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", service_callers: [10.0.0.0/8] }\n"),
                     0);
    ck_assert(rig.settings->access.allows_service && rig.settings->access.n_service_networks == 1);
    rig_teardown();
}
END_TEST

START_TEST(origins_of_browsers_are_all_or_some_or_none) {
    rig_setup();
    ck_assert(good("cors: { origins: \"*\" }\n")->cors_allows_all);
    const struct settings *s =
        good("cors: { origins: [\"https://a.example\", \"https://b.example\"] }\n");
    ck_assert(!s->cors_allows_all && s->n_cors_origins == 2 &&
              is(s->cors_origins[1], "https://b.example"));
    s = good("cors: { origins: [] }\n");
    ck_assert(!s->cors_allows_all && s->n_cors_origins == 0);
    rig_teardown();
}
END_TEST

START_TEST(references_are_replaced_inside_scalars) {
    rig_setup();
    setenv("JG_TEST_A", "one", 1);
    setenv("JG_TEST_EMPTY", "", 1);
    setenv("JG_TEST_YAML", "x\", region: \"y", 1);
    unsetenv("JG_TEST_UNSET");
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", region: "
                              "\"${JG_TEST_A}-${JG_TEST_UNSET:-two}-${JG_TEST_EMPTY}-$x-$\" }\n"),
                     0);
    ck_assert(is(rig.settings->supabase_region, "one-two--$x-$"));
    ck_assert_int_eq(
        rig_read("supabase: { url: \"http://a\", region: \"${JG_TEST_EMPTY:-default}\" }\n"), 0);
    ck_assert(is(rig.settings->supabase_region, "default"));
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", region: \"${JG_TEST_UNSET:-}\" }\n"),
                     0);
    ck_assert_uint_eq(rig.settings->supabase_region.n, 0);
    ck_assert_int_eq(
        rig_read(
            "supabase: { url: \"http://a\", region: \"${JG_TEST_UNSET:-http://x:1/y:-z}\" }\n"),
        0);
    ck_assert(is(rig.settings->supabase_region, "http://x:1/y:-z"));
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", region: \"${JG_TEST_YAML}\" }\n"), 0);
    ck_assert(is(rig.settings->supabase_region, "x\", region: \"y")); /* a value is never syntax */
    rig_teardown();
}
END_TEST

START_TEST(an_empty_section_is_its_defaults) {
    rig_setup();
    const struct settings *s = good("drain:\nhttp: {}\nlog:\n");
    ck_assert_int_eq(s->drain_delay_ns, 5 * NS_PER_S);
    ck_assert_uint_eq(s->http.max_fields, 128);
    rig_teardown();
}
END_TEST

START_TEST(json_is_yaml_too) {
    rig_setup();
    ck_assert_msg(
        rig_read(
            "{\"supabase\": {\"url\": \"http://127.0.0.1:1\"}, \"workers\": 2, \"admin\": \"\",\n"
            "\"routes\": [{\"path\": \"/a\", \"limits\": []}]}") == 0,
        "%s", rig.said);
    ck_assert(rig.settings->n_workers == 2 && rig.settings->admin.n == 0);
    rig_teardown();
}
END_TEST

START_TEST(listening_addresses_take_many_forms) {
    static const char *const all[] = {"[::]:8080", "0.0.0.0:1",   "127.0.0.1:0",
                                      ":80",       "[::1]:65535", "unix:/run/j.sock"};
    rig_setup();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "listen: \"%s\"\n", all[i]);
        ck_assert(is(good(text)->listen, all[i]));
    }
    rig_teardown();
}
END_TEST

START_TEST(nothing_of_the_text_is_kept) {
    char text[] = "supabase: { url: \"https://abc.supabase.co\", region: eu }\nroutes: [ { path: "
                  "/abc, upstream: \"http://host\" } ]\n";
    rig_setup();
    ck_assert_int_eq(settings_parse(&rig.settings, str_of(text), "f.yaml", rig_report, &rig), 0);
    memset(text, '!', sizeof(text) - 1);
    ck_assert(is(rig.settings->supabase.host, "abc.supabase.co") &&
              is(rig.settings->supabase_region, "eu"));
    ck_assert(is(route_at(rig.settings, "/abc")->upstream->host, "host") &&
              is(rig.settings->file, "f.yaml"));
    rig_teardown();
}
END_TEST

START_TEST(the_last_reference_ends_them) {
    rig_setup();
    good("");
    struct settings *second = settings_ref(rig.settings);
    ck_assert_ptr_eq(second, rig.settings);
    settings_unref(rig.settings);
    ck_assert(is(second->supabase.host, "abc.supabase.co"));
    rig.settings = NULL;
    settings_unref(second);
    settings_unref(NULL);
    rig_teardown();
}
END_TEST

START_TEST(the_reference_file_loads) {
    rig_setup();
    ck_assert_ptr_nonnull(getenv("REFERENCE"));
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_msg(settings_load(&rig.settings, getenv("REFERENCE"), rig_report, &rig) == 0, "%s",
                  rig.said);
    ck_assert(is(rig.settings->file, getenv("REFERENCE")));
    ck_assert(route_at(rig.settings, "/rest/v1")->is_builtin);
    unsetenv("SUPABASE_URL");
    rig_forget();
    ck_assert_int_eq(settings_load(&rig.settings, getenv("REFERENCE"), rig_report, &rig), -EINVAL);
    ck_assert_ptr_nonnull(strstr(rig.said, "SUPABASE_URL"));
    rig_teardown();
}
END_TEST

SUITE_MAIN("settings/settings", a_project_is_enough_and_the_rest_has_defaults,
           the_project_is_the_upstream_and_the_issuer,
           limits_without_a_file_are_per_user_and_per_ip, every_variable_has_its_say,
           a_name_without_a_value_is_not_set, a_variable_may_be_a_file,
           shadow_makes_every_policy_one, built_in_routes_are_supabases,
           built_in_routes_can_be_left_out, a_files_route_wins_over_a_built_in_one,
           routes_say_all_they_can, plans_have_tiers_groups_and_policies,
           limits_have_names_keys_and_exceptions, policies_are_numbered_and_their_ids_differ,
           issuers_have_rules_and_a_source, trust_takes_five_forms,
           service_callers_are_refused_let_in_or_let_in_from_networks,
           origins_of_browsers_are_all_or_some_or_none, references_are_replaced_inside_scalars,
           an_empty_section_is_its_defaults, json_is_yaml_too, listening_addresses_take_many_forms,
           nothing_of_the_text_is_kept, the_last_reference_ends_them, the_reference_file_loads)
