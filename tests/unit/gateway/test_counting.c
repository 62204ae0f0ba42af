/* SPDX-License-Identifier: MIT */
/* Proves gateway/counting.h without a Redis: a deaf listener stands where it should be. With a real one: tests/story/test_redis.py. */
#include "gateway/counting.h"

#include "io/arrears.h"
#include "io/rig.h"
#include <stdio.h>

#define SETTINGS \
    "supabase: { url: \"http://127.0.0.1:1\" }\n" \
    "limits: { all: { key: global, quota: 12/day } }\n" \
    "redis: { url: \"redis://127.0.0.1:%u\", on_failure: %s, timeout: 20ms, expected_machines: " \
    "%d }\n"

static struct loop *loop;
static struct resolver *resolver;
static struct settings *settings;
static struct memory_limits *limits;
static struct arrears *arrears;
static struct metrics *metrics;
static struct redis *redis;
static struct gateway_parts parts;
static struct exchange x;
static int listener;

static void report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

static void begin(const char *on_failure, int machines) {
    struct endpoint at;
    char yaml[512], why[160];
    listener = rig_listen(&at);
    snprintf(yaml, sizeof(yaml), SETTINGS, rig_port(&at), on_failure, machines);
    ck_assert_int_eq(settings_parse(&settings, str_of(yaml), "test", report, NULL), 0);
    loop = loop_new();
    resolver = resolver_new();
    limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT);
    arrears = arrears_new(1000);
    metrics = metrics_new(settings, 1);
    redis = redis_new(loop, resolver, &settings->redis.target, settings->redis.timeout_ns, why);
    ck_assert_ptr_nonnull(redis);
    parts = (struct gateway_parts){
        .loop = loop, .settings = settings, .limits = limits, .metrics = metrics};
    parts.counting = counting_new(&(struct counting_parts){.loop = loop,
                                                           .redis = redis,
                                                           .arrears = arrears,
                                                           .settings = &settings->redis,
                                                           .machine = STR("m")});
    ck_assert_ptr_nonnull(parts.counting);
}

static void end(void) {
    redis_free(redis);
    counting_free(parts.counting);
    metrics_unref(metrics);
    memory_limits_free(limits);
    arrears_free(arrears);
    settings_unref(settings);
    resolver_free(resolver);
    loop_free(loop);
    close(listener);
}

/* As if Redis had been asked, and had not answered. */
static enum counting_verdict take_alone(bool counts) {
    x = (struct exchange){.parts = &parts, .settings = settings, .metrics = metrics};
    for (size_t i = 0; i < settings->n_limits; i++)
        if (str_eq(settings->limits[i].policy.name, STR("all")))
            x.charges[x.n_charges++] =
                (struct limit_charge){.policy = &settings->limits[i].policy, .cost = 1};
    ck_assert_uint_eq(x.n_charges, 1);
    x.count.step = COUNT_FAILED;
    return counting_take(&x, counts);
}

START_TEST(who_asks_has_to_wait_and_may_leave) {
    begin("share", 1);
    take_alone(false);
    x.count.step = COUNT_NOT_ASKED;
    ck_assert_int_eq(counting_take(&x, true), COUNTING_LATER);
    ck_assert_int_eq(counting_take(&x, true), COUNTING_LATER);
    counting_cancel(&x);
    rig_settle(loop); /* nobody is advanced */
    ck_assert_int_eq(x.count.step, COUNT_NOT_ASKED);
    end();
}
END_TEST

START_TEST(alone_each_machine_has_its_share) {
    begin("share", 4);
    ck_assert_uint_eq(counting_machines(parts.counting), 4);
    ck_assert_int_eq(counting_on_failure(parts.counting), REDIS_SHARE);
    for (int64_t i = 1; i <= 3; i++) {
        ck_assert_int_eq(take_alone(true), COUNTING_DONE);
        ck_assert(x.outcome.allowed);
        ck_assert_int_eq(x.outcome.states[0].remaining, 3 - i);
        ck_assert_int_eq(x.count.degraded, DEGRADED_SHARE);
    }
    ck_assert_int_eq(take_alone(true), COUNTING_DONE);
    ck_assert(!x.outcome.allowed);
    end();
}
END_TEST

START_TEST(what_it_cost_is_settled_in_the_share) {
    begin("share", 2);
    take_alone(true);
    counting_settle(&x, 3);
    take_alone(false);
    ck_assert_int_eq(x.outcome.states[0].remaining, 2);
    end();
}
END_TEST

static bool any(const void *arg, struct str name) {
    (void)arg;
    return str_eq(name, STR("jotgate:{global:}all:day"));
}

START_TEST(what_a_share_let_pass_is_kept_for_redis) {
    begin("share", 4);
    for (int i = 0; i < 4; i++)
        take_alone(true); /* the fourth is refused */
    take_alone(false);
    counting_settle(&x, 2);
    ck_assert_uint_eq(arrears_count(arrears), 1);
    struct arrear *arrear = arrears_take(arrears, any, NULL);
    ck_assert_ptr_nonnull(arrear);
    ck_assert_int_eq(arrear_owed(arrear, loop_now(loop)), 3 + 2);
    free(arrear);
    end();
}
END_TEST

START_TEST(open_there_are_no_limits) {
    begin("open", 1);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(take_alone(true), COUNTING_DONE);
        ck_assert(x.outcome.allowed);
        ck_assert_uint_eq(x.n_charges, 0);
    }
    ck_assert_int_eq(x.count.degraded, DEGRADED_OPEN);
    end();
}
END_TEST

START_TEST(closed_nobody_passes) {
    begin("closed", 1);
    ck_assert_int_eq(take_alone(true), COUNTING_UNAVAILABLE);
    ck_assert_int_eq(take_alone(false), COUNTING_UNAVAILABLE);
    ck_assert_int_eq(x.count.degraded, DEGRADED_CLOSED);
    end();
}
END_TEST

RIG_MAIN("gateway/counting", who_asks_has_to_wait_and_may_leave, alone_each_machine_has_its_share,
         what_it_cost_is_settled_in_the_share, what_a_share_let_pass_is_kept_for_redis,
         open_there_are_no_limits, closed_nobody_passes)
