/* SPDX-License-Identifier: MIT */
#pragma once
/* A certificate authority and TLS servers for tests, made on the spot with OpenSSL. */
#include "rig.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

struct wanted_cert {
    const char *san, *usage; /* NULL: none */
    long from_s, until_s;    /* from now */
    bool is_ca;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Issuer NULL: signs itself. */
static struct identity identity_new(const struct identity *issuer, struct wanted_cert wanted) {
    static long serial = 1;
    struct identity made = {EVP_EC_gen("P-256"), X509_new()};
    const struct identity *by = issuer ? issuer : &made;
    X509 *cert = made.cert;
    ck_assert(made.key && cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), wanted.from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert), wanted.until_s);
    X509_set_pubkey(cert, made.key);
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *text = (const unsigned char *)(wanted.is_ca ? "test authority" : "server");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(by->cert));
    add_extension(cert, by->cert, NID_basic_constraints,
                  wanted.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (wanted.is_ca)
        add_extension(cert, by->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (wanted.san)
        add_extension(cert, by->cert, NID_subject_alt_name, wanted.san);
    if (wanted.usage)
        add_extension(cert, by->cert, NID_ext_key_usage, wanted.usage);
    ck_assert_int_gt(X509_sign(cert, by->key, EVP_sha256()), 0);
    return made;
}

static void identity_free(struct identity *identity) {
    EVP_PKEY_free(identity->key);
    X509_free(identity->cert);
}

/* From now on this authority, and no other, is what the system trusts. */
__attribute__((unused)) static void authority_install(const struct identity *authority) {
    char path[] = "/tmp/jg-authority-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    ck_assert_int_eq(PEM_write_X509(file, authority->cert), 1);
    fclose(file);
    setenv("SSL_CERT_FILE", path, 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
}
__attribute__((unused)) static void authority_uninstall(void) { unlink(getenv("SSL_CERT_FILE")); }

static int choose_http(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                       const unsigned char *in, unsigned n_in, void *arg) {
    (void)ssl, (void)arg;
    static const unsigned char http[] = "\x08http/1.1";
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n_out, http, 9, in, n_in) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

__attribute__((unused)) static SSL_CTX *server_context(const struct identity *identity, int lowest,
                                                       int highest) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, identity->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, identity->key), 1);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, lowest);
    SSL_CTX_set_max_proto_version(ctx, highest);
    SSL_CTX_set_alpn_select_cb(ctx, choose_http, NULL);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
    return ctx;
}

static bool would_block(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Accepts, and shakes hands as far as the client lets it; *is_open says whether that went well. */
__attribute__((unused)) static SSL *server_accept(struct loop *loop, SSL_CTX *ctx, int listener,
                                                  bool *is_open) {
    SSL *ssl = SSL_new(ctx);
    int result = 0;
    SSL_set_fd(ssl, rig_accept(loop, listener));
    SSL_set_accept_state(ssl);
    RUN_UNTIL(loop, ({
                  ERR_clear_error();
                  (result = SSL_do_handshake(ssl)) == 1 || !would_block(ssl, result);
              }));
    *is_open = result == 1;
    return ssl;
}
__attribute__((unused)) static void server_send(struct loop *loop, SSL *ssl, struct str data) {
    while (data.n > 0) {
        int n = 0;
        RUN_UNTIL(loop, (n = SSL_write(ssl, data.at, (int)data.n)) > 0 || !would_block(ssl, n));
        ck_assert_int_gt(n, 0);
        data = str_skip(data, (size_t)n);
    }
}
static void server_expect(struct loop *loop, SSL *ssl, struct str data) {
    char got[4096];
    for (size_t at = 0; at < data.n;) {
        int n = 0;
        RUN_UNTIL(loop, (n = SSL_read(ssl, got, (int)(data.n - at))) > 0 || !would_block(ssl, n));
        ck_assert_int_gt(n, 0);
        ck_assert_mem_eq(got, data.at + at, (size_t)n);
        at += (size_t)n;
    }
}
/* With close_notify, or cut. */
static void server_close(SSL *ssl, bool says_so) {
    int fd = SSL_get_fd(ssl);
    if (says_so)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}
