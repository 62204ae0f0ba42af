/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "base/buffer.h"

/* What is kept of a subject beside its tokens, and overrules them: {"plan":"pro","status":"active","anchor_day":15}. Each may be left
 * out, or null; then the token says it. */
struct record {
    struct str plan, status; /* empty: not said */
    int anchor_day;          /* 1..31, the day on which its months begin; 0: not said */
};
#define RECORD_TEXT_MAX 128

bool record_is_empty(const struct record *record);
/* Copies into the arena. NULL, or what is wrong: a constant. A member that is not known is wrong. */
const char *record_read(struct record *record, struct str json, struct arena *arena) MUST_USE;
/* Appends it as a JSON object, without what is not said. */
int record_write(const struct record *record, struct buffer *out) MUST_USE;
