/* SPDX-License-Identifier: MIT */
/* Proves io/redis_session.h against a real redis-server. */
#include "io/redis_session.h"
#include "redis_server.h"

static struct redis_target target;
static struct arena arena;
static char why[160];

static struct redis_session *session_to(uint16_t port, int64_t patience_ns) {
    char url[64];
    const char *reason;
    arena_init(&arena);
    int n = snprintf(url, sizeof(url), "redis://127.0.0.1:%u", port);
    struct str own = arena_copy(&arena, (struct str){url, (size_t)n});
    ck_assert(redis_url_parse(own, &target, &arena, &reason));
    return redis_session_new(&target, patience_ns, why);
}

START_TEST(calls_are_waited_for) {
    struct server server = {0};
    const struct redis_reply *reply;
    const struct str push[] = {STR("RPUSH"), STR("k"), STR("a"), STR("b")};
    const struct str range[] = {STR("LRANGE"), STR("k"), STR("0"), STR("-1")};
    struct redis_script script;
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('LLEN', KEYS[1])"), 0);
    server_start(&server, "");
    struct redis_session *session = session_to(server.port, 10 * NS_PER_S);
    ck_assert_msg(session != NULL, "%s", why);
    ck_assert_int_eq(redis_session_call(session, STR("k"), push, 4, &reply), REDIS_ANSWERED);
    ck_assert_int_eq(reply->integer, 2);
    ck_assert_int_eq(redis_session_call(session, STR("k"), range, 4, &reply), REDIS_ANSWERED);
    ck_assert(reply->n == 2 && str_eq(reply->list[1].text, STR("b")));
    ck_assert_int_eq(redis_session_run(session, &script, &push[1], 1, NULL, 0, &reply),
                     REDIS_ANSWERED);
    ck_assert_int_eq(reply->integer, 2);
    server_kill(&server);
    ck_assert_int_ne(redis_session_call(session, STR("k"), range, 4, &reply), REDIS_ANSWERED);
    ck_assert_ptr_null(reply);
    redis_session_free(session);
    redis_script_fini(&script);
    arena_fini(&arena);
    server_stop(&server);
}
END_TEST

START_TEST(nobody_there_is_told_when_patience_is_over) {
    struct endpoint at;
    int deaf = rig_deaf(&at);
    ck_assert_ptr_null(session_to(rig_port(&at), 200 * NS_PER_MS));
    ck_assert_str_eq(why, "Redis does not answer");
    arena_fini(&arena);
    close(deaf);
}
END_TEST

RIG_MAIN("io/redis_session", calls_are_waited_for, nobody_there_is_told_when_patience_is_over)
