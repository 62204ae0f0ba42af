/* SPDX-License-Identifier: MIT */
/* A slot's life:
 *
 *     new ──► asked ──► taken ──────────► held ──► renewed every beat ──► given: told Redis, freed
 *                  └──► refused ──► given      ▲
 *                  └──► nobody knows ──► held ─┘ (on_failure let it in) or given
 *
 * Whatever may stand in Redis when a slot is given is taken out there, once what was asked has ended. If that is not answered, it is told again
 * (a name is nobody else's, so twice does no harm) until the slot is lost in time. */
#include "io/redis_slots.h"

#include "redis_counter.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 96
#define LOT            40 /* slots that one call renews */
#define PAUSE_NS       (SLOTS_BEAT_NS / 20)
#define UNTOLD_MAX     4096 /* given, and Redis has still to hear of it */

/* ARGV: most, name, microseconds. Answers { whether it was taken, how many are in use }. */
static const char take_body[] =
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)\n"
    "local n = redis.call('ZCARD', KEYS[1])\n"
    "if n >= tonumber(ARGV[2]) then return {0, n} end\n"
    "redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[4]), ARGV[3])\n"
    "redis.call('PEXPIRE', KEYS[1], math.floor(ARGV[4] / 1000) + 1)\n"
    "return {1, n + 1}\n";

/* ARGV: microseconds, then of each key a name. */
static const char renew_body[] =
    "for i, key in ipairs(KEYS) do\n"
    "  redis.call('ZADD', key, string.format('%.0f', now + ARGV[2]), ARGV[2 + i])\n"
    "  redis.call('PEXPIRE', key, math.floor(ARGV[2] / 1000) + 1)\n"
    "end\n"
    "return #KEYS\n";

struct redis_slot {
    struct redis_slot *next, *previous; /* of those held, telling or untold */
    struct redis_slots *slots;
    void *owner; /* NULL: it is given */
    struct redis_call call;
    enum redis_verdict verdict;
    int64_t in_use;
    int64_t renewed_ns; /* monotonic: when Redis was last told */
    int64_t given_ns;   /* the same clock */
    bool is_taken;
    bool may_stand; /* in Redis: it has to be taken out there */
    char name[NAME_MAX_BYTES];
    char *key; /* the bytes behind it, and a zero byte */
};

struct redis_slots {
    struct redis_slots_parts parts;
    struct redis_script take, renew;
    struct redis_call renewal;
    struct timer timer, tell_timer;
    uint64_t n_made;
    size_t n_untold;
    struct redis_slot held;            /* sentinel: in the order of their last renewal */
    struct redis_slot telling, untold; /* of those given: a call is under way, or has to be */
};

static const char *life_us(char out[24]) {
    snprintf(out, 24, "%lld", (long long)(SLOTS_LIFE_NS / 1000));
    return out;
}

static void put_before(struct redis_slot *slot, struct redis_slot *next) {
    slot->next = next;
    slot->previous = next->previous;
    slot->previous->next = slot;
    next->previous = slot;
}

static void take_out(struct redis_slot *slot) {
    if (!slot->next)
        return;
    slot->next->previous = slot->previous;
    slot->previous->next = slot->next;
    slot->next = slot->previous = NULL;
}

static int64_t now_ns(const struct redis_slots *slots) {
    return loop_now(slots->parts.loop)->mono_ns;
}

/* ---- renewing: the slot that was told longest ago comes first ---- */

static void renew_due(struct timer *timer);

static void wait_for_beat(struct redis_slots *slots, int64_t due_ns) {
    loop_timer_set(slots->parts.loop, &slots->timer, due_ns, renew_due);
}

/* There may be more of them. A lot that was lost comes again with the next beat: slots live for three. */
static void on_renewed(struct redis_call *call, enum redis_verdict verdict,
                       const struct redis_reply *reply) {
    struct redis_slots *slots = CONTAINER_OF(call, struct redis_slots, renewal);
    (void)reply;
    wait_for_beat(slots, now_ns(slots) + (verdict == REDIS_ANSWERED ? 0 : PAUSE_NS));
}

/* The names of who is due, told from now on; at most n_max of them. */
static size_t gather(struct redis_slots *slots, struct str *keys, struct str *names, size_t n_max) {
    int64_t now = now_ns(slots);
    size_t n = 0;
    for (struct redis_slot *slot = slots->held.next;
         n < n_max && slot->renewed_ns + SLOTS_BEAT_NS <= now; slot = slots->held.next) {
        keys[n] = str_of(slot->key);
        names[n++] = str_of(slot->name);
        slot->renewed_ns = now;
        slot->may_stand = true;
        take_out(slot);
        put_before(slot, &slots->held);
    }
    return n;
}

/* A Cluster takes one key a call, and one node that is away must not keep the others waiting. */
static void renew_due(struct timer *timer) {
    struct redis_slots *slots = CONTAINER_OF(timer, struct redis_slots, timer);
    const struct redis_slot *first = slots->held.next;
    struct redis *redis = slots->parts.redis;
    struct str keys[LOT], arguments[1 + LOT];
    bool is_cluster = redis_is_cluster(redis);
    int64_t now = now_ns(slots);
    char life[24];
    if (slots->renewal.pending || first == &slots->held)
        return;
    if (first->renewed_ns + SLOTS_BEAT_NS > now) {
        wait_for_beat(slots, first->renewed_ns + SLOTS_BEAT_NS);
        return;
    }
    size_t n = 0;
    if (is_cluster || redis_is_up(redis, str_of(first->key)))
        n = gather(slots, keys, arguments + 1, is_cluster ? 1 : LOT);
    arguments[0] = str_of(life_us(life));
    if (n == 0 ||
        redis_run(redis, &slots->renewal, &slots->renew, keys, n, arguments, n + 1, on_renewed) < 0)
        wait_for_beat(slots, now + PAUSE_NS);
}

/* ---- giving back ---- */

static void forget(struct redis_slot *slot) {
    take_out(slot);
    free(slot);
}

static struct redis_slot *take_untold(struct redis_slots *slots) {
    struct redis_slot *first = slots->untold.next;
    slots->n_untold--;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed was struck from the list */
    take_out(first);
    return first;
}

static void tell_untold(struct timer *timer);

static void tell_later(struct redis_slot *slot) {
    struct redis_slots *slots = slot->slots;
    if (slots->n_untold == UNTOLD_MAX)
        forget(take_untold(slots));
    if (slots->n_untold++ == 0)
        loop_timer_set(slots->parts.loop, &slots->tell_timer, now_ns(slots) + PAUSE_NS,
                       tell_untold);
    take_out(slot);
    put_before(slot, &slots->untold);
}

static void tell_some(struct redis_slots *slots, size_t n_max);

/* Who is answered makes room for one that waits. */
static void on_told(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct redis_slot *slot = CONTAINER_OF(call, struct redis_slot, call);
    struct redis_slots *slots = slot->slots;
    (void)reply;
    if (verdict != REDIS_ANSWERED && verdict != REDIS_ERROR) { /* ERROR: the key is no slots' */
        tell_later(slot);
        return;
    }
    forget(slot);
    tell_some(slots, 1);
}

static void tell(struct redis_slot *slot) {
    struct redis_slots *slots = slot->slots;
    struct redis *redis = slots->parts.redis;
    struct str key = str_of(slot->key);
    const struct str arguments[] = {STR("ZREM"), key, str_of(slot->name)};
    take_out(slot);
    if (redis_is_up(redis, key) && redis_call(redis, &slot->call, key, arguments, 3, on_told) == 0)
        put_before(slot, &slots->telling);
    else
        tell_later(slot);
}

/* Each is looked at once: of a Cluster one node may be up and another not. */
static void tell_some(struct redis_slots *slots, size_t n_max) {
    int64_t now = now_ns(slots);
    for (size_t n = slots->n_untold < n_max ? slots->n_untold : n_max; n > 0; n--) {
        struct redis_slot *slot = take_untold(slots);
        if (now - slot->given_ns > SLOTS_LIFE_NS)
            forget(slot);
        else
            tell(slot);
    }
}

static void tell_untold(struct timer *timer) {
    struct redis_slots *slots = CONTAINER_OF(timer, struct redis_slots, tell_timer);
    tell_some(slots, LOT);
    if (slots->n_untold > 0)
        loop_timer_set(slots->parts.loop, timer, now_ns(slots) + PAUSE_NS, tell_untold);
}

/* What was asked may be executed after anything that is told now (a script that Redis did not know is sent again): its end says
 * whether there is something to take out. */
void redis_slot_give(struct redis_slot *slot) {
    if (!slot)
        return;
    slot->owner = NULL;
    slot->given_ns = now_ns(slot->slots);
    take_out(slot);
    if (!slot->may_stand) {
        redis_cancel(&slot->call);
        free(slot);
    } else if (slot->call.pending) {
        put_before(slot, &slot->slots->telling);
    } else {
        tell(slot);
    }
}

/* ---- life ---- */

static void list_init(struct redis_slot *all) { all->next = all->previous = all; }

static void forget_all(struct redis_slot *all) {
    while (all->next != all)
        forget(all->next); /* NOLINT(clang-analyzer-unix.Malloc): the same */
}

struct redis_slots *redis_slots_new(const struct redis_slots_parts *parts) {
    struct redis_slots *slots = calloc(1, sizeof(*slots));
    if (!slots)
        return NULL;
    slots->parts = *parts;
    list_init(&slots->held);
    list_init(&slots->telling);
    list_init(&slots->untold);
    slots->held.renewed_ns = INT64_MAX - SLOTS_BEAT_NS; /* never due */
    if (redis_script_init(&slots->take, take_body) == 0 &&
        redis_script_init(&slots->renew, renew_body) == 0)
        return slots;
    redis_slots_free(slots);
    return NULL;
}

void redis_slots_free(struct redis_slots *slots) {
    if (!slots)
        return;
    assert(slots->held.next == &slots->held);
    loop_timer_clear(slots->parts.loop, &slots->timer);
    loop_timer_clear(slots->parts.loop, &slots->tell_timer);
    forget_all(&slots->telling);
    forget_all(&slots->untold);
    redis_script_fini(&slots->take);
    redis_script_fini(&slots->renew);
    free(slots);
}

struct redis_slot *redis_slot_new(struct redis_slots *slots, const struct limit_policy *policy,
                                  struct str key, void *owner) {
    const struct limit_charge whom = {.policy = policy, .key = key};
    char text[REDIS_COUNTER_KEY_MAX];
    assert(policy->kind == LIMIT_CONCURRENT);
    if (!redis_counter_key(slots->parts.prefix, &whom, text))
        return NULL;
    struct redis_slot *slot = calloc(1, sizeof(*slot) + strlen(text) + 1);
    if (!slot)
        return NULL;
    slot->key = memcpy(slot + 1, text, strlen(text) + 1);
    snprintf(slot->name, sizeof(slot->name), STR_FMT ":%zu:%llu",
             STR_ARG(str_first(slots->parts.machine, 48)), slots->parts.worker,
             (unsigned long long)++slots->n_made);
    slot->slots = slots;
    slot->owner = owner;
    slot->verdict = REDIS_AWAY;
    return slot;
}

static bool read_answer(struct redis_slot *slot, const struct redis_reply *reply) {
    if (reply->kind != REPLY_ARRAY || reply->n != 2 || reply->list[0].kind != REPLY_INTEGER ||
        reply->list[1].kind != REPLY_INTEGER || reply->list[1].integer < 0)
        return false;
    slot->is_taken = reply->list[0].integer == 1;
    slot->in_use = reply->list[1].integer;
    return slot->in_use > 0 || !slot->is_taken;
}

static void on_asked(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct redis_slot *slot = CONTAINER_OF(call, struct redis_slot, call);
    slot->verdict = verdict;
    if (verdict == REDIS_ANSWERED && !read_answer(slot, reply))
        slot->verdict = REDIS_NONSENSE;
    if (verdict == REDIS_AWAY || verdict == REDIS_OVERLOADED || verdict == REDIS_REFUSED ||
        (slot->verdict == REDIS_ANSWERED && !slot->is_taken))
        slot->may_stand = false;
    if (slot->owner)
        slot->slots->parts.on_done(slot->owner, slot);
    else if (slot->may_stand)
        tell(slot);
    else
        forget(slot);
}

int redis_slot_ask(struct redis_slot *slot, int64_t most) {
    struct redis_slots *slots = slot->slots;
    char limit[24], life[24];
    struct str key = str_of(slot->key);
    assert(!slot->call.pending && !slot->next);
    snprintf(limit, sizeof(limit), "%lld", (long long)most);
    const struct str arguments[] = {str_of(limit), str_of(slot->name), str_of(life_us(life))};
    slot->renewed_ns = now_ns(slots);
    slot->may_stand = most > 0;
    int failure =
        redis_run(slots->parts.redis, &slot->call, &slots->take, &key, 1, arguments, 3, on_asked);
    slot->may_stand = failure == 0 && most > 0;
    return failure;
}

enum redis_verdict redis_slot_verdict(const struct redis_slot *slot) { return slot->verdict; }
bool redis_slot_is_taken(const struct redis_slot *slot) { return slot->is_taken; }
int64_t redis_slot_in_use(const struct redis_slot *slot) { return slot->in_use; }

/* What Redis does not know of is told first. */
void redis_slot_hold(struct redis_slot *slot) {
    struct redis_slots *slots = slot->slots;
    struct redis_slot *all = &slots->held;
    assert(!slot->call.pending && !slot->next);
    if (!slot->is_taken)
        slot->renewed_ns = now_ns(slots) - SLOTS_BEAT_NS;
    put_before(slot, slot->is_taken ? all : all->next);
    if (!slots->renewal.pending)
        wait_for_beat(slots, all->next->renewed_ns + SLOTS_BEAT_NS);
}
