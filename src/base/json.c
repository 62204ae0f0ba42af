/* SPDX-License-Identifier: MIT */
/* The one door to jansson. A doc is its root, a node is a value in it: both are jansson's own, under our names, so that
 * reading costs nothing. Writing goes straight into a buffer. */
#include "base/json.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static const json_t *value_of(const struct node *node) { return (const json_t *)node; }
static const struct node *node_of(const json_t *value) { return (const struct node *)value; }
/* jansson's iterators do not write, but do not say so. */
static json_t *iterable(const struct node *node) { return (json_t *)node; }

void json_seed(void) { json_object_seed(0); }

/* ---- reading ---- */

/* jansson's own texts quote the document, which may be a token's claims. */
static const char *reason_of(enum json_error_code code) {
    static const struct {
        enum json_error_code code;
        const char *text;
    } REASONS[] = {
        {json_error_out_of_memory, "out of memory"},
        {json_error_stack_overflow, "nested too deep"},
        {json_error_invalid_utf8, "invalid UTF-8"},
        {json_error_premature_end_of_input, "ends too early"},
        {json_error_end_of_input_expected, "more than one value"},
        {json_error_null_character, "a NUL character"},
        {json_error_null_byte_in_key, "a NUL character in a name"},
        {json_error_duplicate_key, "a member occurs twice"},
        {json_error_numeric_overflow, "a number is out of range"},
    };
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (REASONS[i].code == code)
            return REASONS[i].text;
    return "not JSON";
}

struct doc *doc_parse(struct str text, char why[160]) {
    json_error_t error;
    json_t *root = json_loadb(text.at ? text.at : "", text.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root && why)
        snprintf(why, 160, "%s, at byte %d (line %d)", reason_of(json_error_code(&error)),
                 error.position, error.line);
    return (struct doc *)root;
}

void doc_free(struct doc *doc) { json_decref((json_t *)doc); }

const struct node *doc_root(const struct doc *doc) {
    assert(doc);
    return (const struct node *)doc;
}

enum node_kind node_kind(const struct node *node) {
    if (!node)
        return NODE_ABSENT;
    switch (json_typeof(value_of(node))) {
    case JSON_OBJECT:
        return NODE_OBJECT;
    case JSON_ARRAY:
        return NODE_ARRAY;
    case JSON_STRING:
        return NODE_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return NODE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return NODE_BOOL;
    case JSON_NULL:
        return NODE_NULL;
    }
    return NODE_ABSENT;
}

const struct node *node_member(const struct node *object, const char *name) {
    return node_of(json_object_get(value_of(object), name));
}

const struct node *node_at(const struct node *array, size_t index) {
    return node_of(json_array_get(value_of(array), index));
}

size_t node_count(const struct node *array_or_object) {
    /* Each is 0 for what is not of its kind. */
    return json_array_size(value_of(array_or_object)) + json_object_size(value_of(array_or_object));
}

static const struct node *member_named(const struct node *object, struct str wanted) {
    void *cursor = NULL;
    struct str name;
    const struct node *value;
    while (node_next(object, &cursor, &name, &value))
        if (str_eq(name, wanted))
            return value;
    return NULL;
}

const struct node *node_path(const struct node *object, struct str path) {
    for (;;) {
        const struct node *whole = member_named(object, path);
        size_t dot = str_index(path, '.');
        if (whole || dot == path.n)
            return whole;
        object = member_named(object, str_first(path, dot));
        path = str_skip(path, dot + 1);
    }
}

bool node_next(const struct node *object, void **cursor, struct str *name,
               const struct node **value) {
    json_t *members = iterable(object);
    *cursor = *cursor ? json_object_iter_next(members, *cursor) : json_object_iter(members);
    if (!*cursor)
        return false;
    *name = str_of(json_object_iter_key(*cursor));
    *value = node_of(json_object_iter_value(*cursor));
    return true;
}

struct str node_string(const struct node *node) {
    if (node_kind(node) != NODE_STRING)
        return STR_NONE;
    return (struct str){json_string_value(value_of(node)), json_string_length(value_of(node))};
}

bool node_bool(const struct node *node) { return json_is_true(value_of(node)); }

bool node_int(const struct node *node, int64_t *value) {
    if (!json_is_integer(value_of(node)))
        return false;
    *value = json_integer_value(value_of(node));
    return true;
}

bool node_number(const struct node *node, double *value) {
    if (!json_is_number(value_of(node)))
        return false;
    *value = json_number_value(value_of(node));
    return true;
}

/* ---- writing ---- */

static int append_piece(const char *at, size_t n, void *out) {
    return buffer_append(out, (struct str){at, n});
}

int put_json_node(struct buffer *out, const struct node *node) {
    assert(node);
    int result =
        json_dump_callback(value_of(node), append_piece, out, JSON_COMPACT | JSON_ENCODE_ANY);
    return result == 0 ? 0 : -ENOMEM;
}
