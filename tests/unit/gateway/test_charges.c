/* SPDX-License-Identifier: MIT */
/* From who calls where to which counters: an exchange is made by hand, and nothing of a socket is needed. */
#include "gateway/charges.h"

#include "suite.h"
#include <stdio.h>

static struct loop *loop;
static struct settings *settings;
static struct memory_limits *limits;
static struct metrics *metrics;
static struct gateway_parts parts;
static struct exchange x;

static void report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

#define HEAD "supabase: { url: \"http://127.0.0.1:1\" }\n"
#define PLANS \
    HEAD \
        "plans: { claim: app_metadata.plan, default: free, anonymous: guest, tiers: {\n" \
        "  guest: { default: [ { name: g, rate: 1/hour } ] },\n" \
        "  free: { default: [ { name: f, rate: 2/hour } ], ai: [ { name: fa, rate: 1/day } ] },\n" \
        "  pro: { default: [ { name: p, rate: 9/hour }, { name: q, rate: 90/day } ], ai: [ ] } } " \
        "}\n" \
        "limits: { per_ip: { key: ip, rate: 3/hour, for: anonymous, except: " \
        "[\"198.51.100.0/24\"] },\n" \
        "  all: { key: global, rate: 100/hour } }\n" \
        "routes: [ { path: /ai, access: public, limits: [plan, plan.ai, per_ip, all], cost: 1 } " \
        "]\n"

static void set_route(const char *label) {
    x.route = NULL;
    for (size_t i = 0; i < settings->n_routes && !x.route; i++)
        if (str_eq(settings->routes[i].label, str_of(label)))
            x.route = &settings->routes[i];
    ck_assert(x.route || !label[0]);
}

static void set_ip(const char *text) { ck_assert(ip_parse(str_of(text), &x.client_ip)); }

static void set_user(const char *payload, bool is_anonymous) {
    const char *why;
    struct doc *doc = doc_parse(str_of(payload), NULL);
    claims_unref(x.caller.claims);
    ck_assert_int_eq(claims_new(&x.caller.claims, doc_root(doc), &settings->claim_paths, &why), 0);
    x.caller.kind = CALLER_USER;
    x.caller.is_anonymous_user = is_anonymous;
    x.caller.subject = claims_subject(x.caller.claims);
    doc_free(doc);
}

static void begin(const char *yaml, const char *route) {
    ck_assert_int_eq(settings_parse(&settings, str_of(yaml), "test", report, NULL), 0);
    loop = loop_new();
    limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT);
    metrics = metrics_new(settings, 1);
    parts = (struct gateway_parts){
        .loop = loop, .settings = settings, .limits = limits, .metrics = metrics};
    x = (struct exchange){
        .parts = &parts, .settings = settings, .metrics = metrics, .method = METHOD_GET};
    arena_init(&x.arena);
    set_ip("203.0.113.5");
    set_route(route);
}

static void end(void) {
    claims_unref(x.caller.claims);
    arena_fini(&x.arena);
    metrics_unref(metrics);
    memory_limits_free(limits);
    loop_free(loop);
    settings_unref(settings);
}

/* The policies that are met now, by name: "f fa all". */
static const char *met(void) {
    static char text[256];
    size_t n = 0;
    charges_find(&x);
    text[0] = '\0';
    for (size_t i = 0; i < x.n_charges; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s" STR_FMT, i ? " " : "",
                              STR_ARG(x.charges[i].policy->name));
    return text;
}

static bool take(void) {
    charges_find(&x);
    return charges_take(&x) == CHARGES_ALLOWED;
}

static int64_t remaining(size_t i) {
    charges_find(&x);
    ck_assert_int_eq(charges_look(&x), CHARGES_ALLOWED);
    return x.outcome.states[i].remaining;
}

START_TEST(a_user_meets_the_plan_that_the_token_names) {
    begin(PLANS, "/ai");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\"}}", false);
    ck_assert_str_eq(met(), "p q all");
    ck_assert(str_eq(x.charges[0].key, STR("ada")));
    ck_assert_uint_eq(x.charges[2].key.n, 0);
    end();
}
END_TEST

START_TEST(whoever_names_no_plan_or_an_unknown_one_has_the_default) {
    begin(PLANS, "/ai");
    set_user("{\"sub\":\"ada\"}", false);
    ck_assert_str_eq(met(), "f fa all");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"gold\"}}", false);
    ck_assert_str_eq(met(), "f fa all");
    end();
}
END_TEST

START_TEST(users_that_cost_nothing_to_make_are_limited_by_address) {
    begin(PLANS, "/ai");
    set_user("{\"sub\":\"one\",\"app_metadata\":{\"plan\":\"pro\"}}", true);
    ck_assert_str_eq(met(), "g per_ip all");
    ck_assert(take());
    set_user("{\"sub\":\"two\"}", true);
    ck_assert(!take());
    end();
}
END_TEST

START_TEST(an_anonymous_caller_is_an_address_and_ipv6_a_network) {
    begin(PLANS, "/ai");
    set_ip("2001:db8:0:1::1");
    ck_assert_str_eq(met(), "g per_ip all");
    ck_assert(take());
    set_ip("2001:db8:0:1:ffff::2");
    ck_assert(!take());
    set_ip("2001:db8:0:2::1");
    ck_assert(take());
    end();
}
END_TEST

START_TEST(service_callers_meet_only_what_is_for_everyone) {
    begin(PLANS, "/ai");
    x.caller.kind = CALLER_SERVICE;
    ck_assert_str_eq(met(), "all");
    end();
}
END_TEST

START_TEST(excepted_networks_are_not_met) {
    begin(PLANS, "/ai");
    set_ip("198.51.100.9");
    ck_assert_str_eq(met(), "g all");
    end();
}
END_TEST

START_TEST(one_refusal_counts_nothing_anywhere) {
    begin(PLANS, "/ai");
    ck_assert(take());
    ck_assert(!take());
    ck_assert(!take());
    ck_assert_int_eq(remaining(2), 99); /* all */
    ck_assert_int_eq(remaining(1), 2);  /* per_ip */
    end();
}
END_TEST

START_TEST(looking_counts_nothing) {
    begin(PLANS, "/ai");
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(remaining(0), 1);
    ck_assert(take());
    end();
}
END_TEST

START_TEST(a_key_that_is_a_claim_is_shared_by_those_who_have_it) {
    begin(HEAD "plans: { key: 'claim:org_id', default: free, tiers: { free: { default: [ { name: "
               "f, rate: 1/hour } ] } } }\n"
               "routes: [ { path: /x, access: user, limits: [plan] } ]\n",
          "/x");
    set_user("{\"sub\":\"ada\",\"org_id\":\"acme\"}", false);
    ck_assert(take());
    set_user("{\"sub\":\"bob\",\"org_id\":\"acme\"}", false);
    ck_assert(!take());
    set_user("{\"sub\":\"eve\"}", false);
    ck_assert(take()); /* by address */
    set_user("{\"sub\":\"mal\"}", false);
    ck_assert(!take());
    end();
}
END_TEST

START_TEST(a_limit_by_subject_counts_users_that_cost_nothing_by_address) {
    begin(HEAD "limits: { mine: { key: subject, rate: 1/hour } }\n"
               "routes: [ { path: /x, access: user, limits: [mine] } ]\n",
          "/x");
    set_user("{\"sub\":\"ada\"}", false);
    ck_assert(take());
    set_user("{\"sub\":\"one\"}", true);
    ck_assert(take());
    set_user("{\"sub\":\"two\"}", true);
    ck_assert(!take());
    set_user("{\"sub\":\"bob\"}", false);
    ck_assert(take());
    end();
}
END_TEST

START_TEST(a_route_may_cost_more) {
    begin(HEAD "limits: { all: { key: global, rate: 10/hour } }\n"
               "routes: [ { path: /x, access: open, limits: [all], cost: 4 } ]\n",
          "/x");
    ck_assert(take() && take());
    ck_assert(!take());
    ck_assert_int_eq(remaining(0), 2);
    end();
}
END_TEST

START_TEST(limits_that_are_off_are_met_by_nobody) {
    begin("limits_mode: off\n" PLANS, "/ai");
    ck_assert_str_eq(met(), "");
    ck_assert(take() && take() && take());
    end();
}
END_TEST

START_TEST(shadow_limits_are_met_and_refuse_nobody) {
    begin("limits_mode: shadow\n" PLANS, "/ai");
    ck_assert(take() && take() && take());
    ck_assert(x.outcome.shadow_refused);
    end();
}
END_TEST

/* ---- what is settled by the answer */

#define PRICED \
    HEAD "limits: { all: { key: global, rate: 100/hour }, daily: { key: global, quota: 100/day } " \
         "}\n" \
         "routes: [ { path: /x, access: open, limits: [all, daily], cost: { reserve: 5, settle: " \
         "'header:X-Cost' } } ]\n"

static void settle(const char *name, const char *value, const char *again) {
    struct field list[2] = {{.name = str_of(name), .value = str_of(value)},
                            {.name = str_of(name), .value = str_of(again)}};
    charges_settle(&x, (struct fields){.list = list, .n = again ? 2 : 1});
}

START_TEST(an_answer_that_names_its_cost_is_charged_that) {
    begin(PRICED, "/x");
    ck_assert(take());
    settle("x-cost", "12", NULL);
    ck_assert_int_eq(x.outcome.states[0].remaining, 88);
    ck_assert_int_eq(x.outcome.states[1].remaining, 88);
    ck_assert(take());
    settle("X-COST", "0", NULL);
    ck_assert_int_eq(remaining(0), 88);
    ck_assert_int_eq(remaining(1), 88);
    end();
}
END_TEST

START_TEST(debt_is_carried_and_said) {
    begin(PRICED, "/x");
    ck_assert(take());
    settle("x-cost", "500", NULL);
    ck_assert_int_eq(x.outcome.states[0].remaining, 0);
    ck_assert_int_gt(x.outcome.states[0].reset_ns, 4 * 3600 * NS_PER_S);
    ck_assert(!take());
    end();
}
END_TEST

START_TEST(an_answer_that_names_no_cost_leaves_the_reserve) {
    static const char *const bad[] = {"", "-3", "1.5", "many", "1000000001", "5 ", "0x5"};
    begin(PRICED, "/x");
    ck_assert(take());
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        settle("x-cost", bad[i], NULL);
    settle("x-cost", "1", "2");
    settle("x-costs", "1", NULL);
    charges_settle(&x, (struct fields){0});
    ck_assert_int_eq(remaining(0), 95);
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(metrics, &text), 0);
    ck_assert(str_contains(buffer_bytes(&text), STR("jotgate_unsettled_total 10\n")));
    buffer_release(&text);
    end();
}
END_TEST

/* ---- the session refresh */

static void set_target(const char *path, const char *query) {
    x.target = (struct target){.path = str_of(path),
                               .normal = str_of(path),
                               .twice = str_of(path),
                               .query = str_of(query)};
}

START_TEST(a_refresh_meets_its_ceiling_alone) {
    begin(PLANS, "/auth/v1");
    x.method = METHOD_POST;
    set_target("/auth/v1/token", "grant_type=refresh_token");
    ck_assert(charges_is_refresh(&x));
    ck_assert_str_eq(met(), "auth_refresh");
    set_target("/auth/v1/token", "x=1&grant%5Ftype=refresh_token");
    ck_assert(charges_is_refresh(&x));
    end();
}
END_TEST

START_TEST(what_only_looks_like_a_refresh_is_none) {
    begin(PLANS, "/auth/v1");
    x.method = METHOD_POST;
    set_target("/auth/v1/token", "grant_type=password");
    ck_assert(!charges_is_refresh(&x));
    set_target("/auth/v1/token", "grant_type=refresh_token&grant_type=password");
    ck_assert(!charges_is_refresh(&x));
    set_target("/auth/v1/otp", "grant_type=refresh_token");
    ck_assert(!charges_is_refresh(&x));
    set_target("/auth/v1/token", "grant_type=refresh_token");
    x.method = METHOD_GET;
    ck_assert(!charges_is_refresh(&x));
    x.method = METHOD_POST;
    set_route("/rest/v1");
    ck_assert(!charges_is_refresh(&x));
    x.route = NULL;
    ck_assert(!charges_is_refresh(&x));
    end();
}
END_TEST

START_TEST(our_own_paths_report_the_plan_and_every_named_limit) {
    begin(PLANS, "/ai");
    x.route = NULL;
    ck_assert_str_eq(met(), "g per_ip all");
    set_user("{\"sub\":\"ada\"}", false);
    ck_assert_str_eq(met(), "f all fa");
    end();
}
END_TEST

SUITE_MAIN("gateway/charges", a_user_meets_the_plan_that_the_token_names,
           whoever_names_no_plan_or_an_unknown_one_has_the_default,
           users_that_cost_nothing_to_make_are_limited_by_address,
           an_anonymous_caller_is_an_address_and_ipv6_a_network,
           service_callers_meet_only_what_is_for_everyone, excepted_networks_are_not_met,
           one_refusal_counts_nothing_anywhere, looking_counts_nothing,
           a_key_that_is_a_claim_is_shared_by_those_who_have_it,
           a_limit_by_subject_counts_users_that_cost_nothing_by_address, a_route_may_cost_more,
           limits_that_are_off_are_met_by_nobody, shadow_limits_are_met_and_refuse_nobody,
           an_answer_that_names_its_cost_is_charged_that, debt_is_carried_and_said,
           an_answer_that_names_no_cost_leaves_the_reserve, a_refresh_meets_its_ceiling_alone,
           what_only_looks_like_a_refresh_is_none,
           our_own_paths_report_the_plan_and_every_named_limit)
