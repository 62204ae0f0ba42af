/* SPDX-License-Identifier: MIT */
#include "base/log.h"
#include "suite.h"

#include <float.h>

#define N       5
#define LONGEST LOG_KEY("abcdefghijklmnopqrstuvwx")

static size_t write_worst(char *room, bool as_json, struct str text) {
    struct log_line line = log_line_start(room, as_json, LEVEL_DEBUG, text);
    log_line_str(&line, LONGEST, text);
    log_line_word(&line, LONGEST, STR("abc"));
    log_line_int(&line, LONGEST, INT64_MIN);
    log_line_real(&line, LONGEST, -DBL_MAX);
    log_line_real(&line, LONGEST, 999999999999999.9994);
    return log_line_end(&line, room).n;
}

/* The room has not a byte more, so ASan sees the first that is written beyond it. */
START_TEST(no_line_is_longer_than_its_room) {
    char controls[100];
    memset(controls, 0x01, sizeof(controls)); /* six bytes each */
    for (size_t n = 0; n <= sizeof(controls); n++)
        for (int as_json = 0; as_json <= 1; as_json++) {
            struct str text = {controls, n};
            size_t bytes = log_line_room(n, N, n + strlen("abc"));
            char *room = malloc(bytes);
            ck_assert_uint_le(write_worst(room, as_json, text), bytes);
            free(room);
        }
}
END_TEST

static void line_is(bool as_json, const char *expected) {
    char room[1000];
    struct log_line line = log_line_start(room, as_json, LEVEL_WARN, STR("it \"happens\""));
    log_line_word(&line, LOG_KEY("word"), STR("ok"));
    log_line_str(&line, LOG_KEY("quoted"), STR("a\n\"b"));
    log_line_str(&line, LOG_KEY("none"), STR_NONE);
    log_line_int(&line, LOG_KEY("n"), -7);
    log_line_real(&line, LOG_KEY("ms"), 1.5);
    struct str whole = log_line_end(&line, room);
    room[whole.n] = '\0';
    const char *from_level = strstr(room, as_json ? "\"level\"" : "warn");
    ck_assert_str_eq(from_level, expected);
}

START_TEST(fields_stand_in_their_order_in_both_forms) {
    line_is(true, "\"level\":\"warn\",\"event\":\"it \\\"happens\\\"\",\"word\":\"ok\","
                  "\"quoted\":\"a\\n\\\"b\",\"none\":\"\",\"n\":-7,\"ms\":1.5}\n");
    line_is(false, "warn  it \"happens\"  word=ok quoted=\"a\\n\\\"b\" none=\"\" n=-7 ms=1.5\n");
}
END_TEST

START_TEST(event_without_fields_ends_where_it_ends) {
    char room[1000];
    for (int as_json = 0; as_json <= 1; as_json++) {
        struct log_line line = log_line_start(room, as_json, LEVEL_INFO, STR("ready"));
        struct str whole = log_line_end(&line, room);
        struct str end = as_json ? STR("\"ready\"}\n") : STR("ready\n");
        ck_assert(str_eq(str_skip(whole, whole.n - end.n), end));
    }
}
END_TEST

SUITE_MAIN("base/log_line", no_line_is_longer_than_its_room,
           fields_stand_in_their_order_in_both_forms, event_without_fields_ends_where_it_ends)
