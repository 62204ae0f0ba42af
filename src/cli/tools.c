/* SPDX-License-Identifier: MIT */
/* Small blocking helpers of the commands; nothing here runs inside the gateway. */
#include "cli/cli.h"

#include "base/cleanup.h"
#include "io/endpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/time.h>

#define READ_MAX      (8u << 20)
#define GET_TIMEOUT_S 10

static int read_all(int fd, struct buffer *out) {
    for (;;) {
        char *room;
        TRY(buffer_reserve(out, 64 * 1024, &room));
        ssize_t n = read(fd, room, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buffer_commit(out, (size_t)n);
        if (buffer_length(out) > READ_MAX)
            return -EFBIG;
    }
}

int cli_read(const char *path, struct buffer *out) {
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, out);
    CLEANUP(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : read_all(fd, out);
}

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
    struct timeval timeout = {GET_TIMEOUT_S, 0};
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

static int write_all(int fd, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.at, bytes.n, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
        bytes = str_skip(bytes, (size_t)n);
    }
    return 0;
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

static int ask(int fd, const struct cli_request *request, struct buffer *text) {
    TRY(put_request(text, request));
    TRY(write_all(fd, buffer_bytes(text)));
    buffer_clear(text);
    return read_all(fd, text);
}

/* HTTP/1.0: the answer ends with the connection, so that its framing need not be read. Host is not the address, which may be
 * ":8080" or "unix:/x"; whom we ask does not look at it. */
int cli_ask(struct str address, const struct cli_request *request, struct buffer *answer) {
    struct buffer text = {0};
    CLEANUP(cleanup_close) int fd = connect_to(address);
    if (fd < 0)
        return fd;
    int status = ask(fd, request, &text);
    if (status == 0)
        status = read_answer(buffer_bytes(&text), answer);
    buffer_release(&text);
    return status;
}

int cli_get(struct str address, struct str path, struct str fields, struct buffer *answer) {
    return cli_ask(address,
                   &(struct cli_request){.method = STR("GET"), .path = path, .fields = fields},
                   answer);
}
