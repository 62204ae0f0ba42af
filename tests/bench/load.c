/* SPDX-License-Identifier: MIT */
/* Load for one HTTP/1.1 server, from one thread: closed loop (each connection asks again when it was answered), or open loop
 * (--rate: requests are due at even intervals whether or not the server keeps up, and a request's time counts from when it was
 * due, so that a server that stalls is charged for all who would have come meanwhile).
 *
 *     due ──► queue of due times ──► an idle connection ──► written ──► answered: now - due
 *
 * One JSON object on stdout says what came of it. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS        INT64_C(1000000000)
#define READ_MOST (256 * 1024)
#define TOKENS    1000000
#define FRAME     64 /* payload of a WebSocket message */

enum kind { REQUESTS, SOCKETS, STREAMS };

struct options {
    enum kind kind;
    uint16_t port;
    const char *method, *path, *tokens_file;
    size_t n_connections;
    double seconds, rate;
    bool is_zipf;
    size_t body_bytes;
    uint64_t n_most; /* requests; 0: as many as fit into the time */
};

enum phase { CONNECTING, IDLE, HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, FRAMES };

struct connection {
    int fd;
    enum phase phase;
    struct connection *next_idle;
    const char *out; /* of the request, not written yet */
    size_t out_left, body_left;
    char head[16384];
    size_t n_head;
    uint64_t left; /* of the body, the chunk, the frame */
    int status;
    bool closes, chunked;
    int64_t due_ns;
};

struct request {
    char *at;
    size_t n;
};

static struct options options = {.method = "GET", .path = "/", .n_connections = 64, .seconds = 2};
static struct request *requests;
static size_t n_requests, next_request;
static double *zipf_cdf;
static int epoll_fd;
static struct connection *connections, *idle;
static char body_bytes[64 * 1024], in[READ_MOST];
static uint64_t rng = 88172645463325252u;

/* What came of it. Times in a histogram of 1/64 steps an octave, in ns. */
#define BUCKETS (64 * 40)
static uint64_t histogram[BUCKETS], n_done, n_errors, n_bytes, n_messages, statuses[600];
static int64_t start_ns, end_ns, max_ns;
static uint64_t n_due; /* open loop: given out so far */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double uniform(void) {
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (double)(rng >> 11) / 9007199254740992.0;
}

/* ---- times */

static size_t bucket_of(int64_t ns) {
    uint64_t v = ns < 64 ? 64 : (uint64_t)ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    size_t i = (size_t)(octave - 6) * 64 + (size_t)((v >> (octave - 6)) - 64);
    return i < BUCKETS ? i : BUCKETS - 1;
}

static double quantile_us(double q) {
    uint64_t seen = 0, wanted = (uint64_t)((double)n_done * q);
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted)
            return (double)((64 + i % 64) << (i / 64)) / 1000.0;
    }
    return (double)max_ns / 1000.0;
}

static void count_time(int64_t ns) {
    histogram[bucket_of(ns)]++;
    if (ns > max_ns)
        max_ns = ns;
}

/* ---- what is asked */

static void add_request(const char *token) {
    char *at = NULL;
    char length[64] = "", authorization[20000] = "";
    if (options.body_bytes || strcmp(options.method, "POST") == 0)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", options.body_bytes);
    if (token)
        snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s\r\n", token);
    const char *upgrade = options.kind == SOCKETS
                              ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              : "";
    int n = asprintf(&at,
                     "%s %s HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: load\r\n"
                     "Accept: */*\r\n%s%s%s\r\n",
                     options.method, options.path, authorization, length, upgrade);
    if (n < 0)
        die("memory");
    requests[n_requests++] = (struct request){at, (size_t)n};
}

static void read_requests(void) {
    requests = calloc(TOKENS, sizeof(*requests));
    if (!requests)
        die("memory");
    FILE *file = options.tokens_file ? fopen(options.tokens_file, "r") : NULL;
    if (options.tokens_file && !file)
        die(options.tokens_file);
    char line[20000];
    while (file && n_requests < TOKENS && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            add_request(line);
    }
    if (file)
        fclose(file);
    if (n_requests == 0)
        add_request(NULL);
    next_request %= n_requests;
}

/* P(rank k) ~ 1/k. */
static void prepare_zipf(void) {
    double sum = 0;
    zipf_cdf = calloc(n_requests, sizeof(*zipf_cdf));
    if (!zipf_cdf)
        die("memory");
    for (size_t i = 0; i < n_requests; i++)
        zipf_cdf[i] = sum += 1.0 / (double)(i + 1);
    for (size_t i = 0; i < n_requests; i++)
        zipf_cdf[i] /= sum;
}

static const struct request *choose(void) {
    if (!zipf_cdf) {
        const struct request *request = &requests[next_request];
        next_request = (next_request + 1) % n_requests;
        return request;
    }
    double x = uniform();
    size_t low = 0, high = n_requests - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (zipf_cdf[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return &requests[low];
}

/* ---- a connection */

static void open_connection(struct connection *c) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(options.port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        die("connect");
    c->phase = CONNECTING;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void reopen(struct connection *c) {
    close(c->fd);
    open_connection(c);
}

static void leave_idle(struct connection *c) {
    struct connection **link = &idle;
    while (*link && *link != c)
        link = &(*link)->next_idle;
    if (*link)
        *link = c->next_idle;
}

/* A server may close a connection that asks nothing; anything else is an error. */
static void fail(struct connection *c) {
    if (c->phase == IDLE)
        leave_idle(c);
    else
        n_errors++;
    reopen(c);
}

static bool push(struct connection *c) {
    while (c->out_left > 0 || c->body_left > 0) {
        const char *at = c->out_left ? c->out : body_bytes;
        size_t wanted = c->out_left ? c->out_left : c->body_left;
        if (!c->out_left && wanted > sizeof(body_bytes))
            wanted = sizeof(body_bytes);
        ssize_t n = send(c->fd, at, wanted, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        if (c->out_left) {
            c->out += n;
            c->out_left -= (size_t)n;
        } else {
            c->body_left -= (size_t)n;
        }
    }
    return true;
}

static void ask(struct connection *c, int64_t due_ns) {
    const struct request *request = choose();
    c->out = request->at;
    c->out_left = request->n;
    c->body_left = options.body_bytes;
    c->n_head = 0;
    c->phase = HEAD;
    c->due_ns = due_ns;
    if (!push(c))
        fail(c);
}

static int64_t due_at(uint64_t i) {
    return start_ns + (int64_t)((double)i * (double)NS / options.rate);
}

/* Give what is due to who is idle. */
static void dispatch(int64_t now) {
    while (idle && options.rate > 0 && due_at(n_due) <= now && due_at(n_due) < end_ns) {
        struct connection *c = idle;
        idle = c->next_idle;
        ask(c, due_at(n_due++));
    }
}

static void be_idle(struct connection *c, int64_t now) {
    c->phase = IDLE;
    if (options.rate > 0) {
        c->next_idle = idle;
        idle = c;
        dispatch(now);
    } else {
        ask(c, now);
    }
}

static void done(struct connection *c) {
    int64_t now = now_ns();
    n_done++;
    statuses[c->status < 600 ? c->status : 0]++;
    count_time(now - c->due_ns);
    if (n_done == options.n_most)
        end_ns = now;
    if (c->closes || c->body_left > 0 || c->out_left > 0)
        reopen(c); /* idle once it is connected */
    else
        be_idle(c, now);
}

/* ---- WebSocket: one message there, one back */

static const unsigned char message[6 + FRAME] = {0x82, 0x80 | FRAME};

static void send_message(struct connection *c) {
    c->due_ns = now_ns();
    c->left = 2 + FRAME;
    c->out = (const char *)message;
    c->out_left = sizeof(message);
    if (!push(c))
        fail(c);
}

static size_t take_frames(struct connection *c, size_t n) {
    size_t taken = n < c->left ? n : (size_t)c->left;
    c->left -= taken;
    if (c->left == 0) {
        n_messages++;
        n_done++;
        count_time(now_ns() - c->due_ns);
        send_message(c);
    }
    return taken;
}

/* ---- the answer */

static bool has_field(const char *head, const char *name, const char *value) {
    for (const char *at = head; (at = strcasestr(at, name)); at++) {
        const char *end = strchr(at, '\r');
        const char *found = strcasestr(at, value);
        if (at > head && at[-1] == '\n' && found && found < end)
            return true;
    }
    return false;
}

static void start_body(struct connection *c) {
    char *length = strcasestr(c->head, "\ncontent-length:");
    c->status = (int)strtoul(c->head + 9, NULL, 10);
    c->closes = has_field(c->head, "connection:", "close");
    c->chunked = has_field(c->head, "transfer-encoding:", "chunked");
    if (options.kind == SOCKETS && c->status == 101) {
        c->phase = FRAMES;
        send_message(c);
        return;
    }
    c->left = length ? strtoull(length + 16, NULL, 10) : 0;
    if (strcmp(options.method, "HEAD") == 0 || c->status == 204 || c->status == 304)
        c->left = 0;
    c->phase = c->chunked ? CHUNK_SIZE : LENGTH;
    c->n_head = 0;
    if (!c->chunked && c->left == 0)
        done(c);
}

static size_t take_line(struct connection *c, const char *at, size_t n, bool *whole) {
    const char *end = memchr(at, '\n', n);
    size_t taken = end ? (size_t)(end - at) + 1 : n;
    size_t room = sizeof(c->head) - 1 - c->n_head;
    memcpy(c->head + c->n_head, at, taken < room ? taken : room);
    c->n_head += taken < room ? taken : room;
    c->head[c->n_head] = '\0';
    *whole = end != NULL;
    return taken;
}

static void count_events(const char *at, size_t n) {
    for (const char *end = at + n; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        if (at + 1 < end && at[1] == '\n')
            n_messages++;
}

static size_t take(struct connection *c, const char *at, size_t n) {
    bool whole = false;
    size_t taken;
    switch (c->phase) {
    case HEAD:
        taken = take_line(c, at, n, &whole);
        if (whole && c->n_head >= 4 && strcmp(c->head + c->n_head - 4, "\r\n\r\n") == 0)
            start_body(c);
        return taken;
    case LENGTH:
        taken = n < c->left ? n : (size_t)c->left;
        c->left -= taken;
        n_bytes += taken;
        if (c->left == 0)
            done(c);
        return taken;
    case CHUNK_SIZE:
        taken = take_line(c, at, n, &whole);
        if (whole) {
            c->left = strtoull(c->head, NULL, 16);
            c->n_head = 0;
            c->phase = c->left ? CHUNK : TRAILER;
        }
        return taken;
    case CHUNK:
        taken = n < c->left ? n : (size_t)c->left;
        if (options.kind == STREAMS)
            count_events(at, taken);
        c->left -= taken;
        n_bytes += taken;
        if (c->left == 0)
            c->phase = CHUNK_END;
        return taken;
    case CHUNK_END:
    case TRAILER:
        taken = take_line(c, at, n, &whole);
        if (whole && c->phase == TRAILER && c->n_head == 2) {
            c->n_head = 0;
            done(c);
        } else if (whole) {
            c->n_head = 0;
            c->phase = c->phase == CHUNK_END ? CHUNK_SIZE : TRAILER;
        }
        return taken;
    case FRAMES:
        return take_frames(c, n);
    case CONNECTING:
    case IDLE:
        break;
    }
    n_errors++; /* bytes that nobody asked for */
    return n;
}

static void on_event(struct connection *c, uint32_t ready) {
    if (c->phase == CONNECTING) {
        if (ready & (EPOLLERR | EPOLLHUP))
            fail(c);
        else if (ready & EPOLLOUT)
            be_idle(c, now_ns());
        return;
    }
    if ((ready & EPOLLOUT) && !push(c)) {
        fail(c);
        return;
    }
    int fd = c->fd;
    while ((ready & EPOLLIN) && c->fd == fd) {
        ssize_t n = recv(fd, in, sizeof(in), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            fail(c);
        if (n <= 0)
            return;
        for (size_t at = 0; at < (size_t)n && c->fd == fd;)
            at += take(c, in + at, (size_t)n - at);
        if ((size_t)n < sizeof(in))
            return;
    }
}

/* ---- the run */

static int wait_ms(int64_t now) {
    if (options.rate <= 0 || !idle)
        return 50;
    int64_t left_ns = due_at(n_due) - now;
    return left_ns <= 0 ? 0 : left_ns < 1000000 ? 0 : 1;
}

static void run(void) {
    static struct epoll_event events[512];
    start_ns = now_ns();
    end_ns = start_ns + (int64_t)(options.seconds * (double)NS);
    for (size_t i = 0; i < options.n_connections; i++)
        open_connection(&connections[i]);
    for (int64_t now = start_ns; now < end_ns; now = now_ns()) {
        int n = epoll_wait(epoll_fd, events, 512, wait_ms(now));
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr, events[i].events);
        dispatch(now_ns());
    }
}

/* Open loop: who was due and never answered has waited until now. */
static void charge_unanswered(void) {
    int64_t now = now_ns();
    if (options.rate <= 0)
        return;
    for (size_t i = 0; i < options.n_connections; i++)
        if (connections[i].phase != IDLE && connections[i].phase != CONNECTING && ++n_done)
            count_time(now - connections[i].due_ns);
    for (; due_at(n_due) < end_ns; n_due++, n_done++)
        count_time(now - due_at(n_due));
}

static void report(void) {
    double seconds = (double)(now_ns() - start_ns) / (double)NS;
    uint64_t answered = 0;
    const char *separator = "";
    for (size_t i = 0; i < 600; i++)
        answered += statuses[i];
    charge_unanswered();
    printf("{\"requests\":%llu,\"errors\":%llu,\"bytes\":%llu,\"messages\":%llu,\"seconds\":%.3f,"
           "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"statuses\":{",
           (unsigned long long)answered, (unsigned long long)n_errors, (unsigned long long)n_bytes,
           (unsigned long long)n_messages, seconds, quantile_us(0.5), quantile_us(0.9),
           quantile_us(0.99), (double)max_ns / 1000.0);
    for (size_t i = 0; i < 600; i++)
        if (statuses[i]) {
            printf("%s\"%zu\":%llu", separator, i, (unsigned long long)statuses[i]);
            separator = ",";
        }
    printf("}}\n");
}

static void usage(void) {
    fprintf(
        stderr,
        "usage: load --port N [--connections N] [--seconds S] [--requests N] [--rate PER_SECOND] "
        "[--method M] [--path P]\n"
        "            [--tokens FILE [--zipf | --skip N]] [--body BYTES] [--websocket | "
        "--stream]\n");
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool is_flag = true;
        if (strcmp(name, "--zipf") == 0)
            options.is_zipf = true;
        else if (strcmp(name, "--websocket") == 0)
            options.kind = SOCKETS;
        else if (strcmp(name, "--stream") == 0)
            options.kind = STREAMS;
        else
            is_flag = false;
        if (is_flag)
            continue;
        if (!value)
            usage();
        i++;
        if (strcmp(name, "--port") == 0)
            options.port = (uint16_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--connections") == 0)
            options.n_connections = strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = strtod(value, NULL);
        else if (strcmp(name, "--rate") == 0)
            options.rate = strtod(value, NULL);
        else if (strcmp(name, "--method") == 0)
            options.method = value;
        else if (strcmp(name, "--path") == 0)
            options.path = value;
        else if (strcmp(name, "--tokens") == 0)
            options.tokens_file = value;
        else if (strcmp(name, "--skip") == 0)
            next_request = strtoul(value, NULL, 10);
        else if (strcmp(name, "--requests") == 0)
            options.n_most = strtoul(value, NULL, 10);
        else if (strcmp(name, "--body") == 0)
            options.body_bytes = strtoul(value, NULL, 10);
        else
            usage();
    }
    if (options.port == 0 || options.n_connections == 0)
        usage();
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    read_requests();
    if (options.is_zipf)
        prepare_zipf();
    connections = calloc(options.n_connections, sizeof(*connections));
    epoll_fd = epoll_create1(0);
    if (!connections || epoll_fd < 0)
        die("start");
    run();
    report();
    return 0;
}
