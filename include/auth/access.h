/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/token_cache.h"
#include "base/cidr.h"
#include "http/head.h"
#include "http/problem.h"
#include "http/target.h"

/* Who is calling, and does the route let such a caller in? (interface.md, "access") */
enum access {
    ACCESS_OPEN,    /* no token is looked at */
    ACCESS_PUBLIC,  /* a user when the token says so, else anonymous */
    ACCESS_USER,    /* a verified token of a user */
    ACCESS_APIKEY,  /* a jotgate API key or a user */
    ACCESS_SERVICE, /* a service caller */
};

enum caller_kind { CALLER_ANONYMOUS, CALLER_USER, CALLER_SERVICE };
const char *caller_kind_name(enum caller_kind kind);

/* The project's keys as the settings know them; compared literally, in constant time. Empty: not configured. */
struct project_keys {
    struct str publishable;  /* sb_publishable_... */
    struct str anon;         /* legacy JWT */
    struct str secret;       /* sb_secret_... */
    struct str service_role; /* legacy JWT */
};

/* What the caller sent; borrowed from the head. A string's at is NULL when the field is absent. */
struct credentials {
    struct str bearer;        /* after "Bearer " (any case, one or more spaces) */
    struct str authorization; /* the whole value of another scheme, passed on as it is */
    struct str apikey;        /* header, else query where there is no header */
    bool apikey_in_query;
    bool are_doubled;  /* more than one Authorization or apikey header (400 invalid_request) */
    bool is_malformed; /* "Bearer" with nothing or with inner white space */
};
void credentials_read(struct credentials *credentials, struct fields fields, struct str query);

/* The decision; one of: problem set, wait for keys, or a caller. */
struct caller {
    enum caller_kind kind;
    enum problem problem;     /* PROBLEM_NONE: let in */
    enum token_verdict token; /* why, when a token was verified; TOKEN_VALID otherwise */
    const char *reason;       /* constant, for the log and the caller; NULL when there is none */
    bool waits_for_keys;      /* unknown kid: ask for a re-read, then decide again */
    size_t issuer;            /* of a verified token; SIZE_MAX otherwise */
    struct str
        subject; /* "sub" of the first issuer, "name:sub" of others; empty unless a user; in the arena */
    struct claims *claims;  /* one reference, a user's; else NULL */
    bool is_anonymous_user; /* is_anonymous: true */
    bool cache_hit;
};

struct access_rules {
    const struct token_rules *tokens;
    const struct project_keys *project;
    /* service callers: refused, or let in (from these networks; none: everywhere) */
    bool allows_service;
    const struct cidr *service_networks;
    size_t n_service_networks;
};

/* `may_wait`: the keys may be asked for once more; false after that was done (the verdict is then final). */
struct caller access_decide(enum access access, const struct credentials *credentials,
                            const struct access_rules *rules, struct token_cache *cache,
                            struct keyring *keys, const struct ip *client, const struct now *now,
                            bool may_wait, struct arena *arena) MUST_USE;
