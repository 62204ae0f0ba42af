/* SPDX-License-Identifier: MIT */
#include "io/redis_script.h"
#include "digest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char prologue[] = "local now = redis.call('TIME')\n"
                               "now = now[1] * 1000000 + now[2]\n"
                               "if now > tonumber(ARGV[1]) then\n"
                               "  return redis.error_reply('LATE the deadline has passed')\n"
                               "end\n";

int redis_script_init(struct redis_script *script, const char *body) {
    *script = (struct redis_script){0};
    if (asprintf(&script->source, "%s%s", prologue, body) < 0) {
        script->source = NULL;
        return -ENOMEM;
    }
    if (!sha1_hex(str_of(script->source), script->sha1)) {
        redis_script_fini(script);
        return -ENOMEM;
    }
    return 0;
}

void redis_script_fini(struct redis_script *script) {
    free(script->source);
    *script = (struct redis_script){0};
}
