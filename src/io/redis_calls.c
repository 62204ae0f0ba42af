/* SPDX-License-Identifier: MIT */
/* Calls: made, sent to the server that keeps their key, ended once. */
#include "redis_client.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_MAX       96
#define ARGUMENTS_BYTES_MAX (64 * 1024)
#define REPLY_BYTES_MAX     (64 * 1024)
#define REDIRECTIONS_MAX    3
#define COMMAND_BYTES       1024 /* of one with some limits; larger ones do not lie in stock */
#define COMMANDS_MAX        256  /* there */

const char *redis_verdict_name(enum redis_verdict verdict) {
    static const char *const names[REDIS_VERDICTS] = {
        [REDIS_ANSWERED] = "answered", [REDIS_ERROR] = "error",
        [REDIS_AWAY] = "away",         [REDIS_OVERLOADED] = "overloaded",
        [REDIS_REFUSED] = "refused",   [REDIS_LATE] = "late",
        [REDIS_LOST] = "lost",         [REDIS_NONSENSE] = "nonsense",
    };
    return names[verdict];
}

/* ---- the end of a call */

static int64_t now_ns(const struct redis *redis) { return loop_now(redis->loop)->mono_ns; }

static void command_free(struct redis_command *command) {
    struct redis *redis = command->redis;
    assert(!command->line && (command->previous || redis->first == command));
    loop_defer_cancel(redis->loop, &command->deferred);
    *(command->previous ? &command->previous->next : &redis->first) = command->next;
    if (command->next)
        command->next->previous = command->previous;
    if (!command->is_late)
        redis->stats.n_under_way--;
    stock_give(&redis->commands, command, command->bytes);
}

static void end(struct redis_command *command, enum redis_verdict verdict,
                const struct redis_reply *reply) {
    struct redis *redis = command->redis;
    struct redis_call *call = command->call;
    bool has_reply = verdict == REDIS_ANSWERED || verdict == REDIS_ERROR;
    redis->stats.ended[verdict]++;
    if (has_reply)
        redis->stats.latency_sum_ns += (uint64_t)(now_ns(redis) - command->started_ns);
    command_free(command);
    if (!call)
        return;
    call->pending = NULL;
    call->on_done(call, verdict, has_reply ? reply : NULL);
}

/* It stays in the pipeline, for its reply. */
static void end_late(struct redis_command *command) {
    command->is_late = true;
    command->redis->stats.ended[REDIS_LATE]++;
    command->redis->stats.n_under_way--;
    command->call->on_done(command->call, REDIS_LATE, NULL);
}

/* Nothing is sent again: whoever asked has been told. */
static void hear_late(struct redis_command *command, enum redis_verdict verdict,
                      const struct redis_reply *reply) {
    struct redis_call *call = command->call;
    bool is_error = verdict == REDIS_ANSWERED && reply->kind == REPLY_ERROR;
    command_free(command);
    if (!call)
        return;
    call->pending = NULL;
    call->on_heard(call, is_error ? REDIS_ERROR : verdict, reply);
}

static void end_deferred(struct deferred *deferred) {
    struct redis_command *command = CONTAINER_OF(deferred, struct redis_command, deferred);
    end(command, command->verdict, NULL);
}

static void end_later(struct redis_command *command, enum redis_verdict verdict) {
    command->verdict = verdict;
    loop_defer(command->redis->loop, &command->deferred, end_deferred);
}

/* ---- its way */

static struct str append(char **at, struct str s) {
    struct str copy = {*at, s.n};
    if (s.n)
        memcpy(*at, s.at, s.n);
    *at += s.n;
    return copy;
}

static size_t length_of(const struct str *list, size_t n) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += list[i].n;
    return length;
}

struct arguments {
    const struct str *keys, *others;
    size_t n_keys, n_others;
};

static int command_new(struct redis *redis, struct redis_call *call, const struct arguments *given,
                       struct redis_command **out) {
    size_t n = given->n_keys + given->n_others;
    size_t n_bytes =
        length_of(given->keys, given->n_keys) + length_of(given->others, given->n_others);
    if (n > ARGUMENTS_MAX || n_bytes > ARGUMENTS_BYTES_MAX)
        return -E2BIG;
    size_t all_bytes = sizeof(struct redis_command) + n * sizeof(struct str) + n_bytes;
    struct redis_command *command = stock_take_zeroed(&redis->commands, all_bytes);
    if (!command)
        return -ENOMEM;
    command->bytes = all_bytes;
    char *bytes = (char *)&command->arguments[n];
    for (size_t i = 0; i < given->n_keys; i++)
        command->arguments[command->n++] = append(&bytes, given->keys[i]);
    for (size_t i = 0; i < given->n_others; i++)
        command->arguments[command->n++] = append(&bytes, given->others[i]);
    command->n_keys = given->n_keys;
    command->redis = redis;
    command->call = call;
    command->started_ns = now_ns(redis);
    command->due_ns = command->started_ns + redis->rules.timeout_ns;
    command->next = redis->first;
    if (redis->first)
        redis->first->previous = command;
    redis->first = command;
    redis->stats.n_under_way++;
    *out = command;
    return 0;
}

/* -ENOMEM: `command` is gone, and nothing follows. */
static int send_first(struct redis_command *command, struct redis_line *line) {
    int failure = line_is_up(line) ? pipeline_send(line, command) : -ENOTCONN;
    if (failure == -ENOTCONN) {
        end_later(command, REDIS_AWAY);
    } else if (failure == -EBUSY) {
        end_later(command, REDIS_OVERLOADED);
    } else if (failure < 0) {
        command_free(command);
        return failure;
    }
    return 0;
}

static void send_again(struct redis_command *command, struct redis_line *line) {
    int failure = line_is_up(line) ? pipeline_send(line, command) : -ENOTCONN;
    if (failure < 0)
        end(command, failure == -EBUSY ? REDIS_OVERLOADED : REDIS_AWAY, NULL);
}

static bool follow(struct redis_command *command, struct redis_line *from, struct str error) {
    struct redis_cluster *cluster = command->redis->cluster;
    struct redis_line *line =
        cluster ? cluster_redirection(cluster, from, error, &command->is_asking) : NULL;
    if (!line || command->n_redirections++ >= REDIRECTIONS_MAX)
        return false;
    send_again(command, line);
    return true;
}

/* Every error here says that the command was not executed, or is its own affair. */
static void take_error(struct redis_line *line, struct redis_command *command,
                       const struct redis_reply *reply) {
    struct str error = reply->text;
    bool is_new = str_starts(error, STR("NOSCRIPT")) && command->script && !command->sends_source;
    if (is_new) {
        command->sends_source = true;
        send_again(command, line);
        return;
    }
    if (follow(command, line, error))
        return;
    const char *refusal = redis_refusal(error);
    if (refusal && line->state != LINE_DOWN)
        line_trouble(line, REDIS_LOST, refusal);
    if (command->script && str_starts(error, STR("LATE "))) {
        line_probe(line); /* or its clock was set */
        end(command, REDIS_LATE, NULL);
    } else if (refusal || str_starts(error, STR("TRYAGAIN "))) {
        end(command, REDIS_REFUSED, NULL);
    } else {
        end(command, REDIS_ERROR, reply);
    }
}

static void on_end(struct redis_line *line, struct redis_command *command,
                   enum redis_verdict verdict, const struct redis_reply *reply) {
    if (command->is_late)
        hear_late(command, verdict, reply);
    else if (command->line)
        end_late(command);
    else if (verdict == REDIS_ANSWERED && reply->kind == REPLY_ERROR)
        take_error(line, command, reply);
    else
        end(command, verdict, reply);
}

/* ---- calls */

static struct redis_line *line_for(const struct redis *redis, int slot) {
    return redis->cluster ? cluster_line(redis->cluster, slot) : redis->server;
}

static int slot_of(const struct redis *redis, struct str key) {
    return redis->cluster && key.at ? (int)redis_slot(key) : -1;
}

static int submit(struct redis *redis, struct redis_line *line, struct redis_call *call,
                  const struct redis_script *script, const struct arguments *given,
                  redis_on_done *on_done) {
    assert(!call || call->pending == NULL);
    struct redis_command *command;
    TRY(command_new(redis, call, given, &command));
    command->script = script;
    if (call)
        *call = (struct redis_call){.on_done = on_done, .pending = command};
    int failure = send_first(command, line);
    if (failure < 0 && call)
        call->pending = NULL;
    return failure;
}

int redis_run(struct redis *redis, struct redis_call *call, const struct redis_script *script,
              const struct str *keys, size_t n_keys, const struct str *arguments, size_t n,
              redis_on_done *on_done) {
    assert(n_keys > 0);
    struct arguments given = {keys, arguments, n_keys, n};
    return submit(redis, line_for(redis, slot_of(redis, keys[0])), call, script, &given, on_done);
}

int redis_call_line(struct redis *redis, struct redis_line *line, struct redis_call *call,
                    const struct str *arguments, size_t n, redis_on_done *on_done) {
    assert(n > 0);
    struct arguments given = {NULL, arguments, 0, n};
    return submit(redis, line, call, NULL, &given, on_done);
}

int redis_call(struct redis *redis, struct redis_call *call, struct str key,
               const struct str *arguments, size_t n, redis_on_done *on_done) {
    struct redis_line *line = line_for(redis, slot_of(redis, key));
    return redis_call_line(redis, line, call, arguments, n, on_done);
}

void redis_heed_late(struct redis_call *call, redis_on_done *on_heard) {
    assert(call->pending);
    call->on_heard = on_heard;
}

void redis_cancel(struct redis_call *call) {
    struct redis_command *command = call->pending;
    if (command)
        command->call = NULL;
    call->pending = NULL;
}

/* ---- what is known */

bool redis_is_cluster(const struct redis *redis) { return redis->cluster; }

bool redis_is_up(const struct redis *redis, struct str key) {
    return line_is_up(line_for(redis, slot_of(redis, key)));
}

bool redis_is_lost(const struct redis *redis, char why[REDIS_WHY_MAX]) {
    if (redis->cluster)
        return cluster_is_lost(redis->cluster, why);
    if (redis->sentinels)
        return sentinels_are_lost(redis->sentinels, why);
    return line_is_lost(redis->server, why);
}

int64_t redis_now_us(const struct redis *redis, struct str key) {
    const struct redis_line *line = line_for(redis, slot_of(redis, key));
    return line_is_up(line) ? now_ns(redis) / 1000 + line->clock_us : 0;
}

struct redis_stats redis_stats(const struct redis *redis) {
    struct redis_stats stats = redis->stats;
    if (redis->cluster)
        cluster_count(redis->cluster, &stats);
    else
        stats.n_servers = 1, stats.n_up = line_is_up(redis->server);
    return stats;
}

struct redis_sight redis_look(const struct redis *redis) {
    struct redis_sight sight = {0};
    if (redis->cluster)
        cluster_look(redis->cluster, &sight);
    else
        line_look(redis->server, &sight);
    return sight;
}

/* ---- life */

static void on_change(struct redis_line *line) {
    struct redis *redis = line->rules->redis;
    if (redis->sentinels)
        sentinels_master_changed(redis->sentinels);
    if (redis->cluster)
        cluster_line_changed(redis->cluster, line);
}

static bool start(struct redis *redis) {
    const struct redis_target *target = redis->target;
    switch (target->topology) {
    case REDIS_CLUSTER:
        redis->rules.reply_bytes_max = 16 * REPLY_BYTES_MAX; /* the table of slots may be long */
        redis->cluster = cluster_new(redis);
        return redis->cluster;
    case REDIS_SENTINEL:
        redis->rules.must_be_master = true;
        redis->server = line_new(&redis->rules);
        redis->sentinels = redis->server ? sentinels_new(redis) : NULL;
        return redis->sentinels;
    case REDIS_SINGLE:
        redis->server = line_new(&redis->rules);
        if (!redis->server ||
            !line_point(redis->server, target->addresses[0].host, target->addresses[0].port))
            return false;
        line_want(redis->server, true);
        return true;
    }
    return false;
}

struct redis *redis_new(struct loop *loop, struct resolver *resolver,
                        const struct redis_target *target, int64_t timeout_ns, char why[160]) {
    struct redis *redis = calloc(1, sizeof(*redis));
    snprintf(why, 160, "out of memory");
    if (!redis)
        return NULL;
    redis->loop = loop;
    redis->target = target;
    redis->commands = (struct stock){.piece_bytes = COMMAND_BYTES, .n_most = COMMANDS_MAX};
    if (target->is_tls && !(redis->tls = tls_client_new_private(target->ca_file, why))) {
        free(redis);
        return NULL;
    }
    redis->rules = (struct line_rules){
        .loop = loop,
        .resolver = resolver,
        .tls = redis->tls,
        .user = target->user,
        .password = target->password,
        .db = target->db,
        .reply_bytes_max = REPLY_BYTES_MAX,
        .timeout_ns = timeout_ns,
        .redis = redis,
        .stats = &redis->stats,
        .on_change = on_change,
        .on_end = on_end,
    };
    if (!start(redis)) {
        redis_free(redis);
        return NULL;
    }
    return redis;
}

void redis_free(struct redis *redis) {
    if (!redis)
        return;
    while (redis->first) {
        struct redis_command *command = redis->first;
        /* NOLINTBEGIN(clang-analyzer-unix.Malloc): the freed one was struck from the list */
        loop_timer_clear(redis->loop, &command->deadline);
        if (command->call)
            command->call->pending = NULL;
        /* NOLINTEND(clang-analyzer-unix.Malloc) */
        command->line = NULL;
        command_free(command);
    }
    sentinels_free(redis->sentinels);
    cluster_free(redis->cluster);
    line_free(redis->server);
    tls_client_free(redis->tls);
    stock_release(&redis->commands);
    free(redis);
}
