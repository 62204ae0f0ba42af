/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/json_string.h"
#include "base/pen.h"

/* A line of the log while it is written, field by field: JSON, or text for a terminal. With base/pen, into room that
 * log_line_room has reckoned. */
enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };

struct log_line {
    char *at;
    bool as_json;
};

struct log_field {
    struct str key; /* LOG_KEY */
    enum { LOG_FIELD_STR, LOG_FIELD_WORD, LOG_FIELD_INT, LOG_FIELD_REAL, LOG_FIELD_BOOL } kind;
    struct str text;
    int64_t number;
    double real;
};

/* A name of at most LOG_NAME_MAX letters as it stands in JSON, so that a line is few appends. */
#define LOG_KEY(name) STR(",\"" name "\":")
#define LOG_NAME_MAX  24

/* Bytes enough for a line of n fields that have so many bytes of text. */
size_t log_line_room(size_t event_bytes, size_t n, size_t text_bytes);
struct log_line log_line_start(char *room, bool as_json, enum log_level level, struct str event);
struct str log_line_end(struct log_line *line, const char *room); /* the whole line */

/* As text, what the inline ones leave. */
char *log_text_name(char *at, struct str key);
char *log_text_value(char *at, struct str value);
char *log_write_int(char *at, int64_t value);
char *log_write_real(char *at, double value);

static inline void log_line_key(struct log_line *line, struct str key) {
    line->at = line->as_json ? pen_str(line->at, key) : log_text_name(line->at, key);
}
static inline void log_line_str(struct log_line *line, struct str key, struct str value) {
    log_line_key(line, key);
    line->at = line->as_json ? json_string_write(line->at, value) : log_text_value(line->at, value);
}
/* A constant of ours, letters and other bytes that stand for themselves in JSON. */
static inline void log_line_word(struct log_line *line, struct str key, struct str word) {
    log_line_key(line, key);
    line->at = line->as_json ? pen_byte(pen_str(pen_byte(line->at, '"'), word), '"')
                             : log_text_value(line->at, word);
}
static inline void log_line_int(struct log_line *line, struct str key, int64_t value) {
    log_line_key(line, key);
    line->at = log_write_int(line->at, value);
}
static inline void log_line_real(struct log_line *line, struct str key, double value) {
    log_line_key(line, key);
    line->at = log_write_real(line->at, value);
}
void log_line_fields(struct log_line *line, const struct log_field *fields, size_t n);
