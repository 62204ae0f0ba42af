/* SPDX-License-Identifier: MIT */
#include "auth/keyring.h"
#include "forge.h"

#include <check.h>

static struct keyset *set_of(const struct forge *f) {
    struct keyset_options options = {.algorithms = ALGORITHMS_ALL};
    struct keyset *set = NULL;
    char why[160];
    ck_assert_int_eq(keyset_parse(&set, str_of(f->jwk), &options, why), 0);
    return set;
}

START_TEST(a_new_ring_knows_nothing) {
    struct keyring *ring = keyring_new(2);
    struct key_print print = {{0}};
    ck_assert_uint_eq(ring->n, 2);
    ck_assert_uint_eq(ring->generation, 0);
    ck_assert_int_eq(ring->issuers[1].state, KEYS_NEVER);
    ck_assert_ptr_null(ring->issuers[1].keys);
    ck_assert(!keyring_holds(ring, 0, &print));
    ck_assert(!keyring_holds(ring, 1, &print));
    keyring_unref(ring);
}
END_TEST

START_TEST(a_key_is_held_by_its_own_issuer_only) {
    struct forge f = forge_key(ALGORITHM_ES256, "k");
    struct keyring *ring = keyring_new(2);
    ring->issuers[1].keys = set_of(&f);
    struct key_print print = *key_print(keyset_at(ring->issuers[1].keys, 0));
    ck_assert(keyring_holds(ring, 1, &print));
    ck_assert(!keyring_holds(ring, 0, &print));
    print.bytes[31] ^= 1;
    ck_assert(!keyring_holds(ring, 1, &print));
    keyring_unref(ring);
    EVP_PKEY_free(f.key);
}
END_TEST

START_TEST(a_ring_owns_its_sets_and_spellings_until_the_last_reference) {
    struct forge f = forge_key(ALGORITHM_ES256, "k");
    struct keyring *ring = keyring_new(1);
    struct str *issuers = calloc(2, sizeof(*issuers));
    issuers[0] = (struct str){str_dup(STR("https://a")), 9};
    issuers[1] = (struct str){str_dup(STR("https://b")), 9};
    ring->issuers[0] = (struct issuer_keys){set_of(&f), KEYS_FRESH, false, issuers, 2};
    ck_assert_ptr_eq(keyring_ref(ring), ring);
    keyring_unref(ring);
    ck_assert(str_eq(ring->issuers[0].issuers[1], STR("https://b")));
    keyring_unref(ring);
    keyring_unref(NULL);
    EVP_PKEY_free(f.key);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/keyring");
    TCase *all = tcase_create("ring");
    tcase_add_test(all, a_new_ring_knows_nothing);
    tcase_add_test(all, a_key_is_held_by_its_own_issuer_only);
    tcase_add_test(all, a_ring_owns_its_sets_and_spellings_until_the_last_reference);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
