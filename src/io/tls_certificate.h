/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/result.h"
#include "settings/settings.h"
#include <openssl/ssl.h>

/* One entry of `tls`: a certificate, what leads from it to its authority, and its key. */
struct tls_certificate {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    bool key_is_open; /* its file can be read by everybody on the machine */
};

/* False with why: which file, and what is wrong with it. */
bool tls_certificate_load(struct tls_certificate *certificate, const struct tls_files *files,
                          char *why, size_t n_why) MUST_USE;
/* The same without the key, whose file need not be there. */
bool tls_certificate_load_public(struct tls_certificate *certificate, struct str path, char *why,
                                 size_t n_why) MUST_USE;
void tls_certificate_fini(struct tls_certificate *certificate);

/* What a client asks for: a name (SNI), else an address. */
struct tls_wanted {
    const char *host; /* or NULL */
    unsigned char ip[16];
    size_t n_ip; /* 0, 4 or 16 */
};
/* RFC 6125: names by the alternative names alone, a wildcard for one whole label; `exact`: no wildcard. */
bool tls_certificate_fits(const struct tls_certificate *certificate,
                          const struct tls_wanted *wanted, bool exact);
/* Are two certificates for the very same names? */
bool tls_certificate_is_twin(const struct tls_certificate *a, const struct tls_certificate *b);
bool tls_certificate_has_name(const struct tls_certificate *certificate);
