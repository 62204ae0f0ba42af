/* SPDX-License-Identifier: MIT */
/* Behind a proxy the peer is the proxy. Only what `trust` names is believed, and only the part of it that the proxy wrote. */
#include "gateway/client_address.h"

static bool peer_may_say(const struct trust *trust, const struct ip *peer) {
    for (size_t i = 0; i < trust->n_from; i++)
        if (cidr_contains(&trust->from[i], peer))
            return true;
    return false;
}

static const struct field *find_by_name(struct fields fields, struct str name) {
    for (size_t i = 0; i < fields.n; i++)
        if (str_eq_nocase(fields.list[i].name, name))
            return &fields.list[i];
    return NULL;
}

/* A proxy that does not say what the client spoke is taken at its own word. */
static bool is_https(struct fields fields, bool speaks_tls) {
    const struct field *proto = fields_find(fields, FIELD_X_FORWARDED_PROTO);
    return proto ? str_eq_nocase(proto->value, STR("https")) : speaks_tls;
}

/* The n-th address from the right over all X-Forwarded-For lines: each of the n proxies that are ours appended one. */
static bool forwarded_for(struct fields fields, size_t hops, struct ip *ip) {
    size_t seen = 0;
    for (size_t i = fields.n; i-- > 0;) {
        struct str rest = fields.list[i].value;
        if (fields.list[i].id != FIELD_X_FORWARDED_FOR)
            continue;
        while (rest.n > 0) {
            size_t comma = rest.n;
            while (comma > 0 && rest.at[comma - 1] != ',')
                comma--;
            if (++seen == hops)
                return ip_parse_hostport(str_trim(str_skip(rest, comma)), ip);
            rest.n = comma > 0 ? comma - 1 : 0;
        }
    }
    return false;
}

struct client_address client_address_find(const struct trust *trust, struct ip peer,
                                          bool speaks_tls, struct fields fields) {
    struct client_address found = {peer, speaks_tls};
    const struct field *field;
    switch (trust->kind) {
    case TRUST_PEER:
        break;
    case TRUST_FLY:
        field = fields_find(fields, FIELD_FLY_CLIENT_IP);
        if (field && !ip_parse(field->value, &found.ip))
            found.ip = peer;
        found.is_https = is_https(fields, speaks_tls);
        break;
    case TRUST_HEADER:
        field = find_by_name(fields, trust->header);
        if (!peer_may_say(trust, &peer))
            break;
        if (field && !ip_parse_hostport(field->value, &found.ip))
            found.ip = peer;
        found.is_https = is_https(fields, speaks_tls);
        break;
    case TRUST_FORWARDED_FOR:
        if (!forwarded_for(fields, trust->hops, &found.ip))
            found.ip = peer;
        found.is_https = is_https(fields, speaks_tls);
        break;
    }
    return found;
}
