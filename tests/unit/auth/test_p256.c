/* SPDX-License-Identifier: MIT */
/* Against the library's own ECDSA_do_verify, which adds the products in another way. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_KEY: keys of any scalar, digests of any value */
#include "auth/p256.h"

#include "suite.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <pthread.h>

struct pair {
    EC_KEY *secret;
    struct p256_key *key;
};

struct signed_digest {
    unsigned char digest[32], signature[64];
};

static void coordinates(const EC_KEY *secret, unsigned char xy[64]) {
    BIGNUM *x = BN_new(), *y = BN_new();
    ck_assert_int_eq(EC_POINT_get_affine_coordinates(EC_KEY_get0_group(secret),
                                                     EC_KEY_get0_public_key(secret), x, y, NULL),
                     1);
    BN_bn2binpad(x, xy, 32);
    BN_bn2binpad(y, xy + 32, 32);
    BN_free(x), BN_free(y);
}

static struct p256_key *key_of(const unsigned char xy[64]) {
    return p256_key_new((struct str){(const char *)xy, 32},
                        (struct str){(const char *)xy + 32, 32});
}

/* Of this scalar, negative ones counted back from the order; 0: of any. */
static struct pair pair_of(int scalar) {
    struct pair p = {.secret = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1)};
    const EC_GROUP *group = EC_KEY_get0_group(p.secret);
    unsigned char xy[64];
    if (scalar == 0) {
        ck_assert_int_eq(EC_KEY_generate_key(p.secret), 1);
    } else {
        BIGNUM *d = scalar < 0 ? BN_dup(EC_GROUP_get0_order(group)) : BN_new();
        EC_POINT *q = EC_POINT_new(group);
        ck_assert_int_eq(
            scalar < 0 ? BN_sub_word(d, (BN_ULONG)-scalar) : BN_set_word(d, (BN_ULONG)scalar), 1);
        ck_assert_int_eq(EC_POINT_mul(group, q, d, NULL, NULL, NULL), 1);
        ck_assert(EC_KEY_set_private_key(p.secret, d) == 1 &&
                  EC_KEY_set_public_key(p.secret, q) == 1);
        BN_free(d), EC_POINT_free(q);
    }
    coordinates(p.secret, xy);
    p.key = key_of(xy);
    ck_assert_ptr_nonnull(p.key);
    return p;
}

static void pair_free(struct pair *p) {
    EC_KEY_free(p->secret);
    p256_key_free(p->key);
}

static void put(unsigned char at[32], const BIGNUM *number) {
    ck_assert_int_eq(BN_bn2binpad(number, at, 32), 32);
}

static void sign(const struct pair *p, struct signed_digest *s) {
    ECDSA_SIG *made = ECDSA_do_sign(s->digest, 32, p->secret);
    put(s->signature, ECDSA_SIG_get0_r(made));
    put(s->signature + 32, ECDSA_SIG_get0_s(made));
    ECDSA_SIG_free(made);
}

static int check(const struct pair *p, const struct signed_digest *s) {
    return p256_check(p->key, s->digest, (struct str){(const char *)s->signature, 64});
}

/* What the library thinks; an error to it is a refusal. */
static int oracle(const struct pair *p, const struct signed_digest *s) {
    ECDSA_SIG *given = ECDSA_SIG_new();
    ECDSA_SIG_set0(given, BN_bin2bn(s->signature, 32, NULL),
                   BN_bin2bn(s->signature + 32, 32, NULL));
    int verdict = ECDSA_do_verify(s->digest, 32, given, p->secret);
    ECDSA_SIG_free(given);
    return verdict == 1;
}

static void assert_both(const struct pair *p, const struct signed_digest *s, int expected) {
    ck_assert_int_eq(oracle(p, s), expected);
    ck_assert_int_eq(check(p, s), expected);
}

START_TEST(what_the_key_signed_passes) {
    for (int i = 0; i < 4; i++) {
        struct pair p = pair_of(0);
        for (int j = 0; j < 100; j++) {
            struct signed_digest s;
            RAND_bytes(s.digest, 32);
            sign(&p, &s);
            assert_both(&p, &s, 1);
        }
        pair_free(&p);
    }
}
END_TEST

START_TEST(a_bit_more_or_less_is_refused) {
    struct pair p = pair_of(0);
    struct signed_digest s = {.digest = "what was hashed, and not always"};
    sign(&p, &s);
    unsigned char *bytes = (unsigned char *)&s;
    for (size_t i = 0; i < sizeof(s) * 8; i++) {
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_both(&p, &s, 0);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    assert_both(&p, &s, 1);
    pair_free(&p);
}
END_TEST

START_TEST(another_keys_signature_is_refused) {
    struct pair p = pair_of(0), other = pair_of(0);
    struct signed_digest s = {.digest = "the same for both of them, byte"};
    sign(&other, &s);
    assert_both(&p, &s, 0);
    assert_both(&other, &s, 1);
    pair_free(&p), pair_free(&other);
}
END_TEST

START_TEST(noise_is_refused) {
    struct pair p = pair_of(0);
    for (int i = 0; i < 500; i++) {
        struct signed_digest s;
        RAND_bytes((unsigned char *)&s, sizeof(s));
        assert_both(&p, &s, 0);
    }
    pair_free(&p);
}
END_TEST

/* Zero, the order, one more, the greatest, and what is the same number modulo the order. */
START_TEST(numbers_out_of_range_are_refused) {
    struct pair p = pair_of(1);
    const BIGNUM *order = EC_GROUP_get0_order(EC_KEY_get0_group(p.secret));
    struct signed_digest good = {.digest = "a digest is any thirty-two byte"};
    sign(&p, &good);
    BIGNUM *beyond = BN_dup(order);
    BN_add_word(beyond, 1);
    for (int half = 0; half < 2; half++) {
        struct signed_digest s = good;
        unsigned char *at = s.signature + half * 32;
        memset(at, 0, 32);
        assert_both(&p, &s, 0);
        put(at, order);
        assert_both(&p, &s, 0);
        put(at, beyond);
        assert_both(&p, &s, 0);
        memset(at, 0xff, 32);
        assert_both(&p, &s, 0);
    }
    BN_free(beyond);
    pair_free(&p);
}
END_TEST

START_TEST(nothing_but_zeroes_is_refused) { /* CVE-2022-21449 */
    struct pair p = pair_of(0);
    struct signed_digest s = {0};
    assert_both(&p, &s, 0);
    pair_free(&p);
}
END_TEST

START_TEST(digests_of_any_value_are_numbers) {
    struct pair p = pair_of(0);
    struct signed_digest s = {0};
    sign(&p, &s); /* u1 is 0: one product is the point at infinity */
    assert_both(&p, &s, 1);
    memset(s.digest, 0xff, 32); /* beyond the order */
    assert_both(&p, &s, 0);
    sign(&p, &s);
    assert_both(&p, &s, 1);
    pair_free(&p);
}
END_TEST

/* r is that of 5·G; with this digest, e = r, both products are equal, or each other's opposite. */
static struct signed_digest both_the_same(const struct pair *p, BIGNUM *r) {
    const EC_GROUP *group = EC_KEY_get0_group(p->secret);
    struct signed_digest s;
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *five = BN_new();
    BN_set_word(five, 5);
    EC_POINT_mul(group, point, five, NULL, NULL, NULL);
    EC_POINT_get_affine_coordinates(group, point, r, NULL, NULL);
    put(s.digest, r);
    put(s.signature, r);
    EC_POINT_free(point), BN_free(five);
    return s;
}

START_TEST(equal_products_are_doubled) {
    struct pair p = pair_of(1); /* Q = G */
    const BIGNUM *order = EC_GROUP_get0_order(EC_KEY_get0_group(p.secret));
    BIGNUM *r = BN_new(), *s = BN_new(), *five = BN_new();
    BN_CTX *numbers = BN_CTX_new();
    struct signed_digest made = both_the_same(&p, r);
    BN_set_word(five, 5);
    BN_mod_inverse(s, five, order, numbers); /* s = (e + r·1) / 5 = 2r / 5 */
    BN_mod_mul(s, s, r, order, numbers);
    BN_mod_lshift1(s, s, order, numbers);
    put(made.signature + 32, s);
    assert_both(&p, &made, 1);
    BN_free(r), BN_free(s), BN_free(five), BN_CTX_free(numbers);
    pair_free(&p);
}
END_TEST

START_TEST(opposite_products_are_no_point) {
    struct pair p = pair_of(-1); /* Q = -G */
    BIGNUM *r = BN_new();
    struct signed_digest made = both_the_same(&p, r);
    put(made.signature + 32, BN_value_one());
    assert_both(&p, &made, 0);
    BN_free(r);
    pair_free(&p);
}
END_TEST

START_TEST(signatures_of_another_length_are_refused) {
    struct pair p = pair_of(0);
    struct signed_digest s = {.digest = "sixty-four bytes and no other  "};
    sign(&p, &s);
    static const size_t LENGTHS[] = {0, 1, 63, 32};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(
            p256_check(p.key, s.digest, (struct str){(const char *)s.signature, LENGTHS[i]}), 0);
    unsigned char longer[65] = {0};
    memcpy(longer + 1, s.signature, 64); /* the same two numbers */
    ck_assert_int_eq(p256_check(p.key, s.digest, (struct str){(const char *)longer, 65}), 0);
    pair_free(&p);
}
END_TEST

START_TEST(what_is_no_point_makes_no_key) {
    struct pair p = pair_of(0);
    unsigned char xy[64];
    coordinates(p.secret, xy);
    xy[63] ^= 1;
    ck_assert_ptr_null(key_of(xy));
    memset(xy, 0, sizeof(xy));
    ck_assert_ptr_null(key_of(xy));
    memset(xy, 0xff, sizeof(xy));
    ck_assert_ptr_null(key_of(xy));
    ck_assert_ptr_null(p256_key_new(STR("short"), STR("short")));
    ck_assert_ptr_null(p256_key_new(STR_NONE, STR_NONE));
    p256_key_free(NULL);
    pair_free(&p);
}
END_TEST

static struct pair shared;

static void *check_many(void *arg) {
    struct signed_digest *s = arg;
    for (int i = 0; i < 300; i++) {
        if (check(&shared, s) != 1)
            return arg;
        s->digest[0] ^= 1;
        if (check(&shared, s) != 0)
            return arg;
        s->digest[0] ^= 1;
    }
    return NULL;
}

START_TEST(threads_share_a_key) {
    pthread_t threads[4];
    struct signed_digest signed_by_all[4];
    shared = pair_of(0);
    for (int i = 0; i < 4; i++) {
        RAND_bytes(signed_by_all[i].digest, 32);
        sign(&shared, &signed_by_all[i]);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, check_many, &signed_by_all[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    pair_free(&shared);
}
END_TEST

SUITE_MAIN("auth/p256", what_the_key_signed_passes, a_bit_more_or_less_is_refused,
           another_keys_signature_is_refused, noise_is_refused, numbers_out_of_range_are_refused,
           nothing_but_zeroes_is_refused, digests_of_any_value_are_numbers,
           equal_products_are_doubled, opposite_products_are_no_point,
           signatures_of_another_length_are_refused, what_is_no_point_makes_no_key,
           threads_share_a_key)
