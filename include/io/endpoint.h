/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/cidr.h"
#include <sys/socket.h>

/* Where a socket listens or connects: an internet address with a port, or a unix socket. */
struct endpoint {
    struct sockaddr_storage address;
    socklen_t length;
};

/* "127.0.0.1:8080", "[::]:8080", ":8080" (all addresses), "unix:/path". False when malformed or a name. */
bool endpoint_parse(struct str text, struct endpoint *endpoint) MUST_USE;
/* The internet address; false for a unix socket. *port may be NULL. */
bool endpoint_ip(const struct endpoint *endpoint, struct ip *ip, uint16_t *port);
/* Text for the log; NUL-terminated. */
void endpoint_text(const struct endpoint *endpoint, char out[128]);

/* A non-blocking listening socket with SO_REUSEPORT (internet), SO_REUSEADDR, CLOEXEC; [::] takes IPv4 too. -errno. */
int endpoint_listen(const struct endpoint *endpoint, int backlog) MUST_USE;
