/* SPDX-License-Identifier: MIT */
/* Who an issuer is. An answer that is no such document settles the matter until the next refresh (older servers have none); no
 * answer settles nothing. */
#include "io/key_document.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define ISSUER_BYTES_MAX 1024

static bool replace_text(char **text, struct str value) {
    char *copy = str_dup(value);
    if (!copy)
        return false;
    free(*text);
    *text = copy;
    return true;
}

int key_document_init(struct key_document *document, const struct key_origin *origin) {
    struct str url = origin->discovery_url.n > 0 ? origin->discovery_url : origin->auto_issuer_url;
    *document =
        (struct key_document){.origin = origin, .schedule = {.due_ns = url.n > 0 ? 0 : INT64_MAX}};
    bool is_copied =
        (url.n == 0 || replace_text(&document->url, url)) &&
        (origin->jwks_url.n == 0 || replace_text(&document->keys_url, origin->jwks_url));
    return is_copied ? 0 : -ENOMEM;
}

void key_document_fini(struct key_document *document) {
    free(document->url);
    free(document->issuer);
    free(document->keys_url);
}

static int name_issuer(struct key_document *document, struct str value, const char *from) {
    if (document->issuer && str_eq(str_of(document->issuer), value))
        return 0;
    if (!replace_text(&document->issuer, value))
        return -ENOMEM;
    log_info("tokens must name this issuer", F_STR("issuer", document->origin->name),
             F_STR("iss", value), F_TEXT("from", from));
    return 0;
}

int key_document_inherit(struct key_document *document, struct str issuer) {
    return replace_text(&document->issuer, issuer) ? 0 : -ENOMEM;
}

void key_document_assume(struct key_document *document) {
    if (!document->issuer && document->origin->auto_issuer_default.n > 0)
        (void)!name_issuer(document, document->origin->auto_issuer_default, "settings");
}

void key_document_doubt(struct key_document *document) {
    assert(document->origin->discovery_url.n > 0);
    free(document->keys_url);
    document->keys_url = NULL;
    document->is_had = false;
}

/* A document had over TLS must not lead to keys without it. */
static bool may_lead_to(struct str from, struct str to) {
    return str_starts_nocase(to, STR("https://")) ||
           (str_starts_nocase(to, STR("http://")) && str_starts_nocase(from, STR("http://")));
}

static int read_text(struct key_document *document, struct str text, char why[160]) {
    struct doc *doc = doc_parse(text, why);
    const struct node *root = doc ? doc_root(doc) : NULL;
    struct str name = node_string(node_member(root, "issuer")),
               uri = node_string(node_member(root, "jwks_uri"));
    bool needs_uri = document->origin->discovery_url.n > 0;
    int failure = -EINVAL;
    if (doc && (name.n == 0 || name.n > ISSUER_BYTES_MAX))
        snprintf(why, 160, "the document has no issuer");
    else if (doc && needs_uri && !may_lead_to(str_of(document->url), uri))
        snprintf(why, 160, "the document has no jwks_uri that may be used");
    else if (doc)
        failure = needs_uri && !replace_text(&document->keys_url, uri)
                      ? -ENOMEM
                      : name_issuer(document, name, "discovery");
    doc_free(doc);
    return failure;
}

/* An answer that is no such document settles it for a while, no answer does not. */
static void note_failed(struct key_document *document, const char *why, bool is_settled,
                        int64_t refresh_s) {
    snprintf(document->error, sizeof(document->error), "%s", why);
    if (!document->is_failing)
        log_warn("the issuer's document could not be had", F_STR("issuer", document->origin->name),
                 F_TEXT("error", why));
    document->is_failing = true;
    if (!is_settled) {
        key_schedule_again(&document->schedule);
        return;
    }
    key_schedule_after(&document->schedule, refresh_s);
    key_document_assume(document);
}

void key_document_ask(struct key_document *document, struct key_fetcher *fetcher,
                      const struct key_times *times) {
    struct key_answer answer;
    key_fetcher_get(fetcher, document->url, "", times->timeout_ms, &answer);
    if (answer.status == 0 && key_fetcher_is_cancelled(fetcher))
        return;
    bool is_settled = answer.status > 0 && answer.status < 500 && answer.status != 429;
    int failure = -EINVAL;
    if (answer.status == 200)
        failure = read_text(document, buffer_bytes(&answer.body), answer.why);
    else if (answer.status > 0)
        snprintf(answer.why, sizeof(answer.why), "HTTP status %d", answer.status);

    document->is_had = failure == 0;
    if (failure == -ENOMEM) {
        note_failed(document, "out of memory", false, 0);
    } else if (failure < 0) {
        note_failed(document, answer.why, is_settled, times->refresh_s);
    } else {
        document->is_failing = false;
        document->schedule = (struct key_schedule){.due_ns = INT64_MAX};
    }
    key_answer_fini(&answer);
}
