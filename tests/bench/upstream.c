/* SPDX-License-Identifier: MIT */
/* The upstream of the benchmarks, one thread, as cheap as it can be: what is measured is the proxy before it.
 *
 *     GET  /bytes/N...   N bytes           POST  anything   the body is read, {} is answered
 *     GET  /events...    server-sent events without end, as fast as they are taken, each a chunk of its own
 *     Upgrade: websocket echoes messages of up to 125 bytes            GET  anything else   195 bytes of JSON */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode { HEAD, DRAIN, DRAIN_CHUNKS, BYTES, EVENTS, ECHO };

struct connection {
    int fd;
    enum mode mode;
    char in[16384];
    size_t n_in;
    uint64_t left; /* of a body, either way */
    const char *out;
    size_t out_left;
    char answer[256];
};

static int epoll_fd;
static char zeros[256 * 1024];
static char event_chunk[160], small[512];

static bool push(struct connection *c) {
    while (c->out_left > 0) {
        ssize_t n = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        c->out += n;
        c->out_left -= (size_t)n;
    }
    return true;
}

static void say(struct connection *c, const char *text) {
    c->out = text;
    c->out_left = strlen(text);
}

/* More of what has no end, or a far one. False: the connection broke. */
static bool go_on(struct connection *c) {
    if (!push(c))
        return false;
    while (c->out_left == 0 && (c->mode == EVENTS || (c->mode == BYTES && c->left > 0))) {
        c->out = c->mode == EVENTS ? event_chunk : zeros;
        c->out_left = c->mode == EVENTS ? strlen(event_chunk) : sizeof(zeros);
        if (c->mode == BYTES && c->left < c->out_left)
            c->out_left = (size_t)c->left;
        if (c->mode == BYTES)
            c->left -= c->out_left;
        if (!push(c))
            return false;
    }
    if (c->mode == BYTES && c->left == 0 && c->out_left == 0)
        c->mode = HEAD;
    return true;
}

static void answer(struct connection *c, const char *head) {
    const char *length = strcasestr(head, "\ncontent-length:");
    if (strcasestr(head, "\nupgrade: websocket")) {
        say(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        c->mode = ECHO;
    } else if (strncmp(head, "POST", 4) == 0) {
        c->mode = length ? DRAIN : DRAIN_CHUNKS;
        c->left = length ? strtoull(length + 16, NULL, 10) : 0;
    } else if (strstr(head, " /bytes/") || strstr(head, "/bytes/")) {
        c->left = strtoull(strstr(head, "/bytes/") + 7, NULL, 10);
        snprintf(c->answer, sizeof(c->answer),
                 "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: "
                 "%llu\r\n\r\n",
                 (unsigned long long)c->left);
        say(c, c->answer);
        c->mode = BYTES;
    } else if (strstr(head, "/events")) {
        say(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               "Transfer-Encoding: chunked\r\n\r\n");
        c->mode = EVENTS;
    } else {
        say(c, small);
    }
}

static void end_drain(struct connection *c) {
    say(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    c->mode = HEAD;
}

/* A client's frame is masked; ours is not. */
static bool echo(struct connection *c) {
    static char frame[2 + 125];
    size_t n = (size_t)(c->in[1] & 127), whole = 6 + n;
    if (c->n_in < 2 || c->n_in < whole)
        return false;
    frame[0] = c->in[0];
    frame[1] = (char)n;
    for (size_t i = 0; i < n; i++)
        frame[2 + i] = (char)(c->in[6 + i] ^ c->in[2 + i % 4]);
    if (send(c->fd, frame, 2 + n, MSG_NOSIGNAL) < 0)
        return false;
    memmove(c->in, c->in + whole, c->n_in -= whole);
    return true;
}

/* True: something was used up. */
static bool use(struct connection *c) {
    c->in[c->n_in < sizeof(c->in) ? c->n_in : sizeof(c->in) - 1] = '\0';
    switch (c->mode) {
    case HEAD: {
        char *end = strstr(c->in, "\r\n\r\n");
        if (!end)
            return false;
        end[2] = '\0';
        answer(c, c->in);
        size_t used = (size_t)(end - c->in) + 4;
        memmove(c->in, c->in + used, c->n_in -= used);
        return true;
    }
    case DRAIN: {
        size_t used = c->n_in < c->left ? c->n_in : (size_t)c->left;
        c->left -= used;
        memmove(c->in, c->in + used, c->n_in -= used);
        if (c->left == 0)
            end_drain(c);
        return used > 0 && c->mode == HEAD;
    }
    case DRAIN_CHUNKS: /* ends as all chunked bodies end */
        if (c->n_in >= 5 && memcmp(c->in + c->n_in - 5, "0\r\n\r\n", 5) == 0)
            end_drain(c);
        if (c->n_in > 5) {
            memmove(c->in, c->in + c->n_in - 5, 5);
            c->n_in = 5;
        }
        if (c->mode == HEAD)
            c->n_in = 0;
        return false;
    case ECHO:
        return c->n_in > 0 && echo(c);
    case BYTES:
    case EVENTS:
        break;
    }
    return false;
}

static bool read_in(struct connection *c) {
    for (;;) {
        if (c->mode == DRAIN && c->left == 0)
            end_drain(c);
        ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - 1 - c->n_in, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n < 0)
            return true;
        c->n_in += (size_t)n;
        while (use(c) && go_on(c))
            continue;
    }
}

static void on_connection(int listen_fd) {
    int on = 1, fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (!c || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            exit(1);
        c->fd = fd;
    }
}

int main(int argc, char **argv) {
    static struct epoll_event events[512];
    uint16_t port = argc == 2 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int on = 1, listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!port || bind(listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(listen_fd, 4096) < 0) {
        fprintf(stderr, "usage: upstream PORT (a free one)\n");
        return 2;
    }
    snprintf(small, sizeof(small),
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 195\r\n\r\n"
             "{\"id\":1,\"name\":\"%0177d\"}",
             0);
    snprintf(event_chunk, sizeof(event_chunk), "80\r\ndata: %0120d\n\n\r\n", 0);
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                on_connection(listen_fd);
            } else if (!((events[i].events & EPOLLIN) ? read_in(c) : true) || !go_on(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
