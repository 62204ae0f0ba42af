/* SPDX-License-Identifier: MIT */
/* Small blocking helpers of the commands; nothing here runs inside the gateway. */
#include "cli/cli.h"

#include "arguments.h"
#include "base/cleanup.h"
#include "io/endpoint.h"
#include "io/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/time.h>

#define READ_MAX   (8u << 20)
#define PATIENCE_S 10

/* Where bytes come from and go to: a file, a socket, or TLS over one. */
struct line {
    int fd;
    struct tls_client *tls;
    struct tls_stream *stream; /* NULL: plain */
};

static int wait_for(const struct line *line, short events) {
    struct pollfd awaited = {.fd = line->fd, .events = events};
    int n = poll(&awaited, 1, PATIENCE_S * 1000);
    if (n <= 0)
        return n < 0 ? -errno : -ETIMEDOUT;
    tls_stream_ready(line->stream, true, true, false);
    return 0;
}

static ssize_t line_read(const struct line *line, char *at, size_t n) {
    ssize_t got;
    if (!line->stream) {
        got = read(line->fd, at, n);
        return got >= 0 ? got : errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    while ((got = tls_stream_read(line->stream, at, n)) == -EAGAIN)
        TRY(wait_for(line, POLLIN));
    return got;
}

static ssize_t line_write(const struct line *line, struct str bytes) {
    const struct iovec piece = {(void *)(uintptr_t)bytes.at, bytes.n};
    ssize_t sent;
    if (!line->stream) {
        sent = send(line->fd, bytes.at, bytes.n, MSG_NOSIGNAL);
        return sent < 0 ? -errno : sent;
    }
    while ((sent = tls_stream_write(line->stream, &piece, 1)) == -EAGAIN)
        TRY(wait_for(line, POLLOUT));
    return sent;
}

static int read_all(const struct line *line, struct buffer *out) {
    for (;;) {
        char *room;
        TRY(buffer_reserve(out, 64 * 1024, &room));
        ssize_t n = line_read(line, room, 64 * 1024);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        buffer_commit(out, (size_t)n);
        if (buffer_length(out) > READ_MAX)
            return -EFBIG;
    }
}

static int write_all(const struct line *line, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = line_write(line, bytes);
        if (n < 0)
            return (int)n;
        bytes = str_skip(bytes, (size_t)n);
    }
    return 0;
}

static const char *read_file(void *file, const char *value) {
    *(const char **)file = value;
    return NULL;
}

int cli_file(const char *command, int argc, char **argv, const char **file) {
    static const struct argument arguments[] = {{"-c", "FILE", .read = read_file}};
    *file = NULL;
    return ARGUMENTS_READ(command, arguments, argc, argv, file);
}

int cli_read(const char *path, struct buffer *out) {
    if (strcmp(path, "-") == 0)
        return read_all(&(struct line){.fd = STDIN_FILENO}, out);
    CLEANUP(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : read_all(&(struct line){.fd = fd}, out);
}

/* ---- questions ---- */

/* A listener on "all addresses" takes IPv4, too, and on a kernel without IPv6 nothing else. */
static void make_local(struct endpoint *endpoint) {
    static const struct ip any_v6, any_v4 = {{[10] = 0xff, [11] = 0xff}},
                                   loopback = {{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    struct ip ip;
    uint16_t port;
    if (endpoint_ip(endpoint, &ip, &port) &&
        (memcmp(&ip, &any_v6, sizeof(ip)) == 0 || memcmp(&ip, &any_v4, sizeof(ip)) == 0))
        endpoint_of_ip(&loopback, port, endpoint);
}

static int connect_to(struct str address) {
    struct endpoint endpoint;
    struct timeval timeout = {PATIENCE_S, 0};
    if (!endpoint_parse(address, &endpoint))
        return -EINVAL;
    make_local(&endpoint);
    int fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)&endpoint.address, endpoint.length) == 0)
        return fd;
    int failure = -errno;
    close(fd);
    return failure;
}

/* The status; what stands behind the head is appended to `body`. */
static int read_answer(struct str answer, struct buffer *body) {
    uint64_t status;
    if (!answer.at || answer.n < 12 || !str_to_u64((struct str){answer.at + 9, 3}, &status))
        return -EPROTO;
    for (size_t i = 0; i + 4 <= answer.n; i++)
        if (memcmp(answer.at + i, "\r\n\r\n", 4) == 0) {
            TRY(buffer_append(body, str_skip(answer, i + 4)));
            return (int)status;
        }
    return -EPROTO;
}

static int put_request(struct buffer *text, const struct cli_request *request) {
    TRY(buffer_printf(text, STR_FMT " " STR_FMT " HTTP/1.0\r\nHost: localhost\r\n" STR_FMT,
                      STR_ARG(request->method), STR_ARG(request->path), STR_ARG(request->fields)));
    if (request->body.n > 0 || str_eq(request->method, STR("POST")))
        TRY(buffer_printf(text, "Content-Length: %zu\r\n", request->body.n));
    TRY(buffer_append(text, STR("\r\n")));
    return buffer_append(text, request->body);
}

static int exchange(const struct line *line, const struct cli_request *request,
                    struct buffer *answer) {
    struct buffer text = {0};
    int status = put_request(&text, request);
    if (status == 0)
        status = write_all(line, buffer_bytes(&text));
    bytes_wipe(text.at, text.size); /* there may be a token in it */
    buffer_clear(&text);
    if (status == 0)
        status = read_all(line, &text);
    if (status == 0)
        status = read_answer(buffer_bytes(&text), answer);
    buffer_release(&text);
    return status;
}

/* ---- TLS ---- */

static void explain(char why[CLI_WHY_MAX], int failure, const char *reason) {
    if (failure == -EKEYREJECTED)
        snprintf(why, CLI_WHY_MAX,
                 "who answers has none of the certificates under 'tls' of these settings: not this "
                 "gateway, or one that was not reloaded (SIGHUP) since they changed; sent nothing");
    else
        snprintf(why, CLI_WHY_MAX, "no TLS: %s",
                 failure == -ETIMEDOUT ? strerror(-failure) : reason);
}

/* Nothing is written before it is known who reads. */
static int start_tls(struct line *line, const struct cli_request *request, char why[CLI_WHY_MAX]) {
    const char *reason = "out of memory";
    int failure;
    line->tls = tls_client_new_pinned(request->tls, request->n_tls, why);
    if (!line->tls)
        return -EINVAL;
    line->stream = tls_stream_new(line->tls, line->fd, STR("localhost"));
    failure = line->stream && fcntl(line->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : -ENOMEM;
    if (failure == 0) {
        tls_stream_ready(line->stream, true, true, false);
        while ((failure = tls_stream_handshake(line->stream, &reason)) == -EAGAIN &&
               (failure = wait_for(line, POLLIN)) == 0)
            ;
    }
    if (failure < 0)
        explain(why, failure, reason);
    return failure;
}

static void hang_up(struct line *line) {
    if (line->stream)
        tls_stream_end_write(line->stream);
    tls_stream_free(line->stream);
    tls_client_free(line->tls);
    if (line->fd >= 0)
        close(line->fd);
}

/* HTTP/1.0: the answer ends with the connection, so that its framing need not be read. Host is not the address, which may be
 * ":8080" or "unix:/x"; whom we ask does not look at it. */
int cli_ask(const struct cli_request *request, struct buffer *answer, char why[CLI_WHY_MAX]) {
    struct line line = {.fd = connect_to(request->address)};
    int status = line.fd < 0 ? line.fd : 0;
    why[0] = '\0';
    if (status == 0 && request->n_tls > 0)
        status = start_tls(&line, request, why);
    if (status == 0)
        status = exchange(&line, request, answer);
    if (status < 0 && !why[0])
        snprintf(why, CLI_WHY_MAX, "%s", strerror(-status));
    hang_up(&line);
    return status;
}

int cli_get(struct str address, struct str path, struct str fields, struct buffer *answer) {
    char why[CLI_WHY_MAX];
    return cli_ask(
        &(struct cli_request){
            .address = address, .method = STR("GET"), .path = path, .fields = fields},
        answer, why);
}
