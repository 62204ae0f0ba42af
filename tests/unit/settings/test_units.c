/* SPDX-License-Identifier: MIT */
/* Proves settings/units.h. */
#include "settings/units.h"

#include "suite.h"

static const char *why;

START_TEST(durations_are_whole_numbers_with_a_unit) {
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0s", 0},
        {"500ms", 500 * NS_PER_MS},
        {"30s", 30 * NS_PER_S},
        {"10m", 600 * NS_PER_S},
        {"24h", 86400 * NS_PER_S},
        {"7d", 7 * 86400 * NS_PER_S},
        {"3650d", INT64_C(3650) * 86400 * NS_PER_S},
        {"007s", 7 * NS_PER_S},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ns = -1;
        ck_assert_msg(unit_duration(str_of(good[i].text), &ns, &why), "%s", good[i].text);
        ck_assert_int_eq(ns, good[i].ns);
    }
}
END_TEST

START_TEST(other_durations_are_refused_with_what_was_expected) {
    static const char *const bad[] = {
        "",      "s",
        "30",    "5 s",
        " 5s",   "5s ",
        "-5s",   "+5s",
        "1.5s",  "5S",
        "5sec",  "5us",
        "5ns",   "5 parsecs",
        "1h30m", "0x5s",
        "1e3s",  "99999999999999999999s",
        "3651d", "18446744073709551615h",
        "∞s",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ns;
        why = NULL;
        ck_assert_msg(!unit_duration(str_of(bad[i]), &ns, &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "30s"));
    }
}
END_TEST

START_TEST(sizes_are_bytes_or_binary_multiples) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"64KiB", 65536},
        {"1MiB", 1 << 20},
        {"2GiB", UINT64_C(2) << 30},
        {"9007199254740992", UINT64_C(1) << 53},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 1;
        ck_assert_msg(unit_size(str_of(good[i].text), &bytes, &why), "%s", good[i].text);
        ck_assert_uint_eq(bytes, good[i].bytes);
    }
}
END_TEST

START_TEST(other_sizes_are_refused_with_what_was_expected) {
    static const char *const bad[] = {
        "",
        "KiB",
        "1KB",
        "1kib",
        "1K",
        "1M",
        "64 KiB",
        "-1",
        "1.5MiB",
        "1TiB",
        "1B",
        "0x10",
        "18446744073709551616",
        "18446744073709551615GiB",
        "9007199254740993",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t bytes;
        why = NULL;
        ck_assert_msg(!unit_size(str_of(bad[i]), &bytes, &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "KiB"));
    }
}
END_TEST

START_TEST(rates_are_calls_in_a_period_and_burst_is_their_number) {
    static const struct {
        const char *text;
        int64_t count, period_ns;
    } good[] = {
        {"1/second", 1, NS_PER_S},
        {"1200/minute", 1200, 60 * NS_PER_S},
        {"100/hour", 100, 3600 * NS_PER_S},
        {"50000/day", 50000, 86400 * NS_PER_S},
        {"1000000000/second", 1000000000, NS_PER_S},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct bucket_rule rule = {0};
        ck_assert_msg(unit_rate(str_of(good[i].text), &rule, &why), "%s", good[i].text);
        ck_assert_int_eq(rule.count, good[i].count);
        ck_assert_int_eq(rule.burst, good[i].count);
        ck_assert_int_eq(rule.period_ns, good[i].period_ns);
        ck_assert(bucket_rule_is_valid(&rule));
    }
}
END_TEST

START_TEST(other_rates_are_refused_with_what_was_expected) {
    static const char *const bad[] = {
        "",
        "/",
        "60",
        "60/",
        "/minute",
        "many",
        "0/minute",
        "-1/minute",
        "1.5/minute",
        "60/min",
        "60/m",
        "60/Minute",
        "60 / minute",
        "60/minute ",
        "60/week",
        "60/month",
        "60/minute/minute",
        "1000000001/second",
        "18446744073709551617/second",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bucket_rule rule;
        why = NULL;
        ck_assert_msg(!unit_rate(str_of(bad[i]), &rule, &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "1200/minute"));
    }
}
END_TEST

START_TEST(quotas_are_calls_in_a_calendar_window) {
    static const struct {
        const char *text;
        enum window_kind kind;
        int64_t limit;
    } good[] = {
        {"1/day", WINDOW_DAY, 1},
        {"50000/week", WINDOW_WEEK, 50000},
        {"1000000000000/month", WINDOW_MONTH, INT64_C(1000000000000)},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct window_rule rule = {0};
        ck_assert_msg(unit_quota(str_of(good[i].text), &rule, &why), "%s", good[i].text);
        ck_assert_int_eq(rule.kind, good[i].kind);
        ck_assert_int_eq(rule.limit, good[i].limit);
        ck_assert_int_eq(rule.anchor_day, 1);
        ck_assert_ptr_eq(rule.zone, &ZONE_UTC);
    }
}
END_TEST

START_TEST(other_quotas_are_refused_with_what_was_expected) {
    static const char *const bad[] = {
        "",
        "/",
        "60",
        "60/",
        "/day",
        "many",
        "0/day",
        "-1/day",
        "1.5/day",
        "60/hour",
        "60/minute",
        "60/Day",
        "60/days",
        "60 / day",
        "60/day ",
        "60/year",
        "60/day/day",
        "1000000000001/month",
        "18446744073709551617/day",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct window_rule rule;
        why = NULL;
        ck_assert_msg(!unit_quota(str_of(bad[i]), &rule, &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "5000/day"));
    }
}
END_TEST

START_TEST(origins_are_taken_apart) {
    static const struct {
        const char *url, *host, *header, *base;
        uint16_t port;
        bool is_tls;
    } good[] = {
        {"https://abc.supabase.co", "abc.supabase.co", "abc.supabase.co", "", 443, true},
        {"https://abc.supabase.co/", "abc.supabase.co", "abc.supabase.co", "", 443, true},
        {"https://abc.supabase.co:443/x", "abc.supabase.co", "abc.supabase.co", "/x", 443, true},
        {"https://abc.supabase.co:8443", "abc.supabase.co", "abc.supabase.co:8443", "", 8443, true},
        {"http://127.0.0.1:54321/base/path//", "127.0.0.1", "127.0.0.1:54321", "/base/path", 54321,
         false},
        {"http://localhost", "localhost", "localhost", "", 80, false},
        {"http://x:80", "x", "x", "", 80, false},
        {"https://x:80", "x", "x:80", "", 80, true},
        {"http://[::1]:3000/a", "::1", "[::1]:3000", "/a", 3000, false},
        {"http://[::1]", "::1", "[::1]", "", 80, false},
        {"unix:/run/app.sock", "/run/app.sock", "localhost", "", 0, false},
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct origin origin;
        ck_assert_msg(unit_origin(str_of(good[i].url), &origin, &arena, &why), "%s", good[i].url);
        ck_assert_msg(str_eq(origin.host, str_of(good[i].host)), "%s: " STR_FMT, good[i].url,
                      STR_ARG(origin.host));
        ck_assert_msg(str_eq(origin.host_header, str_of(good[i].header)), "%s: " STR_FMT,
                      good[i].url, STR_ARG(origin.host_header));
        ck_assert_msg(str_eq(origin.base_path, str_of(good[i].base)), "%s: " STR_FMT, good[i].url,
                      STR_ARG(origin.base_path));
        ck_assert_uint_eq(origin.port, good[i].port);
        ck_assert_int_eq(origin.is_tls, good[i].is_tls);
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(an_origin_owns_its_strings) {
    struct arena arena;
    struct origin origin;
    char url[] = "https://abc.supabase.co/x";
    arena_init(&arena);
    ck_assert(unit_origin(str_of(url), &origin, &arena, &why));
    memset(url, '!', sizeof(url));
    ck_assert(str_eq(origin.host, STR("abc.supabase.co")) && str_eq(origin.base_path, STR("/x")));
    arena_fini(&arena);
}
END_TEST

START_TEST(other_origins_are_refused_with_what_was_expected) {
    static const char *const bad[] = {
        "",
        "abc.supabase.co",
        "//abc.supabase.co",
        "ftp://x",
        "https://",
        "https:///a",
        "https://:443",
        "http://user@x",
        "http://user:pw@x",
        "http://x?a=b",
        "http://x/a?b",
        "http://x#f",
        "http://x/#f",
        "http://x:0",
        "http://x:65536",
        "http://x:",
        "http://x:8a",
        "http://x y",
        "http://x/a b",
        "http://x/\x01",
        "http://x/caf\xc3\xa9",
        "http://::1",
        "http://[::1",
        "HTTP://x",
        "unix:relative",
        "unix:",
        "wss://x",
        "http://x\r\nHost: y",
        "http://x/\r\ny",
        "http://..",
        "http://*",
    };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct origin origin;
        why = NULL;
        ck_assert_msg(!unit_origin(str_of(bad[i]), &origin, &arena, &why), "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, "expected a URL"));
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(a_unix_path_fits_a_socket_address) {
    char url[200] = "unix:/";
    struct arena arena;
    struct origin origin;
    arena_init(&arena);
    memset(url + 6, 'a', 106);
    ck_assert(unit_origin((struct str){url, 5 + 107}, &origin, &arena, &why));
    url[5 + 107] = 'a';
    ck_assert(!unit_origin((struct str){url, 5 + 108}, &origin, &arena, &why));
    ck_assert(!unit_origin(STR("unix:/a\0b"), &origin, &arena, &why));
    arena_fini(&arena);
}
END_TEST

SUITE_MAIN("settings/units", durations_are_whole_numbers_with_a_unit,
           other_durations_are_refused_with_what_was_expected, sizes_are_bytes_or_binary_multiples,
           other_sizes_are_refused_with_what_was_expected,
           rates_are_calls_in_a_period_and_burst_is_their_number,
           other_rates_are_refused_with_what_was_expected, quotas_are_calls_in_a_calendar_window,
           other_quotas_are_refused_with_what_was_expected, origins_are_taken_apart,
           an_origin_owns_its_strings, other_origins_are_refused_with_what_was_expected,
           a_unix_path_fits_a_socket_address)
