/* SPDX-License-Identifier: MIT */
#pragma once
/* The scripts of io/redis_limits.h, and what they are told. */
#include "io/redis_script.h"
#include "limit/lease.h"
#include "limit/limiter.h"
#include "redis_counter.h"

#define LIMIT_WORDS_MAX 512

struct limit_scripts {
    struct redis_script take, lend, settle;
};
int limit_scripts_init(struct limit_scripts *scripts) MUST_USE; /* -ENOMEM */
void limit_scripts_fini(struct limit_scripts *scripts);

/* KEYS, and ARGV from its second on: all zero at first; borrows itself. */
struct telling {
    char names[LIMITER_CHARGES_MAX][REDIS_COUNTER_KEY_MAX];
    char words[LIMITER_CHARGES_MAX][LIMIT_WORDS_MAX];
    struct str keys[LIMITER_CHARGES_MAX], arguments[1 + LIMITER_CHARGES_MAX];
    size_t n_keys; /* whoever tells of a key has written names[n_keys] */
};
void telling_begin(struct telling *t, bool counts);
/* To `take`. */
void tell_taking(struct telling *t, const struct limit_charge *charge, int64_t now_us);
/* To `lend`. */
void tell_lending(struct telling *t, const struct limit_charge *charge,
                  const struct lease_wish *wish, int64_t now_us);
/* To `settle`. */
void tell_settling(struct telling *t, const struct limit_charge *charge, int64_t change,
                   int64_t taken_end_s, int64_t now_us);
/* To `lend`: of a call that costs nothing and whose lease is over. */
void tell_return(struct telling *t, enum limit_kind kind, const struct bucket_rule *rate,
                 const struct lease_rest *rest);
