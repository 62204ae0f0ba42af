/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* What the operator's own code may change through the public listener, with JOTGATE_ADMIN_TOKEN as its bearer; without that setting these
 * paths do not exist. Bodies are JSON objects of at most 64 KiB; what is wrong with one is said (400). Every write is logged: the
 * action, whom it is about, and from where; never the token.
 *
 *   GET, PUT /_jotgate/subjects/SUBJECT          {plan, status, anchor_day}: the record (record.h); PUT of {} forgets it
 *   GET      /_jotgate/subjects/SUBJECT/usage    what stands of every limit that counts by subject (or by a claim with this value), in every tier
 *   POST     /_jotgate/subjects/SUBJECT/grant    {policy, n}: gives back up to n of what was used; POLICY is a limit's name, or its id (free/default/daily)
 *   POST     /_jotgate/subjects/SUBJECT/charge   {policy, n}: n more were used; debt may stand
 *   POST     /_jotgate/subjects/SUBJECT/reset    nothing was used of any of them
 *   POST     /_jotgate/subjects/SUBJECT/revoke   tokens issued until now are void; signing in anew helps
 *   POST     /_jotgate/deny                      {subject | session_id | jti | ip, for}: "0s" lifts it
 *
 * SUBJECT is percent-encoded, and spelt as limits spell it. With Redis, others learn of it by the feed; without, it holds in this process. */
bool admin_api_matches(const struct exchange *x);
/* Answers, at once or when the body and Redis have come. */
void admin_api_answer(struct exchange *x);
void admin_api_body(struct exchange *x); /* more of the request's body can be read */
