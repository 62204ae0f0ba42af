/* SPDX-License-Identifier: MIT */
/* A token is opened (form, encoding, header), its issuer is looked up by what it says of itself, one of that issuer's keys must
 * have signed it, and only then is it believed. */
#include "auth/token.h"

#include "base/base64url.h"
#include <assert.h>
#include <errno.h>

/* clang-format off */
static const struct {
    const char *name, *text;
} VERDICTS[TOKEN_VERDICT_COUNT] = {
#define X(id, name, text) {name, text},
    TOKEN_VERDICTS(X)
#undef X
};
/* clang-format on */

const char *token_verdict_name(enum token_verdict verdict) {
    assert(verdict < TOKEN_VERDICT_COUNT);
    return VERDICTS[verdict].name;
}

const char *token_verdict_text(enum token_verdict verdict) {
    assert(verdict < TOKEN_VERDICT_COUNT);
    return VERDICTS[verdict].text;
}

static void drop_doc(struct doc **doc) { doc_free(*doc); }

/* ---- form ---- */

/* header "." payload "." signature, as encoded. */
struct parts {
    struct str header, payload, signature;
    struct str input; /* what is signed: header "." payload */
};

/* RFC 7515 3.1: exactly two dots; five parts would be a JWE. */
static bool split(struct parts *parts, struct str token) {
    struct str rest = token;
    if (!str_split(&rest, '.', &parts->header) || !rest.at)
        return false;
    if (!str_split(&rest, '.', &parts->payload) || !rest.at)
        return false;
    parts->signature = rest;
    parts->input = str_first(token, parts->header.n + 1 + parts->payload.n);
    return str_index(rest, '.') == rest.n;
}

bool token_is_compact(struct str token) {
    struct parts parts;
    return token.n <= TOKEN_BYTES_MAX && split(&parts, token);
}

static enum token_verdict decode(struct str *bytes, struct str text, struct arena *scratch) {
    unsigned char *room = arena_alloc(scratch, BASE64URL_DECODED_MAX(text.n));
    if (!room)
        return TOKEN_FAILURE;
    *bytes = (struct str){(const char *)room, 0};
    return base64url_decode(text, room, &bytes->n) ? TOKEN_VALID : TOKEN_BAD_ENCODING;
}

/* ---- the opened token ---- */

struct envelope {
    struct str header, payload, signature; /* decoded, in the arena */
    struct str input;
    struct str kid;           /* in the arena; empty when absent */
    enum algorithm algorithm; /* ALGORITHM_COUNT: none that is known */
};

/* RFC 8725 3.11: another kind of token must not pass for an access token. Media types in any case, "application/" may be left out
 * (RFC 7515 4.1.9). */
static bool is_access_token_type(const struct node *typ) {
    struct str type = node_string(typ);
    if (str_starts_nocase(type, STR("application/")))
        type = str_skip(type, 12);
    return !typ || str_eq_nocase(type, STR("JWT")) || str_eq_nocase(type, STR("at+jwt"));
}

/* RFC 7515 4: names unique (doc_parse), 4.1.11: extensions in crit must be understood, and none is here; RFC 7797's b64 would
 * change what was signed. jku, jwk, x5u and x5c are never looked at. */
static enum token_verdict read_header(struct envelope *e, struct arena *scratch) {
    CLEANUP(drop_doc) struct doc *doc = doc_parse(e->header, NULL);
    const struct node *header = doc ? doc_root(doc) : NULL;
    const struct node *kid = node_member(header, "kid");
    struct str algorithm = node_string(node_member(header, "alg"));
    if (node_kind(header) != NODE_OBJECT || !algorithm.at || (kid && node_string(kid).n == 0))
        return TOKEN_BAD_HEADER;
    if (node_member(header, "crit") || node_member(header, "b64"))
        return TOKEN_CRITICAL_HEADER;
    if (!is_access_token_type(node_member(header, "typ")))
        return TOKEN_WRONG_TYPE;
    e->algorithm = algorithm_of(algorithm);
    e->kid = kid ? arena_copy(scratch, node_string(kid)) : STR_NONE;
    return kid && !e->kid.at ? TOKEN_FAILURE : TOKEN_VALID;
}

static enum token_verdict open_token(struct envelope *e, struct str token, struct arena *scratch) {
    struct parts parts;
    *e = (struct envelope){.algorithm = ALGORITHM_COUNT};
    if (token.n > TOKEN_BYTES_MAX)
        return TOKEN_TOO_LONG;
    if (!split(&parts, token))
        return TOKEN_NOT_COMPACT;
    e->input = parts.input;
    enum token_verdict verdict = decode(&e->header, parts.header, scratch);
    if (verdict == TOKEN_VALID)
        verdict = decode(&e->payload, parts.payload, scratch);
    if (verdict == TOKEN_VALID)
        verdict = decode(&e->signature, parts.signature, scratch);
    return verdict == TOKEN_VALID ? read_header(e, scratch) : verdict;
}

/* ---- keys ---- */

static bool is_hmac(enum algorithm algorithm) {
    return algorithm < ALGORITHM_COUNT && (ALGORITHM_BIT(algorithm) & ALGORITHMS_HMAC);
}

static bool kid_is_known(const struct keyset *keys, struct str kid) {
    for (size_t i = 0; kid.n > 0 && i < keyset_count(keys); i++)
        if (str_eq(key_kid(keyset_at(keys, i)), kid))
            return true;
    return false;
}

/* A kid may be shared by keys of several types (RFC 7517 4.5), and a token without one may be any fitting key's. */
static enum token_verdict check_signature(const struct envelope *e, const struct keyset *keys,
                                          struct key_print *print) {
    size_t cursor = 0, n_tried = 0;
    const struct key *key;
    while ((key = keyset_find(keys, e->kid, e->algorithm, &cursor))) {
        int matches = key_verify(key, e->algorithm, e->input, e->signature);
        if (matches < 0)
            return TOKEN_FAILURE;
        if (matches) {
            *print = *key_print(key);
            return TOKEN_VALID;
        }
        n_tried++;
    }
    if (n_tried > 0)
        return TOKEN_BAD_SIGNATURE;
    return kid_is_known(keys, e->kid) ? TOKEN_ALGORITHM : TOKEN_UNKNOWN_KEY;
}

/* A configured secret does not age; what was published does. */
static enum token_verdict check_state(const struct issuer_keys *issuer, bool is_symmetric) {
    if (is_symmetric)
        return issuer->keys ? TOKEN_VALID : TOKEN_UNKNOWN_KEY;
    switch (issuer->state) {
    case KEYS_NEVER:
        return TOKEN_NO_KEYS;
    case KEYS_STALE:
        return TOKEN_KEYS_STALE;
    case KEYS_FRESH:
        return issuer->keys ? TOKEN_VALID : TOKEN_NO_KEYS;
    }
    return TOKEN_FAILURE;
}

/* ---- issuers ---- */

bool token_issuer_is(struct str issuer, const struct issuer_rule *rule,
                     const struct issuer_keys *keys) {
    bool is_auto = rule->n_issuers == 0;
    const struct str *list = is_auto ? keys->issuers : rule->issuers;
    size_t n = is_auto ? keys->n_issuers : rule->n_issuers;
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], issuer))
            return true;
    return false;
}

/* RFC 8725 3.8: the key must belong to the issuer, so the issuer is chosen first. */
static enum token_verdict find_issuer(size_t *index, const struct node *payload,
                                      const struct token_rules *rules, const struct keyring *keys) {
    struct str issuer = node_string(node_member(payload, "iss"));
    size_t unresolved = SIZE_MAX;
    for (size_t i = 0; i < rules->n_issuers; i++) {
        if (issuer.at && token_issuer_is(issuer, &rules->issuers[i], &keys->issuers[i])) {
            *index = i;
            return TOKEN_VALID;
        }
        if (rules->issuers[i].n_issuers == 0 && keys->issuers[i].n_issuers == 0)
            unresolved = i;
    }
    if (!issuer.at || unresolved == SIZE_MAX)
        return TOKEN_UNKNOWN_ISSUER;
    *index = unresolved;
    return TOKEN_NO_KEYS;
}

/* ---- claims ---- */

enum token_verdict token_check_times(const struct claims *claims, int64_t leeway_s,
                                     const struct now *now) {
    int64_t expires_s = claims_expires_s(claims), at_s = now_s(now);
    assert(leeway_s >= 0 && leeway_s <= INT32_MAX);
    if (expires_s == CLAIM_NO_TIME)
        return TOKEN_NO_EXPIRY;
    if (at_s >= expires_s + leeway_s)
        return TOKEN_EXPIRED;
    /* An absent time is the smallest of all. */
    if (claims_not_before_s(claims) > at_s + leeway_s)
        return TOKEN_NOT_YET_VALID;
    if (claims_issued_s(claims) > at_s + leeway_s)
        return TOKEN_ISSUED_IN_FUTURE;
    return TOKEN_VALID;
}

static bool audience_matches(const struct claims *claims, const struct issuer_rule *rule) {
    for (size_t i = 0; i < claims_audience_count(claims); i++)
        for (size_t j = 0; j < rule->n_audiences; j++)
            if (str_eq(claims_audience(claims, i), rule->audiences[j]))
                return true;
    return rule->n_audiences == 0;
}

static bool has_value(const struct claims *claims, size_t path, struct str value) {
    for (size_t i = 0; i < claims_value_count(claims, path); i++)
        if (str_eq(claims_value(claims, path, i), value))
            return true;
    return false;
}

static bool has_word(const struct claims *claims, size_t path, struct str wanted) {
    for (size_t i = 0; i < claims_value_count(claims, path); i++) {
        struct str words = claims_value(claims, path, i), word;
        while (str_split(&words, ' ', &word))
            if (str_eq(word, wanted))
                return true;
    }
    return false;
}

static bool has_words(const struct claims *claims, size_t path, struct str wanted) {
    struct str word;
    while (str_split(&wanted, ' ', &word))
        if (!has_word(claims, path, word))
            return false;
    return true;
}

bool claim_rule_is_met(const struct claim_rule *rule, const struct claims *claims) {
    for (size_t i = 0; i < rule->n_values; i++)
        if (rule->is_scope ? has_words(claims, rule->path_index, rule->values[i])
                           : has_value(claims, rule->path_index, rule->values[i]))
            return true;
    return false;
}

enum token_verdict token_check_claims(const struct claims *claims, const struct issuer_rule *rule,
                                      const struct now *now) {
    enum token_verdict verdict = token_check_times(claims, rule->leeway_s, now);
    if (verdict != TOKEN_VALID)
        return verdict;
    if (!audience_matches(claims, rule))
        return TOKEN_WRONG_AUDIENCE;
    for (size_t i = 0; i < rule->n_require; i++)
        if (!claim_rule_is_met(&rule->require[i], claims))
            return TOKEN_RULE_NOT_MET;
    return TOKEN_VALID;
}

/* ---- everything ---- */

/* From an opened token whose payload is an object to believed claims. */
static enum token_verdict believe(struct token_result *result, const struct envelope *e,
                                  const struct node *payload, const struct token_rules *rules,
                                  const struct keyring *keys, const struct now *now) {
    enum token_verdict verdict = find_issuer(&result->issuer, payload, rules, keys);
    if (verdict != TOKEN_VALID)
        return verdict;
    const struct issuer_rule *rule = &rules->issuers[result->issuer];
    const struct issuer_keys *issuer = &keys->issuers[result->issuer];
    if (e->algorithm == ALGORITHM_COUNT || !(rule->algorithms & ALGORITHM_BIT(e->algorithm)))
        return TOKEN_ALGORITHM;
    result->is_symmetric = is_hmac(e->algorithm);
    verdict = check_state(issuer, result->is_symmetric);
    if (verdict == TOKEN_VALID)
        verdict = check_signature(e, issuer->keys, &result->print);
    result->may_need_new_keys = verdict == TOKEN_UNKNOWN_KEY && !result->is_symmetric;
    if (verdict != TOKEN_VALID)
        return verdict;
    int failed = claims_new(&result->claims, payload, rules->paths, &result->reason);
    if (failed)
        return failed == -EINVAL ? TOKEN_BAD_CLAIM : TOKEN_FAILURE;
    return token_check_claims(result->claims, rule, now);
}

struct token_result token_verify(struct str token, const struct token_rules *rules,
                                 const struct keyring *keys, const struct now *now,
                                 struct arena *scratch) {
    struct token_result result = {.issuer = SIZE_MAX};
    struct envelope e;
    assert(keys->n == rules->n_issuers);
    result.verdict = open_token(&e, token, scratch);
    if (result.verdict == TOKEN_VALID) {
        CLEANUP(drop_doc) struct doc *doc = doc_parse(e.payload, NULL);
        const struct node *payload = doc ? doc_root(doc) : NULL;
        if (node_kind(payload) == NODE_OBJECT)
            result.verdict = believe(&result, &e, payload, rules, keys, now);
        else
            result.verdict = TOKEN_BAD_PAYLOAD;
    }
    result.kid = e.kid;
    if (!result.reason)
        result.reason = token_verdict_text(result.verdict);
    return result;
}

enum token_verdict token_verify_signature(struct str token, const struct keyset *keys,
                                          unsigned algorithms, struct str *header_json,
                                          struct str *payload, struct arena *scratch) {
    struct envelope e;
    struct key_print print;
    enum token_verdict verdict = open_token(&e, token, scratch);
    *header_json = e.header;
    *payload = e.payload;
    if (verdict != TOKEN_VALID)
        return verdict;
    if (e.algorithm == ALGORITHM_COUNT || !(algorithms & ALGORITHM_BIT(e.algorithm)))
        return TOKEN_ALGORITHM;
    return check_signature(&e, keys, &print);
}

bool token_peek(struct str token, struct token_hint *hint, struct arena *scratch) {
    struct parts parts;
    struct str header, payload;
    *hint = (struct token_hint){0};
    if (token.n > TOKEN_BYTES_MAX || !split(&parts, token) ||
        decode(&header, parts.header, scratch) != TOKEN_VALID ||
        decode(&payload, parts.payload, scratch) != TOKEN_VALID)
        return false;
    CLEANUP(drop_doc) struct doc *doc = doc_parse(payload, NULL);
    if (!doc || node_kind(doc_root(doc)) != NODE_OBJECT)
        return false;
    const struct node *claims = doc_root(doc);
    hint->issuer = arena_copy(scratch, node_string(node_member(claims, "iss")));
    hint->role = arena_copy(scratch, node_string(node_member(claims, "role")));
    hint->has_subject = node_string(node_member(claims, "sub")).n > 0;
    return true;
}
