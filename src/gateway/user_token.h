/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* `credential: user`: what the upstream gets instead of an API key, so that row-level security sees the user: a token of the first issuer
 * for the key's subject, signed with supabase.signing_key. It lives for a minute, and not longer than the key; `held` keeps it
 * while enough of that is left. */
#define USER_TOKEN_TTL_S   60
#define USER_TOKEN_LEAST_S 15 /* so much is left of one that is used again */

struct signer;

/* Where the route says so, x->user_token; or x->caller becomes a refusal. */
void user_token_find(struct exchange *x, struct api_key_held *held, struct signer *signer);
