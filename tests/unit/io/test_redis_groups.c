/* SPDX-License-Identifier: MIT */
/* Proves io/redis.h with several servers: a Cluster of six nodes and a group with three Sentinels, all real, whose
 * servers are killed; and with a peer that tells nonsense about them. */
#include "limits_rig.h"
#include "redis_peer.h"
#include "redis_server.h"

#define PATIENT_NS (2 * NS_PER_S)
#define NODES      6
#define SENTINELS  3

static struct server servers[NODES], sentinels[SENTINELS];
static struct client client;

/* What redis-cli prints, without the line's end. */
static const char *cli(uint16_t port, const char *command) {
    static char said[8192];
    char line[600];
    snprintf(line, sizeof(line), "redis-cli -p %u %s 2>&1", port, command);
    FILE *pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t n = fread(said, 1, sizeof(said) - 1, pipe);
    pclose(pipe);
    while (n > 0 && said[n - 1] == '\n')
        n--;
    said[n] = '\0';
    return said;
}

/* Asks until the answer has these words. */
static void cli_until(uint16_t port, const char *command, const char *words) {
    int64_t deadline_ns = clock_now().mono_ns + RIG_PATIENCE_NS;
    while (!strstr(cli(port, command), words)) {
        ck_assert_msg(clock_now().mono_ns < deadline_ns, "%s: waited in vain for %s", command,
                      words);
        usleep(20000);
    }
}

static void stop_all(void) {
    for (size_t i = 0; i < NODES; i++)
        if (servers[i].folder[0])
            server_stop(&servers[i]);
    for (size_t i = 0; i < SENTINELS; i++)
        if (sentinels[i].folder[0])
            server_stop(&sentinels[i]);
}

static enum redis_verdict verdict_on(const char *question) {
    static struct asked asked;
    return answer(&client, &asked, question);
}

/* ---- a Cluster */

static void start_cluster(void) {
    char options[300], create[400];
    size_t n = 0;
    for (size_t i = 0; i < NODES; i++) {
        snprintf(options, sizeof(options),
                 "--cluster-enabled yes --cluster-node-timeout 1000 --cluster-port %u "
                 "--repl-diskless-sync-delay 0",
                 free_port());
        server_start(&servers[i], options);
    }
    n = (size_t)snprintf(create, sizeof(create), "--cluster create");
    for (size_t i = 0; i < NODES; i++) {
        cli_until(servers[i].port, "PING", "PONG");
        n += (size_t)snprintf(create + n, sizeof(create) - n, " 127.0.0.1:%u", servers[i].port);
    }
    snprintf(create + n, sizeof(create) - n, " --cluster-replicas 1 --cluster-yes");
    ck_assert_msg(strstr(cli(servers[0].port, create), "16384 slots covered") != NULL,
                  "no Cluster");
    for (size_t i = 0; i < NODES; i++)
        cli_until(servers[i].port, "CLUSTER INFO", "cluster_state:ok");
}

static struct redis_stats stats(void) { return redis_stats(client.redis); }

static void open_cluster(void) {
    char url[100];
    start_cluster();
    snprintf(url, sizeof(url), "redis+cluster://127.0.0.1:%u", servers[NODES - 1].port);
    client_open(&client, url, NULL, PATIENT_NS);
    RUN_UNTIL(client.loop, stats().n_servers == 3 && stats().n_up == 3);
    ck_assert(!redis_is_lost(client.redis, (char[REDIS_WHY_MAX]){0}));
}

static struct server *server_at(const char *port_text) {
    uint64_t port;
    ck_assert(str_to_u64(str_of(port_text), &port));
    for (size_t i = 0; i < NODES; i++)
        if (servers[i].port == port)
            return &servers[i];
    ck_abort_msg("nobody is at %s", port_text);
}

/* The server that keeps `key`: asked of any other, it says MOVED. */
static struct server *keeper_of(const char *key) {
    char command[60];
    snprintf(command, sizeof(command), "GET %s", key);
    for (size_t i = 0; i < NODES; i++) {
        const char *said = servers[i].pid ? cli(servers[i].port, command) : "";
        if (strncmp(said, "MOVED ", 6) == 0)
            return server_at(strrchr(said, ':') + 1);
    }
    ck_abort_msg("nobody says MOVED");
}

START_TEST(keys_and_scripts_find_their_nodes_in_a_cluster) {
    struct redis_script script;
    struct asked asked = {0};
    char text[40];
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('INCR', KEYS[1])"), 0);
    open_cluster();
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof(text), "SET key%d %d", i, i);
        ck_assert_int_eq(verdict_on(text), REDIS_ANSWERED);
        snprintf(text, sizeof(text), "n{%d}", i % 30);
        run(&client, &asked, &script, text, "");
        ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
        ck_assert_int_eq(asked.integer, 1 + i / 30);
    }
    ck_assert_uint_eq(stats().ended[REDIS_ERROR], 0);
    client_close(&client);
    stop_all();
    redis_script_fini(&script);
}
END_TEST

/* With the node of the third charge away. */
static void what_refuses_needs_no_other(struct redis_limits *limits, struct limit_charge *charges) {
    struct taken taken = {0};
    const struct limit_outcome *outcome = take(&client, limits, charges, 3, true);
    ck_assert(!outcome->allowed && outcome->binding == 1);
    ck_assert(outcome->states[2].allowed && outcome->states[2].remaining == 3);

    charges[1].cost = 1;
    ck_assert_int_eq(redis_limits_take(limits, &taken.taking, charges, NULL, 3, true, on_taken), 0);
    RUN_UNTIL(client.loop, taken.n_ended == 1);
    ck_assert_int_eq(taken.verdict, REDIS_AWAY);
    ck_assert(redis_taking_was_heard(&taken.taking, 1) && redis_taking_was_sent(&taken.taking, 1));
    ck_assert(!redis_taking_was_heard(&taken.taking, 2));
    ck_assert(!redis_taking_was_sent(&taken.taking, 2));
    ck_assert_int_eq(redis_taking_found(&taken.taking, 0, 0).window.used, 3); /* given back */
    RUN_UNTIL(client.loop, stats().n_under_way == 0);
    ck_assert_int_eq(take(&client, limits, charges, 2, false)->states[0].remaining, 4);
}

START_TEST(limits_of_several_keys_are_taken_or_given_back_on_a_cluster) {
    open_cluster();
    struct redis_limits *limits = redis_limits_new(client.redis, STR("jotgate:"));
    struct limit_charge charges[] = {
        {.policy = &policy_quota, .key = STR("u"), .cost = 1},
        {.policy = &policy_rate, .key = STR("u"), .cost = 1},
        {.policy = &policy_ip, .key = STR("a"), .cost = 1}, /* another slot */
    };
    ck_assert_uint_ne(redis_slot(STR("{subject:u}")), redis_slot(STR("{ip:a}")));
    for (int i = 1; i <= 3; i++)
        ck_assert(take(&client, limits, charges, 3, true)->allowed);
    for (int i = 0; i < 3; i++) {
        const struct limit_outcome *outcome = take(&client, limits, charges, 3, true);
        ck_assert(!outcome->allowed && outcome->binding == 2);
        ck_assert(outcome->states[0].allowed && outcome->states[0].remaining == 5);
        RUN_UNTIL(client.loop, stats().n_under_way == 0);
    }
    ck_assert_int_eq(take(&client, limits, charges, 2, false)->states[0].remaining, 4);
    ck_assert_int_eq(take(&client, limits, charges, 2, false)->states[1].remaining, 1);
    charges[1].cost = 9; /* the first group refuses: the other only looks */
    ck_assert(!take(&client, limits, charges, 3, true)->allowed);
    server_kill(keeper_of("{ip:a}"));
    RUN_UNTIL(client.loop, !redis_is_up(client.redis, STR("{ip:a}")));
    what_refuses_needs_no_other(limits, charges);
    client_close(&client);
    redis_limits_free(limits);
    stop_all();
}
END_TEST

START_TEST(slots_that_move_are_followed_and_a_lost_master_is_replaced) {
    struct redis_script script;
    struct asked asked = {0};
    char text[120], from_id[64], to_id[64];
    ck_assert_int_eq(redis_script_init(&script, "return redis.call('INCR', KEYS[1])"), 0);
    open_cluster();
    unsigned slot = redis_slot(STR("moving"));
    struct server *from = keeper_of("moving"), *to = keeper_of("other1");
    for (int i = 2; to == from; i++) {
        snprintf(text, sizeof(text), "other%d", i);
        to = keeper_of(text);
    }
    snprintf(from_id, sizeof(from_id), "%s", cli(from->port, "CLUSTER MYID"));
    snprintf(to_id, sizeof(to_id), "%s", cli(to->port, "CLUSTER MYID"));

    /* ASK: what is not there any more is at the other's already. */
    snprintf(text, sizeof(text), "CLUSTER SETSLOT %u IMPORTING %s", slot, from_id);
    ck_assert_str_eq(cli(to->port, text), "OK");
    snprintf(text, sizeof(text), "CLUSTER SETSLOT %u MIGRATING %s", slot, to_id);
    ck_assert_str_eq(cli(from->port, text), "OK");
    for (int i = 1; i <= 2; i++) {
        run(&client, &asked, &script, "moving", "");
        ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
        ck_assert_int_eq(asked.integer, i);
    }

    /* MOVED */
    snprintf(text, sizeof(text), "CLUSTER SETSLOT %u NODE %s", slot, to_id);
    ck_assert_str_eq(cli(to->port, text), "OK");
    ck_assert_str_eq(cli(from->port, text), "OK");
    for (int i = 3; i <= 4; i++) {
        run(&client, &asked, &script, "moving", "");
        ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
        ck_assert_int_eq(asked.integer, i);
    }

    /* The master dies; its replica, once it has everything, takes over. Of a slot that its master
     * was only just given all the others have to have heard. */
    snprintf(text, sizeof(text), "127.0.0.1:%u", to->port);
    for (size_t i = 0; i < NODES; i++)
        if (&servers[i] != to)
            cli_until(servers[i].port, "GET moving", text);
    for (size_t i = 0; i < NODES; i++)
        if (strstr(cli(servers[i].port, "ROLE"), "slave"))
            cli_until(servers[i].port, "INFO replication", "master_link_status:up");
    ck_assert_int_eq(verdict_on("WAIT 1 1000"), REDIS_ANSWERED);
    server_kill(to);
    RUN_UNTIL(client.loop, !redis_is_up(client.redis, STR("moving")));
    ck_assert_int_eq(verdict_on("GET moving"), REDIS_AWAY);
    RUN_UNTIL(client.loop, verdict_on("GET moving") == REDIS_ANSWERED);
    RUN_UNTIL(client.loop, stats().n_servers == 3 && stats().n_up == 3);
    run(&client, &asked, &script, "moving", "");
    ck_assert_int_eq(wait_for(&client, &asked), REDIS_ANSWERED);
    client_close(&client);
    stop_all();
    redis_script_fini(&script);
}
END_TEST

/* ---- Sentinels */

static void start_sentinel(struct server *sentinel, uint16_t master) {
    char path[100], options[200];
    server_folder(sentinel);
    sentinel->port = free_port();
    snprintf(path, sizeof(path), "%s/sentinel.conf", sentinel->folder);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "bind 127.0.0.1\nport %u\nsentinel monitor group 127.0.0.1 %u 2\n"
            "sentinel down-after-milliseconds group 500\nsentinel failover-timeout group 3000\n"
            "sentinel auth-pass group secret\n",
            sentinel->port, master);
    fclose(file);
    snprintf(options, sizeof(options), "%s --sentinel", path);
    server_spawn(sentinel, options);
}

START_TEST(a_master_that_dies_is_replaced_by_whom_the_sentinels_name) {
    char options[200], url[200];
    struct asked asked = {0};
    server_start(&servers[0],
                 "--requirepass secret --masterauth secret --repl-diskless-sync-delay 0");
    snprintf(options, sizeof(options),
             "--requirepass secret --masterauth secret --repl-diskless-sync-delay 0 --replicaof "
             "127.0.0.1 %u",
             servers[0].port);
    server_start(&servers[1], options);
    cli_until(servers[1].port, "-a secret --no-auth-warning INFO replication",
              "master_link_status:up");
    for (size_t i = 0; i < SENTINELS; i++)
        start_sentinel(&sentinels[i], servers[0].port);
    for (size_t i = 0; i < SENTINELS; i++) {
        cli_until(sentinels[i].port, "SENTINEL MASTER group",
                  "num-slaves\n1\nnum-other-sentinels\n2");
    }
    snprintf(url, sizeof(url), "redis+sentinel://:secret@127.0.0.1:%u,127.0.0.1:%u/group/1",
             sentinels[0].port, sentinels[1].port);
    client_open(&client, url, NULL, PATIENT_NS);
    RUN_UNTIL(client.loop, IS_UP(&client));
    ck_assert_int_eq(verdict_on("SET key value"), REDIS_ANSWERED);
    ck_assert_int_eq(verdict_on("WAIT 1 5000"), REDIS_ANSWERED);
    server_kill(&servers[0]);
    RUN_UNTIL(client.loop, !IS_UP(&client));
    RUN_UNTIL(client.loop, IS_UP(&client));
    ck_assert_int_eq(answer(&client, &asked, "GET key"), REDIS_ANSWERED);
    ck_assert_str_eq(asked.text, "value");
    ck_assert_int_eq(verdict_on("SET key other"), REDIS_ANSWERED);
    client_close(&client);
    stop_all();
}
END_TEST

START_TEST(a_service_that_the_sentinels_do_not_know_stays_away) {
    char url[200], why[REDIS_WHY_MAX] = "";
    start_sentinel(&sentinels[0], 1);
    cli_until(sentinels[0].port, "PING", "PONG");
    snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/other", sentinels[0].port);
    client_open(&client, url, NULL, PATIENT_NS);
    RUN_UNTIL(client.loop, stats().connects > 0);
    int64_t until_ns = clock_now().mono_ns + 700 * NS_PER_MS;
    RUN_UNTIL(client.loop, clock_now().mono_ns > until_ns);
    ck_assert_int_eq(verdict_on("PING"), REDIS_AWAY);
    ck_assert(redis_is_lost(client.redis, why));
    ck_assert_ptr_nonnull(strstr(why, "do not know the service"));
    client_close(&client);
    stop_all();
}
END_TEST

/* ---- nonsense */

#define SLOTS_ASKED "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n"

START_TEST(tables_of_slots_that_are_nonsense_keep_a_cluster_away) {
    static const char *const answers[] = {
        "-ERR This instance has cluster support disabled\r\n",
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:65536\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_listen("redis+cluster://127.0.0.1:%u");
        struct asked asked = {0};
        peer_meet(peer);
        peer_hears(peer, SLOTS_ASKED);
        peer_says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, peer_is_cut(peer));
        ck_assert_int_eq(answer(&peer->client, &asked, "GET k"), REDIS_AWAY);
        peer_close(peer);
    }
}
END_TEST

START_TEST(redirections_end_even_when_nodes_send_in_circles) {
    struct peer *peer = peer_listen("redis+cluster://127.0.0.1:%u");
    struct asked asked = {0};
    char table[200], moved[80];
    peer_meet(peer);
    peer_hears(peer, SLOTS_ASKED);
    snprintf(table, sizeof(table), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%u\r\n",
             peer->port);
    peer_says(peer, table);
    RUN_UNTIL(peer->client.loop, redis_is_up(peer->client.redis, STR("k")));
    ask(&peer->client, &asked, "GET k");
    for (int i = 0; i < 4; i++) {
        peer_hears(peer, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        snprintf(moved, sizeof(moved), "-MOVED %u 127.0.0.1:%u\r\n", redis_slot(STR("k")),
                 peer->port);
        peer_says(peer, moved);
    }
    ck_assert_int_eq(wait_for(&peer->client, &asked), REDIS_REFUSED);
    peer_close(peer);
}
END_TEST

START_TEST(redirections_that_are_nonsense_are_not_followed) {
    static const char *const answers[] = {
        "-MOVED\r\n",
        "-MOVED 1\r\n",
        "-MOVED 16384 127.0.0.1:1\r\n",
        "-MOVED x 127.0.0.1:1\r\n",
        "-MOVED 1 127.0.0.1\r\n",
        "-MOVED 1 127.0.0.1:0\r\n",
        "-ASK 1 127.0.0.1:x\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_listen("redis+cluster://127.0.0.1:%u");
        struct asked asked = {0};
        char table[200];
        peer_meet(peer);
        peer_hears(peer, SLOTS_ASKED);
        snprintf(table, sizeof(table), "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%u\r\n",
                 peer->port);
        peer_says(peer, table);
        RUN_UNTIL(peer->client.loop, redis_is_up(peer->client.redis, STR("k")));
        ask(&peer->client, &asked, "GET k");
        peer_hears(peer, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        peer_says(peer, answers[i]);
        ck_assert_int_ne(wait_for(&peer->client, &asked), REDIS_ANSWERED);
        peer_close(peer);
    }
}
END_TEST

RIG_MAIN("io/redis_groups", keys_and_scripts_find_their_nodes_in_a_cluster,
         limits_of_several_keys_are_taken_or_given_back_on_a_cluster,
         slots_that_move_are_followed_and_a_lost_master_is_replaced,
         a_master_that_dies_is_replaced_by_whom_the_sentinels_name,
         a_service_that_the_sentinels_do_not_know_stays_away,
         tables_of_slots_that_are_nonsense_keep_a_cluster_away,
         redirections_end_even_when_nodes_send_in_circles,
         redirections_that_are_nonsense_are_not_followed)
