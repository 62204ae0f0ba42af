/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/keyring.h"

/* What the settings say of where an issuer's keys come from; see io/key_source. All text is borrowed. */
struct key_origin {
    struct str name;   /* the issuer's, for log and status */
    struct str issuer; /* what its tokens name, for status; empty: auto */
    /* One of the three, or none (the secret alone): */
    struct str jwks_url;
    struct str jwks_file;     /* read at start, at each refresh and when wanted */
    struct str discovery_url; /* an openid-configuration whose jwks_uri (same scheme or https) and
                               * issuer are used; asked again when the keys cannot be had there */
    /* `issuer: auto`: tokens must name exactly the `issuer` of this openid-configuration, spelt as
     * there. It is asked at start and with each refresh until it was had once. Until then nothing is
     * accepted (NO_KEYS), but: when it answers that there is no such document, or when only the keys
     * could be had, auto_issuer_default is what tokens must name. */
    struct str auto_issuer_url;     /* empty: not asked (with discovery_url: that one is) */
    struct str auto_issuer_default; /* <url>/auth/v1; empty: not auto */
    unsigned algorithms;
    struct str hs256_secret; /* empty: none */
};
struct key_times {
    int64_t refresh_s, max_stale_s, cooldown_s, timeout_ms;
};

/* What became of it. */
struct key_status {
    enum keys_state state;
    size_t n_keys; /* published, usable, without the secret */
    bool has_secret;
    int64_t age_s; /* since the last good fetch; -1: never */
    uint64_t n_fetches, n_failures;
    char error[200];  /* of the last fetch; empty when it was good */
    char name[65];    /* the issuer's, as the settings call it */
    char issuer[200]; /* as the settings say it, or what `auto` means; empty: not known yet */
};
