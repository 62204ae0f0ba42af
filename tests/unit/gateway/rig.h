/* SPDX-License-Identifier: MIT */
#pragma once
/* A whole gateway on a loop that the test turns; its client and its upstream are played by the same thread, on loopback:
 *
 *     client fd ──► gateway ──► upstream fd
 *
 * Settings are read from YAML; keys are made here and published by hand. Text lives in the stage's arena. */
#include "auth/forge.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "http/body.h"
#include "io/arrears.h"
#include "io/feed.h"
#include "io/rig.h"
#include "limit/slots.h"
#include "suite.h"

#define ISSUER      "https://id.test/auth/v1"
#define PUBLISHABLE "sb_publishable_0123456789012345678901_01234567"
#define SECRET      "sb_secret_0123456789012345678901_01234567"
#define ADMIN_TOKEN "admin-token-of-at-least-32-bytes-0123"
#define ANON        "legacy.anon.key"

/* One HTTP message as it was received. */
struct message {
    struct head head;
    struct buffer bytes, body;
    bool is_whole; /* its body ended as its framing said */
    int broken;    /* the errno that ended it, or 0 */
};

struct stage {
    struct loop *loop;
    struct arena arena;
    struct settings *settings;
    struct resolver *resolver;
    struct memory_limits *limits;
    struct arrears *arrears;
    struct feed *feed; /* without Redis */
    struct slots *connections, *requests, *held, *sockets_by_ip, *sockets_by_subject;
    struct metrics *metrics;
    struct key_origin origin;
    struct key_source *keys;
    struct gateway *gateway;
    struct endpoint at, upstream_at;
    int upstream_listener;
    struct forge key;
    struct message seen, answer; /* what the upstream and what the client got last */
};

#define TEXT(stage, ...) (arena_printf(&(stage)->arena, __VA_ARGS__).at)

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static inline void stage_report(void *arg, const char *line) {
    (void)arg;
    ck_abort_msg("settings: %s", line);
}

/* The environment of the machine that runs the tests says nothing here. */
static inline void stage_clear_environment(void) {
    static const char *const names[] = {
        "SUPABASE_URL",
        "SUPABASE_JWT_ISSUER",
        "SUPABASE_JWT_SECRET",
        "SUPABASE_PUBLISHABLE_KEY",
        "SUPABASE_ANON_KEY",
        "SUPABASE_SECRET_KEY",
        "SUPABASE_REGION",
        "SUPABASE_SERVICE_ROLE_KEY",
        "SUPABASE_SIGNING_KEY",
        "LIMIT_PER_USER",
        "LIMIT_PER_IP",
        "LIMITS",
        "FLY_APP_NAME",
        "JOTGATE_ADMIN_TOKEN",
        "PORT",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

/* `yaml`: more top-level sections; ${UPSTREAM} is the scripted upstream's URL. A `supabase` section replaces the default one. */
static inline struct settings *stage_settings(struct stage *s, const char *yaml) {
    static const char supabase[] = "supabase: { url: \"${UPSTREAM}\", publishable_key: " PUBLISHABLE
                                   ", anon_key: " ANON ", secret_key: " SECRET " }\n";
    struct settings *settings = NULL;
    stage_clear_environment();
    if (strstr(yaml, "# with an admin token"))
        setenv("JOTGATE_ADMIN_TOKEN", ADMIN_TOKEN, 1);
    setenv("UPSTREAM", TEXT(s, "http://127.0.0.1:%u", rig_port(&s->upstream_at)), 1);
    const char *text = TEXT(s,
                            "listen: \"127.0.0.1:0\"\nadmin: \"\"\n%s"
                            "issuers: [ { name: main, issuer: \"" ISSUER
                            "\", jwks_url: \"${UPSTREAM}/jwks\" } ]\n%s",
                            strstr(yaml, "supabase:") ? "" : supabase, yaml);
    ck_assert_int_eq(settings_parse(&settings, str_of(text), "test", stage_report, NULL), 0);
    return settings;
}

static inline struct gateway_parts stage_parts(struct stage *s) {
    return (struct gateway_parts){
        .loop = s->loop,
        .settings = s->settings,
        .resolver = s->resolver,
        .keys = s->keys,
        .limits = s->limits,
        .arrears = s->arrears,
        .feed = s->feed,
        .connections = s->connections,
        .requests = s->requests,
        .sockets_by_ip = s->sockets_by_ip,
        .sockets_by_subject = s->sockets_by_subject,
        .held = s->held,
        .metrics = s->metrics,
        .n_workers = 1,
        .n_connections = s->settings->http.max_connections,
        .via_id = STR("jotgate-test"),
    };
}

/* Everything but the keyring: no keys are known yet. */
static inline void stage_prepare(struct stage *s, const char *yaml) {
    static const struct key_times times = {
        .refresh_s = 600, .max_stale_s = 86400, .cooldown_s = 30, .timeout_ms = 20000};
    (void)!log_start(LOG_TEXT, LEVEL_ERROR); /* unless the test has started it to read it */
    *s = (struct stage){.loop = loop_new()};
    arena_init(&s->arena);
    s->upstream_listener = rig_listen(&s->upstream_at);
    s->settings = stage_settings(s, yaml);
    s->resolver = resolver_new();
    s->limits = memory_limits_new(&MEMORY_LIMITS_DEFAULT);
    s->arrears = arrears_new(1000);
    char why[160];
    s->feed = feed_new(s->resolver,
                       &(struct feed_options){NULL, STR("t:"), s->settings->deny_list.most}, why);
    s->connections = slots_new();
    s->requests = slots_new();
    s->sockets_by_ip = slots_new();
    s->sockets_by_subject = slots_new();
    s->held = slots_new();
    s->metrics = metrics_new(s->settings, 1);
    s->origin = (struct key_origin){
        .name = s->settings->tokens.issuers[0].name,
        .jwks_url = s->settings->sources[0].jwks_url,
        .algorithms = s->settings->tokens.issuers[0].algorithms,
    };
    s->keys = key_source_new(&s->origin, 1, &times);
    s->key = forge_key(ALGORITHM_ES256, "k1");
    ck_assert(s->loop && s->resolver && s->limits && s->arrears && s->metrics && s->keys);
}

static inline void stage_start(struct stage *s) {
    struct gateway_parts parts = stage_parts(s);
    s->gateway = gateway_new(&parts);
    ck_assert_ptr_nonnull(s->gateway);
    ck_assert_int_eq(gateway_listen(s->gateway, rig_listen(&s->at)), 0);
}

static inline struct keyring *stage_ring(const char *jwk) {
    struct keyset_options options = {.algorithms = ALGORITHMS_DEFAULT};
    struct keyring *ring = keyring_new(1);
    char why[160], document[2200];
    snprintf(document, sizeof(document), "{\"keys\":[%s]}", jwk);
    ck_assert_int_eq(keyset_parse(&ring->issuers[0].keys, str_of(document), &options, why), 0);
    ring->issuers[0].state = KEYS_FRESH;
    ring->generation = 1;
    return ring;
}

static inline void stage_publish(struct stage *s) {
    struct keyring *ring = stage_ring(s->key.jwk);
    gateway_set_keyring(s->gateway, ring);
    keyring_unref(ring);
}

static inline void stage_open(struct stage *s, const char *yaml) {
    stage_prepare(s, yaml);
    stage_start(s);
    stage_publish(s);
}

/* The operator denies somebody, for a minute or not any more. */
static inline void stage_deny(struct stage *s, const char *name, bool is_lifted) {
    struct now now = clock_now();
    ck_assert_int_eq(feed_enter(s->feed, FEED_DENY, str_of(name), is_lifted ? 0 : now_s(&now) + 60),
                     0);
    struct news *news = feed_news(s->feed);
    gateway_set_news(s->gateway, news);
    news_unref(news);
}

static inline void message_release(struct message *m) {
    buffer_release(&m->bytes);
    buffer_release(&m->body);
}

static inline void stage_close(struct stage *s) {
    gateway_free(s->gateway);
    key_source_free(s->keys);
    metrics_unref(s->metrics);
    memory_limits_free(s->limits);
    arrears_free(s->arrears);
    feed_free(s->feed);
    slots_free(s->connections);
    slots_free(s->requests);
    slots_free(s->sockets_by_ip);
    slots_free(s->sockets_by_subject);
    slots_free(s->held);
    rig_settle(s->loop);
    resolver_free(s->resolver);
    settings_unref(s->settings);
    loop_free(s->loop);
    close(s->upstream_listener);
    EVP_PKEY_free(s->key.key);
    message_release(&s->seen);
    message_release(&s->answer);
    arena_fini(&s->arena);
    log_stop();
}

/* ---- tokens -------------------------------------------------------------------------------------------------------- */

/* `claims`: members behind iss, aud, exp; `ttl_s` from now. */
static inline const char *token_with(struct stage *s, const struct forge *key, const char *kid,
                                     const char *claims, int64_t ttl_s) {
    struct now now = clock_now();
    const char *payload =
        TEXT(s, "{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"exp\":%lld%s%s}",
             (long long)(now_s(&now) + ttl_s), claims[0] ? "," : "", claims);
    char *token = forge_token(key, TEXT(s, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid), payload);
    const char *copy = TEXT(s, "%s", token);
    free(token);
    return copy;
}

static inline const char *token_of(struct stage *s, const char *claims) {
    return token_with(s, &s->key, "k1", claims, 600);
}

#define ADA "\"sub\":\"ada\",\"role\":\"authenticated\""

/* "Authorization: Bearer ..." of a user. */
static inline const char *bearer(struct stage *s, const char *claims) {
    return TEXT(s, "Authorization: Bearer %s\r\n", token_of(s, claims));
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

#define GET(stage, target, fields) \
    TEXT((stage), "GET %s HTTP/1.1\r\nHost: gw.test\r\n%s\r\n", (target), (fields))
#define POST(stage, target, fields, body) \
    TEXT((stage), "POST %s HTTP/1.1\r\nHost: gw.test\r\n%sContent-Length: %zu\r\n\r\n%s", \
         (target), (fields), strlen(body), (body))
#define OK_HI "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"

/* Looks at what has come without taking it. 0: the end. */
static inline size_t peek(struct stage *s, int fd, struct message *m, char *at, size_t size) {
    ssize_t n = -1;
    RUN_UNTIL(s->loop, (n = recv(fd, at, size, MSG_DONTWAIT | MSG_PEEK)) >= 0 || errno != EAGAIN);
    m->broken = n < 0 ? errno : 0;
    return n < 0 ? 0 : (size_t)n;
}

static inline void take(int fd, size_t n) {
    char bytes[16384];
    ck_assert_int_eq(recv(fd, bytes, n, 0), (ssize_t)n);
}

/* False when nothing came but an end. */
static inline bool read_head(struct stage *s, int fd, enum head_kind kind, struct message *m) {
    char bytes[16384];
    buffer_clear(&m->bytes);
    head_init(&m->head, kind, &HEAD_LIMITS_DEFAULT);
    for (;;) {
        size_t before = buffer_length(&m->bytes), n = peek(s, fd, m, bytes, sizeof(bytes));
        if (n == 0) {
            ck_assert_uint_eq(before, 0);
            return false;
        }
        ck_assert_int_eq(buffer_append(&m->bytes, (struct str){bytes, n}), 0);
        enum head_verdict verdict = head_parse(&m->head, buffer_bytes(&m->bytes));
        take(fd, verdict == HEAD_DONE ? m->head.head_bytes - before : n);
        if (verdict == HEAD_DONE)
            return true;
        ck_assert_msg(verdict == HEAD_MORE, "%s: '%s'", head_verdict_text(verdict),
                      TEXT(s, STR_FMT, STR_ARG(buffer_bytes(&m->bytes))));
    }
}

static inline void read_body(struct stage *s, int fd, enum framing framing, struct message *m) {
    struct body_reader reader;
    char bytes[16384];
    buffer_clear(&m->body);
    body_reader_init(&reader, framing, m->head.body_bytes);
    m->is_whole = body_reader_is_done(&reader);
    while (!m->is_whole) {
        size_t n = peek(s, fd, m, bytes, sizeof(bytes));
        struct str in = {bytes, n}, data;
        enum body_verdict verdict = BODY_MORE;
        if (n == 0) {
            m->is_whole = m->broken == 0 && body_reader_at_close(&reader);
            return;
        }
        while ((verdict = body_read(&reader, &in, &data)) == BODY_DATA)
            ck_assert_int_eq(buffer_append(&m->body, data), 0);
        ck_assert_int_ne(verdict, BODY_BAD);
        take(fd, n - in.n);
        m->is_whole = verdict == BODY_DONE;
    }
}

/* What comes out of the gateway on either side. */
static inline void see_head(struct stage *s, int upstream) {
    ck_assert(read_head(s, upstream, HEAD_REQUEST, &s->seen));
}
static inline void see(struct stage *s, int upstream) {
    see_head(s, upstream);
    read_body(s, upstream, s->seen.head.framing, &s->seen);
}
static inline int hear_head(struct stage *s, int client) {
    return read_head(s, client, HEAD_ANSWER, &s->answer) ? s->answer.head.status : 0;
}
/* The status; 0: closed without an answer. */
static inline int hear(struct stage *s, int client) {
    int status = hear_head(s, client);
    if (status)
        read_body(s, client, head_answer_framing(&s->answer.head, false), &s->answer);
    return status;
}

/* A field's value; NULL without one. Of several, "first|second". */
static inline const char *field_of(struct stage *s, const struct message *m, const char *name) {
    const char *found = NULL;
    for (size_t i = 0; i < m->head.fields.n; i++) {
        const struct field *field = &m->head.fields.list[i];
        if (str_eq_nocase(field->name, str_of(name)))
            found = TEXT(s, "%s%s" STR_FMT, found ? found : "", found ? "|" : "",
                         STR_ARG(field->value));
    }
    return found;
}
#define SEEN(stage, name)  field_of((stage), &(stage)->seen, (name))
#define FIELD(stage, name) field_of((stage), &(stage)->answer, (name))

static inline const char *seen_line(struct stage *s) {
    return TEXT(s, STR_FMT " " STR_FMT, STR_ARG(s->seen.head.method), STR_ARG(s->seen.head.target));
}
static inline const char *body_of(struct stage *s, const struct message *m) {
    return TEXT(s, STR_FMT, STR_ARG(buffer_bytes(&m->body)));
}
#define BODY(stage) body_of((stage), &(stage)->answer)
/* Does the answer's JSON have "name":"value"? */
static inline bool says(struct stage *s, const char *name, const char *value) {
    return strstr(BODY(s), TEXT(s, "\"%s\":\"%s\"", name, value)) != NULL;
}
#define ASSERT_SAYS(stage, name, value) \
    ck_assert_msg(says((stage), (name), (value)), "%s", BODY(stage))

/* ---- whole dialogues ----------------------------------------------------------------------------------------------- */

static inline int join(struct stage *s) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&s->at.address, s->at.length), 0);
    rig_turn(s->loop);
    return fd;
}

static inline int ask(struct stage *s, const char *request) {
    int fd = join(s);
    rig_send(s->loop, fd, str_of(request));
    return fd;
}

static inline bool reached_upstream(struct stage *s) {
    rig_settle(s->loop);
    int fd = accept4(s->upstream_listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The gateway answers by itself: the status. Nothing may reach the upstream. */
static inline int refuse(struct stage *s, const char *request) {
    int client = ask(s, request), status = hear(s, client);
    close(client);
    ck_assert_msg(!reached_upstream(s), "reached the upstream: %s", request);
    return status;
}

/* The request reaches the upstream (s->seen), which gives `answer`; the status that the client got. */
static inline int pass_with(struct stage *s, const char *request, const char *answer) {
    int client = ask(s, request), upstream = rig_accept(s->loop, s->upstream_listener);
    see(s, upstream);
    rig_send(s->loop, upstream, str_of(answer));
    close(upstream);
    int status = hear(s, client);
    close(client);
    return status;
}
static inline int pass(struct stage *s, const char *request) {
    return pass_with(s, request, OK_HI);
}
