/* SPDX-License-Identifier: MIT */
#pragma once
#include "io/key_fetch.h"
#include "io/key_origin.h"
#include "io/key_schedule.h"

/* Who an issuer is: what its tokens say (`issuer: auto`) and, with discovery, where its keys are. Read from its openid-configuration
 * (OpenID Connect Discovery 1.0, 4), which is asked until it was had once. Belongs to one thread. */
struct key_document {
    const struct key_origin *origin;
    char *url; /* NULL: nothing to ask */
    struct key_schedule schedule;
    bool is_had, is_failing;
    char *issuer;   /* NULL: not known yet, or the settings say it */
    char *keys_url; /* NULL: not known yet, or a file, or none */
    char error[160];
};

int key_document_init(struct key_document *document, const struct key_origin *origin) MUST_USE;
void key_document_fini(struct key_document *document);
/* Ask once; the schedule says when again. Blocks. */
void key_document_ask(struct key_document *document, struct key_fetcher *fetcher,
                      const struct key_times *times);
/* What is known of `auto` already, from before the settings were read anew. */
int key_document_inherit(struct key_document *document, struct str issuer) MUST_USE;
/* What `auto` means while the document cannot be had. No effect once the issuer is known, or when it is not auto. */
void key_document_assume(struct key_document *document);
/* The keys are not where it said: ask again. For discovery only. */
void key_document_doubt(struct key_document *document);
