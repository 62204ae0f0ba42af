/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/redis_codec.h"
#include "io/redis_script.h"
#include "io/resolver.h"
#include "settings/redis_url.h"

/* A worker's way to Redis: one server, the master of a group that Sentinels watch, or a Cluster; one
 * pipelined connection to each server that is needed. One thread.
 *
 * A call ends exactly once, at its deadline at the latest, and never from inside redis_call or
 * redis_run. What may have been executed is never sent again: only a reply which says that it was
 * not (NOSCRIPT, MOVED, ASK) has the call sent once more, within the same deadline. A reply that
 * comes too late is matched with its call and dropped, unless that heeds it (redis_heed_late).
 *
 * Each server has a breaker. It opens when a call or the probe of every second misses its deadline,
 * when the connection is lost, when what comes is not the protocol, and when Redis says that it
 * cannot (LOADING, READONLY, OOM ...). While it is open calls end AWAY in the turn in which they
 * were made. It closes when a probe is answered: on the same connection if that still lives, else
 * on a new one, tried with a back-off from 50 ms to a second. The log has one line for each change. */
struct redis;

/* clang-format off */
enum redis_verdict {
    REDIS_ANSWERED,   /* `reply` is no error */
    REDIS_ERROR,      /* `reply` is this command's own error */
    REDIS_AWAY,       /* not sent: the breaker is open, or nobody is known to keep this key */
    REDIS_OVERLOADED, /* not sent: too much is under way */
    REDIS_REFUSED,    /* not executed: Redis is not able to at the moment */
    REDIS_LATE,       /* no reply in time; may have been executed before the deadline, not after it */
    REDIS_LOST,       /* the connection broke; may have been executed */
    REDIS_NONSENSE,   /* not the protocol, or too large; may have been executed */
};
/* clang-format on */
#define REDIS_VERDICTS (REDIS_NONSENSE + 1)
const char *redis_verdict_name(enum redis_verdict verdict); /* "answered", ...: metrics' label */

/* Embedded in its owner; all zeros is idle. */
struct redis_call;
/* `reply` (ANSWERED and ERROR; else NULL) is borrowed for the call. Must not free the client. */
typedef void redis_on_done(struct redis_call *call, enum redis_verdict verdict,
                           const struct redis_reply *reply);
struct redis_call {
    redis_on_done *on_done, *on_heard; /* the latter NULL: late replies are dropped */
    void *pending;                     /* the client's */
};

/* `target` is borrowed until redis_free; every call ends within timeout_ns and a tick of the loop.
 * Starts connecting. NULL with why. */
struct redis *redis_new(struct loop *loop, struct resolver *resolver,
                        const struct redis_target *target, int64_t timeout_ns,
                        char why[160]) MUST_USE;
void redis_free(struct redis *redis); /* takes NULL; calls under way end without on_done */

/* `key` says which node of a Cluster; STR_NONE: any. Arguments are copied; at most 96, of 64 KiB
 * together. `call` may be NULL: nobody wants to know. -ENOMEM, -E2BIG. */
int redis_call(struct redis *redis, struct redis_call *call, struct str key,
               const struct str *arguments, size_t n, redis_on_done *on_done) MUST_USE;
/* Runs a script (redis_script.h), which is borrowed until the call has ended or the client is freed,
 * with KEYS (at least one, all of one slot) and what follows its deadline in ARGV. */
int redis_run(struct redis *redis, struct redis_call *call, const struct redis_script *script,
              const struct str *keys, size_t n_keys, const struct str *arguments, size_t n,
              redis_on_done *on_done) MUST_USE;
/* Of a call that was just made: its reply is wanted even when it comes too late. Where on_done was told LATE and left `pending`
 * set, the reply may still come, and on_heard tells it once: ANSWERED; ERROR, which for a script says that it was not executed;
 * anything else, that the connection is gone and nothing will be known. A second after Redis fell silent at the latest. */
void redis_heed_late(struct redis_call *call, redis_on_done *on_heard);
void redis_cancel(struct redis_call *call); /* no on_done, no on_heard; fine when idle */

/* Do keys of different slots have to go by different calls? */
bool redis_is_cluster(const struct redis *redis);
/* Would a call with this key be sent? */
bool redis_is_up(const struct redis *redis, struct str key);
/* Was everybody tried, and is nobody of use? `why` tells of one what the log says: "127.0.0.1:6379: connection refused". It goes on trying
 * all the same. */
#define REDIS_WHY_MAX 400
bool redis_is_lost(const struct redis *redis, char why[REDIS_WHY_MAX]);
/* What the clock of this key's server says now, microseconds since 1970: behind the truth by at most
 * a round trip. 0: not known. */
int64_t redis_now_us(const struct redis *redis, struct str key);

struct redis_stats {
    uint64_t ended[REDIS_VERDICTS];
    uint64_t latency_sum_ns; /* of what ended ANSWERED or ERROR */
    uint64_t connects;       /* that succeeded */
    uint64_t openings;       /* of a breaker that was closed */
    size_t n_under_way;
    size_t n_servers, n_up; /* that are needed; of which the breaker is closed */
};
struct redis_stats redis_stats(const struct redis *redis);

/* How the servers stand that are needed. One that refuses calls counts as away, though it answers probes. */
struct redis_sight {
    size_t n_servers, n_up;
    int64_t away_since_ns; /* monotonic: of who is away the longest; 0: nobody was told to be */
    char server[128], reason[128];
};
struct redis_sight redis_look(const struct redis *redis);

/* The slot of a Cluster that keeps a key: CRC16 of its {hash tag}, or of all of it. */
unsigned redis_slot(struct str key);
