/* SPDX-License-Identifier: MIT */
#include "denial_set.h"

#include <errno.h>
#include <stdlib.h>

int denial_set_init(struct denial_set *set) {
    set->map = map_new();
    return set->map ? 0 : -ENOMEM;
}

void denial_set_fini(struct denial_set *set) {
    struct str name;
    void *until;
    for (size_t cursor = 0; set->map && map_next(set->map, &cursor, &name, &until);)
        free(until);
    map_free(set->map);
    set->map = NULL;
}

/* What is over gives its place away. */
static int sweep(struct denial_set *set, int64_t now_s) {
    struct denial_set standing;
    struct str name;
    void *until;
    TRY(denial_set_init(&standing));
    for (size_t cursor = 0; map_next(set->map, &cursor, &name, &until);)
        if (*(int64_t *)until > now_s && map_put(standing.map, name, until) < 0) {
            map_free(standing.map);
            return -ENOMEM;
        }
    for (size_t cursor = 0; map_next(set->map, &cursor, &name, &until);)
        if (*(int64_t *)until <= now_s)
            free(until);
    map_free(set->map);
    *set = standing;
    return 0;
}

static int enter(struct denial_set *set, struct str name, int64_t until_s, int64_t now_s,
                 size_t n_most) {
    if (map_count(set->map) >= n_most)
        TRY(sweep(set, now_s));
    if (map_count(set->map) >= n_most)
        return -ENOSPC;
    int64_t *until = malloc(sizeof(*until));
    if (!until)
        return -ENOMEM;
    *until = until_s;
    int failure = map_put(set->map, name, until);
    if (failure < 0)
        free(until);
    return failure;
}

int denial_set_put(struct denial_set *set, struct str name, int64_t until_s, int64_t now_s,
                   size_t n_most) {
    int64_t *until = map_get(set->map, name);
    if (until_s <= now_s)
        free(map_remove(set->map, name));
    else if (until)
        *until = until_s;
    else
        return enter(set, name, until_s, now_s, n_most);
    return 0;
}

struct deny_list *denial_set_list(struct denial_set *set, int64_t now_s) {
    struct deny_list *list = deny_list_new();
    struct str name;
    void *until;
    for (size_t cursor = 0; list && map_next(set->map, &cursor, &name, &until);)
        if (*(int64_t *)until > now_s && deny_list_add(list, name, *(int64_t *)until) == -ENOMEM) {
            deny_list_unref(list);
            return NULL;
        }
    return list;
}
