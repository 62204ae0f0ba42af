/* SPDX-License-Identifier: MIT */
/* Proves gateway/api_keys.h against a Redis that this thread plays. */
#include "gateway/api_keys.h"

#include "base/base64url.h"
#include "gateway/metrics.h"
#include "rig.h"

#define ROUTES \
    "routes:\n" \
    "  - { path: /keys, access: apikey, limits: [], upstream: \"${UPSTREAM}\" }\n" \
    "  - { path: /open, access: open, limits: [], upstream: \"${UPSTREAM}\" }\n"

static struct stage s;
static int redis_listener, redis_fd = -1;
static char key[API_KEY_BYTES + 1], id[API_KEY_ID_BYTES + 1];

static void say(const char *reply) { rig_send(s.loop, redis_fd, str_of(reply)); }

#define TIME_ASKED "*1\r\n$4\r\nTIME\r\n"
#define TIME_TOLD  "*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n"

static size_t hear_line(char *at, size_t room) {
    size_t n = 0;
    while (n < 2 || memcmp(&at[n - 2], "\r\n", 2) != 0) {
        ck_assert_uint_lt(n + 1, room);
        RUN_UNTIL(s.loop, recv(redis_fd, &at[n], 1, MSG_DONTWAIT) == 1);
        n++;
    }
    at[n] = '\0';
    return n;
}

/* No word of these commands has a line's end in it. */
static void hear_command(char *at, size_t room) {
    size_t n = hear_line(at, room);
    uint64_t n_words;
    ck_assert(str_to_u64((struct str){&at[1], n - 3}, &n_words)); /* *N\r\n */
    for (uint64_t i = 0; i < 2 * n_words; i++)
        n += hear_line(&at[n], room - n);
}

/* On a busy machine the probe and the machine's beat come between. */
static void hear_get(const char *name) {
    char got[1024];
    for (hear_command(got, sizeof(got)); !strstr(got, "GET"); hear_command(got, sizeof(got)))
        say(strcmp(got, TIME_ASKED) == 0 ? TIME_TOLD : ":1\r\n");
    ck_assert_str_eq(got, TEXT(&s, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(name), name));
}
static void tell(const char *json) {
    say(json ? TEXT(&s, "$%zu\r\n%s\r\n", strlen(json), json) : "$-1\r\n");
}

static void open_stage_with(const char *yaml) {
    struct endpoint at;
    const char *why;
    redis_listener = rig_listen(&at);
    stage_prepare(&s, yaml);
    struct redis_settings *redis = &s.settings->redis;
    redis->url = str_of(TEXT(&s, "redis://127.0.0.1:%u", rig_port(&at)));
    redis->timeout_ns = 10 * NS_PER_S;
    ck_assert(redis_url_parse(redis->url, &redis->target, &s.arena, &why));
    stage_start(&s);
    stage_publish(&s);
    redis_fd = rig_accept(s.loop, redis_listener);
    rig_expect(s.loop, redis_fd, STR(TIME_ASKED));
    say(TIME_TOLD);
    rig_settle(s.loop);
    ck_assert(api_key_new(key) && api_key_id(str_of(key), id));
}
static void open_stage(void) { open_stage_with(ROUTES); }
static void close_stage(void) {
    stage_close(&s);
    close(redis_fd);
    close(redis_listener);
}

#define SHOWN(path) GET(&s, path, TEXT(&s, "x-api-key: %s\r\n", key))

static void ask_for_the_key(const char *json) {
    hear_get(TEXT(&s, "jotgate:k:%s", id));
    tell(json);
}

START_TEST(a_key_speaks_for_its_subject_and_goes_no_further) {
    open_stage();
    int client =
        ask(&s, GET(&s, "/keys", TEXT(&s, "Authorization: Bearer %s\r\napikey: %s\r\n", key, key)));
    ask_for_the_key("{\"subject\":\"ada\",\"created\":1}");
    hear_get("jotgate:s:ada");
    tell(NULL);
    int upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
    ck_assert(!str_contains(buffer_bytes(&s.seen.bytes), STR("jg_")));
    ck_assert_ptr_null(SEEN(&s, "authorization"));
    rig_send(s.loop, upstream, str_of(OK_HI));
    ck_assert_int_eq(hear(&s, client), 200);
    close(upstream), close(client);
    ck_assert_int_eq(pass(&s, SHOWN("/keys")), 200); /* remembered */
    ck_assert_int_eq(pass(&s, GET(&s, "/open", TEXT(&s, "Authorization: Bearer %s\r\n", key))),
                     200);
    ck_assert(!str_contains(buffer_bytes(&s.seen.bytes), STR("jg_")));
    close_stage();
}
END_TEST

START_TEST(unknown_and_expired_keys_and_nonsense_let_nobody_in) {
    static const struct {
        const char *json;
        int status;
    } answers[] = {
        {NULL, 401}, {"{\"subject\":\"ada\",\"expires\":1}", 401}, {"{\"subject\":1}", 503}};
    for (size_t i = 0; i < 3; i++) {
        open_stage();
        int client = ask(&s, SHOWN("/keys"));
        ask_for_the_key(answers[i].json);
        ck_assert_int_eq(hear(&s, client), answers[i].status);
        ASSERT_SAYS(&s, "code", answers[i].status == 401 ? "bad_api_key" : "keys_unavailable");
        close(client);
        ck_assert(!reached_upstream(&s));
        close_stage();
    }
}
END_TEST

START_TEST(many_who_show_the_same_key_ask_once) {
    int clients[4];
    open_stage();
    for (int i = 0; i < 4; i++)
        clients[i] = ask(&s, SHOWN("/keys"));
    close(clients[3]); /* who leaves is not answered */
    rig_settle(s.loop);
    ask_for_the_key(NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(hear(&s, clients[i]), 401);
        close(clients[i]);
    }
    char byte;
    ck_assert_int_lt(recv(redis_fd, &byte, 1, MSG_DONTWAIT), 0);
    close_stage();
}
END_TEST

START_TEST(without_redis_keys_are_503_and_users_are_let_in) {
    stage_open(&s, ROUTES);
    ck_assert(api_key_new(key));
    ck_assert_int_eq(refuse(&s, SHOWN("/keys")), 503);
    ck_assert_int_eq(pass(&s, GET(&s, "/keys", bearer(&s, ADA))), 200);
    ck_assert_int_eq(refuse(&s, GET(&s, "/keys", "x-api-key: jg_nonsense\r\n")), 401);
    ck_assert_int_eq(refuse(&s, GET(&s, "/keys", "")), 401);
    stage_close(&s);
}
END_TEST

/* ---- credential: user */

#define USER_ROUTES \
    "supabase: { url: \"${UPSTREAM}\", publishable_key: " PUBLISHABLE \
    ", signing_key: a-secret-of-more-than-32-bytes-to-sign }\n" \
    "routes: [ { path: /keys, access: apikey, credential: user, limits: [] } ]\n"

/* The bearer's payload, as the upstream saw it. */
static const char *seen_payload(void) {
    const char *bearer_field = SEEN(&s, "authorization");
    ck_assert_ptr_nonnull(bearer_field);
    const char *dot = strchr(bearer_field, '.');
    ck_assert_ptr_nonnull(dot);
    struct str encoded = str_first(str_of(dot + 1), str_index(str_of(dot + 1), '.'));
    unsigned char *room = arena_alloc(&s.arena, BASE64URL_DECODED_MAX(encoded.n));
    size_t n;
    ck_assert(base64url_decode(encoded, room, &n));
    return TEXT(&s, "%.*s", (int)n, (const char *)room);
}
static int pass_with_key(const char *json, const char *subject, const char *fields) {
    int asking = ask(&s, GET(&s, "/keys", TEXT(&s, "x-api-key: %s\r\n%s", key, fields)));
    if (json) {
        ask_for_the_key(json);
        hear_get(TEXT(&s, "jotgate:s:%s", subject));
        tell(NULL);
    }
    int at = rig_accept(s.loop, s.upstream_listener);
    see(&s, at);
    rig_send(s.loop, at, str_of(OK_HI));
    int status = hear(&s, asking);
    close(at), close(asking);
    return status;
}

START_TEST(a_keys_user_has_a_token_that_is_signed_once) {
    open_stage_with(USER_ROUTES);
    ck_assert_int_eq(
        pass_with_key("{\"subject\":\"main:ada\",\"plan\":\"pro\",\"created\":1}", "main:ada", ""),
        200);
    const char *first = SEEN(&s, "authorization");
    ck_assert_str_eq(SEEN(&s, "apikey"), PUBLISHABLE);
    ck_assert_ptr_nonnull(strstr(seen_payload(), "\"sub\":\"ada\""));
    ck_assert_ptr_nonnull(strstr(seen_payload(), "\"iss\":\"" ISSUER "\""));
    ck_assert_ptr_nonnull(strstr(seen_payload(), "\"role\":\"authenticated\""));
    ck_assert_ptr_nonnull(strstr(seen_payload(), "\"plan\":\"pro\""));
    ck_assert_int_eq(pass_with_key(NULL, NULL, "Authorization: Bearer " PUBLISHABLE "\r\n"), 200);
    ck_assert_str_eq(SEEN(&s, "authorization"), first); /* one field, and the same */
    /* Who brings a token is that user already. */
    const char *own = bearer(&s, ADA);
    int asking = ask(&s, GET(&s, "/keys", own));
    hear_get("jotgate:s:ada");
    tell(NULL);
    int at = rig_accept(s.loop, s.upstream_listener);
    see(&s, at);
    close(at), close(asking);
    ck_assert_ptr_nonnull(strstr(own, SEEN(&s, "authorization")));
    close_stage();
}
END_TEST

START_TEST(a_token_does_not_outlive_its_key) {
    struct now now = clock_now();
    long long end = (long long)now_s(&now) + 10;
    open_stage_with(USER_ROUTES);
    ck_assert_int_eq(
        pass_with_key(TEXT(&s, "{\"subject\":\"ada\",\"created\":1,\"expires\":%lld}", end), "ada",
                      ""),
        200);
    ck_assert_ptr_nonnull(strstr(seen_payload(), TEXT(&s, "\"exp\":%lld", end)));
    close_stage();
}
END_TEST

/* ---- what was opened with a key */

#define EVENTS "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"

static int client, upstream;

static void open_events(const char *json) {
    client = ask(&s, SHOWN("/keys"));
    ask_for_the_key(json);
    hear_get("jotgate:s:ada");
    tell(NULL);
    upstream = rig_accept(s.loop, s.upstream_listener);
    see(&s, upstream);
}
static void begin_events(void) {
    rig_send(s.loop, upstream, STR(EVENTS));
    ck_assert_int_eq(hear_head(&s, client), 200);
    rig_expect(s.loop, client, STR("9\r\ndata: 1\n\n\r\n"));
}
static void send_more(void) {
    rig_send(s.loop, upstream, STR("x"));
    rig_expect(s.loop, client, STR("1\r\nx\r\n"));
}
static void expect_last_chunk(void) { rig_expect(s.loop, client, STR("0\r\n\r\n")); }
static void close_events(void) {
    close(client), close(upstream);
    close_stage();
}

static void take_on(struct news *news) {
    gateway_set_news(s.gateway, news);
    news_unref(news);
}
static void tell_of(const char *changed) {
    ck_assert_int_eq(feed_enter(s.feed, FEED_APIKEY, str_of(changed), 0), 0);
    take_on(feed_news(s.feed));
}

START_TEST(a_revoked_keys_stream_ends) {
    open_stage();
    open_events("{\"subject\":\"ada\",\"created\":1}");
    begin_events();
    tell_of("another key");
    send_more();
    tell_of(id);
    ask_for_the_key(NULL);
    expect_last_chunk();
    ck_assert_int_eq(refuse(&s, SHOWN("/keys")), 401); /* asked already */
    close_events();
}
END_TEST

START_TEST(a_key_that_is_revoked_before_its_stream_begins) {
    open_stage();
    open_events("{\"subject\":\"ada\",\"created\":1}");
    tell_of(id);
    ask_for_the_key(NULL);
    rig_settle(s.loop);
    rig_send(s.loop, upstream, STR(EVENTS));
    ck_assert_int_eq(hear_head(&s, client), 200);
    expect_last_chunk(); /* and nothing before */
    close_events();
}
END_TEST

START_TEST(after_a_gap_in_the_news_every_key_is_asked_for_again) {
    static const char record[] = "{\"subject\":\"ada\",\"created\":1}";
    open_stage();
    open_events(record);
    begin_events();
    struct news *before = feed_news(s.feed);
    for (int i = 0; i < 2; i++) {
        struct news *gap = news_anew(before, before->denials);
        take_on(gap);
        ask_for_the_key(i == 0 ? record : NULL);
        if (i == 0)
            send_more();
        news_unref(before);
        before = news_ref(gap);
    }
    expect_last_chunk();
    news_unref(before);
    close_events();
}
END_TEST

START_TEST(streams_end_with_their_key_when_the_settings_say_so) {
    struct now now = clock_now();
    open_stage_with("close_streams_at_expiry: true\n" ROUTES);
    open_events(TEXT(&s, "{\"subject\":\"ada\",\"created\":1,\"expires\":%lld}",
                     (long long)now_s(&now) + 2));
    begin_events();
    expect_last_chunk();
    close_events();
    open_stage_with("close_streams_at_expiry: true\n" ROUTES);
    open_events("{\"subject\":\"ada\",\"created\":1}"); /* for ever */
    begin_events();
    rig_settle(s.loop);
    send_more();
    close_events();
}
END_TEST

START_TEST(what_keys_were_worth_is_counted) {
    open_stage();
    int other = ask(&s, SHOWN("/keys"));
    ask_for_the_key(NULL);
    ck_assert_int_eq(hear(&s, other), 401);
    close(other);
    ck_assert_int_eq(refuse(&s, SHOWN("/keys")), 401);
    tell_of(id);
    struct buffer text = {0};
    static const char *const lines[] = {"jotgate_api_keys_total{result=\"unknown\"} 2\n",
                                        "jotgate_api_key_fetches_total 1\n",
                                        "jotgate_api_keys_held 0\n"};
    gateway_show(s.gateway);
    ck_assert_int_eq(metrics_render(s.metrics, &text), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(str_contains(buffer_bytes(&text), str_of(lines[i])), "%s", lines[i]);
    buffer_release(&text);
    close_stage();
}
END_TEST

SUITE_MAIN("gateway/api_keys", a_key_speaks_for_its_subject_and_goes_no_further,
           unknown_and_expired_keys_and_nonsense_let_nobody_in, many_who_show_the_same_key_ask_once,
           without_redis_keys_are_503_and_users_are_let_in, a_revoked_keys_stream_ends,
           a_key_that_is_revoked_before_its_stream_begins,
           after_a_gap_in_the_news_every_key_is_asked_for_again,
           streams_end_with_their_key_when_the_settings_say_so, what_keys_were_worth_is_counted,
           a_keys_user_has_a_token_that_is_signed_once, a_token_does_not_outlive_its_key)
