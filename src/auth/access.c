/* SPDX-License-Identifier: MIT */
/* Evidence first (what is each credential, what does verification say of the bearer), then the judgement. */
#include "auth/access.h"

#include "http/octets.h"
#include <assert.h>

const char *caller_kind_name(enum caller_kind kind) {
    static const char *const NAMES[] = {"anonymous", "user", "service"};
    assert(kind <= CALLER_SERVICE);
    return NAMES[kind];
}

struct question {
    enum access access;
    const struct credentials *credentials;
    const struct access_rules *rules;
    struct token_cache *cache;
    struct keyring *keys;
    const struct ip *client;
    const struct now *now;
    unsigned may;
    struct arena *arena;
};

/* ---- evidence ---- */

enum credential {
    CREDENTIAL_NONE,
    CREDENTIAL_ANONYMOUS,      /* a publishable key, or the anon key literally */
    CREDENTIAL_OTHER,          /* a token or anything else */
    CREDENTIAL_CLAIMS_SERVICE, /* calls itself a service's; not proven */
    CREDENTIAL_SERVICE,        /* proven */
};

struct evidence {
    enum credential bearer, apikey;
    struct str apikey_text;
    struct token_result token; /* of a bearer that is OTHER or was before it was looked into */
    bool has_token, cache_hit, needs_check;
    bool is_legacy_anon; /* the token calls itself anon and names no user */
};

static bool is_key(struct str configured, struct str s) {
    return configured.n > 0 && str_eq_secret(configured, s);
}

static enum credential classify(const struct project_keys *project, struct str s) {
    if (s.n == 0)
        return CREDENTIAL_NONE;
    if (is_key(project->secret, s) || is_key(project->service_role, s))
        return CREDENTIAL_SERVICE;
    if (is_key(project->publishable, s) || is_key(project->anon, s))
        return CREDENTIAL_ANONYMOUS;
    if (str_starts(s, STR("sb_secret_")))
        return CREDENTIAL_CLAIMS_SERVICE;
    if (str_starts(s, STR("sb_publishable_")))
        return CREDENTIAL_ANONYMOUS;
    return CREDENTIAL_OTHER;
}

/* A key that is spelt with %5F is the same key to the upstream. */
static struct str decode_query(struct str s, struct arena *arena) {
    char *out = arena_alloc(arena, s.n + 1);
    size_t n = 0;
    if (!out)
        return STR_NONE;
    for (size_t i = 0; i < s.n; i++) {
        int high = s.at[i] == '%' && i + 2 < s.n ? hex_digit(s.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : s.at[i];
        i += low >= 0 ? 2 : 0;
    }
    return (struct str){out, n};
}

#define SERVICE_ROLE STR("service_role")

/* A token that nobody vouches for may still say of itself what it is. */
static enum credential look_into(struct str token, bool *is_legacy_anon, struct arena *arena) {
    struct token_hint hint;
    if (!token_peek(token, &hint, arena))
        return CREDENTIAL_OTHER;
    if (is_legacy_anon)
        *is_legacy_anon = str_eq(hint.role, STR("anon")) && !hint.has_subject;
    return str_eq(hint.role, SERVICE_ROLE) ? CREDENTIAL_CLAIMS_SERVICE : CREDENTIAL_OTHER;
}

/* What has not the form of a token costs no check. */
static void look_at_token(struct evidence *e, const struct question *q) {
    struct str token = q->credentials->bearer;
    bool may_check = q->may & ACCESS_MAY_CHECK;
    if (!may_check) {
        e->cache_hit =
            token_cache_look(q->cache, token, q->rules->tokens, q->keys, q->now, &e->token);
        e->needs_check = !e->cache_hit && token_is_compact(token);
        if (e->cache_hit || e->needs_check)
            return;
    }
    e->token = token_cache_verify(q->cache, token, q->rules->tokens, q->keys, q->now, q->arena,
                                  &e->cache_hit);
}

static void look_at_bearer(struct evidence *e, const struct question *q) {
    struct str bearer = q->credentials->bearer;
    e->bearer = classify(q->rules->project, bearer);
    if (e->bearer != CREDENTIAL_OTHER)
        return;
    e->has_token = true;
    look_at_token(e, q);
    if (e->needs_check)
        return;
    if (!e->token.claims) {
        if (e->token.verdict != TOKEN_NOT_COMPACT)
            e->bearer = look_into(bearer, &e->is_legacy_anon, q->arena);
        return;
    }
    struct str role = claims_role(e->token.claims);
    e->is_legacy_anon = str_eq(role, STR("anon")) && claims_subject(e->token.claims).n == 0;
    /* Only the first issuer is the project: another's word does not make its service. */
    if (str_eq(role, SERVICE_ROLE))
        e->bearer = e->token.verdict == TOKEN_VALID && e->token.issuer == 0
                        ? CREDENTIAL_SERVICE
                        : CREDENTIAL_CLAIMS_SERVICE;
}

static bool look_at_apikey(struct evidence *e, const struct question *q) {
    e->apikey_text = q->credentials->apikey;
    if (q->credentials->apikey_in_query && e->apikey_text.n > 0) {
        e->apikey_text = decode_query(e->apikey_text, q->arena);
        if (!e->apikey_text.at)
            return false;
    }
    if (e->apikey_text.n > 0 && str_eq(e->apikey_text, q->credentials->bearer)) {
        e->apikey = e->bearer;
        return true;
    }
    e->apikey = classify(q->rules->project, e->apikey_text);
    if (e->apikey == CREDENTIAL_OTHER)
        e->apikey = look_into(e->apikey_text, NULL, q->arena);
    return true;
}

/* ---- judgement ---- */

static struct caller anonymous(void) {
    return (struct caller){.kind = CALLER_ANONYMOUS, .issuer = SIZE_MAX};
}

static struct caller refused(enum problem problem, const char *reason) {
    return (struct caller){.problem = problem, .reason = reason, .issuer = SIZE_MAX};
}

static struct caller without_user(const struct question *q) {
    return q->access == ACCESS_PUBLIC ? anonymous() : refused(PROBLEM_NO_AUTHORIZATION, NULL);
}

static struct caller unknown_key(const struct question *q, const struct token_result *token) {
    if (!token->may_need_new_keys)
        return refused(PROBLEM_BAD_JWT, token->reason);
    if (q->may & ACCESS_MAY_WAIT) {
        struct caller caller = anonymous();
        caller.waits_for_keys = true;
        return caller;
    }
    if (q->keys->issuers[token->issuer].last_fetch_failed)
        return refused(PROBLEM_KEYS_UNAVAILABLE,
                       "the token's kid is not known and the issuer's keys could not be fetched");
    return refused(PROBLEM_BAD_JWT, token->reason);
}

/* A token that was not good. */
static struct caller bad_token(const struct question *q, const struct token_result *token) {
    switch (token->verdict) {
    case TOKEN_EXPIRED:
        return refused(PROBLEM_TOKEN_EXPIRED, token->reason);
    case TOKEN_NO_KEYS:
    case TOKEN_KEYS_STALE:
        return refused(PROBLEM_KEYS_UNAVAILABLE, token->reason);
    case TOKEN_UNKNOWN_KEY:
        return unknown_key(q, token);
    case TOKEN_FAILURE:
        return refused(PROBLEM_INTERNAL, token->reason);
    case TOKEN_VALID:
    case TOKEN_TOO_LONG:
    case TOKEN_NOT_COMPACT:
    case TOKEN_BAD_ENCODING:
    case TOKEN_BAD_HEADER:
    case TOKEN_CRITICAL_HEADER:
    case TOKEN_WRONG_TYPE:
    case TOKEN_BAD_PAYLOAD:
    case TOKEN_BAD_CLAIM:
    case TOKEN_UNKNOWN_ISSUER:
    case TOKEN_ALGORITHM:
    case TOKEN_BAD_SIGNATURE:
    case TOKEN_NO_EXPIRY:
    case TOKEN_NOT_YET_VALID:
    case TOKEN_ISSUED_IN_FUTURE:
    case TOKEN_WRONG_AUDIENCE:
    case TOKEN_RULE_NOT_MET:
    case TOKEN_VERDICT_COUNT:
        break;
    }
    return refused(PROBLEM_BAD_JWT, token->reason);
}

/* Subjects that begin with an issuer's "name:" are that issuer's alone. */
static bool needs_name(const struct token_rules *rules, size_t issuer, struct str subject) {
    for (size_t i = 0; i < rules->n_issuers; i++) {
        struct str name = rules->issuers[i].name;
        if (str_starts(subject, name) && subject.n > name.n && subject.at[name.n] == ':')
            return true;
    }
    return issuer > 0;
}

bool access_first_sub(const struct token_rules *rules, struct str subject, struct str *sub) {
    *sub = subject;
    for (size_t i = 0; i < rules->n_issuers; i++) {
        struct str name = rules->issuers[i].name;
        if (!str_starts(subject, name) || subject.n <= name.n || subject.at[name.n] != ':')
            continue;
        *sub = str_skip(subject, name.n + 1);
        return i == 0;
    }
    return true;
}

static struct caller user(const struct question *q, const struct token_result *token) {
    const struct token_rules *rules = q->rules->tokens;
    struct str subject = claims_subject(token->claims);
    struct str name = rules->issuers[token->issuer].name;
    struct caller caller = {.kind = CALLER_USER, .claims = token->claims};
    caller.is_anonymous_user = claims_is_anonymous(token->claims);
    if (needs_name(rules, token->issuer, subject))
        caller.subject =
            arena_printf(q->arena, STR_FMT ":" STR_FMT, STR_ARG(name), STR_ARG(subject));
    else
        caller.subject = arena_copy(q->arena, subject);
    if (!caller.subject.at)
        return refused(PROBLEM_INTERNAL, "memory is out");
    /* Nobody could deny it, or keep its plan. */
    return caller.subject.n <= SUBJECT_MAX
               ? caller
               : refused(PROBLEM_BAD_JWT, "the token's sub is longer than 256 bytes");
}

static struct caller judge_valid(const struct question *q, const struct evidence *e) {
    if (e->is_legacy_anon)
        return without_user(q);
    if (claims_subject(e->token.claims).n == 0)
        return refused(PROBLEM_BAD_JWT, "the token names no user: it has no sub");
    if (q->access == ACCESS_SERVICE)
        return refused(PROBLEM_INSUFFICIENT_SCOPE, "this is for service callers only");
    return user(q, &e->token);
}

static struct caller judge_bearer(const struct question *q, const struct evidence *e) {
    if (!e->has_token)
        return without_user(q);
    if (e->token.verdict == TOKEN_VALID)
        return judge_valid(q, e);
    /* The legacy anon key where it is not configured; its issuer is nobody that we know. */
    bool is_nobodys = e->token.verdict == TOKEN_UNKNOWN_ISSUER || e->token.verdict == TOKEN_NO_KEYS;
    if (is_nobodys && e->is_legacy_anon)
        return without_user(q);
    bool is_strange =
        e->token.verdict == TOKEN_NOT_COMPACT || e->token.verdict == TOKEN_UNKNOWN_ISSUER;
    return is_strange && q->access == ACCESS_PUBLIC ? anonymous() : bad_token(q, &e->token);
}

/* The legacy service_role key is a JWT of issuer "supabase", signed with the project's secret. */
static bool is_legacy_service(const struct question *q, struct str token) {
    static const struct claim_paths NO_PATHS;
    const struct issuer_rule *project = &q->rules->tokens->issuers[0];
    const struct keyset *keys = q->keys->n > 0 ? q->keys->issuers[0].keys : NULL;
    struct str header, payload;
    const char *why;
    if (!keys || token_verify_signature(token, keys, project->algorithms & ALGORITHMS_HMAC, &header,
                                        &payload, q->arena) != TOKEN_VALID)
        return false;
    struct doc *doc = doc_parse(payload, NULL);
    struct claims *claims = NULL;
    bool is_good = doc && claims_new(&claims, doc_root(doc), &NO_PATHS, &why) == 0 &&
                   token_check_times(claims, project->leeway_s, q->now) == TOKEN_VALID &&
                   str_eq(claims_role(claims), SERVICE_ROLE);
    claims_unref(claims);
    doc_free(doc);
    return is_good;
}

static bool is_in_networks(const struct access_rules *rules, const struct ip *client) {
    for (size_t i = 0; i < rules->n_service_networks; i++)
        if (client && cidr_contains(&rules->service_networks[i], client))
            return true;
    return rules->n_service_networks == 0;
}

static bool is_service(enum credential credential) {
    return credential == CREDENTIAL_SERVICE || credential == CREDENTIAL_CLAIMS_SERVICE;
}

/* Where service callers may come, who cannot prove to be one is whatever else it is: the upstream knows its keys. A good token of another
 * issuer that calls its bearer our service is no such case. */
static struct caller judge_unproven(const struct question *q, const struct evidence *e) {
    bool is_anothers = e->bearer == CREDENTIAL_CLAIMS_SERVICE && e->token.verdict == TOKEN_VALID &&
                       e->token.issuer != SIZE_MAX;
    if (q->access == ACCESS_SERVICE || is_anothers)
        return refused(PROBLEM_SERVICE_CALLER_REFUSED, "the service key could not be verified");
    return judge_bearer(q, e);
}

static struct caller judge_service(const struct question *q, const struct evidence *e) {
    if (!q->rules->allows_service && q->access != ACCESS_SERVICE)
        return refused(PROBLEM_SERVICE_CALLER_REFUSED, "service keys are not accepted here");
    if (!is_in_networks(q->rules, q->client))
        return refused(PROBLEM_SERVICE_CALLER_REFUSED,
                       "service keys are not accepted from this network");
    bool is_bearer_proven =
        e->bearer != CREDENTIAL_CLAIMS_SERVICE || is_legacy_service(q, q->credentials->bearer);
    if (!is_bearer_proven && e->has_token && e->token.issuer != SIZE_MAX &&
        e->token.verdict != TOKEN_VALID)
        return bad_token(q, &e->token);
    if (!is_bearer_proven ||
        (e->apikey == CREDENTIAL_CLAIMS_SERVICE && !is_legacy_service(q, e->apikey_text)))
        return judge_unproven(q, e);
    if (q->access == ACCESS_USER || q->access == ACCESS_APIKEY)
        return refused(PROBLEM_INSUFFICIENT_SCOPE, "this is for users only");
    return (struct caller){.kind = CALLER_SERVICE, .issuer = SIZE_MAX};
}

static struct caller judge(const struct question *q, struct evidence *e) {
    look_at_bearer(e, q);
    if (e->needs_check)
        return (struct caller){.needs_check = true};
    if (!look_at_apikey(e, q))
        return refused(PROBLEM_INTERNAL, "memory is out");
    if (is_service(e->bearer) || is_service(e->apikey))
        return judge_service(q, e);
    return judge_bearer(q, e);
}

/* ---- API keys ---- */

/* What Supabase's clients send beside: the project's public key. */
static bool is_somebody(const struct question *q, struct str credential, bool is_bearer) {
    bool is_legacy_anon = false;
    enum credential kind = classify(q->rules->project, credential);
    if (kind == CREDENTIAL_OTHER)
        kind = look_into(credential, &is_legacy_anon, q->arena);
    return is_service(kind) || (is_bearer && kind == CREDENTIAL_OTHER && !is_legacy_anon);
}

static struct caller judge_api_key(const struct question *q) {
    const struct credentials *credentials = q->credentials;
    if (q->access != ACCESS_APIKEY)
        return refused(PROBLEM_BAD_API_KEY, "API keys are not accepted on this route");
    if (is_somebody(q, credentials->bearer, true) || is_somebody(q, credentials->apikey, false))
        return refused(PROBLEM_INVALID_REQUEST, "an API key and another caller's credentials");
    if (!api_key_is_well_formed(credentials->api_key))
        return refused(PROBLEM_BAD_API_KEY, "the API key is malformed");
    struct caller caller = anonymous();
    caller.needs_api_key = true;
    return caller;
}

/* It would be passed on within the URL or the subprotocol. */
static bool is_api_key_misplaced(const struct credentials *credentials) {
    return str_starts(credentials->bearer, STR(API_KEY_PREFIX)) ||
           str_starts(credentials->apikey, STR(API_KEY_PREFIX));
}

struct caller access_of_api_key(const struct api_key_held *held, const struct now *now,
                                struct arena *arena) {
    if (held->expires_s > 0 && now_s(now) >= held->expires_s)
        return refused(PROBLEM_BAD_API_KEY, "the API key has expired");
    struct caller caller = {
        .kind = CALLER_USER,
        .issuer = SIZE_MAX,
        .subject = arena_copy(arena, claims_subject(held->claims)),
        .api_key = arena_copy(arena, str_of(held->id)),
        .api_key_expires_s = held->expires_s,
        .plan = arena_copy(arena, held->plan),
    };
    if (!caller.subject.at || !caller.api_key.at || !caller.plan.at)
        return refused(PROBLEM_INTERNAL, "memory is out");
    caller.claims = claims_ref(held->claims);
    return caller;
}

struct caller access_decide(enum access access, const struct credentials *credentials,
                            const struct access_rules *rules, struct token_cache *cache,
                            struct keyring *keys, const struct ip *client, const struct now *now,
                            unsigned may, struct arena *arena) {
    const struct question q = {access, credentials, rules, cache, keys, client, now, may, arena};
    if (credentials->doubled)
        return refused(PROBLEM_INVALID_REQUEST, credentials->doubled);
    if (access == ACCESS_OPEN)
        return anonymous();
    if (credentials->is_malformed)
        return refused(PROBLEM_BAD_JWT, "Authorization has not exactly one token after Bearer");
    if (credentials->api_key.at)
        return judge_api_key(&q);
    if (is_api_key_misplaced(credentials))
        return refused(PROBLEM_BAD_API_KEY,
                       "API keys are taken from x-api-key and Authorization only");
    struct evidence e = {.token = {.issuer = SIZE_MAX}};
    struct caller caller = judge(&q, &e);
    caller.token = e.token.verdict;
    caller.issuer = e.token.issuer;
    caller.cache_hit = e.cache_hit;
    if (!caller.claims)
        claims_unref(e.token.claims);
    return caller;
}
