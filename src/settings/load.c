/* SPDX-License-Identifier: MIT */
/* The whole file as one table of sections. The environment alone is an empty file: every default says from which variable it comes. */
#include "auth/signer.h"
#include "auth/token.h"
#include "base/file.h"
#include "base/log.h"
#include "http/head.h"
#include "memory.h"
#include "read.h"
#include "settings/units.h"
#include <errno.h>
#include <stdlib.h>

#define FILE_MAX_BYTES     (1u << 20)
#define ADMIN_TOKEN_LEAST  32
#define CACHE_ENTRIES_MOST 10000000
#define REMEMBERED_MOST    10000000
#define SHARE_MOST         90
#define WORKERS_MAX        256
#define TLS_MAX            64

/* ---- sections ---- */

#define AT(field) offsetof(struct settings, field)

static bool read_listen(struct reader *r, const struct branch *b, void *target) {
    struct branch port = {.key = STR("listen"),
                          .text = STR("${PORT")}; /* what a default is made of */
    struct str *listen = target;
    if (!read_scalar(r, b, listen, NULL))
        return false;
    if (settings_address_is_good(*listen))
        return true;
    reader_error(r, b->is_default ? &port : b,
                 "'" STR_FMT
                 "': expected ADDRESS:PORT like 127.0.0.1:8080 or [::]:8080, or unix:/path",
                 STR_ARG(str_first(*listen, 80)));
    return false;
}

static bool read_admin(struct reader *r, const struct branch *b, void *target) {
    struct str *admin = target;
    if (!read_scalar(r, b, admin, NULL))
        return false;
    if (admin->n == 0 || settings_address_is_good(*admin))
        return true;
    reader_error(r, b, "'" STR_FMT "': expected ADDRESS:PORT like 127.0.0.1:9091",
                 STR_ARG(str_first(*admin, 80)));
    return false;
}

static bool read_workers(struct reader *r, const struct branch *b, void *target) {
    struct str text;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    if (str_eq(text, STR("auto"))) {
        *(size_t *)target = 0;
        return true;
    }
    uint64_t n;
    if (str_to_u64(text, &n) && n >= 1 && n <= WORKERS_MAX) {
        *(size_t *)target = (size_t)n;
        return true;
    }
    reader_error(r, b, "'" STR_FMT "': expected auto, or 1 to %d", STR_ARG(str_first(text, 60)),
                 WORKERS_MAX);
    return false;
}

static bool read_path(struct reader *r, const struct branch *b, void *target) {
    struct str *path = target;
    if (!read_scalar(r, b, path, NULL))
        return false;
    if (path->n == 0 || memchr(path->at, 0, path->n))
        reader_error(r, b, "expected the path of a PEM file");
    return path->n > 0 && !memchr(path->at, 0, path->n);
}

static bool read_tls(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"certificate", read_path, offsetof(struct tls_files, certificate), "!"},
        {"key", read_path, offsetof(struct tls_files, key), "!"},
    };
    struct settings *s = target;
    size_t n = tree_count(b);
    if (b->kind != BRANCH_LIST || n > TLS_MAX) {
        reader_error(r, b, "expected a list of at most %d: [ { certificate: FILE, key: FILE } ]",
                     TLS_MAX);
        return false;
    }
    struct tls_files *list = reader_alloc(r, n * sizeof(*list));
    if (!list)
        return false;
    s->tls = list;
    bool is_good = true;
    for (const struct branch *entry = b->children; entry; entry = entry->next) {
        struct tls_files *files = &list[s->n_tls++];
        *files = (struct tls_files){.line = entry->line, .column = entry->column};
        is_good &= READ_SECTION(r, entry, entries, files);
    }
    return is_good;
}

static bool read_drain(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"delay", read_duration, AT(drain_delay_ns), "5s"},
        {"timeout", read_duration, AT(drain_timeout_ns), "30s"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_fields(struct reader *r, const struct branch *b, void *target) {
    return read_range32(r, b, 1, HEAD_FIELDS_MAX, target);
}

static bool read_http(struct reader *r, const struct branch *b, void *target) {
    /* clang-format off */
    static const struct entry entries[] = {
        {"max_request_line",       read_size32,   AT(http.max_request_line),       "16KiB"},
        {"max_head",               read_size32,   AT(http.max_head),               "64KiB"},
        {"max_fields",             read_fields,   AT(http.max_fields),             "128"},
        {"head_timeout",           read_timeout,  AT(http.head_timeout_ns),        "15s"},
        {"body_timeout",           read_timeout,  AT(http.body_timeout_ns),        "30s"},
        {"min_body_rate",          read_size,     AT(http.min_body_rate),          "128"},
        {"request_timeout",        read_duration, AT(http.request_timeout_ns),     "0s"},
        {"idle_timeout",           read_timeout,  AT(http.idle_timeout_ns),        "75s"},
        {"write_timeout",          read_timeout,  AT(http.write_timeout_ns),       "60s"},
        {"max_connections",        read_some32,   AT(http.max_connections),        "16384"},
        {"max_connections_per_ip", read_count32,  AT(http.max_connections_per_ip), "0"},
        {"max_requests",           read_count32,  AT(http.max_requests),           "0"},
        {"max_requests_per_ip",    read_count32,  AT(http.max_requests_per_ip),    "0"},
    };
    /* clang-format on */
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_eject(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"failures", read_count32, AT(upstream_eject_failures), "5"},
        {"for", read_timeout, AT(upstream_eject_ns), "10s"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_upstream(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"max_idle", read_count32, AT(upstream_max_idle), "1024"},
        {"max_open", read_some32, AT(upstream_max_open), "1024"},
        {"idle_timeout", read_timeout, AT(upstream_idle_ns), "30s"},
        {"max_queue", read_count32, AT(upstream_max_queue), "1024"},
        {"queue_timeout", read_timeout, AT(upstream_queue_ns), "1s"},
        {"eject", read_eject, 0, ""},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_websockets(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"max_per_ip", read_count32, AT(websockets.max_per_ip), "1000"},
        {"max_per_subject", read_count32, AT(websockets.max_per_subject), "100"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_level(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return read_choice(r, b, names, 4, target);
}

static bool read_format(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"auto", "json", "text"};
    return read_choice(r, b, names, 3, target);
}

static bool read_log(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"level", read_level, AT(log_level), "info"},
        {"format", read_format, AT(log_format), "auto"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_apikey_mode(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"keep", "fill", "replace"};
    return read_choice(r, b, names, 3, target);
}

static bool read_service_callers(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"refuse", "allow"};
    struct access_rules *access = target;
    struct cidrs networks = {0};
    int choice = 1;
    if (b->kind == BRANCH_LIST ? !read_cidrs(r, b, &networks)
                               : !read_choice(r, b, names, 2, &choice))
        return false;
    access->allows_service = choice == 1;
    access->service_networks = networks.list;
    access->n_service_networks = networks.n;
    return true;
}

static bool read_supabase_url(struct reader *r, const struct branch *b, void *target) {
    struct settings *s = (struct settings *)((char *)target - AT(supabase_url));
    const char *why;
    if (!read_scalar(r, b, &s->supabase_url, NULL))
        return false;
    if (s->supabase_url.n == 0)
        return true;
    if (unit_origin(s->supabase_url, &s->supabase, r->arena, &why) &&
        !str_starts(s->supabase_url, STR("unix:")))
        return true;
    bool has_user = str_index(s->supabase_url, '@') < s->supabase_url.n; /* and a password */
    reader_error(r, b, "'" STR_FMT "': expected the project's URL, like https://abc.supabase.co",
                 STR_ARG(has_user ? STR("...") : str_first(s->supabase_url, 120)));
    return false;
}

/* It is added to the requests of callers who send none: what stands here belongs to everybody. */
static bool read_public_key(struct reader *r, const struct branch *b, void *target) {
    const struct str *key = target;
    struct token_hint hint;
    if (!read_key(r, b, target))
        return false;
    bool is_secret = str_starts(*key, STR("sb_secret_")) ||
                     (token_peek(*key, &hint, r->arena) && str_eq(hint.role, STR("service_role")));
    if (is_secret)
        reader_error(r, b,
                     "is a secret key, and every caller would be given it; expected the "
                     "publishable key (sb_publishable_...) or the anon key");
    return !is_secret;
}

/* Whatever it is, a request must not be the first to find out. */
static bool read_signing_key(struct reader *r, const struct branch *b, void *target) {
    struct str *key = target;
    struct signer *signer = NULL;
    char why[160];
    if (!read_scalar(r, b, key, NULL))
        return false;
    bool has_lines = str_starts(*key, STR("{")) || str_starts(*key, STR("-----BEGIN"));
    if (!has_lines && !read_key(r, b, target))
        return false;
    int failure = key->n > 0 ? signer_new_for(&signer, *key, why) : 0;
    signer_free(signer);
    if (failure < 0)
        reader_error(r, b, "%s", why);
    return failure == 0;
}

static bool read_supabase(struct reader *r, const struct branch *b, void *target) {
    /* clang-format off */
    static const struct entry entries[] = {
        {"url",              read_supabase_url,    AT(supabase_url),         "${SUPABASE_URL:-}"},
        {"region",           read_string,          AT(supabase_region),      "${SUPABASE_REGION:-}"},
        {"publishable_key",  read_public_key,      AT(project.publishable),  "${SUPABASE_PUBLISHABLE_KEY:-}"},
        {"anon_key",         read_public_key,      AT(project.anon),         "${SUPABASE_ANON_KEY:-}"},
        {"secret_key",       read_secret,          AT(project.secret),       "${SUPABASE_SECRET_KEY:-}"},
        {"service_role_key", read_secret,          AT(project.service_role), "${SUPABASE_SERVICE_ROLE_KEY:-}"},
        {"signing_key",      read_signing_key,     AT(signing_key),          "${SUPABASE_SIGNING_KEY:-}"},
        {"apikey",           read_apikey_mode,     AT(apikey_default),       "fill"},
        {"service_callers",  read_service_callers, AT(access),               "refuse"},
    };
    /* clang-format on */
    r->knows_project = READ_SECTION(r, b->line ? b : NULL, entries, target);
    return r->knows_project;
}

static bool read_jwks(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"refresh", read_timeout_seconds, AT(jwks_refresh_s), "10m"},
        {"max_stale", read_timeout_seconds, AT(jwks_max_stale_s), "24h"},
        {"cooldown", read_seconds, AT(jwks_cooldown_s), "30s"},
        {"timeout", read_timeout_milliseconds, AT(jwks_timeout_ms), "5s"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

/* An entry of an empty cache costs about 100 bytes. */
static bool read_cache_entries(struct reader *r, const struct branch *b, void *target) {
    if (!read_count(r, b, target))
        return false;
    if (*(size_t *)target <= CACHE_ENTRIES_MOST)
        return true;
    reader_error(r, b, "expected at most %d", CACHE_ENTRIES_MOST);
    return false;
}

static bool read_percent(struct reader *r, const struct branch *b, void *target) {
    struct str text;
    uint64_t n;
    if (!read_scalar(r, b, &text, NULL))
        return false;
    if (str_ends(text, STR("%")) && str_to_u64(str_first(text, text.n - 1), &n) && n >= 1 &&
        n <= SHARE_MOST) {
        *(uint32_t *)target = (uint32_t)n;
        return true;
    }
    reader_error(r, b, "'" STR_FMT "': expected a share from 1%% to %d%%, like 50%%",
                 STR_ARG(str_first(text, 60)), SHARE_MOST);
    return false;
}

static bool read_tokens(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"cache_entries", read_cache_entries, AT(token_cache_entries), "10000"},
        {"cache_size", read_size, AT(token_cache_bytes), "32MiB"},
        {"check_share", read_percent, AT(check_share), "50%"},
        {"check_queue", read_count, AT(check_queue), "1024"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_most(struct reader *r, const struct branch *b, void *target) {
    if (!read_count(r, b, target))
        return false;
    if (*(size_t *)target <= REMEMBERED_MOST)
        return true;
    reader_error(r, b, "expected at most %d", REMEMBERED_MOST);
    return false;
}

static bool read_deny_list(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"max", read_most, AT(deny_list.most), "10000"},
        {"keep", read_timeout_seconds, AT(deny_list.keep_s), "168h"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_subjects(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {{"max", read_most, AT(most_records), "100000"}};
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_apikeys(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {
        {"cache_entries", read_cache_entries, AT(api_key_entries), "10000"},
        {"max_stale", read_duration, AT(api_key_max_stale_ns), "10m"},
    };
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_limits_mode(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"enforce", "shadow", "off"};
    return read_choice(r, b, names, 3, target);
}

static bool read_trust_section(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {{"client_ip", read_trust, 0, "auto"}};
    return READ_SECTION(r, b->line ? b : NULL, entries, target);
}

static bool read_cors(struct reader *r, const struct branch *b, void *target) {
    static const struct entry entries[] = {{"origins", read_strings_or_none, 0, "*"}};
    struct settings *s = target;
    struct strings origins = {0};
    if (!READ_SECTION(r, b->line ? b : NULL, entries, &origins))
        return false;
    s->cors_origins = origins.list;
    s->n_cors_origins = origins.n;
    s->cors_allows_all = origins.n == 1 && str_eq(origins.list[0], STR("*"));
    return true;
}

/* Read afterwards, when what they refer to is known. */
static bool read_later(struct reader *r, const struct branch *b, void *target) {
    (void)r, (void)b, (void)target;
    return true;
}

/* clang-format off */
static const struct entry sections[] = {
    {"listen",        read_listen,        AT(listen),        "[::]:${PORT:-8080}"},
    {"tls",           read_tls,           0,                 NULL},
    {"admin",         read_admin,         AT(admin),         "127.0.0.1:9091"},
    {"workers",       read_workers,       AT(n_workers),     "auto"},
    {"drain",         read_drain,         0,                 ""},
    {"http",          read_http,          0,                 ""},
    {"upstream",      read_upstream,      0,                 ""},
    {"websockets",    read_websockets,    0,                 ""},
    {"close_streams_at_expiry", read_bool, AT(close_streams_at_expiry), "false"},
    {"log",           read_log,           0,                 ""},
    {"supabase",      read_supabase,      0,                 ""},
    {"jwks",          read_jwks,          0,                 ""},
    {"tokens",        read_tokens,        0,                 ""},
    {"apikeys",       read_apikeys,       0,                 ""},
    {"limits_mode",   read_limits_mode,   AT(limits_mode),   "${LIMITS:-enforce}"},
    {"limit_buckets", read_count,         AT(limit_buckets), "1048576"},
    {"deny_list",     read_deny_list,     0,                 ""},
    {"subjects",      read_subjects,      0,                 ""},
    {"redis",         read_redis,         AT(redis),         ""},
    {"trust",         read_trust_section, AT(trust),         ""},
    {"cors",          read_cors,          0,                 ""},
    {"issuers",       read_later,         0,                 NULL},
    {"plans",         read_later,         0,                 NULL},
    {"payment",       read_later,         0,                 NULL},
    {"auth_failures", read_later,         0,                 NULL},
    {"limits",        read_later,         0,                 NULL},
    {"builtin",       read_later,         0,                 NULL},
    {"routes",        read_later,         0,                 NULL},
};
/* clang-format on */

/* ---- what only the environment says ---- */

/* Secrets by which callers are told apart: without a value they would let through whom they are there to stop. A public key, the admin
 * token and the signing key open nothing by not being there, so an empty one, as compose files pass it, is none. */
static bool refuse_empty(struct reader *r) {
    static const char *const names[] = {"SUPABASE_JWT_SECRET", "SUPABASE_SECRET_KEY",
                                        "SUPABASE_SERVICE_ROLE_KEY"};
    bool is_good = true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        struct branch at = {.text = arena_printf(r->arena, "${%s", names[i])};
        if (!value || value[0])
            continue;
        reader_error(r, &at, "is set but empty; unset it or give it a value");
        is_good = false;
    }
    return is_good;
}

static bool read_environment(struct reader *r, struct settings *s) {
    struct branch token = {.key = STR("JOTGATE_ADMIN_TOKEN"),
                           .text = STR("${JOTGATE_ADMIN_TOKEN:-}"),
                           .is_default = true};
    bool is_good = refuse_empty(r);
    if (!read_key(r, &token, &s->admin_token))
        return false;
    if (s->admin_token.n > 0 && s->admin_token.n < ADMIN_TOKEN_LEAST) {
        reader_error(r, &token, "is %zu bytes long; expected at least %d", s->admin_token.n,
                     ADMIN_TOKEN_LEAST);
        return false;
    }
    return is_good;
}

/* ---- the whole ---- */

/* The environment alone, and it names none; what names one that is no good was told. */
static bool is_without_project(const struct reader *r, const struct branch *root,
                               const struct settings *s) {
    bool is_named = getenv("SUPABASE_URL") || getenv("SUPABASE_URL_FILE");
    return !r->file && !tree_member(root, "supabase") && s->supabase_url.n == 0 &&
           (r->knows_project || !is_named);
}

/* Whatever fails, the rest is read as far as it does not hang on that: one run tells all. */
static bool read_all(struct reader *r, const struct branch *root, struct settings *s) {
    bool is_good = READ_SECTION(r, root, sections, s);
    is_good &= read_environment(r, s);
    if (is_without_project(r, root, s)) {
        struct branch at = {.text = STR("${SUPABASE_URL")};
        reader_error(
            r, &at,
            "is not set: the project's URL, like https://abc.supabase.co (or start with -c FILE)");
        r->knows_project = false;
    }
    is_good &= read_issuers(r, root, s);
    is_good &= r->knows_limits = read_limits(r, root, s);
    is_good &= read_payment(r, root, s);
    is_good &= read_routes(r, root, s);
    s->access.tokens = &s->tokens;
    s->access.project = &s->project;
    return is_good;
}

static int make(struct settings **out, struct str text, const char *file, settings_report *report,
                void *arg) {
    struct settings_memory *memory = settings_memory_new();
    struct faults faults = {.n = 0};
    if (!memory)
        return -ENOMEM;
    struct reader r = {.arena = &memory->arena, .file = file, .faults = &faults};
    struct branch *root = tree_parse(&r, text);
    memory->settings.file = arena_copy(&memory->arena, str_of(file ? file : ""));
    if (root && read_all(&r, root, &memory->settings) && faults.n == 0) {
        *out = &memory->settings;
        return 0;
    }
    settings_unref(&memory->settings);
    faults_tell(&faults, file ? file : "environment", report, arg);
    return -EINVAL;
}

int settings_parse(struct settings **out, struct str text, const char *name,
                   settings_report *report, void *arg) {
    TRY(make(out, text, name, report, arg));
    (*out)->is_from_text = true;
    return 0;
}

static int refuse_file(const char *file, int failure, settings_report *report, void *arg) {
    struct faults faults = {.n = 0};
    struct reader r = {.file = file, .faults = &faults};
    reader_error(&r, NULL, "cannot be read: %s",
                 failure == -EFBIG ? "larger than 1 MiB" : file_why(failure));
    faults_tell(&faults, file, report, arg);
    return -EINVAL;
}

int settings_load(struct settings **out, const char *file, settings_report *report, void *arg) {
    struct buffer text = {0};
    if (!file)
        return make(out, STR_NONE, NULL, report, arg);
    int failure = file_read(file, FILE_MAX_BYTES, FILE_PATIENCE_NS, &text);
    failure = failure < 0 ? refuse_file(file, failure, report, arg)
                          : make(out, buffer_bytes(&text), file, report, arg);
    bytes_wipe(text.at, text.size);
    buffer_release(&text);
    return failure;
}
