/* SPDX-License-Identifier: MIT */
#include "limit/policy.h"

#include <check.h>

START_TEST(every_key_has_the_name_that_the_settings_use) {
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_SUBJECT), "subject");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_IP), "ip");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_CLAIM), "claim");
    ck_assert_str_eq(limit_key_name(LIMIT_KEY_GLOBAL), "global");
}
END_TEST

START_TEST(no_two_keys_share_a_name) {
    for (int i = 0; i < LIMIT_KEY_COUNT; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(limit_key_name((enum limit_key)i), limit_key_name((enum limit_key)j));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limit/policy");
    TCase *names = tcase_create("names");
    tcase_add_test(names, every_key_has_the_name_that_the_settings_use);
    tcase_add_test(names, no_two_keys_share_a_name);
    suite_add_tcase(suite, names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
