/* SPDX-License-Identifier: MIT */
#pragma once
#include "gateway/exchange.h"

/* Who is at the other end: the client's address and scheme as `trust` says; nothing else reads those fields. */
struct client_address {
    struct ip ip;
    bool is_https;
};
struct client_address client_address_find(const struct trust *trust, struct ip peer,
                                          struct fields fields);
