/* SPDX-License-Identifier: MIT */
/* Proves that a real redis-server lends as limit/lease.c says it should: the same random steps, by Redis' clock, in both. */
#include "limits_rig.h"
#include "redis_server.h"
#include <inttypes.h>
#include <stdlib.h>

#define MACHINES   4
#define STEPS      400
#define RULES      24
#define PATIENT_NS (5 * NS_PER_S)

static struct server server;
static struct client client;
static struct redis_limits *limits;
static unsigned seed;

static int64_t below(int64_t n) {
    return (int64_t)(((uint64_t)(unsigned)rand_r(&seed) << 31 | (unsigned)rand_r(&seed)) %
                     (uint64_t)n);
}

static void open_up(void) {
    serve(&server, &client, PATIENT_NS);
    limits = redis_limits_new(client.redis, STR("jotgate:"));
    ck_assert_ptr_nonnull(limits);
}

static void close_all(void) {
    client_close(&client);
    redis_limits_free(limits);
    server_stop(&server);
}

static const struct redis_taking *lend(const struct limit_charge *charges,
                                       const struct lease_wish *wishes, size_t n) {
    static struct taken taken;
    taken = (struct taken){0};
    ck_assert_int_eq(redis_limits_take(limits, &taken.taking, charges, wishes, n, true, on_taken),
                     0);
    RUN_UNTIL(client.loop, taken.n_ended == 1);
    ck_assert_msg(taken.verdict == REDIS_ANSWERED, "%s", redis_verdict_name(taken.verdict));
    return &taken.taking;
}

/* One rule with one subject: as Redis keeps it, and as the model does. */
struct pair {
    struct limit_policy policy;
    char subject[8], key[REDIS_LIMITS_KEY_MAX];
    struct lease_shared model;
    struct lease leases[MACHINES];
};

static struct limit_policy random_rule(bool is_rate) {
    static const int64_t periods_s[] = {1, 60, 3600, 86400};
    struct limit_policy policy = {.counter = STR("c"), .key = LIMIT_KEY_SUBJECT};
    if (is_rate) {
        policy.kind = LIMIT_RATE;
        policy.rate = (struct bucket_rule){periods_s[below(4)] * NS_PER_S, 1 + below(500000),
                                           1 + below(below(2) ? 300 : 1000000)};
    } else {
        policy.kind = LIMIT_QUOTA;
        policy.quota = (struct window_rule){WINDOW_DAY, 1, 1 + below(3000), &ZONE_UTC};
    }
    return policy;
}

/* Both forget how long ago it was that something was lent. */
static void age(struct pair *pair, int64_t epochs) {
    struct asked asked = {0};
    char text[700];
    int64_t a, b, epoch, lent, before;
    snprintf(text, sizeof(text), "GET %s", pair->key);
    ck_assert_int_eq(answer(&client, &asked, text), REDIS_ANSWERED);
    if (sscanf(asked.text, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64, &a, &b,
               &epoch, &lent, &before) != 5)
        return;
    snprintf(text, sizeof(text), "SET %s %" PRId64 ":%" PRId64 ":%" PRId64 ":%" PRId64 ":%" PRId64,
             pair->key, a, b, epoch - epochs, lent, before);
    ck_assert_int_eq(answer(&client, &asked, text), REDIS_ANSWERED);
    pair->model.ledger.epoch -= epochs;
    for (size_t i = 0; i < MACHINES; i++)
        pair->leases[i].epoch -= epochs;
}

static void same(const struct limit_state *a, const struct limit_state *b) {
    ck_assert_int_eq(a->allowed, b->allowed);
    ck_assert_int_eq(a->remaining, b->remaining);
    ck_assert_int_eq(a->wait_ns, b->wait_ns);
    ck_assert_int_eq(a->reset_ns, b->reset_ns);
    ck_assert_int_eq(a->window.end_s, b->window.end_s);
}

static int64_t step(struct pair *pair) {
    struct lease *lease = &pair->leases[below(MACHINES)];
    int64_t capacity = limit_capacity(&pair->policy);
    const struct limit_charge charge = {.policy = &pair->policy,
                                        .key = str_of(pair->subject),
                                        .cost = below(4) ? below(3) : below(capacity / 8 + 2)};
    struct lease_wish wish = {.wanted = below(3) ? below(capacity / 20 + 2) : 0};
    if (wish.wanted > LEASE_WANTED_MAX)
        wish.wanted = LEASE_WANTED_MAX;
    if (below(3)) {
        lease->left -= below(lease->left + 1);
        wish.rest = lease_end(lease);
    }
    const struct redis_taking *taking = lend(&charge, &wish, 1);
    struct lease_grant grant = redis_taking_grant(taking, 0);

    const struct now now = {taking->now_us[0] * 1000, taking->now_us[0] * 1000};
    if (wish.rest.lent > 0)
        lease_return(&pair->model, &charge, &wish.rest, &now);
    struct lease_grant expected = lease_take(&pair->model, &charge, wish.wanted, &now);
    same(&grant.state, &expected.state);
    ck_assert_int_eq(grant.lent, expected.lent);
    ck_assert_int_eq(grant.epoch, expected.epoch);
    ck_assert_int_eq(grant.life_ns, expected.life_ns);
    if (lease->given == 0)
        lease_hold(lease, &grant, wish.wanted, 0);
    return grant.lent;
}

static void run_rule(unsigned number, bool is_rate) {
    struct pair pair = {.policy = random_rule(is_rate)};
    const struct limit_charge charge = {.policy = &pair.policy, .key = str_of(pair.subject)};
    int64_t n_lent = 0;
    snprintf(pair.subject, sizeof(pair.subject), "s%u", number);
    ck_assert(redis_limits_key(
        limits, &(struct limit_charge){.policy = &pair.policy, .key = str_of(pair.subject)},
        pair.key));
    (void)charge;
    for (int i = 0; i < STEPS; i++) {
        if (below(20) == 0)
            age(&pair, 1 + below(3));
        n_lent += step(&pair) > 0;
    }
    if (limit_capacity(&pair.policy) >= 1000 && is_rate)
        ck_assert_int_gt(n_lent, 0);
}

START_TEST(redis_lends_as_the_model_does) {
    open_up();
    for (seed = 1; seed <= RULES;) {
        unsigned number = seed, random = seed * 7919;
        seed = random;
        run_rule(number, number % 3 != 0);
        seed = number + 1;
    }
    close_all();
}
END_TEST

static const struct limit_policy quota = {
    .counter = STR("daily"),
    .key = LIMIT_KEY_SUBJECT,
    .kind = LIMIT_QUOTA,
    .quota = {.kind = WINDOW_DAY, .anchor_day = 1, .limit = 1000, .zone = &ZONE_UTC}};

static void key_says(const char *key, const char *pattern) {
    struct asked asked = {0};
    char question[600];
    int64_t end, used, epoch, lent, before;
    snprintf(question, sizeof(question), "GET %s", key);
    ck_assert_int_eq(answer(&client, &asked, question), REDIS_ANSWERED);
    ck_assert_msg(sscanf(asked.text, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64 ":%" SCNd64,
                         &end, &used, &epoch, &lent, &before) >= 2,
                  "%s", asked.text);
    const char *after = strchr(asked.text, ':');
    ck_assert_msg(strncmp(after, pattern, strlen(pattern)) == 0, "%s", asked.text);
}

static const char quota_key[] = "jotgate:{subject:u}daily:day";

START_TEST(what_is_lent_counts_as_used_and_what_is_left_goes_back_by_itself) {
    const struct limit_charge charge = {.policy = &quota, .key = STR("u"), .cost = 1};
    const struct lease_wish wish = {.wanted = 1000};
    struct lease lease = {0};
    struct asked asked = {0};
    char key[REDIS_LIMITS_KEY_MAX];
    open_up();
    const struct redis_taking *taking = lend(&charge, &wish, 1);
    struct lease_grant grant = redis_taking_grant(taking, 0);
    ck_assert_int_eq(grant.lent, 25); /* half of the share, 50 */
    ck_assert_int_eq(grant.state.remaining, 974);
    ck_assert_int_eq(redis_taking_found(taking, 0, 0).window.used, 26);
    key_says(quota_key, ":26:");
    lease_hold(&lease, &grant, 1000, 0);
    ck_assert(lease_spend(&lease, 20, 0));

    ck_assert(redis_limits_key(limits, &charge, key));
    ck_assert_str_eq(key, quota_key);
    struct lease_rest rest = lease_end(&lease);
    redis_limits_return(limits, str_of(key), LIMIT_QUOTA, NULL, &rest);
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
    ck_assert_int_eq(take(&client, limits, &charge, 1, true)->states[0].remaining, 978);
    ck_assert_int_eq(answer(&client, &asked, "DBSIZE"), REDIS_ANSWERED);
    ck_assert_int_eq(asked.integer, 1);
    redis_limits_return(limits, str_of(key), LIMIT_QUOTA, NULL, &rest); /* twice is not more */
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
    ck_assert_int_eq(take(&client, limits, &charge, 1, false)->states[0].remaining, 977);
    close_all();
}
END_TEST

START_TEST(a_lease_comes_back_although_the_call_is_refused) {
    struct limit_policy small = policy_rate;
    const struct limit_charge both[] = {{.policy = &quota, .key = STR("u"), .cost = 1},
                                        {.policy = &small, .key = STR("u"), .cost = 6}};
    struct lease_wish wishes[2] = {{.wanted = 10}, {.wanted = 0}};
    struct lease lease = {0};
    open_up();
    struct lease_grant grant = redis_taking_grant(lend(both, wishes, 1), 0);
    lease_hold(&lease, &grant, 10, 0);
    ck_assert_int_eq(grant.lent, 10);
    wishes[0].rest = lease_end(&lease);
    const struct redis_taking *taking = lend(both, wishes, 2);
    ck_assert(!taking->outcome.allowed);
    ck_assert_int_eq(taking->lent[0], 0);
    ck_assert_int_eq(taking->outcome.states[0].remaining, 999);
    key_says(quota_key, ":1");
    close_all();
}
END_TEST

START_TEST(settling_leaves_the_ledger_as_it_is) {
    const struct limit_charge charge = {.policy = &quota, .key = STR("u"), .cost = 1};
    const struct lease_wish wish = {.wanted = 10};
    struct lease lease = {0};
    open_up();
    const struct redis_taking *taking = lend(&charge, &wish, 1);
    struct limit_outcome outcome = taking->outcome;
    struct lease_grant grant = redis_taking_grant(taking, 0);
    lease_hold(&lease, &grant, 10, 0);
    redis_limits_settle(limits, &charge, &outcome, 5);
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
    key_says(quota_key, ":16:");
    const struct lease_rest rest = lease_end(&lease);
    redis_limits_return(limits, str_of(quota_key), LIMIT_QUOTA, NULL, &rest);
    RUN_UNTIL(client.loop, redis_stats(client.redis).n_under_way == 0);
    ck_assert_int_eq(take(&client, limits, &charge, 1, false)->states[0].remaining, 993);
    close_all();
}
END_TEST

RIG_MAIN("io/redis_leases", redis_lends_as_the_model_does,
         what_is_lent_counts_as_used_and_what_is_left_goes_back_by_itself,
         a_lease_comes_back_although_the_call_is_refused, settling_leaves_the_ledger_as_it_is)
