/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/stock.h"
#include "redis_line.h"

/* A client's inside: what redis_calls.c, redis_sentinel.c and redis_cluster.c share. */
struct redis_sentinels;
struct redis_cluster;

struct redis {
    struct loop *loop;
    struct tls_client *tls; /* or NULL */
    const struct redis_target *target;
    struct line_rules rules; /* of the servers that keep the data */
    struct redis_stats stats;
    struct redis_command *first; /* of all */
    struct stock commands;
    struct redis_line *server;         /* the only one, or the master; NULL: a Cluster */
    struct redis_sentinels *sentinels; /* or NULL */
    struct redis_cluster *cluster;     /* or NULL */
};

/* A call to this very server, of the client's own or not. -ENOMEM, -E2BIG. */
int redis_call_line(struct redis *redis, struct redis_line *line, struct redis_call *call,
                    const struct str *arguments, size_t n, redis_on_done *on_done) MUST_USE;

/* ---- Sentinels: who is the master? */
struct redis_sentinels *sentinels_new(struct redis *redis) MUST_USE;
void sentinels_free(struct redis_sentinels *sentinels); /* takes NULL */
void sentinels_master_changed(struct redis_sentinels *sentinels);
bool sentinels_are_lost(const struct redis_sentinels *sentinels, char why[REDIS_WHY_MAX]);

/* ---- a Cluster: who keeps which slot? */
struct redis_cluster *cluster_new(struct redis *redis) MUST_USE;
void cluster_free(struct redis_cluster *cluster); /* takes NULL */
/* NULL: nobody is known. -1: any that is up. */
struct redis_line *cluster_line(const struct redis_cluster *cluster, int slot);
bool cluster_is_lost(const struct redis_cluster *cluster, char why[REDIS_WHY_MAX]);
void cluster_line_changed(struct redis_cluster *cluster, struct redis_line *line);
/* Where "MOVED ..." or "ASK ..." from this server leads; NULL: `error` is neither, or nonsense. */
struct redis_line *cluster_redirection(struct redis_cluster *cluster, const struct redis_line *from,
                                       struct str error, bool *is_ask);
void cluster_look(const struct redis_cluster *cluster, struct redis_sight *sight);
void cluster_count(const struct redis_cluster *cluster, struct redis_stats *stats);
