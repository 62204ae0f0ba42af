/* SPDX-License-Identifier: MIT */
/* Addresses and networks: the text forms by the C library, which is strict about them (no leading
 * zeros, no short forms); the rest is comparing bits. */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <assert.h>

static const unsigned char V4_PREFIX[12] = {[10] = 0xff, [11] = 0xff};

#define V4_NETWORK(a, b, n) \
    { {{[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b)}}, 96 + (n) }
#define V6_NETWORK(a, b, n) \
    { {{(a), (b)}}, (n) }
static const struct cidr LOOPBACK[] = {
    V4_NETWORK(127, 0, 8),
    {{{[15] = 1}}, 128},
};
static const struct cidr PRIVATE[] = {
    V4_NETWORK(10, 0, 8),      V4_NETWORK(172, 16, 12),    V4_NETWORK(192, 168, 16), /* RFC 1918 */
    V4_NETWORK(169, 254, 16),  V6_NETWORK(0xfe, 0x80, 10), /* link-local */
    V4_NETWORK(100, 64, 10),                               /* RFC 6598 */
    V6_NETWORK(0xfc, 0x00, 7),                             /* RFC 4193 */
};

bool ip_parse(struct str text, struct ip *ip) {
    char copy[IP_TEXT_MAX];
    if (text.n == 0 || text.n >= sizeof(copy) || str_index(text, '\0') < text.n)
        return false;
    memcpy(copy, text.at, text.n);
    copy[text.n] = '\0';
    if (str_index(text, ':') < text.n)
        return inet_pton(AF_INET6, copy, ip->bytes) == 1;
    memcpy(ip->bytes, V4_PREFIX, sizeof(V4_PREFIX));
    return inet_pton(AF_INET, copy, ip->bytes + sizeof(V4_PREFIX)) == 1;
}

static bool is_port(struct str text) {
    uint64_t port;
    return text.n <= 5 && str_to_u64(text, &port) && port <= 65535;
}

bool ip_parse_hostport(struct str text, struct ip *ip) {
    size_t colon = str_index(text, ':');
    if (text.n > 0 && text.at[0] == '[') {
        size_t end = str_index(text, ']');
        if (colon > end || end == text.n)
            return false;
        struct str after = str_skip(text, end + 1);
        bool has_port = after.n > 0 && after.at[0] == ':' && is_port(str_skip(after, 1));
        return (after.n == 0 || has_port) && ip_parse(str_skip(str_first(text, end), 1), ip);
    }
    if (colon == text.n)
        return ip_parse(text, ip);
    struct str after = str_skip(text, colon + 1);
    if (str_index(after, ':') < after.n)
        return ip_parse(text, ip);
    return is_port(after) && ip_parse(str_first(text, colon), ip);
}

static bool bits_match(const unsigned char *a, const unsigned char *b, unsigned int bits) {
    unsigned int whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static struct ip cut(const struct ip *ip, unsigned int bits) {
    struct ip network = {0};
    memcpy(network.bytes, ip->bytes, bits / 8);
    if (bits % 8)
        network.bytes[bits / 8] = (unsigned char)(ip->bytes[bits / 8] & 0xff00 >> bits % 8);
    return network;
}

/* `given` is the address itself. */
static bool parse(struct str text, struct ip *given, struct cidr *cidr) {
    size_t slash = str_index(text, '/');
    struct str address = str_first(text, slash);
    if (!ip_parse(address, given))
        return false;
    uint64_t widest = str_index(address, ':') < address.n ? 128 : 32, bits = widest;
    if (slash < text.n) {
        struct str digits = str_skip(text, slash + 1);
        if (!str_to_u64(digits, &bits) || bits > widest || (digits.n > 1 && digits.at[0] == '0'))
            return false;
    }
    cidr->bits = (uint8_t)(128 - widest + bits);
    cidr->network = cut(given, cidr->bits);
    return true;
}

bool cidr_parse(struct str text, struct cidr *cidr) {
    struct ip given;
    return parse(text, &given, cidr) && memcmp(&given, &cidr->network, sizeof(given)) == 0;
}

bool cidr_around(struct str text, struct cidr *cidr) {
    struct ip given;
    return parse(text, &given, cidr);
}

bool cidr_contains(const struct cidr *cidr, const struct ip *ip) {
    assert(cidr->bits <= 128);
    return bits_match(cidr->network.bytes, ip->bytes, cidr->bits);
}

static bool any_contains(const struct cidr *list, size_t n, const struct ip *ip) {
    for (size_t i = 0; i < n; i++)
        if (cidr_contains(&list[i], ip))
            return true;
    return false;
}

bool ip_is_v4(const struct ip *ip) { return memcmp(ip->bytes, V4_PREFIX, sizeof(V4_PREFIX)) == 0; }

bool ip_is_loopback(const struct ip *ip) {
    return any_contains(LOOPBACK, sizeof(LOOPBACK) / sizeof(LOOPBACK[0]), ip);
}

bool ip_is_private(const struct ip *ip) {
    return ip_is_loopback(ip) || any_contains(PRIVATE, sizeof(PRIVATE) / sizeof(PRIVATE[0]), ip);
}

struct ip ip_subscriber(const struct ip *ip) {
    return ip_is_v4(ip) ? *ip : cut(ip, 64);
}

/* Without printf, which is what inet_ntop does: every request says its address twice. */
static size_t v4_text(const unsigned char bytes[4], char *out) {
    char *at = out;
    for (int i = 0; i < 4; i++) {
        unsigned byte = bytes[i];
        if (byte >= 100)
            *at++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *at++ = (char)('0' + byte / 10 % 10);
        *at++ = (char)('0' + byte % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
    return (size_t)(at - out) - 1;
}

size_t ip_text(const struct ip *ip, char out[IP_TEXT_MAX]) {
    if (ip_is_v4(ip))
        return v4_text(ip->bytes + sizeof(V4_PREFIX), out);
    const char *text = inet_ntop(AF_INET6, ip->bytes, out, IP_TEXT_MAX);
    assert(text == out);
    return strlen(text);
}
