/* SPDX-License-Identifier: MIT */
/* One line a request, as an operator's tools read it; what must stay secret has no way there. */
#include "gateway/access_log.h"

#include "base/json.h"
#include "rig.h"

static struct stage s;
static FILE *out;

/* Standard output is a file of ours while the log runs. */
static void open_logged(const char *yaml) {
    out = tmpfile();
    ck_assert_ptr_nonnull(out);
    fflush(stdout);
    ck_assert_int_ge(dup2(fileno(out), STDOUT_FILENO), 0);
    ck_assert_int_eq(log_start(LOG_JSON, LEVEL_INFO), 0);
    stage_open(&s, yaml);
}

/* Everything that was logged. */
static const char *logged(void) {
    rig_settle(s.loop);
    log_stop();
    long n = lseek(fileno(out), 0, SEEK_END);
    char *text = arena_zalloc(&s.arena, (size_t)n + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pread(fileno(out), text, (size_t)n, 0), n);
    return text;
}

static void close_logged(void) {
    stage_close(&s);
    fclose(out);
}

/* The n-th line's member as text; "" when it is not a string. */
static const char *member(const char *text, int n, const char *name) {
    while (n-- > 0)
        text = strchr(text, '\n') + 1;
    struct doc *doc = doc_parse((struct str){text, strcspn(text, "\n")}, NULL);
    ck_assert_msg(doc != NULL, "%s", text);
    const struct node *node = node_member(doc_root(doc), name);
    int64_t number;
    const char *value = node_int(node, &number) ? TEXT(&s, "%lld", (long long)number)
                                                : TEXT(&s, STR_FMT, STR_ARG(node_string(node)));
    doc_free(doc);
    return value;
}

START_TEST(a_request_is_one_line_with_everything_that_matters) {
    open_logged("");
    pass(&s, POST(&s, "/rest/v1/x", TEXT(&s, "X-Request-Id: the-request\r\n%s", bearer(&s, ADA)),
                  "12345"));
    const char *text = logged();
    static const char *const expected[][2] = {
        {"event", "request"},
        {"id", "the-request"},
        {"method", "POST"},
        {"path", "/rest/v1/x"},
        {"route", "/rest/v1"},
        {"status", "200"},
        {"verdict", "ok"},
        {"caller", "user"},
        {"subject", "ada"},
        {"token", "valid"},
        {"limit", "default/default/per_user"},
        {"ip", "127.0.0.1"},
        {"bytes_in", "5"},
        {"bytes_out", "2"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        ck_assert_str_eq(member(text, 0, expected[i][0]), expected[i][1]);
    ck_assert_ptr_eq(strchr(text, '\n') + 1, text + strlen(text));
    close_logged();
}
END_TEST

START_TEST(secrets_and_queries_have_no_way_into_it) {
    open_logged("");
    const char *token = token_of(&s, ADA);
    pass(&s, GET(&s, "/rest/v1/x?token=hidden1&apikey=hidden2",
                 TEXT(&s, "Authorization: Bearer %s\r\n", token)));
    refuse(&s, GET(&s, "/rest/v1/x?apikey=hidden3",
                   "apikey: " SECRET "\r\nCookie: hidden4\r\nReferer: hidden5\r\n"));
    refuse(&s, GET(&s, "/rest/v1/x",
                   TEXT(&s, "Authorization: Bearer %s\r\n",
                        token_with(&s, &s.key, "hidden6", ADA, 600))));
    const char *text = logged();
    ck_assert_ptr_null(strstr(text, "hidden"));
    ck_assert_ptr_null(strstr(text, token));
    ck_assert_ptr_null(strstr(text, strrchr(token, '.') + 1));
    ck_assert_ptr_null(strstr(text, SECRET));
    close_logged();
}
END_TEST

START_TEST(a_refusal_names_verdict_and_reason) {
    open_logged("");
    refuse(&s, GET(&s, "/none", ""));
    refuse(&s,
           GET(&s, "/rest/v1/x",
               TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &s.key, "k1", ADA, -3600))));
    refuse(&s, "GET / HTTP/1.1\r\n\r\n");
    const char *text = logged();
    ck_assert_str_eq(member(text, 0, "verdict"), "no_route");
    ck_assert_str_eq(member(text, 0, "reason"), "no route matches the path");
    ck_assert_str_eq(member(text, 0, "route"), "");
    ck_assert_str_eq(member(text, 1, "verdict"), "token_expired");
    ck_assert_str_eq(member(text, 1, "token"), "expired");
    ck_assert_str_eq(member(text, 2, "verdict"), "bad_request");
    ck_assert_str_eq(member(text, 2, "method"), "");
    ck_assert_str_eq(member(text, 2, "status"), "400");
    close_logged();
}
END_TEST

START_TEST(who_left_and_what_was_cut_are_told_apart) {
    open_logged("");
    int client = ask(&s, GET(&s, "/rest/v1/x", "")),
        upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    close(client);
    rig_expect_end(s.loop, upstream);
    close(upstream);
    client = ask(&s, GET(&s, "/rest/v1/x", ""));
    upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    rig_send(s.loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"));
    ck_assert_int_eq(hear_head(&s, client), 200);
    close(upstream); /* after a part of it went out */
    rig_expect(s.loop, client, STR("half"));
    rig_expect_end(s.loop, client);
    close(client);
    const char *text = logged();
    ck_assert_str_eq(member(text, 0, "verdict"), "client_left");
    ck_assert_str_eq(member(text, 0, "status"), "0");
    ck_assert_str_eq(member(text, 1, "verdict"), "cut");
    ck_assert_str_eq(member(text, 1, "reason"), "closed within the answer's body");
    close_logged();
}
END_TEST

START_TEST(a_path_cannot_break_the_line_or_fill_the_log) {
    open_logged("");
    refuse(&s, GET(&s, TEXT(&s, "/%05000d", 1), ""));
    refuse(&s, GET(&s, "/a\"b\\c", ""));
    const char *text = logged();
    ck_assert_uint_eq(strlen(member(text, 0, "path")), 1024);
    ck_assert_str_eq(member(text, 1, "path"), "/a\"b\\c");
    close_logged();
}
END_TEST

SUITE_MAIN("gateway/access_log", a_request_is_one_line_with_everything_that_matters,
           secrets_and_queries_have_no_way_into_it, a_refusal_names_verdict_and_reason,
           who_left_and_what_was_cut_are_told_apart, a_path_cannot_break_the_line_or_fill_the_log)
