/* SPDX-License-Identifier: MIT */
/* TLS towards servers: whom to trust, and sessions to resume. */
#include "io/tls.h"

#include "base/cidr.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "tls_certificate.h"
#include "tls_state.h"
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 253       /* of a host name, RFC 1035 */
#define CA_MAX_BYTES   (4 << 20) /* a system's whole bundle has 0.2 MiB */
#define SESSIONS       32        /* server names whose newest session is kept */

struct session {
    char *name;
    SSL_SESSION *newest;
};

struct tls_client {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    struct session sessions[SESSIONS];
    size_t next_session;            /* to be replaced when all are taken */
    struct tls_certificate *pinned; /* n_pinned of them; none: the chain and the name count */
    size_t n_pinned;
};

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
    struct tls_client *tls = stream->owner;
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
    tls_set_up(ctx);
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
    tls->method = tls_bio_method();
    tls->ctx = SSL_CTX_new(TLS_client_method());
    if (!tls->method || !tls->ctx || !set_up(tls)) {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        snprintf(why, 160, "TLS cannot be set up: %s", reason ? reason : "unknown reason");
        tls_client_free(tls);
        return NULL;
    }
    return tls;
}

static bool add_all(X509_STORE *store, BIO *pem) {
    X509 *authority;
    bool is_good = true;
    size_t n = 0;
    while (is_good && (authority = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL)) != NULL) {
        is_good = X509_STORE_add_cert(store, authority) == 1;
        X509_free(authority);
        n++;
    }
    /* PEM_R_NO_START_LINE is how its end looks; anything else is a block that is broken. */
    return is_good && n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static bool trust_only(SSL_CTX *ctx, struct str ca_file, char why[160]) {
    struct buffer text = {0};
    X509_STORE *store = X509_STORE_new();
    CLEANUP(cleanup_free) char *path = str_dup(ca_file);
    int failure = path ? file_read(path, CA_MAX_BYTES, FILE_PATIENCE_NS, &text) : -ENOMEM;
    BIO *pem = failure == 0 ? BIO_new_mem_buf(text.at, (int)buffer_length(&text)) : NULL;
    bool is_loaded = store && pem && add_all(store, pem);
    if (is_loaded)
        SSL_CTX_set_cert_store(ctx, store); /* takes it */
    else
        X509_STORE_free(store);
    BIO_free(pem);
    buffer_release(&text);
    if (failure < 0)
        snprintf(why, 160, STR_FMT " cannot be read: %s", STR_ARG(str_first(ca_file, 80)),
                 file_why(failure));
    else if (!is_loaded)
        snprintf(why, 160, "no certificate could be read from " STR_FMT,
                 STR_ARG(str_first(ca_file, 100)));
    return is_loaded;
}

struct tls_client *tls_client_new_private(struct str ca_file, char why[160]) {
    struct tls_client *tls = tls_client_new(why);
    if (!tls)
        return NULL;
    SSL_CTX_set_alpn_protos(tls->ctx, NULL, 0);
    if (ca_file.n > 0 && !trust_only(tls->ctx, ca_file, why)) {
        tls_client_free(tls);
        return NULL;
    }
    return tls;
}

/* In place of OpenSSL's verification. That the other side has the key, and not only the certificate, the handshake itself
 * proves (RFC 8446 4.4.3). */
static int is_pinned(X509_STORE_CTX *store, void *arg) {
    const struct tls_client *tls = arg;
    EVP_PKEY *shown = X509_get0_pubkey(X509_STORE_CTX_get0_cert(store));
    for (size_t i = 0; shown && i < tls->n_pinned; i++)
        if (EVP_PKEY_eq(shown, X509_get0_pubkey(tls->pinned[i].leaf)) == 1)
            return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool pin(struct tls_client *tls, const struct tls_files *files, size_t n, char why[160]) {
    tls->pinned = calloc(n, sizeof(*tls->pinned));
    if (!tls->pinned) {
        snprintf(why, 160, "out of memory");
        return false;
    }
    for (; tls->n_pinned < n; tls->n_pinned++)
        if (!tls_certificate_load_public(&tls->pinned[tls->n_pinned],
                                         files[tls->n_pinned].certificate, why, 160))
            return false;
    SSL_CTX_set_cert_verify_callback(tls->ctx, is_pinned, tls);
    return true;
}

struct tls_client *tls_client_new_pinned(const struct tls_files *files, size_t n, char why[160]) {
    struct tls_client *tls = tls_client_new(why);
    assert(n > 0);
    if (tls && pin(tls, files, n, why))
        return tls;
    tls_client_free(tls);
    return NULL;
}

void tls_client_free(struct tls_client *tls) {
    if (!tls)
        return;
    for (size_t i = 0; i < tls->n_pinned; i++)
        tls_certificate_fini(&tls->pinned[i]);
    free(tls->pinned);
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

static bool start_stream(struct tls_stream *stream, struct tls_client *tls) {
    if (!tls_stream_start(stream, tls->ctx, tls->method))
        return false;
    SSL_set_connect_state(stream->ssl);
    const struct session *session = find_session(tls, stream->name);
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
    stream->owner = tls;
    stream->fd = fd;
    memcpy(stream->name, server_name.at, server_name.n);
    ERR_clear_error();
    if (!start_stream(stream, tls)) {
        tls_stream_free(stream);
        return NULL;
    }
    return stream;
}
