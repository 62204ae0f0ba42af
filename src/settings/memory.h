/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "settings/settings.h"

/* Everything that settings point to lives in one arena and dies with the last reference. */
struct settings_memory {
    struct settings settings; /* first: what callers hold */
    struct arena arena;
    _Atomic unsigned references;
};

/* Empty, with one reference. NULL when memory is out. */
struct settings_memory *settings_memory_new(void);
