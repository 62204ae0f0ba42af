/* SPDX-License-Identifier: MIT */
#include "digest.h"
#include <openssl/evp.h>

static bool digest_hex(struct str bytes, const EVP_MD *kind, char *out) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(bytes.at, bytes.n, digest, &n, kind, NULL) != 1)
        return false;
    for (unsigned i = 0; i < n; i++) {
        *out++ = digits[digest[i] >> 4];
        *out++ = digits[digest[i] & 15];
    }
    *out = '\0';
    return true;
}

bool sha1_hex(struct str bytes, char out[41]) { return digest_hex(bytes, EVP_sha1(), out); }
bool sha256_hex(struct str bytes, char out[65]) { return digest_hex(bytes, EVP_sha256(), out); }
