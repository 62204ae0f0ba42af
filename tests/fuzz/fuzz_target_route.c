/* SPDX-License-Identifier: MIT */
/* Any bytes as a target before a strict rule inside a looser one: a route that is found is the one that upstreams of every
 * leniency would find, whatever they decode, turn, cut, merge or resolve. */
#include "../unit/route/readings.h"
#include "must.h"
#include "route/route_table.h"

#define PATH(text) \
    { {text, sizeof(text) - 1}, METHODS_ANY, 0 }
static const struct route_path PATHS[] = {PATH("/rest/v1"), PATH("/rest/v1/admin*"),
                                          PATH("/rest/v1/secret"), PATH("/r/*"), PATH("/r/s")};
#define N_PATHS (sizeof(PATHS) / sizeof(*PATHS))

static void is_found_by_all(const struct target *target, enum route_verdict verdict, size_t index) {
    char seen[READINGS_PATH_MAX];
    int expected = verdict == ROUTE_FOUND ? (int)index : -1;
    struct str other = find_disagreement(PATHS, N_PATHS, target->path, expected, seen);
    if (other.at)
        fprintf(stderr, STR_FMT ": route %d, but an upstream may see " STR_FMT "\n",
                STR_ARG(target->path), expected, STR_ARG(other));
    must(!other.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct route_table *table;
    struct target target;
    struct arena arena;
    size_t index = SIZE_MAX;
    unsigned allowed = 0;
    if (size >= READINGS_PATH_MAX)
        return 0;
    char *block = block_of((struct str){(const char *)data, size});
    must(route_table_new(&table, PATHS, N_PATHS, &index) == 0);
    arena_init(&arena);
    if (target_parse(&target, STR("GET"), (struct str){block, size}, &arena) == TARGET_OK) {
        enum route_verdict verdict =
            route_table_match(table, &target, METHOD_GET, &index, &allowed);
        must(verdict != ROUTE_METHOD);
        if (verdict != ROUTE_AMBIGUOUS)
            is_found_by_all(&target, verdict, index);
    }
    arena_fini(&arena);
    route_table_free(table);
    free(block);
    return 0;
}
