/* SPDX-License-Identifier: MIT */
/* Proves route/route_table.h. */
#include "route/route_table.h"

#include "readings.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define N(array) (sizeof(array) / sizeof(*(array)))
#define PATH(text) \
    { {text, sizeof(text) - 1}, METHODS_ANY, 0 }
/* ck_assert tells its parent process of every success: too slow for millions. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("%s", #condition); \
    } while (0)

static struct arena arena;
static struct route_table *table;

static void set_up(void) { arena_init(&arena); }

static void tear_down(void) {
    arena_fini(&arena);
    route_table_free(table);
    table = NULL;
}

static void compile(const struct route_path *paths, size_t n) {
    size_t bad = SIZE_MAX;
    ck_assert_int_eq(route_table_new(&table, paths, n, &bad), 0);
}

/* The index, or -1 - verdict. */
static int match_method(const char *raw, const char *method) {
    struct target target;
    struct str name = str_of(method);
    ck_assert_msg(target_parse(&target, name, str_of(raw), &arena) == TARGET_OK, "%s", raw);
    size_t index = SIZE_MAX;
    unsigned allowed = 0;
    enum route_verdict verdict =
        route_table_match(table, &target, method_of(name), &index, &allowed);
    return verdict == ROUTE_FOUND ? (int)index : -1 - (int)verdict;
}

static int match(const char *raw) { return match_method(raw, "GET"); }

enum { NONE = -1 - ROUTE_NONE, METHOD = -1 - ROUTE_METHOD, AMBIGUOUS = -1 - ROUTE_AMBIGUOUS };

struct expectation {
    const char *raw;
    int found;
};
static void check_matches(const struct expectation *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int found = match(rows[i].raw);
        ck_assert_msg(found == rows[i].found, "%s: %d, not %d", rows[i].raw, found, rows[i].found);
    }
}

/* ---- prefixes ---------------------------------------------------------------------------------- */

START_TEST(an_empty_table_has_no_routes) {
    compile(NULL, 0);
    ck_assert_int_eq(match("/"), NONE);
    ck_assert_int_eq(match("/a"), NONE);
    ck_assert_int_eq(match_method("*", "OPTIONS"), NONE);
}
END_TEST

START_TEST(a_prefix_ends_at_a_segment) {
    const struct route_path paths[] = {PATH("/a/b")};
    compile(paths, N(paths));
    const struct expectation rows[] = {
        {"/a/b", 0},     {"/a/b/", 0},       {"/a/b/c", 0},    {"/a/b?c", 0},     {"/a/bc", NONE},
        {"/a/b.", NONE}, {"/a/b-c/d", NONE}, {"/a", NONE},     {"/a/", NONE},     {"/", NONE},
        {"/A/B", NONE},  {"/b", NONE},       {"/a/a/b", NONE}, {"/a/b%20", NONE},
    };
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(a_star_opens_the_last_segment) {
    const struct route_path paths[] = {PATH("/rpc/admin_*"), PATH("/x/*")};
    compile(paths, N(paths));
    const struct expectation rows[] = {
        {"/rpc/admin_", 0},   {"/rpc/admin_x", 0},   {"/rpc/admin_x/y", 0}, {"/rpc/admin_/y", 0},
        {"/rpc/admin", NONE}, {"/rpc/adminx", NONE}, {"/rpc", NONE},        {"/x", NONE},
        {"/x/", 1},           {"/x/y", 1},           {"/xy", NONE},
    };
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(the_longest_prefix_wins_whatever_the_order) {
    const struct route_path paths[] = {PATH("/rest/v1"),     PATH("/"),
                                       PATH("/rest/v1/rpc"), PATH("/rest/v1/rpc/admin_*"),
                                       PATH("/rest"),        PATH("/rest/v1/rpc/admin_log")};
    compile(paths, N(paths));
    const struct expectation rows[] = {
        {"/", 1},
        {"/x", 1},
        {"/restful", 1},
        {"/rest", 4},
        {"/rest/v2/rpc", 4},
        {"/rest/v1", 0},
        {"/rest/v1/rpcs", 0},
        {"/rest/v1/rpc", 2},
        {"/rest/v1/rpc/admin", 2},
        {"/rest/v1/rpc/admin_x", 3},
        {"/rest/v1/rpc/admin_lo", 3},
        {"/rest/v1/rpc/admin_logs", 3},
        {"/rest/v1/rpc/admin_log", 5},
        {"/rest/v1/rpc/admin_log/x", 5},
    };
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(a_closed_path_wins_over_the_open_one_of_the_same_text) {
    const struct route_path paths[] = {PATH("/a*"), PATH("/a")};
    compile(paths, N(paths));
    const struct expectation rows[] = {{"/a", 1},  {"/a/", 1}, {"/a/b", 1},
                                       {"/ab", 0}, {"/a.", 0}, {"/", NONE}};
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(a_neighbour_in_the_alphabet_does_not_hide_a_prefix) {
    const struct route_path paths[] = {PATH("/a"),  PATH("/a-b"),  PATH("/a/b/c/d"),
                                       PATH("/a0"), PATH("/a/b!"), PATH("/a/b/c*")};
    compile(paths, N(paths));
    const struct expectation rows[] = {{"/a/b/c/e", 5},  {"/a/b/b", 0},     {"/a/bz", 0},
                                       {"/a/zz", 0},     {"/a-bc", NONE},   {"/a-b/z", 1},
                                       {"/a/b/c/d0", 5}, {"/a/b/c/d/0", 2}, {"/a00", NONE}};
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(root_and_stars_alone_take_everything) {
    static const char *const spellings[] = {"/", "/*", "*"};
    for (size_t i = 0; i < N(spellings); i++) {
        const struct route_path path = {str_of(spellings[i]), METHODS_ANY, 0};
        compile(&path, 1);
        const struct expectation rows[] = {
            {"/", 0}, {"/a", 0}, {"//", 0}, {"/a//b;c/d", 0}, {"/%2f", 0}};
        check_matches(rows, N(rows));
        ck_assert_int_eq(match_method("*", "OPTIONS"), NONE);
        route_table_free(table);
        table = NULL;
    }
}
END_TEST

START_TEST(paths_not_in_normal_form_are_refused) {
    static const char *const bad_paths[] = {
        "",       "a",     "a/b",    "//",   "/a//b", "/a/",   "/.",    "/a/.",         "/a/../b",
        "/a/..",  "/..",   "/a/./b", "/a*b", "/*/a",  "/a**",  "**",    "/a%20b",       "/a%2f",
        "/a;b",   "/a\\b", "/a?b",   "/a#b", "/a b",  "/a\tb", "/\x7f", "/caf\xc3\xa9", "//*",
        "/a/..*", "/.*"};
    for (size_t i = 0; i < N(bad_paths); i++) {
        const struct route_path paths[] = {PATH("/good"), {str_of(bad_paths[i]), METHODS_ANY, 0}};
        size_t bad = SIZE_MAX;
        ck_assert_msg(route_table_new(&table, paths, 2, &bad) == -EINVAL, "%s", bad_paths[i]);
        ck_assert_uint_eq(bad, 1);
    }
    static const char *const good_paths[] = {"/.a",  "/a.b",     "/...",         "/.well-known*",
                                             "/a/*", "/a-b_c~d", "/a:b@c,d+e=f", "/(a)'!$&"};
    for (size_t i = 0; i < N(good_paths); i++) {
        const struct route_path path = {str_of(good_paths[i]), METHODS_ANY, 0};
        compile(&path, 1);
        route_table_free(table);
        table = NULL;
    }
}
END_TEST

/* ---- methods ----------------------------------------------------------------------------------- */

START_TEST(methods_are_case_sensitive_and_known_twins_are_nobodys) {
    static const struct {
        const char *name;
        enum method method;
    } rows[] = {
        {"GET", METHOD_GET},         {"HEAD", METHOD_HEAD},      {"POST", METHOD_POST},
        {"PUT", METHOD_PUT},         {"PATCH", METHOD_PATCH},    {"DELETE", METHOD_DELETE},
        {"OPTIONS", METHOD_OPTIONS}, {"PROPFIND", METHOD_OTHER}, {"propfind", METHOD_OTHER},
        {"GETS", METHOD_OTHER},      {"GE", METHOD_OTHER},       {"CONNECT", METHOD_NEVER},
        {"TRACE", METHOD_NEVER},     {"trace", METHOD_NEVER},    {"get", METHOD_NEVER},
        {"Post", METHOD_NEVER},      {"dELETE", METHOD_NEVER},
    };
    for (size_t i = 0; i < N(rows); i++)
        ck_assert_msg(method_of(str_of(rows[i].name)) == rows[i].method, "%s", rows[i].name);
}
END_TEST

START_TEST(a_route_takes_its_methods_and_no_others) {
    const struct route_path paths[] = {{STR("/a"), METHOD_GET | METHOD_POST, 0},
                                       {STR("/any"), METHODS_ANY, 0}};
    compile(paths, N(paths));
    ck_assert_int_eq(match_method("/a", "GET"), 0);
    ck_assert_int_eq(match_method("/a", "HEAD"), 0); /* GET implies it */
    ck_assert_int_eq(match_method("/a", "POST"), 0);
    ck_assert_int_eq(match_method("/a", "PUT"), METHOD);
    ck_assert_int_eq(match_method("/a", "OPTIONS"), METHOD);
    ck_assert_int_eq(match_method("/a", "PROPFIND"), METHOD);
    ck_assert_int_eq(match_method("/a", "get"), METHOD);
    ck_assert_int_eq(match_method("/any", "PROPFIND"), 1);
    ck_assert_int_eq(match_method("/any", "OPTIONS"), 1);
    ck_assert_int_eq(match_method("/any", "TRACE"), METHOD);
    ck_assert_int_eq(match_method("/any", "CONNECT"), METHOD);
    ck_assert_int_eq(match_method("/any", "get"), METHOD);
}
END_TEST

START_TEST(a_refused_method_says_which_are_allowed) {
    const struct route_path paths[] = {
        {STR("/a"), METHOD_GET, 0}, {STR("/a"), METHOD_DELETE, 0}, {STR("/"), METHODS_ANY, 0}};
    compile(paths, N(paths));
    struct target target;
    ck_assert_int_eq(target_parse(&target, STR("PUT"), STR("/a"), &arena), TARGET_OK);
    size_t index = SIZE_MAX;
    unsigned allowed = 0;
    ck_assert_int_eq(route_table_match(table, &target, METHOD_PUT, &index, &allowed), ROUTE_METHOD);
    ck_assert_uint_eq(allowed, METHOD_GET | METHOD_HEAD | METHOD_DELETE);
}
END_TEST

START_TEST(a_method_does_not_fall_through_to_a_shorter_prefix) {
    const struct route_path paths[] = {
        {STR("/a"), METHODS_ANY, 0}, {STR("/a/b*"), METHODS_ANY, 0}, {STR("/a/b"), METHOD_POST, 0}};
    compile(paths, N(paths));
    ck_assert_int_eq(match_method("/a/b", "POST"), 2);
    ck_assert_int_eq(match_method("/a/b", "GET"), METHOD);
    ck_assert_int_eq(match_method("/a/bc", "GET"), 1);
}
END_TEST

START_TEST(of_equal_paths_the_methods_choose_and_then_the_rank) {
    const struct route_path paths[] = {{STR("/a"), METHODS_ANY, 0},
                                       {STR("/a"), METHOD_GET, 1},
                                       {STR("/a"), METHOD_POST | METHOD_PUT, 1},
                                       {STR("/a"), METHOD_PUT, 2}};
    compile(paths, N(paths));
    ck_assert_int_eq(match_method("/a", "GET"), 1);
    ck_assert_int_eq(match_method("/a", "HEAD"), 1);
    ck_assert_int_eq(match_method("/a", "POST"), 2);
    ck_assert_int_eq(match_method("/a", "PUT"), 3);
    ck_assert_int_eq(match_method("/a", "DELETE"), 0);
}
END_TEST

START_TEST(twins_of_one_rank_are_refused) {
    const struct route_path twins[][2] = {
        {PATH("/a"), PATH("/a")},
        {PATH("/a*"), PATH("/a*")},
        {PATH("/"), PATH("/*")},
        {PATH("*"), PATH("/")},
        {{STR("/a"), METHOD_GET, 3}, {STR("/a"), METHODS_ANY, 3}},
        {{STR("/a"), METHOD_HEAD, 0}, {STR("/a"), METHOD_GET, 0}}, /* GET brings its HEAD */
    };
    for (size_t i = 0; i < N(twins); i++) {
        size_t bad = SIZE_MAX;
        ck_assert_msg(route_table_new(&table, twins[i], 2, &bad) == -EEXIST, "pair %zu", i);
        ck_assert_uint_eq(bad, 1);
    }
    const struct route_path third[] = {{STR("/a"), METHOD_GET, 0},
                                       {STR("/a"), METHOD_PUT, 0},
                                       {STR("/b"), METHOD_GET, 0},
                                       {STR("/a"), METHOD_HEAD, 0}};
    size_t bad = SIZE_MAX;
    ck_assert_int_eq(route_table_new(&table, third, 4, &bad), -EEXIST);
    ck_assert_uint_eq(bad, 3);
}
END_TEST

START_TEST(methods_that_no_route_may_name_are_refused) {
    const unsigned methods[] = {0, METHOD_NEVER, METHODS_ANY | METHOD_NEVER, 1u << 12};
    for (size_t i = 0; i < N(methods); i++) {
        const struct route_path path = {STR("/a"), methods[i], 0};
        size_t bad = SIZE_MAX;
        ck_assert_int_eq(route_table_new(&table, &path, 1, &bad), -EINVAL);
        ck_assert_uint_eq(bad, 0);
    }
}
END_TEST

/* ---- spellings --------------------------------------------------------------------------------- */

/* A looser rule around a stricter one, as an attacker would want to confuse them. */
static const struct route_path GUARDED[] = {PATH("/rest/v1"), PATH("/rest/v1/admin*"),
                                            PATH("/rest/v1/secret")};
#define LOOSE 0

START_TEST(no_spelling_of_a_guarded_path_meets_the_looser_rule) {
    static const char *const spellings[] = {
        "/rest/v1/admin",           "/rest/v1/adminx",         "/rest/v1/admin.",
        "/rest/v1/admin/",          "/rest/v1/x/../admin",     "/rest/v1/../v1/admin",
        "/rest/v1/x/%2e%2e/admin",  "/rest/v1/x/.%2E/admin",   "/rest/v1/x/%252e%252e/admin",
        "/rest/v1/x/..;/admin",     "/rest/v1/x/..;a=b/admin", "/rest/v1/%61dmin/..;/",
        "/rest/v1/%61dmin/..%5c",   "/rest/v1//admin",         "//rest/v1/admin",
        "/rest/v1/./admin",         "/rest/v1/%2e/admin",      "/rest/v1\\admin",
        "/rest/v1/\\admin",         "/rest/v1/x\\..\\admin",   "/rest/v1%5cadmin",
        "/rest/v1/%5Cadmin",        "/rest/v1%2fadmin",        "/rest/v1/%2Fadmin",
        "/rest/v1%252fadmin",       "/rest/v1/;/admin",        "/rest/v1;x/admin",
        "/rest/v1/admin;x",         "/rest/v1/%61dmin",        "/rest/v1/%2561dmin",
        "/rest/v1/%25%36%31dmin",   "/rest/v1/secret",         "/rest/v1/secret;x",
        "/rest/v1/secret%3fx",      "/rest/v1/secret%23x",     "/rest/v1/secret%2f",
        "/rest/v1/secret\\",        "/rest/v1/s%65cret",       "/rest/v1/;\\rest/secret",
        "/rest/v1/;%2frest/secret", "/rest/v1//secret",
    };
    compile(GUARDED, N(GUARDED));
    for (size_t i = 0; i < N(spellings); i++)
        ck_assert_msg(match(spellings[i]) != LOOSE, "%s", spellings[i]);
    /* A NUL and overlong forms do not come this far. */
    static const char *const malformed[] = {"/rest/v1/admin%00", "/rest/v1/%c1%a1dmin",
                                            "/rest/v1/x/%c0%ae%c0%ae/admin", "/rest/v1/%00admin"};
    for (size_t i = 0; i < N(malformed); i++) {
        struct target target;
        ck_assert_int_eq(target_parse(&target, STR("GET"), str_of(malformed[i]), &arena),
                         TARGET_MALFORMED);
    }
}
END_TEST

START_TEST(odd_spellings_that_mean_one_route_are_served) {
    compile(GUARDED, N(GUARDED));
    const struct expectation rows[] = {
        {"/rest/v1/caf%C3%A9", LOOSE},   {"/rest/v1/%74odos", LOOSE}, {"/rest/v1/a%2Fb", LOOSE},
        {"/rest/v1/a%252Fb", LOOSE},     {"/rest/v1//todos", LOOSE},  {"/rest/v1/./todos", LOOSE},
        {"/rest/v1/what%3f.png", LOOSE}, {"/rest/v1/100%25", LOOSE},  {"/rest/v1/a;b=c/d", LOOSE},
        {"/rest/v1/admin%20x", 1},       {"/rest/v1/admin/%2e", 1},   {"/rest/v1/a..b", LOOSE},
        {"/rest/v1/...", LOOSE},         {"/rest/v1/ADMIN", LOOSE},   {"/rest/v1/secrets", LOOSE},
    };
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(spellings_that_mean_several_routes_are_ambiguous) {
    compile(GUARDED, N(GUARDED));
    const struct expectation rows[] = {
        {"/rest/v1/%61dmin", AMBIGUOUS},   {"/rest/v1/%2561dmin", AMBIGUOUS},
        {"/rest/v1//admin", AMBIGUOUS},    {"//rest/v1/todos", AMBIGUOUS},
        {"/rest/v1/secret;x", AMBIGUOUS},  {"/rest%2fv1", AMBIGUOUS},
        {"/rest/v1/a/../b", AMBIGUOUS},    {"/rest/v1/%2e%2e/v1", AMBIGUOUS},
        {"/rest/v1%3fx/todos", AMBIGUOUS}, {"/x/../rest/v1", AMBIGUOUS},
    };
    check_matches(rows, N(rows));
}
END_TEST

START_TEST(any_form_that_disagrees_is_enough) {
    compile(GUARDED, N(GUARDED));
    const struct str loose = STR("/rest/v1/x"), strict = STR("/rest/v1/admin"), none = STR("/x");
    const struct target targets[] = {
        {.path = strict, .normal = loose, .twice = loose},
        {.path = loose, .normal = strict, .twice = loose},
        {.path = loose, .normal = loose, .twice = strict},
        {.path = loose, .normal = none, .twice = loose},
        {.path = none, .normal = none, .twice = loose},
        {.path = loose, .normal = loose, .twice = loose, .is_evasive = true},
    };
    for (size_t i = 0; i < N(targets); i++) {
        size_t index = SIZE_MAX;
        unsigned allowed;
        ck_assert_int_eq(route_table_match(table, &targets[i], METHOD_GET, &index, &allowed),
                         ROUTE_AMBIGUOUS);
        ck_assert_uint_eq(index, SIZE_MAX);
    }
}
END_TEST

/* ---- against slow and plain models -------------------------------------------------------------- */

static uint32_t random_state = 2463534242;
static size_t random_below(size_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static struct str random_path(char out[256], struct str start, const char *const *pieces,
                              size_t n_pieces) {
    size_t n = start.n;
    memcpy(out, start.at, n);
    for (size_t left = random_below(10); left > 0; left--) {
        const char *piece = pieces[random_below(n_pieces)];
        memcpy(out + n, piece, strlen(piece));
        n += strlen(piece);
    }
    return (struct str){out, n};
}

START_TEST(a_route_that_is_found_is_found_by_upstreams_of_every_leniency) {
    static const char *const pieces[] = {
        "/",       "/",      "rest", "/v1",  "/rest/v1/", "/rest/v1", "admin", "/admin",
        "%61dmin", "secret", ";",    ";x",   "%3b",       "%2f",      "%252f", "\\",
        "%5c",     "%255c",  ".",    "..",   "/..",       "%2e",      "%252e", "//",
        "/./",     "/x",     "/../", "..;/", "%25",       "61"};
    compile(GUARDED, N(GUARDED));
    size_t n_found = 0, n_strict = 0;
    for (int round = 0; round < 40000; round++) {
        char text[256], seen[READINGS_PATH_MAX];
        struct str raw =
            random_path(text, round % 4 ? STR("/rest/v1/") : STR("/"), pieces, N(pieces));
        struct target target;
        size_t index = SIZE_MAX;
        unsigned allowed;
        arena_reset(&arena);
        if (target_parse(&target, STR("GET"), raw, &arena) != TARGET_OK)
            continue;
        if (route_table_match(table, &target, METHOD_GET, &index, &allowed) != ROUTE_FOUND)
            continue;
        n_found++;
        n_strict += index != LOOSE;
        struct str other = find_disagreement(GUARDED, N(GUARDED), raw, (int)index, seen);
        if (other.at)
            ck_abort_msg(STR_FMT ": route %zu, but an upstream may see " STR_FMT, STR_ARG(raw),
                         index, STR_ARG(other));
    }
    ck_assert_uint_gt(n_found, 5000);
    ck_assert_uint_gt(n_strict, 500);
}
END_TEST

START_TEST(random_tables_find_what_a_slow_search_finds) {
    static const char *const pieces[] = {"a", "b", "ab", "/a", "/b", "-", "/ab", "0", "/a/b", "/-"};
    for (int round = 0; round < 3000; round++) {
        char texts[20][256];
        struct route_path paths[20];
        size_t n = 0, bad;
        for (size_t want = 1 + random_below(20); want > 0; want--) {
            struct str text = random_path(texts[n], STR("/"), pieces, N(pieces));
            if (random_below(3) == 0)
                texts[n][text.n++] = '*';
            paths[n++] = (struct route_path){text, METHODS_ANY, 0};
            if (route_table_new(&table, paths, n, &bad) == 0)
                route_table_free(table);
            else
                n--; /* a twin, or not in normal form */
        }
        compile(paths, n);
        for (int i = 0; i < 100; i++) {
            char text[256];
            struct str raw = random_path(text, STR("/"), pieces, N(pieces));
            struct target target = {.path = raw, .normal = raw, .twice = raw};
            size_t index = SIZE_MAX;
            unsigned allowed;
            bool is_found =
                route_table_match(table, &target, METHOD_GET, &index, &allowed) == ROUTE_FOUND;
            int slowly = find_slowly(paths, n, raw);
            EXPECT(is_found == (slowly >= 0));
            EXPECT(!is_found || (int)index == slowly);
        }
        route_table_free(table);
        table = NULL;
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("route/route_table");
    TCase *prefixes = tcase_create("prefixes");
    tcase_add_checked_fixture(prefixes, set_up, tear_down);
    tcase_add_test(prefixes, an_empty_table_has_no_routes);
    tcase_add_test(prefixes, a_prefix_ends_at_a_segment);
    tcase_add_test(prefixes, a_star_opens_the_last_segment);
    tcase_add_test(prefixes, the_longest_prefix_wins_whatever_the_order);
    tcase_add_test(prefixes, a_closed_path_wins_over_the_open_one_of_the_same_text);
    tcase_add_test(prefixes, a_neighbour_in_the_alphabet_does_not_hide_a_prefix);
    tcase_add_test(prefixes, root_and_stars_alone_take_everything);
    tcase_add_test(prefixes, paths_not_in_normal_form_are_refused);
    suite_add_tcase(suite, prefixes);
    TCase *methods = tcase_create("methods");
    tcase_add_checked_fixture(methods, set_up, tear_down);
    tcase_add_test(methods, methods_are_case_sensitive_and_known_twins_are_nobodys);
    tcase_add_test(methods, a_route_takes_its_methods_and_no_others);
    tcase_add_test(methods, a_refused_method_says_which_are_allowed);
    tcase_add_test(methods, a_method_does_not_fall_through_to_a_shorter_prefix);
    tcase_add_test(methods, of_equal_paths_the_methods_choose_and_then_the_rank);
    tcase_add_test(methods, twins_of_one_rank_are_refused);
    tcase_add_test(methods, methods_that_no_route_may_name_are_refused);
    suite_add_tcase(suite, methods);
    TCase *spellings = tcase_create("spellings");
    tcase_set_timeout(spellings, 20);
    tcase_add_checked_fixture(spellings, set_up, tear_down);
    tcase_add_test(spellings, no_spelling_of_a_guarded_path_meets_the_looser_rule);
    tcase_add_test(spellings, odd_spellings_that_mean_one_route_are_served);
    tcase_add_test(spellings, spellings_that_mean_several_routes_are_ambiguous);
    tcase_add_test(spellings, any_form_that_disagrees_is_enough);
    tcase_add_test(spellings, a_route_that_is_found_is_found_by_upstreams_of_every_leniency);
    tcase_add_test(spellings, random_tables_find_what_a_slow_search_finds);
    suite_add_tcase(suite, spellings);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
