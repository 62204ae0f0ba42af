/* SPDX-License-Identifier: MIT */
/* Any bytes as a request's and as an answer's head: cut anywhere, in memory that moves, the verdict and the fields are those
 * of all bytes at once; and what is accepted is what the contract promises. */
#include "http/head.h"
#include "must.h"

static bool is_clean(struct str value) {
    bool blank_ends =
        value.n > 0 && (strchr(" \t", value.at[0]) || strchr(" \t", value.at[value.n - 1]));
    return is_field_value(value) && !blank_ends;
}

static void is_strict(const struct head *head, struct str bytes) {
    size_t n_lengths = fields_count(head->fields, FIELD_CONTENT_LENGTH);
    size_t n_codings = fields_count(head->fields, FIELD_TRANSFER_ENCODING);
    must(n_lengths + n_codings <= 1);
    must((head->framing == FRAMING_CHUNKED) == (n_codings == 1) &&
         (head->framing == FRAMING_LENGTH) == (n_lengths == 1));
    must(head->minor == 1 || (n_codings == 0 && !head->expects_continue));
    must(head->head_bytes >= 4 && head->head_bytes <= bytes.n &&
         head->head_bytes <= head->limits.head_bytes);
    must(memcmp(bytes.at + head->head_bytes - 4, "\r\n\r\n", 4) == 0);
    must(head->fields.n <= head->limits.n_fields);
    for (size_t i = 0; i < head->fields.n; i++) {
        const struct field *field = &head->fields.list[i];
        must(is_token(field->name) && is_clean(field->value) &&
             field->id == field_id_of(field->name));
    }
    if (head->kind == HEAD_ANSWER) {
        must(head->status >= 100 && head->status <= 999 && is_field_value(head->reason));
        return;
    }
    must(is_token(head->method) && head->method.n <= 32 && head->target.n > 0);
    must(head->minor == 0 || head->host.n > 0);
    must(fields_count(head->fields, FIELD_HOST) == (head->host.n > 0));
}

static bool same_fields(struct fields a, struct fields b) {
    bool same = a.n == b.n;
    for (size_t i = 0; same && i < a.n; i++)
        same = str_eq(a.list[i].name, b.list[i].name) && str_eq(a.list[i].value, b.list[i].value) &&
               a.list[i].id == b.list[i].id;
    return same;
}

static bool same_head(const struct head *a, const struct head *b) {
    return str_eq(a->method, b->method) && str_eq(a->target, b->target) &&
           str_eq(a->reason, b->reason) && str_eq(a->host, b->host) && a->status == b->status &&
           a->minor == b->minor && a->framing == b->framing && a->body_bytes == b->body_bytes &&
           a->keep_alive == b->keep_alive && a->expects_continue == b->expects_continue &&
           a->head_bytes == b->head_bytes && same_fields(a->fields, b->fields);
}

/* Feeds the first `cut` bytes, then, unless that was the end, ever `step` more until all are there. */
static void cut_is_same(const struct head *whole, enum head_verdict expected, struct str bytes,
                        size_t cut, size_t step) {
    static struct head head;
    head_init(&head, whole->kind, &whole->limits);
    for (;;) {
        char *block = block_of(str_first(bytes, cut));
        enum head_verdict verdict = head_parse(&head, (struct str){block, cut});
        if (verdict != HEAD_MORE || cut == bytes.n) {
            must(verdict == expected);
            must(verdict != HEAD_DONE || same_head(whole, &head));
            free(block);
            return;
        }
        free(block);
        cut = bytes.n - cut > step ? cut + step : bytes.n;
    }
}

static void parse_all_ways(enum head_kind kind, struct head_limits limits, struct str bytes) {
    static struct head whole;
    head_init(&whole, kind, &limits);
    enum head_verdict verdict = head_parse(&whole, bytes);
    if (verdict == HEAD_DONE)
        is_strict(&whole, bytes);
    for (size_t cut = 0; cut < bytes.n; cut += cut_stride(bytes.n))
        cut_is_same(&whole, verdict, bytes, cut, bytes.n);
    cut_is_same(&whole, verdict, bytes, 0, cut_stride(bytes.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *block = block_of((struct str){(const char *)data, size});
    struct str bytes = {block, size};
    uint32_t n = (uint32_t)size;
    struct head_limits tight = {n / 3, n - n / 16, 3};
    parse_all_ways(HEAD_REQUEST, HEAD_LIMITS_DEFAULT, bytes);
    parse_all_ways(HEAD_ANSWER, HEAD_LIMITS_DEFAULT, bytes);
    parse_all_ways(HEAD_REQUEST, tight, bytes);
    parse_all_ways(HEAD_ANSWER, tight, bytes);
    free(block);
    return 0;
}
