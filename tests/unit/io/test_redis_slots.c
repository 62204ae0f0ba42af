/* SPDX-License-Identifier: MIT */
/* Proves io/redis_slots.h against a real redis-server, as two gateways see it. */
#include "io/redis_slots.h"
#include "redis_peer.h"
#include "redis_server.h"

#define PATIENT_NS (5 * NS_PER_S)
#define KEY        "jotgate:{subject:u}plan/default/streams:slots"

static const struct limit_policy policy = {.name = STR("streams"),
                                           .counter = STR("plan/default/streams"),
                                           .key = LIMIT_KEY_SUBJECT,
                                           .kind = LIMIT_CONCURRENT,
                                           .concurrent = 2};

struct side {
    struct client client;
    struct redis_slots *slots;
};
static struct server server;
static struct side sides[2];
static int n_done;

static void on_done(void *owner, struct redis_slot *slot) {
    ck_assert_ptr_eq(owner, &n_done);
    ck_assert_ptr_nonnull(slot);
    n_done++;
}

static struct redis_slots *slots_at(struct client *client, const char *machine) {
    struct redis_slots *slots =
        redis_slots_new(&(struct redis_slots_parts){.loop = client->loop,
                                                    .redis = client->redis,
                                                    .prefix = STR("jotgate:"),
                                                    .machine = str_of(machine),
                                                    .on_done = on_done});
    ck_assert_ptr_nonnull(slots);
    return slots;
}

static void open_up(void) {
    char url[64];
    server_start(&server, "");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
    for (size_t i = 0; i < 2; i++) {
        client_open(&sides[i].client, url, NULL, PATIENT_NS);
        sides[i].slots = slots_at(&sides[i].client, i ? "m1" : "m0");
        RUN_UNTIL(sides[i].client.loop, IS_UP(&sides[i].client));
    }
}

static void close_all(void) {
    for (size_t i = 0; i < 2; i++) {
        redis_free(sides[i].client.redis);
        sides[i].client.redis = NULL;
        redis_slots_free(sides[i].slots);
        client_close(&sides[i].client);
    }
    server_stop(&server);
}

static struct redis_slot *ask_for(struct side *side, const char *key, int64_t most) {
    struct redis_slot *slot = redis_slot_new(side->slots, &policy, str_of(key), &n_done);
    ck_assert_ptr_nonnull(slot);
    n_done = 0;
    ck_assert_int_eq(redis_slot_ask(slot, most), 0);
    ck_assert_int_eq(n_done, 0);
    RUN_UNTIL(side->client.loop, n_done == 1);
    return slot;
}

/* Held, or NULL when there are as many. */
static struct redis_slot *take(struct side *side, const char *key) {
    struct redis_slot *slot = ask_for(side, key, policy.concurrent);
    ck_assert_int_eq(redis_slot_verdict(slot), REDIS_ANSWERED);
    if (redis_slot_is_taken(slot)) {
        redis_slot_hold(slot);
        return slot;
    }
    redis_slot_give(slot);
    return NULL;
}

static int64_t in_use(struct side *side) {
    struct redis_slot *slot = ask_for(side, "u", 0);
    ck_assert_int_eq(redis_slot_verdict(slot), REDIS_ANSWERED);
    ck_assert(!redis_slot_is_taken(slot));
    int64_t n = redis_slot_in_use(slot);
    redis_slot_give(slot);
    return n;
}

static struct asked tell(const char *command) {
    struct asked asked = {0};
    ck_assert_int_eq(answer(&sides[1].client, &asked, command), REDIS_ANSWERED);
    return asked;
}

START_TEST(so_many_at_once_over_all_and_each_end_makes_room) {
    open_up();
    struct redis_slot *first = take(&sides[0], "u"), *second = take(&sides[1], "u");
    ck_assert(first && second);
    ck_assert_int_eq(redis_slot_in_use(second), 2);
    ck_assert_ptr_null(take(&sides[0], "u"));
    ck_assert_ptr_null(take(&sides[1], "u"));
    struct redis_slot *other = take(&sides[1], "v");
    ck_assert_ptr_nonnull(other);
    redis_slot_give(first);
    ck_assert_int_eq(in_use(&sides[0]), 1); /* behind it on the same connection */
    first = take(&sides[1], "u");
    ck_assert_ptr_nonnull(first);
    redis_slot_give(first), redis_slot_give(second), redis_slot_give(other);
    ck_assert_int_eq(in_use(&sides[1]), 0);
    ck_assert_int_eq(tell("DBSIZE").integer, 0);
    close_all();
}
END_TEST

START_TEST(a_look_takes_nothing_and_the_key_is_named_as_documented) {
    open_up();
    ck_assert_int_eq(in_use(&sides[0]), 0);
    ck_assert_int_eq(tell("DBSIZE").integer, 0);
    struct redis_slot *slot = take(&sides[0], "u");
    ck_assert_int_eq(in_use(&sides[1]), 1);
    ck_assert_str_eq(tell("TYPE " KEY).text, "zset");
    ck_assert_int_gt(tell("PTTL " KEY).integer, 0);
    ck_assert_int_le(tell("PTTL " KEY).integer, SLOTS_LIFE_NS / NS_PER_MS + 1);
    redis_slot_give(slot);
    close_all();
}
END_TEST

/* As if its machine had been killed long ago: nobody gives it back, nobody renews it. */
START_TEST(a_slot_whose_time_is_over_is_nobodys) {
    open_up();
    struct redis_slot *mine = take(&sides[0], "u");
    ck_assert_int_eq(tell("ZADD " KEY " 1 dead:0:1").integer, 1);
    struct redis_slot *another = take(&sides[0], "u");
    ck_assert_ptr_nonnull(another);
    ck_assert_int_eq(tell("ZCARD " KEY).integer, 2);
    ck_assert_int_eq(tell("ZREM " KEY " dead:0:1").integer, 0);
    redis_slot_give(mine), redis_slot_give(another);
    close_all();
}
END_TEST

START_TEST(what_is_held_is_told_again_and_again_also_to_a_redis_that_forgot) {
    enum { N = 100 }; /* more than one lot */
    static struct redis_slot *slots[N];
    char key[8];
    open_up();
    for (size_t i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        slots[i] = take(&sides[0], key);
    }
    ck_assert_str_eq(tell("FLUSHALL").text, "OK");
    int64_t n = 0;
    do {
        rig_turn(sides[0].client.loop);
        n = tell("DBSIZE").integer;
    } while (n < N);
    ck_assert_int_eq(n, N);
    for (size_t i = 0; i < N; i++)
        redis_slot_give(slots[i]);
    RUN_UNTIL(sides[0].client.loop, redis_stats(sides[0].client.redis).n_under_way == 0);
    ck_assert_int_eq(tell("DBSIZE").integer, 0);
    close_all();
}
END_TEST

START_TEST(with_redis_away_nobody_knows_and_what_is_held_all_the_same_is_told_when_it_is_back) {
    open_up();
    server_kill(&server);
    for (size_t i = 0; i < 2; i++)
        RUN_UNTIL(sides[i].client.loop, !IS_UP(&sides[i].client));
    struct redis_slot *unknown = ask_for(&sides[0], "u", 2), *let_in = ask_for(&sides[0], "u", 2);
    ck_assert_int_eq(redis_slot_verdict(unknown), REDIS_AWAY);
    ck_assert(!redis_slot_is_taken(unknown));
    redis_slot_give(unknown);
    redis_slot_hold(let_in);
    server_start(&server, "");
    for (size_t i = 0; i < 2; i++)
        RUN_UNTIL(sides[i].client.loop, IS_UP(&sides[i].client));
    struct asked asked = {0};
    do {
        rig_turn(sides[0].client.loop);
        asked = tell("ZCARD " KEY);
    } while (asked.integer != 1);
    redis_slot_give(let_in);
    close_all();
}
END_TEST

START_TEST(who_leaves_before_the_answer_leaves_nothing_behind) {
    open_up();
    for (int knows_script = 0; knows_script <= 1; knows_script++) {
        struct redis_slot *slot = redis_slot_new(sides[0].slots, &policy, STR("u"), &n_done);
        n_done = 0;
        ck_assert_int_eq(redis_slot_ask(slot, 2), 0);
        redis_slot_give(slot);
        RUN_UNTIL(sides[0].client.loop, redis_stats(sides[0].client.redis).n_under_way == 0);
        ck_assert_int_eq(n_done, 0);
        ck_assert_int_eq(tell("EXISTS " KEY).integer, 0);
    }
    redis_slot_give(NULL);
    close_all();
}
END_TEST

/* ---- a Redis that the test plays ---- */

/* Whatever comes before it. */
static void peer_hears_at_last(struct peer *peer, const char *text) {
    char got[4096];
    size_t n = 0;
    do {
        ck_assert_uint_lt(n, sizeof(got));
        ssize_t came = -1;
        RUN_UNTIL(peer->client.loop, (came = recv(peer->fd, &got[n], 1, MSG_DONTWAIT)) >= 0);
        ck_assert_int_eq(came, 1);
        n++;
    } while (n < strlen(text) || memcmp(got + n - strlen(text), text, strlen(text)) != 0);
}

#define ASKED "$7\r\n6000000\r\n" /* the end of it */
#define TOLD \
    "*3\r\n$4\r\nZREM\r\n$45\r\n" KEY "\r\n" \
    "$5\r\nm:0:1\r\n"

static struct redis_slot *ask_peer(struct peer *peer, struct redis_slots *slots) {
    struct redis_slot *slot = redis_slot_new(slots, &policy, STR("u"), &n_done);
    n_done = 0;
    ck_assert_int_eq(redis_slot_ask(slot, 2), 0);
    peer_hears_at_last(peer, ASKED);
    return slot;
}

static void part(struct peer *peer, struct redis_slots *slots) {
    redis_free(peer->client.redis);
    peer->client.redis = NULL;
    redis_slots_free(slots);
    peer_close(peer);
}

static size_t n_under_way(const struct peer *peer) {
    return redis_stats(peer->client.redis).n_under_way;
}

START_TEST(what_redis_may_have_taken_too_late_is_taken_out_until_it_says_so) {
    struct peer *peer = peer_up();
    struct redis_slots *slots = slots_at(&peer->client, "m");
    struct redis_slot *slot = ask_peer(peer, slots);
    RUN_UNTIL(peer->client.loop, n_done == 1);
    ck_assert_int_eq(redis_slot_verdict(slot), REDIS_LATE);
    redis_slot_give(slot);
    peer_hears_at_last(peer, TIME_ASKED);
    peer_says(peer, "*2\r\n:1\r\n:1\r\n" TIME_TOLD);
    peer_hears_at_last(peer, TOLD);
    peer_hears_at_last(peer, TIME_ASKED); /* that was too late as well */
    peer_says(peer, ":1\r\n" TIME_TOLD);
    peer_hears_at_last(peer, TOLD);
    close(peer->fd); /* and that is lost */
    peer->fd = -1;
    peer_meet(peer);
    peer_hears_at_last(peer, TOLD);
    peer_says(peer, ":0\r\n");
    RUN_UNTIL(peer->client.loop, n_under_way(peer) == 0);
    part(peer, slots);
}
END_TEST

START_TEST(who_is_given_back_with_redis_away_is_told_when_it_is_back) {
    struct peer *peer = peer_up();
    struct redis_slots *slots = slots_at(&peer->client, "m");
    struct redis_slot *slot = ask_peer(peer, slots);
    peer_says(peer, "*2\r\n:1\r\n:1\r\n");
    RUN_UNTIL(peer->client.loop, n_done == 1);
    redis_slot_hold(slot);
    close(peer->fd);
    peer->fd = -1;
    RUN_UNTIL(peer->client.loop, !IS_UP(&peer->client));
    redis_slot_give(slot);
    peer_meet(peer);
    peer_hears_at_last(peer, TOLD);
    part(peer, slots); /* with what is still to be answered */
}
END_TEST

START_TEST(what_redis_never_heard_of_or_refused_is_not_told) {
    struct peer *peer = peer_up();
    struct redis_slots *slots = slots_at(&peer->client, "m");
    redis_slot_give(ask_peer(peer, slots));
    peer_says(peer, "*2\r\n:0\r\n:2\r\n");
    RUN_UNTIL(peer->client.loop, n_under_way(peer) == 0);
    ck_assert_int_eq(n_done, 0);
    close(peer->fd);
    peer->fd = -1;
    RUN_UNTIL(peer->client.loop, !IS_UP(&peer->client));
    struct redis_slot *slot = redis_slot_new(slots, &policy, STR("u"), &n_done);
    redis_slot_hold(slot);
    redis_slot_give(slot);
    peer_meet(peer);
    RUN_UNTIL(peer->client.loop, IS_UP(&peer->client));
    int64_t until_ns = clock_now().mono_ns + SLOTS_BEAT_NS / 4; /* several tellings would fit */
    RUN_UNTIL(peer->client.loop, clock_now().mono_ns > until_ns);
    struct asked asked = {0};
    ask(&peer->client, &asked, "PING");
    peer_hears(peer, "*1\r\n$4\r\nPING\r\n");
    part(peer, slots);
}
END_TEST

START_TEST(answers_that_are_no_answers_are_nonsense) {
    static const char *const answers[] = {
        ":1\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*2\r\n+a\r\n:1\r\n",
        "*2\r\n:1\r\n+a\r\n",
        "*2\r\n:1\r\n:0\r\n",
        "*2\r\n:1\r\n:-1\r\n",
        "*2\r\n:0\r\n:-7\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct peer *peer = peer_up();
        struct redis_slots *own = slots_at(&peer->client, "m");
        struct redis_slot *slot = redis_slot_new(own, &policy, STR("u"), &n_done);
        n_done = 0;
        ck_assert_int_eq(redis_slot_ask(slot, 2), 0);
        peer_hears(peer, "*8\r\n$7\r\nEVALSHA\r\n");
        peer_says(peer, answers[i]);
        RUN_UNTIL(peer->client.loop, n_done == 1);
        ck_assert_msg(redis_slot_verdict(slot) == REDIS_NONSENSE, "%s: %s", answers[i],
                      redis_verdict_name(redis_slot_verdict(slot)));
        redis_slot_give(slot);
        peer_close(peer);
        redis_slots_free(own);
    }
}
END_TEST

RIG_MAIN("io/redis_slots", so_many_at_once_over_all_and_each_end_makes_room,
         a_look_takes_nothing_and_the_key_is_named_as_documented,
         a_slot_whose_time_is_over_is_nobodys,
         what_is_held_is_told_again_and_again_also_to_a_redis_that_forgot,
         with_redis_away_nobody_knows_and_what_is_held_all_the_same_is_told_when_it_is_back,
         who_leaves_before_the_answer_leaves_nothing_behind,
         what_redis_may_have_taken_too_late_is_taken_out_until_it_says_so,
         who_is_given_back_with_redis_away_is_told_when_it_is_back,
         what_redis_never_heard_of_or_refused_is_not_told, answers_that_are_no_answers_are_nonsense)
