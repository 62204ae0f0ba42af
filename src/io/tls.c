/* SPDX-License-Identifier: MIT */
/* TLS over a non-blocking socket: OpenSSL with a BIO of our own below it. The BIO sends without
 * SIGPIPE, and remembers that the socket is empty or full, so that OpenSSL's second look at each
 * record costs no system call. */
#include "io/tls.h"

#include "tls_state.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <sys/socket.h>

/* ---- the BIO */

static int bio_read(BIO *bio, char *at, int n) {
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = stream->can_read ? recv(stream->fd, at, (size_t)n, 0) : -1;
    if (got < 0 && (!stream->can_read || errno == EAGAIN)) {
        stream->can_read = false;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (got < 0)
        stream->failure = -errno;
    if (got == 0)
        stream->at_end = true;
    if (got < n && !stream->has_ended)
        stream->can_read = false;
    return (int)got;
}

static int bio_write(BIO *bio, const char *at, int n) {
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent = stream->can_write ? send(stream->fd, at, (size_t)n, MSG_NOSIGNAL) : -1;
    if (sent < 0 && (!stream->can_write || errno == EAGAIN)) {
        stream->can_write = false;
        BIO_set_retry_write(bio);
        return -1;
    }
    if (sent < 0)
        stream->failure = -errno;
    else if (sent < n)
        stream->can_write = false;
    return (int)sent;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number, (void)pointer;
    const struct tls_stream *stream = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return stream->at_end;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void) {
    /* Without an index of its own: there are only 127 of them, and reloads make a method each. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
    if (!method)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* ---- a stream */

void tls_set_up(SSL_CTX *ctx) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
}

bool tls_stream_start(struct tls_stream *stream, SSL_CTX *ctx, BIO_METHOD *method) {
    BIO *bio = BIO_new(method);
    stream->ssl = SSL_new(ctx);
    if (!bio || !stream->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_app_data(stream->ssl, stream);
    return true;
}

void tls_stream_free(struct tls_stream *stream) {
    if (!stream)
        return;
    SSL_free(stream->ssl);
    if (stream->let_go)
        stream->let_go(stream->owner);
    free(stream);
}

bool tls_stream_was_resumed(const struct tls_stream *stream) {
    return SSL_session_reused(stream->ssl) == 1;
}

void tls_stream_ready(struct tls_stream *stream, bool readable, bool writable, bool has_ended) {
    stream->can_read |= readable;
    stream->can_write |= writable;
    stream->has_ended |= has_ended;
}

/* ---- bytes */

/* What an OpenSSL call that did not succeed means: -EAGAIN, 0 for the peer's close_notify, or
 * how it broke. */
static int outcome_of(struct tls_stream *stream, int result) {
    int error = SSL_get_error(stream->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    return error == SSL_ERROR_SYSCALL && stream->failure ? stream->failure : -EPROTO;
}

#define UNVERIFIED "certificate verify failed: "

/* clang-format off */
static const struct { long code; const char *text; } verify_texts[] = {
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,         UNVERIFIED "self-signed certificate"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,           UNVERIFIED "self-signed in the chain"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,   UNVERIFIED "issuer not trusted"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,           UNVERIFIED "issuer not trusted"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,     UNVERIFIED "issuer not trusted"},
    {X509_V_ERR_CERT_HAS_EXPIRED,                    UNVERIFIED "certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID,                  UNVERIFIED "certificate is not yet valid"},
    {X509_V_ERR_HOSTNAME_MISMATCH,                   UNVERIFIED "it is for another host name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH,                 UNVERIFIED "it is for another address"},
    {X509_V_ERR_INVALID_PURPOSE,                     UNVERIFIED "it is not for servers"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE,              UNVERIFIED "bad signature"},
    {X509_V_ERR_APPLICATION_VERIFICATION,            UNVERIFIED "it has another key than the settings' tls"},
    {X509_V_ERR_CERT_REVOKED,                        UNVERIFIED "certificate is revoked"},
};
/* clang-format on */

static const char *verify_text(long code) {
    for (size_t i = 0; i < sizeof(verify_texts) / sizeof(verify_texts[0]); i++)
        if (verify_texts[i].code == code)
            return verify_texts[i].text;
    return "certificate verify failed";
}

int tls_stream_handshake(struct tls_stream *stream, const char **why) {
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    if (result == 1)
        return 0;
    int failure = outcome_of(stream, result);
    if (failure == -EAGAIN)
        return -EAGAIN;
    long verified = SSL_get_verify_result(stream->ssl);
    if (verified != X509_V_OK) {
        *why = verify_text(verified);
        return -EKEYREJECTED;
    }
    if (stream->at_end) {
        *why = "closed during the TLS handshake";
        return -ECONNABORTED;
    }
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error); /* lives as long as OpenSSL */
    *why = reason ? reason : "TLS handshake failed";
    if (ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST ||
        ERR_GET_REASON(error) == SSL_R_HTTPS_PROXY_REQUEST)
        return -EPROTOTYPE;
    return failure ? failure : -EPROTO;
}

ssize_t tls_stream_read(struct tls_stream *stream, void *at, size_t n) {
    size_t got = 0;
    ERR_clear_error();
    int result = SSL_read_ex(stream->ssl, at, n, &got);
    return result == 1 ? (ssize_t)got : outcome_of(stream, result);
}

/* The whole of `piece`, as far as the socket takes it; *failure says why it stopped early. */
static size_t write_piece(struct tls_stream *stream, const struct iovec *piece, int *failure) {
    size_t total = 0;
    while (total < piece->iov_len) {
        size_t done = 0;
        ERR_clear_error();
        int result = SSL_write_ex(stream->ssl, (const char *)piece->iov_base + total,
                                  piece->iov_len - total, &done);
        if (result != 1) {
            int outcome = outcome_of(stream, result);
            *failure = outcome ? outcome : -EPIPE;
            break;
        }
        total += done;
    }
    return total;
}

ssize_t tls_stream_write(struct tls_stream *stream, const struct iovec *pieces, int n) {
    ssize_t total = 0;
    int failure = 0;
    for (int i = 0; i < n && failure == 0; i++)
        total += (ssize_t)write_piece(stream, &pieces[i], &failure);
    return total > 0 || failure == 0 ? total : failure;
}

void tls_stream_end_write(struct tls_stream *stream) {
    if (!SSL_is_init_finished(stream->ssl) || (SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN))
        return;
    ERR_clear_error();
    SSL_shutdown(stream->ssl);
}

bool tls_stream_is_quiet(struct tls_stream *stream) {
    char byte;
    size_t got = 0;
    stream->can_read = true; /* look, whatever the edges said so far */
    ERR_clear_error();
    int result = SSL_peek_ex(stream->ssl, &byte, 1, &got);
    return result != 1 && outcome_of(stream, result) == -EAGAIN;
}
