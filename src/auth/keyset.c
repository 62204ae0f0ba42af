/* SPDX-License-Identifier: MIT */
/* A JWKS becomes keys that can do exactly what they may: what a token asks for is only looked up here, never obeyed. */
#include "auth/keyset.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "material.h"
#include "signature.h"
#include "thumbprint.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS_HASTENED_MAX 8 /* of a set: a stranger's hundred keys must not cost seconds */

struct key {
    struct str kid; /* on the heap */
    unsigned algorithms;
    bool is_configured; /* the settings' secret: whatever the kid */
    char type[24];
    struct key_print print;
    struct verifier *verifier;
};

struct keyset {
    _Atomic unsigned references;
    struct str document;
    uint8_t by_kid[KEYSET_KEYS_MAX]; /* those published, sorted */
    size_t n;
    struct key keys[]; /* room for what the document lists, and the secret */
};

static void drop_doc(struct doc **doc) { doc_free(*doc); }

static void key_fini(struct key *key) {
    verifier_free(key->verifier);
    free((char *)key->kid.at);
}

/* ---- one key ---- */

static bool lists_verify(const struct node *operations) {
    for (size_t i = 0; i < node_count(operations); i++)
        if (str_eq(node_string(node_at(operations, i)), STR("verify")))
            return node_kind(operations) == NODE_ARRAY;
    return false;
}

/* RFC 7517 4.2, 4.3: what a key may be used for, where it says so. */
static const char *check_use(const struct node *node) {
    const struct node *use = node_member(node, "use");
    const struct node *operations = node_member(node, "key_ops");
    if (use && !str_eq(node_string(use), STR("sig")))
        return "its use is not sig";
    if (operations && !lists_verify(operations))
        return "its key_ops do not list verify";
    return NULL;
}

/* The algorithms that the key's type allows, that its own alg allows, and that are wanted. */
static const char *pin(unsigned *algorithms, const struct key_material *m, unsigned wanted) {
    *algorithms = material_algorithms(m);
    if (!*algorithms)
        return "a secret that is too short";
    if (m->alg.at) {
        enum algorithm named = algorithm_of(m->alg);
        if (named == ALGORITHM_COUNT || !(*algorithms & ALGORITHM_BIT(named)))
            return "its alg is unknown or does not fit its type";
        *algorithms = ALGORITHM_BIT(named);
    }
    *algorithms &= wanted;
    return *algorithms ? NULL : "its algorithm is not enabled";
}

static void describe(struct key *key, const struct key_material *m) {
    switch (m->kind) {
    case MATERIAL_RSA:
        snprintf(key->type, sizeof(key->type), "RSA %d", verifier_rsa_bits(key->verifier));
        break;
    case MATERIAL_EC:
        snprintf(key->type, sizeof(key->type), "EC %s", curve_name(m->curve));
        break;
    case MATERIAL_OKP:
        snprintf(key->type, sizeof(key->type), "OKP %s", curve_name(m->curve));
        break;
    case MATERIAL_OCT:
        snprintf(key->type, sizeof(key->type), "oct");
        break;
    }
}

/* key->algorithms is set. NULL when made. */
static const char *key_init(struct key *key, const struct key_material *m) {
    const char *why;
    if (m->kid.n > 0) {
        key->kid = (struct str){str_dup(m->kid), m->kid.n};
        if (!key->kid.at)
            return "memory is out";
    }
    key->verifier = verifier_new(m, key->algorithms, &why);
    if (!key->verifier)
        return why;
    if (thumbprint_of(m, key->print.bytes) < 0)
        return "its thumbprint could not be made";
    describe(key, m);
    return NULL;
}

static bool key_same(const struct key *a, const struct key *b) {
    return a->algorithms == b->algorithms && str_eq(a->kid, b->kid) &&
           memcmp(&a->print, &b->print, sizeof(a->print)) == 0;
}

static bool keyset_has(const struct keyset *set, const struct key *wanted) {
    for (size_t i = 0; i < set->n; i++)
        if (key_same(&set->keys[i], wanted))
            return true;
    return false;
}

/* NULL when the key was taken into the set. */
static const char *add_key(struct keyset *set, const struct key_material *m, bool is_lasting) {
    struct key *key = &set->keys[set->n];
    const char *why = key_init(key, m);
    if (!why && keyset_has(set, key))
        why = "it is there twice";
    if (!why) {
        if (is_lasting && set->n < KEYS_HASTENED_MAX)
            verifier_hasten(key->verifier, m);
        set->n++;
        return NULL;
    }
    key_fini(key);
    memset(key, 0, sizeof(*key));
    return why;
}

static const char *add_published(struct keyset *set, const struct node *node,
                                 const struct keyset_options *options, struct key_material *m,
                                 struct arena *arena) {
    const char *why = material_read(m, node, arena);
    if (why)
        return why;
    if (m->kind == MATERIAL_OCT && !options->allows_symmetric)
        return "a symmetric key in a published set";
    if (m->d.n > 0 && !options->allows_symmetric)
        return "a private key in a published set";
    why = check_use(node);
    if (!why)
        why = pin(&set->keys[set->n].algorithms, m, options->algorithms);
    return why ? why : add_key(set, m, options->is_lasting);
}

static void add_or_report(struct keyset *set, const struct node *node,
                          const struct keyset_options *options) {
    struct key_material material;
    struct arena arena;
    arena_init(&arena);
    const char *why = add_published(set, node, options, &material, &arena);
    if (why && options->on_skipped)
        options->on_skipped(options->arg, material.kid, why);
    material_wipe(&material);
    arena_fini(&arena);
}

/* ---- the set ---- */

static int fail(int error, char why[160], const char *text) {
    snprintf(why, 160, "%s", text);
    return error;
}

/* The list of keys; `*single` when the document is one key itself. */
static int find_list(const struct node *root, const struct node **list, bool *single,
                     char why[160]) {
    *list = node_member(root, "keys");
    *single = !*list && node_member(root, "kty");
    if (*single)
        return 0;
    if (node_kind(*list) != NODE_ARRAY)
        return fail(-EINVAL, why, "not a JWK Set: no array of keys");
    if (node_count(*list) > KEYSET_KEYS_MAX)
        return fail(-E2BIG, why, "the JWK Set has more than 100 keys");
    return 0;
}

static struct keyset *keyset_new(size_t room) {
    struct keyset *set = calloc(1, sizeof(*set) + room * sizeof(struct key));
    if (set)
        set->references = 1;
    return set;
}

static int add_document(struct keyset **set, struct str document,
                        const struct keyset_options *options, char why[160]) {
    char problem[160];
    if (document.n > KEYSET_BYTES_MAX)
        return fail(-E2BIG, why, "the JWK Set is larger than 1 MiB");
    CLEANUP(drop_doc) struct doc *doc = doc_parse(document, problem);
    if (!doc) {
        snprintf(why, 160, "not a JWK Set: %.120s", problem);
        return -EINVAL;
    }
    const struct node *root = doc_root(doc), *list;
    bool single;
    TRY(find_list(root, &list, &single, why));
    *set = keyset_new((single ? 1 : node_count(list)) + 1);
    if (!*set)
        return fail(-ENOMEM, why, "memory is out");
    if (single)
        add_or_report(*set, root, options);
    for (size_t i = 0; i < node_count(list); i++)
        add_or_report(*set, node_at(list, i), options);
    return 0;
}

static int add_secret(struct keyset *set, struct str secret, char why[160]) {
    assert(secret.n >= 32);
    const struct key_material material = {.kind = MATERIAL_OCT, .k = secret};
    struct key *key = &set->keys[set->n];
    key->algorithms = ALGORITHM_BIT(ALGORITHM_HS256);
    key->is_configured = true;
    const char *problem = key_init(key, &material);
    set->n++; /* also when it failed: keyset_unref tidies up */
    return problem ? fail(-ENOMEM, why, problem) : 0;
}

/* Without memory for it there is none: whoever wants other options has to fetch it again. */
static void keep_document(struct keyset *set, struct str document) {
    set->document.at = str_dup(document);
    set->document.n = set->document.at ? document.n : 0;
}

static struct str kid_of(const struct keyset *set, size_t at) {
    return set->keys[set->by_kid[at]].kid;
}

/* Keys of one kid stay in the document's order. */
static void sort_by_kid(struct keyset *set) {
    for (size_t i = 0; i < keyset_count_published(set); i++) {
        size_t at = i;
        for (; at > 0 && str_compare(kid_of(set, at - 1), set->keys[i].kid) > 0; at--)
            set->by_kid[at] = set->by_kid[at - 1];
        set->by_kid[at] = (uint8_t)i;
    }
}

int keyset_parse(struct keyset **out, struct str document, const struct keyset_options *options,
                 char why[160]) {
    struct keyset *set = NULL;
    int failed = 0;
    why[0] = '\0';
    if (document.at)
        failed = add_document(&set, document, options, why);
    else if (!(set = keyset_new(1)))
        failed = fail(-ENOMEM, why, "memory is out");
    if (!failed && options->hs256_secret.n > 0)
        failed = add_secret(set, options->hs256_secret, why);
    if (!failed && document.at && !options->allows_symmetric)
        keep_document(set, document);
    if (!failed)
        sort_by_kid(set);
    if (failed)
        keyset_unref(set);
    else
        *out = set;
    return failed;
}

struct keyset *keyset_ref(struct keyset *set) {
    assert(set->references > 0);
    set->references++;
    return set;
}

void keyset_unref(struct keyset *set) {
    if (!set)
        return;
    assert(set->references > 0);
    if (--set->references > 0)
        return;
    for (size_t i = 0; i < set->n; i++)
        key_fini(&set->keys[i]);
    free((char *)set->document.at);
    free(set);
}

struct str keyset_document(const struct keyset *set) {
    return set->document;
}

size_t keyset_count(const struct keyset *set) { return set->n; }

size_t keyset_count_published(const struct keyset *set) {
    bool has_secret = set->n > 0 && set->keys[set->n - 1].is_configured;
    return set->n - (has_secret ? 1 : 0);
}

const struct key *keyset_at(const struct keyset *set, size_t index) {
    assert(index < set->n);
    return &set->keys[index];
}

/* No key is in a set twice, so that one direction is enough. */
bool keyset_same(const struct keyset *a, const struct keyset *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!keyset_has(b, &a->keys[i]))
            return false;
    return true;
}

bool keyset_holds(const struct keyset *set, const struct key_print *print) {
    for (size_t i = 0; i < set->n; i++)
        if (memcmp(&set->keys[i].print, print, sizeof(*print)) == 0)
            return true;
    return false;
}

/* Of those published with this kid, and the secret, which is named by every kid. NULL: there are fewer. */
static const struct key *find_named(const struct keyset *set, struct str kid, size_t index) {
    size_t n = keyset_count_published(set), low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(kid_of(set, middle), kid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t at = low + index;
    if (at < n && str_eq(kid_of(set, at), kid))
        return &set->keys[set->by_kid[at]];
    bool is_last = index == 0 || (at <= n && str_eq(kid_of(set, at - 1), kid));
    return is_last && n < set->n ? &set->keys[n] : NULL;
}

static const struct key *find_any(const struct keyset *set, size_t index) {
    return index < set->n ? &set->keys[index] : NULL;
}

const struct key *keyset_find(const struct keyset *set, struct str kid, enum algorithm algorithm,
                              size_t *cursor) {
    const struct key *key;
    assert(algorithm < ALGORITHM_COUNT);
    do
        key = kid.n > 0 ? find_named(set, kid, (*cursor)++) : find_any(set, (*cursor)++);
    while (key && !(key->algorithms & ALGORITHM_BIT(algorithm)));
    return key;
}

struct str key_kid(const struct key *key) {
    return key->kid;
}
unsigned key_algorithms(const struct key *key) { return key->algorithms; }
const char *key_type(const struct key *key) { return key->type; }
const struct key_print *key_print(const struct key *key) { return &key->print; }

int key_verify(const struct key *key, enum algorithm algorithm, struct str input,
               struct str signature) {
    assert(key->algorithms & ALGORITHM_BIT(algorithm));
    return verifier_check(key->verifier, algorithm, input, signature);
}
