/* SPDX-License-Identifier: MIT */
/* Other settings for a process that goes on serving.
 *
 *   read, lint ──► everything that can fail: metrics' view, an epoch for each worker, the issuers' desks ──► hand over
 *        │                                     │
 *        └────────── not reloaded ◄────────────┘
 *
 * From the hand-over on nothing fails. Each worker takes on its epoch when it reads its mail; requests under way end under the
 * settings that they began with, and the last of them lets go of the old ones. */
#include "base/cleanup.h"
#include "base/log.h"
#include "io/tls_server.h"
#include "server_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what a reload cannot change ---- */

static int put_listen(const struct settings *s, struct buffer *out) {
    return buffer_append(out, s->listen);
}

static int put_admin(const struct settings *s, struct buffer *out) {
    return buffer_append(out, s->admin);
}

static int put_workers(const struct settings *s, struct buffer *out) {
    return buffer_append_u64(out, s->n_workers);
}

static int put_log(const struct settings *s, struct buffer *out) {
    return buffer_append_u64(out, (uint64_t)s->log_format);
}

static int put_buckets(const struct settings *s, struct buffer *out) {
    return buffer_append_u64(out, s->limit_buckets);
}

static int put_redis(const struct settings *s, struct buffer *out) {
    const struct redis_settings *r = &s->redis;
    return buffer_printf(out, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n%d %d %lld %zu", STR_ARG(r->url),
                         STR_ARG(r->target.ca_file), STR_ARG(r->prefix), r->mode, r->on_failure,
                         (long long)r->timeout_ns, r->expected_machines);
}

static int put_denials(const struct settings *s, struct buffer *out) {
    return buffer_append_u64(out, s->deny_list.most);
}

/* clang-format off */
static const struct {
    const char *name;
    int (*put)(const struct settings *s, struct buffer *out);
} fixed_rows[FIXED_COUNT] = {
    [FIXED_LISTEN]  = {"listen",        put_listen},
    [FIXED_ADMIN]   = {"admin",         put_admin},
    [FIXED_WORKERS] = {"workers",       put_workers},
    [FIXED_LOG]     = {"log.format",    put_log},
    [FIXED_BUCKETS] = {"limit_buckets", put_buckets},
    [FIXED_REDIS]   = {"redis",         put_redis},
    [FIXED_DENIALS] = {"deny_list.max", put_denials},
};
/* clang-format on */

static int hash_said(const struct settings *s, size_t row, const struct hash_key *key,
                     struct hash128 *hash) {
    struct buffer text = {0};
    int failure = fixed_rows[row].put(s, &text);
    *hash = hash128(key, buffer_bytes(&text));
    bytes_wipe(text.at, text.at ? text.size : 0);
    buffer_release(&text);
    return failure;
}

int fixed_note(struct fixed_settings *fixed, const struct settings *s) {
    hash_key_new(&fixed->key);
    for (size_t i = 0; i < FIXED_COUNT; i++)
        TRY(hash_said(s, i, &fixed->key, &fixed->said[i]));
    return 0;
}

static void warn_of_fixed(const struct fixed_settings *fixed, const struct settings *s) {
    for (size_t i = 0; i < FIXED_COUNT; i++) {
        struct hash128 said;
        if (hash_said(s, i, &fixed->key, &said) == 0 &&
            (said.lo != fixed->said[i].lo || said.hi != fixed->said[i].hi))
            log_warn("the setting needs a restart: it stays as it was",
                     F_TEXT("setting", fixed_rows[i].name));
    }
}

/* ---- reading ---- */

/* The first error is kept for /status; all of them are logged. */
struct errors {
    char first[256];
    size_t n;
};

static void on_error(void *arg, const char *line) {
    struct errors *errors = arg;
    if (errors->n++ == 0)
        snprintf(errors->first, sizeof(errors->first), "%s", line);
    log_error("settings", F_TEXT("error", line));
}

static void on_finding(void *arg, const char *line) {
    (void)arg;
    log_warn("settings", F_TEXT("finding", line));
}

static void keep(struct server *server, struct errors *errors, int failure) {
    if (errors->n == 0)
        snprintf(errors->first, sizeof(errors->first), "%s%s%s", server->file,
                 server->file[0] ? ": " : "", strerror(-failure));
    admin_note_refusal(&server->admin, errors->first);
    log_error("settings not reloaded: those in force stay", F_TEXT("error", errors->first),
              F_INT("errors", errors->n ? errors->n : 1));
}

/* ---- taking on ---- */

/* All that a hand-over needs; nothing of it is in use yet. */
struct change {
    struct settings *settings;
    struct tls_server *tls;
    struct metrics *metrics;
    struct epoch *epochs[WORKERS_MAX];
};

static void change_fini(struct change *change) {
    for (size_t i = 0; i < WORKERS_MAX; i++)
        epoch_free(change->epochs[i]);
    metrics_unref(change->metrics);
    tls_server_unref(change->tls);
    settings_unref(change->settings);
}

/* Certificates are read anew, whatever the file says of them; who has a ticket of the old ones resumes with it. */
static int prepare_tls(const struct server *server, struct change *change, struct errors *errors) {
    char why[TLS_WHY_MAX];
    struct now now = clock_now();
    if (change->settings->n_tls == 0)
        return 0;
    change->tls = tls_server_new(change->settings, server->tls, why);
    if (!change->tls) {
        on_error(errors, why);
        return -EINVAL;
    }
    tls_server_lint(change->tls, change->settings, now_s(&now), on_finding, NULL);
    return 0;
}

static int prepare(const struct server *server, struct change *change) {
    struct keyring *ring = key_source_ring(server->keys);
    uint64_t layout = ring->layout + 1; /* no other thread changes it */
    keyring_unref(ring);
    uint32_t n_connections = server_share_connections(server, change->settings);
    change->metrics = metrics_next(server->metrics, change->settings);
    struct epoch_parts parts = {change->settings, change->metrics, change->tls, n_connections,
                                layout};
    for (size_t i = 0; change->metrics && i < server->n_workers; i++) {
        change->epochs[i] = epoch_new(&parts);
        if (!change->epochs[i])
            return -ENOMEM;
    }
    struct key_times times;
    CLEANUP(cleanup_free)
    struct key_origin *origins = change->metrics ? server_origins(change->settings, &times) : NULL;
    if (!origins)
        return -ENOMEM;
    return key_source_change(server->keys, origins, change->settings->tokens.n_issuers, &times);
}

static void hand_over(struct server *server, struct change *change) {
    for (size_t i = 0; i < server->n_workers; i++) {
        worker_change(server->workers[i], change->epochs[i]);
        change->epochs[i] = NULL;
    }
    admin_note_settings(&server->admin, change->metrics);
    log_set_level((enum log_level)change->settings->log_level);
    log_info("settings reloaded", F_INT("routes", change->settings->n_routes),
             F_INT("routes_before", server->settings->n_routes),
             F_INT("issuers", change->settings->tokens.n_issuers),
             F_INT("issuers_before", server->settings->tokens.n_issuers),
             F_INT("policies", change->settings->n_policies),
             F_INT("policies_before", server->settings->n_policies),
             F_TEXT("settings", server->file[0] ? server->file : "environment"));

    struct change old = {
        .settings = server->settings, .tls = server->tls, .metrics = server->metrics};
    server->settings = change->settings;
    server->tls = change->tls;
    server->metrics = change->metrics;
    *change = old;
}

void server_reload(struct server *server) {
    struct change change = {0};
    struct errors errors = {0};
    int failure = -EPERM;
    if (server->settings->is_from_text)
        on_error(&errors, "these settings were made by the program: there is nothing to read");
    else
        failure = settings_load(&change.settings, server->file[0] ? server->file : NULL, on_error,
                                &errors);
    if (failure == 0) {
        settings_lint(change.settings, on_finding, NULL);
        failure = prepare_tls(server, &change, &errors);
    }
    if (failure == 0)
        failure = prepare(server, &change);
    if (failure == 0) {
        warn_of_fixed(&server->fixed, change.settings);
        hand_over(server, &change);
    } else {
        keep(server, &errors, failure);
    }
    change_fini(&change);
}
