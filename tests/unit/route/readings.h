/* SPDX-License-Identifier: MIT */
#pragma once
#include "route/route_table.h"

/* Slow and plain models: what upstreams of every leniency take a path for, and which route covers it. */

struct reading {
    int n_decodes, cuts_after; /* decodes; more than n_decodes: never */
    bool turns, merges, drops_dots, climbs;
};
#define N_READINGS        (3 * 4 * 16)
#define READINGS_PATH_MAX 512

static inline struct reading reading_of(int i) {
    return (struct reading){i / 64, i / 16 % 4, i & 1, i & 2, i & 4, i & 8};
}

static inline int hex_of(char byte) {
    const char *digits = "0123456789abcdef", *at = byte ? strchr(digits, byte | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

static inline size_t decode(char *text, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_coded =
            text[i] == '%' && i + 2 < n && hex_of(text[i + 1]) >= 0 && hex_of(text[i + 2]) >= 0;
        text[kept++] = is_coded ? (char)(hex_of(text[i + 1]) * 16 + hex_of(text[i + 2])) : text[i];
        i += is_coded ? 2 : 0;
    }
    return kept;
}

static inline size_t cut_parameters(char *text, size_t n) {
    size_t kept = 0;
    bool is_cut = false;
    for (size_t i = 0; i < n; i++) {
        is_cut = text[i] == ';' || (is_cut && text[i] != '/');
        if (!is_cut)
            text[kept++] = text[i];
    }
    return kept;
}

/* Slowly and plainly what an upstream of this kind would take `raw` for. */
static inline size_t read_as(const struct reading *reading, struct str raw,
                             char out[READINGS_PATH_MAX]) {
    char text[READINGS_PATH_MAX];
    size_t n = raw.n, n_out = 0;
    memcpy(text, raw.at, n);
    for (int level = 0; level <= reading->n_decodes; level++) {
        n = level > 0 ? decode(text, n) : n;
        for (size_t i = 0; i < n && level == reading->n_decodes && reading->turns; i++)
            text[i] = text[i] == '\\' ? '/' : text[i];
        n = level == reading->cuts_after ? cut_parameters(text, n) : n;
    }
    struct str rest = {text + 1, n - 1}, segment;
    while (str_split(&rest, '/', &segment)) {
        bool is_last = !rest.at;
        bool is_dot = reading->drops_dots && str_eq(segment, STR("."));
        bool is_up = reading->climbs && str_eq(segment, STR(".."));
        while (is_up && n_out > 0 && out[--n_out] != '/')
            ;
        bool is_dropped = is_dot || is_up || (reading->merges && segment.n == 0);
        if (!is_dropped || is_last)
            out[n_out++] = '/';
        if (is_dropped)
            continue;
        memcpy(out + n_out, segment.at, segment.n);
        n_out += segment.n;
    }
    return n_out;
}

/* The longest of `paths` that covers `path`, or -1. */
static inline int find_slowly(const struct route_path *paths, size_t n, struct str path) {
    int best = -1;
    size_t best_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct str text = paths[i].path;
        bool is_open = text.at[text.n - 1] == '*';
        text.n -= is_open;
        if (!str_starts(path, text))
            continue;
        bool ends = is_open || text.n == 1 || path.n == text.n || path.at[text.n] == '/';
        /* Twice the length, and one more for the closed of two. */
        if (ends && 2 * text.n + !is_open > best_n) {
            best = (int)i;
            best_n = 2 * text.n + !is_open;
        }
    }
    return best;
}

/* The first reading of `raw` (shorter than READINGS_PATH_MAX) whose route is not `expected`; its path
 * stands in `seen`. at == NULL when all agree. */
static inline struct str find_disagreement(const struct route_path *paths, size_t n, struct str raw,
                                           int expected, char seen[READINGS_PATH_MAX]) {
    for (int i = 0; i < N_READINGS; i++) {
        struct reading reading = reading_of(i);
        struct str path = {seen, read_as(&reading, raw, seen)};
        if (find_slowly(paths, n, path) != expected)
            return path;
    }
    return STR_NONE;
}
