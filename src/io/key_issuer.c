/* SPDX-License-Identifier: MIT */
/* One issuer's keys.
 *
 *            ┌─ unchanged (304, the same bytes) ───────────────┐
 *   fetch ───┼─ a set ─────────────────── adopted ─────────────┼─► fresh, next at `refresh` or sooner
 *            ├─ a set without keys, and we had some ── doubted ┼─► as failed, asked again after a minute; adopted when it is
 *            │                                                 │   still empty then
 *            └─ anything else ────────────────── failed ───────┴─► the old set stays until max_stale; back-off 1 s .. 30 s
 *
 * Whose tokens they are (`issuer: auto`) is asked beside that, until it was answered. */
#include "io/key_issuer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define REFRESH_MIN_S 60
#define BACKOFF_MAX_S 30

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t mono_now(void) { return clock_now().mono_ns; }

int64_t key_issuer_due(const struct key_issuer *issuer) {
    return smaller(issuer->document.schedule.due_ns, issuer->fetch.due_ns);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

bool key_issuer_has_source(const struct key_origin *origin) {
    return origin->jwks_url.n > 0 || origin->jwks_file.n > 0 || origin->discovery_url.n > 0;
}

static void on_skipped(void *arg, struct str kid, const char *reason) {
    const struct key_issuer *issuer = arg;
    log_warn("a published key cannot be used", F_STR("issuer", issuer->origin->name),
             F_STR("kid", str_first(kid, 64)), F_TEXT("reason", reason));
}

static int parse(const struct key_issuer *issuer, struct str document, struct keyset **out,
                 char why[160]) {
    const struct keyset_options options = {
        .algorithms = issuer->origin->algorithms,
        .hs256_secret = issuer->origin->hs256_secret,
        .is_lasting = true,
        .on_skipped = on_skipped,
        .arg = (void *)issuer,
    };
    return keyset_parse(out, document, &options, why);
}

int key_issuer_init(struct key_issuer *issuer, const struct key_origin *origin,
                    const struct key_times *times) {
    assert((origin->jwks_url.n > 0) + (origin->jwks_file.n > 0) + (origin->discovery_url.n > 0) <=
           1);
    *issuer = (struct key_issuer){.origin = origin, .times = times, .state = KEYS_NEVER};
    hash_key_new(&issuer->hash_key);
    TRY(key_document_init(&issuer->document, origin));
    if (!key_issuer_has_source(origin)) {
        /* Nothing to wait for: the secret is all there is. */
        issuer->state = KEYS_FRESH;
        issuer->fetch.due_ns = INT64_MAX;
        key_document_assume(&issuer->document);
    }
    char why[160];
    return origin->hs256_secret.n > 0 ? parse(issuer, STR_NONE, &issuer->keys, why) : 0;
}

int key_issuer_inherit(struct key_issuer *issuer, const struct issuer_keys *shown,
                       int64_t good_ns) {
    char why[160];
    struct keyset *keys = NULL;
    struct str document = shown->keys ? keyset_document(shown->keys) : STR_NONE;
    if (shown->state == KEYS_NEVER || document.n == 0)
        return 0;
    TRY(parse(issuer, document, &keys, why));
    keyset_unref(issuer->keys);
    issuer->keys = keys;
    issuer->state = shown->state;
    issuer->good_ns = good_ns;
    return shown->n_issuers > 0 && issuer->origin->issuer.n == 0
               ? key_document_inherit(&issuer->document, shown->issuers[0])
               : 0;
}

void key_issuer_fini(struct key_issuer *issuer) {
    keyset_unref(issuer->keys);
    key_document_fini(&issuer->document);
}

/* ---- the keys ------------------------------------------------------------------------------------------------------ */

static void list_kids(struct buffer *out, const struct keyset *these,
                      const struct keyset *without) {
    for (size_t i = 0; these && i < keyset_count(these) && buffer_length(out) < 300; i++) {
        const struct key *key = keyset_at(these, i);
        struct str kid = str_first(key_kid(key), 64);
        if (!without || !keyset_holds(without, key_print(key)))
            (void)!buffer_printf(out, "%s" STR_FMT, buffer_length(out) ? " " : "",
                                 STR_ARG(kid.n ? kid : STR("-")));
    }
}

static void log_change(const struct key_issuer *issuer, const struct keyset *before) {
    struct buffer added = {0}, removed = {0};
    list_kids(&added, issuer->keys, before);
    list_kids(&removed, before, issuer->keys);
    log_info("keys changed", F_STR("issuer", issuer->origin->name),
             F_INT("keys", keyset_count_published(issuer->keys)),
             F_STR("added", buffer_bytes(&added)), F_STR("removed", buffer_bytes(&removed)));
    buffer_release(&added);
    buffer_release(&removed);
    if (keyset_count(issuer->keys) == 0)
        log_warn(
            "no keys and no secret: set SUPABASE_JWT_SECRET, or add a signing key to the project",
            F_STR("issuer", issuer->origin->name));
}

/* Takes `keys`. */
static void adopt(struct key_issuer *issuer, struct keyset *keys) {
    if (issuer->state != KEYS_NEVER && issuer->keys && keyset_same(issuer->keys, keys)) {
        keyset_unref(keys);
        return;
    }
    struct keyset *before = issuer->keys;
    issuer->keys = keys;
    log_change(issuer, before);
    keyset_unref(before);
}

/* What a document is worth: 0 taken over or known already, -EAGAIN doubted, else refused. */
static int consider(struct key_issuer *issuer, struct str document, char why[160]) {
    if (document.n == 0) { /* which the parser would take for a wish to have none */
        snprintf(why, 160, "the document is empty");
        return -EINVAL;
    }
    struct hash128 print = hash128(&issuer->hash_key, document);
    if (issuer->has_accepted && print.lo == issuer->accepted.lo &&
        print.hi == issuer->accepted.hi) {
        issuer->is_doubted = false;
        return 0;
    }
    struct keyset *keys = NULL;
    TRY(parse(issuer, document, &keys, why));
    bool would_empty = keyset_count_published(keys) == 0 && issuer->keys &&
                       keyset_count_published(issuer->keys) > 0;
    if (would_empty && !issuer->is_doubted) {
        keyset_unref(keys);
        issuer->is_doubted = true;
        issuer->etag[0] = 0; /* the second look must see the document itself */
        snprintf(why, 160,
                 "no usable key is published any more: asked again before it is believed");
        return -EAGAIN;
    }
    issuer->is_doubted = false;
    issuer->has_accepted = true;
    issuer->accepted = print;
    adopt(issuer, keys);
    return 0;
}

static int fetch_url(struct key_issuer *issuer, struct key_fetcher *fetcher, int64_t *fresh_s,
                     char why[160]) {
    struct key_answer answer;
    bool has_etag = issuer->etag[0] != 0;
    key_fetcher_get(fetcher, issuer->document.keys_url, issuer->etag, issuer->times->timeout_ms,
                    &answer);
    int failure = -EIO;
    *fresh_s = answer.fresh_s;
    if (answer.status == 200) {
        failure = consider(issuer, buffer_bytes(&answer.body), why);
        if (failure == 0)
            snprintf(issuer->etag, sizeof(issuer->etag), "%s", answer.etag);
    } else if (answer.status == 304 && has_etag) {
        issuer->is_doubted = false;
        failure = 0;
    } else if (answer.status != 0) {
        snprintf(why, 160, "HTTP status %d", answer.status);
    } else {
        snprintf(why, 160, "%s", answer.why);
    }
    key_answer_fini(&answer);
    return failure;
}

/* A pipe that is not at its end already must not hold the thread that fetches everybody's keys. */
static int fetch_file(struct key_issuer *issuer, char why[160]) {
    CLEANUP(cleanup_free) char *path = str_dup(issuer->origin->jwks_file);
    struct buffer text = {0};
    int failure = path ? file_read(path, KEY_DOCUMENT_BYTES_MAX, 0, &text) : -ENOMEM;
    if (failure < 0)
        snprintf(why, 160, "%s", file_why(failure));
    else
        failure = consider(issuer, buffer_bytes(&text), why);
    buffer_release(&text);
    return failure;
}

/* Soon enough for what the answer said of its age, but not more than once a minute. */
static int64_t refresh_after(const struct key_issuer *issuer, int64_t fresh_s) {
    int64_t refresh_s = issuer->times->refresh_s;
    if (fresh_s < 0 || fresh_s >= refresh_s)
        return refresh_s;
    int64_t least_s = smaller(REFRESH_MIN_S, refresh_s);
    return fresh_s < least_s ? least_s : fresh_s;
}

static void note_good(struct key_issuer *issuer, int64_t fresh_s) {
    if (issuer->is_failing)
        log_info("keys can be had again", F_STR("issuer", issuer->origin->name));
    issuer->is_failing = false;
    issuer->error[0] = 0;
    issuer->state = KEYS_FRESH;
    issuer->good_ns = mono_now();
    key_schedule_after(&issuer->fetch, refresh_after(issuer, fresh_s));
}

static void note_failed(struct key_issuer *issuer, const char *why) {
    issuer->n_failures++;
    snprintf(issuer->error, sizeof(issuer->error), "%s", why);
    if (!issuer->is_failing)
        log_warn("keys could not be had", F_STR("issuer", issuer->origin->name),
                 F_TEXT("error", issuer->error),
                 F_BOOL("has_old_keys", issuer->state != KEYS_NEVER));
    issuer->is_failing = true;
    key_schedule_again(&issuer->fetch);
    if (issuer->is_doubted)
        key_schedule_after(&issuer->fetch, smaller(REFRESH_MIN_S, issuer->times->refresh_s));
}

static void fetch_keys(struct key_issuer *issuer, struct key_fetcher *fetcher) {
    char why[160] = "";
    int64_t fresh_s = -1;
    int failure = -ENOENT;
    issuer->n_fetches++;
    if (issuer->origin->jwks_file.n > 0)
        failure = fetch_file(issuer, why);
    else if (issuer->document.keys_url)
        failure = fetch_url(issuer, fetcher, &fresh_s, why);
    else
        snprintf(why, sizeof(why), "%s", issuer->document.error);
    issuer->fetched_ns = mono_now();
    if (failure == 0) {
        note_good(issuer, fresh_s);
        return;
    }
    if (key_fetcher_is_cancelled(fetcher))
        return; /* it is we who stop: nobody has failed */
    note_failed(issuer, why[0] ? why : strerror(-failure));
    if (issuer->origin->discovery_url.n > 0 && !issuer->is_doubted) {
        issuer->etag[0] = 0; /* it is that of one place */
        key_document_doubt(&issuer->document);
    }
}

/* ---- a round ------------------------------------------------------------------------------------------------------- */

static void grow_old(struct key_issuer *issuer) {
    if (!key_issuer_has_source(issuer->origin) || issuer->state == KEYS_NEVER)
        return;
    bool is_stale = mono_now() - issuer->good_ns > issuer->times->max_stale_s * NS_PER_S;
    if (is_stale && issuer->state == KEYS_FRESH)
        log_error("keys are too old to be trusted", F_STR("issuer", issuer->origin->name),
                  F_TEXT("error", issuer->error));
    issuer->state = is_stale ? KEYS_STALE : KEYS_FRESH;
}

static bool same_text(const char *a, const char *b) {
    return str_eq(str_of(a), str_of(b)) && !a == !b;
}

static void do_round(struct key_issuer *issuer, struct key_fetcher *fetcher, enum key_round round,
                     bool wants_keys) {
    struct key_document *document = &issuer->document;
    bool needs_url = issuer->origin->discovery_url.n > 0 && !document->keys_url;
    bool is_due = round == KEY_ROUND_ALL || mono_now() >= document->schedule.due_ns ||
                  (wants_keys && needs_url);
    if (document->url && !document->is_had && is_due)
        key_document_ask(document, fetcher, issuer->times);
    if (wants_keys)
        fetch_keys(issuer, fetcher);
    /* There is something to verify with: do not hold everybody up for the document. */
    if (issuer->state != KEYS_NEVER)
        key_document_assume(document);
    grow_old(issuer);
}

struct key_round_result key_issuer_round(struct key_issuer *issuer, struct key_fetcher *fetcher,
                                         enum key_round round) {
    struct keyset *keys = issuer->keys ? keyset_ref(issuer->keys) : NULL;
    enum keys_state state = issuer->state;
    bool is_failing = issuer->is_failing;
    CLEANUP(cleanup_free)
    char *name = issuer->document.issuer ? str_dup(str_of(issuer->document.issuer)) : NULL;

    bool wants_keys = key_issuer_has_source(issuer->origin) &&
                      (round != KEY_ROUND_DUE || mono_now() >= issuer->fetch.due_ns);
    do_round(issuer, fetcher, round, wants_keys);

    struct key_round_result result = {
        .fetched_keys = wants_keys,
        .shows_otherwise = issuer->keys != keys || issuer->state != state ||
                           issuer->is_failing != is_failing ||
                           !same_text(issuer->document.issuer, name),
    };
    keyset_unref(keys);
    return result;
}

/* ---- what others see ------------------------------------------------------------------------------------------------ */

static int show_name(const struct key_issuer *issuer, struct issuer_keys *out) {
    if (!issuer->document.issuer)
        return 0;
    struct str *list = malloc(sizeof(*list));
    char *text = str_dup(str_of(issuer->document.issuer));
    if (!list || !text) {
        free(list);
        free(text);
        return -ENOMEM;
    }
    *list = str_of(text);
    out->issuers = list;
    out->n_issuers = 1;
    return 0;
}

int key_issuer_show(const struct key_issuer *issuer, struct issuer_keys *out) {
    TRY(show_name(issuer, out));
    out->keys = issuer->keys ? keyset_ref(issuer->keys) : NULL;
    out->state = issuer->state;
    out->last_fetch_failed = issuer->is_failing;
    return 0;
}

void key_issuer_status(const struct key_issuer *issuer, struct key_status *status) {
    *status = (struct key_status){
        .state = issuer->state,
        .n_keys = issuer->keys ? keyset_count_published(issuer->keys) : 0,
        .has_secret = issuer->origin->hs256_secret.n > 0,
        .age_s = -1,
        .n_fetches = issuer->n_fetches,
        .n_failures = issuer->n_failures,
    };
    snprintf(status->name, sizeof(status->name), STR_FMT, STR_ARG(issuer->origin->name));
    snprintf(status->error, sizeof(status->error), "%s", issuer->error);
    struct str said = issuer->origin->issuer;
    snprintf(status->issuer, sizeof(status->issuer), STR_FMT,
             STR_ARG(said.n ? said : str_of(issuer->document.issuer)));
}
