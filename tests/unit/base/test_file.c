/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include "base/clock.h"
#include "suite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/file-XXXXXX";
static char path[64];

static void setup(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/it", folder);
}

static void teardown(void) {
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_bytes(int fd, const char *text, size_t n) {
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
}

static void make_file(const char *text, size_t n) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    write_bytes(fd, text, n);
    close(fd);
}

/* What is read of `from`, with everything released. */
static int read_to(const char *from, size_t most, int64_t wait_ns, char *text, size_t size) {
    struct buffer out = {0};
    int failure = file_read(from, most, wait_ns, &out);
    snprintf(text, size, STR_FMT, STR_ARG(buffer_bytes(&out)));
    buffer_release(&out);
    return failure;
}

static void assert_read(const char *from, const char *expected) {
    char text[64];
    ck_assert_int_eq(read_to(from, 32, FILE_PATIENCE_NS, text, sizeof(text)), 0);
    ck_assert_str_eq(text, expected);
}

static int refusal(const char *from, size_t most, int64_t wait_ns) {
    char text[64];
    return read_to(from, most, wait_ns, text, sizeof(text));
}

/* ---- what is read ---- */

START_TEST(a_file_is_read_to_its_end) {
    setup();
    make_file("hello\n", 6);
    assert_read(path, "hello\n");
    assert_read(path, "hello\n"); /* and again */
    teardown();
}
END_TEST

START_TEST(an_empty_file_is_a_file) {
    setup();
    make_file("", 0);
    assert_read(path, "");
    teardown();
}
END_TEST

START_TEST(what_is_read_comes_behind_what_was_there) {
    struct buffer out = {0};
    setup();
    make_file("world", 5);
    ck_assert_int_eq(buffer_append(&out, STR("hello, ")), 0);
    ck_assert_int_eq(file_read(path, 5, 0, &out), 0);
    ck_assert(str_eq(buffer_bytes(&out), STR("hello, world")));
    buffer_release(&out);
    teardown();
}
END_TEST

START_TEST(many_reads_make_one_file) {
    struct buffer out = {0};
    char bytes[100000];
    setup();
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    make_file(bytes, sizeof(bytes));
    ck_assert_int_eq(file_read(path, sizeof(bytes), 0, &out), 0);
    ck_assert(str_eq(buffer_bytes(&out), (struct str){bytes, sizeof(bytes)}));
    buffer_release(&out);
    teardown();
}
END_TEST

START_TEST(a_pipe_is_read_until_its_writer_has_closed_it) {
    int ends[2];
    char name[32];
    ck_assert_int_eq(pipe(ends), 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]); /* as <(...) names it */
    write_bytes(ends[1], "a secret", 8);
    ck_assert_int_eq(refusal(name, 32, 0), -ETIMEDOUT);
    write_bytes(ends[1], "another", 7);
    close(ends[1]);
    assert_read(name, "another");
    ck_assert_int_eq(refusal(name, 32, 0), -ENODATA);
    close(ends[0]);
}
END_TEST

START_TEST(a_writer_that_comes_late_is_waited_for) {
    setup();
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    pid_t writer = fork();
    if (writer == 0) {
        int fd = open(path, O_WRONLY | O_CLOEXEC); /* waits for the reader */
        bool is_good = fd >= 0 && write(fd, "late", 4) == 4;
        usleep(50 * 1000);
        is_good = is_good && write(fd, "r", 1) == 1;
        _exit(is_good ? 0 : 1);
    }
    char text[64];
    ck_assert_int_eq(read_to(path, 32, 60 * NS_PER_S, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "later");
    teardown();
}
END_TEST

/* ---- what is not ---- */

START_TEST(a_pipe_that_nobody_writes_is_given_up) {
    setup();
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int64_t began_ns = clock_now().mono_ns;
    ck_assert_int_eq(refusal(path, 32, 50 * NS_PER_MS), -ETIMEDOUT);
    ck_assert_int_ge(clock_now().mono_ns - began_ns, 50 * NS_PER_MS);
    ck_assert_int_eq(refusal(path, 32, 0), -ETIMEDOUT);
    teardown();
}
END_TEST

START_TEST(a_writer_that_never_ends_is_given_up) {
    setup();
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    write_bytes(fd, "begun", 5);
    ck_assert_int_eq(refusal(path, 32, 50 * NS_PER_MS), -ETIMEDOUT);
    close(fd);
    teardown();
}
END_TEST

START_TEST(what_is_too_large_is_refused) {
    int ends[2];
    char name[32];
    setup();
    make_file("12345", 5);
    ck_assert_int_eq(refusal(path, 5, 0), 0);
    ck_assert_int_eq(refusal(path, 4, 0), -EFBIG);
    ck_assert_int_eq(refusal("/proc/self/maps", 10, 0), -EFBIG); /* says that it has no size */
    ck_assert_int_eq(pipe(ends), 0);
    write_bytes(ends[1], "12345", 5);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    ck_assert_int_eq(refusal(name, 4, 0), -EFBIG);
    close(ends[0]);
    close(ends[1]);
    teardown();
}
END_TEST

START_TEST(devices_and_sockets_are_refused_unread) {
    ck_assert_int_eq(refusal("/dev/zero", SIZE_MAX / 2, 0), -ENODEV);
    ck_assert_int_eq(refusal("/dev/null", 32, 0), -ENODEV);
    setup();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(refusal(path, 32, 0), -ENXIO);
    close(fd);
    teardown();
}
END_TEST

START_TEST(directories_and_what_is_not_there_are_refused) {
    ck_assert_int_eq(refusal("/", 32, 0), -EISDIR);
    ck_assert_int_eq(refusal("/nowhere/at/all", 32, 0), -ENOENT);
    ck_assert_int_eq(refusal("", 32, 0), -ENOENT);
}
END_TEST

START_TEST(every_refusal_is_said_in_words) {
    ck_assert_str_eq(file_why(-ENOENT), "No such file or directory");
    ck_assert_ptr_nonnull(strstr(file_why(-ETIMEDOUT), "pipe"));
    ck_assert_ptr_nonnull(strstr(file_why(-ENODATA), "only once"));
    ck_assert_ptr_nonnull(strstr(file_why(-ENODEV), "neither a file nor a pipe"));
    ck_assert_ptr_nonnull(strstr(file_why(-EFBIG), "larger"));
}
END_TEST

SUITE_MAIN("base/file", a_file_is_read_to_its_end, an_empty_file_is_a_file,
           what_is_read_comes_behind_what_was_there, many_reads_make_one_file,
           a_pipe_is_read_until_its_writer_has_closed_it, a_writer_that_comes_late_is_waited_for,
           a_pipe_that_nobody_writes_is_given_up, a_writer_that_never_ends_is_given_up,
           what_is_too_large_is_refused, devices_and_sockets_are_refused_unread,
           directories_and_what_is_not_there_are_refused, every_refusal_is_said_in_words)
