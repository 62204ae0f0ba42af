/* SPDX-License-Identifier: MIT */
/* The gateway's own API keys: made, shown once, listed, revoked. */
#include "arguments.h"
#include "auth/access.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "key_shelf.h"
#include "settings/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAME_BYTES_MAX 128
#define ID_SHOWN       12 /* of its hex digits: enough to name it by */
#define ID_LEAST       6

struct order {
    const char *file;
    struct str what; /* revoke: the key, its id, or how that begins */
    struct api_key_record record;
    int64_t now_s;
};

/* ---- arguments ---- */

static bool is_text(struct str text, size_t most) {
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 127)
            return false;
    return text.n > 0 && text.n <= most && json_is_utf8(text);
}

static const char *read_scopes(void *arg, const char *value) {
    struct order *order = arg;
    struct str list = str_of(value), scope;
    while (str_split(&list, ',', &scope)) {
        if (!api_key_scope_is_good(scope) || order->record.n_scopes == API_KEY_SCOPES_MAX)
            return "expected at most 16 scopes with commas between them, of visible ASCII without "
                   "quotes, like read,write";
        order->record.scopes[order->record.n_scopes++] = scope;
    }
    return NULL;
}

/* UTC; false: there is no such day or second. */
static bool read_calendar(const struct tm *said, int64_t *s) {
    struct tm tm = *said;
    *s = timegm(&tm);
    return tm.tm_mday == said->tm_mday && tm.tm_sec == said->tm_sec;
}

/* 90d from now, 2027-01-31 or 2027-01-31T12:00:00Z (UTC), never. */
static const char *read_expires(void *arg, const char *text) {
    struct order *order = arg;
    struct tm tm = {0};
    const char *end, *why;
    int64_t ns;
    if (strcmp(text, "never") == 0)
        return NULL;
    if (unit_duration(str_of(text), &ns, &why)) {
        order->record.expires_s = order->now_s + ns / NS_PER_S;
    } else {
        end = strptime(text, "%Y-%m-%d", &tm);
        if (end && *end == 'T')
            end = strptime(end, "T%H:%M:%SZ", &tm);
        if (!end || *end || !read_calendar(&tm, &order->record.expires_s))
            return "expected a time from now like 12h or 90d, a date like 2027-01-31 or "
                   "2027-01-31T12:00:00Z, or never";
    }
    return order->record.expires_s > order->now_s ? NULL : "expected a time that is still to come";
}

static const char *read_text(struct str *out, const char *value, size_t most) {
    *out = str_of(value);
    return is_text(*out, most) ? NULL
                               : "expected UTF-8 text that is not empty, short and on one line";
}

static const char *read_file(void *order, const char *value) {
    ((struct order *)order)->file = value;
    return NULL;
}

static const char *read_subject(void *order, const char *value) {
    return read_text(&((struct order *)order)->record.subject, value, SUBJECT_MAX);
}

static const char *read_plan(void *order, const char *value) {
    return read_text(&((struct order *)order)->record.plan, value, NAME_BYTES_MAX);
}

static const char *read_name(void *order, const char *value) {
    return read_text(&((struct order *)order)->record.name, value, NAME_BYTES_MAX);
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.at[i] >= '0' && s.at[i] <= '9') || (s.at[i] >= 'a' && s.at[i] <= 'f')))
            return false;
    return s.n >= ID_LEAST && s.n <= API_KEY_ID_BYTES;
}

static const char *read_what(void *order, const char *value) {
    struct str what = ((struct order *)order)->what = str_of(value);
    return str_starts(what, STR(API_KEY_PREFIX)) || is_hex(what)
               ? NULL
               : "expected a key (jg_...), its id, or the first 6 or more of its hex digits";
}

/* clang-format off */
static const struct argument create_arguments[] = {
    {"--subject", "S", .read = read_subject, .needed = "whom the key speaks for"},
    {"--plan",    "P", .read = read_plan},
    {"--expires", "E", .read = read_expires},
    {"--scopes",  "A,B", .read = read_scopes},
    {"--name",    "N", .read = read_name},
    {"-c",        "FILE", .read = read_file},
}, list_arguments[] = {
    {"--subject", "S", .read = read_subject},
    {"-c",        "FILE", .read = read_file},
}, revoke_arguments[] = {
    {"KEY|ID", NULL, .read = read_what, .needed = "a key (jg_...), its id, or how that begins"},
    {"-c",     "FILE", .read = read_file},
};
/* clang-format on */

static bool knows_plan(const struct settings *s, struct str plan) {
    for (size_t i = 0; i < s->plans.n_tiers; i++)
        if (str_eq(s->plans.tiers[i].name, plan))
            return true;
    return false;
}

/* ---- the three ---- */

static void show_text(struct buffer *out, struct str text) {
    if (text.n == 0)
        printf("  -");
    buffer_clear(out);
    if (text.n > 0 &&
        put_json_string(out, text) == 0) /* whatever stands there, one line shows it */
        printf("  " STR_FMT, (int)buffer_length(out) - 2, out->at + out->head + 1);
}

static void show_time(int64_t s, const char *none) {
    char text[25];
    clock_rfc3339(s * NS_PER_S, text);
    if (s > 0)
        printf("  %.10s %.5s", text, text + 11);
    else
        printf("  %-16s", none);
}

static int make_key(const struct order *order, struct shelf *shelf) {
    char key[API_KEY_BYTES + 1], id[API_KEY_ID_BYTES + 1];
    if (!api_key_new(key) || !api_key_id(str_of(key), id)) {
        fprintf(stderr, "jotgate apikeys: the key could not be made\n");
        return EXIT_REFUSED;
    }
    bool is_kept = shelf_put(shelf, id, &order->record, order->now_s);
    if (is_kept) {
        printf("%s\n", key);
        fprintf(stderr, "This is the only time that the key is shown. Its id, for 'revoke': %.*s\n",
                ID_SHOWN, id);
    }
    bytes_wipe(key, sizeof(key));
    return is_kept ? EXIT_OK : EXIT_REFUSED;
}

struct listing {
    const struct order *order;
    struct arena arena;
    struct buffer scratch;
    bool has_heading;
};

/* Not before there is an answer. */
static void put_heading(struct listing *listing) {
    if (!listing->has_heading)
        printf("%-*s  %-16s  %-16s  plan  subject  scopes  name\n", ID_SHOWN, "id", "created (UTC)",
               "expires");
    listing->has_heading = true;
}

static void show(void *arg, const char *id, struct str json) {
    struct listing *listing = arg;
    struct str wanted = listing->order->record.subject;
    struct api_key_record record;
    arena_reset(&listing->arena);
    put_heading(listing);
    if (api_key_record_read(&record, json, &listing->arena) < 0) {
        printf("%.*s  not a record of this version\n", ID_SHOWN, id);
        return;
    }
    if (wanted.n > 0 && !str_eq(record.subject, wanted))
        return;
    printf("%.*s", ID_SHOWN, id);
    show_time(record.created_s, "-");
    show_time(record.expires_s, "never");
    show_text(&listing->scratch, record.plan);
    show_text(&listing->scratch, record.subject);
    printf("  ");
    for (size_t i = 0; i < record.n_scopes; i++)
        printf("%s" STR_FMT, i ? "," : "", STR_ARG(record.scopes[i]));
    printf("%s", record.n_scopes ? "" : "-");
    show_text(&listing->scratch, record.name);
    printf("%s\n", api_key_record_is_expired(&record, listing->order->now_s) ? "  (expired)" : "");
}

static int list_keys(const struct order *order, struct shelf *shelf) {
    struct listing listing = {.order = order};
    arena_init(&listing.arena);
    bool is_whole = shelf_walk(shelf, order->now_s, show, &listing);
    if (is_whole)
        put_heading(&listing);
    arena_fini(&listing.arena);
    buffer_release(&listing.scratch);
    return is_whole ? EXIT_OK : EXIT_REFUSED;
}

/* Which one is meant: by its text, its id, or how that begins. */
static int find(struct str what, struct shelf *shelf, char id[API_KEY_ID_BYTES + 1]) {
    size_t n = 1;
    if (str_starts(what, STR(API_KEY_PREFIX)))
        return api_key_is_well_formed(what) && api_key_id(what, id)
                   ? EXIT_OK
                   : cli_usage("apikeys", "the key is mistyped: its check characters are wrong");
    if (what.n == API_KEY_ID_BYTES)
        memcpy(id, what.at, what.n);
    else if (!shelf_find(shelf, what, id, &n))
        return EXIT_REFUSED;
    if (n == 1)
        return EXIT_OK;
    fprintf(stderr, "jotgate apikeys: %zu keys have an id that begins with " STR_FMT "\n", n,
            STR_ARG(what));
    return EXIT_REFUSED;
}

static int revoke_key(const struct order *order, struct shelf *shelf) {
    char id[API_KEY_ID_BYTES + 1] = "";
    bool was_there;
    int code = find(order->what, shelf, id);
    if (code != EXIT_OK)
        return code;
    if (!shelf_remove(shelf, id, &was_there))
        return EXIT_REFUSED;
    if (was_there)
        printf("revoked %.*s\n", ID_SHOWN, id);
    else
        fprintf(stderr, "jotgate apikeys: no key has the id %.*s\n", ID_SHOWN, id);
    return was_there ? EXIT_OK : EXIT_REFUSED;
}

static int check_plan(const struct order *order, const struct settings *s) {
    if (order->record.plan.n > 0 && !knows_plan(s, order->record.plan))
        return cli_usage("apikeys", "--plan: no tier of 'plans' is called '" STR_FMT "'",
                         STR_ARG(order->record.plan));
    return EXIT_OK;
}

/* clang-format off */
#define ROWS(list) list, sizeof(list) / sizeof((list)[0])
static const struct action {
    const char *name;
    int (*run)(const struct order *order, struct shelf *shelf);
    const struct argument *arguments;
    size_t n_arguments;
} actions[] = {
    {"create", make_key,   ROWS(create_arguments)},
    {"list",   list_keys,  ROWS(list_arguments)},
    {"revoke", revoke_key, ROWS(revoke_arguments)},
};
/* clang-format on */

static const struct action *action_named(const char *name) {
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int run(const struct action *action, const struct order *order,
               const struct settings *settings) {
    struct asking asking;
    struct shelf shelf;
    int code = check_plan(order, settings);
    if (code != EXIT_OK)
        return code;
    log_set_level(LEVEL_ERROR); /* what Redis is about is told as the command's own error */
    code = EXIT_USAGE;
    if (asking_open(&asking, "apikeys", settings)) {
        shelf_init(&shelf, &asking, settings->redis.prefix);
        code = action->run(order, &shelf);
    }
    asking_close(&asking);
    return code;
}

int command_apikeys(int argc, char **argv) {
    struct now now = clock_now();
    struct order order = {.now_s = now_s(&now)};
    order.record.created_s = order.now_s;
    const struct action *action = argc > 1 ? action_named(argv[1]) : NULL;
    if (!action)
        return cli_usage("apikeys", "expected create, list or revoke");
    int code = arguments_read("apikeys", action->arguments, action->n_arguments, argc - 1, argv + 1,
                              &order);
    if (code != EXIT_OK)
        return code;
    struct settings *settings = cli_settings(order.file);
    if (!settings)
        return EXIT_USAGE;
    code = run(action, &order, settings);
    settings_unref(settings);
    return code;
}
