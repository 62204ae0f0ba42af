/* SPDX-License-Identifier: MIT */
/* libmicrohttpd's one door: a daemon with a polling thread of its own, whose requests are collected whole and handed to one
 * function. The listening socket is ours, because a failed bind must say why.
 *
 *   target ──► headers ──► body, piece by piece ──► end: handler ──► answer
 *   struct visit is made with the target and freed when the library says that the request is over. */
#include "io/service.h"

#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BODY_BYTES_MAX  (1024 * 1024)
#define CONNECTIONS_MAX 64u
#define IDLE_S          10u
#define BACKLOG         64
#define REST_NS         (100 * NS_PER_MS)

struct service {
    struct MHD_Daemon *daemon;
    service_handler *handler;
    void *arg;
    uint16_t port;
};

/* One request on its way in. */
struct visit {
    struct buffer target, body;
    bool has_headers, is_too_large, is_out_of_memory;
};

static struct str value_of(const char *at, size_t n) { return (struct str){at ? at : "", n}; }

struct str service_field(const struct service_request *request, const char *name) {
    struct MHD_Connection *connection = (struct MHD_Connection *)request->fields;
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(connection, MHD_HEADER_KIND, name, strlen(name), &value,
                                      &n) == MHD_NO)
        return STR_NONE;
    return value_of(value, n);
}

struct walk {
    void (*visit)(void *arg, struct str name, struct str value);
    void *arg;
};

static enum MHD_Result walk_on(void *arg, enum MHD_ValueKind kind, const char *name, size_t n_name,
                               const char *value, size_t n_value) {
    (void)kind;
    struct walk *walk = arg;
    walk->visit(walk->arg, value_of(name, n_name), value_of(value, n_value));
    return MHD_YES;
}

void service_each_field(const struct service_request *request,
                        void (*visit)(void *arg, struct str name, struct str value), void *arg) {
    struct walk walk = {visit, arg};
    MHD_get_connection_values_n((struct MHD_Connection *)request->fields, MHD_HEADER_KIND, walk_on,
                                &walk);
}

void service_answer_field(struct service_answer *answer, const char *name, const char *value) {
    assert(answer->n_extra < sizeof(answer->extra_name) / sizeof(answer->extra_name[0]));
    assert(strlen(name) < sizeof(answer->extra_name[0]));
    assert(value[0] && !strpbrk(value, "\r\n")); /* the library would leave it out in silence */
    size_t at = answer->n_extra++;
    snprintf(answer->extra_name[at], sizeof(answer->extra_name[at]), "%s", name);
    snprintf(answer->extra_value[at], sizeof(answer->extra_value[at]), "%s", value);
}

/* ---- one request -------------------------------------------------------------------------------------------------- */

/* The only place where the target is seen as it came; the handler's `url` is decoded and without its query. */
static void *visit_begin(void *arg, const char *target, struct MHD_Connection *connection) {
    (void)arg, (void)connection;
    struct visit *visit = calloc(1, sizeof(*visit));
    if (visit)
        visit->is_out_of_memory =
            buffer_append(&visit->target, str_of(target)) < 0; /* 0.9.75: NULL when there is none */
    return visit;
}

static void visit_end(void *arg, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode how) {
    (void)arg, (void)connection, (void)how;
    struct visit *visit = *context;
    *context = NULL;
    if (!visit)
        return;
    buffer_release(&visit->target);
    buffer_release(&visit->body);
    free(visit);
}

/* What is beyond the limit is read and dropped: an answer before its end would be lost in a reset. */
static void visit_take(struct visit *visit, struct str data) {
    if (visit->is_too_large || visit->is_out_of_memory)
        return;
    visit->is_too_large = buffer_length(&visit->body) + data.n > BODY_BYTES_MAX;
    if (visit->is_too_large)
        buffer_release(&visit->body);
    else
        visit->is_out_of_memory = buffer_append(&visit->body, data) < 0;
}

static void visit_answer(const struct visit *visit, const struct service *service,
                         struct MHD_Connection *connection, struct str method,
                         struct service_answer *answer) {
    struct str target = buffer_bytes(&visit->target);
    if (visit->is_out_of_memory || visit->is_too_large || target.n == 0) {
        answer->status = visit->is_out_of_memory ? 503 : visit->is_too_large ? 413 : 400;
        return;
    }
    size_t n_path = str_index(target, '?');
    const struct service_request request = {
        .method = str_eq(method, STR("HEAD")) ? STR("GET") : method,
        .path = str_first(target, n_path),
        .query = n_path < target.n ? str_skip(target, n_path + 1) : STR(""),
        .body = buffer_bytes(&visit->body),
        .fields = connection,
    };
    service->handler(service->arg, &request, answer);
    assert(answer->status >= 200 && answer->status <= 599);
}

static bool put_field(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool put_fields(struct MHD_Response *response, const struct service_answer *answer) {
    if (answer->content_type && !put_field(response, "Content-Type", answer->content_type))
        return false;
    for (size_t i = 0; i < answer->n_extra; i++)
        if (!put_field(response, answer->extra_name[i], answer->extra_value[i]))
            return false;
    return true;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection,
                                   const struct service_answer *answer) {
    struct str body = buffer_bytes(&answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.n, (void *)(body.n ? body.at : ""), MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (put_fields(response, answer))
        result = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called once with the headers, then for each piece of the body, and at the end with none. */
static enum MHD_Result on_call(void *arg, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *n_data, void **context) {
    (void)url, (void)version;
    struct visit *visit = *context;
    if (!visit)
        return MHD_NO;
    if (!visit->has_headers) {
        visit->has_headers = true;
        return MHD_YES;
    }
    if (*n_data > 0) {
        visit_take(visit, (struct str){data, *n_data});
        *n_data = 0;
        return MHD_YES;
    }
    struct service_answer answer = {.status = 200, .content_type = "application/json"};
    visit_answer(visit, arg, connection, str_of(method), &answer);
    enum MHD_Result result = send_answer(connection, &answer);
    buffer_release(&answer.body);
    return result;
}

/* ---- the listener ------------------------------------------------------------------------------------------------- */

static bool set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* Not endpoint_listen: with SO_REUSEPORT a second process would share the port instead of finding it taken. */
static int listen_on(const struct endpoint *listen_at, uint16_t *port) {
    int family = listen_at->address.ss_family;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct endpoint bound;
    struct ip ip;
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        (family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) ||
        bind(fd, (const void *)&listen_at->address, listen_at->length) < 0 ||
        listen(fd, BACKLOG) < 0 || endpoint_of_socket(fd, &bound) < 0) {
        int failure = -errno;
        close(fd);
        return failure;
    }
    return endpoint_ip(&bound, &ip, port) ? fd : -EAFNOSUPPORT;
}

/* It prints what any stranger can cause. One thing of it is heeded: out of descriptors, with no connection that might give one
 * back, it "will try busy waiting". */
static void on_log(void *arg, const char *format, va_list list) {
    const struct timespec rest = {.tv_nsec = REST_NS};
    (void)arg, (void)list;
    if (strstr(format, "busy waiting"))
        nanosleep(&rest, NULL);
}

/* The library's thread must take no signal: they are the main thread's. */
static int start_daemon(struct service *service, int fd) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = 0;
    /* clang-format off */
    service->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_call, service,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, /* first: the reading of the others may log */
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
        MHD_OPTION_URI_LOG_CALLBACK, visit_begin, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, visit_end, NULL,
        MHD_OPTION_END);
    /* clang-format on */
    int failure = service->daemon ? 0 : errno ? -errno : -EIO;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

int service_start(struct service **out, const struct endpoint *listen, service_handler *handler,
                  void *arg) {
    assert(handler);
    struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return -ENOMEM;
    service->handler = handler;
    service->arg = arg;
    int fd = listen_on(listen, &service->port);
    int failure = fd < 0 ? fd : start_daemon(service, fd); /* which closes fd, also when it fails */
    if (failure < 0) {
        free(service);
        return failure;
    }
    *out = service;
    return 0;
}

uint16_t service_port(const struct service *service) { return service->port; }

void service_stop(struct service *service) {
    if (!service)
        return;
    MHD_stop_daemon(service->daemon);
    free(service);
}

/* ---- the library -------------------------------------------------------------------------------------------------- */

bool service_version_dies(const char *version) {
    struct str rest = str_of(version), part;
    uint64_t number[3] = {0, 0, 0};
    for (size_t i = 0; i < 3 && str_split(&rest, '.', &part); i++)
        if (!str_to_u64(part, &number[i]))
            return false;
    return number[0] == 1 && number[1] == 0 && number[2] <= 8;
}

const char *service_library_warning(const struct endpoint *listen) {
    struct ip ip;
    if (!endpoint_ip(listen, &ip, NULL) || ip_is_private(&ip) ||
        !service_version_dies(MHD_get_version()))
        return NULL;
    return "this libmicrohttpd (1.0.0 to 1.0.8) can be made to crash by one request: keep this "
           "listener on loopback or a private "
           "address, or use 1.0.9";
}
