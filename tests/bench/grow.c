/* SPDX-License-Identifier: MIT */
/* One step of a request against tables that grow, for callgrind to count (tests/bench/grow.py): what stands in `measured` and below is counted,
 * making the tables is not. Prints how often it was called, and the bytes that each subject takes.
 *
 *     grow subjects N | routes N | policies N | keys JWKS KID */
#include "auth/keyset.h"
#include "base/arena.h"
#include "base/hash.h"
#include "limit/limiter.h"
#include "route/route_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS  2000
#define DIGITS 24

static const struct now now = {.mono_ns = 1000 * NS_PER_S, .wall_ns = 1700000000 * NS_PER_S};

/* What is called for each request, with whatever it is told. Not inlined, not cloned: it is looked for by its name. */
void measured(void (*step)(size_t i, void *arg), size_t i, void *arg);
__attribute__((noipa)) void measured(void (*step)(size_t i, void *arg), size_t i, void *arg) {
    step(i, arg);
}

/* Far apart, so that neighbours in the table are no help. */
static size_t scatter(size_t i, size_t n) { return (size_t)(i * UINT64_C(2654435761) % n); }

static struct str spell(char out[DIGITS], const char *format, size_t i) {
    return (struct str){out, (size_t)snprintf(out, DIGITS, format, i)};
}

/* ---- limits: many subjects of one policy, or one of many */

struct limits {
    struct memory_limits *table;
    struct limit_policy policies[LIMITER_CHARGES_MAX];
    size_t n_policies, n_subjects;
};

static void limit_one(size_t i, void *arg) {
    const struct limits *limits = arg;
    struct limit_charge charges[LIMITER_CHARGES_MAX];
    char subject[DIGITS];
    struct str key = spell(subject, "%zu", i);
    for (size_t at = 0; at < limits->n_policies; at++)
        charges[at] = (struct limit_charge){.policy = &limits->policies[at], .key = key, .cost = 1};
    struct limit_outcome outcome = limiter_take(limits->table, charges, limits->n_policies, &now);
    assert(outcome.allowed);
}

static void limit_scattered(size_t i, void *arg) {
    const struct limits *limits = arg;
    limit_one(scatter(i, limits->n_subjects), arg);
}

static void grow_limits(size_t n_subjects, size_t n_policies) {
    static const char *const NAMES[LIMITER_CHARGES_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct limits limits = {.table = memory_limits_new(&MEMORY_LIMITS_DEFAULT),
                            .n_policies = n_policies,
                            .n_subjects = n_subjects};
    assert(limits.table && n_policies <= LIMITER_CHARGES_MAX && n_subjects > 0);
    for (size_t i = 0; i < n_policies; i++)
        limits.policies[i] = (struct limit_policy){.name = str_of(NAMES[i]),
                                                   .id = str_of(NAMES[i]),
                                                   .counter = str_of(NAMES[i]),
                                                   .kind = LIMIT_RATE,
                                                   .rate = {NS_PER_S * 60, 1000, 1000}};
    for (size_t i = 0; i < n_subjects; i++)
        limit_one(i, &limits);
    for (size_t i = 0; i < CALLS; i++)
        measured(limit_scattered, i % 100, &limits);
    struct memory_limits_stats stats = memory_limits_stats(limits.table);
    printf("%d %.1f\n", CALLS, (double)stats.total_bytes / (double)(n_subjects * n_policies));
    memory_limits_free(limits.table);
}

/* ---- routes */

struct routes {
    struct route_table *table;
    struct target *targets;
    size_t n;
};

static void match_one(size_t i, void *arg) {
    const struct routes *routes = arg;
    size_t found;
    unsigned allowed;
    enum route_verdict verdict = route_table_match(
        routes->table, &routes->targets[scatter(i, routes->n)], METHOD_GET, &found, &allowed);
    assert(verdict == ROUTE_FOUND);
}

static void grow_routes(size_t n) {
    struct arena arena;
    struct routes routes = {.targets = calloc(n, sizeof(*routes.targets)), .n = n};
    struct route_path *paths = calloc(n, sizeof(*paths));
    size_t bad;
    arena_init(&arena);
    assert(routes.targets && paths);
    for (size_t i = 0; i < n; i++) {
        paths[i] = (struct route_path){.path = arena_printf(&arena, "/rest/v1/table-%zu", i),
                                       .methods = METHODS_ANY};
        struct str raw = arena_printf(&arena, "/rest/v1/table-%zu/rows?id=eq.1", i);
        enum target_verdict verdict = target_parse(&routes.targets[i], STR("GET"), raw, &arena);
        assert(verdict == TARGET_OK);
    }
    int made = route_table_new(&routes.table, paths, n, &bad);
    assert(made == 0);
    for (size_t i = 0; i < CALLS; i++)
        measured(match_one, i, &routes);
    printf("%d 0\n", CALLS);
    route_table_free(routes.table);
    free(routes.targets);
    free(paths);
    arena_fini(&arena);
}

/* ---- keys */

struct keys {
    struct keyset *set;
    struct str kid;
};

static void find_key(size_t i, void *arg) {
    const struct keys *keys = arg;
    size_t cursor = 0;
    const struct key *key = keyset_find(keys->set, keys->kid, ALGORITHM_ES256, &cursor);
    assert(key);
    (void)i;
}

static void grow_keys(const char *path, const char *kid) {
    static char document[KEYSET_BYTES_MAX];
    struct keys keys = {.kid = str_of(kid)};
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL};
    char why[160];
    FILE *file = fopen(path, "re");
    assert(file);
    struct str text = {document, fread(document, 1, sizeof(document), file)};
    fclose(file);
    int parsed = keyset_parse(&keys.set, text, &options, why);
    assert(parsed == 0);
    for (size_t i = 0; i < CALLS; i++)
        measured(find_key, i, &keys);
    printf("%d 0\n", CALLS);
    keyset_unref(keys.set);
}

int main(int argc, char **argv) {
    const char *curve = argc > 2 ? argv[1] : "";
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (strcmp(curve, "subjects") == 0)
        grow_limits(n, 1);
    else if (strcmp(curve, "policies") == 0)
        grow_limits(1000, n);
    else if (strcmp(curve, "routes") == 0)
        grow_routes(n);
    else if (strcmp(curve, "keys") == 0 && argc == 4)
        grow_keys(argv[2], argv[3]);
    else
        return fputs("usage: grow subjects N | routes N | policies N | keys JWKS KID\n", stderr), 2;
    return 0;
}
