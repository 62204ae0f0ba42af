/* SPDX-License-Identifier: MIT */
#pragma once
#include "tree.h"

/* Settings as tables: each row is a key, how its value is read, where it goes, and its default as one would write it in the file. So a
 * default passes through the very reader that a written value passes through. */
struct entry {
    const char *key;
    bool (*read)(struct reader *r, const struct branch *value, void *target);
    size_t offset; /* of the target within the section's struct */
    const char
        *fallback; /* NULL: nothing happens when the key is absent; "!": the key is required */
};

/* Reads every row; unknown keys are errors. False when an error was reported. */
bool read_section(struct reader *r, const struct branch *map, const struct entry *entries, size_t n,
                  void *target);
#define READ_SECTION(r, map, entries, target) \
    read_section((r), (map), (entries), sizeof(entries) / sizeof((entries)[0]), (target))

bool read_string(struct reader *r, const struct branch *b,
                 void *target); /* struct str; may be empty */
bool read_key(struct reader *r, const struct branch *b,
              void *target); /* struct str; no spaces; empty is none */
bool read_secret(struct reader *r, const struct branch *b,
                 void *target); /* the same; unset is none, set but empty is refused */
bool read_duration(struct reader *r, const struct branch *b, void *target); /* int64_t ns */
bool read_seconds(struct reader *r, const struct branch *b,
                  void *target); /* int64_t s; whole seconds */
bool read_milliseconds(struct reader *r, const struct branch *b, void *target); /* int64_t ms */
bool read_size32(struct reader *r, const struct branch *b, void *target);       /* uint32_t bytes */
bool read_size(struct reader *r, const struct branch *b, void *target);         /* uint64_t bytes */
bool read_count(struct reader *r, const struct branch *b, void *target);   /* size_t, 1 .. 10^9 */
bool read_count32(struct reader *r, const struct branch *b, void *target); /* uint32_t, 0 .. 10^9 */
bool read_some32(struct reader *r, const struct branch *b, void *target);  /* uint32_t, 1 .. 10^9 */
bool read_range32(struct reader *r, const struct branch *b, uint32_t least, uint32_t most,
                  uint32_t *value);
bool read_cost(struct reader *r, const struct branch *b, void *target); /* int64_t, 0 .. 10^6 */
/* The same, but more than nothing: a timeout of 0 would let nothing happen, or never end. */
bool read_timeout(struct reader *r, const struct branch *b, void *target);         /* int64_t ns */
bool read_timeout_seconds(struct reader *r, const struct branch *b, void *target); /* int64_t s */
bool read_timeout_milliseconds(struct reader *r, const struct branch *b,
                               void *target); /* int64_t ms */
bool read_bool(struct reader *r, const struct branch *b, void *target);
bool keep_branch(struct reader *r, const struct branch *b,
                 void *target); /* const struct branch *: read later */
/* A header field's name in lower case. */
bool read_header_name(struct reader *r, const struct branch *at, struct str text, struct str *name);

/* One of `names`; the index. */
bool read_choice(struct reader *r, const struct branch *b, const char *const *names, size_t n,
                 int *choice);

struct strings {
    const struct str *list;
    size_t n;
};
/* struct strings: one scalar or a list of at least one; none of them empty. */
bool read_strings(struct reader *r, const struct branch *b, void *target);
bool read_strings_or_none(struct reader *r, const struct branch *b, void *target); /* or [] */
struct cidrs {
    const struct cidr *list;
    size_t n;
};
bool read_cidrs(struct reader *r, const struct branch *b,
                void *target); /* struct cidrs: as strings */
bool read_cidrs_or_none(struct reader *r, const struct branch *b, void *target);

/* A name that reaches header fields, metric labels and subjects: 1 to 64 letters, digits, '_', '-', '.'. */
bool check_name(struct reader *r, const struct branch *at, struct str name);
bool read_name(struct reader *r, const struct branch *b, void *target); /* struct str */

struct rule_list {
    const struct claim_rule *list;
    size_t n;
};
/* A map of claim path -> value or values. */
bool read_rules(struct reader *r, const struct branch *b, struct claim_paths *paths,
                struct rule_list *rules);
/* A claim's path into `paths`. */
bool read_claim_path(struct reader *r, const struct branch *b, struct str path,
                     struct claim_paths *paths, size_t *index);

/* Sections; each in its own file. All take the settings that are being made. */
bool read_issuers(struct reader *r, const struct branch *root, struct settings *s);
bool read_limits(struct reader *r, const struct branch *root,
                 struct settings *s); /* limits, plans: limits.c */
bool read_payment(struct reader *r, const struct branch *root, struct settings *s);
bool read_routes(struct reader *r, const struct branch *root, struct settings *s);
bool read_redis(struct reader *r, const struct branch *b, void *target); /* struct redis_settings */
bool read_trust(struct reader *r, const struct branch *b, void *target); /* struct trust */

/* The built-in routes as a YAML list; `name` is none, supabase or supabase-self-hosted. */
const char *builtin_routes(struct str name);
