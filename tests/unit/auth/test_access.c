/* SPDX-License-Identifier: MIT */
/* The table of the contract, row by row, and what lies beside it. */
#include "auth/access.h"
#include "forge.h"

#include <check.h>

#define A            "https://a.supabase.co/auth/v1"
#define B            "https://b.example"
#define SECRET       "a secret of thirty-two bytes, yes"
#define NOW_S        INT64_C(1700000000)
#define LIFE         "\"exp\":1700003600"
#define ES           "{\"alg\":\"ES256\",\"kid\":\"es\"}"
#define HS           "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define USER         "{\"iss\":\"" A "\",\"sub\":\"u1\",\"role\":\"authenticated\"," LIFE "}"
#define LEGACY(role) "{\"iss\":\"supabase\",\"ref\":\"a\",\"role\":\"" role "\"," LIFE "}"

static const struct str ISSUERS_A[] = {{A, sizeof(A) - 1}}, ISSUERS_B[] = {{B, sizeof(B) - 1}};
static struct claim_paths paths;
static struct issuer_rule issuers[2];
static struct token_rules tokens = {issuers, 2, &paths};
static struct project_keys project;
static struct access_rules rules;
static struct forge key, stranger;
static struct keyring *ring;
static struct token_cache *cache;
static struct arena arena;
static struct now now = {.mono_ns = 1, .wall_ns = NOW_S * NS_PER_S};
static struct ip client;
static bool may_wait;

/* Tokens that the tests share; made before the tests fork. */
static char *user_token, *expired, *forged, *foreign, *unknown_kid, *of_b, *bad_header;
static char *legacy_anon, *legacy_service, *alien_service, *asymmetric_service;

static void make(void) {
    key = forge_key(ALGORITHM_ES256, "es");
    stranger = forge_key(ALGORITHM_ES256, "es");
    user_token = forge_token(&key, ES, USER);
    expired = forge_token(&key, ES, "{\"iss\":\"" A "\",\"sub\":\"u1\",\"exp\":1}");
    forged = forge_token(&stranger, ES, USER);
    foreign = forge_token(&stranger, ES, "{\"iss\":\"https://elsewhere\",\"sub\":\"u1\"," LIFE "}");
    unknown_kid = forge_token(&key, "{\"alg\":\"ES256\",\"kid\":\"new\"}", USER);
    of_b = forge_token(&key, ES, "{\"iss\":\"" B "\",\"sub\":\"u1\"," LIFE "}");
    bad_header = forge_token(&key, "{\"alg\":\"ES256\",\"alg\":\"ES256\"}", USER);
    legacy_anon = forge_hmac(STR(SECRET), HS, LEGACY("anon"));
    legacy_service = forge_hmac(STR(SECRET), HS, LEGACY("service_role"));
    alien_service =
        forge_hmac(STR("another project's secret, 32 bytes"), HS, LEGACY("service_role"));
    asymmetric_service =
        forge_token(&key, ES, "{\"iss\":\"" A "\",\"role\":\"service_role\"," LIFE "}");
}

static void unmake(void) {
    char *all[] = {user_token, expired,     forged,         foreign,       unknown_kid,       of_b,
                   bad_header, legacy_anon, legacy_service, alien_service, asymmetric_service};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]);
    EVP_PKEY_free(key.key);
    EVP_PKEY_free(stranger.key);
}

static struct keyset *keys_of(const char *secret) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL, .hs256_secret = str_of(secret)};
    struct keyset *set = NULL;
    char why[160];
    ck_assert_int_eq(keyset_parse(&set, str_of(key.jwk), &options, why), 0);
    return set;
}

static void set_up(void) {
    struct token_cache_limits limits = TOKEN_CACHE_LIMITS_DEFAULT;
    cache = token_cache_new(&limits);
    ring = keyring_new(2);
    ring->issuers[0] = (struct issuer_keys){.keys = keys_of(SECRET), .state = KEYS_FRESH};
    ring->issuers[1] = (struct issuer_keys){.keys = keys_of(NULL), .state = KEYS_FRESH};
    issuers[0] = (struct issuer_rule){.name = STR("supabase"),
                                      .issuers = ISSUERS_A,
                                      .n_issuers = 1,
                                      .algorithms = ALGORITHMS_ALL,
                                      .leeway_s = 30};
    issuers[1] = (struct issuer_rule){.name = STR("b"),
                                      .issuers = ISSUERS_B,
                                      .n_issuers = 1,
                                      .algorithms = ALGORITHMS_DEFAULT,
                                      .leeway_s = 30};
    project = (struct project_keys){.publishable = STR("sb_publishable_ours"),
                                    .secret = STR("sb_secret_ours")};
    rules = (struct access_rules){.tokens = &tokens, .project = &project};
    may_wait = false;
    ck_assert(ip_parse(STR("10.0.0.7"), &client));
    arena_init(&arena);
}

static void tear_down(void) {
    arena_fini(&arena);
    token_cache_free(cache);
    keyring_unref(ring);
}

static struct caller decide_with(enum access access, const struct credentials *credentials) {
    struct caller caller =
        access_decide(access, credentials, &rules, cache, ring, &client, &now,
                      ACCESS_MAY_CHECK | (may_wait ? ACCESS_MAY_WAIT : 0), &arena);
    ck_assert(!caller.claims == (caller.kind != CALLER_USER || caller.problem != PROBLEM_NONE));
    ck_assert((caller.subject.n > 0) == (caller.claims != NULL));
    claims_unref(caller.claims);
    return caller;
}

static struct caller decide(enum access access, const char *bearer, const char *apikey) {
    struct credentials credentials = {.bearer = str_of(bearer), .apikey = str_of(apikey)};
    return decide_with(access, &credentials);
}

static void assert_caller(enum access access, const char *bearer, const char *apikey,
                          enum caller_kind kind) {
    struct caller caller = decide(access, bearer, apikey);
    ck_assert_msg(caller.problem == PROBLEM_NONE && !caller.waits_for_keys, "%s: %s", bearer,
                  caller.reason ? caller.reason : "waits");
    ck_assert_msg(caller.kind == kind, "%s: %s", bearer, caller_kind_name(caller.kind));
}

static void assert_problem(enum access access, const char *bearer, const char *apikey,
                           enum problem problem) {
    struct caller caller = decide(access, bearer, apikey);
    ck_assert_msg(caller.problem == problem, "%d: %s, %s: %s (%s)", access, bearer, apikey,
                  caller.problem ? problem_row(caller.problem)->name : "let in", caller.reason);
    ck_assert(caller.reason || problem == PROBLEM_NO_AUTHORIZATION);
}

/* ---- users and anonymous callers ---- */

START_TEST(a_users_token_makes_a_user) {
    static const enum access BOTH[] = {ACCESS_PUBLIC, ACCESS_USER, ACCESS_APIKEY};
    for (size_t i = 0; i < 3; i++) {
        struct caller caller = decide(BOTH[i], user_token, "sb_publishable_ours");
        ck_assert_int_eq(caller.kind, CALLER_USER);
        ck_assert(str_eq(caller.subject, STR("u1")));
        ck_assert_uint_eq(caller.issuer, 0);
        ck_assert_int_eq(caller.cache_hit, i > 0);
        ck_assert(!caller.is_anonymous_user);
    }
    assert_caller(ACCESS_USER, user_token, NULL, CALLER_USER);
    assert_caller(ACCESS_USER, user_token, "anything else", CALLER_USER);
    assert_caller(ACCESS_USER, user_token, user_token, CALLER_USER);
}
END_TEST

START_TEST(an_anonymous_sign_in_is_a_user_who_is_marked) {
    char *token =
        forge_token(&key, ES, "{\"iss\":\"" A "\",\"sub\":\"u2\",\"is_anonymous\":true," LIFE "}");
    struct caller caller = decide(ACCESS_USER, token, NULL);
    ck_assert_int_eq(caller.kind, CALLER_USER);
    ck_assert(caller.is_anonymous_user);
    free(token);
}
END_TEST

START_TEST(what_logged_out_clients_send_is_anonymous_where_public) {
    const char *const SENT[][2] = {
        {NULL, NULL},
        {NULL, "sb_publishable_ours"},
        {"sb_publishable_ours", "sb_publishable_ours"},
        {"sb_publishable_of_somebody", "sb_publishable_of_somebody"},
        {"sb_temp_x", "sb_temp_x"},
        {legacy_anon, legacy_anon},
        {NULL, legacy_anon},
        {"undefined", NULL},
        {"null", NULL},
        {"a.b", NULL},
        {"a.b.c.d.e", NULL},
        {foreign, NULL},
        {NULL, "garbage"},
        {NULL, ""},
    };
    for (size_t i = 0; i < sizeof(SENT) / sizeof(SENT[0]); i++)
        assert_caller(ACCESS_PUBLIC, SENT[i][0], SENT[i][1], CALLER_ANONYMOUS);
}
END_TEST

START_TEST(the_legacy_anon_key_is_anonymous_however_it_is_known) {
    project.anon = str_of(legacy_anon);
    assert_caller(ACCESS_PUBLIC, legacy_anon, legacy_anon, CALLER_ANONYMOUS);
    assert_problem(ACCESS_USER, legacy_anon, legacy_anon, PROBLEM_NO_AUTHORIZATION);
    project.anon = STR_NONE; /* verifies with the secret */
    assert_caller(ACCESS_PUBLIC, legacy_anon, legacy_anon, CALLER_ANONYMOUS);
    assert_problem(ACCESS_USER, legacy_anon, legacy_anon, PROBLEM_NO_AUTHORIZATION);
    keyset_unref(ring->issuers[0].keys); /* the secret is not known */
    ring->issuers[0].keys = keys_of(NULL);
    assert_caller(ACCESS_PUBLIC, legacy_anon, legacy_anon, CALLER_ANONYMOUS);
    assert_problem(ACCESS_USER, legacy_anon, legacy_anon, PROBLEM_NO_AUTHORIZATION);
    issuers[0].n_issuers = 0; /* nor what the issuer is called */
    assert_caller(ACCESS_PUBLIC, legacy_anon, legacy_anon, CALLER_ANONYMOUS);
    assert_problem(ACCESS_PUBLIC, user_token, legacy_anon, PROBLEM_KEYS_UNAVAILABLE);
}
END_TEST

START_TEST(a_user_route_needs_a_users_token) {
    static const enum access STRICT[] = {ACCESS_USER, ACCESS_APIKEY, ACCESS_SERVICE};
    for (size_t i = 0; i < 3; i++) {
        assert_problem(STRICT[i], NULL, NULL, PROBLEM_NO_AUTHORIZATION);
        assert_problem(STRICT[i], NULL, "sb_publishable_ours", PROBLEM_NO_AUTHORIZATION);
        assert_problem(STRICT[i], "sb_publishable_ours", "sb_publishable_ours",
                       PROBLEM_NO_AUTHORIZATION);
        assert_problem(STRICT[i], NULL, user_token, PROBLEM_NO_AUTHORIZATION);
        assert_problem(STRICT[i], "undefined", NULL, PROBLEM_BAD_JWT);
        assert_problem(STRICT[i], "a.b.c.d.e", NULL, PROBLEM_BAD_JWT);
        assert_problem(STRICT[i], foreign, NULL, PROBLEM_BAD_JWT);
        assert_problem(STRICT[i], forged, NULL, PROBLEM_BAD_JWT);
        assert_problem(STRICT[i], expired, NULL, PROBLEM_TOKEN_EXPIRED);
    }
    struct credentials basic = {.authorization = STR("Basic dTpw")};
    ck_assert_int_eq(decide_with(ACCESS_USER, &basic).problem, PROBLEM_NO_AUTHORIZATION);
    ck_assert_int_eq(decide_with(ACCESS_PUBLIC, &basic).problem, PROBLEM_NONE);
}
END_TEST

START_TEST(a_bad_token_of_a_known_issuer_is_refused_where_public) {
    assert_problem(ACCESS_PUBLIC, forged, "sb_publishable_ours", PROBLEM_BAD_JWT);
    assert_problem(ACCESS_PUBLIC, expired, "sb_publishable_ours", PROBLEM_TOKEN_EXPIRED);
    struct caller caller = decide(ACCESS_PUBLIC, forged, NULL);
    ck_assert_int_eq(caller.token, TOKEN_BAD_SIGNATURE);
    ck_assert_uint_eq(caller.issuer, 0);
    ck_assert(caller.cache_hit);
    ck_assert_str_eq(caller.reason, token_verdict_text(TOKEN_BAD_SIGNATURE));
}
END_TEST

START_TEST(a_malformed_token_is_not_passed_to_a_laxer_upstream) {
    char *padded = malloc(strlen(user_token) + 2), *spoilt = str_dup(str_of(user_token));
    snprintf(padded, strlen(user_token) + 2, "%s=", user_token);
    spoilt[5] = '+';
    char *long_token = malloc(TOKEN_BYTES_MAX + 2);
    memset(long_token, 'A', TOKEN_BYTES_MAX + 1);
    long_token[TOKEN_BYTES_MAX + 1] = '\0';
    assert_problem(ACCESS_PUBLIC, padded, NULL, PROBLEM_BAD_JWT);
    assert_problem(ACCESS_PUBLIC, spoilt, NULL, PROBLEM_BAD_JWT);
    assert_problem(ACCESS_PUBLIC, bad_header, NULL, PROBLEM_BAD_JWT);
    assert_problem(ACCESS_PUBLIC, long_token, NULL, PROBLEM_BAD_JWT);
    free(padded);
    free(spoilt);
    free(long_token);
}
END_TEST

START_TEST(a_verified_token_that_names_nobody_is_no_user) {
    static const char *const NOBODY[] = {
        "{\"iss\":\"" A "\"," LIFE "}", "{\"iss\":\"" A "\",\"sub\":\"\"," LIFE "}",
        "{\"iss\":\"" A "\",\"sub\":\"\",\"role\":\"authenticated\"," LIFE "}"};
    for (size_t i = 0; i < sizeof(NOBODY) / sizeof(NOBODY[0]); i++) {
        char *token = forge_token(&key, ES, NOBODY[i]);
        assert_problem(ACCESS_USER, token, NULL, PROBLEM_BAD_JWT);
        assert_problem(ACCESS_PUBLIC, token, NULL, PROBLEM_BAD_JWT);
        ck_assert_ptr_nonnull(strstr(decide(ACCESS_USER, token, NULL).reason, "sub"));
        free(token);
    }
    char *anon = forge_token(&key, ES, "{\"iss\":\"" A "\",\"role\":\"anon\"," LIFE "}");
    assert_caller(ACCESS_PUBLIC, anon, NULL, CALLER_ANONYMOUS);
    assert_problem(ACCESS_USER, anon, NULL, PROBLEM_NO_AUTHORIZATION);
    free(anon);
}
END_TEST

START_TEST(an_open_route_looks_at_nothing_but_doubles) {
    const char *const ANY[] = {NULL,      user_token,       forged,        expired,
                               "garbage", "sb_secret_ours", legacy_service};
    for (size_t i = 0; i < sizeof(ANY) / sizeof(ANY[0]); i++)
        assert_caller(ACCESS_OPEN, ANY[i], ANY[i], CALLER_ANONYMOUS);
    ck_assert_uint_eq(token_cache_stats(cache).n_entries, 0);
    struct credentials malformed = {.is_malformed = true}, doubled = {.doubled = "two"};
    ck_assert_int_eq(decide_with(ACCESS_OPEN, &malformed).problem, PROBLEM_NONE);
    for (unsigned access = ACCESS_OPEN; access <= ACCESS_SERVICE; access++) {
        ck_assert_int_eq(decide_with((enum access)access, &doubled).problem,
                         PROBLEM_INVALID_REQUEST);
        if (access != ACCESS_OPEN)
            ck_assert_int_eq(decide_with((enum access)access, &malformed).problem, PROBLEM_BAD_JWT);
    }
}
END_TEST

/* ---- subjects ---- */

static void assert_subject(const char *issuer, const char *sub, const char *expected) {
    char payload[200];
    snprintf(payload, sizeof(payload), "{\"iss\":\"%s\",\"sub\":\"%s\"," LIFE "}", issuer, sub);
    char *token = forge_token(&key, ES, payload);
    struct caller caller = decide(ACCESS_USER, token, NULL);
    ck_assert_msg(str_eq(caller.subject, str_of(expected)), "'" STR_FMT "' is not '%s'",
                  STR_ARG(caller.subject), expected);
    free(token);
}

START_TEST(no_issuers_subject_can_be_spelt_like_anothers) {
    assert_subject(A, "u1", "u1");
    assert_subject(B, "u1", "b:u1");
    assert_subject(A, "b:u1", "supabase:b:u1");
    assert_subject(A, "supabase:b:u1", "supabase:supabase:b:u1");
    assert_subject(B, "supabase:u1", "b:supabase:u1");
    assert_subject(A, "c:u1", "c:u1");
    assert_subject(A, "b", "b");
    assert_subject(A, "b:", "supabase:b:");
    assert_subject(A, "bb:x", "bb:x");
}
END_TEST

START_TEST(a_subject_that_nobody_could_deny_is_refused) {
    char sub[SUBJECT_MAX + 2], payload[512];
    memset(sub, 's', sizeof(sub));
    static const struct {
        const char *issuer;
        int n;
        enum problem problem;
    } ROWS[] = {{A, SUBJECT_MAX, PROBLEM_NONE},
                {A, SUBJECT_MAX + 1, PROBLEM_BAD_JWT},
                {B, SUBJECT_MAX - 2, PROBLEM_NONE}, /* with "b:" */
                {B, SUBJECT_MAX - 1, PROBLEM_BAD_JWT}};
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        snprintf(payload, sizeof(payload), "{\"iss\":\"%s\",\"sub\":\"%.*s\"," LIFE "}",
                 ROWS[i].issuer, ROWS[i].n, sub);
        char *token = forge_token(&key, ES, payload);
        struct caller caller = decide(ACCESS_USER, token, NULL);
        ck_assert_int_eq(caller.problem, ROWS[i].problem);
        ck_assert_uint_eq(caller.subject.n, caller.problem == PROBLEM_NONE ? SUBJECT_MAX : 0);
        free(token);
    }
}
END_TEST

/* ---- keys ---- */

START_TEST(an_unknown_kid_waits_once_and_is_then_refused) {
    may_wait = true;
    struct caller caller = decide(ACCESS_PUBLIC, unknown_kid, NULL);
    ck_assert(caller.waits_for_keys && caller.problem == PROBLEM_NONE);
    ck_assert_uint_eq(caller.issuer, 0);
    may_wait = false;
    assert_problem(ACCESS_PUBLIC, unknown_kid, NULL, PROBLEM_BAD_JWT);
    assert_problem(ACCESS_USER, unknown_kid, NULL, PROBLEM_BAD_JWT);
}
END_TEST

START_TEST(an_unknown_kid_after_a_failed_fetch_is_not_the_callers_fault) {
    ring->issuers[0].last_fetch_failed = true;
    assert_problem(ACCESS_PUBLIC, unknown_kid, NULL, PROBLEM_KEYS_UNAVAILABLE);
    assert_problem(ACCESS_USER, unknown_kid, NULL, PROBLEM_KEYS_UNAVAILABLE);
    assert_problem(ACCESS_USER, forged, NULL, PROBLEM_BAD_JWT);
}
END_TEST

START_TEST(a_symmetric_token_never_waits) {
    may_wait = true;
    keyset_unref(ring->issuers[0].keys);
    ring->issuers[0].keys = keys_of(NULL);
    char *token = forge_hmac(STR(SECRET), "{\"alg\":\"HS256\",\"kid\":\"new\"}", USER);
    struct caller caller = decide(ACCESS_USER, token, NULL);
    ck_assert(!caller.waits_for_keys);
    ck_assert_int_eq(caller.problem, PROBLEM_BAD_JWT);
    free(token);
}
END_TEST

START_TEST(missing_keys_are_503_and_the_secret_still_works) {
    char *symmetric = forge_hmac(STR(SECRET), "{\"alg\":\"HS256\",\"kid\":\"new\"}", USER);
    static const enum keys_state STATES[] = {KEYS_NEVER, KEYS_STALE};
    for (size_t i = 0; i < 2; i++) {
        ring->issuers[0].state = STATES[i];
        assert_problem(ACCESS_USER, user_token, NULL, PROBLEM_KEYS_UNAVAILABLE);
        assert_problem(ACCESS_PUBLIC, user_token, NULL, PROBLEM_KEYS_UNAVAILABLE);
        assert_caller(ACCESS_PUBLIC, NULL, "sb_publishable_ours", CALLER_ANONYMOUS);
        assert_caller(ACCESS_USER, symmetric, NULL, CALLER_USER);
        assert_caller(ACCESS_USER, of_b, NULL, CALLER_USER);
    }
    free(symmetric);
}
END_TEST

/* ---- service callers ---- */

START_TEST(service_callers_are_refused_by_default) {
    project.service_role = STR("legacy.service.role");
    const char *const SERVICE[] = {"sb_secret_ours",   "sb_secret_of_somebody",
                                   legacy_service,     alien_service,
                                   asymmetric_service, "legacy.service.role"};
    for (size_t i = 0; i < sizeof(SERVICE) / sizeof(SERVICE[0]); i++) {
        assert_problem(ACCESS_PUBLIC, SERVICE[i], NULL, PROBLEM_SERVICE_CALLER_REFUSED);
        assert_problem(ACCESS_PUBLIC, SERVICE[i], SERVICE[i], PROBLEM_SERVICE_CALLER_REFUSED);
        assert_problem(ACCESS_USER, SERVICE[i], NULL, PROBLEM_SERVICE_CALLER_REFUSED);
        assert_problem(ACCESS_APIKEY, SERVICE[i], "sb_publishable_ours",
                       PROBLEM_SERVICE_CALLER_REFUSED);
    }
    const char *const AS_APIKEY[] = {"sb_secret_ours", "sb_secret_of_somebody", legacy_service,
                                     alien_service};
    for (size_t i = 0; i < sizeof(AS_APIKEY) / sizeof(AS_APIKEY[0]); i++) {
        assert_problem(ACCESS_PUBLIC, NULL, AS_APIKEY[i], PROBLEM_SERVICE_CALLER_REFUSED);
        assert_problem(ACCESS_PUBLIC, user_token, AS_APIKEY[i], PROBLEM_SERVICE_CALLER_REFUSED);
    }
}
END_TEST

START_TEST(an_escaped_key_in_the_query_is_the_same_key) {
    static const char *const SPELLINGS[] = {"sb_secret_ours", "sb%5Fsecret%5fours",
                                            "%73b_secret_other"};
    for (size_t i = 0; i < sizeof(SPELLINGS) / sizeof(SPELLINGS[0]); i++) {
        struct credentials credentials = {.apikey = str_of(SPELLINGS[i]), .apikey_in_query = true};
        ck_assert_int_eq(decide_with(ACCESS_PUBLIC, &credentials).problem,
                         PROBLEM_SERVICE_CALLER_REFUSED);
    }
    static const char *const OTHERS[] = {"", "%", "%5", "%zz", "sb%5Fpublishable%5Fours"};
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        struct credentials credentials = {.apikey = str_of(OTHERS[i]), .apikey_in_query = true};
        ck_assert_int_eq(decide_with(ACCESS_PUBLIC, &credentials).problem, PROBLEM_NONE);
    }
}
END_TEST

START_TEST(allowed_service_callers_are_served_as_such_when_they_prove_it) {
    rules.allows_service = true;
    project.service_role = STR("legacy.service.role");
    const char *const PROVEN[] = {"sb_secret_ours", "legacy.service.role", legacy_service,
                                  asymmetric_service};
    for (size_t i = 0; i < sizeof(PROVEN) / sizeof(PROVEN[0]); i++) {
        assert_caller(ACCESS_PUBLIC, PROVEN[i], NULL, CALLER_SERVICE);
        assert_caller(ACCESS_PUBLIC, PROVEN[i], PROVEN[i], CALLER_SERVICE);
        assert_caller(ACCESS_SERVICE, PROVEN[i], NULL, CALLER_SERVICE);
        assert_problem(ACCESS_USER, PROVEN[i], NULL, PROBLEM_INSUFFICIENT_SCOPE);
    }
    assert_caller(ACCESS_PUBLIC, NULL, legacy_service, CALLER_SERVICE);
    const char *const UNPROVEN[] = {"sb_secret_of_somebody", alien_service};
    for (size_t i = 0; i < sizeof(UNPROVEN) / sizeof(UNPROVEN[0]); i++) {
        assert_caller(ACCESS_PUBLIC, UNPROVEN[i], NULL, CALLER_ANONYMOUS);
        assert_caller(ACCESS_PUBLIC, NULL, UNPROVEN[i], CALLER_ANONYMOUS);
        assert_caller(ACCESS_PUBLIC, UNPROVEN[i], "sb_secret_ours", CALLER_ANONYMOUS);
        assert_caller(ACCESS_PUBLIC, "sb_secret_ours", UNPROVEN[i], CALLER_ANONYMOUS);
        assert_caller(ACCESS_PUBLIC, user_token, UNPROVEN[i], CALLER_USER);
        assert_problem(ACCESS_SERVICE, UNPROVEN[i], NULL, PROBLEM_SERVICE_CALLER_REFUSED);
        assert_problem(ACCESS_USER, NULL, UNPROVEN[i], PROBLEM_NO_AUTHORIZATION);
    }
    assert_problem(ACCESS_USER, "sb_secret_of_somebody", NULL, PROBLEM_NO_AUTHORIZATION);
    assert_problem(ACCESS_USER, alien_service, NULL, PROBLEM_BAD_JWT);
}
END_TEST

START_TEST(a_bad_service_token_of_the_project_meets_its_own_problem) {
    rules.allows_service = true;
    char *old = forge_token(&key, ES, "{\"iss\":\"" A "\",\"role\":\"service_role\",\"exp\":1}");
    char *false_one =
        forge_token(&stranger, ES, "{\"iss\":\"" A "\",\"role\":\"service_role\"," LIFE "}");
    char *old_legacy =
        forge_hmac(STR(SECRET), HS, "{\"iss\":\"supabase\",\"role\":\"service_role\",\"exp\":1}");
    char *alien = forge_token(
        &key, ES, "{\"iss\":\"" B "\",\"sub\":\"u\",\"role\":\"service_role\"," LIFE "}");
    assert_problem(ACCESS_PUBLIC, old, NULL, PROBLEM_TOKEN_EXPIRED);
    assert_problem(ACCESS_PUBLIC, false_one, NULL, PROBLEM_BAD_JWT);
    assert_caller(ACCESS_PUBLIC, old_legacy, NULL, CALLER_ANONYMOUS);
    assert_problem(ACCESS_PUBLIC, alien, NULL, PROBLEM_SERVICE_CALLER_REFUSED);
    rules.allows_service = false;
    assert_problem(ACCESS_PUBLIC, alien, NULL, PROBLEM_SERVICE_CALLER_REFUSED);
    free(old);
    free(false_one);
    free(old_legacy);
    free(alien);
}
END_TEST

START_TEST(service_callers_can_be_kept_to_networks) {
    struct cidr network;
    ck_assert(cidr_parse(STR("10.0.0.0/8"), &network));
    rules.allows_service = true;
    rules.service_networks = &network;
    rules.n_service_networks = 1;
    assert_caller(ACCESS_PUBLIC, "sb_secret_ours", NULL, CALLER_SERVICE);
    ck_assert(ip_parse(STR("192.0.2.1"), &client));
    assert_problem(ACCESS_PUBLIC, "sb_secret_ours", NULL, PROBLEM_SERVICE_CALLER_REFUSED);
    assert_problem(ACCESS_SERVICE, "sb_secret_ours", NULL, PROBLEM_SERVICE_CALLER_REFUSED);
    struct credentials credentials = {.bearer = STR("sb_secret_ours")};
    struct caller caller = access_decide(ACCESS_PUBLIC, &credentials, &rules, cache, ring, NULL,
                                         &now, ACCESS_MAY_CHECK, &arena);
    ck_assert_int_eq(caller.problem, PROBLEM_SERVICE_CALLER_REFUSED);
}
END_TEST

START_TEST(a_service_route_is_for_proven_service_callers_only) {
    assert_caller(ACCESS_SERVICE, "sb_secret_ours", NULL, CALLER_SERVICE);
    assert_caller(ACCESS_SERVICE, NULL, "sb_secret_ours", CALLER_SERVICE);
    assert_caller(ACCESS_SERVICE, legacy_service, NULL, CALLER_SERVICE);
    assert_problem(ACCESS_SERVICE, alien_service, NULL, PROBLEM_SERVICE_CALLER_REFUSED);
    assert_problem(ACCESS_SERVICE, user_token, NULL, PROBLEM_INSUFFICIENT_SCOPE);
}
END_TEST

static bool needs_check(enum access access, const char *bearer) {
    struct credentials credentials = {.bearer = str_of(bearer)};
    struct caller caller =
        access_decide(access, &credentials, &rules, cache, ring, &client, &now, 0, &arena);
    claims_unref(caller.claims);
    return caller.needs_check;
}

START_TEST(what_was_never_checked_needs_the_right_to_be) {
    const char *all[] = {user_token, expired, forged, foreign, bad_header, legacy_service};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        ck_assert_msg(needs_check(ACCESS_PUBLIC, all[i]), "%s", all[i]);
        ck_assert(!needs_check(ACCESS_OPEN, all[i]));
    }
    /* Nothing was decided, and nothing remembered, without it. */
    ck_assert(needs_check(ACCESS_USER, user_token));
    assert_caller(ACCESS_USER, user_token, NULL, CALLER_USER);
    ck_assert(!needs_check(ACCESS_USER, user_token));
    assert_problem(ACCESS_USER, forged, NULL, PROBLEM_BAD_JWT);
    ck_assert(!needs_check(ACCESS_USER, forged));
}
END_TEST

START_TEST(what_is_no_token_needs_no_check) {
    const char *others[] = {"",
                            "opaque",
                            "a.b",
                            "a.b.c.d",
                            "sb_publishable_ours",
                            "sb_publishable_another",
                            "sb_secret_ours",
                            "sb_secret_.of.another"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(!needs_check(ACCESS_USER, others[i]), "%s", others[i]);
    struct credentials doubled = {.bearer = str_of(user_token), .doubled = "two"};
    struct caller caller =
        access_decide(ACCESS_USER, &doubled, &rules, cache, ring, &client, &now, 0, &arena);
    ck_assert_int_eq(caller.problem, PROBLEM_INVALID_REQUEST);
}
END_TEST

/* ---- API keys */

#define KEY "jg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAZmh6"

static struct caller show(enum access access, const char *api_key, const char *bearer,
                          const char *apikey) {
    struct credentials credentials = {
        .api_key = str_of(api_key), .bearer = str_of(bearer), .apikey = str_of(apikey)};
    return decide_with(access, &credentials);
}

START_TEST(an_api_key_is_looked_up_where_the_route_takes_it) {
    const char *const beside[] = {NULL, "sb_publishable_ours", legacy_anon};
    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
        struct caller caller = show(ACCESS_APIKEY, KEY, beside[i], beside[i]);
        ck_assert(caller.needs_api_key && caller.problem == PROBLEM_NONE && !caller.claims);
    }
    ck_assert(!show(ACCESS_OPEN, KEY, NULL, NULL).needs_api_key);
}
END_TEST

START_TEST(an_api_key_is_refused_elsewhere_and_when_it_is_malformed) {
    static const enum access others[] = {ACCESS_PUBLIC, ACCESS_USER, ACCESS_SERVICE};
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(show(others[i], KEY, NULL, NULL).problem, PROBLEM_BAD_API_KEY);
    ck_assert_int_eq(show(ACCESS_APIKEY, "jg_", NULL, NULL).problem, PROBLEM_BAD_API_KEY);
    ck_assert_int_eq(show(ACCESS_APIKEY, KEY "A", NULL, NULL).problem, PROBLEM_BAD_API_KEY);
    ck_assert_int_eq(show(ACCESS_PUBLIC, NULL, KEY, NULL).problem, PROBLEM_BAD_API_KEY);
    ck_assert_int_eq(show(ACCESS_APIKEY, NULL, NULL, KEY).problem, PROBLEM_BAD_API_KEY);
}
END_TEST

START_TEST(an_api_key_beside_another_callers_credentials_is_refused) {
    const char *const others[] = {
        user_token, forged, "opaque", "sb_secret_ours", expired, "sb_secret_other", legacy_service};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(show(ACCESS_APIKEY, KEY, others[i], NULL).problem == PROBLEM_INVALID_REQUEST,
                      "%s", others[i]);
    ck_assert_int_eq(show(ACCESS_APIKEY, KEY, NULL, "sb_secret_ours").problem,
                     PROBLEM_INVALID_REQUEST);
    ck_assert_int_eq(show(ACCESS_APIKEY, KEY, NULL, legacy_service).problem,
                     PROBLEM_INVALID_REQUEST);
}
END_TEST

START_TEST(an_api_keys_caller_is_its_subject_until_it_expires) {
    struct api_key_cache *keys = api_key_cache_new(1, NS_PER_S);
    struct api_key_held *held;
    char id[API_KEY_ID_BYTES + 1];
    memset(id, '7', API_KEY_ID_BYTES);
    id[API_KEY_ID_BYTES] = '\0';
    ck_assert_int_eq(
        api_key_cache_keep(
            keys, id,
            STR("{\"subject\":\"b:u1\",\"plan\":\"pro\",\"created\":1,\"expires\":1700000001}"),
            &paths, 0),
        0);
    ck_assert_int_eq(api_key_cache_look(keys, id, 1, &held), API_KEY_HELD);
    struct caller caller = access_of_api_key(held, &now, &arena);
    ck_assert(caller.problem == PROBLEM_NONE && caller.kind == CALLER_USER);
    ck_assert(str_eq(caller.subject, STR("b:u1")) && str_eq(caller.plan, STR("pro")));
    ck_assert(str_eq(caller.api_key, str_of(id)));
    ck_assert(str_eq(claims_role(caller.claims), STR("authenticated")));
    claims_unref(caller.claims);
    struct now later = {.wall_ns = (NOW_S + 1) * NS_PER_S};
    caller = access_of_api_key(held, &later, &arena);
    ck_assert(caller.problem == PROBLEM_BAD_API_KEY && !caller.claims);
    api_key_cache_free(keys);
}
END_TEST

START_TEST(a_subject_of_the_first_issuer_has_its_sub_back) {
    static const struct issuer_rule two_issuers[] = {{.name = STR("a")}, {.name = STR("b")}};
    static const struct token_rules two_rules = {two_issuers, 2, NULL};
    static const struct {
        struct str subject, sub;
    } own[] = {{STR("u1"), STR("u1")},       {STR("a:u1"), STR("u1")}, {STR("a:b:u1"), STR("b:u1")},
               {STR("ab:u1"), STR("ab:u1")}, {STR("a"), STR("a")},     {STR("c:u1"), STR("c:u1")}};
    struct str sub;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        ck_assert(access_first_sub(&two_rules, own[i].subject, &sub));
        ck_assert(str_eq(sub, own[i].sub));
    }
    ck_assert(!access_first_sub(&two_rules, STR("b:u1"), &sub));
    ck_assert(!access_first_sub(&two_rules, STR("b:a:u1"), &sub));
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
    TCase *tcase = tcase_create(name);
    tcase_add_unchecked_fixture(tcase, make, unmake);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void) {
    Suite *suite = suite_create("auth/access");
    TCase *users = add_case(suite, "users");
    tcase_add_test(users, a_users_token_makes_a_user);
    tcase_add_test(users, an_anonymous_sign_in_is_a_user_who_is_marked);
    tcase_add_test(users, what_logged_out_clients_send_is_anonymous_where_public);
    tcase_add_test(users, the_legacy_anon_key_is_anonymous_however_it_is_known);
    tcase_add_test(users, a_user_route_needs_a_users_token);
    tcase_add_test(users, a_bad_token_of_a_known_issuer_is_refused_where_public);
    tcase_add_test(users, a_malformed_token_is_not_passed_to_a_laxer_upstream);
    tcase_add_test(users, a_verified_token_that_names_nobody_is_no_user);
    tcase_add_test(users, an_open_route_looks_at_nothing_but_doubles);
    tcase_add_test(users, a_subject_that_nobody_could_deny_is_refused);
    tcase_add_test(users, no_issuers_subject_can_be_spelt_like_anothers);
    TCase *keys = add_case(suite, "keys");
    tcase_add_test(keys, an_unknown_kid_waits_once_and_is_then_refused);
    tcase_add_test(keys, an_unknown_kid_after_a_failed_fetch_is_not_the_callers_fault);
    tcase_add_test(keys, a_symmetric_token_never_waits);
    tcase_add_test(keys, missing_keys_are_503_and_the_secret_still_works);
    TCase *checks = add_case(suite, "checks");
    tcase_add_test(checks, what_was_never_checked_needs_the_right_to_be);
    tcase_add_test(checks, what_is_no_token_needs_no_check);
    TCase *api_keys = add_case(suite, "api keys");
    tcase_add_test(api_keys, an_api_key_is_looked_up_where_the_route_takes_it);
    tcase_add_test(api_keys, an_api_key_is_refused_elsewhere_and_when_it_is_malformed);
    tcase_add_test(api_keys, an_api_key_beside_another_callers_credentials_is_refused);
    tcase_add_test(api_keys, an_api_keys_caller_is_its_subject_until_it_expires);
    tcase_add_test(api_keys, a_subject_of_the_first_issuer_has_its_sub_back);
    TCase *service = add_case(suite, "service");
    tcase_add_test(service, service_callers_are_refused_by_default);
    tcase_add_test(service, an_escaped_key_in_the_query_is_the_same_key);
    tcase_add_test(service, allowed_service_callers_are_served_as_such_when_they_prove_it);
    tcase_add_test(service, a_bad_service_token_of_the_project_meets_its_own_problem);
    tcase_add_test(service, service_callers_can_be_kept_to_networks);
    tcase_add_test(service, a_service_route_is_for_proven_service_callers_only);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
