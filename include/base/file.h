/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"

/* A file that the settings name, read whole and at once. What is named may be no file at all: a pipe that nobody writes and a device
 * without an end must not hold who reads. */

/* Appends what `path` holds to `out`. Blocks: a file is read to its end; a pipe (mkfifo, <(...), /dev/stdin) until whoever writes it has
 * closed it, but not longer than `wait_ns` in all. Anything else is refused unread. On failure `out` may hold a part: who reads
 * secrets wipes it in either case.
 *   -EFBIG      more than `most` bytes
 *   -ETIMEDOUT  a pipe that had not ended within wait_ns
 *   -ENODATA    a pipe that ended without a byte: what it held was read before
 *   -ENODEV     a device or a socket;  -EISDIR: a directory;  others as open(2) and read(2) say; -ENOMEM */
int file_read(const char *path, size_t most, int64_t wait_ns, struct buffer *out) MUST_USE;

/* How long people wait for a pipe that they named themselves. */
#define FILE_PATIENCE_NS INT64_C(3000000000)

/* A failure of file_read in words that follow "FILE cannot be read: ". Borrowed until the next call. */
const char *file_why(int failure);
