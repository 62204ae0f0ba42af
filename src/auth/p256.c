/* SPDX-License-Identifier: MIT */
/* Two groups with the same curve: in `at_g` the generator is G, in `at_q` it is the key's point Q, and each has its table.
 * The arithmetic is all the library's; what is decided here are the bounds of r and s and the last comparison. None of the
 * numbers is secret, so nothing has to take the same time for all of them. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_GROUP_precompute_mult, which has no successor */
#include "auth/p256.h"

#include "base/cleanup.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>

#define NUMBER_BYTES 32

struct p256_key {
    EC_GROUP *at_g, *at_q;
};

static void drop_point(EC_POINT **point) { EC_POINT_free(*point); }
static void drop_numbers(BN_CTX **numbers) {
    BN_CTX_end(*numbers);
    BN_CTX_free(*numbers);
}

static BN_CTX *numbers_new(void) {
    BN_CTX *numbers = BN_CTX_new();
    if (numbers)
        BN_CTX_start(numbers);
    return numbers;
}

static BIGNUM *read_number(BIGNUM *number, const char *bytes) {
    return BN_bin2bn((const unsigned char *)bytes, NUMBER_BYTES, number);
}

#ifdef OPENSSL_NO_DEPRECATED_3_0
static bool make_table(EC_GROUP *group) {
    (void)group;
    return false;
}
#else
static bool make_table(EC_GROUP *group) {
    return EC_GROUP_precompute_mult(group, NULL) == 1 && EC_GROUP_have_precompute_mult(group) == 1;
}
#endif

/* The library refuses a point off the curve. */
static bool init(struct p256_key *key, struct str x, struct str y) {
    key->at_g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    key->at_q = key->at_g ? EC_GROUP_dup(key->at_g) : NULL;
    if (!key->at_q)
        return false;
    CLEANUP(drop_numbers) BN_CTX *numbers = numbers_new();
    CLEANUP(drop_point) EC_POINT *q = EC_POINT_new(key->at_g);
    if (!numbers || !q)
        return false;
    BIGNUM *qx = BN_CTX_get(numbers), *qy = BN_CTX_get(numbers);
    return qy && read_number(qx, x.at) && read_number(qy, y.at) &&
           EC_POINT_set_affine_coordinates(key->at_g, q, qx, qy, numbers) == 1 &&
           EC_GROUP_set_generator(key->at_q, q, EC_GROUP_get0_order(key->at_g), BN_value_one()) ==
               1 &&
           make_table(key->at_q);
}

struct p256_key *p256_key_new(struct str x, struct str y) {
    struct p256_key *key =
        x.n == NUMBER_BYTES && y.n == NUMBER_BYTES ? calloc(1, sizeof(*key)) : NULL;
    if (!key || init(key, x, y))
        return key;
    ERR_clear_error();
    p256_key_free(key);
    return NULL;
}

void p256_key_free(struct p256_key *key) {
    if (!key)
        return;
    EC_GROUP_free(key->at_g);
    EC_GROUP_free(key->at_q);
    free(key);
}

static bool is_in_range(const BIGNUM *number, const BIGNUM *order) {
    return !BN_is_zero(number) && BN_ucmp(number, order) < 0;
}

/* Into `x`: the first coordinate of u1·G + u2·Q, modulo the order. False with `*is_none` where the sum is the point at
 * infinity, else for want of memory. */
static bool sum(const struct p256_key *key, BIGNUM *x, const BIGNUM *u1, const BIGNUM *u2,
                bool *is_none, BN_CTX *numbers) {
    CLEANUP(drop_point) EC_POINT *a = EC_POINT_new(key->at_g);
    CLEANUP(drop_point) EC_POINT *b = EC_POINT_new(key->at_g);
    if (!a || !b || EC_POINT_mul(key->at_g, a, u1, NULL, NULL, numbers) != 1 ||
        EC_POINT_mul(key->at_q, b, u2, NULL, NULL, numbers) != 1 ||
        EC_POINT_add(key->at_g, a, a, b, numbers) != 1)
        return false;
    *is_none = EC_POINT_is_at_infinity(key->at_g, a) == 1;
    return !*is_none && EC_POINT_get_affine_coordinates(key->at_g, a, x, NULL, numbers) == 1 &&
           BN_nnmod(x, x, EC_GROUP_get0_order(key->at_g), numbers) == 1;
}

/* FIPS 186-5 6.4.2, by its steps. */
static int check(const struct p256_key *key, const unsigned char digest[32], const char *signature,
                 BN_CTX *numbers) {
    const BIGNUM *order = EC_GROUP_get0_order(key->at_g);
    BIGNUM *r = BN_CTX_get(numbers), *s = BN_CTX_get(numbers), *e = BN_CTX_get(numbers),
           *u1 = BN_CTX_get(numbers), *u2 = BN_CTX_get(numbers), *x = BN_CTX_get(numbers);
    bool is_none = false;
    if (!x || !read_number(r, signature) || !read_number(s, signature + NUMBER_BYTES))
        return -ENOMEM;
    if (!is_in_range(r, order) || !is_in_range(s, order))
        return 0;
    if (!read_number(e, (const char *)digest) || !BN_mod_inverse(s, s, order, numbers) ||
        BN_mod_mul(u1, e, s, order, numbers) != 1 || BN_mod_mul(u2, r, s, order, numbers) != 1)
        return -ENOMEM;
    if (!sum(key, x, u1, u2, &is_none, numbers))
        return is_none ? 0 : -ENOMEM;
    return BN_cmp(x, r) == 0;
}

int p256_check(const struct p256_key *key, const unsigned char digest[32], struct str signature) {
    if (signature.n != (size_t)2 * NUMBER_BYTES)
        return 0;
    CLEANUP(drop_numbers) BN_CTX *numbers = numbers_new();
    if (!numbers)
        return -ENOMEM;
    int matches = check(key, digest, signature.at, numbers);
    if (matches != 1)
        ERR_clear_error();
    return matches;
}
