/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/tls.h"
#include "settings/settings.h"

/* What serving TLS needs, made of the settings' `tls`: certificates and keys, read from their files once; TLS 1.2 and 1.3 with forward
 * secrecy, ALPN http/1.1 (RFC 7301: who offers only others gets no_application_protocol), no renegotiation, no early data, sessions
 * resumed by tickets alone.
 *
 * An immutable snapshot, reference-counted (atomic), shared by all workers; each stream holds a reference. The keys that seal tickets
 * are behind it and are shared too, so a client resumes on any worker. Settings that are read again need a new one: made with the old
 * one as `previous`, it goes on with the old one's ticket keys, and what was open stays as it was. */
struct tls_server;

#define TLS_WHY_MAX 512

/* NULL with why, "file:line:column: tls: ...", which names files and never says what is in a key. `previous` may be NULL.
 * settings->n_tls > 0. Reads files: blocks. */
struct tls_server *tls_server_new(const struct settings *settings,
                                  const struct tls_server *previous,
                                  char why[TLS_WHY_MAX]) MUST_USE;
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server); /* takes NULL */

/* What works but is probably not meant: a certificate out of its time at `wall_s` or soon, or without a name; a key that everybody on the machine can
 * read. `settings` are those it was made of. Returns how many. */
size_t tls_server_lint(const struct tls_server *server, const struct settings *settings,
                       int64_t wall_s, settings_report *report, void *arg);

/* The server's side of a connection. Which certificate it shows is chosen by the name that the client asks for (SNI), else by the
 * address that it came to; an exact name before a wildcard, and the first one when none fits. Of several that fit, one of each kind of
 * key (ECDSA, RSA) is offered. The fd stays the caller's. NULL when memory is out. */
struct tls_stream *tls_stream_accept(struct tls_server *server, int fd) MUST_USE;
