/* SPDX-License-Identifier: MIT */
/* Any bytes as a token, and any header and payload (before and after the first line break) signed with the secret that the
 * gateway knows: nothing is good that was not signed, what is good keeps its promises, and the cache says the same. */
#include "auth/access.h"
#include "base/base64url.h"
#include "base/buffer.h"
#include "must.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define NOW_S INT64_C(1700000000)

static const struct str ISSUERS[] = {{"https://a", 9}}, AUDIENCES[] = {{"authenticated", 13}};
static const struct str PATHS[] = {{"app_metadata.plan", 17}, {"role", 4}, {"a", 1}};
static const struct issuer_rule RULE = {.name = {"a", 1},
                                        .issuers = ISSUERS,
                                        .n_issuers = 1,
                                        .audiences = AUDIENCES,
                                        .n_audiences = 1,
                                        .algorithms = ALGORITHMS_ALL,
                                        .leeway_s = 30};
/* RFC 7515 A.3, RFC 8037 A.2; nobody here has the private halves. */
static const struct str KEYS = STR(
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"es\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
    "\"kid\":\"ed\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
static const struct str SECRET = STR("a secret of thirty-two bytes, yes");
static const struct now NOW = {.mono_ns = 1, .wall_ns = NOW_S * NS_PER_S};

static struct claim_paths paths;
static const struct token_rules RULES = {&RULE, 1, &paths};
static const struct project_keys PROJECT = {.publishable = {"sb_publishable_x", 16},
                                            .secret = {"sb_secret_x", 11}};
static struct keyring *ring;
static struct token_cache *cache;

static void set_up(void) {
    const struct keyset_options options = {.algorithms = ALGORITHMS_ALL, .hs256_secret = SECRET};
    const struct token_cache_limits limits = {16, 64 * 1024, 16, NS_PER_S};
    char why[160];
    for (size_t i = 0; i < 3; i++)
        must(claim_paths_add(&paths, PATHS[i]) == (int)i);
    ring = keyring_new(1);
    cache = token_cache_new(&limits);
    must(ring && cache && keyset_parse(&ring->issuers[0].keys, KEYS, &options, why) == 0);
    ring->issuers[0].state = KEYS_FRESH;
}

static void promises_hold(const struct token_result *result) {
    const struct claims *claims = result->claims;
    must(result->issuer == 0 && str_eq(claims_issuer(claims), ISSUERS[0]));
    must(keyring_holds(ring, 0, &result->print));
    must(claims_expires_s(claims) + 30 > NOW_S && claims_issued_s(claims) <= NOW_S + 30);
    must(claims_audience_count(claims) > 0);
    struct str subject = claims_subject(claims);
    for (size_t i = 0; i < subject.n; i++)
        must((unsigned char)subject.at[i] >= 0x20 && subject.at[i] != 0x7f);
    for (size_t path = 0; path < paths.n; path++)
        for (size_t i = 0; i < claims_value_count(claims, path); i++)
            must(claims_value(claims, path, i).n <= TOKEN_BYTES_MAX);
}

static void decide(struct str token, struct arena *arena) {
    const struct access_rules rules = {
        .tokens = &RULES, .project = &PROJECT, .allows_service = true};
    const struct credentials sent[] = {{.bearer = token},
                                       {.apikey = token, .apikey_in_query = true}};
    for (unsigned access = ACCESS_OPEN; access <= ACCESS_SERVICE; access++)
        for (size_t i = 0; i < 2; i++) {
            struct caller caller = access_decide((enum access)access, &sent[i], &rules, cache, ring,
                                                 NULL, &NOW, ACCESS_MAY_CHECK | access % 2, arena);
            must((caller.kind == CALLER_USER && !caller.problem) == (caller.claims != NULL));
            must(!caller.claims || (caller.token == TOKEN_VALID && caller.subject.n > 0));
            claims_unref(caller.claims);
        }
}

static enum token_verdict verify(struct str token) {
    struct arena arena;
    struct token_hint hint;
    bool hit;
    arena_init(&arena);
    struct token_result result = token_verify(token, &RULES, ring, &NOW, &arena);
    for (int i = 0; i < 2; i++) {
        struct token_result again =
            token_cache_verify(cache, token, &RULES, ring, &NOW, &arena, &hit);
        must(again.verdict == result.verdict && !again.claims == !result.claims);
        claims_unref(again.claims);
    }
    if (result.verdict == TOKEN_VALID)
        promises_hold(&result);
    must(!result.claims || token_peek(token, &hint, &arena));
    decide(token, &arena);
    claims_unref(result.claims);
    arena_fini(&arena);
    return result.verdict;
}

static void append_base64(struct buffer *out, struct str bytes) {
    char *room;
    must(buffer_reserve(out, BASE64URL_ENCODED_MAX(bytes.n), &room) == 0);
    buffer_commit(out, base64url_encode(bytes, room));
}

static void sign(struct buffer *token, struct str header, struct str payload) {
    unsigned char mac[32];
    unsigned n;
    append_base64(token, header);
    must(buffer_append_byte(token, '.') == 0);
    append_base64(token, payload);
    struct str input = buffer_bytes(token);
    must(HMAC(EVP_sha256(), SECRET.at, (int)SECRET.n, (const unsigned char *)input.at, input.n, mac,
              &n));
    must(buffer_append_byte(token, '.') == 0);
    append_base64(token, (struct str){(const char *)mac, n});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!ring)
        set_up();
    struct str input = {block_of((struct str){(const char *)data, size}), size};
    must(verify(input) != TOKEN_VALID);

    struct buffer token = {0};
    size_t line = str_index(input, '\n');
    struct str payload = line < size ? str_skip(input, line + 1) : STR("");
    sign(&token, str_first(input, line), payload);
    enum token_verdict verdict = verify(buffer_bytes(&token));
    char *changed = token.at + token.tail - 5;
    *changed = *changed == 'A' ? 'B' : 'A';
    must(verify(buffer_bytes(&token)) != TOKEN_VALID || verdict != TOKEN_VALID);
    buffer_release(&token);
    free((char *)input.at);
    return 0;
}
