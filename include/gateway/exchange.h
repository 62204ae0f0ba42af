/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/access.h"
#include "gateway/check_queue.h"
#include "gateway/parts.h"
#include "gateway/record.h"
#include "io/front.h"
#include "io/upstream.h"
#include "limit/limiter.h"

/* One request from its head to its last byte: everything that is known of it. Its arena is its lifetime. */
struct exchange {
    struct gateway *gateway;
    const struct gateway_parts *parts; /* the gateway's */
    struct epoch *epoch; /* held until its end: a reload does not change a request under way */
    struct settings *settings; /* the epoch's */
    struct metrics *metrics;   /* the epoch's: as its settings number what is counted */
    struct client *client;
    struct upstream_call *call;       /* NULL: not forwarded (yet, or any more) */
    struct exchange *next, *previous; /* among the gateway's open ones */
    struct exchange *next_waiting;    /* for keys; used within gateway_set_keyring only */
    struct arena arena;
    size_t step; /* of the pipeline */
    bool has_head;

    /* route */
    struct target target;
    enum method method;
    struct str host; /* Host, or absolute-form's authority */
    struct ip client_ip;
    bool is_https;      /* as the trusted proxy says, else as the client speaks to us */
    size_t route_index; /* SIZE_MAX: none */
    const struct route *route;
    unsigned allowed_methods;
    bool holds_place, holds_ip_place; /* among the requests under way: gateway/admission.h */

    /* authenticate, authorize */
    struct credentials credentials;
    struct caller caller;
    bool waits_for_keys, asked_for_keys;
    struct key_question
        *shows; /* an API key that is asked for: it waits (api_keys.h), among others */
    struct exchange *next_shower;
    bool asked_for_api_key;
    struct str user_token;               /* `credential: user`, of an API key; else empty */
    bool key_is_doubted, key_is_revoked; /* while it was under way */
    bool asks_for_websocket;
    struct check_waiter check; /* waits for its token to be checked */
    bool is_next, may_check;   /* its turn has come; the next decision may check */
    int64_t retry_ns;          /* of too many failures */

    /* recall: what is kept of the caller */
    struct record record;
    bool record_is_known;
    struct record_entry *reads; /* it waits for (records.h), among others */
    struct exchange *next_reader;

    /* hold: gateway/holds.h */
    size_t n_holds, n_holds_awaited; /* Redis has not answered for so many */
    bool holds_are_asked;

    /* limit */
    size_t n_charges;
    size_t
        n_left_out; /* of the limits that our own paths look at, more than one request may meet */
    struct limit_outcome outcome;
    bool counts_for_ip, counts_for_subject; /* among the open WebSockets (sockets.h) */

    bool is_for_admin;        /* of /_jotgate/: not for browsers */
    struct admin_call *admin; /* what the operator asked for (admin_api.h); NULL: nothing */
    void (*on_finish)(struct exchange *x); /* lets go of what it holds; NULL: of nothing */

    /* answer */
    enum problem problem; /* of our own answer; PROBLEM_NONE: somebody else's, or a good one */
    const char *reason;   /* constant: why, for the log and the caller */
    int status;           /* 0: none was given */
    bool is_answered;     /* the answer's head was handed to the front */
    bool is_cut;          /* the answer could not be completed */
    bool is_abandoned;    /* the client left first */

    /* relay */
    bool request_body_ended;
    bool replaces_apikey; /* the caller's apikey field gives way to ours */
    uint64_t request_body_bytes;

    /* what lasts: streams.h, tunnel.h */
    struct stream {
        /* Ends it in order (again: at once); NULL: the answer is none. */
        void (*end)(struct exchange *x, unsigned code, const char *reason);
        bool is_ending;
        int64_t end_ns; /* it has to be over then, whatever comes; INT64_MAX: it may stay */
        int64_t moved_ns,
            idle_ns; /* when bytes last moved, and how long none may; INT64_MAX: for ever */
        struct timer timer;
    } stream;
    struct tunnel *tunnel; /* NULL: none (yet) */

    char id[65];          /* x-request-id */
    char traceparent[56]; /* made here when the client sent none that is valid; empty otherwise */
    int64_t started_ns, upstream_started_ns, upstream_head_ns; /* monotonic; 0: not yet */

    struct count { /* gateway/counting.h */
        enum { COUNT_NOT_ASKED, COUNT_ASKING, COUNT_ANSWERED, COUNT_FAILED } step;
        enum degraded degraded;
        struct asking *asking;
        unsigned paid; /* of the charges, as bits: by leases */
    } count;

    /* From here on nothing is zeroed for each request: lists that are as long as a count says. */
    struct hold {                          /* n_holds of them */
        const struct limit_policy *policy; /* LIMIT_CONCURRENT */
        struct str key, slot;              /* whom it counts, and that among parts->held */
        int64_t in_use;                    /* with this one, where it is held */
        bool is_held, is_refused;          /* shadow: both, perhaps */
        struct redis_slot *lent;           /* with Redis: the same there */
    } holds[LIMITER_CHARGES_MAX];
    struct limit_charge charges[LIMITER_CHARGES_MAX]; /* n_charges of them */
};

#define EXCHANGE_ZEROED_BYTES offsetof(struct exchange, holds)

static inline struct fields exchange_fields(const struct exchange *x) {
    return x->has_head ? client_head(x->client)->fields : (struct fields){0};
}

static inline const struct now *exchange_now(const struct exchange *x) {
    return loop_now(x->parts->loop);
}
