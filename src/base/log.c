/* SPDX-License-Identifier: MIT */
/* Lines are made where the event happens and written by a thread of their own:
 *
 *   log_fields (any thread) --copy--> [ ring, 1 MiB ] --write--> stdout
 *                 full: dropped, counted                 may block, nobody waits
 *
 * The writer is woken when it sleeps, and naps after it has written: under load lines are taken in batches, and a
 * request pays for a copy, not for a system call. */
#include "base/log.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RING_BYTES = 1 << 20, NAP_MS = 5, STOP_WAIT_MS = 1000 };

/* Something that goes on, and how many threads see it. */
struct condition {
    struct condition *next;
    unsigned n_seers;
    size_t n;
    char what[];
};

static struct {
    _Atomic int lowest;
    _Atomic bool is_json;
    int fd; /* before the first log_start: stderr, for a tool's stdout is its answer */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* to the writer */
    pthread_cond_t ended; /* from the writer */
    pthread_t writer;
    bool has_writer, is_asleep, is_stopping;
    size_t head, length; /* in the ring */
    uint64_t dropped, dropped_reported;
    bool is_failing, is_torn; /* the writer's own: the last bytes that got out end within a line */
    struct condition *conditions;
    char ring[RING_BYTES];
} sink = {
    .lowest = LEVEL_INFO,
    .fd = STDERR_FILENO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .ended = PTHREAD_COND_INITIALIZER,
};

static bool is_json(void) { return atomic_load_explicit(&sink.is_json, memory_order_relaxed); }

/* ---- writing it ---- */

/* What could not be written: the other end is gone, or the disk is full (errno says it). Empty: all is out. */
static struct str write_all(int fd, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.at, bytes.n);
        if (n >= 0) {
            bytes = str_skip(bytes, (size_t)n);
            continue;
        }
        /* stdout may share its non-blocking file description with others. */
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        if (errno == EAGAIN)
            poll(&writable, 1, -1);
        else if (errno != EINTR)
            break;
    }
    return bytes;
}

static void drop_line(void) {
    pthread_mutex_lock(&sink.lock);
    sink.dropped++;
    pthread_mutex_unlock(&sink.lock);
}

static void copy_to_ring(struct str line) {
    assert(line.at);
    size_t at = (sink.head + sink.length) % RING_BYTES, to_end = RING_BYTES - at;
    size_t first = line.n < to_end ? line.n : to_end;
    memcpy(sink.ring + at, line.at, first);
    memcpy(sink.ring, line.at + first, line.n - first);
    sink.length += line.n;
    assert(sink.length <= RING_BYTES);
}

/* False when there is no writer to take it. A writer that would not stop is stuck in write, and so would its caller be:
 * then the line is dropped. */
static bool hand_over(struct str line) {
    pthread_mutex_lock(&sink.lock);
    bool has_writer = sink.has_writer;
    if (has_writer && !sink.is_stopping && line.n <= RING_BYTES - sink.length)
        copy_to_ring(line);
    else if (has_writer)
        sink.dropped++;
    bool wakes = sink.is_asleep || sink.length >= RING_BYTES / 2;
    sink.is_asleep = false;
    pthread_mutex_unlock(&sink.lock);
    if (wakes)
        pthread_cond_signal(&sink.wake);
    return has_writer;
}

static bool is_wanted(enum log_level level) {
    assert(level <= LEVEL_DEBUG);
    return (int)level <= atomic_load_explicit(&sink.lowest, memory_order_relaxed);
}

bool log_open(struct log_draft *draft, enum log_level level, struct str text, size_t n,
              size_t text_bytes) {
    if (!is_wanted(level))
        return false;
    draft->bytes = log_line_room(text.n, n, text_bytes);
    bool is_long = draft->bytes > sizeof(draft->ordinary);
    draft->large = is_long ? malloc(draft->bytes) : NULL;
    draft->room = is_long ? draft->large : draft->ordinary;
    if (!draft->room) {
        drop_line();
        return false;
    }
    draft->line = log_line_start(draft->room, is_json(), level, text);
    return true;
}

void log_close(struct log_draft *draft) {
    struct str line = log_line_end(&draft->line, draft->room);
    assert(line.n <= draft->bytes);
    if (!hand_over(line) && write_all(sink.fd, line).n > 0)
        drop_line();
    free(draft->large);
}

static size_t text_bytes_of(const struct log_field *fields, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += fields[i].text.n;
    return bytes;
}

void log_fields(enum log_level level, const char *text, const struct log_field *fields, size_t n) {
    struct log_draft draft;
    if (!log_open(&draft, level, str_of(text), n, text_bytes_of(fields, n)))
        return;
    log_line_fields(&draft.line, fields, n);
    log_close(&draft);
}

uint64_t log_dropped(void) {
    pthread_mutex_lock(&sink.lock);
    uint64_t dropped = sink.dropped;
    pthread_mutex_unlock(&sink.lock);
    return dropped;
}

/* ---- what several threads notice ---- */

/* Where it hangs, or would. The lock is held. */
static struct condition **find_condition(struct str what) {
    struct condition **at = &sink.conditions;
    while (*at && !str_eq(what, (struct str){(*at)->what, (*at)->n}))
        at = &(*at)->next;
    return at;
}

static struct condition *enter_condition(struct str what) {
    struct condition *condition = calloc(1, sizeof(*condition) + what.n);
    if (!condition)
        return NULL;
    memcpy(condition->what, what.at, what.n);
    condition->n = what.n;
    condition->next = sink.conditions;
    sink.conditions = condition;
    return condition;
}

bool log_begins(struct str what) {
    assert(what.n > 0);
    pthread_mutex_lock(&sink.lock);
    struct condition *condition = *find_condition(what);
    if (!condition)
        condition = enter_condition(what);
    bool is_first =
        !condition || condition->n_seers++ == 0; /* no memory: rather twice than never */
    pthread_mutex_unlock(&sink.lock);
    return is_first;
}

bool log_ends(struct str what) {
    pthread_mutex_lock(&sink.lock);
    struct condition **at = find_condition(what), *condition = *at;
    bool is_last = !condition || --condition->n_seers == 0;
    if (condition && is_last) {
        *at = condition->next;
        free(condition);
    }
    pthread_mutex_unlock(&sink.lock);
    return is_last;
}

/* ---- the writer ---- */

static bool wait_until(pthread_cond_t *condition, const struct timespec *until) {
    return pthread_cond_clockwait(condition, &sink.lock, CLOCK_MONOTONIC, until) == 0;
}

static struct timespec in_ms(int64_t ms) {
    int64_t at_ns = clock_now().mono_ns + ms * NS_PER_MS;
    return (struct timespec){.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};
}

static uint64_t count_lines(struct str bytes) {
    uint64_t n = 0;
    for (size_t i = 0; i < bytes.n; i++)
        n += bytes.at[i] == '\n';
    return n;
}

/* What the writer itself has to say. */
static struct str write_line(char *room, bool as_json, enum log_level level, struct str text,
                             const struct log_field *field) {
    struct log_line line = log_line_start(room, as_json, level, text);
    log_line_fields(&line, field, 1);
    return log_line_end(&line, room);
}

/* There is one place left where it can be told. */
static void tell_of_loss(int error) {
    char room[LOG_DRAFT_BYTES];
    struct str line =
        write_line(room, false, LEVEL_ERROR, STR("log lines are lost: stdout cannot be written"),
                   &F_TEXT("why", strerror(error)));
    (void)write_all(STDERR_FILENO, line);
}

static struct str put(struct str bytes) {
    struct str left = write_all(sink.fd, bytes);
    if (left.n < bytes.n)
        sink.is_torn = left.at[-1] != '\n';
    return left;
}

/* Whole lines, in two pieces. What is torn by a failure stays a line of its own. Returns how many were lost. */
static uint64_t put_lines(struct str first, struct str rest) {
    if (!sink.is_torn || put(STR("\n")).n == 0)
        first = put(first);
    if (first.n == 0)
        rest = put(rest);
    bool has_failed = first.n > 0 || rest.n > 0;
    if (has_failed && !sink.is_failing)
        tell_of_loss(errno);
    sink.is_failing = has_failed;
    return count_lines(first) + count_lines(rest);
}

/* This and the next are called and left with the lock held, and write without it. The bytes stay in the ring until they
 * are out, so a writer that blocks makes the ring run full, and lines drop. What comes meanwhile waits for the next nap's end:
 * or each line that does would be a system call. */
static void write_ring(void) {
    size_t n = sink.length, to_end = RING_BYTES - sink.head, n_first = n < to_end ? n : to_end;
    struct str first = {sink.ring + sink.head, n_first}, rest = {sink.ring, n - n_first};
    if (n == 0)
        return;
    pthread_mutex_unlock(&sink.lock);
    uint64_t lost = put_lines(first, rest);
    pthread_mutex_lock(&sink.lock);
    sink.dropped += lost;
    sink.head = (sink.head + n) % RING_BYTES;
    sink.length -= n;
}

static void report_dropped(void) {
    uint64_t lines = sink.dropped - sink.dropped_reported;
    if (lines == 0 || sink.is_failing)
        return;
    pthread_mutex_unlock(&sink.lock);
    char room[LOG_DRAFT_BYTES];
    struct str line =
        write_line(room, is_json(), LEVEL_WARN, STR("log lines dropped"), &F_INT("lines", lines));
    bool is_out = put_lines(line, STR_NONE) == 0;
    pthread_mutex_lock(&sink.lock);
    if (is_out)
        sink.dropped_reported += lines;
}

static void sleep_until_needed(void) {
    sink.is_asleep = sink.length == 0;
    while (sink.is_asleep && !sink.is_stopping)
        pthread_cond_wait(&sink.wake, &sink.lock);
    sink.is_asleep = false;
}

static void nap(void) {
    struct timespec until = in_ms(NAP_MS);
    while (!sink.is_stopping && sink.length < RING_BYTES / 2 && wait_until(&sink.wake, &until))
        continue;
}

static void *write_lines(void *unused) {
    pthread_mutex_lock(&sink.lock);
    while (!sink.is_stopping || sink.length > 0) {
        sleep_until_needed();
        write_ring();
        report_dropped();
        nap();
    }
    sink.has_writer = false;
    pthread_cond_signal(&sink.ended);
    pthread_mutex_unlock(&sink.lock);
    return unused;
}

/* Signals are for the threads that wait for them; and a reader that went away is an EPIPE here, not an end. */
static int start_writer(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&sink.writer, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -result;
}

int log_start(enum log_format format, enum log_level lowest) {
    pthread_mutex_lock(&sink.lock);
    int result = -EBUSY;
    if (!sink.has_writer) {
        sink.fd = STDOUT_FILENO;
        sink.is_stopping = false;
        atomic_store(&sink.lowest, lowest);
        atomic_store(&sink.is_json, format == LOG_JSON || (format == LOG_AUTO && !isatty(sink.fd)));
        result = start_writer();
        sink.has_writer = result == 0;
    }
    pthread_mutex_unlock(&sink.lock);
    return result;
}

void log_set_level(enum log_level lowest) { atomic_store(&sink.lowest, lowest); }

void log_stop(void) {
    struct timespec until = in_ms(STOP_WAIT_MS);
    pthread_mutex_lock(&sink.lock);
    if (!sink.has_writer || sink.is_stopping) {
        pthread_mutex_unlock(&sink.lock);
        return;
    }
    sink.is_stopping = true;
    pthread_cond_signal(&sink.wake);
    while (sink.has_writer && wait_until(&sink.ended, &until))
        continue;
    bool has_ended = !sink.has_writer;
    pthread_mutex_unlock(&sink.lock);
    if (has_ended)
        pthread_join(sink.writer, NULL);
    else
        pthread_detach(sink.writer);
}
