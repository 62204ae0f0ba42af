/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Is this caller shut out (auth/deny_list.h)? PROBLEM_NONE, or with *reason, a constant:
 *
 *   an address, a subject    403 DENIED: no other token helps
 *   a session, a token       401 BAD_JWT, as RFC 6750 3.1 has it for revoked ones: signing in anew helps
 *
 * Asked at each request, whatever the token cache remembers. */
enum problem denials_of_address(const struct exchange *x, const char **reason) MUST_USE;
enum problem denials_of_caller(const struct exchange *x, const char **reason) MUST_USE;

bool denials_apply(const struct exchange *x) MUST_USE; /* either */
