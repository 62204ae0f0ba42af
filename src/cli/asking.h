/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/feed_log.h"
#include "io/redis.h"
#include "settings/settings.h"

/* Redis for a command: it asks, and waits until it was answered. */
struct asking {
    const char *command; /* for messages */
    struct loop *loop;
    struct resolver *resolver;
    struct redis *redis;
    struct timer tick;
    size_t n_open;    /* not answered yet */
    bool is_answered; /* all so far; why not was said on stderr */
};

/* False: said why on stderr. `settings` is borrowed until asking_close, which is due in any case. */
bool asking_open(struct asking *asking, const char *command,
                 const struct settings *settings) MUST_USE;
void asking_close(struct asking *asking);

/* One call; it lives until asking_wait. `take` (or NULL) has the reply, unless that is an error. */
struct answer {
    struct redis_call call;
    struct asking *asking;
    void (*take)(struct answer *answer, const struct redis_reply *reply);
};
void asking_ask(struct asking *asking, struct answer *answer, struct str key,
                const struct str *arguments, size_t n,
                void (*take)(struct answer *answer, const struct redis_reply *reply));
/* A line in the gateways' log (io/feed_log.h). */
void asking_tell(struct asking *asking, struct answer *answer, const struct feed_log *log,
                 enum feed_event event, struct str of);
/* Until all is answered. False: something was not, now or before. */
bool asking_wait(struct asking *asking) MUST_USE;
