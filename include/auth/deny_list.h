/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/claims.h"
#include "base/buffer.h"
#include "base/cidr.h"

/* Whom the operator has shut out, whatever their tokens say; each until a time.
 *
 *   subject:ada              the user, with every token
 *   issued:1764000000:ada    the user's tokens that were issued until then, or do not say when: who signs in anew comes in
 *   session_id:...           the tokens of one session (a claim of Supabase Auth's)
 *   jti:...                  one token
 *   ip:192.0.2.1             an address, whoever calls from it; IPv6: its /64
 *
 * These names are what Redis keeps and what the log is told. */
enum deny_kind { DENY_SUBJECT, DENY_ISSUED, DENY_SESSION, DENY_TOKEN, DENY_IP };
#define DENIAL_VALUE_MAX 256
#define DENIAL_NAME_MAX  (DENIAL_VALUE_MAX + 32)

/* Appends the name of a denial; `issued_s` is DENY_ISSUED's. -EINVAL: the value is empty, too long, or no address. -ENOMEM. */
int denial_name(struct buffer *out, enum deny_kind kind, struct str value,
                int64_t issued_s) MUST_USE;

/* Immutable once it is shared, reference-counted (atomic). Looking up costs a hash for each kind. */
struct deny_list;

struct deny_list *deny_list_new(void) MUST_USE; /* empty, one reference; NULL: memory is out */
/* Before it is shared. -EINVAL: `name` is no denial's. -ENOMEM. */
int deny_list_add(struct deny_list *list, struct str name, int64_t until_s) MUST_USE;
struct deny_list *deny_list_ref(struct deny_list *list);
void deny_list_unref(struct deny_list *list); /* takes NULL */
size_t deny_list_count(const struct deny_list *list);

bool deny_list_has_ip(const struct deny_list *list, const struct ip *ip, int64_t now_s);
enum deny_verdict {
    DENY_NOT,
    DENY_USER,    /* the subject: another token does not help */
    DENY_REVOKED, /* this token or its session: signing in anew does */
};
/* A verified caller: `subject` as limits spell it. Pure. */
enum deny_verdict deny_list_judge(const struct deny_list *list, struct str subject,
                                  const struct claims *claims, int64_t now_s) MUST_USE;
