/* SPDX-License-Identifier: MIT */
#include "tls_certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHAIN_MAX 16

/* ---- reading ---- */

static FILE *open_file(struct str path, const char *what, struct stat *status, char *why,
                       size_t n_why) {
    FILE *file = fopen(path.at, "re"); /* ends with a NUL: an arena's copy */
    if (file && fstat(fileno(file), status) == 0 && !S_ISDIR(status->st_mode))
        return file;
    snprintf(why, n_why, "the %s " STR_FMT " cannot be read: %s", what, STR_ARG(path),
             file ? strerror(EISDIR) : strerror(errno));
    if (file)
        fclose(file);
    return NULL;
}

/* The certificate comes first, then those that lead to its authority; other PEM blocks are passed over. */
static bool load_chain(struct tls_certificate *certificate, struct str path, char *why,
                       size_t n_why) {
    struct stat status;
    FILE *file = open_file(path, "certificate", &status, why, n_why);
    X509 *next;
    if (!file)
        return false;
    certificate->leaf = PEM_read_X509(file, NULL, NULL, NULL);
    certificate->chain = sk_X509_new_null();
    while (certificate->leaf && certificate->chain && sk_X509_num(certificate->chain) < CHAIN_MAX &&
           (next = PEM_read_X509(file, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(certificate->chain, next) <= 0)
            X509_free(next);
    /* PEM_R_NO_START_LINE is how its end looks; anything else is a block that is broken. */
    bool is_whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    fclose(file);
    if (certificate->leaf && certificate->chain && is_whole)
        return true;
    snprintf(why, n_why, "the certificate " STR_FMT " %s", STR_ARG(path),
             certificate->leaf ? "is followed by something that is none, or by too many"
                               : "holds none: expected PEM, -----BEGIN CERTIFICATE-----");
    return false;
}

/* OpenSSL would ask on the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *was_asked) {
    (void)to, (void)size, (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

static bool load_key(struct tls_certificate *certificate, struct str path, char *why,
                     size_t n_why) {
    struct stat status;
    bool was_asked = false;
    FILE *file = open_file(path, "key", &status, why, n_why);
    if (!file)
        return false;
    certificate->key_is_open = status.st_mode & S_IROTH;
    certificate->key = PEM_read_PrivateKey(file, NULL, no_passphrase, &was_asked);
    fclose(file);
    if (certificate->key)
        return true;
    snprintf(why, n_why, "the key " STR_FMT " %s", STR_ARG(path),
             was_asked ? "is locked by a passphrase; write it without one"
                       : "holds none: expected PEM, -----BEGIN PRIVATE KEY-----");
    return false;
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
