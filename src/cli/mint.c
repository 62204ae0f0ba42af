/* SPDX-License-Identifier: MIT */
/* Tokens for tests and load generators, shaped like Supabase's. */
#include "arguments.h"
#include "auth/signer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "cli/cli.h"
#include "settings/units.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define CLAIMS_MAX 32

struct order {
    enum algorithm algorithm;
    const char *key_file, *secret_env, *new_key_file;
    struct str subject, role, kid;
    int64_t ttl_s;
    uint64_t count;
    struct str claims[CLAIMS_MAX];
    size_t n_claims;
    bool signs; /* something was said about tokens */
};

/* ---- arguments ---- */

static bool is_given(const struct order *order, struct str name) {
    for (size_t i = 0; i < order->n_claims; i++)
        if (str_eq(str_first(order->claims[i], str_index(order->claims[i], '=')), name))
            return true;
    return false;
}

static const char *read_algorithm(void *order, const char *value) {
    enum algorithm algorithm = ((struct order *)order)->algorithm = algorithm_of(str_of(value));
    return algorithm == ALGORITHM_COUNT ? "expected an algorithm like ES256, RS256, EdDSA or HS256"
                                        : NULL;
}

static const char *read_new_key(void *order, const char *value) {
    ((struct order *)order)->new_key_file = value;
    return NULL;
}

/* Of all that is about a token: a new key has none. */
static struct order *signing(void *order) {
    ((struct order *)order)->signs = true;
    return order;
}

static const char *read_key_file(void *order, const char *value) {
    signing(order)->key_file = value;
    return NULL;
}

static const char *read_secret_env(void *order, const char *value) {
    signing(order)->secret_env = value;
    return NULL;
}

static const char *read_sub(void *order, const char *value) {
    signing(order)->subject = str_of(value);
    return NULL;
}

static const char *read_role(void *order, const char *value) {
    signing(order)->role = str_of(value);
    return NULL;
}

static const char *read_kid(void *order, const char *value) {
    signing(order)->kid = str_of(value);
    return NULL;
}

static const char *read_ttl(void *order, const char *text) {
    const char *why;
    bool is_negative = text[0] == '-';
    int64_t ns;
    if (!unit_duration(str_of(text + is_negative), &ns, &why))
        return "expected a duration like 90s, 30m or 24h, or -1h for a token that has expired";
    signing(order)->ttl_s = (is_negative ? -ns : ns) / NS_PER_S;
    return NULL;
}

static const char *read_count(void *order, const char *value) {
    uint64_t *count = &signing(order)->count;
    return str_to_u64(str_of(value), count) && *count > 0 ? NULL
                                                          : "expected a whole number from 1 on";
}

static const char *read_claim(void *arg, const char *value) {
    struct order *order = signing(arg);
    struct str claim = str_of(value);
    size_t equals = str_index(claim, '=');
    if (equals == 0 || equals == claim.n)
        return "expected NAME=VALUE";
    if (is_given(order, str_first(claim, equals)))
        return "this claim is there twice; give it once";
    if (order->n_claims == CLAIMS_MAX)
        return "expected at most 32 claims";
    order->claims[order->n_claims++] = claim;
    return NULL;
}

/* clang-format off */
static const struct argument arguments[] = {
    {"--alg",        "A",    .read = read_algorithm, .needed = "how is to be signed, like ES256"},
    {"--key",        "FILE", .read = read_key_file},
    {"--secret-env", "NAME", .read = read_secret_env},
    {"--new-key",    "FILE", .read = read_new_key},
    {"--sub",        "S",    .read = read_sub},
    {"--role",       "R",    .read = read_role},
    {"--kid",        "K",    .read = read_kid},
    {"--ttl",        "D",    .read = read_ttl},
    {"--claim",      "K=V",  .read = read_claim, .repeats = true},
    {"--count",      "N",    .read = read_count},
};
/* clang-format on */

static int check(const struct order *order) {
    if (order->new_key_file && order->signs)
        return cli_usage("mint",
                         "--new-key makes a key and signs nothing; give only --alg with it");
    if (!order->new_key_file && !order->key_file == !order->secret_env)
        return cli_usage("mint", "one of --key and --secret-env is needed");
    return EXIT_OK;
}

/* ---- tokens ---- */

static int put_name(struct buffer *out, struct str name) {
    if (buffer_length(out) > 1)
        TRY(buffer_append_byte(out, ','));
    TRY(put_json_string(out, name));
    return buffer_append_byte(out, ':');
}

static int put_default(struct buffer *out, const struct order *order, const char *name,
                       struct str value) {
    if (value.n == 0 || is_given(order, str_of(name)))
        return 0;
    TRY(put_name(out, str_of(name)));
    return put_json_string(out, value);
}

static int put_time(struct buffer *out, const struct order *order, const char *name,
                    int64_t value) {
    if (is_given(order, str_of(name)))
        return 0;
    TRY(put_name(out, str_of(name)));
    return buffer_printf(out, "%lld", (long long)value);
}

/* V is JSON when it reads as JSON, else a string. */
static int put_claim(struct buffer *out, struct str claim) {
    size_t equals = str_index(claim, '=');
    struct str value = str_skip(claim, equals + 1);
    struct doc *doc = doc_parse(value, NULL);
    int failure = put_name(out, str_first(claim, equals));
    if (failure == 0)
        failure = doc ? put_json_node(out, doc_root(doc)) : put_json_string(out, value);
    doc_free(doc);
    return failure;
}

static struct str random_uuid(char out[37]) {
    unsigned char b[16];
    random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
    return str_of(out);
}

/* The issuer that a gateway with this environment trusts. */
static struct str default_issuer(char out[512]) {
    const char *issuer = getenv("SUPABASE_JWT_ISSUER"), *url = getenv("SUPABASE_URL");
    if (issuer && issuer[0])
        return str_of(issuer);
    if (!url || !url[0])
        return STR_NONE;
    struct str base = str_of(url);
    if (str_ends(base, STR("/")))
        base.n--;
    snprintf(out, 512, STR_FMT "/auth/v1", STR_ARG(base));
    return str_of(out);
}

static int put_claims(struct buffer *out, const struct order *order) {
    char uuid[37], session[37], issuer[512];
    struct now now = clock_now();
    TRY(buffer_append_byte(out, '{'));
    TRY(put_default(out, order, "iss", default_issuer(issuer)));
    TRY(put_default(out, order, "sub", order->subject.at ? order->subject : random_uuid(uuid)));
    TRY(put_default(out, order, "aud", STR("authenticated")));
    TRY(put_default(out, order, "role", order->role.at ? order->role : STR("authenticated")));
    TRY(put_default(out, order, "session_id", random_uuid(session)));
    TRY(put_time(out, order, "iat", now_s(&now)));
    TRY(put_time(out, order, "exp", now_s(&now) + order->ttl_s));
    for (size_t i = 0; i < order->n_claims; i++)
        TRY(put_claim(out, order->claims[i]));
    return buffer_append_byte(out, '}');
}

static int sign_one(struct signer *signer, const struct order *order) {
    struct buffer claims = {0}, token = {0};
    int failure = put_claims(&claims, order);
    if (failure == 0)
        failure = signer_sign(signer, buffer_bytes(&claims), &token);
    if (failure == 0)
        printf(STR_FMT "\n", STR_ARG(buffer_bytes(&token)));
    buffer_release(&claims);
    buffer_release(&token);
    return failure;
}

static int read_key(const struct order *order, struct buffer *key) {
    if (order->key_file)
        return cli_read(order->key_file, key);
    const char *secret = getenv(order->secret_env);
    return secret ? buffer_append(key, str_of(secret)) : -1;
}

static int sign_all(const struct order *order) {
    struct buffer key = {0};
    struct signer *signer = NULL;
    char why[160] = "";
    const char *source = order->key_file ? order->key_file : order->secret_env;
    if (read_key(order, &key) < 0) {
        fprintf(stderr, "jotgate mint: cannot read the key from %s\n", source);
        return EXIT_USAGE;
    }
    int failure = signer_new(&signer, order->algorithm, buffer_bytes(&key), order->kid, why);
    bytes_wipe(key.at, key.size);
    buffer_release(&key);
    if (failure < 0) {
        fprintf(stderr, "jotgate mint: %s: %s\n", source, why);
        return EXIT_USAGE;
    }
    for (uint64_t i = 0; failure == 0 && i < order->count; i++)
        failure = sign_one(signer, order);
    signer_free(signer);
    if (failure < 0)
        fprintf(stderr, "jotgate mint: signing failed\n");
    return failure < 0 ? EXIT_REFUSED : EXIT_OK;
}

static int write_private(const char *path, struct str pem) {
    CLEANUP(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    return write(fd, pem.at, pem.n) == (ssize_t)pem.n ? 0 : -1;
}

static int make_key(const struct order *order) {
    struct buffer pem = {0}, jwk = {0};
    int code = EXIT_OK;
    if (signer_new_key(order->algorithm, &pem, &jwk) < 0) {
        fprintf(stderr, "jotgate mint: no key pair can be made for %s\n",
                algorithm_name(order->algorithm));
        code = EXIT_USAGE;
    } else if (write_private(order->new_key_file, buffer_bytes(&pem)) < 0) {
        fprintf(stderr, "jotgate mint: cannot write %s (it must not exist yet)\n",
                order->new_key_file);
        code = EXIT_USAGE;
    } else {
        printf(STR_FMT "\n", STR_ARG(buffer_bytes(&jwk)));
    }
    bytes_wipe(pem.at, pem.size);
    buffer_release(&pem);
    buffer_release(&jwk);
    return code;
}

int command_mint(int argc, char **argv) {
    struct order order = {.algorithm = ALGORITHM_COUNT, .ttl_s = 3600, .count = 1};
    int code = ARGUMENTS_READ("mint", arguments, argc, argv, &order);
    if (code == EXIT_OK)
        code = check(&order);
    if (code != EXIT_OK)
        return code;
    return order.new_key_file ? make_key(&order) : sign_all(&order);
}
