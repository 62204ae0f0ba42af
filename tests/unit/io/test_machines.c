/* SPDX-License-Identifier: MIT */
/* Proves io/machines.h against a real redis-server. */
#include "io/machines.h"
#include "redis_server.h"

static struct server server;
static struct client clients[3];
static struct machines *machines[3];

static void join(size_t i, const char *name) {
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    client_open(&clients[i], url, NULL, 5 * NS_PER_S);
    machines[i] = machines_new(clients[i].loop, clients[i].redis, STR("jg:"), str_of(name));
    ck_assert_ptr_nonnull(machines[i]);
    ck_assert_uint_eq(machines_seen(machines[i]), 0);
    RUN_UNTIL(clients[i].loop, machines_seen(machines[i]) > 0);
}

static void leave(size_t i) {
    machines_free(machines[i]);
    client_close(&clients[i]);
}

START_TEST(machines_see_each_other_and_workers_of_one_are_one) {
    server_start(&server, "");
    join(0, "one");
    join(1, "two");
    join(2, "two");
    ck_assert_uint_eq(machines_seen(machines[0]), 1);
    ck_assert_uint_eq(machines_seen(machines[1]), 2);
    ck_assert_uint_eq(machines_seen(machines[2]), 2);
    RUN_UNTIL(clients[0].loop, machines_seen(machines[0]) == 2);
    for (size_t i = 0; i < 3; i++)
        leave(i);
    server_stop(&server);
}
END_TEST

START_TEST(who_is_silent_is_gone_and_the_key_expires) {
    struct asked asked = {0};
    server_start(&server, "");
    join(0, "one");
    ck_assert_int_eq(answer(&clients[0], &asked, "ZADD jg:machines 1 old"), REDIS_ANSWERED);
    ck_assert_int_eq(answer(&clients[0], &asked, "PTTL jg:machines"), REDIS_ANSWERED);
    ck_assert_int_gt(asked.integer, 0);
    ck_assert_int_le(asked.integer, MACHINES_GONE_NS / NS_PER_MS);
    join(1, "two");
    ck_assert_uint_eq(machines_seen(machines[1]), 2);
    leave(0);
    leave(1);
    server_stop(&server);
}
END_TEST

START_TEST(with_redis_away_the_last_number_stands) {
    server_start(&server, "");
    join(0, "one");
    server_kill(&server);
    RUN_UNTIL(clients[0].loop, !redis_is_up(clients[0].redis, STR_NONE));
    ck_assert_uint_eq(machines_seen(machines[0]), 1);
    leave(0);
    server_stop(&server);
}
END_TEST

RIG_MAIN("io/machines", machines_see_each_other_and_workers_of_one_are_one,
         who_is_silent_is_gone_and_the_key_expires, with_redis_away_the_last_number_stands)
