/* SPDX-License-Identifier: MIT */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

/* What the two sides of TLS share: tls.c (a stream's bytes), tls_client.c and tls_server.c (how
 * one begins). */
struct tls_stream {
    SSL *ssl;
    void *owner;                 /* struct tls_client or struct tls_server */
    void (*let_go)(void *owner); /* when the stream is freed; or NULL */
    int fd;
    /* The socket; has_ended: a short read is no longer a sign that it is empty */
    bool can_read, can_write;
    bool has_ended, at_end;
    int failure; /* of the socket, negative errno */
    char name[]; /* of the server, for a client */
};

BIO_METHOD *tls_bio_method(void); /* NULL when memory is out */
/* What both sides want of OpenSSL. */
void tls_set_up(SSL_CTX *ctx);
/* The SSL of a stream whose other members are set. False when memory is out. */
bool tls_stream_start(struct tls_stream *stream, SSL_CTX *ctx, BIO_METHOD *method);
