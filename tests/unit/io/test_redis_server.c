/* SPDX-License-Identifier: MIT */
/* Proves io/redis.h and io/redis_script.h against a real redis-server, which is killed, frozen and restarted. */
#pragma GCC diagnostic ignored "-Wunused-function" /* only its identities are needed */
#include "authority.h"
#include "redis_server.h"

#define PATIENT_NS (2 * NS_PER_S)
#define TIMEOUT_NS (150 * NS_PER_MS)

static struct server server;
static struct client client;

static void open_up(const char *login, const char *rest, int64_t timeout_ns) {
    char url[200];
    snprintf(url, sizeof(url), "redis://%s127.0.0.1:%u%s", login, server.port, rest);
    client_open(&client, url, NULL, timeout_ns);
    RUN_UNTIL(client.loop, IS_UP(&client));
}

static void close_all(void) {
    client_close(&client);
    server_stop(&server);
}

static void says(const char *question, const char *text) {
    struct asked asked = {0};
    ck_assert_int_eq(answer(&client, &asked, question), REDIS_ANSWERED);
    ck_assert_str_eq(asked.text, text);
}

START_TEST(calls_are_answered_over_tcp) {
    server_start(&server, "");
    open_up("", "", PATIENT_NS);
    says("SET key value", "OK");
    says("GET key", "value");
    struct asked asked = {0};
    ck_assert_int_eq(answer(&client, &asked, "LPUSH key x"), REDIS_ERROR);
    ck_assert_ptr_nonnull(strstr(asked.text, "WRONGTYPE"));
    ck_assert(IS_UP(&client));
    close_all();
}
END_TEST

START_TEST(calls_are_answered_over_a_unix_socket) {
    char url[200];
    server_start(&server, "");
    snprintf(url, sizeof(url), "unix://%s/redis.sock?db=2", server.folder);
    client_open(&client, url, NULL, PATIENT_NS);
    RUN_UNTIL(client.loop, IS_UP(&client));
    says("SET key value", "OK");
    says("SELECT 0", "OK");
    struct asked asked = {0};
    ck_assert_int_eq(answer(&client, &asked, "GET key"), REDIS_ANSWERED);
    ck_assert_int_eq(asked.kind, REPLY_NIL);
    close_all();
}
END_TEST

START_TEST(users_have_their_passwords_and_databases) {
    server_start(&server, "--requirepass secret --user me on >other/pass ~* +@all");
    open_up("me:other%2Fpass@", "/5", PATIENT_NS);
    says("ACL WHOAMI", "me");
    client_close(&client);
    open_up(":secret@", "", PATIENT_NS);
    says("ACL WHOAMI", "default");
    close_all();
}
END_TEST

START_TEST(a_wrong_password_keeps_it_away) {
    static const char *const logins[] = {"", ":wrong@", "me:secret@"};
    server_start(&server, "--requirepass secret");
    open_up(":secret@", "", PATIENT_NS);
    client_close(&client);
    for (size_t i = 0; i < 3; i++) {
        char url[100];
        struct asked asked = {0};
        snprintf(url, sizeof(url), "redis://%s127.0.0.1:%u", logins[i], server.port);
        client_open(&client, url, NULL, PATIENT_NS);
        int64_t until_ns = clock_now().mono_ns + 200 * NS_PER_MS;
        RUN_UNTIL(client.loop, clock_now().mono_ns > until_ns);
        ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_AWAY);
        ck_assert_uint_eq(redis_stats(client.redis).connects, 0);
        if (i < 2)
            client_close(&client);
    }
    close_all();
}
END_TEST

/* ---- TLS */

static void save(const char *name, const struct identity *identity, bool is_key) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", server.folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    if (is_key)
        PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_X509(file, identity->cert);
    fclose(file);
}

static void start_tls(const char *san) {
    struct identity authority =
        identity_new(NULL, (struct wanted_cert){NULL, NULL, -60, 3600, true});
    struct identity own =
        identity_new(&authority, (struct wanted_cert){san, "serverAuth", -60, 3600, false});
    char options[600];
    server_folder(&server);
    save("ca.crt", &authority, false);
    save("own.crt", &own, false);
    save("own.key", &own, true);
    server.port = free_port();
    snprintf(
        options, sizeof(options),
        "--bind 127.0.0.1 --port 0 --tls-port %u --tls-auth-clients no --tls-cert-file %s/own.crt "
        "--tls-key-file %s/own.key --tls-ca-cert-file %s/ca.crt --save  --requirepass secret",
        server.port, server.folder, server.folder, server.folder);
    server_spawn(&server, options);
    identity_free(&authority);
    identity_free(&own);
}

START_TEST(tls_is_spoken_to_whom_a_private_authority_names) {
    char url[100], ca_file[100];
    start_tls("DNS:localhost");
    snprintf(url, sizeof(url), "rediss://:secret@localhost:%u", server.port);
    snprintf(ca_file, sizeof(ca_file), "%s/ca.crt", server.folder);
    client_open(&client, url, ca_file, PATIENT_NS);
    RUN_UNTIL(client.loop, IS_UP(&client));
    says("SET key value", "OK");
    close_all();
}
END_TEST

static void stays_away(const char *url, const char *ca_file) {
    struct asked asked = {0};
    client_open(&client, url, ca_file, PATIENT_NS);
    int64_t until_ns = clock_now().mono_ns + 500 * NS_PER_MS;
    RUN_UNTIL(client.loop, clock_now().mono_ns > until_ns);
    ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_AWAY);
    ck_assert_uint_eq(redis_stats(client.redis).connects, 0);
    client_close(&client);
}

START_TEST(tls_is_not_spoken_to_strangers) {
    char url[100], ca_file[100];
    start_tls("DNS:other.example");
    snprintf(ca_file, sizeof(ca_file), "%s/ca.crt", server.folder);
    int fd = -1;
    struct endpoint at;
    char text[32];
    snprintf(text, sizeof(text), "127.0.0.1:%u", server.port);
    ck_assert(endpoint_parse(str_of(text), &at));
    struct loop *loop = loop_new();
    RUN_UNTIL(loop, (fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0 &&
                        (connect(fd, (void *)&at.address, at.length) == 0 || (close(fd), false)));
    close(fd);
    loop_free(loop);
    snprintf(url, sizeof(url), "rediss://:secret@localhost:%u", server.port);
    stays_away(url, ca_file); /* another name */
    stays_away(url, NULL);    /* nobody whom the system trusts */
    server_stop(&server);
}
END_TEST

START_TEST(an_authority_that_cannot_be_read_is_told) {
    struct redis_target target = {.is_tls = true, .n = 1, .ca_file = STR("/nowhere/ca.pem")};
    char why[160];
    struct loop *loop = loop_new();
    struct resolver *resolver = resolver_new();
    target.addresses[0] = (struct redis_address){STR("localhost"), 1};
    ck_assert_ptr_null(redis_new(loop, resolver, &target, NS_PER_S, why));
    ck_assert_ptr_nonnull(strstr(why, "/nowhere/ca.pem"));
    resolver_free(resolver);
    loop_free(loop);
}
END_TEST

/* ---- life and death */

START_TEST(a_restart_heals_and_scripts_with_it) {
    struct redis_script script;
    struct asked asked = {0};
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('INCR', KEYS[1])"), 0);
    server_start(&server, "");
    open_up("", "", PATIENT_NS);
    for (int i = 1; i <= 2; i++) {
        run(&client, &asked, &script, "n", "");
        ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
        ck_assert_int_eq(asked.integer, i);
    }
    server_kill(&server);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_AWAY);
    server_start(&server, "");
    RUN_UNTIL(client.loop, IS_UP(&client));
    run(&client, &asked, &script, "n", "");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    ck_assert_int_eq(asked.integer, 1);
    says("SCRIPT FLUSH", "OK");
    run(&client, &asked, &script, "n", "");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    ck_assert_int_eq(asked.integer, 2);
    close_all();
    redis_script_fini(&script);
}
END_TEST

/* How many calls there are that Redis has in its buffers when it wakes up. */
#define FROZEN 20

START_TEST(what_a_frozen_redis_had_buffered_changes_nothing) {
    struct redis_script script;
    struct asked asked = {0}, frozen[FROZEN] = {0};
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('INCR', KEYS[1])"), 0);
    server_start(&server, "");
    open_up("", "", TIMEOUT_NS);
    says("SCRIPT FLUSH", "OK");
    run(&client, &asked, &script, "n", "");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    server_freeze(&server);
    int64_t start_ns = clock_now().mono_ns;
    for (int i = 0; i < FROZEN; i++)
        run(&client, &frozen[i], &script, "n", "");
    for (int i = 0; i < FROZEN; i++)
        ck_assert_int_eq(wait_for(&client, &frozen[i]), REDIS_LATE);
    ck_assert_int_lt(clock_now().mono_ns - start_ns, 10 * TIMEOUT_NS);
    ck_assert(!IS_UP(&client));
    ck_assert_int_eq(answer(&client, &asked, "PING"), REDIS_AWAY);
    server_thaw(&server);
    RUN_UNTIL(client.loop, IS_UP(&client));
    RUN_UNTIL(client.loop, answer(&client, &asked, "GET n") == REDIS_ANSWERED);
    ck_assert_str_eq(asked.text, "1");
    close_all();
    redis_script_fini(&script);
}
END_TEST

START_TEST(a_redis_that_is_frozen_for_long_is_found_again) {
    struct asked asked = {0};
    server_start(&server, "");
    open_up("", "", TIMEOUT_NS);
    server_freeze(&server);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    int64_t until_ns = clock_now().mono_ns + 3 * NS_PER_S / 2; /* the connection is given up */
    RUN_UNTIL(client.loop, clock_now().mono_ns > until_ns);
    server_thaw(&server);
    RUN_UNTIL(client.loop, IS_UP(&client));
    ck_assert_uint_ge(redis_stats(client.redis).connects, 2);
    RUN_UNTIL(client.loop, answer(&client, &asked, "PING") == REDIS_ANSWERED);
    close_all();
}
END_TEST

START_TEST(a_script_knows_the_time_and_refuses_to_run_after_its_deadline) {
    struct redis_script script;
    struct asked asked = {0};
    ck_assert_int_eq(redis_script_init(&script, "return {now / 1000000, ARGV[2]}"), 0);
    server_start(&server, "");
    open_up("", "", PATIENT_NS);
    run(&client, &asked, &script, "k", "x");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    ck_assert_int_eq(asked.kind, REPLY_ARRAY);
    int64_t behind_us = clock_now().wall_ns / 1000 - redis_now_us(client.redis, STR_NONE);
    ck_assert_int_lt(behind_us < 0 ? -behind_us : behind_us, 10000000);
    /* The same with a deadline of long ago, as if it had lain in a buffer. */
    const struct str late[] = {STR("EVAL"), str_of(script.source), STR("1"), STR("k"), STR("1"),
                               STR("x")};
    ck_assert_int_eq(redis_call(client.redis, &asked.call, STR("k"), late, 6, on_asked), 0);
    asked.n_ended = 0;
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ERROR);
    ck_assert_ptr_nonnull(strstr(asked.text, "LATE "));
    ck_assert_ptr_eq(strstr(asked.text, "LATE "), asked.text);
    close_all();
    redis_script_fini(&script);
}
END_TEST

START_TEST(a_full_or_replicating_or_busy_redis_is_away) {
    struct redis_script script;
    struct asked asked = {0};
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('SET', KEYS[1], ARGV[2])"), 0);
    server_start(&server, "");
    open_up("", "", PATIENT_NS);
    says("CONFIG SET maxmemory 1", "OK");
    run(&client, &asked, &script, "k", "x");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_REFUSED);
    RUN_UNTIL(client.loop, IS_UP(&client));
    says("CONFIG SET maxmemory 0", "OK");
    says("REPLICAOF 127.0.0.1 1", "OK");
    run(&client, &asked, &script, "k", "x");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_REFUSED);
    RUN_UNTIL(client.loop, IS_UP(&client));
    says("REPLICAOF NO ONE", "OK");
    run(&client, &asked, &script, "k", "x");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    close_all();
    redis_script_fini(&script);
}
END_TEST

RIG_MAIN("io/redis_server", calls_are_answered_over_tcp, calls_are_answered_over_a_unix_socket,
         users_have_their_passwords_and_databases, a_wrong_password_keeps_it_away,
         tls_is_spoken_to_whom_a_private_authority_names, tls_is_not_spoken_to_strangers,
         an_authority_that_cannot_be_read_is_told, a_restart_heals_and_scripts_with_it,
         what_a_frozen_redis_had_buffered_changes_nothing,
         a_redis_that_is_frozen_for_long_is_found_again,
         a_script_knows_the_time_and_refuses_to_run_after_its_deadline,
         a_full_or_replicating_or_busy_redis_is_away)
