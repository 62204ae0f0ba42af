/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/log_line.h"

/* One event, one line: level, constant text, fields. JSON on a pipe or file, readable text on a terminal. Lines go to a
 * bounded queue that a thread of its own writes to stdout, so that logging never blocks; what does not fit is dropped
 * and counted, and the count is logged when there is room again. That stdout fails (a full disk, a reader that went away) is said
 * once on stderr.
 *
 * error: a human must act. warn: degraded, coping. info: life of the process, one line a request. debug: the rest.
 * Tokens, keys, secrets and query strings have no way here. */
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT };

#define F_STR(name, s)  ((struct log_field){LOG_KEY(name), LOG_FIELD_STR, (s), 0, 0})
#define F_TEXT(name, c) ((struct log_field){LOG_KEY(name), LOG_FIELD_STR, str_of(c), 0, 0})
/* A constant of ours, letters and other bytes that stand for themselves in JSON. */
#define F_WORD(name, c) ((struct log_field){LOG_KEY(name), LOG_FIELD_WORD, str_of(c), 0, 0})
#define F_INT(name, v)  ((struct log_field){LOG_KEY(name), LOG_FIELD_INT, STR_NONE, (int64_t)(v), 0})
#define F_REAL(name, v) ((struct log_field){LOG_KEY(name), LOG_FIELD_REAL, STR_NONE, 0, (v)})
#define F_BOOL(name, v) \
    ((struct log_field){LOG_KEY(name), LOG_FIELD_BOOL, STR_NONE, (v) ? 1 : 0, 0})

/* Before the first log_start lines are written at once, as text, to stderr (tools, start-up errors, tests); after
 * log_stop at once to stdout. -EBUSY while a log runs. */
int log_start(enum log_format format, enum log_level lowest) MUST_USE;
void log_set_level(enum log_level lowest); /* from now on */
void log_stop(void);                       /* flushes for at most a second */
uint64_t log_dropped(void);

/* What several threads notice, each for itself, like a server that is away, is one event: true for the first who sees `what` begin,
 * and for the last who sees it end. Who began it ends it once. */
bool log_begins(struct str what);
bool log_ends(struct str what);

/* A line that its writer puts together field by field: what each request logs. Between the two, only log_line_* on `line`. */
#define LOG_DRAFT_BYTES 4096 /* a longer line is allocated */
struct log_draft {
    struct log_line line;
    char *room, *large;
    size_t bytes; /* of the room */
    char ordinary[LOG_DRAFT_BYTES];
};
/* For n fields with so many bytes of text. False: nobody wants it, or memory is out. */
bool log_open(struct log_draft *draft, enum log_level level, struct str text, size_t n,
              size_t text_bytes) MUST_USE;
void log_close(struct log_draft *draft);

/* `text` is a literal: it greps to its line. */
void log_fields(enum log_level level, const char *text, const struct log_field *fields,
                size_t n) COLD;

#define LOG_AT(level, text, ...) \
    do { \
        const struct log_field log_list[] = {__VA_ARGS__}; \
        log_fields((level), (text), log_list, sizeof(log_list) / sizeof(log_list[0])); \
    } while (0)
#define log_error(text, ...) LOG_AT(LEVEL_ERROR, text, __VA_ARGS__)
#define log_warn(text, ...)  LOG_AT(LEVEL_WARN, text, __VA_ARGS__)
#define log_info(text, ...)  LOG_AT(LEVEL_INFO, text, __VA_ARGS__)
#define log_debug(text, ...) LOG_AT(LEVEL_DEBUG, text, __VA_ARGS__)
