/* SPDX-License-Identifier: MIT */
#pragma once
/* What the files of the admin API share: admin_api.c (the way of a call), admin_calls.c and admin_usage.c (what the calls do). */
#include "gateway/exchange.h"
#include "gateway/record.h"
#include "gateway_internal.h"
#include "io/redis_usage.h"

struct admin_call;
struct admin_action {
    const char *name; /* the audit line's */
    enum method method;
    struct str suffix; /* behind the subject */
    void (*run)(struct admin_call *admin);
};

/* In its exchange's arena. */
struct admin_call {
    struct exchange *x;
    const struct admin_action *action;
    struct str subject;
    struct buffer body;
    bool is_running; /* the body has come, and is being acted on */
    struct redis_call call;
    struct record record; /* get, put; of all that asked admin_recall */
    void (*then)(struct admin_call *admin);
    struct str name; /* deny, revoke: the denial's */
    int64_t until_s;
    struct usage { /* usage, grant, charge, reset */
        enum usage_act act;
        int64_t change;
        struct str policy;            /* only those with this name or id; empty: all */
        struct limit_charge *charges; /* one of each counter */
        union limit_counter *found;   /* in their order, in this process' time */
        size_t n, n_done;
        struct redis_usage_call call;
    } usage;
};

void admin_refuse(struct exchange *x, enum problem problem, const char *reason);
void admin_audit(const struct admin_call *admin, struct str of); /* the log's line of a write */
struct buffer *admin_body(struct admin_call *admin);             /* empty: for the answer's body */
/* Answers with admin_body, or, after a failure to write it, cuts. */
void admin_answer(struct admin_call *admin, int failure);
/* For a body that is no JSON: what the refusal says, of the arena. */
const char *admin_unreadable(struct admin_call *admin, const char *why);
/* Finds the subject's record, and goes on with `then`; without Redis' answer refuses. */
void admin_recall(struct admin_call *admin, void (*then)(struct admin_call *admin));

/* Each answers, at once or when Redis has. */
void admin_get(struct admin_call *admin);
void admin_put(struct admin_call *admin);
void admin_usage(struct admin_call *admin);
void admin_usage_answer(struct admin_call *admin); /* when Redis has said what is under way */
void admin_grant(struct admin_call *admin);
void admin_charge(struct admin_call *admin);
void admin_reset(struct admin_call *admin);
void admin_revoke(struct admin_call *admin);
void admin_deny(struct admin_call *admin);
