/* SPDX-License-Identifier: MIT */
/* They change seldom and hold text: a lock, and no atomics. */
#include "io/redis_sights.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct redis_sights {
    pthread_mutex_t lock;
    size_t n;
    struct {
        struct redis_sight sight;
        bool is_told;
    } workers[];
};

struct redis_sights *redis_sights_new(size_t n_workers) {
    struct redis_sights *sights =
        calloc(1, sizeof(*sights) + n_workers * sizeof(sights->workers[0]));
    if (!sights)
        return NULL;
    sights->n = n_workers;
    pthread_mutex_init(&sights->lock, NULL);
    return sights;
}

void redis_sights_free(struct redis_sights *sights) {
    if (!sights)
        return;
    pthread_mutex_destroy(&sights->lock);
    free(sights);
}

void redis_sights_tell(struct redis_sights *sights, size_t worker,
                       const struct redis_sight *sight) {
    assert(worker < sights->n);
    pthread_mutex_lock(&sights->lock);
    sights->workers[worker].sight = *sight;
    sights->workers[worker].is_told = true;
    pthread_mutex_unlock(&sights->lock);
}

static void take_worse(struct redis_sight *worst, const struct redis_sight *sight) {
    size_t n_servers = worst->n_servers > sight->n_servers ? worst->n_servers : sight->n_servers;
    size_t n_up = worst->n_up < sight->n_up ? worst->n_up : sight->n_up;
    if (sight->away_since_ns > 0 &&
        (worst->away_since_ns == 0 || sight->away_since_ns < worst->away_since_ns))
        *worst = *sight;
    worst->n_servers = n_servers;
    worst->n_up = n_up;
}

struct redis_sight redis_sights_worst(struct redis_sights *sights) {
    struct redis_sight worst = {.n_up = SIZE_MAX};
    pthread_mutex_lock(&sights->lock);
    for (size_t i = 0; i < sights->n; i++)
        if (sights->workers[i].is_told)
            take_worse(&worst, &sights->workers[i].sight);
    pthread_mutex_unlock(&sights->lock);
    if (worst.n_up == SIZE_MAX)
        worst.n_up = 0;
    return worst;
}
