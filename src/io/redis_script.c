/* SPDX-License-Identifier: MIT */
#include "io/redis_script.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static const char prologue[] = "local now = redis.call('TIME')\n"
                               "now = now[1] * 1000000 + now[2]\n"
                               "if now > tonumber(ARGV[1]) then\n"
                               "  return redis.error_reply('LATE the deadline has passed')\n"
                               "end\n";

int redis_script_init(struct redis_script *script, const char *body) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    *script = (struct redis_script){0};
    if (asprintf(&script->source, "%s%s", prologue, body) < 0) {
        script->source = NULL;
        return -ENOMEM;
    }
    if (EVP_Digest(script->source, strlen(script->source), digest, &n, EVP_sha1(), NULL) != 1) {
        redis_script_fini(script);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < n; i++)
        snprintf(script->sha1 + 2 * (size_t)i, 3, "%02x", digest[i]);
    return 0;
}

void redis_script_fini(struct redis_script *script) {
    free(script->source);
    *script = (struct redis_script){0};
}
