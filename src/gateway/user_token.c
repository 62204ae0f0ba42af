/* SPDX-License-Identifier: MIT */
#include "user_token.h"

#include "auth/signer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "gateway_internal.h"
#include <errno.h>

/* As its own tokens have it. */
static struct str issuer_of(const struct exchange *x) {
    const struct issuer_rule *rule = &x->settings->tokens.issuers[0];
    const struct issuer_keys *known = &x->gateway->keyring->issuers[0];
    if (rule->n_issuers > 0)
        return rule->issuers[0];
    return known->n_issuers > 0 ? known->issuers[0] : x->settings->sources[0].auto_issuer_default;
}

static void forget(struct api_key_held *held) {
    if (held->token.at)
        bytes_wipe(held->token.at, held->token.size);
    buffer_clear(&held->token);
    held->token_until_s = 0;
}

static int sign(const struct exchange *x, struct api_key_record *record, struct api_key_held *held,
                struct signer *signer) {
    CLEANUP(buffer_release) struct buffer payload = {0};
    int64_t now = now_s(exchange_now(x)), ttl_s = USER_TOKEN_TTL_S;
    if (record->expires_s > 0 && record->expires_s - now < ttl_s)
        ttl_s = record->expires_s - now;
    forget(held);
    TRY(api_key_payload(record, issuer_of(x), now, ttl_s, &payload));
    TRY(signer_sign(signer, buffer_bytes(&payload), &held->token));
    held->token_until_s = now + ttl_s;
    return 0;
}

static int find(struct exchange *x, struct api_key_held *held, struct signer *signer) {
    struct api_key_record record;
    if (held->token_until_s - now_s(exchange_now(x)) < USER_TOKEN_LEAST_S) {
        TRY(api_key_record_read(&record, held->json, &x->arena));
        if (!access_first_sub(&x->settings->tokens, record.subject, &record.subject))
            return -EPERM;
        TRY(signer ? sign(x, &record, held, signer) : -EINVAL);
    }
    x->user_token = arena_copy(&x->arena, buffer_bytes(&held->token));
    return x->user_token.at ? 0 : -ENOMEM;
}

static void refuse(struct exchange *x, enum problem problem, const char *reason) {
    claims_unref(x->caller.claims);
    x->caller = (struct caller){.problem = problem, .reason = reason, .issuer = SIZE_MAX};
}

void user_token_find(struct exchange *x, struct api_key_held *held, struct signer *signer) {
    if (!x->route || x->route->credential != CREDENTIAL_USER || x->caller.problem != PROBLEM_NONE)
        return;
    int failure = find(x, held, signer);
    if (failure == -EPERM) {
        refuse(x, PROBLEM_INSUFFICIENT_SCOPE, "the API key's subject is no user of the project");
    } else if (failure < 0) {
        log_error("an API key's user got no token", F_TEXT("why", strerror(-failure)));
        refuse(x, PROBLEM_INTERNAL, "the user's token could not be signed");
    }
}
