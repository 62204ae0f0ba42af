/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include "base/pen.h"
#include <openssl/evp.h>

static bool digest_hex(struct str bytes, const EVP_MD *kind, char *out) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(bytes.at, bytes.n, digest, &n, kind, NULL) != 1)
        return false;
    *pen_hex(out, digest, n) = '\0';
    return true;
}

bool sha1_hex(struct str bytes, char out[41]) { return digest_hex(bytes, EVP_sha1(), out); }
bool sha256_hex(struct str bytes, char out[65]) { return digest_hex(bytes, EVP_sha256(), out); }
