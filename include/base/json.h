/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/json_string.h"

/* JSON: reading through jansson (this is its one door), always refusing duplicate members (RFC 7515 4, RFC 7519 4),
 * trailing bytes, NUL and invalid UTF-8; writing by appending to a buffer. */
struct doc;  /* a parsed document, owns all its nodes */
struct node; /* a borrowed value inside a doc */

enum node_kind {
    NODE_ABSENT,
    NODE_NULL,
    NODE_BOOL,
    NODE_NUMBER,
    NODE_STRING,
    NODE_ARRAY,
    NODE_OBJECT
};

/* Call once, before threads. */
void json_seed(void);

/* NULL when the text is not one JSON value (any kind) or memory is out; `why` (may be NULL) receives a short reason. */
struct doc *doc_parse(struct str text, char why[160]) MUST_USE;
void doc_free(struct doc *doc); /* takes NULL */
const struct node *doc_root(const struct doc *doc);

/* All readers take NULL for an absent node. */
enum node_kind node_kind(const struct node *node);
/* NULL when absent, or not an object or array. */
const struct node *node_member(const struct node *object, const char *name);
const struct node *node_at(const struct node *array, size_t index);
size_t node_count(const struct node *array_or_object); /* 0 for anything else */
/* The member that a dotted path names (`app_metadata.plan`). A member whose own name contains the whole rest of the path
 * (dots included) is looked at first. NULL when absent. */
const struct node *node_path(const struct node *object, struct str path);
/* Members of an object in the document's order: start with *cursor = NULL. */
bool node_next(const struct node *object, void **cursor, struct str *name,
               const struct node **value);
/* at == NULL unless a string; lives as long as the doc; holds no NUL, and one ends it. */
struct str node_string(const struct node *node);
bool node_bool(const struct node *node);                           /* false unless true */
bool node_int(const struct node *node, int64_t *value) MUST_USE;   /* integers only */
bool node_number(const struct node *node, double *value) MUST_USE; /* integers and reals */

/* Append a node as compact JSON. */
int put_json_node(struct buffer *out, const struct node *node) MUST_USE;
