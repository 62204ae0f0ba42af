/* SPDX-License-Identifier: MIT */
/* All issuers of one reading of the settings, and how they pass to the next: who is told word for word as before keeps his desk. */
#include "io/key_desk.h"

#include <errno.h>
#include <stdlib.h>

/* The members of struct key_origin that are text. */
static const size_t texts[] = {
    offsetof(struct key_origin, jwks_url),
    offsetof(struct key_origin, jwks_file),
    offsetof(struct key_origin, discovery_url), /* the places of keys end here */
    offsetof(struct key_origin, auto_issuer_url),
    offsetof(struct key_origin, auto_issuer_default), /* those of the issuer's name here */
    offsetof(struct key_origin, name),
    offsetof(struct key_origin, issuer),
    offsetof(struct key_origin, hs256_secret),
};
enum { N_KEY_PLACES = 3, N_PLACES = 5, N_TEXTS = sizeof(texts) / sizeof(texts[0]) };

static struct str text(const struct key_origin *origin, size_t i) {
    return *(const struct str *)((const char *)origin + texts[i]);
}

static int copy(struct desk *desk, const struct key_origin *origin) {
    desk->origin.algorithms = origin->algorithms;
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct str *to = (struct str *)((char *)&desk->origin + texts[i]);
        *to = arena_copy(&desk->arena, text(origin, i));
        if (text(origin, i).n > 0 && !to->at)
            return -ENOMEM;
    }
    return 0;
}

struct desk *desk_new(const struct key_origin *origin, const struct key_times *times) {
    struct desk *desk = calloc(1, sizeof(*desk));
    if (!desk)
        return NULL;
    arena_init(&desk->arena);
    desk->times = *times;
    if (copy(desk, origin) < 0 || key_issuer_init(&desk->issuer, &desk->origin, &desk->times) < 0) {
        desk_free(desk);
        return NULL;
    }
    desk_write(desk);
    return desk;
}

void desk_free(struct desk *desk) {
    if (!desk)
        return;
    key_issuer_fini(&desk->issuer);
    bytes_wipe((char *)desk->origin.hs256_secret.at, desk->origin.hs256_secret.n);
    arena_fini(&desk->arena);
    free(desk);
}

void desk_write(struct desk *desk) {
    key_issuer_status(&desk->issuer, &desk->status);
    desk->good_ns = desk->issuer.good_ns;
    desk->fetched_ns = desk->issuer.fetched_ns;
}

static bool same(const struct key_origin *a, const struct key_origin *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!str_eq(text(a, i), text(b, i)))
            return false;
    return true;
}

/* ---- what they show ---- */

static int copy_shown(const struct issuer_keys *from, struct issuer_keys *to) {
    struct str *list = from->n_issuers ? calloc(from->n_issuers, sizeof(*list)) : NULL;
    if (from->n_issuers && !list)
        return -ENOMEM;
    to->issuers = list;
    for (; to->n_issuers < from->n_issuers; to->n_issuers++) {
        struct str *copy = &list[to->n_issuers];
        *copy = (struct str){str_dup(from->issuers[to->n_issuers]), from->issuers[to->n_issuers].n};
        if (!copy->at)
            return -ENOMEM;
    }
    to->keys = from->keys ? keyset_ref(from->keys) : NULL;
    to->state = from->state;
    to->last_fetch_failed = from->last_fetch_failed;
    return 0;
}

/* An issuer with which the control thread is busy shows what it showed before. */
static int show(const struct desk *desk, const struct keyring *before, struct issuer_keys *out) {
    return desk->is_busy ? copy_shown(&before->issuers[desk->index], out)
                         : key_issuer_show(&desk->issuer, out);
}

struct keyring *desks_compose(struct desk *const *desks, size_t n, const struct keyring *before) {
    struct keyring *ring = keyring_new(n);
    for (size_t i = 0; ring && i < n; i++) {
        if (show(desks[i], before, &ring->issuers[i]) < 0) {
            keyring_unref(ring);
            return NULL;
        }
    }
    if (ring && before) {
        ring->generation = before->generation + 1;
        ring->layout = before->layout;
    }
    return ring;
}

/* ---- other settings ---- */

bool desks_have(struct desk *const *desks, size_t n, const struct desk *desk) {
    for (size_t i = 0; i < n; i++)
        if (desks[i] == desk)
            return true;
    return false;
}

static bool is_of(const struct desk *desk, const struct key_origin *origin) {
    return same(&desk->origin, origin, N_TEXTS) && desk->origin.algorithms == origin->algorithms;
}

/* Who names the issuer need not ask where the predecessor asked for it. */
static bool is_at(const struct desk *desk, const struct key_origin *origin) {
    return same(&desk->origin, origin, origin->auto_issuer_url.n > 0 ? N_PLACES : N_KEY_PLACES);
}

static bool is_named(const struct desk *desk, const struct key_origin *origin) {
    return str_eq(desk->origin.name, origin->name);
}

struct change {
    struct desk *const *before;
    size_t n_before;
    const struct keyring *ring;
    struct desk **after;
    size_t n;
};

static struct desk *find(const struct change *c, const struct key_origin *origin, bool may_stay,
                         bool (*fits)(const struct desk *, const struct key_origin *)) {
    for (size_t i = 0; i < c->n_before; i++)
        if (fits(c->before[i], origin) && (may_stay || !desks_have(c->after, c->n, c->before[i])))
            return c->before[i];
    return NULL;
}

/* For an issuer that is new or says something else. Counters that bear its name go on. */
static struct desk *hire(const struct change *c, const struct key_origin *origin,
                         const struct key_times *times) {
    struct desk *desk = desk_new(origin, times);
    const struct desk *namesake = find(c, origin, true, is_named);
    const struct desk *predecessor = find(c, origin, true, is_at);
    if (!desk)
        return NULL;
    if (namesake) {
        desk->issuer.n_fetches = namesake->status.n_fetches;
        desk->issuer.n_failures = namesake->status.n_failures;
    }
    if (predecessor && key_issuer_inherit(&desk->issuer, &c->ring->issuers[predecessor->index],
                                          predecessor->good_ns) < 0) {
        desk_free(desk);
        return NULL;
    }
    desk_write(desk);
    return desk;
}

struct desk **desks_change(struct desk *const *desks, size_t n_before, const struct keyring *ring,
                           const struct key_origin *origins, size_t n,
                           const struct key_times *times) {
    struct change c = {desks, n_before, ring, calloc(n + 1, sizeof(struct desk *)), n};
    if (!c.after)
        return NULL;
    for (size_t i = 0; i < n; i++)
        c.after[i] = find(&c, &origins[i], false, is_of);
    for (size_t i = 0; i < n; i++) {
        if (!c.after[i])
            c.after[i] = hire(&c, &origins[i], times);
        if (!c.after[i]) {
            desks_change_back(desks, n_before, c.after, n);
            return NULL;
        }
    }
    return c.after;
}

void desks_change_back(struct desk *const *before, size_t n_before, struct desk **after, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!desks_have(before, n_before, after[i]))
            desk_free(after[i]);
    free(after);
}

void desks_free(struct desk **desks, size_t n) {
    for (size_t i = 0; desks && i < n; i++)
        desk_free(desks[i]);
    free(desks);
}
