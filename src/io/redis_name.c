/* SPDX-License-Identifier: MIT */
#include "io/redis_name.h"

#include "base/pen.h"
#include "digest.h"
#include "http/octets.h"
#include <stdio.h>

#define PLAIN_BYTES_MAX 64

static bool is_plain(struct str whom) {
    bool is_plain = whom.n <= PLAIN_BYTES_MAX;
    for (size_t i = 0; is_plain && i < whom.n; i++)
        is_plain = octet_is(whom.at[i], OCTET_ALNUM) || memchr("-_.:@+|/", whom.at[i], 8);
    return is_plain;
}

bool redis_name(struct str whom, char out[REDIS_NAME_MAX]) {
    char hex[65] = "";
    if (is_plain(whom)) {
        *pen_str(out, whom) = '\0';
        return true;
    }
    bool done = sha256_hex(whom, hex);
    snprintf(out, REDIS_NAME_MAX, "#%s", hex);
    return done;
}
