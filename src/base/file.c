/* SPDX-License-Identifier: MIT */
/* Opened without waiting (a pipe's open would wait for its writer), then asked before each read whether there is something: files
 * always say yes. poll(2) on a pipe that nobody has opened for writing yet says nothing, where read(2) would say that it has ended. */
#include "base/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#define STEP_BYTES ((size_t)16 * 1024)

static int wait_readable(int fd, int64_t until_ns) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    for (;;) {
        int64_t left_ns = until_ns - clock_now().mono_ns;
        int n = poll(&look, 1, left_ns > 0 ? (int)(left_ns / NS_PER_MS) + 1 : 0);
        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int check_kind(mode_t mode) {
    if (S_ISREG(mode) || S_ISFIFO(mode))
        return 0;
    return S_ISDIR(mode) ? -EISDIR : -ENODEV;
}

/* In one piece where the size is known: growing would leave copies of a secret behind. */
static int make_room(const struct stat *status, size_t most, struct buffer *out) {
    char *room;
    size_t bytes = status->st_size > 0 ? (size_t)status->st_size : 0;
    return buffer_reserve(out, (bytes < most ? bytes : most) + STEP_BYTES, &room);
}

/* 1: there may be more; 0: its end. */
static int read_step(int fd, int64_t until_ns, struct buffer *out) {
    char *room;
    TRY(buffer_reserve(out, STEP_BYTES, &room));
    TRY(wait_readable(fd, until_ns));
    ssize_t n = read(fd, room, STEP_BYTES);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    buffer_commit(out, (size_t)n);
    return n > 0;
}

int file_read(const char *path, size_t most, int64_t wait_ns, struct buffer *out) {
    int64_t until_ns = clock_now().mono_ns + wait_ns;
    size_t before = buffer_length(out);
    struct stat status;
    CLEANUP(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    TRY(check_kind(status.st_mode));
    TRY(make_room(&status, most, out));
    int more = 1;
    while (more > 0 && buffer_length(out) - before <= most)
        more = read_step(fd, until_ns, out);
    TRY(more);
    if (buffer_length(out) - before > most)
        return -EFBIG;
    return S_ISFIFO(status.st_mode) && buffer_length(out) == before ? -ENODATA : 0;
}

const char *file_why(int failure) {
    switch (-failure) {
    case EFBIG:
        return "larger than is read here";
    case ETIMEDOUT:
        return "a pipe that nobody has written to its end";
    case ENODATA:
        return "a pipe that holds nothing (what it held can be read only once)";
    case ENODEV:
        return "neither a file nor a pipe";
    default:
        return strerror(-failure);
    }
}
