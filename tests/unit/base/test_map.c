/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "suite.h"

#include <stdio.h>

enum { N = 5000 };

static int values[N];

static struct str key_of(int i, char text[24]) {
    int n = snprintf(text, 24, "key-%d", i);
    return (struct str){text, (size_t)n};
}

static struct map *map_of(int n) {
    struct map *map = map_new();
    char text[24];
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(map_put(map, key_of(i, text), &values[i]), 0);
    return map;
}

START_TEST(absent_keys_are_not_found) {
    struct map *map = map_new();
    ck_assert_ptr_null(map_get(map, STR("a")));
    ck_assert_ptr_null(map_remove(map, STR("a")));
    ck_assert_int_eq(map_put(map, STR("a"), &values[1]), 0);
    ck_assert_ptr_null(map_get(map, STR("A")));
    ck_assert_ptr_null(map_get(map, STR("a\0")));
    ck_assert_ptr_null(map_get(map, STR("")));
    map_free(map);
    map_free(NULL);
}
END_TEST

START_TEST(keys_are_any_bytes_and_are_copied) {
    struct map *map = map_new();
    char key[] = "a\0b";
    ck_assert_int_eq(map_put(map, (struct str){key, 3}, &values[1]), 0);
    ck_assert_int_eq(map_put(map, STR_NONE, &values[2]), 0);
    key[2] = 'c';
    ck_assert_ptr_eq(map_get(map, STR("a\0b")), &values[1]);
    ck_assert_ptr_eq(map_get(map, STR("")), &values[2]);
    ck_assert_ptr_null(map_get(map, STR("a\0c")));
    map_free(map);
}
END_TEST

START_TEST(put_replaces) {
    struct map *map = map_new();
    ck_assert_int_eq(map_put(map, STR("a"), &values[1]), 0);
    ck_assert_int_eq(map_put(map, STR("a"), &values[2]), 0);
    ck_assert_uint_eq(map_count(map), 1);
    ck_assert_ptr_eq(map_get(map, STR("a")), &values[2]);
    map_free(map);
}
END_TEST

START_TEST(thousands_of_keys_are_all_found) {
    struct map *map = map_of(N);
    char text[24];
    ck_assert_uint_eq(map_count(map), N);
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(map_get(map, key_of(i, text)), &values[i]);
    ck_assert_ptr_null(map_get(map, key_of(N, text)));
    map_free(map);
}
END_TEST

START_TEST(removing_some_loses_no_other) {
    struct map *map = map_of(N);
    char text[24];
    for (int i = 0; i < N; i += 3)
        ck_assert_ptr_eq(map_remove(map, key_of(i, text)), &values[i]);
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(map_get(map, key_of(i, text)), i % 3 ? &values[i] : NULL);
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(map_remove(map, key_of(i, text)), i % 3 ? &values[i] : NULL);
    ck_assert_uint_eq(map_count(map), 0);
    map_free(map);
}
END_TEST

START_TEST(small_maps_keep_their_entries_through_all_removals) {
    /* Little maps wrap around their end in every way, because each has a hash key of its own. */
    char text[24];
    for (int round = 0; round < 300; round++) {
        struct map *map = map_of(12);
        for (int gone = 0; gone < 12; gone++) {
            ck_assert_ptr_eq(map_remove(map, key_of(gone, text)), &values[gone]);
            for (int i = 0; i < 12; i++)
                ck_assert_ptr_eq(map_get(map, key_of(i, text)), i > gone ? &values[i] : NULL);
        }
        map_free(map);
    }
}
END_TEST

START_TEST(walk_sees_everything_once) {
    struct map *map = map_of(1000);
    bool seen[1000] = {false};
    size_t cursor = 0, n = 0;
    struct str key;
    void *value;
    while (map_next(map, &cursor, &key, &value)) {
        int i = (int)((int *)value - values);
        char text[24];
        ck_assert(!seen[i] && str_eq(key, key_of(i, text)));
        seen[i] = true;
        n++;
    }
    ck_assert_uint_eq(n, 1000);
    ck_assert(!map_next(map, &cursor, &key, &value));
    map_free(map);
}
END_TEST

START_TEST(walk_of_an_empty_map_ends_at_once) {
    struct map *map = map_new();
    size_t cursor = 0;
    struct str key;
    void *value;
    ck_assert(!map_next(map, &cursor, &key, &value));
    map_free(map);
}
END_TEST

SUITE_MAIN("base/map", absent_keys_are_not_found, keys_are_any_bytes_and_are_copied, put_replaces,
           thousands_of_keys_are_all_found, removing_some_loses_no_other,
           small_maps_keep_their_entries_through_all_removals, walk_sees_everything_once,
           walk_of_an_empty_map_ends_at_once)
