/* SPDX-License-Identifier: MIT */
#pragma once
#include "http/fields.h"

/* What the caller sent to say who it is; borrowed from the head. A string's at is NULL when the
 * field is absent. */
struct credentials {
    struct str bearer; /* after "Bearer " (any case, one or more spaces), one RFC 6750 b64token */
    struct str authorization; /* the whole value of another scheme, passed on as it is */
    struct str apikey;        /* header, else query (still encoded) where there is no header */
    bool apikey_in_query;
    bool are_doubled;  /* more than one Authorization, apikey header or apikey in the query, or a
                        * header and a query that differ */
    bool is_malformed; /* "Bearer" with nothing or with anything but one token */
};
void credentials_read(struct credentials *credentials, struct fields fields, struct str query);
