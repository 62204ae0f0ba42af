/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#define TEXT_MAX  (1u << 20)
#define DEPTH_MAX 16

void reader_error(struct reader *r, const struct branch *at, const char *format, ...) {
    char message[512], line[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    struct str key = at ? at->key : STR_NONE;
    size_t row = at && at->line ? at->line : 1, column = at && at->column ? at->column : 1;
    const char *file = r->file ? r->file : "environment", *separator = key.n ? ": " : "";
    if (at && at->line == 0 && str_starts(at->text, STR("${"))) {
        struct str name = str_skip(at->text, 2);
        size_t end = 0;
        while (end < name.n && name.at[end] != ':' && name.at[end] != '}')
            end++;
        row = 0;
        snprintf(line, sizeof(line), "env:" STR_FMT ": %s", STR_ARG(str_first(name, end)), message);
    } else {
        snprintf(line, sizeof(line), "%s:%zu:%zu: " STR_FMT "%s%s", file, row, column, STR_ARG(key),
                 separator, message);
    }
    for (char *c = line; *c; c++) /* what the file says may not make a second line of it */
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    if (r->faults)
        faults_add(r->faults, row, column, line);
}

void *reader_alloc(struct reader *r, size_t bytes) {
    void *at = arena_zalloc(r->arena, bytes ? bytes : 1);
    if (!at)
        reader_error(r, NULL, "out of memory");
    return at;
}

static struct branch *build(struct reader *r, yaml_document_t *document, int index, struct str key,
                            int depth);

static struct branch *new_branch(struct reader *r, const yaml_node_t *node, struct str key) {
    struct branch *b = reader_alloc(r, sizeof(*b));
    if (!b)
        return NULL;
    b->key = key;
    b->line = node->start_mark.line + 1;
    b->column = node->start_mark.column + 1;
    return b;
}

static bool add_list(struct reader *r, yaml_document_t *document, const yaml_node_t *node,
                     struct branch *b, int depth) {
    struct branch **end = &b->children;
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        *end = build(r, document, *item, STR_NONE, depth + 1);
        if (!*end)
            return false;
        end = &(*end)->next;
    }
    return true;
}

/* Told here, while both are known; the map is read to its end all the same. */
static bool is_new(struct reader *r, const struct branch *map, const struct branch *at) {
    for (const struct branch *other = map->children; other; other = other->next)
        if (str_eq(other->key, at->key)) {
            reader_error(r, at, "is there twice (first in line %zu)", other->name_line);
            return false;
        }
    return true;
}

static bool add_map(struct reader *r, yaml_document_t *document, const yaml_node_t *node,
                    struct branch *b, int depth) {
    struct branch **end = &b->children;
    bool is_good = true;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        struct branch at = {.line = name->start_mark.line + 1,
                            .column = name->start_mark.column + 1};
        if (name->type != YAML_SCALAR_NODE || name->data.scalar.length == 0 ||
            memchr(name->data.scalar.value, '\0', name->data.scalar.length)) {
            reader_error(r, &at, "expected a setting's name");
            return false;
        }
        at.key = arena_copy(r->arena, (struct str){(const char *)name->data.scalar.value,
                                                   name->data.scalar.length});
        is_good &= is_new(r, b, &at);
        *end = build(r, document, pair->value, at.key, depth + 1);
        if (!*end)
            return false;
        (*end)->name_line = at.line;
        (*end)->name_column = at.column;
        if (!(*end)->children && (*end)->kind == BRANCH_SCALAR && (*end)->is_plain &&
            (*end)->text.n == 0) {
            (*end)->line = at.line; /* nothing stands there: point at the name */
            (*end)->column = at.column;
        }
        end = &(*end)->next;
    }
    return is_good;
}

static struct branch *build(struct reader *r, yaml_document_t *document, int index, struct str key,
                            int depth) {
    const yaml_node_t *node = yaml_document_get_node(document, index);
    struct branch *b = new_branch(r, node, key);
    if (!b)
        return NULL;
    assert(depth <= DEPTH_MAX); /* check_events was there before */
    if (node->type == YAML_SCALAR_NODE &&
        memchr(node->data.scalar.value, '\0', node->data.scalar.length)) {
        reader_error(r, b, "has a NUL in it");
        return NULL;
    }
    switch (node->type) {
    case YAML_SCALAR_NODE:
        b->kind = BRANCH_SCALAR;
        b->text = arena_copy(r->arena, (struct str){(const char *)node->data.scalar.value,
                                                    node->data.scalar.length});
        b->is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        return b;
    case YAML_SEQUENCE_NODE:
        b->kind = BRANCH_LIST;
        return add_list(r, document, node, b, depth) ? b : NULL;
    case YAML_MAPPING_NODE:
        b->kind = BRANCH_MAP;
        return add_map(r, document, node, b, depth) ? b : NULL;
    case YAML_NO_NODE:
        break;
    }
    reader_error(r, b, "unreadable");
    return NULL;
}

static bool has_anchor(const yaml_event_t *event) {
    return event->type == YAML_ALIAS_EVENT ||
           (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

/* Also one that says what is so anyhow: !!map {}. */
static bool has_tag(const yaml_event_t *event) {
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag);
}

static int depth_step(const yaml_event_t *event) {
    bool opens =
        event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    bool closes = event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
    return opens - closes;
}

/* What a document must not have, looked for in its events: loaded as a document, aliases are resolved silently, and libyaml's
 * time grows with the square of the depth. */
static bool check_events(struct reader *r, struct str text) {
    yaml_parser_t parser;
    yaml_event_t event;
    bool is_at_end = false;
    const char *wrong = NULL;
    int depth = 0;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.at, text.n);
    while (!wrong && !is_at_end && yaml_parser_parse(&parser, &event)) {
        struct branch at = {.line = event.start_mark.line + 1,
                            .column = event.start_mark.column + 1};
        is_at_end = event.type == YAML_STREAM_END_EVENT;
        depth += depth_step(&event);
        if (has_anchor(&event))
            wrong = "YAML anchors and aliases are not understood; write the value out";
        else if (has_tag(&event))
            wrong = "YAML tags are not understood";
        else if (depth > DEPTH_MAX)
            wrong = "nested too deeply";
        if (wrong)
            reader_error(r, &at, "%s", wrong);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return !wrong; /* a syntax error is reported by the document parser */
}

static void report_syntax(struct reader *r, const yaml_parser_t *parser) {
    struct branch at = {.line = parser->problem_mark.line + 1,
                        .column = parser->problem_mark.column + 1};
    reader_error(r, &at, "not YAML: %s%s%s", parser->problem ? parser->problem : "unreadable",
                 parser->context ? " " : "", parser->context ? parser->context : "");
}

static struct branch *parse_document(struct reader *r, yaml_parser_t *parser) {
    yaml_document_t document, second;
    struct branch *root = NULL;
    if (!yaml_parser_load(parser, &document)) {
        report_syntax(r, parser);
        return NULL;
    }
    if (yaml_document_get_root_node(&document)) {
        root = build(r, &document, 1, STR_NONE, 0);
        if (root && yaml_parser_load(parser, &second)) {
            if (yaml_document_get_root_node(&second)) {
                reader_error(r, root, "expected one YAML document");
                root = NULL;
            }
            yaml_document_delete(&second);
        } else if (root) {
            report_syntax(r, parser);
            root = NULL;
        }
    } else {
        root = reader_alloc(r, sizeof(*root));
        if (root)
            *root = (struct branch){.kind = BRANCH_MAP, .line = 1, .column = 1};
    }
    yaml_document_delete(&document);
    return root;
}

struct branch *tree_parse(struct reader *r, struct str text) {
    yaml_parser_t parser;
    if (text.n > TEXT_MAX) {
        reader_error(r, NULL, "larger than 1 MiB");
        return NULL;
    }
    if (!text.at)
        text = STR(""); /* libyaml asserts on NULL */
    if (!check_events(r, text) || !yaml_parser_initialize(&parser))
        return NULL;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.at, text.n);
    struct branch *root = parse_document(r, &parser);
    yaml_parser_delete(&parser);
    if (root && root->kind != BRANCH_MAP) {
        reader_error(r, root, "expected settings as 'name: value'");
        return NULL;
    }
    return root;
}

struct branch *tree_member(const struct branch *map, const char *key) {
    for (struct branch *b = map ? map->children : NULL; b; b = b->next)
        if (str_eq(b->key, str_of(key)))
            return b;
    return NULL;
}

size_t tree_count(const struct branch *branch) {
    size_t n = 0;
    for (const struct branch *b = branch->children; b; b = b->next)
        n++;
    return n;
}
