/* SPDX-License-Identifier: MIT */
/* One SSL_CTX for all workers: OpenSSL lets threads share it, and what they share resumes anywhere. It holds the first certificate
 * and its twins (the same names, other kinds of key); a client that asks for another one has them exchanged on its own SSL. */
#include "io/tls_server.h"

#include "io/endpoint.h"
#include "tls_certificate.h"
#include "tls_state.h"
#include "tls_tickets.h"
#include <assert.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_S (7 * 86400)
#define KINDS  4 /* of keys that OpenSSL holds side by side: more than we know of in one place */

/* TLS 1.2: only what has forward secrecy and authenticates as it encrypts; TLS 1.3 has nothing else. */
#define CIPHERS \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

struct tls_server {
    atomic_uint references;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    struct tls_tickets *tickets;
    size_t n;
    struct tls_certificate certificates[];
};

/* ---- which certificate ---- */

struct choice {
    const struct tls_certificate *list[KINDS];
    size_t n;
};

/* The first of each kind of key. */
static void add(struct choice *choice, const struct tls_certificate *certificate) {
    for (size_t i = 0; i < choice->n; i++)
        if (EVP_PKEY_get_base_id(choice->list[i]->key) == EVP_PKEY_get_base_id(certificate->key))
            return;
    if (choice->n < KINDS)
        choice->list[choice->n++] = certificate;
}

static struct choice all_that_fit(const struct tls_server *server, const struct tls_wanted *wanted,
                                  bool exact) {
    struct choice choice = {.n = 0};
    for (size_t i = 0; i < server->n; i++)
        if (tls_certificate_fits(&server->certificates[i], wanted, exact))
            add(&choice, &server->certificates[i]);
    return choice;
}

static struct choice first_and_twins(const struct tls_server *server) {
    struct choice choice = {.list = {&server->certificates[0]}, .n = 1};
    for (size_t i = 1; i < server->n; i++)
        if (tls_certificate_is_twin(&server->certificates[0], &server->certificates[i]))
            add(&choice, &server->certificates[i]);
    return choice;
}

static struct tls_wanted wanted_of(SSL *ssl) {
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    struct tls_wanted wanted = {.host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)};
    struct endpoint here;
    struct ip ip;
    bool has_ip = wanted.host
                      ? ip_parse(str_of(wanted.host), &ip)
                      : endpoint_of_socket(stream->fd, &here) == 0 && endpoint_ip(&here, &ip, NULL);
    if (has_ip) {
        bool is_v4 = ip_is_v4(&ip);
        wanted.n_ip = is_v4 ? 4 : 16;
        memcpy(wanted.ip, is_v4 ? ip.bytes + 12 : ip.bytes, wanted.n_ip);
    }
    return wanted;
}

/* SSL_set_cert_cb(3): 1: go on. */
static int on_certificate(SSL *ssl, void *arg) {
    const struct tls_server *server = arg;
    struct tls_wanted wanted = wanted_of(ssl);
    struct choice choice = all_that_fit(server, &wanted, true);
    if (choice.n == 0)
        choice = all_that_fit(server, &wanted, false);
    if (choice.n == 0)
        return 1; /* the first: it may not be what the client wants, but it says so better than an alert */
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < choice.n; i++)
        if (SSL_use_cert_and_key(ssl, choice.list[i]->leaf, choice.list[i]->key,
                                 choice.list[i]->chain, 1) != 1)
            return 0;
    return 1;
}

/* ---- protocols ---- */

/* RFC 7301 3.2: "In the event that the server supports no protocols that the client advertises, then the server SHALL respond with a
 * fatal "no_application_protocol" alert." */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                   const unsigned char *offered, unsigned n_offered, void *arg) {
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)arg;
    int result = SSL_select_next_proto((unsigned char **)(uintptr_t)out, n_out, ours,
                                       sizeof(ours) - 1, offered, n_offered);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- life ---- */

static const char *openssl_reason(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "unknown reason";
}

static bool set_up(struct tls_server *server) {
    server->method = tls_bio_method();
    server->ctx = SSL_CTX_new(TLS_server_method());
    if (!server->tickets || !server->method || !server->ctx)
        return false;
    SSL_CTX *ctx = server->ctx;
    tls_set_up(ctx);
    tls_tickets_use(server->tickets, ctx);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_security_level(ctx, 2); /* 112 bits: RSA from 2048, no SHA-1 */
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (server->n > 1)
        SSL_CTX_set_cert_cb(ctx, on_certificate, server);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1;
}

/* Here, and not when a client asks for it, is found out what OpenSSL does not want. */
static bool can_use(const struct tls_server *server, const struct tls_certificate *certificate) {
    SSL *ssl = SSL_new(server->ctx);
    bool can = ssl && SSL_use_cert_and_key(ssl, certificate->leaf, certificate->key,
                                           certificate->chain, 1) == 1;
    SSL_free(ssl);
    return can;
}

static bool load_all(struct tls_server *server, const struct tls_files *files, size_t *index,
                     char *why, size_t n_why) {
    for (*index = 0; *index < server->n; ++*index) {
        struct tls_certificate *certificate = &server->certificates[*index];
        if (!tls_certificate_load(certificate, &files[*index], why, n_why))
            return false;
        ERR_clear_error();
        if (can_use(server, certificate))
            continue;
        snprintf(why, n_why, "the certificate " STR_FMT " cannot be used: %s",
                 STR_ARG(files[*index].certificate), openssl_reason());
        return false;
    }
    return true;
}

static bool use_first(struct tls_server *server) {
    SSL_CTX *ctx = server->ctx;
    struct choice choice = first_and_twins(server);
    for (size_t i = 0; i < choice.n; i++)
        if (SSL_CTX_use_cert_and_key(ctx, choice.list[i]->leaf, choice.list[i]->key,
                                     choice.list[i]->chain, 1) != 1)
            return false;
    return true;
}

static void say_where(const struct settings *settings, size_t index, const char *what,
                      char why[TLS_WHY_MAX]) {
    const struct tls_files *files = &settings->tls[index];
    snprintf(why, TLS_WHY_MAX, STR_FMT ":%zu:%zu: tls: %.*s", STR_ARG(settings->file), files->line,
             files->column, TLS_WHY_MAX, what);
}

struct tls_server *tls_server_new(const struct settings *settings,
                                  const struct tls_server *previous, char why[TLS_WHY_MAX]) {
    char what[TLS_WHY_MAX] = "";
    size_t index = 0;
    assert(settings->n_tls > 0);
    struct tls_server *server =
        calloc(1, sizeof(*server) + settings->n_tls * sizeof(server->certificates[0]));
    if (!server) {
        say_where(settings, 0, "out of memory", why);
        return NULL;
    }
    atomic_init(&server->references, 1);
    server->n = settings->n_tls;
    server->tickets = previous ? tls_tickets_ref(previous->tickets) : tls_tickets_new();
    ERR_clear_error();
    bool is_good = set_up(server) && load_all(server, settings->tls, &index, what, sizeof(what)) &&
                   use_first(server);
    if (is_good)
        return server;
    if (!what[0])
        snprintf(what, sizeof(what), "cannot be set up: %s", openssl_reason());
    say_where(settings, index < server->n ? index : 0, what, why);
    tls_server_unref(server);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *server) {
    atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    return server;
}

void tls_server_unref(struct tls_server *server) {
    if (!server || atomic_fetch_sub_explicit(&server->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < server->n; i++)
        tls_certificate_fini(&server->certificates[i]);
    SSL_CTX_free(server->ctx);
    BIO_meth_free(server->method);
    tls_tickets_unref(server->tickets);
    free(server);
}

/* ---- a stream ---- */

static void let_go(void *server) { tls_server_unref(server); }

struct tls_stream *tls_stream_accept(struct tls_server *server, int fd) {
    struct tls_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->fd = fd;
    stream->owner = tls_server_ref(server);
    stream->let_go = let_go;
    ERR_clear_error();
    if (!tls_stream_start(stream, server->ctx, server->method)) {
        tls_stream_free(stream);
        return NULL;
    }
    SSL_set_accept_state(stream->ssl);
    return stream;
}

/* ---- findings ---- */

struct lint {
    const struct settings *settings;
    settings_report *report;
    void *arg;
    size_t n;
};

static void find(struct lint *lint, size_t index, struct str file, const char *what) {
    char text[TLS_WHY_MAX], line[TLS_WHY_MAX];
    snprintf(text, sizeof(text), STR_FMT " %s", STR_ARG(file), what);
    say_where(lint->settings, index, text, line);
    lint->report(lint->arg, line);
    lint->n++;
}

static void look_at(struct lint *lint, size_t index, const struct tls_certificate *certificate,
                    int64_t wall_s) {
    const struct tls_files *files = &lint->settings->tls[index];
    time_t now = (time_t)wall_s, soon = (time_t)(wall_s + SOON_S);
    if (X509_cmp_time(X509_get0_notAfter(certificate->leaf), &now) <= 0)
        find(lint, index, files->certificate, "has expired: no client trusts it; renew it");
    else if (X509_cmp_time(X509_get0_notAfter(certificate->leaf), &soon) <= 0)
        find(lint, index, files->certificate, "expires within 7 days; renew it");
    if (X509_cmp_time(X509_get0_notBefore(certificate->leaf), &now) > 0)
        find(lint, index, files->certificate,
             "is not valid yet: no client trusts it; look at the clock");
    if (!tls_certificate_has_name(certificate))
        find(lint, index, files->certificate,
             "names nobody (no subjectAltName): no client accepts it");
    if (certificate->key_is_open)
        find(
            lint, index, files->key,
            "can be read by everybody on this machine; chmod 600, or 640 with the gateway's group");
}

size_t tls_server_lint(const struct tls_server *server, const struct settings *settings,
                       int64_t wall_s, settings_report *report, void *arg) {
    struct lint lint = {settings, report, arg, 0};
    assert(server->n == settings->n_tls);
    for (size_t i = 0; i < server->n; i++)
        look_at(&lint, i, &server->certificates[i], wall_s);
    return lint.n;
}
