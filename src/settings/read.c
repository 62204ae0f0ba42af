/* SPDX-License-Identifier: MIT */
#include "read.h"

#include "http/fields.h"
#include "settings/units.h"
#include <stdio.h>

static void list_keys(const struct entry *entries, size_t n, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        int more = snprintf(out + used, size - used, "%s%s", i ? ", " : "", entries[i].key);
        used += more > 0 ? (size_t)more : 0;
    }
}

static bool is_known(const struct entry *entries, size_t n, struct str key) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(key, str_of(entries[i].key)))
            return true;
    return false;
}

static bool refuse_unknown(struct reader *r, const struct branch *map, const struct entry *entries,
                           size_t n) {
    bool is_good = true;
    for (const struct branch *b = map->children; b; b = b->next)
        if (!is_known(entries, n, b->key)) {
            char known[400];
            const struct branch name = {
                .key = b->key, .line = b->name_line, .column = b->name_column};
            list_keys(entries, n, known, sizeof(known));
            reader_error(r, &name, "no such setting here; known are: %s", known);
            is_good = false;
        }
    return is_good;
}

static bool read_default(struct reader *r, const struct branch *map, const struct entry *entry,
                         void *target) {
    struct branch value = {
        .key = str_of(entry->key), .text = str_of(entry->fallback), .is_default = true};
    if (strcmp(entry->fallback, "!") == 0) {
        reader_error(r, map, "the setting '%s' is missing", entry->key);
        return false;
    }
    return entry->read(r, &value, (char *)target + entry->offset);
}

bool read_section(struct reader *r, const struct branch *map, const struct entry *entries, size_t n,
                  void *target) {
    if (map && map->kind != BRANCH_MAP &&
        !(map->kind == BRANCH_SCALAR && map->is_plain && map->text.n == 0)) {
        reader_error(r, map, "expected settings as { name: value }");
        return false;
    }
    bool is_good = !map || refuse_unknown(r, map, entries, n);
    for (size_t i = 0; i < n; i++) {
        const struct branch *value = tree_member(map, entries[i].key);
        if (value)
            is_good &= entries[i].read(r, value, (char *)target + entries[i].offset);
        else if (entries[i].fallback)
            is_good &= read_default(r, map, &entries[i], target);
    }
    return is_good;
}

bool read_string(struct reader *r, const struct branch *b, void *target) {
    return read_scalar(r, b, target, NULL);
}

static bool refuse_spaces(struct reader *r, const struct branch *b, struct str text) {
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 127) {
            reader_error(r, b, "has a space or control character in it");
            return false;
        }
    return true;
}

bool read_key(struct reader *r, const struct branch *b, void *target) {
    return read_scalar(r, b, target, NULL) && refuse_spaces(r, b, *(struct str *)target);
}

/* An empty secret is a hole that looks like a wall: only a variable that is not set at all means "none". */
bool read_secret(struct reader *r, const struct branch *b, void *target) {
    struct str *secret = target;
    bool is_unset;
    if (!read_scalar(r, b, secret, &is_unset))
        return false;
    if (secret->n == 0 && !is_unset) {
        reader_error(r, b, "is set but empty; unset it or give it a value");
        return false;
    }
    return refuse_spaces(r, b, *secret);
}

static bool read_unit(struct reader *r, const struct branch *b,
                      bool (*unit)(struct str, int64_t *, const char **), int64_t *value) {
    struct str text;
    const char *why;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    if (unit(text, value, &why))
        return true;
    reader_error(r, b, "'" STR_FMT "': %s", STR_ARG(str_first(text, 60)), why);
    return false;
}

bool read_duration(struct reader *r, const struct branch *b, void *target) {
    return read_unit(r, b, unit_duration, target);
}

static bool read_multiple(struct reader *r, const struct branch *b, int64_t unit_ns,
                          const char *name, int64_t *value) {
    int64_t ns;
    if (!read_duration(r, b, &ns))
        return false;
    if (ns % unit_ns != 0) {
        reader_error(r, b, "expected whole %s", name);
        return false;
    }
    *value = ns / unit_ns;
    return true;
}

bool read_seconds(struct reader *r, const struct branch *b, void *target) {
    return read_multiple(r, b, NS_PER_S, "seconds", target);
}

bool read_milliseconds(struct reader *r, const struct branch *b, void *target) {
    return read_multiple(r, b, NS_PER_MS, "milliseconds", target);
}

static bool is_more_than_nothing(struct reader *r, const struct branch *b, int64_t value) {
    if (value == 0)
        reader_error(r, b, "expected more than nothing");
    return value > 0;
}

bool read_timeout(struct reader *r, const struct branch *b, void *target) {
    return read_duration(r, b, target) && is_more_than_nothing(r, b, *(int64_t *)target);
}

bool read_timeout_seconds(struct reader *r, const struct branch *b, void *target) {
    return read_seconds(r, b, target) && is_more_than_nothing(r, b, *(int64_t *)target);
}

bool read_timeout_milliseconds(struct reader *r, const struct branch *b, void *target) {
    return read_milliseconds(r, b, target) && is_more_than_nothing(r, b, *(int64_t *)target);
}

static bool unit_size_signed(struct str text, int64_t *value, const char **why) {
    uint64_t bytes;
    if (!unit_size(text, &bytes, why))
        return false;
    *value = (int64_t)bytes;
    return true;
}

bool read_size(struct reader *r, const struct branch *b, void *target) {
    int64_t value;
    if (!read_unit(r, b, unit_size_signed, &value))
        return false;
    *(uint64_t *)target = (uint64_t)value;
    return true;
}

bool read_size32(struct reader *r, const struct branch *b, void *target) {
    uint64_t value;
    if (!read_size(r, b, &value))
        return false;
    if (value < 256 || value > (16u << 20)) {
        reader_error(r, b, "expected 256 bytes to 16MiB");
        return false;
    }
    *(uint32_t *)target = (uint32_t)value;
    return true;
}

static bool read_number(struct reader *r, const struct branch *b, uint64_t least, uint64_t most,
                        uint64_t *value) {
    struct str text;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    if (str_to_u64(text, value) && *value >= least && *value <= most)
        return true;
    reader_error(r, b, "'" STR_FMT "': expected a whole number from %llu to %llu",
                 STR_ARG(str_first(text, 60)), (unsigned long long)least, (unsigned long long)most);
    return false;
}

bool read_count(struct reader *r, const struct branch *b, void *target) {
    uint64_t value;
    if (!read_number(r, b, 1, 1000000000, &value))
        return false;
    *(size_t *)target = (size_t)value;
    return true;
}

bool read_range32(struct reader *r, const struct branch *b, uint32_t least, uint32_t most,
                  uint32_t *value) {
    uint64_t number;
    if (!read_number(r, b, least, most, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

bool read_count32(struct reader *r, const struct branch *b, void *target) {
    return read_range32(r, b, 0, 1000000000, target);
}

bool read_some32(struct reader *r, const struct branch *b, void *target) {
    return read_range32(r, b, 1, 1000000000, target);
}

bool read_cost(struct reader *r, const struct branch *b, void *target) {
    uint64_t value;
    if (!read_number(r, b, 0, 1000000, &value))
        return false;
    *(int64_t *)target = (int64_t)value;
    return true;
}

bool read_choice(struct reader *r, const struct branch *b, const char *const *names, size_t n,
                 int *choice) {
    struct str text;
    char known[200];
    size_t used = 0;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(text, str_of(names[i]))) {
            *choice = (int)i;
            return true;
        }
        int more = snprintf(known + used, sizeof(known) - used, "%s%s",
                            i == 0       ? ""
                            : i + 1 == n ? " or "
                                         : ", ",
                            names[i]);
        used += more > 0 && used + (size_t)more < sizeof(known) ? (size_t)more : 0;
    }
    reader_error(r, b, "'" STR_FMT "': expected %s", STR_ARG(str_first(text, 60)), known);
    return false;
}

bool read_bool(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"false", "true"};
    int choice;
    if (!read_choice(r, b, names, 2, &choice))
        return false;
    *(bool *)target = choice == 1;
    return true;
}

static bool read_text(struct reader *r, const struct branch *b, struct str *text) {
    if (!read_scalar(r, b, text, NULL))
        return false;
    if (text->n > 0)
        return true;
    reader_error(r, b, "expected a value, not nothing");
    return false;
}

bool read_strings_or_none(struct reader *r, const struct branch *b, void *target) {
    struct strings *strings = target;
    size_t n = b->kind == BRANCH_LIST ? tree_count(b) : 1, i = 0;
    struct str *list = reader_alloc(r, n * sizeof(*list));
    if (!list)
        return false;
    const struct branch *child = b->kind == BRANCH_LIST ? b->children : b;
    for (; i < n; i++, child = child->next) {
        struct branch named = *child;
        named.key = b->key;
        if (!read_text(r, &named, &list[i]))
            return false;
    }
    *strings = (struct strings){list, n};
    return true;
}

/* An empty list reads like "nobody" and would mean "any" or "the default" in most places. */
static bool names_something(struct reader *r, const struct branch *b) {
    bool is_empty = b->kind == BRANCH_LIST && !b->children;
    if (is_empty)
        reader_error(r, b, "expected at least one value");
    return !is_empty;
}

bool read_strings(struct reader *r, const struct branch *b, void *target) {
    return names_something(r, b) && read_strings_or_none(r, b, target);
}

bool read_cidrs(struct reader *r, const struct branch *b, void *target) {
    return names_something(r, b) && read_cidrs_or_none(r, b, target);
}

static bool refuse_network(struct reader *r, const struct branch *b, struct str text) {
    struct cidr around;
    char network[IP_TEXT_MAX];
    if (cidr_around(text, &around)) {
        struct str bits = str_skip(text, str_index(text, '/'));
        ip_text(&around.network, network);
        reader_error(r, b,
                     "'" STR_FMT "' is an address in a network: expected the network, %s" STR_FMT
                     ", or the address alone",
                     STR_ARG(text), network, STR_ARG(bits));
    } else {
        reader_error(r, b,
                     "'" STR_FMT "': expected an address or a network like 10.0.0.0/8 or fd00::/8",
                     STR_ARG(str_first(text, 60)));
    }
    return false;
}

bool read_cidrs_or_none(struct reader *r, const struct branch *b, void *target) {
    struct cidrs *cidrs = target;
    struct strings texts = {0};
    if (!read_strings_or_none(r, b, &texts))
        return false;
    struct cidr *list = reader_alloc(r, texts.n * sizeof(*list));
    for (size_t i = 0; list && i < texts.n; i++)
        if (!cidr_parse(texts.list[i], &list[i]))
            return refuse_network(r, b, texts.list[i]);
    *cidrs = (struct cidrs){list, texts.n};
    return list;
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

bool check_name(struct reader *r, const struct branch *at, struct str name) {
    bool is_good = name.n > 0 && name.n <= 64;
    for (size_t i = 0; is_good && i < name.n; i++)
        is_good = is_name_byte(name.at[i]);
    if (!is_good)
        reader_error(r, at, "'" STR_FMT "': a name is 1 to 64 letters, digits, '_', '-', '.'",
                     STR_ARG(str_first(name, 60)));
    return is_good;
}

bool read_name(struct reader *r, const struct branch *b, void *target) {
    return read_scalar(r, b, target, NULL) && check_name(r, b, *(struct str *)target);
}

bool read_claim_path(struct reader *r, const struct branch *b, struct str path,
                     struct claim_paths *paths, size_t *index) {
    int found = path.n > 0 ? claim_paths_add(paths, path) : -1;
    if (found < 0) {
        reader_error(r, b,
                     path.n > 0 ? "more than %d different claims are asked for"
                                : "expected a claim's path, like app_metadata.plan",
                     CLAIM_PATHS_MAX);
        return false;
    }
    *index = (size_t)found;
    return true;
}

bool read_rules(struct reader *r, const struct branch *b, struct claim_paths *paths,
                struct rule_list *rules) {
    *rules = (struct rule_list){0};
    if (b->kind == BRANCH_SCALAR && b->text.n == 0)
        return true;
    if (b->kind != BRANCH_MAP) {
        reader_error(r, b, "expected claim rules: { app_metadata.role: admin }");
        return false;
    }
    struct claim_rule *list = reader_alloc(r, tree_count(b) * sizeof(*list));
    size_t n = 0;
    for (const struct branch *child = b->children; list && child; child = child->next) {
        struct strings values;
        if (!read_strings(r, child, &values) ||
            !read_claim_path(r, child, child->key, paths, &list[n].path_index))
            return false;
        list[n].is_scope = str_eq(child->key, STR("scope"));
        list[n].values = values.list;
        list[n++].n_values = values.n;
    }
    *rules = (struct rule_list){list, n};
    return list;
}

bool keep_branch(struct reader *r, const struct branch *b, void *target) {
    (void)r;
    *(const struct branch **)target = b;
    return true;
}

bool read_header_name(struct reader *r, const struct branch *at, struct str text,
                      struct str *name) {
    if (!is_token(text) || text.n > 64) {
        reader_error(r, at, "'" STR_FMT "': expected a header's name, like x-client-id",
                     STR_ARG(str_first(text, 64)));
        return false;
    }
    char *lower = reader_alloc(r, text.n);
    for (size_t i = 0; lower && i < text.n; i++) {
        char c = text.at[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
    }
    *name = (struct str){lower, text.n};
    return lower;
}
