/* SPDX-License-Identifier: MIT */
/* The door to libjwt, which signs what it can (HMAC, RSA, ECDSA); for PS* and EdDSA the token is put together here. libjwt takes
 * an empty key for "do not sign", so that keys are checked before it sees them. */
#include "auth/signer.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "private_key.h"
#include "signature.h"
#include "thumbprint.h"
#include <assert.h>
#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

struct signer {
    enum algorithm algorithm;
    char *kid;                /* empty: none */
    struct buffer key;        /* what libjwt wants: PEM, or the secret */
    struct private_key *pair; /* NULL for HMAC */
};

/* JWT_ALG_NONE: not libjwt's. */
static jwt_alg_t libjwt_algorithm(enum algorithm algorithm) {
    static const jwt_alg_t ALGORITHMS_OF_LIBJWT[ALGORITHM_COUNT] = {
        [ALGORITHM_HS256] = JWT_ALG_HS256, [ALGORITHM_HS384] = JWT_ALG_HS384,
        [ALGORITHM_HS512] = JWT_ALG_HS512, [ALGORITHM_RS256] = JWT_ALG_RS256,
        [ALGORITHM_RS384] = JWT_ALG_RS384, [ALGORITHM_RS512] = JWT_ALG_RS512,
        [ALGORITHM_ES256] = JWT_ALG_ES256, [ALGORITHM_ES384] = JWT_ALG_ES384,
        [ALGORITHM_ES512] = JWT_ALG_ES512,
    };
    assert(algorithm < ALGORITHM_COUNT);
    return ALGORITHMS_OF_LIBJWT[algorithm];
}

static void drop_doc(struct doc **doc) { doc_free(*doc); }
static void drop_arena(struct arena *arena) { arena_fini(arena); }
static void drop_token(jwt_t **token) { jwt_free(*token); }

static void wipe_and_release(struct buffer *b) {
    if (b->at)
        bytes_wipe(b->at, b->size);
    buffer_release(b);
}

/* ---- the key ---- */

static int fail(int error, char why[160], const char *text) {
    snprintf(why, 160, "%s", text);
    return error;
}

static bool is_hmac(enum algorithm algorithm) { return ALGORITHM_BIT(algorithm) & ALGORITHMS_HMAC; }

/* Does this key's public half make a good key for the algorithm? */
static const char *check_pair(const struct private_key *pair, enum algorithm algorithm,
                              unsigned char print[THUMBPRINT_BYTES]) {
    CLEANUP(drop_arena) struct arena arena;
    struct key_material public_half;
    const char *why;
    arena_init(&arena);
    if (!private_key_material(pair, &public_half, &arena))
        return "a key of an unknown type or curve";
    if (!(material_algorithms(&public_half) & ALGORITHM_BIT(algorithm)))
        return "the key does not fit the algorithm";
    struct verifier *verifier = verifier_new(&public_half, ALGORITHM_BIT(algorithm), &why);
    if (!verifier)
        return why;
    verifier_free(verifier);
    return thumbprint_of(&public_half, print) < 0 ? "its thumbprint could not be made" : NULL;
}

static int set_kid(struct signer *s, struct str kid) {
    s->kid = str_dup(kid);
    return s->kid ? 0 : -ENOMEM;
}

static int use_secret(struct signer *s, struct str secret, char why[160]) {
    const struct key_material material = {.kind = MATERIAL_OCT, .k = secret};
    if (!(material_algorithms(&material) & ALGORITHM_BIT(s->algorithm)))
        return fail(-EINVAL, why, "the secret is shorter than the algorithm's hash");
    return buffer_append(&s->key, secret);
}

/* Takes `pair`. */
static int use_pair(struct signer *s, struct private_key *pair, const char *problem,
                    unsigned char print[THUMBPRINT_BYTES], char why[160]) {
    s->pair = pair;
    if (pair)
        problem = check_pair(pair, s->algorithm, print);
    if (problem)
        return fail(-EINVAL, why, problem);
    return private_key_put_pem(pair, &s->key);
}

/* A key that is not a JWK: PEM, or the secret's own bytes. */
static int use_plain(struct signer *s, struct str key, struct str kid, char why[160]) {
    unsigned char print[THUMBPRINT_BYTES];
    char text[THUMBPRINT_TEXT];
    const char *problem = NULL;
    if (is_hmac(s->algorithm)) {
        TRY(use_secret(s, key, why));
        return set_kid(s, kid);
    }
    struct private_key *pair = private_key_from_pem(key, &problem);
    TRY(use_pair(s, pair, problem, print, why));
    return set_kid(s, kid.at ? kid : (struct str){text, thumbprint_text(print, text)});
}

static int use_jwk(struct signer *s, const struct key_material *m, struct str kid, char why[160]) {
    unsigned char print[THUMBPRINT_BYTES];
    char text[THUMBPRINT_TEXT];
    const char *problem = NULL;
    struct str own = kid.at ? kid : m->kid;
    if (m->kind == MATERIAL_OCT && is_hmac(s->algorithm)) {
        TRY(use_secret(s, m->k, why));
        return set_kid(s, own);
    }
    struct private_key *pair = private_key_from_material(m, &problem);
    TRY(use_pair(s, pair, problem, print, why));
    return set_kid(s, own.at ? own : (struct str){text, thumbprint_text(print, text)});
}

/* A secret may begin with a brace too: for HMAC only an `oct` JWK is one. */
static int use_key(struct signer *s, struct str key, struct str kid, char why[160]) {
    CLEANUP(drop_arena) struct arena arena;
    CLEANUP(drop_doc) struct doc *doc = NULL;
    struct key_material material = {.kind = MATERIAL_OCT};
    arena_init(&arena);
    if (key.n > 0 && key.at[0] == '{')
        doc = doc_parse(key, NULL);
    const char *problem = doc ? material_read(&material, doc_root(doc), &arena) : NULL;
    bool is_secret = is_hmac(s->algorithm) && (problem || material.kind != MATERIAL_OCT);
    int failed;
    if (!doc || is_secret)
        failed = use_plain(s, key, kid, why);
    else if (problem)
        failed = fail(-EINVAL, why, problem);
    else
        failed = use_jwk(s, &material, kid, why);
    material_wipe(&material);
    return failed;
}

int signer_new(struct signer **out, enum algorithm algorithm, struct str key, struct str kid,
               char why[160]) {
    assert(algorithm < ALGORITHM_COUNT);
    struct signer *s = calloc(1, sizeof(*s));
    snprintf(why, 160, "memory is out");
    if (!s)
        return -ENOMEM;
    s->algorithm = algorithm;
    int failed = use_key(s, key, kid, why);
    if (failed) {
        signer_free(s);
        return failed;
    }
    why[0] = '\0';
    *out = s;
    return 0;
}

static enum algorithm algorithm_of_jwk(struct str key) {
    CLEANUP(drop_arena) struct arena arena;
    CLEANUP(drop_doc) struct doc *doc = doc_parse(key, NULL);
    struct key_material material = {.kind = MATERIAL_OKP};
    arena_init(&arena);
    const char *problem = doc ? material_read(&material, doc_root(doc), &arena) : "no JSON";
    material_wipe(&material);
    if (problem)
        return ALGORITHM_COUNT;
    switch (material.kind) {
    case MATERIAL_EC:
        return ALGORITHM_ES256;
    case MATERIAL_RSA:
        return ALGORITHM_RS256;
    case MATERIAL_OCT:
        return ALGORITHM_HS256;
    case MATERIAL_OKP:
        break;
    }
    return ALGORITHM_COUNT;
}

/* What looks like a key and is none must not become a secret that anybody may have read elsewhere. */
int signer_new_for(struct signer **out, struct str key, char why[160]) {
    static const char wanted[] = "expected a private JWK or PEM of an EC P-256 or RSA key, or an "
                                 "HS256 secret of 32 bytes or more";
    enum algorithm algorithm = ALGORITHM_HS256;
    bool is_pem = str_starts(key, STR("-----BEGIN"));
    if (is_pem)
        algorithm = ALGORITHM_ES256;
    else if (key.n > 0 && (key.at[0] == '{' || key.at[0] == '['))
        algorithm = algorithm_of_jwk(key);
    if (algorithm == ALGORITHM_COUNT)
        return fail(-EINVAL, why, wanted);
    int failed = signer_new(out, algorithm, key, STR_NONE, why);
    if (failed == -EINVAL && is_pem)
        failed = signer_new(out, ALGORITHM_RS256, key, STR_NONE, why);
    return failed == -EINVAL ? fail(failed, why, wanted) : failed;
}

void signer_free(struct signer *s) {
    if (!s)
        return;
    wipe_and_release(&s->key);
    private_key_free(s->pair);
    free(s->kid);
    free(s);
}

/* ---- signing ---- */

static int sign_with_libjwt(struct signer *s, const char *claims, struct buffer *token) {
    CLEANUP(drop_token) jwt_t *made = NULL;
    struct str key = buffer_bytes(&s->key);
    assert(key.n > 0);
    if (jwt_new(&made) != 0)
        return -ENOMEM;
    if ((s->kid[0] && jwt_add_header(made, "kid", s->kid) != 0) ||
        jwt_add_grants_json(made, claims) != 0 ||
        jwt_set_alg(made, libjwt_algorithm(s->algorithm), (const unsigned char *)key.at,
                    (int)key.n) != 0)
        return -EINVAL;
    char *text = jwt_encode_str(made);
    if (!text)
        return -EIO;
    int failed = buffer_append(token, str_of(text));
    free(text); /* libjwt allocates with malloc unless told otherwise */
    return failed;
}

static int append_base64(struct buffer *out, struct str bytes) {
    char *room;
    TRY(buffer_reserve(out, BASE64URL_ENCODED_MAX(bytes.n), &room));
    buffer_commit(out, base64url_encode(bytes, room));
    return 0;
}

static int put_header(struct buffer *out, const struct signer *s) {
    TRY(buffer_printf(out, "{\"alg\":\"%s\",\"typ\":\"JWT\"", algorithm_name(s->algorithm)));
    if (s->kid[0]) {
        TRY(buffer_append(out, STR(",\"kid\":")));
        TRY(put_json_string(out, str_of(s->kid)));
    }
    return buffer_append(out, STR("}"));
}

static int sign_here(struct signer *s, const char *claims, struct buffer *token) {
    struct buffer header = {0}, input = {0}, signature = {0};
    int failed = put_header(&header, s);
    if (!failed)
        failed = append_base64(&input, buffer_bytes(&header));
    if (!failed)
        failed = buffer_append_byte(&input, '.');
    if (!failed)
        failed = append_base64(&input, str_of(claims));
    if (!failed)
        failed = private_key_sign(s->pair, s->algorithm, buffer_bytes(&input), &signature);
    if (!failed)
        failed = buffer_append_byte(&input, '.');
    if (!failed)
        failed = append_base64(&input, buffer_bytes(&signature));
    if (!failed)
        failed = buffer_append(token, buffer_bytes(&input));
    buffer_release(&header);
    buffer_release(&input);
    buffer_release(&signature);
    return failed;
}

int signer_sign(struct signer *s, struct str claims_json, struct buffer *token) {
    CLEANUP(drop_doc) struct doc *doc = doc_parse(claims_json, NULL);
    if (!doc || node_kind(doc_root(doc)) != NODE_OBJECT)
        return -EINVAL;
    CLEANUP(cleanup_free) char *claims = str_dup(claims_json);
    if (!claims)
        return -ENOMEM;
    if (libjwt_algorithm(s->algorithm) == JWT_ALG_NONE)
        return sign_here(s, claims, token);
    return sign_with_libjwt(s, claims, token);
}

/* ---- new keys ---- */

static int put_public_jwk(struct buffer *out, const struct key_material *m,
                          enum algorithm algorithm) {
    unsigned char print[THUMBPRINT_BYTES];
    char kid[THUMBPRINT_TEXT];
    TRY(thumbprint_of(m, print));
    TRY(thumbprint_put_open(out, m));
    return buffer_printf(
        out, ",\"kid\":\"%.*s\",\"alg\":\"%s\",\"use\":\"sig\",\"key_ops\":[\"verify\"]}",
        (int)thumbprint_text(print, kid), kid, algorithm_name(algorithm));
}

int signer_new_key(enum algorithm algorithm, struct buffer *private_pem,
                   struct buffer *public_jwk) {
    CLEANUP(drop_arena) struct arena arena;
    struct key_material public_half;
    arena_init(&arena);
    if (is_hmac(algorithm))
        return -EINVAL;
    CLEANUP(private_key_freep) struct private_key *pair = private_key_new(algorithm);
    if (!pair || !private_key_material(pair, &public_half, &arena))
        return -EIO;
    TRY(private_key_put_pem(pair, private_pem));
    return put_public_jwk(public_jwk, &public_half, algorithm);
}
