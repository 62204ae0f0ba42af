/* SPDX-License-Identifier: MIT */
#include "limit/zone.h"

#include "limit/zones.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static struct arena arena;

/* ---- the C library as the oracle: %s reads unix seconds into the local time of TZ ---- */

static long offset_of_glibc(int64_t unix_s) {
    char text[32];
    struct tm tm = {0};
    snprintf(text, sizeof(text), "%lld", (long long)unix_s);
    ck_assert_ptr_nonnull(strptime(text, "%s", &tm));
    return tm.tm_gmtoff;
}

static void compare(const struct zone *zone, int64_t unix_s) {
    long ours = zone_at(zone, unix_s).offset_s, theirs = offset_of_glibc(unix_s);
    ck_assert_msg(ours == theirs, STR_FMT " at %lld: %ld, the C library says %ld",
                  STR_ARG(zone->name), (long long)unix_s, ours, theirs);
}

static void compare_zone(const char *name) {
    struct zone zone = zone_named(name, &arena);
    setenv("TZ", name, 1);
    tzset();
    for (int64_t unix_s = 0; unix_s < INT64_C(4102444800); unix_s += 97 * 86400 + 4321)
        compare(&zone, unix_s);
    /* Both sides of every change of 1970 to 2070. */
    for (int64_t unix_s = 0; unix_s < INT64_C(3155760000);) {
        int64_t until_s = zone_at(&zone, unix_s).until_s;
        if (until_s == INT64_MAX)
            break;
        compare(&zone, until_s - 1);
        compare(&zone, until_s);
        ck_assert_int_gt(until_s, unix_s);
        unix_s = until_s;
    }
}

START_TEST(every_zone_shows_what_the_c_library_shows) {
    char line[256], name[64];
    size_t n = 0;
    FILE *list = fopen("/usr/share/zoneinfo/tzdata.zi", "re");
    ck_assert_ptr_nonnull(list);
    while (fgets(line, sizeof(line), list))
        if (sscanf(line, "Z %63s", name) == 1) {
            compare_zone(name);
            arena_reset(&arena);
            n++;
        }
    fclose(list);
    ck_assert_uint_gt(n, 300);
}
END_TEST

START_TEST(utc_never_changes) {
    struct zone_span span = zone_at(&ZONE_UTC, 1700000000);
    ck_assert_int_eq(span.offset_s, 0);
    ck_assert_int_eq(span.until_s, INT64_MAX);
    ck_assert_int_eq(zone_first_at(&ZONE_UTC, 1700000000), 1700000000);
}
END_TEST

START_TEST(a_time_that_is_shown_twice_means_the_first) {
    struct zone berlin = zone_named("Europe/Berlin", &arena);
    /* 2026-10-25 02:30 is shown at 00:30 and 01:30 UTC. */
    ck_assert_int_eq(zone_first_at(&berlin, 1792895400), 1792895400 - 7200);
}
END_TEST

START_TEST(a_time_that_is_jumped_over_means_the_jump) {
    struct zone berlin = zone_named("Europe/Berlin", &arena);
    /* 2026-03-29 02:30 is never shown; the clocks jump at 01:00 UTC. */
    ck_assert_int_eq(zone_first_at(&berlin, 1774751400), 1774746000);
}
END_TEST

START_TEST(far_years_follow_the_rule) {
    struct zone berlin = zone_named("Europe/Berlin", &arena);
    ck_assert_int_eq(zone_at(&berlin, INT64_C(16734398400)).offset_s, 7200); /* July 2500 */
    ck_assert_int_eq(zone_at(&berlin, INT64_C(16726435200)).offset_s, 3600); /* January 2500 */
}
END_TEST

/* ---- refusals ---- */

START_TEST(names_cannot_leave_the_directory) {
    static const char *const good[] = {"UTC", "Europe/Berlin", "Etc/GMT+5",
                                       "America/Argentina/Buenos_Aires", "America/Port-au-Prince"};
    static const char *const bad[] = {"",    "/etc/passwd",    "../../etc/passwd", "Europe//Berlin",
                                      "Eu/", "Europe/Berlin ", "Europe/B\nerlin",  "a.b"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(zone_name_is_valid(str_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!zone_name_is_valid(str_of(bad[i])), "%s", bad[i]);
    char longer[66];
    memset(longer, 'a', 65);
    ck_assert(!zone_name_is_valid((struct str){longer, 65}));
}
END_TEST

START_TEST(a_file_that_is_cut_anywhere_is_refused) {
    struct str whole = zone_file("Europe/Berlin");
    struct zone zone;
    for (size_t n = 0; n < whole.n; n++) {
        char *cut = malloc(n + 1); /* so that reading beyond is seen */
        memcpy(cut, whole.at, n);
        ck_assert_int_eq(zone_parse(&zone, (struct str){cut, n}, &arena), -EINVAL);
        free(cut);
    }
    ck_assert_int_eq(zone_parse(&zone, whole, &arena), 0);
}
END_TEST

START_TEST(a_file_with_any_byte_changed_is_refused_or_read_safely) {
    struct str whole = zone_file("Europe/Lisbon");
    struct zone zone;
    unsigned seed = 7;
    for (size_t i = 0; i < whole.n; i++) {
        char kept = zone_bytes[i];
        zone_bytes[i] = (char)rand_r(&seed);
        if (zone_parse(&zone, whole, &arena) == 0) {
            (void)zone_at(&zone, 1700000000);
            (void)zone_at(&zone, 4700000000);
        }
        zone_bytes[i] = kept;
        arena_reset(&arena);
    }
}
END_TEST

SUITE_MAIN("limit/zone", every_zone_shows_what_the_c_library_shows, utc_never_changes,
           a_time_that_is_shown_twice_means_the_first, a_time_that_is_jumped_over_means_the_jump,
           far_years_follow_the_rule, names_cannot_leave_the_directory,
           a_file_that_is_cut_anywhere_is_refused,
           a_file_with_any_byte_changed_is_refused_or_read_safely)
