/* SPDX-License-Identifier: MIT */
#include "tls_certificate.h"

#include "base/file.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHAIN_MAX     16
#define PEM_MAX_BYTES (256 * 1024)

/* ---- reading ---- */

static bool read_pem(struct str path, const char *what, struct buffer *text, char *why,
                     size_t n_why) {
    int failure = file_read(path.at, PEM_MAX_BYTES, FILE_PATIENCE_NS, text);
    if (failure < 0) /* the path ends with a NUL: an arena's copy */
        snprintf(why, n_why, "the %s " STR_FMT " cannot be read: %s", what, STR_ARG(path),
                 file_why(failure));
    return failure == 0;
}

/* The certificate comes first, then those that lead to its authority; other PEM blocks are passed over. */
static bool parse_chain(struct tls_certificate *certificate, BIO *pem) {
    X509 *next;
    certificate->leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    certificate->chain = sk_X509_new_null();
    while (certificate->leaf && certificate->chain && sk_X509_num(certificate->chain) < CHAIN_MAX &&
           (next = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(certificate->chain, next) <= 0)
            X509_free(next);
    /* PEM_R_NO_START_LINE is how its end looks; anything else is a block that is broken. */
    bool is_whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    return certificate->leaf && certificate->chain && is_whole;
}

static bool load_chain(struct tls_certificate *certificate, struct str path, char *why,
                       size_t n_why) {
    struct buffer text = {0};
    bool is_read = read_pem(path, "certificate", &text, why, n_why);
    BIO *pem = is_read ? BIO_new_mem_buf(text.at, (int)buffer_length(&text)) : NULL;
    bool is_good = pem && parse_chain(certificate, pem);
    BIO_free(pem);
    buffer_release(&text);
    if (is_read && !is_good)
        snprintf(why, n_why, "the certificate " STR_FMT " %s", STR_ARG(path),
                 certificate->leaf ? "is followed by something that is none, or by too many"
                                   : "holds none: expected PEM, -----BEGIN CERTIFICATE-----");
    return is_good;
}

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *was_asked) {
    (void)to, (void)size, (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

static bool load_key(struct tls_certificate *certificate, struct str path, char *why,
                     size_t n_why) {
    struct buffer text = {0};
    struct stat status;
    bool was_asked = false, is_read = read_pem(path, "key", &text, why, n_why);
    BIO *pem = is_read ? BIO_new_mem_buf(text.at, (int)buffer_length(&text)) : NULL;
    certificate->key_is_open = stat(path.at, &status) == 0 && (status.st_mode & S_IROTH);
    certificate->key = pem ? PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, &was_asked) : NULL;
    BIO_free(pem);
    bytes_wipe(text.at, text.size);
    buffer_release(&text);
    if (is_read && !certificate->key)
        snprintf(why, n_why, "the key " STR_FMT " %s", STR_ARG(path),
                 was_asked ? "is locked by a passphrase; write it without one"
                           : "holds none: expected PEM, -----BEGIN PRIVATE KEY-----");
    return certificate->key;
}

bool tls_certificate_load(struct tls_certificate *certificate, const struct tls_files *files,
                          char *why, size_t n_why) {
    *certificate = (struct tls_certificate){0};
    ERR_clear_error();
    if (load_chain(certificate, files->certificate, why, n_why) &&
        load_key(certificate, files->key, why, n_why)) {
        if (X509_check_private_key(certificate->leaf, certificate->key) == 1)
            return true;
        snprintf(why, n_why, "the key " STR_FMT " does not belong to the certificate " STR_FMT,
                 STR_ARG(files->key), STR_ARG(files->certificate));
    }
    tls_certificate_fini(certificate);
    return false;
}

bool tls_certificate_load_public(struct tls_certificate *certificate, struct str path, char *why,
                                 size_t n_why) {
    *certificate = (struct tls_certificate){0};
    ERR_clear_error();
    if (load_chain(certificate, path, why, n_why))
        return true;
    tls_certificate_fini(certificate);
    return false;
}

void tls_certificate_fini(struct tls_certificate *certificate) {
    X509_free(certificate->leaf);
    sk_X509_pop_free(certificate->chain, X509_free);
    EVP_PKEY_free(certificate->key);
    *certificate = (struct tls_certificate){0};
}

/* ---- names ---- */

bool tls_certificate_fits(const struct tls_certificate *certificate,
                          const struct tls_wanted *wanted, bool exact) {
    unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    if (wanted->n_ip > 0)
        return X509_check_ip(certificate->leaf, wanted->ip, wanted->n_ip, 0) == 1;
    if (exact)
        flags |= X509_CHECK_FLAG_NO_WILDCARDS;
    return wanted->host && X509_check_host(certificate->leaf, wanted->host, 0, flags, NULL) == 1;
}

static const ASN1_OCTET_STRING *names_of(const struct tls_certificate *certificate) {
    int at = X509_get_ext_by_NID(certificate->leaf, NID_subject_alt_name, -1);
    return at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(certificate->leaf, at));
}

bool tls_certificate_is_twin(const struct tls_certificate *a, const struct tls_certificate *b) {
    const ASN1_OCTET_STRING *left = names_of(a), *right = names_of(b);
    return left && right && ASN1_OCTET_STRING_cmp(left, right) == 0;
}

bool tls_certificate_has_name(const struct tls_certificate *certificate) {
    return names_of(certificate) != NULL;
}
