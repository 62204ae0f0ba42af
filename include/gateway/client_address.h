/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Who is at the other end: the client's address and scheme as `trust` says; nothing else reads those fields. */
struct client_address {
    struct ip ip;
    bool is_https;
};
/* `speaks_tls`: the peer does; so the client does, unless a proxy that may say so says otherwise. */
struct client_address client_address_find(const struct trust *trust, struct ip peer,
                                          bool speaks_tls, struct fields fields);
