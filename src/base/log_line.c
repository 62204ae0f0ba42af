/* SPDX-License-Identifier: MIT */
#include "base/log_line.h"

#include "base/clock.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>

#define LINE_FRAME_MAX 80 /* what a line has beside its event and fields */
#define FIELD_FRAME_MAX \
    64 /* what a field has beside its text: its name, numbers, quotes, a space */

static const struct str LEVELS[] = {[LEVEL_ERROR] = STR("error"),
                                    [LEVEL_WARN] = STR("warn"),
                                    [LEVEL_INFO] = STR("info"),
                                    [LEVEL_DEBUG] = STR("debug")};

size_t log_line_room(size_t event_bytes, size_t n, size_t text_bytes) {
    return LINE_FRAME_MAX + JSON_STRING_MAX(event_bytes) + n * FIELD_FRAME_MAX +
           JSON_STRING_MAX(text_bytes);
}

/* ---- values ---- */

char *log_write_int(char *at, int64_t value) {
    if (value >= 0)
        return pen_u64(at, (uint64_t)value);
    return pen_u64(pen_byte(at, '-'), 0 - (uint64_t)value);
}

/* Thousandths, without printf: every request logs its times. JSON has no infinities and no NaN. */
char *log_write_real(char *at, double value) {
    if (!isfinite(value))
        return pen_str(at, STR("null"));
    if (value < 0 || value >= 1e15)
        return at + snprintf(at, FIELD_FRAME_MAX - LOG_NAME_MAX, "%.9g", value);
    uint64_t thousandths = (uint64_t)(value * 1000 + 0.5);
    unsigned rest = (unsigned)(thousandths % 1000);
    at = pen_u64(at, thousandths / 1000);
    if (rest == 0)
        return at;
    at = pen_two_digits(pen_byte(at, '.'), rest / 10);
    if (rest % 10 > 0)
        return pen_byte(at, (char)('0' + rest % 10));
    return at[-1] == '0' ? at - 1 : at;
}

static bool reads_bare(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~' || s.at[i] == '"' || s.at[i] == '\\')
            return false;
    return s.n > 0;
}

/* A value's own bytes never reach a terminal unless they are harmless there. */
char *log_text_value(char *at, struct str value) {
    return reads_bare(value) ? pen_str(at, value) : json_string_write(at, value);
}

char *log_text_name(char *at, struct str key) {
    struct str name = {key.at + 2, key.n - strlen(",\"\":")};
    return pen_byte(pen_str(pen_byte(at, ' '), name), '=');
}

/* ---- the line ---- */

struct log_line log_line_start(char *room, bool as_json, enum log_level level, struct str event) {
    char time_text[25];
    clock_rfc3339(clock_now().wall_ns, time_text);
    struct str time = {time_text, sizeof(time_text) - 1};
    char *at = room;
    if (as_json) {
        at = pen_str(pen_str(at, STR("{\"time\":\"")), time);
        at = pen_str(pen_str(at, STR("\",\"level\":\"")), LEVELS[level]);
        at = json_string_write(pen_str(at, STR("\",\"event\":")), event);
        return (struct log_line){at, as_json};
    }
    at = pen_byte(pen_str(at, str_first(str_skip(time, strlen("2026-11-23T")), 12)), ' ');
    at = pen_str(pen_str(at, LEVELS[level]), str_first(STR("  "), 6 - LEVELS[level].n));
    at = pen_byte(pen_str(at, event), ' ');
    return (struct log_line){at, as_json};
}

static void write_field(struct log_line *line, const struct log_field *field) {
    assert(field->key.n <= LOG_NAME_MAX + strlen(",\"\":"));
    switch (field->kind) {
    case LOG_FIELD_STR:
        log_line_str(line, field->key, field->text);
        break;
    case LOG_FIELD_WORD:
        log_line_word(line, field->key, field->text);
        break;
    case LOG_FIELD_INT:
        log_line_int(line, field->key, field->number);
        break;
    case LOG_FIELD_REAL:
        log_line_real(line, field->key, field->real);
        break;
    case LOG_FIELD_BOOL:
        log_line_key(line, field->key);
        line->at = pen_str(line->at, field->number ? STR("true") : STR("false"));
        break;
    }
}

void log_line_fields(struct log_line *line, const struct log_field *fields, size_t n) {
    for (size_t i = 0; i < n; i++)
        write_field(line, &fields[i]);
}

struct str log_line_end(struct log_line *line, const char *room) {
    char *end = line->at;
    if (line->as_json)
        end = pen_str(end, STR("}\n"));
    else
        end = pen_byte(end[-1] == ' ' ? end - 1 : end, '\n'); /* an event without fields */
    return (struct str){room, (size_t)(end - room)};
}
