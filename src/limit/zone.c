/* SPDX-License-Identifier: MIT */
/* A TZif file says everything twice: in 32 bits for old readers, which is skipped here, and in 64.
 *
 *     header, 32-bit block | header, 64-bit block | \n rule \n
 *                            block: times, type of each, types (offset, is summer, name), names, leap seconds, flags
 */
#include "limit/zone.h"

#include <errno.h>

#define HEADER_BYTES    44
#define TYPE_BYTES      6
#define NAME_MAX_BYTES  64
#define OFFSET_LEAST_S  (-25 * 3600) /* RFC 9636 3.2: utoff is within these */
#define OFFSET_MOST_S   (26 * 3600)
#define TRANSITIONS_MAX 2000 /* the longest of today have about 250 */

const struct zone ZONE_UTC = {.name = {"UTC", 3}};

bool zone_name_is_valid(struct str name) {
    struct str part;
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    while (str_split(&name, '/', &part)) {
        for (size_t i = 0; i < part.n; i++) {
            char c = part.at[i], lower = (char)(c | 32);
            if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
                c != '-' && c != '+')
                return false;
        }
        if (part.n == 0)
            return false;
    }
    return true;
}

/* ---- reading ---- */

static int64_t big_endian(const char *at, size_t n) {
    uint64_t value = (unsigned char)at[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | (unsigned char)at[i];
    return (int64_t)value;
}

struct block {
    int64_t n_utc_flags, n_standard_flags, n_leaps, n_times, n_types, n_name_bytes;
};

/* Takes a header from *rest; `time_bytes` is how wide its block's times are. */
static bool take_header(struct str *rest, int64_t time_bytes, struct block *block, size_t *bytes) {
    if (rest->n < HEADER_BYTES || !str_starts(*rest, STR("TZif")) || rest->at[4] < '2')
        return false;
    int64_t *const counts[] = {&block->n_utc_flags, &block->n_standard_flags, &block->n_leaps,
                               &block->n_times,     &block->n_types,          &block->n_name_bytes};
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = big_endian(rest->at + 20 + 4 * i, 4);
        if (*counts[i] < 0)
            return false;
    }
    *rest = str_skip(*rest, HEADER_BYTES);
    int64_t total = block->n_times * (time_bytes + 1) + block->n_types * TYPE_BYTES +
                    block->n_name_bytes + block->n_leaps * (time_bytes + 4) +
                    block->n_standard_flags + block->n_utc_flags;
    *bytes = (size_t)total;
    return *bytes <= rest->n;
}

static int read_block(struct zone *zone, const char *at, const struct block *block,
                      struct arena *arena) {
    const char *kinds = at + 8 * block->n_times, *types = kinds + block->n_times;
    if (block->n_leaps != 0 || block->n_types < 1 || block->n_times > TRANSITIONS_MAX)
        return -EINVAL;
    for (int64_t i = 0; i < block->n_types; i++) {
        int64_t offset_s = big_endian(types + TYPE_BYTES * i, 4);
        if (offset_s < OFFSET_LEAST_S || offset_s > OFFSET_MOST_S)
            return -EINVAL;
    }
    struct zone_transition *list =
        arena_zalloc(arena, (size_t)(block->n_times + 1) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (int64_t i = 0; i < block->n_times; i++) {
        unsigned char kind = (unsigned char)kinds[i];
        list[i].at_s = big_endian(at + 8 * i, 8);
        if (kind >= block->n_types || (i > 0 && list[i].at_s <= list[i - 1].at_s))
            return -EINVAL;
        list[i].offset_s = (int32_t)big_endian(types + TYPE_BYTES * kind, 4);
    }
    zone->transitions = list;
    zone->n_transitions = (size_t)block->n_times;
    zone->first_offset_s = (int32_t)big_endian(types, 4);
    return 0;
}

int zone_parse(struct zone *zone, struct str bytes, struct arena *arena) {
    struct block block;
    size_t n;
    *zone = (struct zone){0};
    if (!take_header(&bytes, 4, &block, &n))
        return -EINVAL;
    bytes = str_skip(bytes, n);
    if (!take_header(&bytes, 8, &block, &n))
        return -EINVAL;
    TRY(read_block(zone, bytes.at, &block, arena));
    bytes = str_skip(bytes, n);
    if (bytes.n < 2 || bytes.at[0] != '\n' || bytes.at[bytes.n - 1] != '\n')
        return -EINVAL;
    struct str rule = {bytes.at + 1, bytes.n - 2};
    zone->has_rule = rule.n > 0;
    return zone->has_rule && !zone_rule_parse(&zone->rule, rule) ? -EINVAL : 0;
}

/* ---- asking ---- */

struct zone_span zone_at(const struct zone *zone, int64_t unix_s) {
    size_t low = 0, high = zone->n_transitions; /* the first transition after unix_s */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->transitions[middle].at_s <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < zone->n_transitions)
        return (struct zone_span){low ? zone->transitions[low - 1].offset_s : zone->first_offset_s,
                                  zone->transitions[low].at_s};
    if (zone->has_rule)
        return zone_rule_at(&zone->rule, unix_s);
    return (struct zone_span){low ? zone->transitions[low - 1].offset_s : zone->first_offset_s,
                              INT64_MAX};
}

int64_t zone_first_at(const struct zone *zone, int64_t local_s) {
    int64_t from_s = local_s - OFFSET_MOST_S;
    for (;;) {
        struct zone_span span = zone_at(zone, from_s);
        int64_t shown_s = local_s - span.offset_s;
        if (shown_s < from_s)
            shown_s = from_s;
        if (shown_s < span.until_s)
            return shown_s;
        from_s = span.until_s;
    }
}
