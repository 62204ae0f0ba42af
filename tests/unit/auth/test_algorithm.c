/* SPDX-License-Identifier: MIT */
#include "auth/algorithm.h"

#include <check.h>
#include <stdlib.h>

START_TEST(every_algorithm_is_found_by_its_own_name) {
    for (unsigned i = 0; i < ALGORITHM_COUNT; i++)
        ck_assert_uint_eq(algorithm_of(str_of(algorithm_name((enum algorithm)i))), i);
}
END_TEST

START_TEST(ed25519_is_another_name_of_eddsa) {
    ck_assert_int_eq(algorithm_of(STR("Ed25519")), ALGORITHM_EdDSA);
}
END_TEST

START_TEST(names_are_exact) {
    static const char *const UNKNOWN[] = {"none",
                                          "None",
                                          "NONE",
                                          "nOnE",
                                          " none",
                                          "",
                                          "HS256 ",
                                          " HS256",
                                          "hs256",
                                          "Rs256",
                                          "ES256K",
                                          "eddsa",
                                          "EDDSA",
                                          "Ed448",
                                          "ed25519",
                                          "RSA-OAEP",
                                          "dir",
                                          "A128KW",
                                          "PBES2-HS256+A128KW",
                                          "HS1",
                                          "HS2561",
                                          "HS25"};
    for (size_t i = 0; i < sizeof(UNKNOWN) / sizeof(UNKNOWN[0]); i++)
        ck_assert_msg(algorithm_of(str_of(UNKNOWN[i])) == ALGORITHM_COUNT, "%s", UNKNOWN[i]);
    ck_assert_int_eq(algorithm_of((struct str){"HS256\0", 6}), ALGORITHM_COUNT);
    ck_assert_int_eq(algorithm_of(STR_NONE), ALGORITHM_COUNT);
}
END_TEST

START_TEST(hmac_is_not_on_by_default) {
    ck_assert_uint_eq(ALGORITHMS_DEFAULT & ALGORITHMS_HMAC, 0);
    ck_assert_uint_eq(ALGORITHMS_ALL & ALGORITHMS_HMAC, ALGORITHMS_HMAC);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/algorithm");
    TCase *names = tcase_create("names");
    tcase_add_test(names, every_algorithm_is_found_by_its_own_name);
    tcase_add_test(names, ed25519_is_another_name_of_eddsa);
    tcase_add_test(names, names_are_exact);
    tcase_add_test(names, hmac_is_not_on_by_default);
    suite_add_tcase(suite, names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
