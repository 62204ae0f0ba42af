/* SPDX-License-Identifier: MIT */
/* Accepting. The queue is emptied in batches, so that a flood of connections leaves time for those that are open. */
#include "listener.h"

#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH   64
#define REST_NS (100 * NS_PER_MS)

static int reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/* accept(2): errors that are the connection's, not ours, "should be treated like EAGAIN by retrying". */
static bool is_of_one_connection(int error) {
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static int accept_one(struct listener *listener, struct endpoint *peer) {
    *peer = (struct endpoint){.length = sizeof(peer->address)};
    return accept4(listener->fd, (struct sockaddr *)&peer->address, &peer->length,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void on_ready(struct watch *watch, uint32_t ready);

static void go_on(struct timer *timer) {
    struct listener *listener = CONTAINER_OF(timer, struct listener, rest);
    if (loop_watch_level(listener->loop, &listener->watch, listener->fd, on_ready) < 0)
        loop_timer_set(listener->loop, timer, loop_now(listener->loop)->mono_ns + REST_NS, go_on);
}

/* A queue that cannot be emptied would wake the loop without end: stop looking at it for a while. */
static void have_rest(struct listener *listener, int error) {
    if (!listener->is_starved)
        log_error("accepting rests: out of descriptors or memory", F_INT("errno", error));
    listener->is_starved = true;
    struct endpoint peer;
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        int fd = accept_one(listener, &peer);
        if (fd >= 0)
            listener_refuse(listener, fd);
    }
    listener->reserve_fd = reserve();
    loop_unwatch(listener->loop, &listener->watch);
    loop_timer_set(listener->loop, &listener->rest, loop_now(listener->loop)->mono_ns + REST_NS,
                   go_on);
}

/* True when the queue is empty or cannot be emptied now. */
static bool accept_batch(struct listener *listener) {
    for (int i = 0; i < BATCH; i++) {
        struct endpoint peer;
        int fd = accept_one(listener, &peer);
        if (fd >= 0) {
            listener->is_starved = false;
            listener->on_connection(listener, fd, &peer);
        } else if (errno == EAGAIN) {
            return true;
        } else if (!is_of_one_connection(errno)) {
            have_rest(listener, errno);
            return true;
        }
    }
    return false;
}

static void on_ready(struct watch *watch, uint32_t ready) {
    (void)ready;
    accept_batch(CONTAINER_OF(watch, struct listener, watch));
}

int listener_start(struct listener *listener, struct loop *loop, int fd,
                   void (*on_connection)(struct listener *, int, const struct endpoint *)) {
    assert(fd >= 0 && on_connection != NULL);
    *listener = (struct listener){
        .loop = loop, .fd = fd, .reserve_fd = reserve(), .on_connection = on_connection};
    int result = loop_watch_level(loop, &listener->watch, fd, on_ready);
    if (result < 0)
        listener_stop(listener);
    return result;
}

/* What begins a connection, a segment with SYN and without ACK, is dropped before the kernel looks at it; the ACK that ends
 * a handshake is not. A unix socket has no handshake to be caught in. */
void listener_turn_away(struct listener *listener) {
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    if (listener->fd >= 0 &&
        setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        log_warn("connections that come at the drain's end may be reset", F_INT("errno", errno));
}

void listener_empty(struct listener *listener) {
    while (listener->fd >= 0 && !accept_batch(listener))
        continue;
}

void listener_stop(struct listener *listener) {
    if (listener->fd < 0)
        return;
    loop_timer_clear(listener->loop, &listener->rest);
    loop_unwatch(listener->loop, &listener->watch);
    close(listener->fd);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    listener->fd = listener->reserve_fd = -1;
}

/* Says one's last without waiting. Closing over unread bytes sends RST, which may overtake the answer. */
static void say(int fd, struct str answer) {
    char request[4096];
    int n_reads = 0;
    ssize_t sent = send(fd, answer.at, answer.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (sent > 0 && n_reads++ < 8 &&
           recv(fd, request, sizeof(request), MSG_DONTWAIT) == (ssize_t)sizeof(request))
        continue;
}

#define ANSWER(status, more, body, body_bytes) \
    STR("HTTP/1.1 " status "\r\n" \
        "Content-Type: application/json\r\n" \
        "Content-Length: " body_bytes "\r\n" more "Connection: close\r\n\r\n" body)

#define OVERLOADED \
    "{\"code\":\"overloaded\",\"message\":\"The gateway has too many " \
    "connections\",\"hint\":null,\"details\":null}"
_Static_assert(sizeof(OVERLOADED) - 1 == 97, "Content-Length below");

void listener_refuse(const struct listener *listener, int fd) {
    if (!listener->speaks_tls)
        say(fd, ANSWER("503 Service Unavailable", "Retry-After: 1\r\n", OVERLOADED, "97"));
    close(fd);
}

#define PLAIN \
    "{\"code\":\"bad_request\",\"message\":\"This port speaks TLS\",\"hint\":\"Write " \
    "https:// in the URL\",\"details\":null}"
_Static_assert(sizeof(PLAIN) - 1 == 105, "Content-Length below");

void listener_correct(int fd) { say(fd, ANSWER("400 Bad Request", "", PLAIN, "105")); }
