/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/token.h"
#include "io/loop.h"

/* Where key sets come from: fetched by libcurl on a control thread of its own, refreshed ahead of time, and published as immutable
 * keyrings to every subscribed loop.
 *
 *   fetch ok      the set is published; next refresh at `refresh` or the answer's Cache-Control max-age minus Age (60 s .. refresh),
 *                 with up to 10 % jitter; If-None-Match is sent
 *   fetch failed  the old set stays (until max_stale: then KEYS_STALE), retried with back-off 1 s .. 30 s
 *   emptied       a set that had keys is only emptied by two fetches that agree
 *   unknown kid   key_source_want: one fetch for all who wait, at most one per cooldown for all kids together
 *
 * Document: at most 1 MiB and 100 keys; redirects are not followed; only http and https. */
struct key_source;

struct key_origin {
    struct str name;           /* the issuer's, for log and status */
    struct str jwks_url;       /* or */
    struct str jwks_file;      /* read at start and at each refresh; or */
    struct str discovery_url;  /* an openid-configuration document whose jwks_uri (same scheme or https) and issuer are used */
    struct str auto_issuer_url; /* `issuer: auto`: asked for its `issuer`; accepted beside <base>; empty: not auto */
    struct str auto_issuer_default; /* what auto means when the document cannot be had: <url>/auth/v1 */
    unsigned algorithms;
    struct str hs256_secret; /* empty: none */
};
struct key_times {
    int64_t refresh_s, max_stale_s, cooldown_s, timeout_ms;
};

/* Copies nothing: `origins` live in the settings. NULL, errno set. */
struct key_source *key_source_new(const struct key_origin *origins, size_t n, const struct key_times *times) MUST_USE;
/* on_keyring(arg, ring) comes on the loop's thread for the newest ring: at once, at each publication, and after each fetch that
 * somebody wanted, also when it failed or changed nothing. `ring` is borrowed for the call. Before key_source_start. */
int key_source_subscribe(struct key_source *source, struct loop *loop, void (*on_keyring)(void *arg, struct keyring *ring),
                         void *arg) MUST_USE;
int key_source_start(struct key_source *source) MUST_USE; /* starts the thread, which fetches at once; -errno */
void key_source_stop(struct key_source *source);          /* joins; then no more events are posted */
void key_source_free(struct key_source *source);          /* takes NULL */

/* An unknown kid: may the issuer's keys be read once more? True: a fetch runs or starts now, on_keyring will come. False: within
 * the cooldown of the last fetch, or the keys come from a file that has not changed. From any thread. */
bool key_source_want(struct key_source *source, size_t issuer) MUST_USE;
/* Fetch all now, whatever the cooldown (operator). */
void key_source_refresh(struct key_source *source);
/* The newest ring with a reference. From any thread. */
struct keyring *key_source_ring(struct key_source *source);

struct key_status {
    enum keys_state state;
    size_t n_keys;           /* published, usable */
    bool has_secret;
    int64_t age_s;           /* since the last good fetch; -1: never */
    uint64_t n_fetches, n_failures;
    char error[200];         /* of the last fetch; empty when it was good */
    char issuer[200];        /* what tokens must say (first spelling) */
};
void key_source_status(struct key_source *source, size_t issuer, struct key_status *status); /* from any thread */
/* Can tokens be verified at all? False with what to set or to wait for: the readiness text. */
bool key_source_is_ready(struct key_source *source, char why[256]);
