/* SPDX-License-Identifier: MIT */
/* The attacks on a token's form and header that are known: each as one row. */
#include "token_world.h"

/* ---- attacks on the form (J08, J19-J21, J40) ---- */

START_TEST(only_three_strict_parts_are_a_token) {
    static const struct {
        const char *token;
        enum token_verdict verdict;
    } ROWS[] = {
        {"", TOKEN_NOT_COMPACT},
        {".", TOKEN_NOT_COMPACT},
        {"a.b", TOKEN_NOT_COMPACT},
        {"a.b.c.d", TOKEN_NOT_COMPACT},
        {"a.b.c.d.e", TOKEN_NOT_COMPACT}, /* a JWE */
        {"....", TOKEN_NOT_COMPACT},
        {"undefined", TOKEN_NOT_COMPACT},
        {"sb_publishable_abc", TOKEN_NOT_COMPACT},
        {"{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"\"}", TOKEN_NOT_COMPACT},
        {"{\"a\":\"b.c\",\"d\":\"e.f\"}", TOKEN_BAD_ENCODING}, /* polyglot */
        {"..", TOKEN_BAD_HEADER},
        {"e30..", TOKEN_BAD_HEADER},
        {"e30=.e30.AA", TOKEN_BAD_ENCODING},
        {"e30.e30=.AA", TOKEN_BAD_ENCODING},
        {"e30.e30.AA==", TOKEN_BAD_ENCODING},
        {"e30.e30.AB", TOKEN_BAD_ENCODING}, /* unused bits set */
        {"e30.e30.A", TOKEN_BAD_ENCODING},
        {"e30.e30.A+A_", TOKEN_BAD_ENCODING},
        {"e30.e30.AA/A", TOKEN_BAD_ENCODING},
        {"e30.e30.AA AA", TOKEN_BAD_ENCODING},
        {"e30.e30.AAAA\n", TOKEN_BAD_ENCODING},
        {" e30.e30.AAAA", TOKEN_BAD_ENCODING},
        {"e3\xc3\xa9.e30.AAAA", TOKEN_BAD_ENCODING},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(str_dup(str_of(ROWS[i].token)), ROWS[i].verdict, ROWS[i].token);
}
END_TEST

START_TEST(length_is_bounded_before_anything_is_looked_at) {
    char *dots = malloc(1000001);
    memset(dots, '.', 1000000);
    dots[1000000] = '\0';
    assert_verdict(str_dup(str_of(dots)), TOKEN_TOO_LONG, "dots");
    ck_assert_int_eq(verify_str((struct str){dots, TOKEN_BYTES_MAX}).verdict, TOKEN_NOT_COMPACT);
    ck_assert_int_eq(verify_str((struct str){dots, TOKEN_BYTES_MAX + 1}).verdict, TOKEN_TOO_LONG);
    free(dots);
}
END_TEST

START_TEST(deep_and_wide_payloads_end_quietly) {
    char deep[11000] = "{\"iss\":\"" A "\",\"a\":";
    size_t n = strlen(deep);
    memset(deep + n, '[', 10000);
    deep[n + 10000] = '\0';
    assert_verdict(forge_token(&keys[KEY_ES], ES, deep), TOKEN_BAD_PAYLOAD, "deep");
    memset(deep + n, '9', 10000);
    memcpy(deep + n + 10000, "}", 2);
    assert_verdict(forge_token(&keys[KEY_ES], ES, deep), TOKEN_BAD_PAYLOAD, "long number");
}
END_TEST

/* ---- attacks on the header (J01, J02, J12, J14-J16) ---- */

START_TEST(headers_that_are_not_plain_are_refused) {
    static const struct {
        const char *header;
        enum token_verdict verdict;
    } ROWS[] = {
        {"", TOKEN_BAD_HEADER},
        {"null", TOKEN_BAD_HEADER},
        {"[]", TOKEN_BAD_HEADER},
        {"\"ES256\"", TOKEN_BAD_HEADER},
        {"{}", TOKEN_BAD_HEADER},
        {"{\"alg\":null}", TOKEN_BAD_HEADER},
        {"{\"alg\":[\"ES256\"]}", TOKEN_BAD_HEADER},
        {"{\"alg\":7}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"es\",\"kid\":\"x\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\"} trailing", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":7}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":[\"es\"]}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":null}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"a\\u0000b\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", TOKEN_BAD_HEADER},
        {"{\"alg\":\"ES256\",\"typ\":\"JWE\"}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"typ\":\"logout+jwt\"}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"typ\":\"application/dpop+jwt\"}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"typ\":\"\"}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"typ\":5}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"typ\":null}", TOKEN_WRONG_TYPE},
        {"{\"alg\":\"ES256\",\"crit\":[\"bork\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":[]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":\"exp\"}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":null}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"crit\":[\"alg\",\"alg\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":false,\"crit\":[\"b64\"]}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":false}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"ES256\",\"b64\":true}", TOKEN_CRITICAL_HEADER},
        {"{\"alg\":\"none\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"None\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"NONE\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\" none\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"es256\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES256K\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"HS257\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"PBES2-HS256+A128KW\",\"p2c\":2147483647}", TOKEN_ALGORITHM},
        {"{\"alg\":\"RS512\"}", TOKEN_ALGORITHM}, /* known, but not enabled */
        {"{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"' OR 1=1 --\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"ES\"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES256\",\"kid\":\"es \"}", TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"ES512\"}", TOKEN_UNKNOWN_KEY},
        /* the algorithm is the key's, not the header's (J06, J24) */
        {"{\"alg\":\"ES256\",\"kid\":\"es384\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES256\",\"kid\":\"rs\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"ES384\",\"kid\":\"es\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"PS256\",\"kid\":\"rs\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"EdDSA\",\"kid\":\"es\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"RS256\"}", TOKEN_BAD_SIGNATURE},
        {"{\"alg\":\"HS256\",\"kid\":\"es\"}", TOKEN_BAD_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_verdict(forge_token(&keys[KEY_ES], ROWS[i].header, GOOD), ROWS[i].verdict,
                       ROWS[i].header);
}
END_TEST

START_TEST(an_unsigned_token_is_refused) {
    size_t n;
    char *token = forge_input(STR("{\"alg\":\"none\"}"), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_ALGORITHM, "none");
    token = forge_input(STR(ES), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_BAD_SIGNATURE, "ES256 with nothing");
    token = forge_input(STR(HS), STR(GOOD), &n);
    memcpy(token + n, ".", 2);
    assert_verdict(token, TOKEN_BAD_SIGNATURE, "HS256 with nothing");
}
END_TEST

START_TEST(a_very_long_kid_is_just_unknown) {
    char header[11000];
    memset(header, 'k', sizeof(header));
    memcpy(header, "{\"alg\":\"ES256\",\"kid\":\"", 22);
    memcpy(header + sizeof(header) - 3, "\"}", 3);
    size_t n;
    char *token = forge_input(str_of(header), STR("{\"iss\":\"" A "\"}"), &n);
    memcpy(token + n, ".AAAA", 6);
    struct token_result result = verify_str(str_of(token));
    ck_assert_int_eq(result.verdict, TOKEN_UNKNOWN_KEY);
    ck_assert(result.may_need_new_keys);
    ck_assert_uint_eq(result.kid.n, sizeof(header) - 22 - 3);
    free(token);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("auth/token_form");
    TCase *form = add_case(suite, "form");
    tcase_add_test(form, only_three_strict_parts_are_a_token);
    tcase_add_test(form, length_is_bounded_before_anything_is_looked_at);
    tcase_add_test(form, deep_and_wide_payloads_end_quietly);
    tcase_add_test(form, headers_that_are_not_plain_are_refused);
    tcase_add_test(form, an_unsigned_token_is_refused);
    tcase_add_test(form, a_very_long_kid_is_just_unknown);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
