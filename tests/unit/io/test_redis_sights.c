/* SPDX-License-Identifier: MIT */
/* Proves io/redis_sights.h: of what several see the worst is told. */
#include "io/redis_sights.h"

#include "rig.h"

START_TEST(who_has_told_nothing_says_nothing) {
    struct redis_sights *sights = redis_sights_new(2);
    struct redis_sight worst = redis_sights_worst(sights);
    ck_assert(worst.n_servers == 0 && worst.n_up == 0 && worst.away_since_ns == 0);
    redis_sights_tell(sights, 1, &(struct redis_sight){.n_servers = 1, .n_up = 1});
    worst = redis_sights_worst(sights);
    ck_assert(worst.n_servers == 1 && worst.n_up == 1 && worst.away_since_ns == 0);
    redis_sights_free(sights);
    redis_sights_free(NULL);
}
END_TEST

START_TEST(the_worst_is_told_and_who_is_away_the_longest) {
    struct redis_sights *sights = redis_sights_new(3);
    redis_sights_tell(sights, 0, &(struct redis_sight){3, 2, 70, "b", "later"});
    redis_sights_tell(sights, 1, &(struct redis_sight){3, 1, 50, "a", "first"});
    redis_sights_tell(sights, 2, &(struct redis_sight){4, 4, 0, "", ""});
    struct redis_sight worst = redis_sights_worst(sights);
    ck_assert(worst.n_servers == 4 && worst.n_up == 1 && worst.away_since_ns == 50);
    ck_assert_str_eq(worst.server, "a");
    ck_assert_str_eq(worst.reason, "first");
    redis_sights_tell(sights, 1, &(struct redis_sight){3, 3, 0, "", ""});
    worst = redis_sights_worst(sights);
    ck_assert(worst.n_up == 2 && worst.away_since_ns == 70);
    ck_assert_str_eq(worst.reason, "later");
    redis_sights_free(sights);
}
END_TEST

RIG_MAIN("io/redis_sights", who_has_told_nothing_says_nothing,
         the_worst_is_told_and_who_is_away_the_longest)
