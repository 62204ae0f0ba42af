/* SPDX-License-Identifier: MIT */
/* A non-blocking byte stream over a socket that is registered once, edge-triggered.
 *
 * epoll(7): "For stream-oriented files (e.g., pipe, FIFO, stream socket), the condition that the
 * read/write I/O space is exhausted can also be detected by checking the amount of data read
 * from / written to the target file descriptor." So a short read or write spares the call that
 * would say EAGAIN: what comes later is a new edge. Only once the peer has left is there no
 * further edge, and the owner reads on to the end. */
#include "io/connection.h"

#include "io/tls_server.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

static const char *text_of(int failure) {
    switch (-failure) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by peer";
    case EPIPE:
        return "connection closed by peer";
    case ETIMEDOUT:
        return "connection timed out";
    case EHOSTUNREACH:
        return "no route to host";
    case ENETUNREACH:
        return "network is unreachable";
    case ENOENT:
        return "no such socket";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EADDRNOTAVAIL:
        return "no local address or port to connect from";
    case EAGAIN:
        return "the peer's queue of connections is full";
    case EPROTO:
        return "TLS stream broken";
    default:
        return "connection failed";
    }
}

static int fail(struct connection *c, int failure, const char *text) {
    assert(failure < 0);
    c->state = CONNECTION_FAILED;
    c->failure = failure;
    c->failure_text = text ? text : text_of(failure);
    c->can_read = c->can_write = false;
    return failure;
}

/* ---- events */

static void shake_hands(struct connection *c) {
    const char *why = NULL;
    int failure = tls_stream_handshake(c->tls, &why);
    if (failure == -EAGAIN)
        return;
    if (failure < 0) {
        fail(c, failure, why);
        return;
    }
    c->state = CONNECTION_OPEN;
    c->can_read = c->can_write = true; /* TLS may hold what no edge will announce */
}

static void finish_connecting(struct connection *c, uint32_t ready) {
    int failure = c->failure; /* of connect() itself, which had to wait for its event */
    socklen_t n = sizeof(failure);
    if (failure == 0 && getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &failure, &n) == 0)
        failure = -failure;
    if (failure < 0) {
        fail(c, failure, NULL);
    } else if (ready & EPOLLOUT) {
        c->state = c->tls ? CONNECTION_HANDSHAKING : CONNECTION_OPEN;
        c->can_write = !c->tls;
    }
}

static void note_readiness(struct connection *c, uint32_t ready) {
    bool has_ended = ready & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool readable = has_ended || (ready & EPOLLIN),
         writable = ready & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    c->peer_left |= has_ended;
    if (c->tls) {
        tls_stream_ready(c->tls, readable, writable, has_ended);
        if (c->state == CONNECTION_HANDSHAKING)
            shake_hands(c);
        /* TLS may have to write in order to read, and to read in order to write. */
        readable = writable = true;
    }
    if (c->state == CONNECTION_OPEN) {
        c->can_read |= readable;
        c->can_write |= writable;
    }
}

static void on_ready(struct watch *watch, uint32_t ready) {
    struct connection *c = CONTAINER_OF(watch, struct connection, watch);
    enum connection_state state = c->state;
    bool could_read = c->can_read, could_write = c->can_write, had_left = c->peer_left;
    if (c->state == CONNECTION_CONNECTING)
        finish_connecting(c, ready);
    if (c->state == CONNECTION_HANDSHAKING || c->state == CONNECTION_OPEN)
        note_readiness(c, ready);
    /* EPOLLOUT comes along with every EPOLLIN; what changes nothing is not worth a call. */
    if (c->state != state || c->can_read != could_read || c->can_write != could_write ||
        c->peer_left != had_left)
        c->on_event(c);
}

/* ---- life */

int connection_accept(struct connection *c, struct loop *loop, int fd, struct tls_server *tls,
                      void (*on_event)(struct connection *)) {
    *c = (struct connection){.loop = loop, .on_event = on_event, .can_write = !tls};
    c->state = tls ? CONNECTION_HANDSHAKING : CONNECTION_OPEN;
    if (tls)
        c->tls = tls_stream_accept(tls, fd);
    int failure = tls && !c->tls ? -ENOMEM : loop_watch(loop, &c->watch, fd, on_ready);
    if (failure < 0) {
        tls_stream_free(c->tls);
        c->tls = NULL;
        close(fd);
        c->state = CONNECTION_CLOSED;
    }
    return failure;
}

static int open_socket(struct connection *c, int fd, const struct endpoint *to,
                       struct tls_client *tls, struct str server_name) {
    int on = 1;
    if (to->address.ss_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    if (to->address.ss_family != AF_UNIX)
        TRY(endpoint_keep_alive(fd));
    if (tls) {
        c->tls = tls_stream_new(tls, fd, server_name);
        if (!c->tls)
            return -ENOMEM;
    }
    if (connect(fd, (const void *)&to->address, to->length) < 0 && errno != EINPROGRESS)
        c->failure = -errno; /* the owner hears of it with EPOLLHUP, which such a socket raises */
    return loop_watch(c->loop, &c->watch, fd, on_ready);
}

int connection_connect(struct connection *c, struct loop *loop, const struct endpoint *to,
                       struct tls_client *tls, struct str server_name,
                       void (*on_event)(struct connection *)) {
    *c = (struct connection){.loop = loop, .on_event = on_event};
    int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int failure = open_socket(c, fd, to, tls, server_name);
    if (failure < 0) {
        tls_stream_free(c->tls);
        *c = (struct connection){0};
        close(fd);
        return failure;
    }
    c->state = CONNECTION_CONNECTING;
    return 0;
}

static void let_go(struct connection *c) {
    int fd = c->watch.fd;
    loop_unwatch(c->loop, &c->watch);
    tls_stream_free(c->tls);
    close(fd);
    c->tls = NULL;
    c->state = CONNECTION_CLOSED;
    c->can_read = c->can_write = false;
}

void connection_close(struct connection *c) {
    if (c->state == CONNECTION_CLOSED)
        return;
    if (c->tls && c->state == CONNECTION_OPEN)
        tls_stream_end_write(c->tls);
    let_go(c);
}

void connection_reset(struct connection *c) {
    if (c->state == CONNECTION_CLOSED)
        return;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    let_go(c);
}

void connection_end_write(struct connection *c) {
    if (c->state != CONNECTION_OPEN)
        return;
    if (c->tls)
        tls_stream_end_write(c->tls);
    shutdown(c->watch.fd, SHUT_WR);
    c->can_write = false;
}

/* ---- bytes */

ssize_t connection_read(struct connection *c, void *at, size_t n) {
    assert(n > 0);
    assert(c->state == CONNECTION_OPEN || c->state == CONNECTION_FAILED);
    if (c->state == CONNECTION_FAILED)
        return c->failure;
    ssize_t got = c->tls ? tls_stream_read(c->tls, at, n) : recv(c->watch.fd, at, n, 0);
    if (got < 0 && !c->tls)
        got = -errno;
    if (got == -EAGAIN) {
        c->can_read = false;
    } else if (got < 0) {
        c->peer_left = true;
        return fail(c, (int)got, NULL);
    } else if (got == 0) {
        c->peer_left = true;
        c->can_read = false;
    } else if ((size_t)got < n && !c->tls && !c->peer_left) {
        c->can_read = false;
    }
    return got;
}

static size_t length_of(const struct iovec *pieces, int n) {
    size_t length = 0;
    for (int i = 0; i < n; i++)
        length += pieces[i].iov_len;
    return length;
}

static ssize_t send_pieces(int fd, const struct iovec *pieces, int n) {
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)n};
    ssize_t sent = n == 1 ? send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                          : sendmsg(fd, &message, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ssize_t connection_write(struct connection *c, const struct iovec *pieces, int n) {
    assert(c->state == CONNECTION_OPEN || c->state == CONNECTION_FAILED);
    if (c->state == CONNECTION_FAILED)
        return c->failure;
    size_t length = length_of(pieces, n);
    assert(length > 0);
    ssize_t sent =
        c->tls ? tls_stream_write(c->tls, pieces, n) : send_pieces(c->watch.fd, pieces, n);
    if (sent < 0 || (size_t)sent < length)
        c->can_write = false;
    /* Not FAILED: what the peer said before it left (an early answer) can still be read. */
    if (sent < 0 && sent != -EAGAIN)
        c->peer_left = c->can_read = true;
    return sent;
}

bool connection_is_quiet(struct connection *c) {
    if (c->state != CONNECTION_OPEN || c->peer_left)
        return false;
    bool is_quiet;
    if (c->tls) {
        is_quiet = tls_stream_is_quiet(c->tls);
    } else {
        char byte;
        is_quiet = recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    }
    if (is_quiet)
        c->can_read = false;
    return is_quiet;
}
