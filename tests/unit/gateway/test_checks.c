/* SPDX-License-Identifier: MIT */
/* Tokens that were never seen before: what checking them may cost, and whom. */
#include "gateway/checks.h"

#include "rig.h"

static struct stage s;

#define FAILS(rate) "auth_failures: { rate: " rate " }\n"

static const char *forged(const char *claims) {
    struct forge other = forge_key(ALGORITHM_ES256, "k1");
    const char *fields =
        TEXT(&s, "Authorization: Bearer %s\r\n", token_with(&s, &other, "k1", claims, 600));
    EVP_PKEY_free(other.key);
    return fields;
}

static int usage(const char *fields) { return refuse(&s, GET(&s, "/_jotgate/usage", fields)); }

static bool answer_has(const char *text) { return strstr(BODY(&s), text) != NULL; }

START_TEST(checks_have_their_share_of_both) {
    ck_assert_int_eq(checks_budget_ns(1000, 50), 1000);
    ck_assert_int_eq(checks_budget_ns(9000, 10), 1000);
    ck_assert_int_eq(checks_budget_ns(1000, 90), 9000);
    ck_assert_int_eq(checks_budget_ns(0, 50), 0);
    ck_assert_int_eq(checks_budget_ns(-5, 50), 0);
}
END_TEST

START_TEST(too_many_bad_tokens_are_refused_before_the_next_is_checked) {
    stage_open(&s, FAILS("3/hour"));
    const char *good = bearer(&s, ADA);
    ck_assert_int_eq(usage(good), 200);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(usage(forged(ADA)), 401);
    ck_assert_int_eq(usage(forged(ADA)), 429);
    ck_assert(answer_has("\"too_many_failures\""));
    const struct field *retry = fields_find(s.answer.head.fields, FIELD_RETRY_AFTER);
    ck_assert_ptr_nonnull(retry);
    uint64_t seconds;
    ck_assert(str_to_u64(retry->value, &seconds) && seconds > 1000 && seconds <= 1200);
    ck_assert_str_eq(FIELD(&s, "RateLimit-Policy"), "\"auth_failures\";q=3;w=3600");
    ck_assert_str_eq(FIELD(&s, "RateLimit"),
                     TEXT(&s, "\"auth_failures\";r=0;t=%u", (unsigned)seconds));
    ck_assert_int_eq(usage(good), 200);                            /* is remembered */
    ck_assert_int_eq(usage(bearer(&s, "\"sub\":\"eve\"")), 429);   /* would be checked */
    ck_assert_int_eq(usage(""), 200);                              /* has none */
    ck_assert_int_eq(usage("Authorization: Bearer a.b\r\n"), 200); /* is none */
    stage_close(&s);
}
END_TEST

START_TEST(a_bad_token_that_is_sent_again_counts_once) {
    stage_open(&s, FAILS("2/hour"));
    const char *same = forged(ADA);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(usage(same), 401);
    ck_assert_int_eq(usage(forged(ADA)), 401);
    ck_assert_int_eq(usage(forged(ADA)), 429);
    ck_assert_int_eq(usage(same), 401);
    stage_close(&s);
}
END_TEST

START_TEST(tokens_that_have_expired_are_no_failures) {
    stage_open(&s, FAILS("1/hour"));
    for (int i = 0; i < 5; i++) {
        const char *token = token_with(&s, &s.key, "k1", TEXT(&s, "\"sub\":\"u%d\"", i), -3600);
        ck_assert_int_eq(usage(TEXT(&s, "Authorization: Bearer %s\r\n", token)), 401);
        ck_assert(answer_has("\"token_expired\""));
    }
    stage_close(&s);
}
END_TEST

START_TEST(each_address_has_its_own_failures) {
    stage_open(&s, FAILS("1/hour") "trust: { client_ip: fly }\n");
    for (int i = 0; i < 3; i++) {
        const char *from = TEXT(&s, "Fly-Client-IP: 203.0.113.%d\r\n", i);
        ck_assert_int_eq(usage(TEXT(&s, "%s%s", from, forged(ADA))), 401);
        ck_assert_int_eq(usage(TEXT(&s, "%s%s", from, forged(ADA))), 429);
    }
    stage_close(&s);
}
END_TEST

START_TEST(shadow_counts_them_and_refuses_nobody) {
    stage_open(&s, FAILS("1/hour") "limits_mode: shadow\n");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(usage(forged(ADA)), 401);
    struct buffer text = {0};
    ck_assert_int_eq(metrics_render(s.metrics, &text), 0);
    ck_assert(str_contains(buffer_bytes(&text),
                           STR("{policy=\"auth/failures\",mode=\"shadow\",result=\"refused\"} 2")));
    buffer_release(&text);
    stage_close(&s);
}
END_TEST

START_TEST(off_counts_none) {
    stage_open(&s, FAILS("1/hour") "limits_mode: \"off\"\n");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(usage(forged(ADA)), 401);
    stage_close(&s);
}
END_TEST

/* Many tokens that were never seen, all of which come in one turn of the loop. */
#define STRANGERS 12

static void ask_all(int fds[STRANGERS]) {
    const char *requests[STRANGERS];
    for (int i = 0; i < STRANGERS; i++) {
        fds[i] = join(&s);
        requests[i] = GET(&s, "/_jotgate/usage", forged(ADA));
    }
    for (int i = 0; i < STRANGERS; i++)
        rig_send(s.loop, fds[i], str_of(requests[i]));
}

START_TEST(who_is_remembered_does_not_wait_for_strangers) {
    stage_open(
        &s, "tokens: { check_share: 1% }\n"); /* so that strangers still wait on a busy machine */
    const char *known = GET(&s, "/_jotgate/usage", bearer(&s, ADA));
    int friend = ask(&s, known), strangers[STRANGERS];
    ck_assert_int_eq(hear(&s, friend), 200);
    ask_all(strangers);
    rig_send(s.loop, friend, str_of(known));
    ck_assert_int_eq(hear(&s, friend), 200);
    int n_answered = 0;
    for (int i = 0; i < STRANGERS; i++) {
        char byte;
        n_answered += recv(strangers[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }
    ck_assert_int_lt(n_answered, STRANGERS);
    for (int i = 0; i < STRANGERS; i++) {
        ck_assert_int_eq(hear(&s, strangers[i]), 401);
        close(strangers[i]);
    }
    close(friend);
    stage_close(&s);
}
END_TEST

START_TEST(those_that_are_too_many_to_wait_are_refused) {
    stage_open(&s, "tokens: { check_queue: 2, check_share: 1% }\n"); /* likewise */
    int fds[STRANGERS], n_checked = 0, n_refused = 0;
    ask_all(fds);
    for (int i = 0; i < STRANGERS; i++) {
        int status = hear(&s, fds[i]);
        n_checked += status == 401;
        n_refused += status == 503 && answer_has("\"overloaded\"");
        close(fds[i]);
    }
    ck_assert_int_eq(n_checked + n_refused, STRANGERS);
    ck_assert_int_gt(n_refused, 0);
    ck_assert_int_gt(n_checked, 0);
    stage_close(&s);
}
END_TEST

START_TEST(who_leaves_while_it_waits_is_forgotten) {
    stage_open(&s, "");
    int fds[STRANGERS];
    for (int round = 0; round < 3; round++) {
        ask_all(fds);
        rig_turn(s.loop);
        for (int i = 0; i < STRANGERS; i++)
            rig_reset(fds[i]);
        RUN_UNTIL(s.loop, gateway_count_connections(s.gateway) == 0);
    }
    ask_all(fds);
    rig_turn(s.loop);
    stage_close(&s); /* with whoever waits still */
    for (int i = 0; i < STRANGERS; i++)
        close(fds[i]);
}
END_TEST

START_TEST(settings_may_change_while_it_waits) {
    stage_open(&s, "");
    int fds[STRANGERS];
    ask_all(fds);
    rig_turn(s.loop);
    struct settings *settings = stage_settings(&s, "tokens: { check_queue: 1 }\n");
    struct metrics *metrics = metrics_next(s.metrics, settings);
    struct keyring *ring = stage_ring(s.key.jwk);
    struct epoch *epoch = epoch_new(&(struct epoch_parts){
        .settings = settings, .metrics = metrics, .n_connections = 100, .layout = ring->layout});
    ck_assert(metrics && epoch);
    settings_unref(settings);
    metrics_unref(metrics);
    gateway_change(s.gateway, epoch, ring);
    keyring_unref(ring);
    for (int i = 0; i < STRANGERS; i++) {
        ck_assert_int_eq(hear(&s, fds[i]), 401);
        close(fds[i]);
    }
    stage_close(&s);
}
END_TEST

SUITE_MAIN("gateway/checks", checks_have_their_share_of_both,
           too_many_bad_tokens_are_refused_before_the_next_is_checked,
           a_bad_token_that_is_sent_again_counts_once, tokens_that_have_expired_are_no_failures,
           each_address_has_its_own_failures, shadow_counts_them_and_refuses_nobody,
           off_counts_none, who_is_remembered_does_not_wait_for_strangers,
           those_that_are_too_many_to_wait_are_refused, who_leaves_while_it_waits_is_forgotten,
           settings_may_change_while_it_waits)
