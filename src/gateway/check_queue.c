/* SPDX-License-Identifier: MIT */
/* A ring of lines; the hand goes round and takes the first of each.
 *
 *     ring    192.0.2.1 ──► 192.0.2.7 ──► 2001:db8::/64 ──► (round)
 *                ▲ hand        │              │
 *     lines      a b c d       e              f g             taken: a e f b g c d
 */
#include "gateway/check_queue.h"

#include "base/map.h"
#include <assert.h>
#include <stdlib.h>

struct check_line {
    struct check_line *next, *previous; /* in the ring */
    struct check_waiter *first, *last;
    size_t n;
    struct ip address;
};

struct check_queue {
    struct map *lines;       /* by address; only lines where somebody waits */
    struct check_line *hand; /* whose turn is next; NULL: nobody waits */
    size_t n, most;
};

struct check_queue *check_queue_new(size_t most) {
    struct check_queue *queue = calloc(1, sizeof(*queue));
    struct map *lines = map_new();
    assert(most >= 1);
    if (!queue || !lines) {
        free(queue);
        map_free(lines);
        return NULL;
    }
    *queue = (struct check_queue){.lines = lines, .most = most};
    return queue;
}

void check_queue_free(struct check_queue *queue) {
    if (!queue)
        return;
    assert(queue->n == 0);
    map_free(queue->lines);
    free(queue);
}

void check_queue_resize(struct check_queue *queue, size_t most) {
    assert(most >= 1);
    queue->most = most;
}

static struct str key_of(const struct ip *address) {
    return (struct str){(const char *)address->bytes, sizeof(address->bytes)};
}

/* Behind all others. */
static void enter_ring(struct check_queue *queue, struct check_line *line) {
    struct check_line *hand = queue->hand;
    line->next = hand ? hand : line;
    line->previous = hand ? hand->previous : line;
    line->next->previous = line->previous->next = line;
    if (!hand)
        queue->hand = line;
}

static struct check_line *open_line(struct check_queue *queue, const struct ip *address) {
    struct check_line *line = map_get(queue->lines, key_of(address));
    if (line)
        return line;
    line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->address = *address;
    if (map_put(queue->lines, key_of(address), line) < 0) {
        free(line);
        return NULL;
    }
    enter_ring(queue, line);
    return line;
}

static void close_line(struct check_queue *queue, struct check_line *line) {
    if (queue->hand == line)
        queue->hand = line->next == line ? NULL : line->next;
    line->previous->next = line->next;
    line->next->previous = line->previous;
    map_remove(queue->lines, key_of(&line->address));
    free(line);
}

bool check_queue_join(struct check_queue *queue, struct check_waiter *waiter,
                      const struct ip *address) {
    struct ip subscriber = ip_subscriber(address);
    const struct check_line *known = map_get(queue->lines, key_of(&subscriber));
    size_t n_left = queue->most > queue->n ? queue->most - queue->n : 0;
    assert(!waiter->line);
    if ((known ? known->n : 0) >= n_left)
        return false;
    struct check_line *line = open_line(queue, &subscriber);
    if (!line)
        return false;
    *waiter = (struct check_waiter){.previous = line->last, .line = line};
    *(line->last ? &line->last->next : &line->first) = waiter;
    line->last = waiter;
    line->n++;
    queue->n++;
    return true;
}

void check_queue_leave(struct check_queue *queue, struct check_waiter *waiter) {
    struct check_line *line = waiter->line;
    if (!line)
        return;
    *(waiter->previous ? &waiter->previous->next : &line->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &line->last) = waiter->previous;
    *waiter = (struct check_waiter){0};
    assert(line->n > 0 && queue->n > 0);
    queue->n--;
    if (--line->n == 0)
        close_line(queue, line);
}

struct check_waiter *check_queue_take(struct check_queue *queue) {
    struct check_line *line = queue->hand;
    if (!line)
        return NULL;
    struct check_waiter *waiter = line->first;
    queue->hand = line->next;
    check_queue_leave(queue, waiter);
    return waiter;
}

size_t check_queue_count(const struct check_queue *queue) { return queue->n; }
