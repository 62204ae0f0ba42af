/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "base/str.h"
#include <sys/types.h>
#include <sys/uio.h>

/* TLS over a non-blocking socket (OpenSSL; this is its door for TLS). Knows nothing of loops:
 * io/connection drives it. The side that accepts is io/tls_server. */

/* What outgoing TLS needs: one SSL_CTX per worker; system trust (SSL_CERT_FILE, SSL_CERT_DIR
 * heeded), TLS 1.2+, chain and host name verified, the newest session of each server name
 * resumed, ALPN http/1.1, no renegotiation. */
struct tls_client;
struct tls_client *tls_client_new(char why[160]) MUST_USE;
/* For another protocol than HTTP: no ALPN; `ca_file` (PEM; empty: the system) is trusted instead of the
 * system's authorities. Blocks while it is read (base/file.h). NULL with why. */
struct tls_client *tls_client_new_private(struct str ca_file, char why[160]) MUST_USE;
/* For a server of our own, known by the key of one of its certificates (of the settings' `tls`, n > 0): nothing else is looked at, neither
 * names nor dates nor authorities. The keys' own files are not read. Blocks as above. NULL with why. */
struct tls_files;
struct tls_client *tls_client_new_pinned(const struct tls_files *files, size_t n,
                                         char why[160]) MUST_USE;
void tls_client_free(struct tls_client *tls); /* takes NULL; no stream may be open */

/* One connection's TLS. */
struct tls_stream;
/* `server_name`: what the certificate must name, a host or an address (no SNI for that). The fd
 * stays the caller's. NULL when memory is out or the name cannot be one. */
struct tls_stream *tls_stream_new(struct tls_client *tls, int fd, struct str server_name) MUST_USE;
void tls_stream_free(struct tls_stream *stream); /* takes NULL; sends nothing */
bool tls_stream_was_resumed(const struct tls_stream *stream);

/* The socket's edges, as epoll told them: without one, no call touches the socket again after it
 * was found empty or full. After any edge both reading and writing are worth trying, for either
 * may have waited for the other's direction. */
void tls_stream_ready(struct tls_stream *stream, bool readable, bool writable, bool has_ended);

/* 0: done. -EAGAIN; else failed: -EKEYREJECTED when the certificate was not good, -EPROTOTYPE when
 * a client speaks plain HTTP, -ECONNABORTED when the peer closed, -EPROTO, or the socket's errno;
 * *why is a constant. */
int tls_stream_handshake(struct tls_stream *stream, const char **why) MUST_USE;
/* As connection_read and connection_write. */
ssize_t tls_stream_read(struct tls_stream *stream, void *at, size_t n) MUST_USE;
ssize_t tls_stream_write(struct tls_stream *stream, const struct iovec *pieces, int n) MUST_USE;
/* close_notify, as far as the socket takes it. */
void tls_stream_end_write(struct tls_stream *stream);
/* Nothing to read and not ended? Takes in what is not data (session tickets). */
bool tls_stream_is_quiet(struct tls_stream *stream);
