/* SPDX-License-Identifier: MIT */
/* Proves settings_lint: each finding, and the settings beside it that have none. */
#include "rig.h"

#include "suite.h"

static size_t lint(void) {
    rig.said[0] = '\0';
    rig.n_lines = 0;
    size_t n = settings_lint(rig.settings, rig_report, &rig);
    ck_assert_uint_eq(n, rig.n_lines);
    ck_assert_uint_eq(settings_lint(rig.settings, NULL, NULL), n);
    return n;
}

static void no_finding(const char *text) {
    good(text);
    ck_assert_msg(lint() == 0, "%s\n%s", text, rig.said);
}

/* One finding, with these words. */
static void finding(const char *text, const char *words) {
    good(text);
    ck_assert_msg(lint() == 1, "%s\n%zu findings:\n%s", text, rig.n_lines, rig.said);
    check_said(text, "f.yaml: ", words);
}

struct row {
    const char *text, *words;
};
static void all_are_found(const struct row *rows, size_t n) {
    rig_setup();
    for (size_t i = 0; i < n; i++) {
        if (rows[i].words)
            finding(rows[i].text, rows[i].words);
        else
            no_finding(rows[i].text);
    }
    rig_teardown();
}
#define ALL_ARE_FOUND(rows) all_are_found(rows, sizeof(rows) / sizeof((rows)[0]))

START_TEST(plain_settings_have_no_finding) {
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    ck_assert_int_eq(rig_environment(), 0);
    ck_assert_msg(lint() == 0, "%s", rig.said);
    setenv("SUPABASE_JWT_SECRET", "0123456789abcdef0123456789abcdef", 1);
    setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x", 1);
    setenv("SUPABASE_SECRET_KEY", "sb_secret_x", 1);
    setenv("LIMIT_PER_USER", "60/minute", 1);
    setenv("LIMIT_PER_IP", "61/minute", 1);
    setenv("LIMITS", "shadow", 1);
    ck_assert_int_eq(rig_environment(), 0);
    ck_assert_msg(lint() == 0, "%s", rig.said);
    rig_forget();
    ck_assert_ptr_nonnull(getenv("REFERENCE"));
    ck_assert_int_eq(settings_load(&rig.settings, getenv("REFERENCE"), rig_report, &rig), 0);
    ck_assert_msg(lint() == 0, "%s", rig.said);
    rig_teardown();
}
END_TEST

START_TEST(the_settings_for_fly_have_no_finding) {
    char path[512];
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    snprintf(path, sizeof(path), "%.*s/fly.yaml",
             (int)(strlen(getenv("REFERENCE")) - strlen("/jotgate.yaml")), getenv("REFERENCE"));
    ck_assert_msg(settings_load(&rig.settings, path, rig_report, &rig) == 0, "%s", rig.said);
    ck_assert_msg(lint() == 0, "%s", rig.said);
    rig_teardown();
}
END_TEST

START_TEST(without_a_file_findings_are_the_environments) {
    rig_setup();
    setenv("SUPABASE_URL", "http://abc.supabase.co", 1);
    ck_assert_int_eq(rig_environment(), 0);
    ck_assert_uint_eq(lint(), 1);
    check_said("", "environment: ", "http://abc.supabase.co in the clear");
    rig_teardown();
}
END_TEST

START_TEST(tokens_in_the_clear_are_found_once_an_upstream) {
    static const struct row rows[] = {
        {"routes: [ { path: /a, upstream: \"http://api.example.com\" }, { path: /b, upstream: "
         "\"http://api.example.com/x\" } ]\n",
         "http://api.example.com in the clear"},
        {"routes: [ { path: /a, upstream: \"http://192.0.2.1:80\" } ]\n", "http://192.0.2.1"},
        {"routes: [ { path: /a, upstream: \"http://[2001:db8::1]\" } ]\n", "http://[2001:db8::1]"},
        {"routes: [ { path: /a, upstream: \"http://internal.example\" } ]\n", "in the clear"},
        {"routes: [ { path: /a, access: denied, upstream: \"http://api.example.com\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"https://api.example.com\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://127.0.0.1:3000\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://[::1]:3000\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://10.1.2.3\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://[fdaa::1]\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://localhost\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://kong:8000\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://app.internal\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"http://host.docker.internal:54321\" } ]\n", NULL},
        {"routes: [ { path: /a, upstream: \"unix:/run/a.sock\" } ]\n", NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(an_admin_listener_that_strangers_reach_is_found) {
    static const struct row rows[] = {
        {"admin: \"0.0.0.0:9091\"\n", "every network"},
        {"admin: \"[::]:9091\"\n", "every network"},
        {"admin: \":9091\"\n", "every network"},
        {"admin: \"[::ffff:0.0.0.0]:9091\"\n", "every network"},
        {"admin: \"192.0.2.1:9091\"\n", "from outside"},
        {"admin: \"[2001:db8::1]:9091\"\n", "from outside"},
        {"admin: \"192.0.2.1:9091\"\ntrust: { client_ip: fly }\n", "from outside"},
        {"admin: \"[::]:9091\"\ntrust: { client_ip: fly }\n", NULL},
        {"admin: \"127.0.0.1:9091\"\n", NULL},
        {"admin: \"[::1]:9091\"\n", NULL},
        {"admin: \"10.0.0.1:9091\"\n", NULL},
        {"admin: \"[fd00::1]:9091\"\n", NULL},
        {"admin: \"unix:/run/admin.sock\"\n", NULL},
        {"admin: \"\"\n", NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(issuers_that_trust_too_much_or_nobody_are_found) {
    static const struct row rows[] = {
        {"issuers: [ { audience: [] } ]\n", "without an audience"},
        {"issuers: [ { leeway: 10m } ]\n", "600 s after they have expired"},
        {"issuers: [ { leeway: 5m } ]\n", NULL},
        {"issuers: [ { algorithms: [ES256, HS256] } ]\n", "no hs256_secret"},
        {"issuers: [ { algorithms: [HS512] } ]\n", "no hs256_secret"},
        {"issuers: [ { algorithms: [HS256], hs256_secret: 0123456789abcdef0123456789abcdef } ]\n",
         NULL},
        {"issuers: [ { issuer: x, jwks_url: \"http://keys.example/jwks\" } ]\n",
         "fetched over http://"},
        {"issuers: [ { issuer: \"http://keys.example\", discovery: true } ]\n",
         "fetched over http://"},
        {"issuers: [ { issuer: x, jwks_url: \"http://u.internal/jwks?a=b\" } ]\n", NULL},
        {"issuers: [ { issuer: x, jwks_url: \"http://[::1]:80/jwks\" } ]\n", NULL},
        {"issuers: [ { issuer: x, jwks_url: \"http://[2001:db8::1]:80/jwks\" } ]\n",
         "fetched over http://"},
        {"issuers: [ { issuer: x, jwks_file: /k.json } ]\n", NULL},
        {"issuers: [ { name: a, issuer: [x, y] }, { name: b, issuer: y } ]\n",
         "'y' is also an issuer of a"},
        {"issuers: [ { name: a, issuer: x }, { name: b, issuer: y } ]\n", NULL},
        {"jwks: { refresh: 2h, max_stale: 1h }\n", "stale after 3600 s"},
        {"jwks: { refresh: 1h, max_stale: 1h }\n", NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(a_project_in_the_clear_is_told_once) {
    rig_setup();
    ck_assert_int_eq(rig_read("supabase: { url: \"http://abc.supabase.co\" }\n"), 0);
    ck_assert_msg(lint() == 1, "%s", rig.said);
    ck_assert_int_eq(rig_read("supabase: { url: \"http://kong\" }\n"
                              "issuers: [ { jwks_url: \"http://kong.example.com/k\" } ]\n"),
                     0);
    ck_assert_uint_eq(lint(), 1);
    check_said("", "f.yaml: issuer supabase: ", "fetched over http://");
    rig_teardown();
}
END_TEST

START_TEST(an_issuer_without_keys_is_found) {
    rig_setup();
    ck_assert_int_eq(rig_read("builtin: none\nissuers: [ { name: a, issuer: x } ]\n"
                              "routes: [ { path: /a, upstream: \"https://x\" } ]\n"),
                     0);
    ck_assert_uint_eq(lint(), 1);
    check_said("", "f.yaml: issuer a: ", "has no keys");
    rig_teardown();
}
END_TEST

START_TEST(doors_that_stand_open_are_found) {
    static const struct row rows[] = {
        {"trust: { client_ip: { header: x-real-ip, from: [0.0.0.0/0] } }\n",
         "anybody may say in x-real-ip"},
        {"trust: { client_ip: { header: x-real-ip, from: [10.0.0.0/8, \"::/0\"] } }\n",
         "anybody may say in x-real-ip"},
        {"trust: { client_ip: { header: x-real-ip, from: [10.0.0.0/8] } }\n", NULL},
        {"limits: { per_ip: { key: ip, rate: 1/minute, except: [\"::/0\"] } }\n",
         "limits.per_ip: everybody is excepted"},
    };
    static const struct row callers[] = {{"allow", "use it from anywhere"},
                                         {"[0.0.0.0/0]", "use it from anywhere"},
                                         {"[10.0.0.0/8]", NULL},
                                         {"refuse", NULL}};
    ALL_ARE_FOUND(rows);
    rig_setup();
    for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
        char text[120];
        snprintf(text, sizeof(text), "supabase: { url: \"https://a\", service_callers: %s }\n",
                 callers[i].text);
        ck_assert_int_eq(rig_read(text), 0);
        ck_assert_uint_eq(lint(), callers[i].words ? 1 : 0);
        if (callers[i].words)
            check_said(text, "f.yaml: supabase.service_callers: ", callers[i].words);
    }
    rig_teardown();
}
END_TEST

START_TEST(keys_in_each_others_place_are_found) {
    rig_setup();
    setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x", 1);
    setenv("SUPABASE_SECRET_KEY", "sb_publishable_x", 1);
    finding("", "this is a publishable key");
    unsetenv("SUPABASE_SECRET_KEY");
    ck_assert_int_eq(rig_read("supabase: { url: \"https://a\", apikey: replace }\n"), 0);
    ck_assert_msg(lint() == 0, "%s", rig.said);
    unsetenv("SUPABASE_PUBLISHABLE_KEY");
    ck_assert_int_eq(rig_read("supabase: { url: \"https://a\", apikey: replace }\n"), 0);
    ck_assert_uint_eq(lint(), 1);
    check_said("", "f.yaml: supabase.apikey: ", "no publishable_key");
    rig_teardown();
}
END_TEST

START_TEST(callers_whom_no_limit_meets_are_found) {
    static const struct row rows[] = {
        {"routes: [ { path: /a, access: open, limits: [] } ]\n",
         "meets callers without a verified subject, and anonymous users, on /a;"},
        {"routes: [ { path: /a, access: open, limits: [plan] } ]\n",
         "callers without a verified subject, and anonymous users, on /a;"},
        {"routes: [ { path: /a, access: open, limits: [per_ip] } ]\n", NULL},
        {"routes: [ { path: /a, access: user, limits: [plan] } ]\n", "anonymous users, on /a;"},
        {"routes: [ { path: /a, access: user, limits: [per_ip] } ]\n",
         "users of the tier default on /a;"},
        {"routes: [ { path: /a, access: user, limits: [plan, per_ip] } ]\n", NULL},
        {"routes: [ { path: /a, access: service, limits: [] } ]\n", NULL},
        {"routes: [ { path: /a, access: denied, limits: [] } ]\n", NULL},
        {"limits: { all: { key: global, rate: 1/minute } }\nroutes: [ { path: /a, limits: [all] } "
         "]\n",
         NULL},
        {"limits: { some: { key: ip, rate: 1/minute, for: anonymous } }\nroutes: [ { path: /a, "
         "limits: [some] } ]\n",
         "users of the tier default on /a;"},
        {"plans: { default: free, anonymous: guest, tiers: { guest: { default: [ { name: a, rate: "
         "1/minute } ] }, "
         "free: { default: [ { name: a, rate: 1/minute } ] } } }\nroutes: [ { path: /a, access: "
         "public, limits: [plan] } ]\n",
         NULL},
        {"plans: { default: free, anonymous: guest, tiers: { guest: {}, free: { default: [ { name: "
         "a, rate: 1/minute } ] } } }\n"
         "routes: [ { path: /a, access: public, limits: [plan] } ]\n",
         "anonymous users, on /a;"},
        {"plans: { default: free, tiers: { free: { default: [ { name: a, rate: 1/minute } ] }, "
         "pro: {} } }\n"
         "builtin: none\nroutes: [ { path: /a }, { path: /b }, { path: /c }, { path: /d }, { path: "
         "/e } ]\n",
         "users of the tier pro on /a, /b, /c and 2 more;"},
        {"plans: { default: free, tiers: { free: { default: [ { name: a, rate: 1/minute } ] }, "
         "pro: { default: [] } } }\n"
         "builtin: none\nroutes: [ { path: /a } ]\n",
         "users of the tier pro on /a;"},
    };
    ALL_ARE_FOUND(rows);
    rig_setup();
    good("routes: [ { path: /a, access: public, limits: [] } ]\n");
    ck_assert_uint_eq(lint(), 2);
    rig_teardown();
}
END_TEST

START_TEST(costs_beyond_the_burst_are_found) {
    static const struct row rows[] = {
        {"limits: { slow: { key: ip, rate: 60/minute, burst: 4 } }\nroutes: [ { path: /a, cost: 5, "
         "limits: [slow] } ]\n",
         "route /a: costs 5 calls, but the limit slow never lets more than 4"},
        {"limits: { slow: { key: ip, rate: 60/minute, burst: 5 } }\nroutes: [ { path: /a, cost: 5, "
         "limits: [slow] } ]\n",
         NULL},
        {"plans: { default: f, tiers: { f: { default: [ { name: b, rate: 9/minute } ] } } "
         "}\nroutes: [ { path: /a, cost: 10 } ]\n",
         "the limit f/default/b never"},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(limits_that_limit_nobody_are_found) {
    static const struct row rows[] = {
        {"limits: { slow: { key: ip, rate: 1/minute } }\n", "limits.slow: no route names it"},
        {"limits: { slow: { key: ip, rate: 1/minute } }\nroutes: [ { path: /a, limits: [slow] } "
         "]\n",
         NULL},
        {"builtin: none\nroutes: [ { path: /a, access: service, limits: [] } ]\n", NULL},
        {"plans: { default: f, tiers: { f: { default: [ { name: b, rate: 9/minute } ], ai: [ { "
         "name: b, rate: 9/minute } ] } } }\n",
         "plans.tiers.f.ai: no route names plan.ai"},
        {"plans: { default: f, tiers: { f: { default: [ { name: b, rate: 9/minute } ], ai: [ { "
         "name: b, rate: 9/minute } ] } } }\n"
         "routes: [ { path: /a, limits: [plan.ai, per_ip] } ]\n",
         NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(variables_that_nothing_asks_for_are_found) {
    static const struct {
        const char *name, *value, *text, *words;
    } rows[] = {
        {"LIMIT_PER_USER", "60/minute",
         "plans: { default: f, tiers: { f: { default: [ { name: b, rate: 9/minute } ] } } }\n",
         "LIMIT_PER_USER is set, but"},
        {"LIMIT_PER_USER", "60/minute",
         "plans: { default: f, tiers: { f: { default: [ { name: b, rate: \"${LIMIT_PER_USER}\", "
         "burst: 9 } ] } } }\n",
         NULL},
        {"LIMIT_PER_USER", "60/minute", "", NULL},
        {"LIMIT_PER_USER", "", "", NULL},
        {"LIMIT_PER_IP", "", "limits: { per_ip: { key: ip, rate: 9/minute, for: anonymous } }\n",
         NULL},
        {"LIMITS", "", "limits_mode: shadow\n", NULL},
        {"LIMIT_PER_IP", "60/minute",
         "limits: { per_ip: { key: ip, rate: 9/minute, for: anonymous } }\n",
         "LIMIT_PER_IP is set, but"},
        {"LIMIT_PER_IP", "60/minute",
         "limits: { per_ip: { key: ip, rate: \"${LIMIT_PER_IP}\", for: anonymous } }\n", NULL},
        {"LIMITS", "off", "limits_mode: enforce\n", "LIMITS is set, but"},
        {"LIMITS", "off", "limits_mode: ${LIMITS}\n", NULL},
        {"SUPABASE_JWT_SECRET", "0123456789abcdef0123456789abcdef",
         "issuers: [ { name: supabase } ]\n", "SUPABASE_JWT_SECRET is set, but"},
        {"SUPABASE_JWT_SECRET", "0123456789abcdef0123456789abcdef",
         "issuers: [ { hs256_secret: \"${SUPABASE_JWT_SECRET}\" } ]\n", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig_setup();
        setenv(rows[i].name, rows[i].value, 1);
        if (rows[i].words)
            finding(rows[i].text, rows[i].words);
        else
            no_finding(rows[i].text);
        rig_teardown();
    }
}
END_TEST

START_TEST(a_star_beside_the_same_path_is_found) {
    static const struct row rows[] = {
        {"routes: [ { path: /rest/v1* } ]\n", "route /rest/v1*: the built-in route /rest/v1 takes"},
        {"routes: [ { path: /a* }, { path: /a } ]\n", "route /a*: the other route /a takes"},
        {"routes: [ { path: /rest/v1/* } ]\n", NULL},
        {"routes: [ { path: /rest/v1 } ]\n", NULL},
        {"routes: [ { path: /rest/v1/rpc/admin_* } ]\n", NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(origins_that_no_browser_sends_are_found) {
    static const struct row rows[] = {
        {"cors: { origins: [\"https://app.example.com/\"] }\n", "'https://app.example.com/'"},
        {"cors: { origins: [app.example.com] }\n", "'app.example.com'"},
        {"cors: { origins: [\"https://a.example\", \"*\"] }\n", "'*'"},
        {"cors: { origins: [\"https://*.example\"] }\n", "'https://*.example'"},
        {"cors: { origins: [\"https://App.example\"] }\n", "'https://App.example'"},
        {"cors: { origins: [\"https://app.example.com\", \"http://localhost:3000\", "
         "\"capacitor://localhost\", \"null\"] }\n",
         NULL},
        {"cors: { origins: \"*\" }\n", NULL},
        {"cors: { origins: [] }\n", NULL},
    };
    ALL_ARE_FOUND(rows);
}
END_TEST

START_TEST(routes_for_api_keys_need_redis) {
    static const char route[] = "routes: [ { path: /k, access: apikey } ]\n";
    rig_setup();
    ck_assert_int_eq(rig_read_project(route), 0);
    ck_assert_uint_eq(settings_lint(rig.settings, rig_report, &rig), 1);
    check_said("", "f.yaml: route /k: ", "REDIS_URL");
    setenv("REDIS_URL", "redis://127.0.0.1", 1);
    ck_assert_int_eq(rig_read_project(route), 0);
    ck_assert_uint_eq(settings_lint(rig.settings, rig_report, &rig), 0);
    rig_setup();
    rig_teardown();
}
END_TEST

SUITE_MAIN("settings/lint", plain_settings_have_no_finding, the_settings_for_fly_have_no_finding,
           without_a_file_findings_are_the_environments,
           tokens_in_the_clear_are_found_once_an_upstream,
           an_admin_listener_that_strangers_reach_is_found,
           issuers_that_trust_too_much_or_nobody_are_found, a_project_in_the_clear_is_told_once,
           an_issuer_without_keys_is_found, doors_that_stand_open_are_found,
           keys_in_each_others_place_are_found, callers_whom_no_limit_meets_are_found,
           costs_beyond_the_burst_are_found, limits_that_limit_nobody_are_found,
           variables_that_nothing_asks_for_are_found, a_star_beside_the_same_path_is_found,
           origins_that_no_browser_sends_are_found, routes_for_api_keys_need_redis)
