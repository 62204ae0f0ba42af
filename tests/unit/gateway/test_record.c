/* SPDX-License-Identifier: MIT */
#include "gateway/record.h"

#include "base/json.h"
#include "suite.h"

static struct arena arena;
static struct record record;

static const char *read_text(const char *json) {
    return record_read(&record, str_of(json), &arena);
}

static void setup(void) {
    json_seed();
    arena_init(&arena);
}

START_TEST(a_record_says_plan_status_and_anchor_day) {
    setup();
    ck_assert_ptr_null(read_text("{\"plan\":\"pro\",\"status\":\"past_due\",\"anchor_day\":31}"));
    ck_assert(str_eq(record.plan, STR("pro")) && str_eq(record.status, STR("past_due")));
    ck_assert_int_eq(record.anchor_day, 31);
    ck_assert(!record_is_empty(&record));
    arena_fini(&arena);
}
END_TEST

START_TEST(each_may_be_left_out_or_null) {
    setup();
    ck_assert_ptr_null(read_text("{}"));
    ck_assert(record_is_empty(&record));
    ck_assert_ptr_null(read_text("{\"plan\":null,\"status\":null,\"anchor_day\":null}"));
    ck_assert(record_is_empty(&record));
    ck_assert_ptr_null(read_text("{\"anchor_day\":1}"));
    ck_assert(!record_is_empty(&record));
    arena_fini(&arena);
}
END_TEST

START_TEST(what_is_written_is_read_again) {
    struct buffer out = {0};
    setup();
    ck_assert_ptr_null(read_text("{\"anchor_day\":7,\"status\":\"a\\\"b\"}"));
    ck_assert_int_eq(record_write(&record, &out), 0);
    ck_assert(str_eq(buffer_bytes(&out), STR("{\"status\":\"a\\\"b\",\"anchor_day\":7}")));
    ck_assert_ptr_null(record_read(&record, buffer_bytes(&out), &arena));
    buffer_release(&out);
    arena_fini(&arena);
}
END_TEST

START_TEST(what_is_no_record_is_refused_with_where_and_what) {
    static const struct {
        const char *json, *where;
    } rows[] = {
        {"", "body"},
        {"[]", "body"},
        {"{\"plan\":\"a\",\"plan\":\"b\"}", "body"},
        {"{\"plan\":\"a\"} x", "body"},
        {"{\"plan\":\"\"}", "plan"},
        {"{\"plan\":7}", "plan"},
        {"{\"plan\":\"a b\"}", "plan"},
        {"{\"status\":[\"a\"]}", "status"},
        {"{\"anchor_day\":0}", "anchor_day"},
        {"{\"anchor_day\":32}", "anchor_day"},
        {"{\"anchor_day\":1.5}", "anchor_day"},
        {"{\"anchor_day\":\"1\"}", "anchor_day"},
        {"{\"Plan\":\"a\"}", "members"},
    };
    setup();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *wrong = read_text(rows[i].json);
        ck_assert_msg(wrong && strstr(wrong, rows[i].where), "%s: %s", rows[i].json, wrong);
    }
    arena_fini(&arena);
}
END_TEST

SUITE_MAIN("gateway/record", a_record_says_plan_status_and_anchor_day, each_may_be_left_out_or_null,
           what_is_written_is_read_again, what_is_no_record_is_refused_with_where_and_what)
