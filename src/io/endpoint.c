/* SPDX-License-Identifier: MIT */
/* Socket addresses: read, written, listened on. */
#include "io/endpoint.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNSENT_BYTES (128 * 1024) /* of an accepted connection, that the kernel keeps for it */

static const struct sockaddr_in *as_v4(const struct endpoint *e) {
    return (const void *)&e->address;
}
static const struct sockaddr_in6 *as_v6(const struct endpoint *e) {
    return (const void *)&e->address;
}
static const struct sockaddr_un *as_unix(const struct endpoint *e) {
    return (const void *)&e->address;
}

bool endpoint_unix(struct str path, struct endpoint *endpoint) {
    struct sockaddr_un *address = (void *)&endpoint->address;
    if (path.n == 0 || path.n >= sizeof(address->sun_path) || memchr(path.at, 0, path.n))
        return false;
    *endpoint = (struct endpoint){.length = sizeof(*address)};
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path.at, path.n);
    return true;
}

void endpoint_of_ip(const struct ip *ip, uint16_t port, struct endpoint *endpoint) {
    *endpoint = (struct endpoint){0};
    if (ip_is_v4(ip)) {
        struct sockaddr_in *address = (void *)&endpoint->address;
        address->sin_family = AF_INET;
        address->sin_port = htons(port);
        memcpy(&address->sin_addr, ip->bytes + 12, 4);
        endpoint->length = sizeof(*address);
    } else {
        struct sockaddr_in6 *address = (void *)&endpoint->address;
        address->sin6_family = AF_INET6;
        address->sin6_port = htons(port);
        memcpy(&address->sin6_addr, ip->bytes, 16);
        endpoint->length = sizeof(*address);
    }
}

bool endpoint_parse(struct str text, struct endpoint *endpoint) {
    if (str_starts(text, STR("unix:")))
        return endpoint_unix(str_skip(text, 5), endpoint);
    size_t colon = text.n;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct str host = str_first(text, colon - 1);
    uint64_t port;
    if (!str_to_u64(str_skip(text, colon), &port) || port > UINT16_MAX)
        return false;
    bool has_brackets = host.n >= 2 && host.at[0] == '[' && host.at[host.n - 1] == ']';
    if (has_brackets)
        host = str_first(str_skip(host, 1), host.n - 2);
    struct ip ip = {0};
    if (host.n > 0 || has_brackets) {
        bool has_colon = str_index(host, ':') < host.n;
        if (has_colon != has_brackets || !ip_parse(host, &ip))
            return false;
    }
    endpoint_of_ip(&ip, (uint16_t)port, endpoint);
    return true;
}

bool endpoint_ip(const struct endpoint *endpoint, struct ip *ip, uint16_t *port) {
    in_port_t net_port;
    *ip = (struct ip){0};
    if (endpoint->address.ss_family == AF_INET) {
        ip->bytes[10] = ip->bytes[11] = 0xff;
        memcpy(ip->bytes + 12, &as_v4(endpoint)->sin_addr, 4);
        net_port = as_v4(endpoint)->sin_port;
    } else if (endpoint->address.ss_family == AF_INET6) {
        memcpy(ip->bytes, &as_v6(endpoint)->sin6_addr, 16);
        net_port = as_v6(endpoint)->sin6_port;
    } else {
        return false;
    }
    if (port)
        *port = ntohs(net_port);
    return true;
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b) {
    return a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}

void endpoint_text(const struct endpoint *endpoint, char out[128]) {
    struct ip ip;
    uint16_t port;
    char text[IP_TEXT_MAX];
    if (endpoint_ip(endpoint, &ip, &port)) {
        size_t n = ip_text(&ip, text);
        snprintf(out, 128, ip_is_v4(&ip) ? "%.*s:%u" : "[%.*s]:%u", (int)n, text, (unsigned)port);
    } else if (endpoint->address.ss_family == AF_UNIX) {
        snprintf(out, 128, "unix:%.108s", as_unix(endpoint)->sun_path);
    } else {
        snprintf(out, 128, "?");
    }
}

static int set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int endpoint_keep_alive(int fd) {
    TRY(set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
    TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60));
    TRY(set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15));
    return set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

static int set_options(int fd, int family) {
    TRY(set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    if (family == AF_UNIX)
        return 0;
    TRY(set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1));
    /* Inherited by every accepted socket, which saves a call for each. */
    TRY(set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1));
    TRY(endpoint_keep_alive(fd));
    /* Without it the kernel takes megabytes for a slow reader, and says only when a third of them is gone that there is room:
     * who reads all the time would look like one that takes nothing. */
    TRY(set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES));
    return family == AF_INET6 ? set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) : 0;
}

/* A socket file that a dead process left behind must not keep the next one from starting. */
static void remove_stale(const struct endpoint *endpoint) {
    struct stat file;
    const char *path = as_unix(endpoint)->sun_path;
    if (endpoint->address.ss_family != AF_UNIX || lstat(path, &file) < 0 || !S_ISSOCK(file.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const void *)&endpoint->address, endpoint->length) < 0 &&
        errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int open_listener(int fd, const struct endpoint *endpoint, int backlog) {
    TRY(set_options(fd, endpoint->address.ss_family));
    remove_stale(endpoint);
    if (bind(fd, (const void *)&endpoint->address, endpoint->length) < 0)
        return -errno;
    return listen(fd, backlog) < 0 ? -errno : 0;
}

static bool is_any_v6(const struct endpoint *endpoint) {
    return endpoint->address.ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&as_v6(endpoint)->sin6_addr);
}

int endpoint_listen(const struct endpoint *endpoint, int backlog) {
    assert(endpoint->length > 0);
    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && is_any_v6(endpoint)) {
        /* "All addresses" on a machine whose kernel has no IPv6. */
        struct endpoint any_v4 = {.length = sizeof(struct sockaddr_in)};
        struct sockaddr_in *address = (void *)&any_v4.address;
        address->sin_family = AF_INET;
        address->sin_port = as_v6(endpoint)->sin6_port;
        return endpoint_listen(&any_v4, backlog);
    }
    if (fd < 0)
        return -errno;
    int failure = open_listener(fd, endpoint, backlog);
    if (failure < 0) {
        close(fd);
        return failure;
    }
    return fd;
}

int endpoint_of_socket(int fd, struct endpoint *endpoint) {
    *endpoint = (struct endpoint){.length = sizeof(endpoint->address)};
    return getsockname(fd, (void *)&endpoint->address, &endpoint->length) < 0 ? -errno : 0;
}
