/* SPDX-License-Identifier: MIT */
/* TLS over a non-blocking socket: OpenSSL with a BIO of our own below it. The BIO sends without
 * SIGPIPE, and remembers that the socket is empty or full, so that OpenSSL's second look at each
 * record costs no system call. */
#include "io/tls.h"
#include "base/cidr.h"
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define NAME_MAX_BYTES 253 /* of a host name, RFC 1035 */
#define SESSIONS       32  /* server names whose newest session is kept */

struct session {
    char *name;
    SSL_SESSION *newest;
};

struct tls_client {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    struct session sessions[SESSIONS];
    size_t next_session; /* to be replaced when all are taken */
};

struct tls_stream {
    SSL *ssl;
    struct tls_client *client;
    int fd;
    /* The socket; has_ended: a short read is no longer a sign that it is empty */
    bool can_read, can_write;
    bool has_ended, at_end;
    int failure; /* of the socket, negative errno */
    char name[];
};

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

static BIO_METHOD *new_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (!method)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* ---- sessions */

static struct session *find_session(struct tls_client *tls, const char *name) {
    for (size_t i = 0; i < SESSIONS; i++)
        if (tls->sessions[i].name && strcmp(tls->sessions[i].name, name) == 0)
            return &tls->sessions[i];
    return NULL;
}

static void forget_session(struct session *session) {
    SSL_SESSION_free(session->newest);
    free(session->name);
    *session = (struct session){0};
}

/* OpenSSL has a new ticket. 1: the reference is ours. */
static int on_new_session(SSL *ssl, SSL_SESSION *newest) {
    struct tls_stream *stream = SSL_get_app_data(ssl);
    struct tls_client *tls = stream->client;
    struct session *session = find_session(tls, stream->name);
    if (!session) {
        session = &tls->sessions[tls->next_session];
        tls->next_session = (tls->next_session + 1) % SESSIONS;
        forget_session(session);
        session->name = str_dup(str_of(stream->name));
        if (!session->name)
            return 0;
    }
    SSL_SESSION_free(session->newest);
    session->newest = newest;
    return 1;
}

/* ---- the client */

static bool set_up(struct tls_client *tls) {
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *ctx = tls->ctx;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) == 0 &&
           SSL_CTX_set_default_verify_paths(ctx) == 1;
}

struct tls_client *tls_client_new(char why[160]) {
    struct tls_client *tls = calloc(1, sizeof(*tls));
    if (!tls) {
        snprintf(why, 160, "out of memory");
        return NULL;
    }
    ERR_clear_error();
    tls->method = new_method();
    tls->ctx = SSL_CTX_new(TLS_client_method());
    if (!tls->method || !tls->ctx || !set_up(tls)) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        snprintf(why, 160, "TLS cannot be set up: %s", reason ? reason : "unknown reason");
        tls_client_free(tls);
        return NULL;
    }
    return tls;
}

static bool trust_only(SSL_CTX *ctx, struct str ca_file) {
    X509_STORE *store = X509_STORE_new();
    char *path = str_dup(ca_file);
    bool is_loaded = false;
    if (store && path) {
        SSL_CTX_set_cert_store(ctx, store);
        is_loaded = SSL_CTX_load_verify_locations(ctx, path, NULL) == 1;
    } else {
        X509_STORE_free(store);
    }
    free(path);
    return is_loaded;
}

struct tls_client *tls_client_new_private(struct str ca_file, char why[160]) {
    struct tls_client *tls = tls_client_new(why);
    if (!tls)
        return NULL;
    SSL_CTX_set_alpn_protos(tls->ctx, NULL, 0);
    if (ca_file.n > 0 && !trust_only(tls->ctx, ca_file)) {
        snprintf(why, 160, "no certificate could be read from " STR_FMT,
                 STR_ARG(str_first(ca_file, 100)));
        tls_client_free(tls);
        return NULL;
    }
    return tls;
}

void tls_client_free(struct tls_client *tls) {
    if (!tls)
        return;
    for (size_t i = 0; i < SESSIONS; i++)
        forget_session(&tls->sessions[i]);
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->method);
    free(tls);
}

/* ---- a stream */

static bool expect_name(SSL *ssl, const char *name) {
    struct ip ip;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (ip_parse(str_of(name), &ip)) {
        bool is_v4 = ip_is_v4(&ip);
        return X509_VERIFY_PARAM_set1_ip(param, is_v4 ? ip.bytes + 12 : ip.bytes, is_v4 ? 4 : 16) ==
               1;
    }
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool start_stream(struct tls_stream *stream) {
    BIO *bio = BIO_new(stream->client->method);
    stream->ssl = SSL_new(stream->client->ctx);
    if (!bio || !stream->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_app_data(stream->ssl, stream);
    SSL_set_connect_state(stream->ssl);
    const struct session *session = find_session(stream->client, stream->name);
    return expect_name(stream->ssl, stream->name) &&
           (!session || SSL_set_session(stream->ssl, session->newest) == 1);
}

struct tls_stream *tls_stream_new(struct tls_client *tls, int fd, struct str server_name) {
    /* The dot of an absolute name is not part of what a certificate says. */
    if (str_ends(server_name, STR(".")))
        server_name.n--;
    if (server_name.n == 0 || server_name.n > NAME_MAX_BYTES ||
        memchr(server_name.at, 0, server_name.n))
        return NULL;
    struct tls_stream *stream = calloc(1, sizeof(*stream) + server_name.n + 1);
    if (!stream)
        return NULL;
    stream->client = tls;
    stream->fd = fd;
    memcpy(stream->name, server_name.at, server_name.n);
    ERR_clear_error();
    if (!start_stream(stream)) {
        tls_stream_free(stream);
        return NULL;
    }
    return stream;
}

void tls_stream_free(struct tls_stream *stream) {
    if (!stream)
        return;
    SSL_free(stream->ssl);
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
    const char *reason = ERR_reason_error_string(ERR_peek_error()); /* lives as long as OpenSSL */
    *why = stream->at_end ? "closed during the TLS handshake"
           : reason       ? reason
                          : "TLS handshake failed";
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
