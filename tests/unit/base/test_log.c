/* SPDX-License-Identifier: MIT */
/* Each test runs in a process of its own whose stdout (or stderr) becomes a pipe. A reader that starts late makes a
 * terminal that hangs; one that never starts, a pipe that nobody reads. */
#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "suite.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    int fd, saved, read_end;
    pthread_t thread;
    struct buffer text;
} reader;

static void pipe_from(int fd) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    reader.fd = fd;
    reader.saved = dup(fd);
    reader.read_end = ends[0];
    dup2(ends[1], fd);
    close(ends[1]);
}

static void *read_all(void *unused) {
    char *room;
    ssize_t n;
    do {
        if (buffer_reserve(&reader.text, 65536, &room) < 0)
            abort();
        n = read(reader.read_end, room, 65536);
        buffer_commit(&reader.text, n > 0 ? (size_t)n : 0);
    } while (n > 0);
    return unused;
}

static void read_start(void) {
    ck_assert_int_eq(pthread_create(&reader.thread, NULL, read_all, NULL), 0);
}

/* Everything written since pipe_from. */
static struct str read_end(void) {
    dup2(reader.saved, reader.fd);
    pthread_join(reader.thread, NULL);
    return buffer_bytes(&reader.text);
}

static void start(enum log_format format, enum log_level lowest) {
    pipe_from(STDOUT_FILENO);
    ck_assert_int_eq(log_start(format, lowest), 0);
}

static struct str stop(void) {
    log_stop();
    read_start();
    return read_end();
}

static size_t count_lines(struct str text) {
    size_t n = 0;
    struct str line;
    while (str_split(&text, '\n', &line))
        n++;
    return n - 1;
}

START_TEST(event_is_one_line_of_json) {
    start(LOG_AUTO, LEVEL_INFO);
    log_info("request", F_TEXT("path", "/a\"b\n"), F_INT("status", 200), F_REAL("ms", 1.25),
             F_BOOL("hit", true), F_INT("least", INT64_MIN), F_REAL("none", INFINITY),
             F_STR("raw", STR("a\0\xff")));
    struct str text = stop();
    ck_assert_uint_eq(count_lines(text), 1);
    struct str rest = str_skip(text, strlen("{\"time\":\"2026-11-23T10:00:00.123Z\""));
    ck_assert_msg(
        str_eq(rest, STR(",\"level\":\"info\",\"event\":\"request\",\"path\":\"/a\\\"b\\n\","
                         "\"status\":200,\"ms\":1.25,\"hit\":true,"
                         "\"least\":-9223372036854775808,\"none\":null,"
                         "\"raw\":\"a\\u0000\xef\xbf\xbd\"}\n")),
        STR_FMT, STR_ARG(text));
}
END_TEST

START_TEST(time_is_now_in_utc) {
    int64_t before_s = clock_now().wall_ns / NS_PER_S;
    start(LOG_JSON, LEVEL_INFO);
    log_error("broken");
    struct doc *doc = doc_parse(str_trim(stop()), NULL);
    struct str time = node_string(node_member(doc_root(doc), "time"));
    char earliest[25], latest[25];
    clock_rfc3339(before_s * NS_PER_S, earliest);
    clock_rfc3339(clock_now().wall_ns, latest);
    ck_assert_uint_eq(time.n, 24);
    ck_assert_int_ge(str_compare(time, str_of(earliest)), 0);
    ck_assert_int_le(str_compare(time, str_of(latest)), 0);
    doc_free(doc);
}
END_TEST

START_TEST(text_is_for_people_and_harmless_to_terminals) {
    start(LOG_TEXT, LEVEL_INFO);
    log_info("request", F_TEXT("path", "/a"), F_INT("status", 200), F_TEXT("empty", ""));
    log_error("broken", F_TEXT("a", "two words"), F_TEXT("b", "\x1b[2J"), F_TEXT("c", "\xc2\x9b"));
    log_warn("bare");
    struct str text = stop(), line;
    ck_assert(str_split(&text, '\n', &line));
    ck_assert(str_eq(str_skip(line, 12), STR(" info  request  path=/a status=200 empty=\"\"")));
    ck_assert(line.at[2] == ':' && line.at[5] == ':' && line.at[8] == '.');
    ck_assert(str_split(&text, '\n', &line));
    ck_assert(str_eq(str_skip(line, 12), STR(" error broken  a=\"two words\" b=\"\\u001b[2J\" "
                                             "c=\"\\u009b\"")));
    ck_assert(str_split(&text, '\n', &line));
    ck_assert(str_eq(str_skip(line, 12), STR(" warn  bare")));
}
END_TEST

START_TEST(lines_below_the_level_are_not_made) {
    start(LOG_JSON, LEVEL_WARN);
    log_debug("one");
    log_info("two");
    log_warn("three");
    log_error("four");
    struct str text = stop();
    ck_assert_uint_eq(count_lines(text), 2);
    ck_assert(!str_contains(text, STR("one")) && !str_contains(text, STR("two")));
}
END_TEST

START_TEST(lines_keep_their_order) {
    start(LOG_JSON, LEVEL_DEBUG);
    read_start();
    enum { LINES = 20000 };
    for (int i = 0; i < LINES; i++) {
        log_debug("tick", F_INT("n", i));
        /* So that nothing is dropped however slow the machine is. */
        if (i % 2000 == 1999) {
            log_stop();
            ck_assert_int_eq(log_start(LOG_JSON, LEVEL_DEBUG), 0);
        }
    }
    log_stop();
    struct str text = read_end(), line;
    for (int i = 0; i < LINES; i++) {
        char tail[32];
        int n = snprintf(tail, sizeof(tail), "\"n\":%d}", i);
        ck_assert(str_split(&text, '\n', &line));
        ck_assert(str_ends(line, (struct str){tail, (size_t)n}));
    }
    ck_assert_uint_eq(text.n, 0);
    ck_assert_uint_eq(log_dropped(), 0);
}
END_TEST

static void *log_many(void *argument) {
    for (int i = 0; i < 500; i++)
        log_info("from a thread", F_INT("n", i), F_TEXT("who", (const char *)argument));
    return NULL;
}

START_TEST(threads_never_mix_their_lines) {
    start(LOG_JSON, LEVEL_INFO);
    read_start();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, (void *)"a"), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    struct str text = read_end(), line;
    size_t n = 0;
    for (; str_split(&text, '\n', &line) && line.n > 0; n++) {
        struct doc *doc = doc_parse(line, NULL);
        ck_assert_ptr_nonnull(doc);
        doc_free(doc);
    }
    ck_assert_uint_eq(n, 2000);
}
END_TEST

START_TEST(pipe_that_hangs_drops_lines_and_says_how_many) {
    enum { LINES = 30000 };
    start(LOG_JSON, LEVEL_INFO);
    for (int i = 0; i < LINES; i++)
        log_info("filler", F_TEXT("padding", "................................................"));
    uint64_t dropped = log_dropped();
    ck_assert_uint_gt(dropped, 0);
    read_start();
    log_stop();
    struct str text = read_end();
    char said[40];
    snprintf(said, sizeof(said), "\"lines\":%llu}", (unsigned long long)dropped);
    ck_assert(str_contains(text, STR("\"log lines dropped\"")));
    ck_assert(str_contains(text, str_of(said)));
    ck_assert_uint_eq(count_lines(text), LINES - dropped + 1);
    ck_assert_uint_eq(log_dropped(), dropped);
}
END_TEST

START_TEST(line_larger_than_the_queue_is_dropped) {
    enum { BYTES = 2 << 20 };
    char *large = malloc(BYTES);
    memset(large, 'x', BYTES);
    start(LOG_JSON, LEVEL_INFO);
    log_info("large", F_STR("s", ((struct str){large, BYTES})));
    log_info("small");
    struct str text = stop();
    ck_assert_uint_eq(log_dropped(), 1);
    ck_assert(str_contains(text, STR("\"small\"")) && !str_contains(text, STR("\"large\"")));
    free(large);
}
END_TEST

START_TEST(stop_does_not_wait_for_a_reader_that_never_comes) {
    start(LOG_JSON, LEVEL_INFO);
    for (int i = 0; i < 30000; i++)
        log_info("filler");
    int64_t before_ns = clock_now().mono_ns;
    log_stop();
    ck_assert_int_lt(clock_now().mono_ns - before_ns, 10 * NS_PER_S);
    uint64_t dropped = log_dropped();
    log_info("nobody will see this");
    ck_assert_uint_eq(log_dropped(), dropped + 1);
    ck_assert_int_lt(log_start(LOG_JSON, LEVEL_INFO), 0);
    log_stop();
    dup2(reader.saved, STDOUT_FILENO);
}
END_TEST

START_TEST(reader_that_went_away_ends_nothing) {
    start(LOG_JSON, LEVEL_INFO);
    close(reader.read_end);
    log_info("into the void");
    log_stop();
    dup2(reader.saved, STDOUT_FILENO);
}
END_TEST

START_TEST(lines_that_cannot_be_written_are_counted) {
    int saved = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    dup2(full, STDOUT_FILENO);
    ck_assert_int_eq(log_start(LOG_JSON, LEVEL_INFO), 0);
    log_info("one");
    log_info("two");
    log_stop();
    dup2(saved, STDOUT_FILENO);
    ck_assert_uint_eq(log_dropped(), 2);
    close(saved);
    close(full);
}
END_TEST

static void wait_for_dropped(uint64_t n) {
    int64_t until_ns = clock_now().mono_ns + 10 * NS_PER_S;
    while (log_dropped() < n && clock_now().mono_ns < until_ns)
        usleep(1000);
    ck_assert_uint_eq(log_dropped(), n);
}

/* A file that takes ten bytes more, across the end of its only page. */
static int almost_full(void) {
    int fd = memfd_create("log", MFD_ALLOW_SEALING);
    ck_assert(fd >= 0 && ftruncate(fd, 4096) == 0 && lseek(fd, 4096 - 10, SEEK_SET) > 0);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    return fd;
}

/* From the start, as text. */
static const char *text_of(int fd, char text[4096]) {
    ssize_t n = pread(fd, text, 4095, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(a_disk_that_is_full_for_a_while_tears_no_other_line) {
    char text[4096];
    int out[2] = {almost_full(), memfd_create("more", 0)}, err = memfd_create("stderr", 0);
    int saved = dup(STDOUT_FILENO), saved_too = dup(STDERR_FILENO);
    dup2(out[0], STDOUT_FILENO), dup2(err, STDERR_FILENO);
    ck_assert_int_eq(log_start(LOG_JSON, LEVEL_INFO), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        log_info("lost");
        wait_for_dropped(i);
    }
    dup2(out[1], STDOUT_FILENO);
    log_info("whole");
    log_stop();
    dup2(saved, STDOUT_FILENO), dup2(saved_too, STDERR_FILENO);
    struct str left = str_of(text_of(out[1], text)), torn, whole, report;
    ck_assert(str_split(&left, '\n', &torn) && str_split(&left, '\n', &whole) &&
              str_split(&left, '\n', &report));
    ck_assert_uint_eq(torn.n, 0); /* ends what the first file has a part of */
    ck_assert(str_starts(whole, STR("{")) && str_ends(whole, STR("\"whole\"}")));
    ck_assert(str_ends(report, STR("\"log lines dropped\",\"lines\":3}")));
    ck_assert_uint_eq(count_lines(str_of(text_of(err, text))), 1); /* once, whatever was lost */
    ck_assert_ptr_nonnull(
        strstr(text, " error log lines are lost: stdout cannot be written  why="));
    close(out[0]), close(out[1]), close(err), close(saved), close(saved_too);
}
END_TEST

START_TEST(lines_before_the_start_go_to_stderr) {
    pipe_from(STDERR_FILENO);
    log_warn("too early", F_INT("n", 1));
    log_debug("not of interest");
    read_start();
    struct str text = read_end();
    ck_assert_uint_eq(count_lines(text), 1);
    ck_assert(str_ends(text, STR(" warn  too early  n=1\n")));
}
END_TEST

START_TEST(lines_after_the_stop_are_written_at_once) {
    start(LOG_JSON, LEVEL_INFO);
    log_stop();
    log_stop();
    log_info("late");
    read_start();
    ck_assert(str_contains(read_end(), STR("\"event\":\"late\"}\n")));
}
END_TEST

START_TEST(second_start_is_refused_while_the_first_runs) {
    start(LOG_JSON, LEVEL_INFO);
    ck_assert_int_lt(log_start(LOG_JSON, LEVEL_INFO), 0);
    stop();
}
END_TEST

START_TEST(what_several_notice_begins_with_the_first_and_ends_with_the_last) {
    ck_assert(log_begins(STR("redis at a")));
    ck_assert(!log_begins(STR("redis at a")));
    ck_assert(log_begins(STR("redis at ab"))); /* another */
    ck_assert(!log_ends(STR("redis at a")));
    ck_assert(log_ends(STR("redis at a")));
    ck_assert(log_ends(STR("redis at ab")));
    ck_assert(log_begins(STR("redis at a"))); /* anew */
    ck_assert(log_ends(STR("redis at a")));
}
END_TEST

START_TEST(level_may_change_while_it_runs) {
    start(LOG_TEXT, LEVEL_WARN);
    log_info("not of interest");
    log_set_level(LEVEL_DEBUG);
    log_debug("of interest");
    log_set_level(LEVEL_ERROR);
    log_warn("not any more");
    log_error("always");
    struct str text = stop();
    ck_assert_uint_eq(count_lines(text), 2);
    ck_assert(str_contains(text, STR("of interest\n")) && str_ends(text, STR(" always\n")));
    ck_assert(!str_contains(text, STR("not")));
}
END_TEST

SUITE_MAIN("base/log", what_several_notice_begins_with_the_first_and_ends_with_the_last,
           event_is_one_line_of_json, time_is_now_in_utc,
           text_is_for_people_and_harmless_to_terminals, lines_below_the_level_are_not_made,
           lines_keep_their_order, threads_never_mix_their_lines,
           pipe_that_hangs_drops_lines_and_says_how_many, line_larger_than_the_queue_is_dropped,
           stop_does_not_wait_for_a_reader_that_never_comes, reader_that_went_away_ends_nothing,
           lines_that_cannot_be_written_are_counted,
           a_disk_that_is_full_for_a_while_tears_no_other_line, lines_before_the_start_go_to_stderr,
           lines_after_the_stop_are_written_at_once, second_start_is_refused_while_the_first_runs,
           level_may_change_while_it_runs)
