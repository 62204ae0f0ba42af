/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include <openssl/ssl.h>

/* The keys that seal session tickets (RFC 5077, RFC 8446 4.6.1): of the process, shared by all that serve TLS in it, from any thread.
 * A key seals for as long as a session lives, and opens for as long again; then it is wiped, and what was recorded under it stays
 * closed for good. */
struct tls_tickets;

#define TLS_SESSION_S 7200

struct tls_tickets *tls_tickets_new(void) MUST_USE; /* NULL when memory is out */
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets); /* takes NULL */
/* Sessions of `ctx` live in tickets sealed by these keys, and nowhere else. Takes no reference: `tickets` must outlive its streams. */
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ctx);
