/* SPDX-License-Identifier: MIT */
#include "gateway/record.h"

#include "base/json.h"
#include "http/octets.h"

bool record_is_empty(const struct record *record) {
    return record->plan.n == 0 && record->status.n == 0 && record->anchor_day == 0;
}

static bool read_text(const struct node *node, struct arena *arena, struct str *text) {
    struct str value = node_string(node);
    if (node_kind(node) == NODE_NULL)
        return true;
    if (value.n == 0 || value.n > RECORD_TEXT_MAX || octets_span(value, OCTET_TARGET) < value.n)
        return false;
    *text = arena_copy(arena, value);
    return text->at;
}

static bool read_day(const struct node *node, int *day) {
    int64_t value;
    if (node_kind(node) == NODE_NULL)
        return true;
    if (!node_int(node, &value) || value < 1 || value > 31)
        return false;
    *day = (int)value;
    return true;
}

static const char *read_member(struct record *record, struct str name, const struct node *value,
                               struct arena *arena) {
    if (str_eq(name, STR("plan")))
        return read_text(value, arena, &record->plan)
                   ? NULL
                   : "plan: expected null or 1 to 128 visible ASCII characters";
    if (str_eq(name, STR("status")))
        return read_text(value, arena, &record->status)
                   ? NULL
                   : "status: expected null or 1 to 128 visible ASCII characters";
    if (str_eq(name, STR("anchor_day")))
        return read_day(value, &record->anchor_day)
                   ? NULL
                   : "anchor_day: expected null or a whole number from 1 to 31";
    return "expected no other members than plan, status and anchor_day";
}

const char *record_read(struct record *record, struct str json, struct arena *arena) {
    struct doc *doc = doc_parse(json, NULL);
    const struct node *root = doc ? doc_root(doc) : NULL, *value;
    const char *wrong = NULL;
    void *cursor = NULL;
    struct str name;
    *record = (struct record){0};
    if (node_kind(root) != NODE_OBJECT)
        wrong = "the body: expected one JSON object, no member twice";
    while (!wrong && node_next(root, &cursor, &name, &value))
        wrong = read_member(record, name, value, arena);
    doc_free(doc);
    return wrong;
}

static int put_text(struct buffer *out, const char *name, struct str text, const char **comma) {
    if (text.n == 0)
        return 0;
    TRY(buffer_printf(out, "%s\"%s\":", *comma, name));
    *comma = ",";
    return put_json_string(out, text);
}

int record_write(const struct record *record, struct buffer *out) {
    const char *comma = "";
    TRY(buffer_append_byte(out, '{'));
    TRY(put_text(out, "plan", record->plan, &comma));
    TRY(put_text(out, "status", record->status, &comma));
    if (record->anchor_day > 0)
        TRY(buffer_printf(out, "%s\"anchor_day\":%d", comma, record->anchor_day));
    return buffer_append_byte(out, '}');
}
