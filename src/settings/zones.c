/* SPDX-License-Identifier: MIT */
#include "amount.h"

#include "base/file.h"
#include <errno.h>

#define DIRECTORY      "/usr/share/zoneinfo/"
#define FILE_MAX_BYTES (64 * 1024) /* the largest of today have 4 KiB */

static const struct zone *find(const struct settings *s, struct str name) {
    if (str_eq(name, ZONE_UTC.name))
        return &ZONE_UTC; /* needs no file */
    for (const struct zone *zone = s->zones; zone; zone = zone->next)
        if (str_eq(zone->name, name))
            return zone;
    return NULL;
}

static int load(struct zone *zone, struct str name, struct arena *arena) {
    struct buffer bytes = {0};
    struct str path = arena_printf(arena, DIRECTORY STR_FMT, STR_ARG(name));
    int failure = path.at ? file_read(path.at, FILE_MAX_BYTES, 0, &bytes) : -ENOMEM;
    if (failure == 0)
        failure = zone_parse(zone, buffer_bytes(&bytes), arena);
    buffer_release(&bytes);
    return failure == -EFBIG ? -EINVAL : failure;
}

bool read_zone(struct reader *r, const struct branch *b, struct settings *s,
               const struct zone **zone) {
    struct str name;
    if (!read_scalar(r, b, &name, NULL))
        return false;
    *zone = find(s, name);
    if (*zone)
        return true;
    struct zone *loaded = reader_alloc(r, sizeof(*loaded));
    if (!loaded)
        return false;
    int failure = zone_name_is_valid(name) ? load(loaded, name, r->arena) : -ENOENT;
    if (failure < 0) {
        reader_error(r, b,
                     failure == -EINVAL ? "'" STR_FMT "': " DIRECTORY
                                          " has it, but not in a form that is understood"
                                        : "'" STR_FMT
                                          "': no such time zone; expected a name like UTC or "
                                          "Europe/Berlin (package tzdata)",
                     STR_ARG(str_first(name, 64)));
        return false;
    }
    loaded->name = arena_copy(r->arena, name);
    loaded->next = s->zones;
    s->zones = *zone = loaded;
    return loaded->name.at;
}
