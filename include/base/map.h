/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"

/* From byte strings to pointers: open addressing, keyed hash, one thread. Keys are copied, values are the caller's. */
struct map;

struct map *map_new(void) MUST_USE;                   /* NULL when memory is out */
void map_free(struct map *map);                       /* takes NULL; the values are not touched */
void *map_get(const struct map *map, struct str key); /* NULL when absent */
/* Replaces; value != NULL. -ENOMEM. */
int map_put(struct map *map, struct str key, void *value) MUST_USE;
void *map_remove(struct map *map, struct str key); /* the value, or NULL */
size_t map_count(const struct map *map);
/* Walk all: start with *cursor = 0; false at the end. The map must not change meanwhile. */
bool map_next(const struct map *map, size_t *cursor, struct str *key, void **value);
