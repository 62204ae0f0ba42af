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

/* How many bytes the UTF-8 character at s.at has; 0 when it is none (RFC 3629 4: no overlong forms, no surrogates,
 * nothing beyond U+10FFFF). */
static size_t utf8_length(struct str s) {
    const unsigned char *at = (const unsigned char *)s.at;
    unsigned char first = at[0], lowest = 0x80, highest = 0xbf;
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n == 0 || n > s.n || first > 0xf4)
        return 0;
    if (first == 0xe0)
        lowest = 0xa0;
    if (first == 0xed)
        highest = 0x9f;
    if (first == 0xf0)
        lowest = 0x90;
    if (first == 0xf4)
        highest = 0x8f;
    for (size_t i = 1; i < n; i++) {
        if (at[i] < lowest || at[i] > highest)
            return 0;
        lowest = 0x80;
        highest = 0xbf;
    }
    return n;
}

bool json_is_utf8(struct str s) {
    size_t length;
    while (s.n > 0 && (length = utf8_length(s)) > 0)
        s = str_skip(s, length);
    return s.n == 0;
}

/* Bytes that stand for themselves; a table, because every line of the log is looked at with it. */
static const bool PLAIN[256] = {
    [' ' ... '!'] = true,
    ['#' ... '['] = true,
    [']' ... '~'] = true,
};

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Has none of eight bytes, each below 0x80, the value 0? (Mycroft's test) */
static uint64_t zero_among(uint64_t bytes) { return (bytes - EACH_BYTE(1)) & ~bytes; }

static bool eight_are_plain(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    uint64_t special = bytes | (bytes - EACH_BYTE(' ')) | zero_among(bytes ^ EACH_BYTE('"')) |
                       zero_among(bytes ^ EACH_BYTE('\\')) | zero_among(bytes ^ EACH_BYTE(0x7f));
    return !(special & EACH_BYTE(0x80));
}

static size_t plain_span(struct str s) {
    size_t n = 0;
    while (s.n - n >= 8 && eight_are_plain(s.at + n))
        n += 8;
    while (n < s.n && PLAIN[(unsigned char)s.at[n]])
        n++;
    return n;
}

static int put_escape(struct buffer *out, unsigned int code) {
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(SHORT); i += 2)
        if (code == (unsigned char)SHORT[i])
            return buffer_append(out, (struct str){(char[]){'\\', SHORT[i + 1]}, 2});
    char text[] = {'\\', 'u', '0', '0', HEX[code >> 4 & 15], HEX[code & 15]};
    return buffer_append(out, (struct str){text, sizeof(text)});
}

/* One character that cannot stand for itself; *length receives its bytes. */
static int put_special(struct buffer *out, struct str s, size_t *length) {
    *length = utf8_length(s);
    if (*length == 0) {
        *length = 1;
        return buffer_append(out, STR("\xef\xbf\xbd"));
    }
    if (*length == 1)
        return put_escape(out, (unsigned char)s.at[0]);
    /* U+0080 to U+009F are controls too, and some terminals obey them. */
    if (s.at[0] == '\xc2' && (unsigned char)s.at[1] < 0xa0)
        return put_escape(out, (unsigned char)s.at[1]);
    return buffer_append(out, str_first(s, *length));
}

int put_json_string(struct buffer *out, struct str s) {
    TRY(buffer_append_byte(out, '"'));
    while (s.n > 0) {
        size_t plain = plain_span(s);
        TRY(buffer_append(out, str_first(s, plain)));
        s = str_skip(s, plain);
        if (s.n == 0)
            break;
        size_t length;
        TRY(put_special(out, s, &length));
        s = str_skip(s, length);
    }
    return buffer_append_byte(out, '"');
}

static int append_piece(const char *at, size_t n, void *out) {
    return buffer_append(out, (struct str){at, n});
}

int put_json_node(struct buffer *out, const struct node *node) {
    assert(node);
    int result =
        json_dump_callback(value_of(node), append_piece, out, JSON_COMPACT | JSON_ENCODE_ANY);
    return result == 0 ? 0 : -ENOMEM;
}
