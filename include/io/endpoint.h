/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cidr.h"
#include <sys/socket.h>

/* Where a socket listens or connects: an internet address with a port, or a unix socket. */
struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

/* "127.0.0.1:8080", "[::]:8080", ":8080" (all addresses), "unix:/path". False when malformed or
 * a name. */
bool endpoint_parse(struct str text, struct endpoint *endpoint) MUST_USE;
void endpoint_of_ip(const struct ip *ip, uint16_t port, struct endpoint *endpoint);
/* False when the path is empty, holds a NUL or is too long for a socket address. */
bool endpoint_unix(struct str path, struct endpoint *endpoint) MUST_USE;
/* Where a socket is bound (which port 0 became). -errno. */
int endpoint_of_socket(int fd, struct endpoint *endpoint) MUST_USE;
/* The internet address; false for a unix socket. *port may be NULL. */
bool endpoint_ip(const struct endpoint *endpoint, struct ip *ip, uint16_t *port);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
/* Text for the log; NUL-terminated. */
void endpoint_text(const struct endpoint *endpoint, char out[128]);

/* A peer that has vanished without a word is noticed two minutes after its last: the kernel asks, and the connection breaks. Internet
 * sockets only. -errno. */
int endpoint_keep_alive(int fd) MUST_USE;

/* A non-blocking listening socket with SO_REUSEPORT, TCP_NODELAY, TCP_NOTSENT_LOWAT, keep-alive
 * (internet; accepted sockets inherit the last three), SO_REUSEADDR, CLOEXEC; [::] takes IPv4 too, and is 0.0.0.0 where
 * the kernel has no IPv6. A unix socket's file is replaced when nobody listens on it. -errno. */
int endpoint_listen(const struct endpoint *endpoint, int backlog) MUST_USE;
