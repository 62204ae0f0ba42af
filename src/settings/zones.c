/* SPDX-License-Identifier: MIT */
#include "amount.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
    char bytes[FILE_MAX_BYTES];
    struct str path = arena_printf(arena, DIRECTORY STR_FMT, STR_ARG(name));
    if (!path.at)
        return -ENOMEM;
    CLEANUP(cleanup_close) int fd = open(path.at, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, bytes, sizeof(bytes)); /* a regular file gives all at once */
    if (n < 0)
        return -errno;
    return n == FILE_MAX_BYTES ? -EINVAL : zone_parse(zone, (struct str){bytes, (size_t)n}, arena);
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
