/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/str.h"

/* Internet addresses as 16 bytes; IPv4 is held as ::ffff:a.b.c.d, so one comparison serves both. */
struct ip {
    unsigned char bytes[16];
};
struct cidr {
    struct ip network;
    uint8_t bits; /* 0..128; an IPv4 /8 is held as /104 */
};

#define IP_TEXT_MAX 46

/* No zone, no brackets, no port; an IPv4-mapped IPv6 address is its IPv4 address. */
bool ip_parse(struct str text, struct ip *ip) MUST_USE;
/* As X-Forwarded-For and Forwarded write them: optional brackets, optional port. */
bool ip_parse_hostport(struct str text, struct ip *ip) MUST_USE;
/* "10.0.0.0/8", "fd00::/8", or one address; bits beyond the prefix must be zero. */
bool cidr_parse(struct str text, struct cidr *cidr) MUST_USE;
/* The network that an address with a prefix lies in: of "10.1.2.3/8" it is 10.0.0.0/8. */
bool cidr_around(struct str text, struct cidr *cidr) MUST_USE;
bool cidr_contains(const struct cidr *cidr, const struct ip *ip);
bool ip_is_v4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_private(const struct ip *ip); /* loopback, RFC 1918, RFC 4193, link-local, 100.64/10 */
/* What one subscriber holds: IPv4 whole, IPv6 cut to its /64. */
struct ip ip_subscriber(const struct ip *ip);
/* Canonical text (RFC 5952); returns the length. */
size_t ip_text(const struct ip *ip, char out[IP_TEXT_MAX]);
