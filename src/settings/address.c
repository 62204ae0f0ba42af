/* SPDX-License-Identifier: MIT */
/* The form of a listening address; io/endpoint makes a socket address of it. */
#include "settings/settings.h"

bool settings_address_is_good(struct str text) {
    size_t colon = text.n;
    uint64_t port;
    struct ip ip;
    if (str_starts(text, STR("unix:/")))
        return text.n - 5 < 108;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0 || !str_to_u64(str_skip(text, colon), &port) || port > 65535)
        return false;
    struct str host = str_first(text, colon - 1);
    bool has_brackets = host.n > 2 && host.at[0] == '[' && host.at[host.n - 1] == ']';
    if (has_brackets)
        host = (struct str){host.at + 1, host.n - 2};
    bool is_v6_text = str_index(host, ':') < host.n;
    return host.n == 0 || (ip_parse(host, &ip) && has_brackets == is_v6_text);
}
