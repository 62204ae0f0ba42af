/* SPDX-License-Identifier: MIT */
/* The way back of what request_head.c does to a request's path:
 *
 *     to the upstream   https://gateway/STRIP/path   ->  http://upstream/BASE/path
 *     to the caller     https://gateway/STRIP/path  <-   http://upstream/BASE/path        */
#include "gateway/location.h"

static bool is_end_of_segment(struct str rest) {
    return rest.n == 0 || rest.at[0] == '/' || rest.at[0] == '?' || rest.at[0] == '#';
}

static size_t authority_length(struct str url) {
    size_t n = 0;
    while (n < url.n && !is_end_of_segment(str_skip(url, n)))
        n++;
    return n;
}

/* "The default port may be written and means the same" (RFC 9110 4.2.3). */
static bool is_authority_of(const struct origin *upstream, struct str authority) {
    struct str host = upstream->host_header, port = upstream->is_tls ? STR(":443") : STR(":80");
    if (authority.n == host.n + port.n && str_ends(authority, port))
        authority.n = host.n;
    return str_eq_nocase(authority, host);
}

bool location_is_upstreams(const struct origin *upstream, struct str url, struct str *rest) {
    struct str scheme = upstream->is_tls ? STR("https://") : STR("http://");
    if (!str_starts_nocase(url, scheme))
        return false;
    url = str_skip(url, scheme.n);
    size_t n = authority_length(url);
    struct str path = str_skip(url, n);
    if (!is_authority_of(upstream, str_first(url, n)) || !str_starts(path, upstream->base_path))
        return false;
    *rest = str_skip(path, upstream->base_path.n);
    return is_end_of_segment(*rest);
}

static int write_ours(struct buffer *out, const struct exchange *x, struct str rest) {
    struct str strip = x->route->strip;
    if (x->host.n > 0) {
        TRY(buffer_append(out, x->is_https ? STR("https://") : STR("http://")));
        TRY(buffer_append(out, x->host));
    } else if (strip.n == 0 && (rest.n == 0 || rest.at[0] != '/')) {
        TRY(buffer_append_byte(out, '/'));
    }
    TRY(buffer_append(out, strip));
    return buffer_append(out, rest);
}

int location_write(struct buffer *out, const struct exchange *x, struct str url) {
    struct str rest;
    if (str_eq(x->route->service, STR("auth")) ||
        !location_is_upstreams(x->route->upstream, url, &rest))
        return buffer_append(out, url);
    return write_ours(out, x, rest);
}
