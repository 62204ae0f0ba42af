/* SPDX-License-Identifier: MIT */
/* The gateway's own verification, one line of JSON a token. */
#include "arguments.h"
#include "auth/token.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "io/key_source.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 8
#define LEEWAY_S   30 /* PostgREST's */

struct request {
    const char *keys; /* FILE or URL; NULL: the project's */
    const char *token;
    struct str issuers[VALUES_MAX], audiences[VALUES_MAX];
    size_t n_issuers, n_audiences;
    unsigned algorithms;
    bool signature_only;
};

/* ---- arguments ---- */

static const char *read_keys_at(void *request, const char *value) {
    ((struct request *)request)->keys = value;
    return NULL;
}

static const char *add(struct str *list, size_t *n, const char *value) {
    if (*n == VALUES_MAX)
        return "expected at most 8 of them";
    list[(*n)++] = str_of(value);
    return NULL;
}

static const char *read_issuer(void *request, const char *value) {
    struct request *r = request;
    return add(r->issuers, &r->n_issuers, value);
}

static const char *read_audience(void *request, const char *value) {
    struct request *r = request;
    return add(r->audiences, &r->n_audiences, value);
}

static const char *read_algorithms(void *request, const char *list) {
    struct str rest = str_of(list), name;
    unsigned *algorithms = &((struct request *)request)->algorithms;
    *algorithms = 0;
    while (str_split(&rest, ',', &name)) {
        enum algorithm algorithm = algorithm_of(name);
        if (algorithm == ALGORITHM_COUNT)
            return "expected algorithms with commas between them, like ES256,RS256";
        *algorithms |= ALGORITHM_BIT(algorithm);
    }
    return NULL;
}

static const char *read_signature_only(void *request, const char *value) {
    (void)value;
    ((struct request *)request)->signature_only = true;
    return NULL;
}

static const char *read_token(void *request, const char *value) {
    ((struct request *)request)->token = value;
    return NULL;
}

/* clang-format off */
static const struct argument arguments[] = {
    {"TOKEN",            NULL,       .read = read_token, .needed = "a token, or '-' for one a line on standard input"},
    {"--jwks",           "FILE|URL", .read = read_keys_at},
    {"--issuer",         "I",        .read = read_issuer, .repeats = true},
    {"--audience",       "A",        .read = read_audience, .repeats = true},
    {"--alg",            "A,...",    .read = read_algorithms},
    {"--signature-only", NULL,       .read = read_signature_only},
};
/* clang-format on */

/* ---- keys ---- */

struct fetch {
    struct loop *loop;
    struct keyring *ring;
    struct key_source *source;
};

static void on_keyring(void *arg, struct keyring *ring) {
    struct fetch *fetch = arg;
    struct key_status status;
    key_source_status(fetch->source, 0, &status);
    if (status.n_fetches == 0)
        return;
    fetch->ring = keyring_ref(ring);
    loop_stop(fetch->loop);
}

static struct keyring *fetch_keys(const char *url) {
    struct key_origin origin = {
        .name = STR("verify"), .jwks_url = str_of(url), .algorithms = ALGORITHMS_ALL};
    struct key_times times = {600, 86400, 30, 5000};
    struct fetch fetch = {.loop = loop_new(), .source = key_source_new(&origin, 1, &times)};
    struct key_status status = {0};
    if (fetch.loop && fetch.source &&
        key_source_subscribe(fetch.source, fetch.loop, on_keyring, &fetch) == 0 &&
        key_source_start(fetch.source) == 0) {
        loop_run(fetch.loop);
        key_source_status(fetch.source, 0, &status);
        key_source_stop(fetch.source);
    }
    if (status.error[0])
        fprintf(stderr, "jotgate verify: %s: %s\n", url, status.error);
    key_source_free(fetch.source);
    loop_free(fetch.loop);
    if (!status.error[0] && fetch.ring && fetch.ring->issuers[0].keys)
        return fetch.ring;
    keyring_unref(fetch.ring);
    return NULL;
}

static void on_skipped(void *arg, struct str kid, const char *reason) {
    (void)arg;
    fprintf(stderr, "jotgate verify: key '" STR_FMT "' is not used: %s\n", STR_ARG(kid), reason);
}

static struct keyring *read_keys(const char *path) {
    struct buffer text = {0};
    struct keyset *set = NULL;
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL,
                                     .allows_symmetric = true,
                                     .is_lasting = true,
                                     .on_skipped = on_skipped};
    char why[160] = "";
    int failure = cli_read(path, &text);
    if (failure == 0)
        failure = keyset_parse(&set, buffer_bytes(&text), &options, why);
    else
        snprintf(why, sizeof(why), "%s", strerror(-failure));
    buffer_release(&text);
    struct keyring *ring = failure == 0 ? keyring_new(1) : NULL;
    if (!ring) {
        keyset_unref(set);
        fprintf(stderr, "jotgate verify: %s: %s\n", path, why);
        return NULL;
    }
    ring->issuers[0] = (struct issuer_keys){.keys = set, .state = KEYS_FRESH};
    return ring;
}

static bool is_url(const char *keys) {
    return str_starts(str_of(keys), STR("http://")) || str_starts(str_of(keys), STR("https://"));
}

/* The project's: where its keys are, and whose tokens count. */
static struct keyring *project_keys(struct request *r, struct settings **settings, char url[1024]) {
    *settings = cli_settings(NULL);
    if (!*settings)
        return NULL;
    snprintf(url, 1024, STR_FMT, STR_ARG((*settings)->sources[0].jwks_url));
    r->keys = url;
    return fetch_keys(url);
}

/* ---- answers ---- */

static int put_refusal(struct buffer *out, enum token_verdict verdict) {
    const char *code = verdict == TOKEN_EXPIRED ? "token_expired" : "bad_jwt";
    TRY(buffer_printf(out, "{\"ok\":false,\"code\":\"%s\",\"reason\":", code));
    TRY(put_json_string(out, str_of(token_verdict_text(verdict))));
    return buffer_append_byte(out, '}');
}

/* The payload as JSON when it is, else as a string. */
static int put_payload(struct buffer *out, struct str payload) {
    struct doc *doc = doc_parse(payload, NULL);
    int failure = doc ? put_json_node(out, doc_root(doc)) : put_json_string(out, payload);
    doc_free(doc);
    return failure;
}

static int put_good(struct buffer *out, struct str header, struct str payload) {
    TRY(buffer_append(out, STR("{\"ok\":true,\"header\":")));
    TRY(put_payload(out, header));
    TRY(buffer_append(out, STR(",\"claims\":")));
    TRY(put_payload(out, payload));
    return buffer_append_byte(out, '}');
}

/* Nobody asked for an issuer: whoever the token names, or fails to name, is right. */
static bool issuer_is_right(const struct request *r, const struct claims *claims) {
    for (size_t i = 0; i < r->n_issuers; i++)
        if (str_eq(claims_issuer(claims), r->issuers[i]))
            return true;
    return r->n_issuers == 0;
}

static enum token_verdict check_claims(const struct request *r, struct str payload) {
    struct claim_paths paths = {0};
    struct claims *claims = NULL;
    const char *why;
    struct now now = clock_now();
    struct issuer_rule rule = {
        .audiences = r->audiences, .n_audiences = r->n_audiences, .leeway_s = LEEWAY_S};
    struct doc *doc = doc_parse(payload, NULL);
    if (!doc || node_kind(doc_root(doc)) != NODE_OBJECT) {
        doc_free(doc);
        return TOKEN_BAD_PAYLOAD;
    }
    enum token_verdict verdict = TOKEN_BAD_CLAIM;
    if (claims_new(&claims, doc_root(doc), &paths, &why) == 0)
        verdict = issuer_is_right(r, claims) ? token_check_claims(claims, &rule, &now)
                                             : TOKEN_UNKNOWN_ISSUER;
    claims_unref(claims);
    doc_free(doc);
    return verdict;
}

static bool answer(const struct request *r, struct str token, const struct keyring *ring,
                   struct arena *arena) {
    struct str header, payload;
    struct buffer line = {0};
    enum token_verdict verdict = token_verify_signature(token, ring->issuers[0].keys, r->algorithms,
                                                        &header, &payload, arena);
    if (verdict == TOKEN_VALID && !r->signature_only)
        verdict = check_claims(r, payload);
    int failure =
        verdict == TOKEN_VALID ? put_good(&line, header, payload) : put_refusal(&line, verdict);
    if (failure == 0)
        printf(STR_FMT "\n", STR_ARG(buffer_bytes(&line)));
    buffer_release(&line);
    arena_reset(arena);
    return verdict == TOKEN_VALID;
}

static int answer_lines(const struct request *r, const struct keyring *ring, struct arena *arena) {
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int code = EXIT_OK;
    while ((n = getline(&line, &size, stdin)) >= 0) {
        struct str token = {line, (size_t)n};
        if (token.n > 0 && token.at[token.n - 1] == '\n')
            token.n--;
        if (!answer(r, token, ring, arena))
            code = EXIT_REFUSED;
    }
    free(line);
    return code;
}

int command_verify(int argc, char **argv) {
    struct request r = {.algorithms = ALGORITHMS_ALL};
    int code = ARGUMENTS_READ("verify", arguments, argc, argv, &r);
    if (code == EXIT_OK && r.signature_only && r.n_issuers + r.n_audiences > 0)
        code = cli_usage("verify", "--signature-only looks at no claims; leave out --issuer and "
                                   "--audience");
    if (code != EXIT_OK)
        return code;

    struct settings *settings = NULL;
    char url[1024];
    struct keyring *ring = !r.keys          ? project_keys(&r, &settings, url)
                           : is_url(r.keys) ? fetch_keys(r.keys)
                                            : read_keys(r.keys);
    struct arena arena;
    arena_init(&arena);
    code = EXIT_USAGE;
    if (ring && strcmp(r.token, "-") == 0)
        code = answer_lines(&r, ring, &arena);
    else if (ring)
        code = answer(&r, str_of(r.token), ring, &arena) ? EXIT_OK : EXIT_REFUSED;
    arena_fini(&arena);
    keyring_unref(ring);
    settings_unref(settings);
    return code;
}
