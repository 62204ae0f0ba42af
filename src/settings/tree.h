/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "faults.h"
#include "settings/settings.h"

/* A configuration text as a tree whose every node knows where it stands. libyaml's one door. Aliases, anchors, tags and several
 * documents are refused; so are duplicate keys. */
enum branch_kind { BRANCH_SCALAR, BRANCH_LIST, BRANCH_MAP };

struct branch {
    enum branch_kind kind;
    struct str key;                /* in a map */
    struct str text;               /* scalars, as written; expanded by read_scalar */
    bool is_plain;                 /* not quoted: an empty plain scalar is "nothing" */
    size_t name_line, name_column; /* of the key, in a map */
    size_t line, column;           /* 0: no line of the file, a default or the environment */
    bool is_default;               /* no line of the file: the setting's default */
    struct branch *children, *next;
};

/* What reading shares: where messages go, where memory comes from. */
struct reader {
    struct arena *arena;
    const char *file;      /* NULL: environment alone */
    struct faults *faults; /* NULL: nobody wants to know */
    /* What later sections refer to was good, so that what they say of it is no mere consequence */
    bool knows_project, knows_limits;
};

/* NULL after an error was reported. An empty text is an empty map. */
struct branch *tree_parse(struct reader *r, struct str text);
struct branch *tree_member(const struct branch *map, const char *key); /* NULL when absent */
size_t tree_count(const struct branch *branch);

/* "file:line:column: KEY: message" or "env:NAME: message", among the reader's faults. */
void reader_error(struct reader *r, const struct branch *at, const char *format, ...) PRINTF(3, 4);
/* Memory is out: reported once. */
void *reader_alloc(struct reader *r, size_t bytes);

/* A scalar with ${NAME}, ${NAME:-default} replaced from the environment (or from the file that NAME_FILE names). False after an error.
 * *is_unset (may be NULL): the scalar is one reference whose variable is not set and whose default is empty. */
bool read_scalar(struct reader *r, const struct branch *branch, struct str *value, bool *is_unset);
