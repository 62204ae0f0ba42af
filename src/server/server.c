/* SPDX-License-Identifier: MIT */
/* Start: bottom up; stop: top down. The main thread only waits for signals; the workers share nothing but what is handed out here. */
#include "server/server.h"

#include "crash.h"
#include "server_state.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "io/arrears.h"
#include "io/feed.h"
#include "io/resolver.h"
#include "io/service.h"
#include "io/tls_server.h"
#include "limit/purses.h"
#include "limit/slots.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define BACKLOG               4096
#define SETTLE_NS             (200 * NS_PER_MS) /* longer than a handshake with a balancer lasts */
#define STILL_LOOKS_MAX       60
#define FILES_KEPT            24 /* log, admin, key fetches, resolver */
#define FILES_KEPT_PER_WORKER 8  /* among them Redis' */

/* ---- start ---- */

static sigset_t waited_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    return set;
}

/* Threads inherit the mask; SIGPIPE is an error code here, not a death. */
static void block_signals(void) {
    sigset_t set = waited_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            log_warn("file descriptor limit not raised", F_INT("limit", limit.rlim_cur));
    }
}

static void log_finding(void *arg, const char *line) {
    (void)arg;
    log_warn("settings", F_TEXT("finding", line));
}

static int start_tls(struct server *server, char why[256]) {
    char text[TLS_WHY_MAX];
    struct now now = clock_now();
    if (server->settings->n_tls == 0)
        return 0;
    server->tls = tls_server_new(server->settings, NULL, text);
    if (!server->tls) {
        snprintf(why, 256, "%.255s", text);
        return -EINVAL;
    }
    tls_server_lint(server->tls, server->settings, now_s(&now), log_finding, NULL);
    return 0;
}

struct key_origin *server_origins(const struct settings *s, struct key_times *times) {
    struct key_origin *origins = calloc(s->tokens.n_issuers + 1, sizeof(*origins));
    *times = (struct key_times){s->jwks_refresh_s, s->jwks_max_stale_s, s->jwks_cooldown_s,
                                s->jwks_timeout_ms};
    for (size_t i = 0; origins && i < s->tokens.n_issuers; i++) {
        const struct issuer_source *source = &s->sources[i];
        origins[i] = (struct key_origin){
            .name = s->tokens.issuers[i].name,
            .issuer = source->issuer_text,
            .jwks_url = source->jwks_url,
            .jwks_file = source->jwks_file,
            .discovery_url = source->discovery_url,
            .auto_issuer_url = source->is_auto ? source->auto_issuer_url : STR_NONE,
            .auto_issuer_default = source->auto_issuer_default,
            .algorithms = s->tokens.issuers[i].algorithms,
            .hs256_secret = source->hs256_secret,
        };
    }
    return origins;
}

static int start_keys(struct server *server) {
    struct key_times times;
    struct key_origin *origins = server_origins(server->settings, &times);
    if (!origins)
        return -ENOMEM;
    server->keys = key_source_new(origins, server->settings->tokens.n_issuers, &times);
    int failure = server->keys ? 0 : -errno;
    free(origins);
    return failure;
}

static int start_feed(struct server *server, char why[256]) {
    const struct redis_settings *redis = &server->first->redis;
    char text[160];
    const struct feed_options options = {.target = redis->url.n > 0 ? &redis->target : NULL,
                                         .prefix = redis->prefix,
                                         .n_denials = server->first->deny_list.most};
    server->feed = feed_new(server->resolver, &options, text);
    if (!server->feed)
        snprintf(why, 256, "cannot start: %s", text);
    return server->feed ? 0 : -EINVAL;
}

/* SO_REUSEPORT would let a second gateway share the port in silence: look first whether somebody has it. */
static int look_whether_free(const struct endpoint *endpoint) {
    CLEANUP(cleanup_close)
    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;
    if (fd < 0 || endpoint->address.ss_family == AF_UNIX)
        return 0; /* listening itself finds out, and knows what to take on a kernel without IPv6 */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (endpoint->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->length) < 0 ? -errno : 0;
}

/* Each worker has a socket of its own (SO_REUSEPORT); but a unix socket's path leads to one only, which all share. */
static int listen_again(const struct endpoint *listen, int *shared_fd) {
    if (listen->address.ss_family != AF_UNIX)
        return endpoint_listen(listen, BACKLOG);
    if (*shared_fd < 0)
        *shared_fd = endpoint_listen(listen, BACKLOG);
    if (*shared_fd < 0)
        return *shared_fd;
    int fd = fcntl(*shared_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int start_worker(struct server *server, const struct gateway_parts *parts, int fd,
                        char why[256]) {
    char text[160] = "";
    size_t index = server->n_workers;
    if (fd < 0)
        return fd;
    struct worker *worker = worker_new(parts, index, fd, text);
    if (!worker) {
        snprintf(why, 256, "cannot start worker %zu: %s", index, text);
        return -EIO;
    }
    server->workers[server->n_workers++] = worker;
    return 0;
}

/* A worker's share of the connections, no more than the descriptors allow: each may need one upstream, and one that is accepted but
 * can never be forwarded is worse than one that is refused. */
uint32_t server_share_connections(const struct server *server, const struct settings *s) {
    size_t wanted = (s->http.max_connections + server->n_wanted - 1) / server->n_wanted;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
        return (uint32_t)wanted;
    size_t kept = FILES_KEPT + FILES_KEPT_PER_WORKER * server->n_wanted;
    size_t most = files.rlim_cur > kept ? (files.rlim_cur - kept) / 2 / server->n_wanted : 0;
    if (wanted <= most)
        return (uint32_t)wanted;
    most = most > 0 ? most : 1;
    log_warn("fewer connections than http.max_connections: raise the file descriptor limit",
             F_INT("connections", most * server->n_wanted),
             F_INT("descriptors", (int64_t)files.rlim_cur));
    return (uint32_t)most;
}

static int start_workers(struct server *server, char why[256]) {
    const struct settings *s = server->settings;
    struct endpoint listen;
    CLEANUP(cleanup_close) int shared_fd = -1;
    struct gateway_parts parts = {
        .settings = server->settings,
        .resolver = server->resolver,
        .public_tls = server->tls,
        .keys = server->keys,
        .limits = server->limits,
        .arrears = server->arrears,
        .purses = server->purses,
        .feed = server->feed,
        .sights = server->sights,
        .connections = server->connections,
        .requests = server->requests,
        .sockets_by_ip = server->sockets_by_ip,
        .held = server->held,
        .sockets_by_subject = server->sockets_by_subject,
        .metrics = server->metrics,
        .roll = &server->roll,
        .n_workers = server->n_wanted,
        .n_connections = server_share_connections(server, s),
        .via_id = str_of(server->via_id),
    };
    int failure = endpoint_parse(s->listen, &listen) ? look_whether_free(&listen) : -EINVAL;
    for (size_t i = 0; failure == 0 && i < server->n_wanted; i++)
        failure = start_worker(server, &parts, listen_again(&listen, &shared_fd), why);
    if (failure < 0 && !why[0])
        snprintf(why, 256,
                 "cannot listen on " STR_FMT ": %s (choose another with 'listen' or PORT)",
                 STR_ARG(s->listen), strerror(-failure));
    return failure;
}

static int start_admin(struct server *server, char why[256]) {
    const struct settings *s = server->settings;
    struct endpoint listen;
    struct now now = clock_now();
    server->admin.keys = server->keys;
    server->admin.limits = server->limits;
    server->admin.feed = server->feed;
    server->admin.roll = &server->roll;
    server->admin.redis = &server->first->redis;
    server->admin.sights = server->sights;
    server->admin.n_workers = server->n_workers;
    server->admin.started_wall_s = now_s(&now);
    server->admin.started_mono_ns = now.mono_ns;
    if (s->admin.n == 0)
        return 0;
    if (!endpoint_parse(s->admin, &listen))
        return -EINVAL;
    const char *warning = service_library_warning(&listen);
    if (warning)
        log_warn("admin listener", F_TEXT("warning", warning));
    int failure = look_whether_free(&listen);
    if (failure == 0)
        failure = service_start(&server->service, &listen, admin_handle, &server->admin);
    if (failure < 0)
        snprintf(why, 256,
                 "cannot listen on " STR_FMT " for admin: %s (choose another with 'admin')",
                 STR_ARG(s->admin), strerror(-failure));
    return failure;
}

static size_t count_wanted(const struct settings *settings) {
    size_t n = settings->n_workers ? settings->n_workers : server_count_cores();
    return n < WORKERS_MAX ? n : WORKERS_MAX;
}

static int start_all(struct server *server, char why[256]) {
    uint32_t random;
    random_bytes(&random, sizeof(random));
    snprintf(server->via_id, sizeof(server->via_id), "jotgate-%08x", random);
    raise_file_limit();
    TRY(start_tls(server, why));
    server->resolver = resolver_new();
    server->limits =
        memory_limits_new(&(struct memory_limits_options){server->settings->limit_buckets});
    server->arrears = arrears_new(server->settings->limit_buckets);
    const struct redis_settings *redis = &server->settings->redis;
    bool is_leased = redis->url.n > 0 && redis->mode == REDIS_LEASED;
    server->purses = is_leased ? purses_new() : NULL;
    server->sights = redis->url.n > 0 ? redis_sights_new(server->n_wanted) : NULL;
    server->metrics = metrics_new(server->settings, server->n_wanted);
    server->connections = slots_new();
    server->requests = slots_new();
    server->sockets_by_ip = slots_new();
    server->sockets_by_subject = slots_new();
    server->held = slots_new();
    if (!server->resolver || !server->limits || !server->arrears || !server->metrics ||
        !server->connections || !server->requests || !server->sockets_by_ip ||
        !server->sockets_by_subject || !server->held || !server->file ||
        (is_leased && !server->purses) || (redis->url.n > 0 && !server->sights))
        return -ENOMEM;
    admin_note_settings(&server->admin, server->metrics);
    TRY(fixed_note(&server->fixed, server->settings));
    TRY(start_keys(server));
    TRY(start_feed(server, why));
    TRY(start_workers(server, why));
    TRY(start_admin(server, why));
    TRY(key_source_start(server->keys));
    TRY(feed_start(server->feed));
    for (size_t i = 0; i < server->n_workers; i++)
        TRY(worker_start(server->workers[i]));
    return 0;
}

int server_start(struct server **out, struct settings *settings, char why[256]) {
    struct server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    why[0] = '\0';
    int failure = roll_init(&server->roll);
    if (failure < 0) {
        free(server);
        return failure;
    }
    block_signals();
    crash_speak();
    server->settings = settings_ref(settings);
    server->first = settings_ref(settings);
    server->file = str_dup(settings->file);
    server->n_wanted = count_wanted(settings);
    failure = start_all(server, why);
    if (failure < 0) {
        if (!why[0])
            snprintf(why, 256, "cannot start: %s", strerror(-failure));
        server_free(server);
        return failure;
    }
    log_info("started", F_TEXT("version", JG_VERSION), F_STR("listen", settings->listen),
             F_STR("admin", settings->admin), F_STR("upstream", settings->supabase_url),
             F_INT("workers", server->n_workers), F_INT("routes", settings->n_routes),
             F_STR("settings", settings->file.n ? settings->file : STR("environment")));
    *out = server;
    return 0;
}

/* ---- drain and stop ---- */

/* True when a signal came within `ns` that ends it at once. */
static bool wait_for_signal(int64_t ns) {
    sigset_t set = waited_signals();
    sigdelset(&set, SIGUSR1);
    int64_t until_ns = clock_now().mono_ns + ns;
    for (int64_t left_ns = ns; left_ns >= 0; left_ns = until_ns - clock_now().mono_ns) {
        struct timespec timeout = {(time_t)(left_ns / NS_PER_S), (long)(left_ns % NS_PER_S)};
        int number = sigtimedwait(&set, NULL, &timeout);
        if (number > 0 && number != SIGHUP)
            return true;
        if (number == SIGHUP)
            log_warn("settings not reloaded: the process is ending", F_TEXT("signal", "SIGHUP"));
        else if (errno == EAGAIN)
            break;
    }
    return false;
}

static bool all_ended(const struct server *server) {
    for (size_t i = 0; i < server->n_workers; i++)
        if (!worker_has_ended(server->workers[i]))
            return false;
    return true;
}

/* Whoever wants no delay has nobody to be gentle with. */
static bool let_handshakes_end(struct server *server) {
    for (size_t i = 0; i < server->n_workers; i++)
        worker_turn_away(server->workers[i]);
    return wait_for_signal(SETTLE_NS);
}

static void drain(struct server *server) {
    const struct settings *s = server->settings;
    log_info("draining", F_INT("delay_ms", s->drain_delay_ns / NS_PER_MS),
             F_INT("timeout_ms", s->drain_timeout_ns / NS_PER_MS));
    atomic_store(&server->admin.is_draining, true);
    for (size_t i = 0; i < server->n_workers; i++)
        worker_drain(server->workers[i]);
    if (wait_for_signal(s->drain_delay_ns))
        return;
    if (s->drain_delay_ns > 0 && let_handshakes_end(server))
        return;
    for (size_t i = 0; i < server->n_workers; i++)
        worker_finish(server->workers[i]);
    int64_t deadline_ns = clock_now().mono_ns + s->drain_timeout_ns;
    while (!all_ended(server) && clock_now().mono_ns < deadline_ns)
        if (wait_for_signal(20 * NS_PER_MS))
            return;
}

/* Signals that do not end the process. */
static bool attend_to(struct server *server, int signal_number) {
    switch (signal_number) {
    case SIGUSR1:
        key_source_refresh(server->keys);
        return true;
    case SIGHUP:
        server_reload(server);
        return true;
    default:
        return false;
    }
}

/* Each second of ours must see each worker live through one of its own; counted in looks, so that a process that was stopped as a
 * whole (SIGSTOP, a frozen container) wakes up to no alarm. Half a gateway would go on taking its share of the connections. */
static void watch_workers(struct server *server) {
    for (size_t i = 0; i < server->n_workers; i++) {
        unsigned n = worker_beats(server->workers[i]);
        server->n_still[i] = n == server->n_beats[i] ? server->n_still[i] + 1 : 0;
        server->n_beats[i] = n;
        if (server->n_still[i] < STILL_LOOKS_MAX)
            continue;
        log_error("a worker is stuck: the process ends", F_INT("worker", i),
                  F_INT("seconds", STILL_LOOKS_MAX));
        log_stop();
        abort();
    }
}

void server_run(struct server *server) {
    sigset_t set = waited_signals();
    const struct timespec second = {.tv_sec = 1};
    int signal_number = 0;
    do {
        signal_number = sigtimedwait(&set, NULL, &second);
        if (signal_number < 0 && errno == EAGAIN)
            watch_workers(server);
    } while (signal_number < 0 || attend_to(server, signal_number));
    log_info("signal", F_TEXT("name", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"));
    drain(server);
    log_info("stopped", F_BOOL("clean", all_ended(server)));
}

void server_free(struct server *server) {
    if (!server)
        return;
    if (server->service)
        service_stop(server->service);
    if (server->keys)
        key_source_stop(server->keys);
    if (server->feed)
        feed_stop(server->feed);
    for (size_t i = 0; i < server->n_workers; i++)
        worker_free(server->workers[i]);
    key_source_free(server->keys);
    feed_free(server->feed);
    admin_fini(&server->admin);
    metrics_unref(server->metrics);
    slots_free(server->connections);
    slots_free(server->requests);
    memory_limits_free(server->limits);
    arrears_free(server->arrears);
    purses_free(server->purses);
    redis_sights_free(server->sights);
    slots_free(server->sockets_by_ip);
    slots_free(server->sockets_by_subject);
    slots_free(server->held);
    resolver_free(server->resolver);
    tls_server_unref(server->tls);
    settings_unref(server->settings);
    settings_unref(server->first);
    roll_fini(&server->roll);
    free(server->file);
    free(server);
}
