/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "io/endpoint.h"

/* A small HTTP server on a thread of its own, for listeners that are not the request's way: admin, demo (libmicrohttpd; this is
 * its one door). Small bodies only, at most 64 connections. Not hardened like the front: for loopback and private networks. */
struct service;

struct service_request {
    struct str method;      /* HEAD is shown as GET; the answer's body is then not sent */
    struct str path, query; /* raw; query without '?', empty when none */
    struct str body;        /* at most 1 MiB, else 413 */
    const void *fields;     /* for service_field */
};
/* at == NULL when absent; the first, when there are several. `name` in any case. */
struct str service_field(const struct service_request *request, const char *name);
/* In the order in which they came. */
void service_each_field(const struct service_request *request,
                        void (*visit)(void *arg, struct str name, struct str value), void *arg);

struct service_answer {
    int status;               /* 200 at first */
    const char *content_type; /* constant; "application/json" at first */
    struct buffer body;       /* the service frees it */
    char extra_name[4][32];   /* up to four more fields */
    char extra_value[4][160];
    size_t n_extra;
};
/* `value` longer than 159 bytes is cut; without CR and LF, not empty (asserted). Not more than four (asserted). */
void service_answer_field(struct service_answer *answer, const char *name, const char *value);

/* Called on the service's thread, one request at a time. */
typedef void service_handler(void *arg, const struct service_request *request,
                             struct service_answer *answer);

/* -errno (-EADDRINUSE ..., -EAFNOSUPPORT for a unix socket). Port 0 takes a free one: service_port. A port that another process
 * listens on is taken, whoever owns it (no SO_REUSEPORT here). */
int service_start(struct service **out, const struct endpoint *listen, service_handler *handler,
                  void *arg) MUST_USE;
uint16_t service_port(const struct service *service);
void service_stop(struct service *service); /* takes NULL; joins and frees */

/* A finding about this libmicrohttpd (1.0.0-1.0.8 on a public address die on one request), or NULL. */
const char *service_library_warning(const struct endpoint *listen);
/* The same of a named version. */
bool service_version_dies(const char *version);
