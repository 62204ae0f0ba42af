/* SPDX-License-Identifier: MIT */
#pragma once
#include <check.h>
#include <stdlib.h>

/* The main of a unit test: SUITE_MAIN("room/concept", test, test, …) runs the tests, says which failed, and exits
 * non-zero when any did. Each test runs in a process of its own (CK_FORK=no for a debugger). */
#define SUITE_MAIN(name, ...) \
    int main(void) { \
        const TTest *const suite_tests[] = {__VA_ARGS__}; \
        return suite_run(name, suite_tests, sizeof(suite_tests) / sizeof(suite_tests[0])); \
    }

static inline int suite_run(const char *name, const TTest *const *tests, size_t n) {
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
