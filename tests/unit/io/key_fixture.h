/* SPDX-License-Identifier: MIT */
#pragma once
/* A scripted issuer on real HTTP (io/service), and a loop that hears of its keys: begin, start, refresh ..., end. */
#include "io/key_source.h"
#include "io/service.h"
#include "suite.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE_NS (60 * NS_PER_S)

/* clang-format off */
#define KEY_A                                                                                                          \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],"      \
    "\"x\":\"VxtCJ3JVNx-UVz5m8QRO6s862av3cdcIsOQMUYqQz40\",\"y\":\"ifWhjLQtPMy0Bpj78vICb2d-BDi_WMVEITpTLfT-dW8\"}"
#define KEY_B                                                                                                          \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b\","                                                                 \
    "\"x\":\"IREFMx6j7EPXH1uHN1_h70NzQWucT6p9kAqW8jCTEBo\",\"y\":\"kO4T8ZAUjQrdMQEWHmIpeLYjXdtBcby78awtpAxgU3Y\"}"
#define SET(keys) "{\"keys\":[" keys "]}"
#define SECRET "0123456789abcdef0123456789abcdef"
/* clang-format on */

/* ---- the issuer: what it answers, and what it was asked ------------------------------------------------------------ */

struct script {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int status;
    const char *body;
    char etag[32]; /* empty: none is sent */
    int document_status;
    const char *document;
    bool is_held; /* answers wait */
    int n_held;
    int n_jwks, n_documents, n_others;
    char user_agent[64], accept[64], if_none_match[64];
};

static struct script script;
static struct service *server;

static inline void note(struct str value, char *out, size_t size) {
    snprintf(out, size, STR_FMT, STR_ARG(value));
}

static inline void answer_jwks(const struct service_request *request,
                               struct service_answer *answer) {
    script.n_jwks++;
    note(service_field(request, "User-Agent"), script.user_agent, sizeof(script.user_agent));
    note(service_field(request, "Accept"), script.accept, sizeof(script.accept));
    note(service_field(request, "If-None-Match"), script.if_none_match,
         sizeof(script.if_none_match));
    answer->status = script.status;
    answer->content_type = "text/html"; /* which nobody should mind */
    if (script.etag[0])
        service_answer_field(answer, "ETag", script.etag);
    if (script.etag[0] && strcmp(script.etag, script.if_none_match) == 0)
        answer->status = 304;
    else
        ck_assert_int_eq(buffer_append(&answer->body, str_of(script.body)), 0);
    if (answer->status / 100 == 3 && answer->status != 304)
        service_answer_field(answer, "Location", "/elsewhere");
}

static inline void handle(void *arg, const struct service_request *request,
                          struct service_answer *answer) {
    (void)arg;
    pthread_mutex_lock(&script.lock);
    script.n_held++;
    pthread_cond_broadcast(&script.changed);
    while (script.is_held)
        pthread_cond_wait(&script.changed, &script.lock);
    script.n_held--;
    if (str_eq(request->path, STR("/jwks"))) {
        answer_jwks(request, answer);
    } else if (str_eq(request->path, STR("/document"))) {
        script.n_documents++;
        answer->status = script.document_status;
        ck_assert_int_eq(buffer_append(&answer->body, str_of(script.document)), 0);
    } else {
        script.n_others++;
        answer->status = 404;
    }
    pthread_mutex_unlock(&script.lock);
}

static inline void serve(int status, const char *body) {
    pthread_mutex_lock(&script.lock);
    script.status = status;
    script.body = body;
    pthread_mutex_unlock(&script.lock);
}

static inline void serve_document(int status, const char *document) {
    pthread_mutex_lock(&script.lock);
    script.document_status = status;
    script.document = document;
    pthread_mutex_unlock(&script.lock);
}

static inline void hold(bool is_held) {
    pthread_mutex_lock(&script.lock);
    script.is_held = is_held;
    pthread_cond_broadcast(&script.changed);
    pthread_mutex_unlock(&script.lock);
}

/* Until a request hangs in the issuer. */
static inline void await_held(void) {
    pthread_mutex_lock(&script.lock);
    while (script.n_held == 0)
        pthread_cond_wait(&script.changed, &script.lock);
    pthread_mutex_unlock(&script.lock);
}

static inline int count(const int *number) {
    pthread_mutex_lock(&script.lock);
    int n = *number;
    pthread_mutex_unlock(&script.lock);
    return n;
}

static inline struct endpoint loopback(uint16_t port) {
    struct endpoint endpoint = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&endpoint.address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons(port);
    return endpoint;
}

/* ---- the gateway's side -------------------------------------------------------------------------------------------- */

static char jwks_url[64], document_url[64];
static struct key_origin origin;
static struct key_times times;
static struct key_source *source;
static struct loop *loop;
static struct timer deadline;
static struct keyring *ring; /* the newest that came */
static int n_events, n_awaited;

static inline void on_late(struct timer *timer) {
    (void)timer;
    ck_abort_msg("no keyring came");
}

static inline void on_keyring(void *arg, struct keyring *newest) {
    (void)arg;
    keyring_unref(ring);
    ring = keyring_ref(newest);
    n_events++;
    if (n_events >= n_awaited)
        loop_stop(loop);
}

/* Run the loop until `n` more events came. */
static inline void await_events(int n) {
    n_awaited = n_events + n;
    loop_timer_set(loop, &deadline, clock_now().mono_ns + PATIENCE_NS, on_late);
    loop_run(loop);
    loop_timer_clear(loop, &deadline);
}

static inline const struct issuer_keys *keys(void) { return &ring->issuers[0]; }

static inline size_t n_published(void) {
    return keys()->keys ? keyset_count_published(keys()->keys) : 0;
}

static inline struct key_status status(void) {
    struct key_status now;
    key_source_status(source, 0, &now);
    return now;
}

static inline void begin(void) {
    script = (struct script){
        .status = 200, .body = SET(KEY_A "," KEY_B), .document_status = 404, .document = ""};
    pthread_mutex_init(&script.lock, NULL);
    pthread_cond_init(&script.changed, NULL);
    struct endpoint at = loopback(0);
    ck_assert_int_eq(service_start(&server, &at, handle, NULL), 0);
    snprintf(jwks_url, sizeof(jwks_url), "http://127.0.0.1:%u/jwks", service_port(server));
    snprintf(document_url, sizeof(document_url), "http://127.0.0.1:%u/document",
             service_port(server));
    origin = (struct key_origin){
        .name = STR("supabase"), .jwks_url = str_of(jwks_url), .algorithms = ALGORITHMS_DEFAULT};
    times = (struct key_times){
        .refresh_s = 600, .max_stale_s = 86400, .cooldown_s = 30, .timeout_ms = 20000};
    loop = loop_new();
    ck_assert_ptr_nonnull(loop);
}

static inline void subscribe(const struct key_origin *origins, size_t n) {
    source = key_source_new(origins, n, &times);
    ck_assert_ptr_nonnull(source);
    ck_assert_int_eq(key_source_subscribe(source, loop, on_keyring, NULL), 0);
    await_events(1);
}

/* As the first event says, nothing is known. Then the thread starts, and the first round's ring is awaited. */
static inline void start(void) {
    subscribe(&origin, 1);
    ck_assert_int_eq(key_source_start(source), 0);
    await_events(1);
}

static inline void refresh(void) {
    int before = n_events;
    key_source_refresh(source);
    await_events(1);
    ck_assert_int_gt(n_events, before);
}

static inline void end(void) {
    hold(false);
    key_source_free(source);
    loop_free(loop);
    keyring_unref(ring);
    ring = NULL;
    service_stop(server);
}
