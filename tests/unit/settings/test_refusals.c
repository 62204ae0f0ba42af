/* SPDX-License-Identifier: MIT */
/* Proves settings/settings.h: what is refused, where it is said to stand, and what was expected. */
#include "rig.h"

#include "suite.h"
#include <unistd.h>

/* The text begins in line 2 of f.yaml; line 1 names a project. */
struct row {
    const char *text, *place, *words;
};

static void all_are_refused(const struct row *rows, size_t n) {
    rig_setup();
    for (size_t i = 0; i < n; i++)
        refused(rows[i].text, rows[i].place, rows[i].words);
    rig_teardown();
}
#define ALL_ARE_REFUSED(rows) all_are_refused(rows, sizeof(rows) / sizeof((rows)[0]))

START_TEST(certificates_and_keys_come_in_pairs) {
    static const struct row rows[] = {
        {"tls: a.pem\n", "f.yaml:2:6: tls: ", "{ certificate: FILE, key: FILE }"},
        {"tls: { certificate: a, key: b }\n", "f.yaml:2:6: tls: ", "expected a list"},
        {"tls: [ { certificate: a } ]\n", "f.yaml:2:", "key"},
        {"tls: [ { key: a } ]\n", "f.yaml:2:", "certificate"},
        {"tls: [ { certificate: a, key: b, password: c } ]\n", "f.yaml:2:", "no such setting"},
        {"tls: [ a.pem ]\n", "f.yaml:2:", "expected"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(unknown_names_are_refused_where_they_stand) {
    static const struct row rows[] = {
        {"bananas: 1\n", "f.yaml:2:1: bananas: ", "no such setting"},
        {"bananas:\n", "f.yaml:2:1: bananas: ", "known are: listen"},
        {"bananas:\n  - 1\n", "f.yaml:2:1: bananas: ", "no such setting"},
        {"\"bananas\":\n  { a: 1 }\n", "f.yaml:2:1: bananas: ", "no such setting"},
        {"drain:\n  delay: 1s\n  bananas:\n    1\n", "f.yaml:4:3: bananas: ", "no such"},
        {"http:\n  max_heads: 1KiB\n", "f.yaml:3:3: max_heads: ", "max_head"},
        {"drain: { delay: 1s, tiemout: 2s }\n", "f.yaml:2:21: tiemout: ", "timeout"},
        {"redis: { uri: x }\n", "f.yaml:2:10: uri: ", "no such setting"},
        {"auth_failures: { rate: 1/minute, quota: 5/day }\n",
         "f.yaml:2:34: quota: ", "no such setting"},
        {"auth_failures: { rate: 1/minute, key: ip }\n", "f.yaml:2:34: key: ", "no such setting"},
        {"routes: [ { path: /a, region: pin } ]\n", "f.yaml:2:23: region: ", "no such setting"},
        {"issuers: [ { name: a, issuers: x } ]\n", "f.yaml:2:", "no such setting"},
        {"limits: { a: { key: ip, rate: 1/minute, bursts: 1 } }\n", "f.yaml:2:", "bursts"},
        {"trust: { client: auto }\n", "f.yaml:2:", "client_ip"},
        {"Listen: x\n", "f.yaml:2:", "no such setting"},
        {"<<: { listen: x }\n", "f.yaml:2:", "no such setting"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(names_that_stand_twice_are_refused) {
    static const struct row rows[] = {
        {"listen: \"[::]:1\"\nlisten: \"[::]:2\"\n",
         "f.yaml:3:1: listen: ", "twice (first in line 2)"},
        {"drain: { delay: 1s, delay: 2s }\n", "f.yaml:2:21: delay: ", "twice"},
        {"supabase: { url: \"http://b\" }\n", "f.yaml:2:1: supabase: ", "twice (first in line 1)"},
        {"limits:\n  a: { key: ip, rate: 1/minute }\n  a: { key: ip, rate: 2/minute }\n",
         "f.yaml:4:3: a: ", "twice"},
        {"issuers: [ { name: a, issuer: x }, { name: a, issuer: y } ]\n",
         "f.yaml:2:", "two issuers are called 'a'"},
        {"issuers: [ { issuer: x }, { issuer: y } ]\n",
         "f.yaml:2:", "two issuers are called 'supabase'"},
        {"plans: { default: a, tiers: { a: { default: [ { name: x, rate: 1/minute }, { name: x, "
         "rate: 2/minute } ] } } }\n",
         "f.yaml:2:", "two limits of this group are called 'x'"},
        {"routes:\n  - { path: /a }\n  - { path: /b }\n  - { path: /a }\n",
         "f.yaml:5:5: '/a': is there twice", "(first in line 3); keep one, or give each 'methods'"},
        {"routes:\n  - { path: /a, methods: [GET] }\n  - { path: /a, methods: [HEAD] }\n",
         "f.yaml:4:5: '/a': is there twice for the same method", "(first in line 3)"},
        {"routes:\n  - { path: / }\n  - { path: \"*\" }\n", "f.yaml:4:5: '*': ", "once for each"},
        {"routes: [ { path: /a, limits: [plan, plan] } ]\n", "f.yaml:2:", "twice"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(what_is_no_yaml_is_refused) {
    static const struct row rows[] = {
        {"listen: [1, 2\nadmin: x: y\n", "f.yaml:3:", "not YAML"},
        {"a: b: c\n", "f.yaml:2:", "not YAML"},
        {"\tlisten: x\n", "f.yaml:2:", "not YAML"},
        {"listen: \"x\n", "f.yaml:", "not YAML"},
        {"- a\n", "f.yaml:2:", "not YAML"},
        {"listen: \xff\n", "f.yaml:", "not YAML"},
        {"listen: \x01\n", "f.yaml:", "not YAML"},
        {"listen: \"[::]:1\"\n---\nadmin: \"[::]:2\"\n", "f.yaml:", "one YAML document"},
        {"? [a, b]\n: c\n", "f.yaml:2:", "expected a setting's name"},
        {"? \"\"\n: c\n", "f.yaml:2:", "expected a setting's name"},
    };
    ALL_ARE_REFUSED(rows);
    rig_setup();
    ck_assert_int_eq(rig_read("- a\n- b\n"), -EINVAL);
    check_said("a list", "f.yaml:1:1: ", "expected settings as 'name: value'");
    ck_assert_int_eq(rig_read("just words\n"), -EINVAL);
    check_said("words", "f.yaml:1:1: ", "expected settings");
    rig_teardown();
}
END_TEST

START_TEST(bytes_that_would_cut_a_value_short_are_refused) {
    static const struct row rows[] = {
        {"issuers: [ { issuer: x, jwks_file: \"/a\\0b\" } ]\n", "f.yaml:2:36: jwks_file: ", "NUL"},
        {"listen: \"[::]:80\\x00\"\n", "f.yaml:2:9: listen: ", "NUL"},
        {"\"listen\\0\": x\n", "f.yaml:2:1: ", "expected a setting's name"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(anchors_aliases_and_tags_are_refused) {
    static const struct row rows[] = {
        {"listen: &a \"[::]:1\"\nadmin: *a\n", "f.yaml:2:9: ", "anchors and aliases"},
        {"drain: &d { delay: 1s }\n", "f.yaml:2:8: ", "anchors and aliases"},
        {"routes: &r []\n", "f.yaml:2:9: ", "anchors and aliases"},
        {"admin: *nothing\n", "f.yaml:2:8: ", "anchors and aliases"},
        {"workers: !!int 2\n", "f.yaml:2:10: ", "tags"},
        {"workers: !mine 2\n", "f.yaml:2:10: ", "tags"},
        {"drain: !!python/object { delay: 1s }\n", "f.yaml:2:8: ", "tags"},
        {"workers: !!strange 2\n", "f.yaml:2:10: ", "tags"},
        {"limits: !!map {}\n", "f.yaml:2:9: ", "tags"},
        {"routes: !!seq []\n", "f.yaml:2:9: ", "tags"},
        {"admin: !!str 1\n", "f.yaml:2:8: ", "tags"},
        {"admin: ! \"\"\n", "f.yaml:2:8: ", "tags"},
        {"? !!str admin\n: \"\"\n", "f.yaml:2:3: ", "tags"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(texts_beyond_all_bounds_are_refused) {
    size_t n = (1u << 20) + 2;
    char *text = malloc(n);
    ck_assert_ptr_nonnull(text);
    rig_setup();
    memset(text, '#', n);
    ck_assert_int_eq(
        settings_parse(&rig.settings, (struct str){text, n}, "f.yaml", rig_report, &rig), -EINVAL);
    check_said("large", "f.yaml:1:1: ", "1 MiB");
    rig_forget();
    memset(text, '[', 100000);
    ck_assert_int_eq(
        settings_parse(&rig.settings, (struct str){text, 100000}, "f.yaml", rig_report, &rig),
        -EINVAL);
    ck_assert_uint_ge(rig.n_lines, 1);
    rig_forget();
    refused("routes: [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]\n",
            "f.yaml:2:", "nested too deeply");
    free(text);
    rig_teardown();
}
END_TEST

START_TEST(values_of_the_wrong_shape_are_refused) {
    static const struct row rows[] = {
        {"listen: [a]\n", "f.yaml:2:9: listen: ", "expected one value, not a list"},
        {"listen: { a: b }\n", "f.yaml:2:9: listen: ", "expected one value, not a map"},
        {"drain: 5s\n", "f.yaml:2:8: drain: ", "expected settings as"},
        {"drain: [5s]\n", "f.yaml:2:8: drain: ", "expected settings as"},
        {"routes: /a\n", "f.yaml:2:9: routes: ", "expected a list of routes"},
        {"routes: { path: /a }\n", "f.yaml:2:9: routes: ", "expected a list of routes"},
        {"routes: [ /a ]\n", "f.yaml:2:11: ", "expected settings as"},
        {"issuers: { name: a }\n", "f.yaml:2:10: issuers: ", "expected a list of issuers"},
        {"issuers: []\n", "f.yaml:2:10: issuers: ", "expected a list of issuers"},
        {"limits: [ a ]\n", "f.yaml:2:9: limits: ", "expected limits by name"},
        {"limits: { a: 60/minute }\n", "f.yaml:2:14: a: ", "expected settings as"},
        {"plans: { default: a, tiers: [a] }\n",
         "f.yaml:2:29: tiers: ", "expected at least one tier"},
        {"plans: { default: a, tiers: {} }\n",
         "f.yaml:2:29: tiers: ", "expected at least one tier"},
        {"plans: { default: a, tiers: { a: [] } }\n",
         "f.yaml:2:34: a: ", "expected the tier's groups"},
        {"plans: { default: a, tiers: { a: { default: {} } } }\n",
         "f.yaml:2:45: default: ", "expected a list of limits"},
        {"routes: [ { path: /a, require: admin } ]\n",
         "f.yaml:2:32: require: ", "expected claim rules"},
        {"routes: [ { path: /a, limits: [[plan]] } ]\n",
         "f.yaml:2:32: limits: ", "expected one value"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(wrong_units_and_numbers_are_refused) {
    static const struct row rows[] = {
        {"drain: { delay: 5 }\n", "f.yaml:2:17: delay: '5'", "30s"},
        {"drain: { delay: 5 parsecs }\n", "f.yaml:2:17: delay: '5 parsecs'", "30s"},
        {"drain: { timeout: -1s }\n", "f.yaml:2:19: timeout: ", "30s"},
        {"jwks: { refresh: 1500ms }\n", "f.yaml:2:18: refresh: ", "whole seconds"},
        {"jwks: { max_stale: 1day }\n", "f.yaml:2:20: max_stale: ", "24h"},
        {"issuers: [ { leeway: 500ms } ]\n", "f.yaml:2:22: leeway: ", "whole seconds"},
        {"http: { max_head: 64KB }\n", "f.yaml:2:19: max_head: ", "64KiB"},
        {"http: { max_head: 10 }\n", "f.yaml:2:19: max_head: ", "256 bytes"},
        {"http: { max_head: 17MiB }\n", "f.yaml:2:19: max_head: ", "16MiB"},
        {"http: { max_fields: many }\n", "f.yaml:2:21: max_fields: ", "whole number"},
        {"http: { max_fields: 0 }\n", "f.yaml:2:21: max_fields: '0'", "from 1 to 256"},
        {"http: { max_fields: 257 }\n", "f.yaml:2:21: max_fields: '257'", "from 1 to 256"},
        {"tokens: { check_share: 50 }\n", "f.yaml:2:24: check_share: '50'", "1% to 90%"},
        {"tokens: { check_share: 0% }\n", "f.yaml:2:24: check_share: ", "1% to 90%"},
        {"tokens: { check_share: 91% }\n", "f.yaml:2:24: check_share: ", "1% to 90%"},
        {"tokens: { check_queue: 0 }\n", "f.yaml:2:24: check_queue: ", "from 1"},
        {"auth_failures: { burst: 5 }\n", "f.yaml:2:", "rate"},
        {"auth_failures: { rate: 600 }\n", "f.yaml:2:24: rate: '600'", "1200/minute"},
        {"auth_failures: { rate: 600/minute, burst: 0 }\n", "f.yaml:2:43: burst: ", "from 1"},
        {"http: { max_connections: 0 }\n", "f.yaml:2:26: max_connections: '0'", "from 1 to"},
        {"http: { max_requests: all }\n", "f.yaml:2:23: max_requests: ", "whole number"},
        {"http: { max_requests_per_ip: -1 }\n",
         "f.yaml:2:30: max_requests_per_ip: ", "whole number"},
        {"http: { min_body_rate: 1KB }\n", "f.yaml:2:24: min_body_rate: ", "64KiB"},
        {"http: { min_body_rate: 1/second }\n", "f.yaml:2:24: min_body_rate: ", "64KiB"},
        {"http: { request_timeout: 60 }\n", "f.yaml:2:26: request_timeout: ", "30s"},
        {"apikeys: { cache_entries: 0 }\n", "f.yaml:2:27: cache_entries: ", "from 1"},
        {"apikeys: { max_stale: soon }\n", "f.yaml:2:23: max_stale: ", "expected"},
        {"tokens: { cache_entries: 0 }\n", "f.yaml:2:26: cache_entries: ", "from 1"},
        {"limit_buckets: 0\n", "f.yaml:2:16: limit_buckets: ", "from 1"},
        {"limit_buckets: 1e6\n", "f.yaml:2:16: limit_buckets: ", "whole number"},
        {"workers: 0\n", "f.yaml:2:10: workers: ", "1 to 256"},
        {"workers: 257\n", "f.yaml:2:10: workers: ", "1 to 256"},
        {"workers: many\n", "f.yaml:2:10: workers: ", "auto"},
        {"limits: { a: { key: ip, rate: many } }\n", "f.yaml:2:31: rate: 'many'", "1200/minute"},
        {"limits: { a: { key: ip, rate: 60/fortnight } }\n", "f.yaml:2:31: rate: ", "minute"},
        {"limits: { a: { key: ip, rate: 60/minute, burst: 0 } }\n",
         "f.yaml:2:49: burst: ", "from 1"},
        {"limits: { a: { key: ip, rate: 1/day, burst: 1000000000 } }\n", "f.yaml:2:", "burst"},
        {"routes: [ { path: /a, cost: -1 } ]\n", "f.yaml:2:29: cost: ", "whole number"},
        {"routes: [ { path: /a, max_body: 1MB } ]\n", "f.yaml:2:33: max_body: ", "64KiB"},
        {"trust: { client_ip: { x-forwarded-for: 0 } }\n",
         "f.yaml:2:40: x-forwarded-for: ", "from 1"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(limits_whose_parts_do_not_fit_are_refused) {
    static const struct row rows[] = {
        {"limits: { a: { key: ip, quota: 5/hour } }\n", "f.yaml:2:32: quota: '5/hour'", "5000/day"},
        {"limits: { a: { key: ip, quota: 0/day } }\n", "f.yaml:2:32: quota: '0/day'", "5000/day"},
        {"limits: { a: { key: ip, quota: 1000000000001/day } }\n", "f.yaml:2:32: quota:", "whole"},
        {"limits: { a: { key: ip, quota: -1/day } }\n", "f.yaml:2:32: quota:", "whole"},
        {"limits: { a: { key: ip, quota: 5/day, rate: 1/minute } }\n",
         "f.yaml:2:32: quota: ", "write two limits"},
        {"limits: { a: { key: ip, concurrent: 5, rate: 1/minute } }\n",
         "f.yaml:2:37: concurrent: ", "has a rate already; write two limits"},
        {"limits: { a: { key: ip, concurrent: 5, quota: 1/day } }\n",
         "f.yaml:2:37: concurrent: ", "has a quota already; write two limits"},
        {"limits: { a: { key: ip, concurrent: 0 } }\n", "f.yaml:2:37: concurrent: ", "from 1"},
        {"limits: { a: { key: ip, concurrent: -1 } }\n", "f.yaml:2:37: concurrent: ", "from 1"},
        {"limits: { a: { key: ip, concurrent: 5/day } }\n", "f.yaml:2:37: concurrent: ", "from 1"},
        {"limits: { a: { key: ip, concurrent: 1000000001 } }\n",
         "f.yaml:2:37: concurrent: ", "to 1000000000"},
        {"limits: { a: { key: ip, concurrent: 5, burst: 2 } }\n",
         "f.yaml:2:47: burst: ", "only a rate"},
        {"limits: { a: { key: ip, concurrent: 5, timezone: UTC } }\n",
         "f.yaml:2:50: timezone: ", "only a quota"},
        {"limits: { a: { key: ip, quota: 5/day, burst: 2 } }\n",
         "f.yaml:2:46: burst: ", "only a rate"},
        {"limits: { a: { key: ip, rate: 5/day, timezone: UTC } }\n",
         "f.yaml:2:48: timezone: ", "only a quota"},
        {"limits: { a: { key: ip, rate: 5/day, anchor_day: 2 } }\n",
         "f.yaml:2:50: anchor_day: ", "only a quota"},
        {"limits: { a: { key: ip, quota: 5/day, timezone: Mars/Base } }\n",
         "f.yaml:2:49: timezone: 'Mars/Base'", "no such time zone"},
        {"limits: { a: { key: ip, quota: 5/day, timezone: ../../../etc/passwd } }\n",
         "f.yaml:2:49: timezone: ", "no such time zone"},
        {"limits: { a: { key: ip, quota: 5/day, timezone: Europe } }\n",
         "f.yaml:2:49: timezone: 'Europe'", "no such time zone"},
        {"limits: { a: { key: ip, quota: 5/day, timezone: leapseconds } }\n",
         "f.yaml:2:49: timezone: ", "not in a form"},
        {"limits: { a: { key: ip, quota: 5/month, anchor_day: 0 } }\n",
         "f.yaml:2:53: anchor_day: ", "1"},
        {"limits: { a: { key: ip, quota: 5/month, anchor_day: 32 } }\n",
         "f.yaml:2:53: anchor_day: ", "1 to 31"},
        {"limits: { a: { key: ip, quota: 5/week, anchor_day: 2 } }\n",
         "f.yaml:2:52: anchor_day: ", "only a quota per month"},
        {"limits: { a: { key: \"header:\", rate: 1/minute } }\n", "f.yaml:2:21: key: ''",
         "a header's name"},
        {"limits: { a: { key: \"header:x y\", rate: 1/minute } }\n", "f.yaml:2:21: key: 'x y'",
         "a header's name"},
        {"plans: { default: a, tiers: { a: { default: [ { name: x } ] } } }\n",
         "f.yaml:2:", "expected a rate"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(prices_and_payments_that_make_no_sense_are_refused) {
    static const struct row rows[] = {
        {"routes: [ { path: /a, cost: { reserve: 1 } } ]\n",
         "f.yaml:2:29: cost: ", "'settle' is missing"},
        {"routes: [ { path: /a, cost: { reserve: -1, settle: \"header:x\" } } ]\n",
         "f.yaml:2:40: reserve: ", "whole number"},
        {"routes: [ { path: /a, cost: { settle: trailer } } ]\n", "f.yaml:2:39: settle: 'trailer'",
         "header:NAME"},
        {"routes: [ { path: /a, cost: { settle: \"header:a b\" } } ]\n",
         "f.yaml:2:39: settle: ", "a header's name"},
        {"routes: [ { path: /a, cost: { settle: header:Content-Length } } ]\n",
         "f.yaml:2:39: settle: 'header:content-length'", "like header:x-jotgate-cost"},
        {"routes: [ { path: /a, cost: { settle: header:content_length } } ]\n",
         "f.yaml:2:39: settle: ", "about the connection"},
        {"routes: [ { path: /a, cost: { settle: header:transfer-encoding } } ]\n",
         "f.yaml:2:39: settle: ", "about the connection"},
        {"routes: [ { path: /a, cost: { settle: header:connection } } ]\n",
         "f.yaml:2:39: settle: ", "about the connection"},
        {"routes: [ { path: /a, cost: { settle: header:Trailer } } ]\n",
         "f.yaml:2:39: settle: ", "about the connection"},
        {"routes: [ { path: /a, payment: never } ]\n", "f.yaml:2:32: payment: 'never'", "ignore"},
        {"payment: { downgrade: [unpaid] }\n", "f.yaml:2:10: payment: ", "'claim' is missing"},
        {"payment: { claim: status, downgrade: [a, b], refuse: [b] }\n", "f.yaml:2:54: refuse: 'b'",
         "downgrade too"},
        {"payment: { claim: status, grace: 3d }\n", "f.yaml:2:27: grace: ", "no such setting"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(times_that_would_let_nothing_happen_are_refused) {
    static const struct row rows[] = {
        {"http: { head_timeout: 0s }\n", "f.yaml:2:23: head_timeout: ", "more than nothing"},
        {"http: { body_timeout: 0s }\n", "f.yaml:2:23: body_timeout: ", "more than nothing"},
        {"http: { idle_timeout: 0s }\n", "f.yaml:2:23: idle_timeout: ", "more than nothing"},
        {"http: { write_timeout: 0s }\n", "f.yaml:2:24: write_timeout: ", "more than nothing"},
        {"jwks: { refresh: 0s }\n", "f.yaml:2:18: refresh: ", "more than nothing"},
        {"jwks: { timeout: 0ms }\n", "f.yaml:2:18: timeout: ", "more than nothing"},
        {"jwks: { max_stale: 0s }\n", "f.yaml:2:20: max_stale: ", "more than nothing"},
        {"upstream: { queue_timeout: 0s }\n", "f.yaml:2:28: queue_timeout: ", "more than nothing"},
        {"upstream: { eject: { for: 0s } }\n", "f.yaml:2:27: for: ", "more than nothing"},
        {"upstream: { eject: { failures: -1 } }\n", "f.yaml:2:32: failures: ", "whole number"},
        {"upstream: { eject: 5 }\n", "f.yaml:2:20: eject: ", "expected settings"},
        {"upstream: { eject: { until: 5s } }\n", "f.yaml:2:22: until: ", "failures, for"},
        {"upstream: { max_queue: many }\n", "f.yaml:2:24: max_queue: ", "whole number"},
        {"upstream: { max_open: 0 }\n", "f.yaml:2:23: max_open: '0'", "from 1 to"},
        {"routes: [ { path: /a, timeouts: { connect: 0s } } ]\n",
         "f.yaml:2:44: connect: ", "more than nothing"},
        {"routes: [ { path: /a, timeouts: { first_byte: 0s } } ]\n",
         "f.yaml:2:47: first_byte: ", "more than nothing"},
        {"routes: [ { path: /a, timeouts: { idle: 0s } } ]\n",
         "f.yaml:2:41: idle: ", "more than nothing"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(streams_that_are_limited_by_nonsense_are_refused) {
    static const struct row rows[] = {
        {"websockets: { max_per_ip: many }\n", "f.yaml:2:27: max_per_ip: ", "whole number"},
        {"websockets: { max_per_subject: -1 }\n", "f.yaml:2:32: max_per_subject: ", "whole number"},
        {"websockets: { max: 5 }\n", "f.yaml:2:15: max: ", "max_per_ip"},
        {"deny_list: { max: 0 }\n", "f.yaml:2:19: max: ", "from 1"},
        {"deny_list: { max: 10000001 }\n", "f.yaml:2:19: max: ", "at most"},
        {"deny_list: { keep: 0s }\n", "f.yaml:2:20: keep: ", "more than nothing"},
        {"deny_list: { for: 1h }\n", "f.yaml:2:14: for: ", "keep"},
        {"subjects: { max: lots }\n", "f.yaml:2:18: max: ", "whole number"},
        {"close_streams_at_expiry: sometimes\n", "f.yaml:2:26: close_streams_at_expiry: ", "true"},
        {"routes: [ { path: /a, token_from: [header:X-Token] } ]\n",
         "f.yaml:2:35: token_from: ", "query:NAME"},
        {"routes: [ { path: /a, token_from: [\"query:\"] } ]\n",
         "f.yaml:2:35: token_from: ", "query:NAME"},
        {"routes: [ { path: /a, token_from: [\"subprotocol:a b\"] } ]\n",
         "f.yaml:2:35: token_from: ", "query:NAME"},
        {"routes: [ { path: /a, access: open, token_from: query:jwt } ]\n",
         "f.yaml:2:49: token_from: ", "open route"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(unknown_words_are_refused_with_the_known_ones) {
    static const struct row rows[] = {
        {"log: { level: verbose }\n", "f.yaml:2:15: level: 'verbose'",
         "error, warn, info or debug"},
        {"log: { format: xml }\n", "f.yaml:2:16: format: ", "auto, json or text"},
        {"limits_mode: on\n", "f.yaml:2:14: limits_mode: ", "enforce, shadow or off"},
        {"builtin: firebase\n", "f.yaml:2:10: builtin: ", "supabase-self-hosted"},
        {"builtin: \"\"\n", "f.yaml:2:10: builtin: ", "supabase-self-hosted"},
        {"trust: { client_ip: everyone }\n", "f.yaml:2:21: client_ip: ", "auto, fly or peer"},
        {"routes: [ { path: /a, access: admin } ]\n",
         "f.yaml:2:31: access: ", "open, public, user"},
        {"routes: [ { path: /a, apikey: drop } ]\n",
         "f.yaml:2:31: apikey: ", "keep, fill or replace"},
        {"routes: [ { path: /a, credential: root } ]\n",
         "f.yaml:2:35: credential: ", "caller, service or user"},
        {"routes: [ { path: /a, methods: [FETCH] } ]\n", "f.yaml:2:32: methods: 'FETCH'",
         "GET, HEAD, POST"},
        {"routes: [ { path: /a, methods: [get] } ]\n", "f.yaml:2:32: methods: 'get'",
         "GET, HEAD, POST"},
        {"routes: [ { path: /a, methods: [TRACE] } ]\n", "f.yaml:2:32: methods: 'TRACE'",
         "GET, HEAD, POST"},
        {"limits: { a: { key: cookie, rate: 1/minute } }\n", "f.yaml:2:21: key: 'cookie'",
         "ip, subject, apikey, claim:PATH, header:NAME or global"},
        {"limits: { a: { key: ip, rate: 1/minute, for: me } }\n",
         "f.yaml:2:46: for: ", "anonymous or everyone"},
        {"plans: { key: ip, default: a, tiers: { a: {} } }\n", "f.yaml:2:15: key: 'ip'",
         "subject or claim:PATH"},
        {"issuers: [ { algorithms: [none] } ]\n", "f.yaml:2:26: algorithms: 'none'", "ES256"},
        {"issuers: [ { algorithms: [es256] } ]\n", "f.yaml:2:26: algorithms: 'es256'", "ES256"},
        {"issuers: [ { discovery: yes } ]\n", "f.yaml:2:25: discovery: ", "false or true"},
        {"limits: { a: { key: ip, rate: 1/minute, shadow: maybe } }\n",
         "f.yaml:2:49: shadow: ", "false or true"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(what_is_missing_is_named) {
    static const struct row rows[] = {
        {"routes: [ { access: open } ]\n", "f.yaml:2:11: ", "'path' is missing"},
        {"limits: { a: { rate: 1/minute } }\n", "f.yaml:2:14: a: ", "'key' is missing"},
        {"limits: { a: { key: ip } }\n",
         "f.yaml:2:14: a: ", "expected a rate (600/minute), a quota"},
        {"plans: { tiers: { a: {} } }\n", "f.yaml:2:8: plans: ", "'default' is missing"},
        {"plans: { default: a }\n", "f.yaml:2:8: plans: ", "'tiers' is missing"},
        {"plans: { default: a, tiers: { a: { default: [ { rate: 1/minute } ] } } }\n",
         "f.yaml:2:47: ", "'name' is missing"},
        {"trust: { client_ip: { header: x-real-ip } }\n",
         "f.yaml:2:21: client_ip: ", "'from' is missing"},
        {"plans: { default: b, tiers: { a: {} } }\n",
         "f.yaml:2:19: default: ", "no tier is called 'b'"},
        {"plans: { default: a, anonymous: b, tiers: { a: {} } }\n",
         "f.yaml:2:33: anonymous: ", "no tier is called 'b'"},
        {"routes: [ { path: /a, limits: [nobody] } ]\n", "f.yaml:2:31: limits: 'nobody'",
         "a name under 'limits'"},
        {"routes: [ { path: /a, limits: [plan.ai] } ]\n",
         "f.yaml:2:31: limits: ", "no tier of plans has a group 'ai'"},
        {"routes: [ { path: /a, limits: [auth_refresh] } ]\n",
         "f.yaml:2:31: limits: ", "a name under 'limits'"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

/* An empty list reads like "none" and would mean "any", "the default" or "everywhere". */
START_TEST(lists_that_must_name_something_are_refused_when_empty) {
    static const struct row rows[] = {
        {"routes: [ { path: /a, methods: [] } ]\n", "f.yaml:2:32: methods: ", "at least one"},
        {"routes: [ { path: /a, require: { role: [] } } ]\n", "f.yaml:2:", "at least one"},
        {"issuers: [ { algorithms: [] } ]\n", "f.yaml:2:26: algorithms: ", "at least one"},
        {"issuers: [ { issuer: [] } ]\n", "f.yaml:2:22: issuer: ", "at least one"},
        {"issuers: [ { issuer: \"\" } ]\n", "f.yaml:2:22: issuer: ", "not nothing"},
        {"issuers: [ { audience: \"\" } ]\n", "f.yaml:2:24: audience: ", "not nothing"},
        {"trust: { client_ip: { header: x-real-ip, from: [] } }\n", "f.yaml:2:", "at least one"},
        {"cors: { origins: [\"\"] }\n", "f.yaml:2:", "not nothing"},
    };
    ALL_ARE_REFUSED(rows);
    rig_setup();
    ck_assert_int_eq(rig_read("supabase: { url: \"http://a\", service_callers: [] }\n"), -EINVAL);
    check_said("service_callers: []", "f.yaml:1:", "at least one");
    rig_teardown();
}
END_TEST

START_TEST(addresses_and_networks_are_checked) {
    static const struct row rows[] = {
        {"listen: 8080\n", "f.yaml:2:9: listen: '8080'", "ADDRESS:PORT"},
        {"listen: \"localhost:8080\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"listen: \"[::]:65536\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"listen: \"[::]:\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"listen: \"::1:80\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"listen: \"[127.0.0.1]:80\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"listen: \"\"\n", "f.yaml:2:9: listen: ", "ADDRESS:PORT"},
        {"admin: 9091\n", "f.yaml:2:8: admin: '9091'", "ADDRESS:PORT"},
        {"limits: { a: { key: ip, rate: 1/minute, except: [10.0.0.1/8] } }\n",
         "f.yaml:2:49: except: '10.0.0.1/8' is an address in a network",
         "expected the network, 10.0.0.0/8, or"},
        {"limits: { a: { key: ip, rate: 1/minute, except: [fd00::1:2/64] } }\n",
         "f.yaml:2:49: except: ", "expected the network, fd00::/64, or"},
        {"limits: { a: { key: ip, rate: 1/minute, except: [somewhere] } }\n",
         "f.yaml:2:49: except: ", "10.0.0.0/8"},
        {"trust: { client_ip: { header: x-real-ip, from: [10.0.0.0/33] } }\n",
         "f.yaml:2:48: from: ", "10.0.0.0/8"},
        {"trust: { client_ip: { header: \"x real ip\", from: [10.0.0.0/8] } }\n",
         "f.yaml:2:", "header's name"},
        {"routes: [ { path: /a, upstream: worker.internal } ]\n",
         "f.yaml:2:33: upstream: 'worker.internal'", "http://host:port"},
        {"routes: [ { path: /a, upstream: \"http://u:p@x\" } ]\n",
         "f.yaml:2:33: upstream: ", "without user"},
        {"issuers: [ { jwks_url: \"ftp://x\" } ]\n",
         "f.yaml:2:24: jwks_url: ", "http:// or https://"},
        {"issuers: [ { jwks_url: \"unix:/x\" } ]\n",
         "f.yaml:2:24: jwks_url: ", "http:// or https://"},
        {"issuers: [ { jwks_url: \"https://u:p@x/k\" } ]\n",
         "f.yaml:2:24: jwks_url: ", "without user"},
        {"issuers: [ { jwks_url: \"https://x/k#f\" } ]\n", "f.yaml:2:24: jwks_url: ", "fragment"},
        {"issuers: [ { jwks_url: \"https://x/k?a=\\r\\nb\" } ]\n",
         "f.yaml:2:24: jwks_url: ", "fragment"},
        {"issuers: [ { issuer: not-a-url, discovery: true } ]\n",
         "f.yaml:2:22: issuer: ", "http:// or https://"},
    };
    ALL_ARE_REFUSED(rows);
    rig_setup();
    static const char *const urls[] = {"abc.supabase.co", "ftp://abc.supabase.co", "unix:/run/x",
                                       "https://u:p@abc.supabase.co"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "supabase:\n  url: %s\n", urls[i]);
        ck_assert_int_eq(rig_read(text), -EINVAL);
        check_said(text, "f.yaml:2:8: url: ", "https://abc.supabase.co");
    }
    rig_teardown();
}
END_TEST

START_TEST(names_reach_headers_and_metrics_and_are_checked) {
    static const struct row rows[] = {
        {"limits: { \"a b\": { key: ip, rate: 1/minute } }\n", "f.yaml:2:", "a name is"},
        {"limits: { \"a\\\"\": { key: ip, rate: 1/minute } }\n", "f.yaml:2:", "a name is"},
        {"limits: { plan: { key: ip, rate: 1/minute } }\n", "f.yaml:2:", "plan"},
        {"limits: { plan.ai: { key: ip, rate: 1/minute } }\n", "f.yaml:2:", "plan"},
        {"plans: { default: a, tiers: { a: { default: [ { name: \"\", rate: 1/minute } ] } } }\n",
         "f.yaml:2:", "a name is"},
        {"plans: { default: \"a/b\", tiers: { \"a/b\": {} } }\n", "f.yaml:2:", "a name is"},
        {"plans: { default: a, tiers: { a: { \"d\\n\": [] } } }\n", "f.yaml:2:43: d?: 'd?'",
         "a name is"},
        {"issuers: [ { name: \"a:b\" } ]\n", "f.yaml:2:20: name: ", "a name is"},
        {"issuers: [ { name: \"\" } ]\n", "f.yaml:2:20: name: ", "a name is"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(issuers_that_make_no_sense_are_refused) {
    static const struct row rows[] = {
        {"issuers: [ { jwks_url: \"https://x\", jwks_file: /k } ]\n",
         "f.yaml:2:12: ", "one of jwks_url, jwks_file and discovery"},
        {"issuers: [ { issuer: \"https://x\", jwks_url: \"https://x\", discovery: true } ]\n",
         "f.yaml:2:12: ", "one of"},
        {"issuers: [ { discovery: true } ]\n",
         "f.yaml:2:12: ", "discovery needs the issuer's name"},
        {"issuers: [ { hs256_secret: short } ]\n", "f.yaml:2:28: hs256_secret: ", "5 bytes long"},
        {"issuers: [ { hs256_secret: \"\" } ]\n", "f.yaml:2:28: hs256_secret: ", "empty"},
        {"issuers: [ { hs256_secret: } ]\n", "f.yaml:2:14: hs256_secret: ", "empty"},
        {"issuers: [ { hs256_secret: \"0123456789 0123456789 0123456789 0123\" } ]\n",
         "f.yaml:2:28: hs256_secret: ", "space"},
    };
    ALL_ARE_REFUSED(rows);
    rig_setup();
    ck_assert_int_eq(rig_read("builtin: none\nroutes: [ { path: /, upstream: \"http://x\" } "
                              "]\nissuers: [ { name: a } ]\n"),
                     -EINVAL);
    check_said("auto without a project", "f.yaml:3:", "supabase.url");
    ck_assert_int_eq(rig_read("builtin: none\nroutes: [ { path: /, upstream: \"http://x\" } ]\n"),
                     -EINVAL);
    check_said("no issuers and no project", "f.yaml:", "supabase.url");
    rig_teardown();
}
END_TEST

START_TEST(routes_that_make_no_sense_are_refused) {
    static const struct row rows[] = {
        {"routes: [ { path: a } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: \"\" } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: /a/ } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: /a//b } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: /a/../b } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: \"/a*b\" } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: \"/a?b\" } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: /caf\xc3\xa9 } ]\n", "f.yaml:2:", "/rest/v1"},
        {"routes: [ { path: /_jotgate/x } ]\n", "f.yaml:2:19: path: ", "gateway's own"},
        {"routes: [ { path: /_JotGate } ]\n", "f.yaml:2:19: path: ", "gateway's own"},
        {"routes: [ { path: /a/b, strip: /b } ]\n", "f.yaml:2:32: strip: ", "leading part"},
        {"routes: [ { path: /ab, strip: /a } ]\n", "f.yaml:2:31: strip: ", "leading part"},
        {"routes: [ { path: /a, strip: a } ]\n", "f.yaml:2:30: strip: ", "leading part"},
        {"routes: [ { path: /a, strip: /a/ } ]\n", "f.yaml:2:30: strip: ", "leading part"},
        {"routes: [ { path: /a, access: open, require: { role: x } } ]\n",
         "f.yaml:2:46: require: ", "no token"},
        {"routes: [ { path: /a, credential: service } ]\n",
         "f.yaml:2:35: credential: ", "SUPABASE_SECRET_KEY"},
        {"routes:\n  - { path: /a }\n  - { path: /b/ }\n", "f.yaml:4:", "'/b/'"},
    };
    ALL_ARE_REFUSED(rows);
    rig_setup();
    setenv("SUPABASE_SECRET_KEY", "sb_secret_x", 1);
    refused("routes: [ { path: /a, access: apikey, credential: user } ]\n",
            "f.yaml:2:51: credential: ", "SUPABASE_SIGNING_KEY");
    refused("routes: [ { path: /a, credential: user } ]\n",
            "f.yaml:2:35: credential: ", "access: apikey");
    refused("routes: [ { path: /a, access: public, credential: service } ]\n",
            "f.yaml:2:51: credential: ", "anybody");
    refused("routes: [ { path: /a, access: open, credential: service } ]\n",
            "f.yaml:2:49: credential: ", "anybody");
    refused("routes: [ { path: /a, credential: service, upstream: \"http://x\" } ]\n",
            "f.yaml:2:35: credential: ", "own upstream");
    rig_teardown();
    ck_assert_int_eq(
        rig_read(
            "builtin: none\nissuers: [ { issuer: x, jwks_file: /k } ]\nroutes: [ { path: /a } ]\n"),
        -EINVAL);
    check_said("no upstream", "f.yaml:3:", "upstream");
    ck_assert_int_eq(rig_read("builtin: none\nissuers: [ { issuer: x, jwks_file: /k } ]\n"),
                     -EINVAL);
    check_said("no routes", "f.yaml:", "no routes");
    rig_teardown();
}
END_TEST

START_TEST(more_limits_than_a_caller_can_meet_are_refused) {
    char text[2048] = "limits:\n";
    rig_setup();
    for (int i = 0; i < 8; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "  l%d: { key: ip, rate: 1/minute }\n", i);
    snprintf(text + strlen(text), sizeof(text) - strlen(text),
             "routes: [ { path: /a, limits: [l0, l1, l2, l3, l4, l5, l6, l7");
    size_t end = strlen(text);
    snprintf(text + end, sizeof(text) - end, "] } ]\n");
    good(text);
    snprintf(text + end, sizeof(text) - end, ", plan] } ]\n");
    refused(text, "f.yaml:11:31: limits: ", "more than 8 limits");
    rig_teardown();
}
END_TEST

START_TEST(more_claims_than_can_be_held_are_refused) {
    char text[4096] = "routes: [ { path: /a, require: { c0: x";
    rig_setup();
    for (int i = 1; i < 33; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ", c%d: x", i);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), " } } ]\n");
    refused(text, "f.yaml:2:", "more than 32 different claims");
    rig_teardown();
}
END_TEST

/* ---- variables ---- */

START_TEST(references_must_be_whole_and_set) {
    static const struct row rows[] = {
        {"admin: ${JG_TEST_UNSET}\n", "f.yaml:2:8: admin: ", "JG_TEST_UNSET is not set"},
        {"admin: ${JG_TEST_UNSET\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"admin: ${}\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"admin: ${1A}\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"admin: ${A-B}\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"admin: ${A:B}\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"admin: ${A B:-x}\n", "f.yaml:2:8: admin: ", "${NAME:-default}"},
        {"workers: ${JG_TEST_UNSET:-many}\n", "f.yaml:2:10: workers: ", "1 to 256"},
    };
    ALL_ARE_REFUSED(rows);
}
END_TEST

START_TEST(what_the_environment_says_is_refused_by_its_name) {
    static const struct {
        const char *name, *value, *words;
    } rows[] = {
        {"SUPABASE_JWT_SECRET", "", "empty"},
        {"SUPABASE_JWT_SECRET", "short", "5 bytes long"},
        {"SUPABASE_JWT_SECRET", "0123456789012345678901234567890", "31 bytes long"},
        {"SUPABASE_SECRET_KEY", "", "empty"},
        {"SUPABASE_SERVICE_ROLE_KEY", "", "empty"},
        {"SUPABASE_ANON_KEY", "two words", "space"},
        {"SUPABASE_PUBLISHABLE_KEY", " ", "space"},
        {"JOTGATE_ADMIN_TOKEN", "0123456789 0123456789 0123456789", "space"},
        {"SUPABASE_SECRET_KEY", "line\n", "space"},
        {"SUPABASE_URL", "abc.supabase.co", "https://abc.supabase.co"},
        {"JOTGATE_ADMIN_TOKEN", "short", "5 bytes long"},
        {"LIMIT_PER_USER", "many", "1200/minute"},
        {"LIMIT_PER_USER", "0/minute", "1200/minute"},
        {"LIMIT_PER_IP", "60", "1200/minute"},
        {"LIMITS", "on", "enforce, shadow or off"},
        {"PORT", "http", "ADDRESS:PORT"},
        {"PORT", "70000", "ADDRESS:PORT"},
        {"REDIS_URL", "127.0.0.1:6379", "redis://HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char place[80];
        snprintf(place, sizeof(place), "env:%s: ", rows[i].name);
        rig_setup();
        setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
        setenv(rows[i].name, rows[i].value, 1);
        ck_assert_msg(rig_environment() == -EINVAL, "%s=%s was taken", rows[i].name, rows[i].value);
        ck_assert_ptr_null(rig.settings);
        check_said(rows[i].name, place, rows[i].words);
        ck_assert_uint_eq(rig.n_lines, 1);
        rig_teardown();
    }
}
END_TEST

START_TEST(without_a_project_the_environment_is_not_enough) {
    rig_setup();
    ck_assert_int_eq(rig_environment(), -EINVAL);
    check_said("nothing", "env:SUPABASE_URL: ", "is not set");
    ck_assert_uint_eq(rig.n_lines, 1);
    setenv("SUPABASE_URL", "", 1);
    ck_assert_int_eq(rig_environment(), -EINVAL);
    check_said("empty", "env:SUPABASE_URL: ", "is not set");
    rig_teardown();
}
END_TEST

static void write_file(char path[64], const char *text) {
    snprintf(path, 64, "/tmp/settings-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

START_TEST(a_variable_and_its_file_may_not_both_be_set) {
    char path[64];
    write_file(path, "0123456789012345678901234567890123456789\n");
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("SUPABASE_JWT_SECRET_FILE", path, 1);
    setenv("SUPABASE_JWT_SECRET", "0123456789012345678901234567890123456789", 1);
    ck_assert_int_eq(rig_environment(), -EINVAL);
    check_said("both", "env:SUPABASE_JWT_SECRET: ",
               "both SUPABASE_JWT_SECRET and SUPABASE_JWT_SECRET_FILE are set");
    unlink(path);
    rig_teardown();
}
END_TEST

START_TEST(a_variables_file_must_be_readable_and_hold_something) {
    static const char *const names[] = {"SUPABASE_JWT_SECRET", "SUPABASE_SECRET_KEY",
                                        "SUPABASE_PUBLISHABLE_KEY", "JOTGATE_ADMIN_TOKEN"};
    char path[64], variable[64], place[64];
    write_file(path, "\n");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        rig_setup();
        setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
        snprintf(variable, sizeof(variable), "%s_FILE", names[i]);
        snprintf(place, sizeof(place), "env:%s: ", names[i]);
        setenv(variable, "/nowhere/at/all", 1);
        ck_assert_int_eq(rig_environment(), -EINVAL);
        check_said(names[i], place, "cannot be read: No such file");
        setenv(variable, "/", 1);
        ck_assert_int_eq(rig_environment(), -EINVAL);
        check_said(names[i], place, "cannot be read: Is a directory");
        setenv(variable, path, 1);
        ck_assert_msg(rig_environment() == -EINVAL, "%s: an empty file was taken", names[i]);
        check_said(names[i], place, "_FILE names a file that is empty");
        rig_teardown();
    }
    unlink(path);
}
END_TEST

START_TEST(a_variables_file_holds_no_more_than_a_secret_would) {
    static char text[64 * 1024 + 2];
    char path[64];
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    memset(text, 'x', 64 * 1024);
    write_file(path, text);
    setenv("SUPABASE_SECRET_KEY_FILE", path, 1);
    ck_assert_int_eq(rig_environment(), 0);
    ck_assert_uint_eq(rig.settings->project.secret.n, 64 * 1024);
    unlink(path);
    text[64 * 1024] = 'x';
    write_file(path, text);
    setenv("SUPABASE_SECRET_KEY_FILE", path, 1);
    ck_assert_int_eq(rig_environment(), -EINVAL);
    check_said("large", "env:SUPABASE_SECRET_KEY: ", "larger than 64 KiB");
    unlink(path);
    rig_teardown();
}
END_TEST

START_TEST(a_refused_secret_is_not_shown) {
    rig_setup();
    setenv("JG_TEST_SECRET", "hidden", 1);
    refused("issuers: [ { hs256_secret: \"${JG_TEST_SECRET}\" } ]\n",
            "f.yaml:2:28: hs256_secret: ", "6 bytes long");
    ck_assert_ptr_null(strstr(rig.said, "hidden"));
    refused("issuers: [ { jwks_url: \"https://u:${JG_TEST_SECRET}@x\" } ]\n",
            "f.yaml:2:24: jwks_url: ", "expected");
    ck_assert_ptr_null(strstr(rig.said, "hidden"));
    refused("routes: [ { path: /a, upstream: \"https://u:${JG_TEST_SECRET}@x\" } ]\n",
            "f.yaml:2:33: upstream: ", "expected");
    ck_assert_ptr_null(strstr(rig.said, "hidden"));
    unsetenv("JG_TEST_SECRET");
    rig_teardown();
}
END_TEST

START_TEST(secret_keys_are_refused_where_every_caller_would_be_given_them) {
    /* {"alg":"HS256"} . {"iss":"supabase","role":"service_role" or "anon"} . a signature */
    static const char service[] = "eyJhbGciOiJIUzI1NiJ9."
                                  "eyJpc3MiOiJzdXBhYmFzZSIsInJvbGUiOiJzZXJ2aWNlX3JvbGUifQ.YWFh";
    static const char anon[] =
        "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdXBhYmFzZSIsInJvbGUiOiJhbm9uIn0.YWFh";
    static const char *const secrets[] = {"sb_secret_hidden", service};
    static const char *const names[] = {"SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"};
    for (size_t i = 0; i < 4; i++) {
        rig_setup();
        setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
        setenv(names[i / 2], secrets[i % 2], 1);
        ck_assert_int_eq(rig_environment(), -EINVAL);
        check_said(names[i / 2],
                   i / 2 ? "env:SUPABASE_ANON_KEY: " : "env:SUPABASE_PUBLISHABLE_KEY: ",
                   "every caller would be given it");
        ck_assert_ptr_null(strstr(rig.said, secrets[i % 2]));
        rig_teardown();
    }
    rig_setup();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x", 1);
    setenv("SUPABASE_ANON_KEY", anon, 1);
    setenv("SUPABASE_SECRET_KEY", "sb_secret_hidden", 1);
    setenv("SUPABASE_SERVICE_ROLE_KEY", service, 1);
    ck_assert_msg(rig_environment() == 0, "%s", rig.said);
    rig_teardown();
}
END_TEST

START_TEST(all_errors_of_a_file_are_told_at_once) {
    rig_setup();
    refused("bananas: 1\nworkers: many\ndrain: { delay: 5 }\nlog: { level: x }\n",
            "f.yaml:2:", "bananas");
    check_said("", "f.yaml:3:", "workers");
    check_said("", "f.yaml:4:", "delay");
    check_said("", "f.yaml:5:", "level");
    ck_assert_uint_eq(rig.n_lines, 4);
    rig_teardown();
}
END_TEST

/* Exactly these places, in this order. */
static void expect_places(const char *text, const char *const *places, size_t n) {
    const char *line = rig.said;
    ck_assert_int_eq(rig_read_project(text), -EINVAL);
    ck_assert_msg(rig.n_lines == n, "%s", rig.said);
    for (size_t i = 0; i < n; i++, line = strchr(line, '\n') + 1)
        ck_assert_msg(strncmp(line, places[i], strlen(places[i])) == 0, "%s: %s", places[i],
                      rig.said);
}
#define EXPECT_PLACES(text, ...) \
    do { \
        static const char *const expected[] = {__VA_ARGS__}; \
        expect_places(text, expected, sizeof(expected) / sizeof(expected[0])); \
    } while (0)

START_TEST(faults_of_all_sections_are_told_in_the_files_order) {
    rig_setup();
    setenv("JOTGATE_ADMIN_TOKEN", "short", 1);
    EXPECT_PLACES("routes:\n"
                  "  - { path: /a, upstream: nonsense, methods: [FETCH] }\n"
                  "  - { path: /b, cost: much }\n"
                  "  - { path: /c, limits: [nobody] }\n"
                  "payment: { downgrade: [x] }\n"
                  "limits: { per_ip: { key: ip, rate: 600/minute } }\n"
                  "issuers: [ { name: a, issuer: https://a, algorithms: [none], require: 5 } ]\n"
                  "drain: { delay: 5 parsecs, timeout: never }\n"
                  "listen: nowhere\n",
                  "env:JOTGATE_ADMIN_TOKEN: ", "f.yaml:3:27: upstream: ", "f.yaml:3:46: methods: ",
                  "f.yaml:4:23: cost: ", "f.yaml:5:25: limits: ", "f.yaml:6:10: payment: ",
                  "f.yaml:8:54: algorithms: ", "f.yaml:8:71: require: ", "f.yaml:9:17: delay: ",
                  "f.yaml:9:37: timeout: ", "f.yaml:10:9: listen: ");
    rig_teardown();
}
END_TEST

START_TEST(faults_of_all_plans_and_certificates_are_told) {
    rig_setup();
    EXPECT_PLACES("plans:\n"
                  "  default: none\n"
                  "  anonymous: nobody\n"
                  "  key: nothing\n"
                  "  tiers:\n"
                  "    free: { default: [ { name: a, quota: 5 }, { name: b, rate: 1/year } ] }\n"
                  "    pro: { default: [ { name: a, rate: 1/day }, { name: a, rate: 2/day } ] }\n"
                  "    max: 7\n"
                  "tls: [ { certificate: a }, { key: b } ]\n",
                  "f.yaml:3:12: default: ", "f.yaml:4:14: anonymous: ", "f.yaml:5:8: key: ",
                  "f.yaml:7:42: quota: ", "f.yaml:7:64: rate: ", "f.yaml:8:", "f.yaml:9:10: max: ",
                  "f.yaml:10:8: ", "f.yaml:10:28: ");
    rig_teardown();
}
END_TEST

START_TEST(names_that_are_there_twice_are_all_told) {
    rig_setup();
    EXPECT_PLACES("log: { level: info }\nlog: 1\nadmin: a\nadmin: b\n",
                  "f.yaml:3:1: log: ", "f.yaml:5:1: admin: ");
    rig_teardown();
}
END_TEST

START_TEST(what_is_a_mere_consequence_is_not_told) {
    rig_setup();
    /* of a limit that is no good: the routes that name it, or the plan's groups */
    EXPECT_PLACES("limits: { mine: { key: ip, rate: much } }\n"
                  "routes: [ { path: /a, upstream: \"http://b\", limits: [mine, plan.ai] } ]\n",
                  "f.yaml:2:34: rate: ");
    /* of a project without an address, or of an empty secret */
    ck_assert_int_eq(rig_read("supabase: { url: \"${NOT_SET_AT_ALL}\" }\n"
                              "routes: [ { path: /a, credential: service } ]\n"),
                     -EINVAL);
    ck_assert_msg(rig.n_lines == 1, "%s", rig.said);
    check_said("", "f.yaml:1:18: url: ", "NOT_SET_AT_ALL is not set");
    ck_assert_int_eq(rig_read("supabase: { url: nonsense }\nissuers: [ { name: a } ]\n"), -EINVAL);
    ck_assert_msg(rig.n_lines == 1, "%s", rig.said);
    setenv("SUPABASE_SECRET_KEY", "", 1);
    ck_assert_int_eq(rig_environment(), -EINVAL);
    ck_assert_msg(strstr(rig.said, "env:SUPABASE_SECRET_KEY") ==
                      strstr(rig.said, "env:SUPABASE_SECRET_KEY: is set but empty"),
                  "%s", rig.said);
    ck_assert_msg(rig.n_lines == 2, "%s", rig.said); /* and SUPABASE_URL is missing */
    unsetenv("SUPABASE_SECRET_KEY");
    rig_teardown();
}
END_TEST

START_TEST(more_faults_than_a_screen_holds_are_counted) {
    char text[2048] = "", place[32];
    rig_setup();
    for (int n = 20; n <= 22; n++) {
        size_t used = (size_t)snprintf(text, sizeof(text), "limits:\n");
        for (int i = 0; i < n; i++) /* the last line first: `http` is read before */
            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     "  l%d: { key: ip, rate: much }\n", i);
        snprintf(text + used, sizeof(text) - used, "http: { max_head: much }\n");
        ck_assert_int_eq(rig_read_project(text), -EINVAL);
        ck_assert_uint_eq(rig.n_lines, 21);
        const char *line = rig.said;
        for (int i = 0; i < 20; i++, line = strchr(line, '\n') + 1) {
            snprintf(place, sizeof(place), "f.yaml:%d:", i + 3);
            ck_assert_msg(strncmp(line, place, strlen(place)) == 0, "%s: %s", place, rig.said);
        }
        snprintf(place, sizeof(place), "f.yaml: and %d more\n", n - 19);
        ck_assert_str_eq(line, place);
    }
    rig_teardown();
}
END_TEST

START_TEST(files_that_cannot_be_read_give_the_machines_reason) {
    rig_setup();
    static const char *const rows[][2] = {
        {"/nowhere/at/all", "cannot be read: No such file"},
        {"/", "cannot be read: Is a directory"},
        {"/dev/zero", "cannot be read: neither a file nor a pipe"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char place[64];
        snprintf(place, sizeof(place), "%s:1:1: ", rows[i][0]);
        ck_assert_int_eq(settings_load(&rig.settings, rows[i][0], rig_report, &rig), -EINVAL);
        check_said(rows[i][0], place, rows[i][1]);
        ck_assert_ptr_null(rig.settings);
    }
    ck_assert_uint_eq(rig.n_lines, 3);
    rig_teardown();
}
END_TEST

START_TEST(a_file_is_no_larger_than_a_mebibyte) {
    static char text[(1 << 20) + 2];
    char path[64], place[80];
    rig_setup();
    memset(text, '#', 1 << 20);
    write_file(path, text);
    ck_assert_msg(settings_load(&rig.settings, path, rig_report, &rig) == -EINVAL, "no project");
    check_said("1 MiB of comment", path, "set supabase.url");
    unlink(path);
    rig_forget();
    text[1 << 20] = '#';
    write_file(path, text);
    snprintf(place, sizeof(place), "%s:1:1: ", path);
    ck_assert_int_eq(settings_load(&rig.settings, path, rig_report, &rig), -EINVAL);
    check_said("more", place, "cannot be read: larger than 1 MiB");
    unlink(path);
    rig_teardown();
}
END_TEST

/* As in `JOTGATE_ADMIN_TOKEN_FILE=<(pass show token) jotgate -c <(generate)`. */
START_TEST(files_may_be_pipes_that_are_read_once) {
    static const char file[] = "supabase: { url: \"https://abc.supabase.co\" }\n";
    int settings[2], token[2];
    char path[32], token_path[32];
    rig_setup();
    ck_assert(pipe(settings) == 0 && pipe(token) == 0);
    ck_assert_int_eq(write(settings[1], file, sizeof(file) - 1), sizeof(file) - 1);
    ck_assert_int_eq(write(token[1], "0123456789abcdef0123456789abcdef\n", 33), 33);
    close(settings[1]);
    close(token[1]);
    snprintf(path, sizeof(path), "/dev/fd/%d", settings[0]);
    snprintf(token_path, sizeof(token_path), "/dev/fd/%d", token[0]);
    setenv("JOTGATE_ADMIN_TOKEN_FILE", token_path, 1);
    ck_assert_msg(settings_load(&rig.settings, path, rig_report, &rig) == 0, "%s", rig.said);
    ck_assert(is(rig.settings->admin_token, "0123456789abcdef0123456789abcdef"));
    rig_forget();
    ck_assert_int_eq(rig_read_project(""), -EINVAL);
    check_said("read again", "env:JOTGATE_ADMIN_TOKEN: ", "JOTGATE_ADMIN_TOKEN_FILE names a file");
    check_said("read again", "env:JOTGATE_ADMIN_TOKEN: ", "can be read only once");
    ck_assert_int_eq(settings_load(&rig.settings, path, rig_report, &rig), -EINVAL);
    check_said("read again", path, "can be read only once");
    close(settings[0]);
    close(token[0]);
    rig_teardown();
}
END_TEST

START_TEST(redis_is_refused_without_showing_a_password) {
    static const struct row rows[] = {
        {"redis: { url: \"redis://:s3cret@\" }\n", "f.yaml:2:15: url: ", "expected HOST"},
        {"redis: { url: \"redis://u:s3cret@h/x\" }\n", "f.yaml:2:", "number of a database"},
        {"redis: { prefix: \"a{b}\" }\n", "f.yaml:2:18: prefix: ", "without { and }"},
        {"redis: { prefix: \"a b\" }\n", "f.yaml:2:", "visible ASCII"},
        {"redis: { mode: exactly }\n", "f.yaml:2:16: mode: ", "leased or exact"},
        {"redis: { on_failure: fail }\n", "f.yaml:2:", "share, open or closed"},
        {"redis: { timeout: 0ms }\n", "f.yaml:2:", "more than nothing"},
        {"redis: { timeout: 11s }\n", "f.yaml:2:", "at most 10s"},
        {"redis: { timeout: 50 }\n", "f.yaml:2:", "expected a duration"},
        {"redis: { expected_machines: 0 }\n", "f.yaml:2:", "from 1"},
        {"redis: { expected_machines: 10001 }\n", "f.yaml:2:", "at most 10000"},
        {"redis: []\n", "f.yaml:2:", "name: value"},
    };
    rig_setup();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refused(rows[i].text, rows[i].place, rows[i].words);
        ck_assert_msg(!strstr(rig.said, "s3cret"), "%s", rig.said);
    }
    rig_teardown();
}
END_TEST

/* None of it is shown again. */
START_TEST(a_signing_key_is_a_key_that_can_sign) {
    static const struct {
        const char *key, *words;
    } keys[] = {
        {"too-short-a-secret-to-sign", "HS256 secret of 32 bytes"},
        {"'a secret with spaces, of more than 32 bytes'", "space or control"},
        {"'{}'", "private JWK or PEM"},
        {"'[ { \"kty\": \"oct\" } ]'", "space or control"},
        {"'[{\"kty\":\"oct\",\"k\":\"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0\"}]'",
         "private JWK or PEM"},
        {"'{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}'", "HS256 secret of 32 bytes"},
        {"'{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_"
         "FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}'",
         "private JWK or PEM"},
        {"'-----BEGIN PUBLIC KEY-----'", "private JWK or PEM"},
        {"'-----BEGIN PRIVATE KEY-----\\nMIG'", "private JWK or PEM"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "supabase:\n  url: https://a\n  signing_key: %s\n",
                 keys[i].key);
        rig_setup();
        ck_assert_int_eq(rig_read(text), -EINVAL);
        check_said(text, "f.yaml:3:16: signing_key: ", keys[i].words);
        ck_assert_ptr_null(strstr(rig.said, "kty"));
        ck_assert_ptr_null(strstr(rig.said, "too-short-a"));
    }
    rig_teardown();
}
END_TEST

SUITE_MAIN("settings/refusals", certificates_and_keys_come_in_pairs,
           unknown_names_are_refused_where_they_stand, names_that_stand_twice_are_refused,
           what_is_no_yaml_is_refused, bytes_that_would_cut_a_value_short_are_refused,
           anchors_aliases_and_tags_are_refused, texts_beyond_all_bounds_are_refused,
           values_of_the_wrong_shape_are_refused, wrong_units_and_numbers_are_refused,
           limits_whose_parts_do_not_fit_are_refused,
           streams_that_are_limited_by_nonsense_are_refused,
           prices_and_payments_that_make_no_sense_are_refused,
           times_that_would_let_nothing_happen_are_refused,
           unknown_words_are_refused_with_the_known_ones, what_is_missing_is_named,
           lists_that_must_name_something_are_refused_when_empty,
           addresses_and_networks_are_checked, names_reach_headers_and_metrics_and_are_checked,
           issuers_that_make_no_sense_are_refused, routes_that_make_no_sense_are_refused,
           more_limits_than_a_caller_can_meet_are_refused, more_claims_than_can_be_held_are_refused,
           references_must_be_whole_and_set, what_the_environment_says_is_refused_by_its_name,
           without_a_project_the_environment_is_not_enough,
           a_variable_and_its_file_may_not_both_be_set,
           a_variables_file_must_be_readable_and_hold_something,
           a_variables_file_holds_no_more_than_a_secret_would, a_refused_secret_is_not_shown,
           a_signing_key_is_a_key_that_can_sign,
           secret_keys_are_refused_where_every_caller_would_be_given_them,
           redis_is_refused_without_showing_a_password, all_errors_of_a_file_are_told_at_once,
           faults_of_all_sections_are_told_in_the_files_order,
           faults_of_all_plans_and_certificates_are_told, names_that_are_there_twice_are_all_told,
           what_is_a_mere_consequence_is_not_told, more_faults_than_a_screen_holds_are_counted,
           files_that_cannot_be_read_give_the_machines_reason, a_file_is_no_larger_than_a_mebibyte,
           files_may_be_pipes_that_are_read_once)
