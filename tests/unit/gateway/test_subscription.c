/* SPDX-License-Identifier: MIT */
#include "gateway/subscription.h"

#include "base/log.h"
#include "suite.h"
#include <stdio.h>
#include <unistd.h>

static struct settings *settings;
static struct gateway_parts parts;
static struct exchange x;
static struct route paid_for, ignoring = {.ignores_payment = true};

static void report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

static void begin(const char *more) {
    char yaml[2000];
    snprintf(yaml, sizeof(yaml),
             "supabase: { url: \"http://127.0.0.1:1\" }\n"
             "plans: { claim: app_metadata.plan, default: free, anonymous: guest, tiers: {\n"
             "  guest: { default: [] }, free: { default: [] }, pro: { default: [] } } }\n%s",
             more);
    (void)!log_start(LOG_TEXT, LEVEL_ERROR);
    ck_assert_int_eq(settings_parse(&settings, str_of(yaml), "test", report, NULL), 0);
    parts = (struct gateway_parts){.settings = settings, .metrics = metrics_new(settings, 1)};
    x = (struct exchange){.parts = &parts, .settings = settings, .route = &paid_for};
}

static void end(void) {
    claims_unref(x.caller.claims);
    metrics_unref(parts.metrics);
    settings_unref(settings);
}

#define PAYMENT \
    "payment: { claim: app_metadata.status, downgrade: [past_due, unpaid], refuse: [canceled] }\n"

static void set_user(const char *payload) {
    const char *why;
    struct doc *doc = doc_parse(str_of(payload), NULL);
    claims_unref(x.caller.claims);
    ck_assert_int_eq(claims_new(&x.caller.claims, doc_root(doc), &settings->claim_paths, &why), 0);
    x.caller.kind = CALLER_USER;
    doc_free(doc);
}

static void assert_tier(const char *name) {
    const struct tier *tier = subscription_tier(&x);
    ck_assert_ptr_nonnull(tier);
    ck_assert_msg(str_eq(tier->name, str_of(name)), STR_FMT, STR_ARG(tier->name));
}

static bool counts(const char *line) {
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(parts.metrics, &text), 0);
    bool is_there = str_contains(buffer_bytes(&text), str_of(line));
    buffer_release(&text);
    return is_there;
}

START_TEST(the_token_names_the_tier) {
    begin("");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\"}}");
    assert_tier("pro");
    set_user("{\"sub\":\"ada\"}");
    assert_tier("free");
    ck_assert(counts("jotgate_unknown_plans_total 0\n"));
    end();
}
END_TEST

START_TEST(an_unknown_tier_is_the_default_one_and_counted) {
    begin("");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"gold\"}}");
    assert_tier("free");
    assert_tier("free");
    ck_assert(counts("jotgate_unknown_plans_total 2\n"));
    end();
}
END_TEST

/* The warning of a first unknown plan. */
static void assert_warned(const char *words) {
    char said[4096] = "";
    FILE *out = tmpfile();
    int stdout_was = dup(STDOUT_FILENO);
    ck_assert_int_ge(dup2(fileno(out), STDOUT_FILENO), 0);
    ck_assert_int_eq(log_start(LOG_JSON, LEVEL_WARN), 0);
    assert_tier("free");
    log_stop();
    dup2(stdout_was, STDOUT_FILENO);
    close(stdout_was);
    ck_assert_int_ge(pread(fileno(out), said, sizeof(said) - 1, 0), 0);
    fclose(out);
    ck_assert_msg(strstr(said, words) && strstr(said, "it gets plans.default"), "%s", said);
}

START_TEST(the_warning_of_an_unknown_plan_says_who_named_it) {
    begin("");
    log_stop();
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"gold\"}}");
    assert_warned("\"plan\":\"gold\",\"said_by\":\"token\"");
    end();
    x = (struct exchange){0};
    begin("");
    log_stop();
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"gold\"}}");
    x.caller.plan = STR("silver");
    assert_warned("\"plan\":\"silver\",\"said_by\":\"apikey\"");
    end();
    x = (struct exchange){0};
    begin("");
    log_stop();
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"gold\"}}");
    x.caller.plan = STR("silver");
    x.record.plan = STR("bronze");
    assert_warned("\"plan\":\"bronze\",\"said_by\":\"record\"");
    end();
}
END_TEST

START_TEST(callers_without_a_plan_have_the_anonymous_tier_or_none) {
    begin(PAYMENT);
    assert_tier("guest");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\",\"status\":\"canceled\"}}");
    x.caller.is_anonymous_user = true;
    assert_tier("guest");
    ck_assert(!subscription_is_refused(&x));
    x.caller.kind = CALLER_SERVICE;
    ck_assert_ptr_null(subscription_tier(&x));
    end();
}
END_TEST

START_TEST(who_is_behind_with_payment_has_the_default_tier) {
    begin(PAYMENT);
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\",\"status\":\"past_due\"}}");
    assert_tier("free");
    ck_assert(!subscription_is_refused(&x));
    x.route = &ignoring;
    assert_tier("pro");
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\",\"status\":\"active\"}}");
    x.route = &paid_for;
    assert_tier("pro");
    end();
}
END_TEST

START_TEST(who_does_not_pay_is_refused_except_where_it_is_ignored) {
    begin(PAYMENT);
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\",\"status\":\"canceled\"}}");
    ck_assert(subscription_is_refused(&x));
    x.route = &ignoring;
    ck_assert(!subscription_is_refused(&x));
    end();
}
END_TEST

START_TEST(who_says_nothing_of_payment_is_served) {
    begin(PAYMENT);
    set_user("{\"sub\":\"ada\",\"app_metadata\":{\"plan\":\"pro\"}}");
    ck_assert(!subscription_is_refused(&x));
    assert_tier("pro");
    end();
}
END_TEST

SUITE_MAIN("gateway/subscription", the_token_names_the_tier,
           an_unknown_tier_is_the_default_one_and_counted,
           the_warning_of_an_unknown_plan_says_who_named_it,
           callers_without_a_plan_have_the_anonymous_tier_or_none,
           who_is_behind_with_payment_has_the_default_tier,
           who_does_not_pay_is_refused_except_where_it_is_ignored,
           who_says_nothing_of_payment_is_served)
