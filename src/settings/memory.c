/* SPDX-License-Identifier: MIT */
/* The life of a snapshot of settings. */
#include "memory.h"

#include <stdatomic.h>
#include <stdlib.h>

struct settings_memory *settings_memory_new(void) {
    struct settings_memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return NULL;
    arena_init(&memory->arena);
    atomic_init(&memory->references, 1);
    return memory;
}

struct settings *settings_ref(struct settings *settings) {
    atomic_fetch_add_explicit(&((struct settings_memory *)settings)->references, 1,
                              memory_order_relaxed);
    return settings;
}

/* The texts live in the arena; those that are secret are overwritten before it goes. */
static void wipe(struct str secret) {
    if (secret.n > 0)
        bytes_wipe((char *)secret.at, secret.n);
}

void settings_unref(struct settings *settings) {
    struct settings_memory *memory = (struct settings_memory *)settings;
    if (!settings || atomic_fetch_sub_explicit(&memory->references, 1, memory_order_acq_rel) != 1)
        return;
    route_table_free(settings->table);
    wipe(settings->project.secret);
    wipe(settings->project.service_role);
    wipe(settings->signing_key);
    wipe(settings->admin_token);
    wipe(settings->redis.url);
    wipe(settings->redis.target.password);
    for (size_t i = 0; settings->sources && i < settings->tokens.n_issuers; i++)
        wipe(settings->sources[i].hs256_secret);
    arena_fini(&memory->arena);
    free(memory);
}
