/* SPDX-License-Identifier: MIT */
/* A question to Redis, and what its answer does to the purses, to memory, and to whoever asked. What it is about is copied: the
 * exchange may be gone when the answer comes, and the lease that comes with it is everybody's. */
#include "asking.h"

#include "base/log.h"
#include "io/redis.h"
#include "io/settling.h"
#include <stdlib.h>

#define COLLECT_NS       (500 * NS_PER_MS)
#define DRAIN_COLLECT_NS (50 * NS_PER_MS)
#define RETURNS_MAX      64 /* at once; a turn takes so many again and again */
#define TURNS_MAX        16
#define KEYS_BYTES       256 /* of what lies in stock */
#define STOCK_MAX        256

struct asking {
    struct exchange *x; /* NULL: it left */
    struct asker *asker;
    struct settings *settings; /* a reference: of the policies */
    struct asking *next, *previous;
    bool is_leased;
    int64_t asked_ns; /* monotonic */
    size_t bytes;     /* of all its memory */
    struct redis_taking taking;
    size_t n;
    /* Large, and not zeroed at the start: n of each. */
    size_t places[LIMITER_CHARGES_MAX]; /* in x->charges */
    struct limit_charge charges[LIMITER_CHARGES_MAX];
    struct lease_wish wishes[LIMITER_CHARGES_MAX];
    struct purse_question questions[LIMITER_CHARGES_MAX];
    char keys[];
};

/* ---- life ---- */

static struct asking *make(struct asker *asker, struct exchange *x, unsigned which) {
    size_t n_bytes = 0;
    for (size_t i = 0; i < x->n_charges; i++)
        n_bytes += x->charges[i].key.n;
    n_bytes += sizeof(struct asking);
    struct asking *asking = stock_take(&asker->stock, n_bytes);
    if (!asking)
        return NULL;
    memset(asking, 0, offsetof(struct asking, places));
    asking->bytes = n_bytes;
    char *at = asking->keys;
    for (size_t i = 0; i < x->n_charges; i++) {
        if (!(which & 1u << i))
            continue;
        struct limit_charge *charge = &asking->charges[asking->n];
        *charge = x->charges[i];
        if (charge->key.n > 0)
            memcpy(at, charge->key.at, charge->key.n);
        charge->key.at = at;
        at += charge->key.n;
        asking->places[asking->n++] = i;
    }
    asking->x = x;
    asking->asker = asker;
    asking->settings = settings_ref(x->settings);
    return asking;
}

static void enter(struct asking *asking) {
    struct asking **first = &asking->asker->first;
    asking->next = *first;
    if (*first)
        (*first)->previous = asking;
    *first = asking;
}

static void forget(struct asking *asking) {
    settings_unref(asking->settings);
    stock_give(&asking->asker->stock, asking, asking->bytes);
}

static void drop(struct asking *asking) {
    if (asking->next)
        asking->next->previous = asking->previous;
    if (asking->previous)
        asking->previous->next = asking->next;
    else
        asking->asker->first = asking->next;
    forget(asking);
}

/* ---- the answer ---- */

/* Of other failures the client's own log tells, which has a breaker for the server; this is perhaps one key's. */
static void tell_odd(const struct exchange *x, enum redis_verdict verdict) {
    if ((verdict == REDIS_ERROR || verdict == REDIS_NONSENSE) &&
        metrics_count_oddity(x->metrics, x->parts->worker, ODDITY_REDIS))
        log_warn("Redis answers what is no count; on_failure decides, as if it were away",
                 F_TEXT("verdict", redis_verdict_name(verdict)));
}

static void send_back(struct asking *asking, size_t j, const struct lease_grant *grant,
                      const char *name) {
    const struct limit_policy *policy = asking->charges[j].policy;
    struct lease lease = {0};
    lease_hold(&lease, grant, 0, 0);
    const struct lease_rest rest = lease_end(&lease);
    redis_limits_return(asking->asker->limits, str_of(name), policy->kind, &policy->rate, &rest);
}

static union limit_counter found(const struct asking *asking, size_t j) {
    return redis_taking_found(&asking->taking, j, loop_now(asking->asker->loop)->mono_ns);
}

/* `tells` is purses_answer, or purses_answer_late. */
static void note_answer(struct asking *asking, size_t j, union limit_counter seen,
                        bool (*tells)(struct purses *, const struct purse_question *,
                                      const struct purse_answer *, const struct now *)) {
    struct asker *asker = asking->asker;
    const struct lease_grant grant = redis_taking_grant(&asking->taking, j);
    char name[REDIS_LIMITS_KEY_MAX] = "";
    if (grant.lent > 0)
        (void)!redis_limits_key(asker->limits, &asking->charges[j], name); /* was told just so */
    const struct purse_answer answer = {
        .charge = &asking->charges[j],
        .grant = &grant,
        .seen = seen,
        .is_refused = !grant.state.allowed,
        .name = str_of(name),
    };
    if (tells(asker->purses, &asking->questions[j], &answer, loop_now(asker->loop)))
        send_back(asking, j, &grant, name);
}

static void note_all(struct asking *asking) {
    for (size_t j = 0; asking->is_leased && j < asking->n; j++) {
        if (redis_taking_was_heard(&asking->taking, j))
            note_answer(asking, j, found(asking, j), purses_answer);
        else
            purses_fail(asking->asker->purses, &asking->questions[j],
                        redis_taking_was_sent(&asking->taking, j));
    }
}

/* Should Redis go away, this machine goes on from here. */
static void remember(const struct asking *asking, size_t j) {
    const struct now *now = loop_now(asking->asker->loop);
    union limit_counter seen = found(asking, j);
    memory_limits_put(asking->x->parts->limits, &asking->charges[j], &seen, now);
}

/* Another charge refused, and this one's node is away: as it was last seen. */
static struct limit_state recall(const struct asking *asking, size_t j) {
    const struct now *now = loop_now(asking->asker->loop);
    struct limit_charge nothing = asking->charges[j];
    nothing.cost = 0;
    const union limit_counter seen =
        memory_limits_get(asking->x->parts->limits, &asking->charges[j], now);
    return limit_counter_look(&seen, &nothing, now);
}

/* What this process was lent is not used yet. */
static void add_left(struct limit_state *state, const struct limit_policy *policy, int64_t left) {
    int64_t capacity = limit_capacity(policy);
    if (state->allowed && left > 0)
        state->remaining = state->remaining < capacity - left ? state->remaining + left : capacity;
}

static void hand_over(struct asking *asking, bool is_look) {
    struct exchange *x = asking->x;
    struct purses *purses = asking->asker->purses;
    for (size_t j = 0; j < asking->n; j++) {
        struct limit_state *state = &x->outcome.states[asking->places[j]];
        if (!redis_taking_was_heard(&asking->taking, j)) {
            *state = recall(asking, j);
            continue;
        }
        *state = asking->taking.outcome.states[j];
        remember(asking, j);
        if (purses)
            add_left(state, asking->charges[j].policy,
                     is_look ? purses_left(purses, &asking->charges[j], exchange_now(x))
                             : asking->taking.lent[j]);
    }
    x->outcome.allowed = asking->taking.outcome.allowed;
    if (!x->outcome.allowed)
        asking_unpay(asking->asker, x);
    limit_outcome_conclude(&x->outcome, x->charges);
}

static void on_taken(struct redis_taking *taking, enum redis_verdict verdict) {
    struct asking *asking = CONTAINER_OF(taking, struct asking, taking);
    struct asker *asker = asking->asker;
    struct exchange *x = asking->x;
    note_all(asking);
    if (x) {
        tell_odd(x, verdict);
        x->count.asking = NULL;
        x->count.step = verdict == REDIS_ANSWERED ? COUNT_ANSWERED : COUNT_FAILED;
        if (verdict == REDIS_ANSWERED)
            hand_over(asking, !taking->counts);
    }
    asking->x = NULL;
    if (!redis_taking_may_be_heard(taking))
        drop(asking);
    if (x)
        asker->on_counted(x);
}

/* ---- the answer that comes too late: what was decided without it counts ---- */

static void undo(struct asking *asking, size_t j) {
    const struct limit_charge *charge = &asking->charges[j];
    const struct limit_state *state = &asking->taking.outcome.states[j];
    const struct now *now = loop_now(asking->asker->loop);
    union limit_counter seen = found(asking, j);
    settling_undo(asking->asker->settling, charge, state, asking->asked_ns);
    limit_counter_settle(&seen, charge, -charge->cost, state, now);
    if (asking->is_leased)
        note_answer(asking, j, seen, purses_answer_late);
}

static void on_heard(struct redis_taking *taking, unsigned counted) {
    struct asking *asking = CONTAINER_OF(taking, struct asking, taking);
    for (size_t j = 0; j < asking->n; j++)
        if (counted & 1u << j)
            undo(asking, j);
    drop(asking);
}

/* ---- asking ---- */

static int put_question(struct asking *asking, bool counts) {
    struct asker *asker = asking->asker;
    asking->is_leased = counts && asker->purses;
    for (size_t j = 0; asking->is_leased && j < asking->n; j++) {
        purses_ask(asker->purses, &asking->charges[j], !asker->is_draining, loop_now(asker->loop),
                   &asking->questions[j]);
        asking->wishes[j] = asking->questions[j].wish;
    }
    TRY(redis_limits_take(asker->limits, &asking->taking, asking->charges,
                          asking->is_leased ? asking->wishes : NULL, asking->n, counts, on_taken));
    asking->asked_ns = loop_now(asker->loop)->mono_ns;
    asking->taking.on_heard = counts ? on_heard : NULL;
    return 0;
}

bool asking_start(struct asker *asker, struct exchange *x, unsigned which, bool counts) {
    for (size_t i = 0; i < x->n_charges && !counts; i++)
        x->charges[i].cost = 0; /* what stands, not what one more would meet */
    struct asking *asking = make(asker, x, which);
    if (!asking)
        return false;
    enter(asking);
    if (put_question(asking, counts) < 0) {
        note_all(asking);
        drop(asking);
        return false;
    }
    x->count.asking = asking;
    return true;
}

void asking_leave(struct exchange *x) {
    struct asking *asking = x->count.asking;
    x->count.asking = NULL;
    if (!asking)
        return;
    asking->x = NULL;
    if (asking->is_leased)
        return;
    redis_limits_cancel(&asking->taking);
    drop(asking);
}

/* ---- what was taken ---- */

/* Of the charges in `which`, as those of one request. */
static void settle_in_redis(struct asker *asker, struct exchange *x, unsigned which,
                            int64_t change) {
    struct limit_charge charges[LIMITER_CHARGES_MAX];
    struct limit_outcome outcome = {.allowed = true};
    for (size_t i = 0; i < x->n_charges; i++) {
        if (!(which & 1u << i))
            continue;
        charges[outcome.n] = x->charges[i];
        outcome.states[outcome.n++] = x->outcome.states[i];
    }
    if (outcome.n > 0)
        redis_limits_settle(asker->limits, charges, &outcome, change);
}

void asking_settle(struct asker *asker, struct exchange *x, int64_t change) {
    struct purses *purses = asker->purses;
    unsigned others = 0;
    for (size_t i = 0; i < x->n_charges; i++)
        if (x->outcome.states[i].allowed &&
            !(purses && purses_settle(purses, &x->charges[i], change,
                                      x->outcome.states[i].window.end_s, exchange_now(x))))
            others |= 1u << i;
    settle_in_redis(asker, x, others, change);
}

void asking_unpay(struct asker *asker, struct exchange *x) {
    struct purses *purses = asker->purses;
    for (size_t i = 0; i < x->n_charges; i++) {
        if (!(x->count.paid & 1u << i))
            continue;
        int64_t cost = x->charges[i].cost;
        if (!purses_settle(purses, &x->charges[i], -cost, x->outcome.states[i].window.end_s,
                           exchange_now(x)))
            settle_in_redis(asker, x, 1u << i, -cost);
        x->outcome.states[i] = purses_look(purses, &x->charges[i], exchange_now(x));
    }
    x->count.paid = 0;
}

/* ---- what nobody spends ---- */

static size_t collect_some(struct asker *asker) {
    struct purse_return returns[RETURNS_MAX];
    size_t n = purses_collect(asker->purses, asker->worker, asker->n_workers, asker->is_draining,
                              loop_now(asker->loop), returns, RETURNS_MAX);
    for (size_t i = 0; i < n; i++) {
        redis_limits_return(asker->limits, str_of(returns[i].name), returns[i].kind,
                            &returns[i].rate, &returns[i].rest);
        free(returns[i].name);
    }
    return n;
}

/* While Redis is away leases are spent, not sent. */
static void collect(struct timer *timer) {
    struct asker *asker = CONTAINER_OF(timer, struct asker, collect_timer);
    size_t n = RETURNS_MAX;
    for (int i = 0; i < TURNS_MAX && n == RETURNS_MAX; i++)
        n = redis_is_up(asker->redis, STR_NONE) ? collect_some(asker) : 0;
    loop_timer_set(asker->loop, timer,
                   loop_now(asker->loop)->mono_ns +
                       (asker->is_draining ? DRAIN_COLLECT_NS : COLLECT_NS),
                   collect);
}

void asker_start(struct asker *asker) {
    asker->stock.piece_bytes = sizeof(struct asking) + KEYS_BYTES;
    asker->stock.n_most = STOCK_MAX;
    if (asker->purses)
        collect(&asker->collect_timer);
}

void asker_drain(struct asker *asker) {
    asker->is_draining = true;
    asker_start(asker);
}

void asker_stop(struct asker *asker) {
    loop_timer_clear(asker->loop, &asker->collect_timer);
    for (struct asking *asking = asker->first, *next; asking; asking = next) {
        next = asking->next;
        forget(asking);
    }
    stock_release(&asker->stock);
}
