/* SPDX-License-Identifier: MIT */
/* A Cluster: a table of who keeps which slot, read from any node that is up, read again when a node
 * is lost, when one says that a slot has moved, and now and then. Only masters are kept connected;
 * the nodes that the URL names also while there is no table. */
#include "redis_client.h"
#include <stdlib.h>

#define SLOTS        16384
#define NODES_MAX    128
#define NOBODY       UINT8_MAX
#define SOON_NS      (20 * NS_PER_MS)
#define UNSETTLED_NS (500 * NS_PER_MS)
#define SETTLED_NS   (30 * NS_PER_S)

struct node {
    struct redis_line *line;
    bool is_master, is_named; /* by the URL */
};

struct redis_cluster {
    struct redis *redis;
    struct node nodes[NODES_MAX];
    size_t n_nodes, next_asked;
    bool has_table;
    uint8_t keepers[SLOTS]; /* index of the node, or NOBODY */
    struct redis_line *asked;
    struct redis_call call; /* CLUSTER SLOTS */
    struct timer timer;
};

/* ---- slots */

/* CRC-16/XMODEM, four bits at a time. */
static unsigned crc16(struct str s) {
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                       0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                       0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned byte = (unsigned char)s.at[i];
        crc = (crc << 4 ^ table[(crc >> 12 ^ byte >> 4) & 15]) & 0xffff;
        crc = (crc << 4 ^ table[(crc >> 12 ^ byte) & 15]) & 0xffff;
    }
    return crc;
}

unsigned redis_slot(struct str key) {
    size_t open = str_index(key, '{');
    struct str behind = str_skip(key, open < key.n ? open + 1 : key.n);
    size_t close = str_index(behind, '}');
    bool has_tag = close < behind.n && close > 0;
    return crc16(has_tag ? str_first(behind, close) : key) % SLOTS;
}

/* ---- nodes */

static bool is_at(const struct redis_line *line, struct str host, uint16_t port) {
    return line->port == port && str_eq(host, str_of(line->host));
}

/* The index of a node that is known, is made known, or takes the place of one that keeps nothing. */
static size_t node_at(struct redis_cluster *cluster, struct str host, uint16_t port) {
    size_t i = 0, spare = NOBODY;
    for (; i < cluster->n_nodes; i++) {
        if (is_at(cluster->nodes[i].line, host, port))
            return i;
        if (!cluster->nodes[i].is_master && !cluster->nodes[i].is_named)
            spare = i;
    }
    if (i == NODES_MAX)
        i = spare;
    if (i == NOBODY)
        return NOBODY;
    if (i == cluster->n_nodes) {
        cluster->nodes[i] = (struct node){.line = line_new(&cluster->redis->rules)};
        if (!cluster->nodes[i].line)
            return NOBODY;
        cluster->n_nodes++;
    }
    return line_point(cluster->nodes[i].line, host, port) ? i : NOBODY;
}

/* The port may be any that fits; -1 when it is none. */
static bool to_port(int64_t value, uint16_t *port) {
    *port = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

/* ---- the table */

/* [first, last, [host, port, ...], replicas...]; a host that is empty is the one that was asked. */
static bool apply_range(struct redis_cluster *cluster, const struct redis_reply *range,
                        uint8_t keepers[SLOTS], bool keeps[NODES_MAX]) {
    uint16_t port;
    if (range->kind != REPLY_ARRAY || range->n < 3 || range->list[2].kind != REPLY_ARRAY ||
        range->list[2].n < 2)
        return false;
    int64_t first = range->list[0].integer, last = range->list[1].integer;
    const struct redis_reply *keeper = &range->list[2];
    struct str host = keeper->list[0].text;
    if (first < 0 || last < first || last >= SLOTS || !to_port(keeper->list[1].integer, &port))
        return false;
    if (host.n == 0 || str_eq(host, STR("?")))
        host = str_of(cluster->asked->host);
    size_t node = node_at(cluster, host, port);
    if (node == NOBODY)
        return false;
    cluster->nodes[node].is_master = keeps[node] = true;
    memset(keepers + first, (int)node, (size_t)(last - first + 1));
    return true;
}

static bool apply(struct redis_cluster *cluster, const struct redis_reply *reply) {
    uint8_t keepers[SLOTS];
    bool keeps[NODES_MAX] = {0};
    if (reply->kind != REPLY_ARRAY || reply->n == 0)
        return false;
    memset(keepers, NOBODY, sizeof(keepers));
    for (size_t i = 0; i < reply->n; i++)
        if (!apply_range(cluster, &reply->list[i], keepers, keeps))
            return false;
    for (size_t i = 0; i < cluster->n_nodes; i++)
        cluster->nodes[i].is_master = keeps[i];
    memcpy(cluster->keepers, keepers, sizeof(keepers));
    return true;
}

static bool is_settled(const struct redis_cluster *cluster) {
    bool is_settled = cluster->has_table;
    for (size_t i = 0; i < cluster->n_nodes; i++)
        is_settled &= !cluster->nodes[i].is_master || line_is_up(cluster->nodes[i].line);
    return is_settled;
}

static void on_tick(struct timer *timer);
static void look_again(struct redis_cluster *cluster, int64_t in_ns) {
    struct loop *loop = cluster->redis->loop;
    loop_timer_set(loop, &cluster->timer, loop_now(loop)->mono_ns + in_ns, on_tick);
}

static void want(struct redis_cluster *cluster, bool also_others) {
    for (size_t i = 0; i < cluster->n_nodes; i++)
        line_want(cluster->nodes[i].line, cluster->nodes[i].is_master || also_others);
}

static void on_slots(struct redis_call *call, enum redis_verdict verdict,
                     const struct redis_reply *reply) {
    struct redis_cluster *cluster = CONTAINER_OF(call, struct redis_cluster, call);
    if (verdict == REDIS_ANSWERED && apply(cluster, reply)) {
        cluster->has_table = true;
        want(cluster, false);
    } else if (verdict == REDIS_ANSWERED || verdict == REDIS_ERROR) {
        line_trouble(cluster->asked, REDIS_LOST, "it does not tell who keeps which slot");
    }
    look_again(cluster, is_settled(cluster) ? SETTLED_NS : UNSETTLED_NS);
}

static struct redis_line *next_up(struct redis_cluster *cluster) {
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        struct redis_line *line = cluster->nodes[cluster->next_asked++ % cluster->n_nodes].line;
        if (line_is_up(line))
            return line;
    }
    return NULL;
}

static void on_tick(struct timer *timer) {
    struct redis_cluster *cluster = CONTAINER_OF(timer, struct redis_cluster, timer);
    static const struct str question[] = {STR("CLUSTER"), STR("SLOTS")};
    look_again(cluster, UNSETTLED_NS);
    if (cluster->call.pending)
        return;
    cluster->asked = next_up(cluster);
    if (!cluster->asked)
        want(cluster, true); /* whoever was ever known may know more */
    else if (redis_call_line(cluster->redis, cluster->asked, &cluster->call, question, 2,
                             on_slots) < 0)
        return; /* no memory: at the next tick */
}

/* ---- what the client asks */

struct redis_line *cluster_line(const struct redis_cluster *cluster, int slot) {
    if (slot >= 0) {
        uint8_t keeper = cluster->keepers[slot];
        return keeper == NOBODY ? NULL : cluster->nodes[keeper].line;
    }
    for (size_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].is_master && line_is_up(cluster->nodes[i].line))
            return cluster->nodes[i].line;
    return NULL;
}

bool cluster_is_lost(const struct redis_cluster *cluster, char why[REDIS_WHY_MAX]) {
    bool is_lost = true;
    for (size_t i = 0; i < cluster->n_nodes && is_lost; i++)
        is_lost = !cluster->nodes[i].line->is_wanted || line_is_lost(cluster->nodes[i].line, why);
    return is_lost;
}

void cluster_line_changed(struct redis_cluster *cluster, struct redis_line *line) {
    if (!line_is_up(line) || !cluster->has_table)
        look_again(cluster, SOON_NS);
}

/* "MOVED 3999 127.0.0.1:6381"; the host may be empty, or hold colons. */
struct redis_line *cluster_redirection(struct redis_cluster *cluster, const struct redis_line *from,
                                       struct str error, bool *is_ask) {
    struct str word, slot_text, rest = error;
    uint64_t slot, port_value;
    uint16_t port;
    if (!str_split(&rest, ' ', &word) || !str_split(&rest, ' ', &slot_text) || !rest.at)
        return NULL;
    bool asks = str_eq(word, STR("ASK"));
    size_t colon = rest.n;
    while (colon > 0 && rest.at[colon - 1] != ':')
        colon--;
    if ((!asks && !str_eq(word, STR("MOVED"))) || colon == 0 || !str_to_u64(slot_text, &slot) ||
        slot >= SLOTS || !str_to_u64(str_skip(rest, colon), &port_value) ||
        !to_port((int64_t)port_value, &port))
        return NULL;
    struct str host = str_first(rest, colon - 1);
    size_t node = node_at(cluster, host.n > 0 ? host : str_of(from->host), port);
    if (node == NOBODY)
        return NULL;
    *is_ask = asks;
    if (!asks) {
        cluster->keepers[slot] = (uint8_t)node;
        cluster->nodes[node].is_master = true;
        look_again(cluster, SOON_NS);
    }
    line_want(cluster->nodes[node].line, true);
    return cluster->nodes[node].line;
}

void cluster_count(const struct redis_cluster *cluster, struct redis_stats *stats) {
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        stats->n_servers += cluster->nodes[i].line->is_wanted;
        stats->n_up += line_is_up(cluster->nodes[i].line);
    }
}

void cluster_look(const struct redis_cluster *cluster, struct redis_sight *sight) {
    for (size_t i = 0; i < cluster->n_nodes; i++)
        if (cluster->nodes[i].line->is_wanted)
            line_look(cluster->nodes[i].line, sight);
}

/* ---- life */

struct redis_cluster *cluster_new(struct redis *redis) {
    struct redis_cluster *cluster = calloc(1, sizeof(*cluster));
    if (!cluster)
        return NULL;
    cluster->redis = redis;
    memset(cluster->keepers, NOBODY, sizeof(cluster->keepers));
    for (size_t i = 0; i < redis->target->n; i++) {
        const struct redis_address *address = &redis->target->addresses[i];
        size_t node = node_at(cluster, address->host, address->port);
        if (node == NOBODY) {
            cluster_free(cluster);
            return NULL;
        }
        cluster->nodes[node].is_named = true;
    }
    want(cluster, true);
    look_again(cluster, UNSETTLED_NS);
    return cluster;
}

void cluster_free(struct redis_cluster *cluster) {
    if (!cluster)
        return;
    loop_timer_clear(cluster->redis->loop, &cluster->timer);
    for (size_t i = 0; i < cluster->n_nodes; i++)
        line_free(cluster->nodes[i].line);
    free(cluster);
}
