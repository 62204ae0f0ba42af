/* SPDX-License-Identifier: MIT */
/* Any bytes as a key set: what is taken is pinned, found by its kid, never a secret, and the same when it is read again. */
#include "auth/keyset.h"
#include "must.h"

static size_t n_skipped;

static void on_skipped(void *arg, struct str kid, const char *reason) {
    (void)arg;
    must(reason && reason[0] && kid.n <= KEYSET_BYTES_MAX);
    n_skipped++;
}

static void is_found(const struct keyset *set, const struct key *key) {
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++) {
        size_t cursor = 0;
        bool found = false;
        const struct key *at;
        while ((at = keyset_find(set, key_kid(key), (enum algorithm)i, &cursor)))
            found = found || at == key;
        must(found == ((key_algorithms(key) & ALGORITHM_BIT(i)) != 0));
        if (found)
            must(key_verify(key, (enum algorithm)i, STR("input"), STR("no signature")) == 0);
    }
}

static void is_sound(const struct keyset *set, unsigned algorithms) {
    must(keyset_count(set) <= KEYSET_KEYS_MAX && keyset_same(set, set));
    must(keyset_count_published(set) == keyset_count(set));
    for (size_t i = 0; i < keyset_count(set); i++) {
        const struct key *key = keyset_at(set, i);
        must(key_algorithms(key) != 0 && (key_algorithms(key) & ~algorithms) == 0);
        must(keyset_holds(set, key_print(key)) && key_type(key)[0]);
        is_found(set, key);
    }
}

static struct keyset *parse(struct str document, bool allows_symmetric, unsigned algorithms) {
    const struct keyset_options options = {
        .algorithms = algorithms, .allows_symmetric = allows_symmetric, .on_skipped = on_skipped};
    struct keyset *set = NULL;
    char why[160];
    must((keyset_parse(&set, document, &options, why) == 0) == (set != NULL));
    must(set ? why[0] == '\0' : why[0] != '\0');
    if (set)
        is_sound(set, algorithms);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str document = {block_of((struct str){(const char *)data, size}), size};
    struct keyset *published = parse(document, false, ALGORITHMS_ALL & ~ALGORITHMS_HMAC);
    struct keyset *again = parse(document, false, ALGORITHMS_ALL);
    struct keyset *local = parse(document, true, ALGORITHMS_ALL);
    must(!published == !local && !published == !again);
    if (published) {
        must(keyset_same(published, again));
        must(keyset_count(local) >= keyset_count(published));
    }
    keyset_unref(published);
    keyset_unref(again);
    keyset_unref(local);
    free((char *)document.at);
    return 0;
}
