/* SPDX-License-Identifier: MIT */
#include "io/redis_name.h"

#include "suite.h"

static const char *name_of(struct str whom) {
    static char name[REDIS_NAME_MAX];
    ck_assert(redis_name(whom, name));
    return name;
}

START_TEST(ordinary_subjects_stand_as_they_are) {
    ck_assert_str_eq(name_of(STR("7d1f0a66-9c1e-4a53-8f0e-2f3f6f0b9b1a")),
                     "7d1f0a66-9c1e-4a53-8f0e-2f3f6f0b9b1a");
    ck_assert_str_eq(name_of(STR("auth0:google|17")), "auth0:google|17");
    ck_assert_str_eq(name_of(STR("a@b.example")), "a@b.example");
    ck_assert_str_eq(name_of(STR("")), "");
}
END_TEST

START_TEST(strange_and_long_ones_are_hashed) {
    char longest[65];
    memset(longest, 'a', sizeof(longest));
    ck_assert_uint_eq(strlen(name_of((struct str){longest, 64})), 64);
    ck_assert_str_eq(name_of((struct str){longest, 64}) + 63, "a");
    ck_assert_str_eq(name_of((struct str){longest, 65}) + 1,
                     "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
    ck_assert_int_eq(name_of(STR("}x{"))[0], '#');
    ck_assert_int_eq(name_of(STR("a b"))[0], '#');
    ck_assert_int_eq(name_of(STR("a\0b"))[0], '#');
}
END_TEST

START_TEST(nobody_can_spell_the_name_of_a_hashed_one) {
    const char *hashed = name_of(STR("a b"));
    char copy[REDIS_NAME_MAX];
    memcpy(copy, hashed, sizeof(copy));
    ck_assert_str_ne(name_of(str_of(copy)), copy);
}
END_TEST

SUITE_MAIN("io/redis_name", ordinary_subjects_stand_as_they_are, strange_and_long_ones_are_hashed,
           nobody_can_spell_the_name_of_a_hashed_one)
