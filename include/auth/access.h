/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/api_key_cache.h"
#include "auth/credentials.h"
#include "auth/token_cache.h"
#include "base/cidr.h"
#include "http/problem.h"

/* Who is calling, and does the route let such a caller in?
 *
 * A service caller brings the project's secret key or calls itself service_role (Authorization, apikey, or the role of a
 * verified token). It is refused unless the rules allow it or the route is one for service callers, and in any case unless what
 * it brought is the configured key literally or verifies with the first issuer's keys: a mere claim lets nobody in.
 *
 * Without a service caller the bearer decides:
 *
 *                                   public       user, apikey              service
 *   none, publishable or anon key   anonymous    401 no_authorization      401 no_authorization
 *   another scheme                  anonymous    401 no_authorization      401 no_authorization
 *   no compact JWS                  anonymous    401 bad_jwt               401 bad_jwt
 *   unknown issuer                  anonymous    401 bad_jwt               401 bad_jwt
 *   known issuer, bad               401 or 503   401 or 503                401 or 503
 *   verified, with a sub            user         user                      403 insufficient_scope
 *   verified, role anon, no sub     anonymous    401 no_authorization      401 no_authorization
 *   verified, no sub otherwise      401 bad_jwt  401 bad_jwt               401 bad_jwt
 *
 * An API key decides before all this: on routes for them the caller is its record's (access_of_api_key), elsewhere it is refused with 401
 * (on open ones nobody looks). Together with a user's token or a service key it is refused with 400: who would be calling?
 *
 * Anything that has the form of a JWS but is malformed (encoding, duplicate members, crit) is bad: an upstream that is less strict
 * could take it for a user whom we did not count. */
enum access {
    ACCESS_OPEN,    /* no token is looked at (doubled credentials are refused here too) */
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

/* Bytes of a caller's subject: as long as a denial's may be. OpenID Connect Core 2 has 255 for a
 * `sub`. */
#define SUBJECT_MAX 256

/* The decision; one of: problem set, wait for keys, or a caller. */
struct caller {
    enum caller_kind kind;
    enum problem problem;     /* PROBLEM_NONE: let in (or waits_for_keys) */
    enum token_verdict token; /* what was said of the bearer's token; VALID when there was none */
    const char *reason;       /* constant, for the log and the caller; NULL when there is none */
    bool waits_for_keys;      /* unknown kid: ask for a re-read, then decide again */
    bool needs_check;   /* nobody checked the bearer's token before, and this decision may not */
    bool needs_api_key; /* a well-formed API key: look up its record, then access_of_api_key */
    size_t issuer;      /* whose token the bearer's claims to be; SIZE_MAX when nobody's */
    /* "sub" of the first issuer, "name:sub" of others (and of a first issuer's sub that begins with
     * an issuer's "name:", so that none can pass for another's); empty unless a user; in the arena;
     * at most SUBJECT_MAX */
    struct str subject;
    struct str api_key;        /* the id of the API key that speaks for the user; else empty */
    int64_t api_key_expires_s; /* 0: never */
    struct str plan;           /* which the API key's record names; else empty */
    struct claims *claims;     /* one reference, a user's; else NULL */
    bool is_anonymous_user;    /* is_anonymous: true */
    bool cache_hit;
};

struct access_rules {
    const struct token_rules *tokens;
    const struct project_keys *project;
    /* service callers: refused (but on routes for them), or let in; only from these networks, where
     * there are any */
    bool allows_service;
    const struct cidr *service_networks;
    size_t n_service_networks;
};

enum access_may {
    ACCESS_MAY_WAIT =
        1, /* the keys may be asked for once more; not after that was done: the verdict is then final */
    ACCESS_MAY_CHECK = 2, /* a token may be checked that is not in the cache: the costly part */
};
/* `client` may be NULL: in no network. `may`: bits of enum access_may. */
struct caller access_decide(enum access access, const struct credentials *credentials,
                            const struct access_rules *rules, struct token_cache *cache,
                            struct keyring *keys, const struct ip *client, const struct now *now,
                            unsigned may, struct arena *arena) MUST_USE;
/* The `sub` of the first issuer's user whom a subject names. False: another issuer's user. */
bool access_first_sub(const struct token_rules *rules, struct str subject,
                      struct str *sub) MUST_USE;
/* The user for whom an API key speaks, unless it has expired. */
struct caller access_of_api_key(const struct api_key_held *held, const struct now *now,
                                struct arena *arena) MUST_USE;
