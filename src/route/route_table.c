/* SPDX-License-Identifier: MIT */
/* Longest prefix by one binary search. Where a path would stand among the sorted prefixes, everything
 * that it begins with stands before it; and the longest of these is the entry just before, or else one
 * that this entry begins with too. So each entry knows its parent, and the search goes up from there:
 *
 *      entries            parent (the longest other entry that it begins with)
 *      /                    -
 *      /functions/v1        /
 *      /rest/v1             /
 *      /rest/v1/rpc/a *     /rest/v1
 *      /rest/v1/rpc/a       /rest/v1/rpc/a *
 *                      <--- /rest/v1/rpc/abc would stand here: not below `/a`, but below `/a*`
 *      /storage/v1          /
 *
 * The first on the way up that covers the path is the longest. There are at most as many parents as
 * the path has bytes, and few in any real table.
 *
 * Why three forms of the path decide for all: an upstream may decode, cut parameters, turn '\', merge
 * slashes and drop "." in any combination, which no one can list. But a prefix has none of what these
 * touch, so a path that a prefix covers stays covered by it (or a longer one) when more of them are
 * done. The raw path is where none is done and `twice` where all are: where these ends meet in one
 * route, so does everything between. Two things take back what stood before them, ".." and a ';'
 * whose parameter ends elsewhere for some: paths with these are evasive and refused. No client that
 * resolves its own URLs will notice. */
#include "route/route_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define NO_PARENT SIZE_MAX

/* One way to choose: a route's methods under a path. Of one path, those of higher rank stand first. */
struct rule {
    struct str text; /* the path without its `*` */
    bool is_open;    /* had one: covers what merely begins with the text */
    unsigned methods;
    int rank;
    size_t index; /* the caller's route */
};

/* All rules of one path. */
struct entry {
    struct str text;
    bool is_open;
    unsigned methods;
    size_t first, n; /* in rules */
    size_t parent;
};

struct route_table {
    struct rule *rules; /* sorted */
    size_t n_rules;
    struct entry *entries; /* sorted */
    size_t n_entries;
};

/* ---- methods ----------------------------------------------------------------------------------- */

static const struct {
    struct str name;
    enum method method;
} METHODS[] = {
    {{"GET", 3}, METHOD_GET},         {{"HEAD", 4}, METHOD_HEAD},   {{"POST", 4}, METHOD_POST},
    {{"PUT", 3}, METHOD_PUT},         {{"PATCH", 5}, METHOD_PATCH}, {{"DELETE", 6}, METHOD_DELETE},
    {{"OPTIONS", 7}, METHOD_OPTIONS}, {{"TRACE", 5}, METHOD_NEVER}, {{"CONNECT", 7}, METHOD_NEVER},
};

/* RFC 9110 9.1: "The method token is case-sensitive". An upstream that thinks otherwise must not see
 * as GET what was judged as an extension. */
enum method method_of(struct str name) {
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(*METHODS); i++)
        if (str_eq_nocase(name, METHODS[i].name))
            return str_eq(name, METHODS[i].name) ? METHODS[i].method : METHOD_NEVER;
    return METHOD_OTHER;
}

/* RFC 9110 9.3.2: HEAD is GET without the content. */
static unsigned with_head(unsigned methods) {
    return methods & METHOD_GET ? methods | METHOD_HEAD : methods;
}

/* ---- compile ----------------------------------------------------------------------------------- */

/* What the raw path and its normal form may share: nothing that a reading would change. */
static bool is_normal(struct str text, bool is_open) {
    if (text.n == 0 || text.at[0] != '/')
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~' || strchr("%;\\?#*", text.at[i]))
            return false;
    if (text.n == 1)
        return true;
    struct str rest = str_skip(text, 1), segment;
    while (str_split(&rest, '/', &segment)) {
        bool is_last = !rest.at;
        if (segment.n == 0 && !(is_last && is_open))
            return false;
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return false;
    }
    return true;
}

static bool rule_of(const struct route_path *path, size_t index, struct rule *rule) {
    struct str text = str_eq(path->path, STR("*")) ? STR("/*") : path->path;
    bool is_open = text.n > 0 && text.at[text.n - 1] == '*';
    text = str_first(text, text.n - is_open);
    *rule = (struct rule){.text = text,
                          .is_open = is_open || text.n == 1, /* nothing begins with less */
                          .methods = with_head(path->methods),
                          .rank = path->rank,
                          .index = index};
    return is_normal(text, is_open) && path->methods != 0 && !(path->methods & ~METHODS_ANY);
}

/* The shorter first; of equal texts the open one, which covers more. */
static int path_compare(const struct rule *a, const struct rule *b) {
    int by_text = str_compare(a->text, b->text);
    return by_text ? by_text : b->is_open - a->is_open;
}

static int rule_compare(const void *a_, const void *b_) {
    const struct rule *a = a_, *b = b_;
    int by_path = path_compare(a, b);
    if (by_path)
        return by_path;
    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Two rules of one path, rank and method would leave it to chance which applies. Returns the later's
 * place, or n. */
static size_t find_twin(const struct rule *rules, size_t n) {
    unsigned taken = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_peer =
            i > 0 && !path_compare(&rules[i - 1], &rules[i]) && rules[i - 1].rank == rules[i].rank;
        if (is_peer && (taken & rules[i].methods))
            return i;
        taken = rules[i].methods | (is_peer ? taken : 0);
    }
    return n;
}

static void entries_fill(struct route_table *table) {
    for (size_t i = 0; i < table->n_rules; i++) {
        const struct rule *rule = &table->rules[i];
        struct entry *entry = &table->entries[table->n_entries];
        if (i > 0 && !path_compare(rule - 1, rule)) {
            entry[-1].n++;
            entry[-1].methods |= rule->methods;
            continue;
        }
        size_t parent = table->n_entries - 1; /* NO_PARENT of the first */
        while (parent != NO_PARENT && !str_starts(rule->text, table->entries[parent].text))
            parent = table->entries[parent].parent;
        *entry = (struct entry){rule->text, rule->is_open, rule->methods, i, 1, parent};
        table->n_entries++;
    }
}

int route_table_new(struct route_table **out, const struct route_path *paths, size_t n,
                    size_t *bad) {
    struct route_table *table = calloc(1, sizeof(*table));
    if (!table)
        return -ENOMEM;
    table->rules = calloc(n + 1, sizeof(*table->rules));
    table->entries = calloc(n + 1, sizeof(*table->entries));
    int result = table->rules && table->entries ? 0 : -ENOMEM;
    for (; !result && table->n_rules < n; table->n_rules++) {
        *bad = table->n_rules;
        if (!rule_of(&paths[*bad], *bad, &table->rules[*bad]))
            result = -EINVAL;
    }
    if (!result) {
        qsort(table->rules, n, sizeof(*table->rules), rule_compare);
        size_t twin = find_twin(table->rules, n);
        if (twin < n) {
            *bad = table->rules[twin].index;
            result = -EEXIST;
        }
    }
    if (result) {
        route_table_free(table);
        return result;
    }
    entries_fill(table);
    *out = table;
    return 0;
}

void route_table_free(struct route_table *table) {
    if (!table)
        return;
    free(table->entries);
    free(table->rules);
    free(table);
}

/* ---- match ------------------------------------------------------------------------------------- */

/* A decoded '?' or '#' may be taken for the path's end by who decodes before splitting. */
static bool ends_segment(char byte) { return byte == '/' || byte == '?' || byte == '#'; }

static bool entry_covers(const struct entry *entry, struct str path) {
    if (!str_starts(path, entry->text))
        return false;
    return entry->is_open || path.n == entry->text.n || ends_segment(path.at[entry->text.n]);
}

static const struct entry *find_longest(const struct route_table *table, struct str path) {
    size_t low = 0, high = table->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(table->entries[middle].text, path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low - 1; i != NO_PARENT; i = table->entries[i].parent)
        if (entry_covers(&table->entries[i], path))
            return &table->entries[i];
    return NULL;
}

/* Does another reading of the path find the same? A plain path is its own reading. */
static bool finds_same(const struct route_table *table, const struct entry *entry, struct str path,
                       struct str reading) {
    bool is_same = reading.at == path.at && reading.n == path.n;
    return is_same || find_longest(table, reading) == entry;
}

enum route_verdict route_table_match(const struct route_table *table, const struct target *target,
                                     enum method method, size_t *index, unsigned *allowed) {
    const struct entry *entry = find_longest(table, target->path);
    if (target->is_evasive || !finds_same(table, entry, target->path, target->normal) ||
        !finds_same(table, entry, target->path, target->twice))
        return ROUTE_AMBIGUOUS;
    if (!entry)
        return ROUTE_NONE;
    assert(entry->n > 0);
    for (size_t i = entry->first; i < entry->first + entry->n; i++) {
        if (!(table->rules[i].methods & method))
            continue;
        *index = table->rules[i].index;
        return ROUTE_FOUND;
    }
    *allowed = entry->methods;
    return ROUTE_METHOD;
}
