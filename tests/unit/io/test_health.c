/* SPDX-License-Identifier: MIT */
/* Addresses that fail are ejected for a while, the last one never. */
#include "io/health.h"

#include "suite.h"
#include <stdio.h>

static const struct health_rule rule = {3, 10 * NS_PER_S};
static struct health health;
static struct resolved addresses;
static int64_t now_ns;

static struct endpoint address(unsigned last_byte) {
    struct endpoint endpoint;
    struct ip ip;
    char text[32];
    int n = snprintf(text, sizeof(text), "192.0.2.%u", last_byte);
    ck_assert(ip_parse((struct str){text, (size_t)n}, &ip));
    endpoint_of_ip(&ip, 80, &endpoint);
    return endpoint;
}
/* The name has these addresses, in this order. */
static void resolve(const char *last_digits) {
    addresses = (struct resolved){.n = strlen(last_digits)};
    for (size_t i = 0; i < addresses.n; i++)
        addresses.list[i] = address((unsigned)(last_digits[i] - '0'));
    health_order(&health, &addresses, now_ns);
}
static void begin(const char *last_digits) {
    health = (struct health){0};
    now_ns = NS_PER_S;
    resolve(last_digits);
}
static void expect_order(const char *last_digits) {
    struct resolved got = addresses;
    for (size_t i = 0; i < got.n; i++) {
        struct endpoint wanted = address((unsigned)(last_digits[i] - '0'));
        ck_assert_msg(memcmp(&got.list[i].address, &wanted.address, wanted.length) == 0,
                      "number %zu is not %c", i, last_digits[i]);
    }
}
static bool one_failure(unsigned last_byte) {
    struct endpoint endpoint = address(last_byte);
    return health_failed(&health, &rule, &endpoint, now_ns);
}
static uint32_t answer_to(int64_t asked_ns, unsigned last_byte) {
    struct endpoint endpoint = address(last_byte);
    return health_answered(&health, &endpoint, asked_ns, now_ns);
}
static uint32_t answer(unsigned last_byte) { return answer_to(now_ns, last_byte); }
static bool is_ejected(unsigned last_byte) {
    struct endpoint endpoint = address(last_byte);
    return health_is_ejected(&health, &endpoint, now_ns);
}
static void eject(unsigned last_byte) {
    for (int i = 0; i < 2; i++)
        ck_assert(!one_failure(last_byte));
    ck_assert(one_failure(last_byte));
    ck_assert(is_ejected(last_byte));
}

START_TEST(address_is_ejected_by_failures_in_a_row_and_moves_behind_the_others) {
    begin("123");
    eject(1);
    ck_assert(!one_failure(1)); /* once */
    ck_assert_uint_eq(health_count_ejected(&health, now_ns), 1);
    resolve("123");
    expect_order("231");
    eject(3);
    resolve("312");
    expect_order("231");
}
END_TEST

START_TEST(answer_in_between_begins_anew) {
    begin("12");
    ck_assert(!one_failure(1) && !one_failure(1));
    ck_assert_uint_eq(answer(1), 0);
    ck_assert(!one_failure(1) && !one_failure(1));
    ck_assert(!is_ejected(1));
    ck_assert(one_failure(1));
}
END_TEST

START_TEST(last_address_is_never_ejected) {
    begin("1");
    for (int i = 0; i < 100; i++)
        ck_assert(!one_failure(1));
    begin("12");
    eject(2);
    for (int i = 0; i < 100; i++)
        ck_assert(!one_failure(1));
    resolve("12");
    expect_order("12");
    now_ns += rule.eject_ns; /* the other one may be tried again: now this one may go */
    ck_assert(one_failure(1));
}
END_TEST

START_TEST(ejection_ends_by_itself_and_the_first_failure_after_it_ejects_again) {
    begin("12");
    eject(1);
    now_ns += rule.eject_ns - 1;
    ck_assert(is_ejected(1));
    now_ns += 1;
    ck_assert(!is_ejected(1));
    resolve("12");
    expect_order("12");
    ck_assert(one_failure(1));
    now_ns += rule.eject_ns;
    ck_assert_uint_eq(answer(1), 2);
    ck_assert_uint_eq(answer(1), 0);
    ck_assert(!one_failure(1) && !one_failure(1));
}
END_TEST

START_TEST(answer_to_a_request_of_before_brings_nobody_back) {
    begin("12");
    int64_t asked_ns = now_ns++;
    eject(1);
    now_ns++;
    ck_assert_uint_eq(answer_to(asked_ns, 1), 0);
    ck_assert(is_ejected(1));
}
END_TEST

START_TEST(one_that_answers_where_the_others_did_not_is_back_before_its_time) {
    begin("12");
    eject(1);
    resolve("12");
    expect_order("21");
    for (int i = 0; i < 100; i++)
        ck_assert(!one_failure(2)); /* the last */
    now_ns++;
    ck_assert_uint_eq(answer(1), 1);
    ck_assert(!is_ejected(1));
    resolve("12");
    expect_order("12");
    ck_assert(one_failure(2)); /* not the last any more */
    ck_assert_uint_eq(answer(1), 0);
}
END_TEST

START_TEST(address_that_left_the_name_is_forgotten) {
    begin("12");
    eject(1);
    resolve("23");
    ck_assert(!is_ejected(1));
    resolve("123");
    expect_order("123");
    ck_assert(!one_failure(9)); /* nor is a stranger's failure anybody's */
}
END_TEST

START_TEST(rule_of_zero_ejects_nobody) {
    static const struct health_rule never = {0, 10 * NS_PER_S};
    struct endpoint endpoint = address(1);
    begin("12");
    for (int i = 0; i < 100; i++)
        ck_assert(!health_failed(&health, &never, &endpoint, now_ns));
}
END_TEST

SUITE_MAIN("io/health", address_is_ejected_by_failures_in_a_row_and_moves_behind_the_others,
           answer_in_between_begins_anew, last_address_is_never_ejected,
           ejection_ends_by_itself_and_the_first_failure_after_it_ejects_again,
           answer_to_a_request_of_before_brings_nobody_back,
           one_that_answers_where_the_others_did_not_is_back_before_its_time,
           address_that_left_the_name_is_forgotten, rule_of_zero_ejects_nobody)
