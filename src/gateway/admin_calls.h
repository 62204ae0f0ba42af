/* SPDX-License-Identifier: MIT */
#pragma once
/* What the two files of the admin API share: admin_api.c (the way of a call), admin_calls.c (what the calls do). */
#include "gateway/exchange.h"
#include "gateway/record.h"
#include "gateway_internal.h"
#include "io/redis.h"

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
    struct record record; /* get, put */
    struct str name;      /* deny, revoke: the denial's */
    int64_t until_s;
};

void admin_refuse(struct exchange *x, enum problem problem, const char *reason);

/* Each answers, at once or when Redis has. */
void admin_get(struct admin_call *admin);
void admin_put(struct admin_call *admin);
void admin_grant(struct admin_call *admin);
void admin_charge(struct admin_call *admin);
void admin_revoke(struct admin_call *admin);
void admin_deny(struct admin_call *admin);
