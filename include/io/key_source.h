/* SPDX-License-Identifier: MIT */
#pragma once
#include "auth/keyring.h"
#include "io/key_origin.h"
#include "io/loop.h"

/* Where key sets come from: fetched by libcurl on a control thread of its own, refreshed ahead of time, and published as immutable
 * keyrings to every subscribed loop.
 *
 *   fetch ok      the set is published; next refresh at `refresh` or the answer's Cache-Control max-age minus Age (60 s .. refresh),
 *                 up to 10 % sooner; If-None-Match is sent
 *   fetch failed  the old set stays (until max_stale: then KEYS_STALE), retried with back-off 1 s .. 30 s
 *   emptied       a set that had keys is only emptied by two fetches that agree, a minute apart; until then it counts as failed
 *   unknown kid   key_source_want: one fetch for all who wait, at most one per cooldown for all kids together
 *
 * Document: at most 1 MiB and 100 keys; its content type does not matter; redirects are not followed; only http and https.
 * A configured HS256 secret is in the published set from the start, whatever becomes of the fetches. */
struct key_source;

/* Copies what it needs of `origins`. NULL, errno set. */
struct key_source *key_source_new(const struct key_origin *origins, size_t n,
                                  const struct key_times *times) MUST_USE;
/* on_keyring(arg, ring) comes on the loop's thread for the newest ring: at once, at each publication, and after each fetch that
 * somebody wanted, also when it failed or changed nothing. `ring` is borrowed for the call. Before key_source_start. */
int key_source_subscribe(struct key_source *source, struct loop *loop,
                         void (*on_keyring)(void *arg, struct keyring *ring), void *arg) MUST_USE;
/* Other settings: these origins, in this order, from now on. An origin that is told word for word as before keeps everything; one
 * that names the same places keeps its published keys, read as it now wants them, and is asked at once, as is a new one. Files
 * are read again in any case. The new ring has the next layout; only rings of that layout come from now on. At once, also while
 * a fetch runs. -ENOMEM: nothing has changed. */
int key_source_change(struct key_source *source, const struct key_origin *origins, size_t n,
                      const struct key_times *times) MUST_USE;
/* Starts the thread, which fetches at once. -errno. */
int key_source_start(struct key_source *source) MUST_USE;
/* At once, also in a fetch. Joins; then no more events are posted. */
void key_source_stop(struct key_source *source);
/* Takes NULL. The subscribed loops must not run any more: what they still have in the mail names the source. */
void key_source_free(struct key_source *source);

/* An unknown kid: may the issuer's keys be read once more? True: a fetch runs or starts now (or its ring is on its way), on_keyring
 * will come. False: within the cooldown of the last fetch, or there is nothing to fetch from. `issuer` counts as in the ring that
 * was `seen`; one of another layout has a newer one on its way. From any thread. */
bool key_source_want(struct key_source *source, const struct keyring *seen, size_t issuer) MUST_USE;
/* Fetch all now, whatever the cooldown (operator). */
void key_source_refresh(struct key_source *source);
/* The newest ring with a reference. From any thread. */
struct keyring *key_source_ring(struct key_source *source);

/* From any thread. False: there are not so many. */
bool key_source_status(struct key_source *source, size_t issuer, struct key_status *status);
/* Can tokens of any issuer be verified: had its keys been loaded once, and is there a key or a secret? False with what to set or
 * to wait for: the readiness text. True with what is not well all the same, of every issuer; empty: nothing. */
bool key_source_is_ready(struct key_source *source, char why[256]);
