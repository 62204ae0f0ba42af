/* SPDX-License-Identifier: MIT */
/* Any bytes as a body of each framing: cut anywhere, the verdict, the data and where the body ends are those of all bytes at
 * once; and data that are written as chunks are read back. */
#include "http/body.h"
#include "must.h"

struct reading {
    enum body_verdict verdict;
    size_t used_bytes;
    struct buffer data;
};

static void feed(struct body_reader *reader, struct reading *reading, struct str piece) {
    char *block = block_of(piece);
    struct str rest = {block, piece.n}, data;
    while ((reading->verdict = body_read(reader, &rest, &data)) == BODY_DATA) {
        must(data.n > 0);
        must(buffer_append(&reading->data, data) == 0);
    }
    must(reading->verdict != BODY_MORE || rest.n == 0);
    reading->used_bytes += piece.n - rest.n;
    free(block);
}

/* The first piece has `cut` bytes, each other one `step`. */
static struct reading read_cut(enum framing framing, uint64_t n, struct str bytes, size_t cut,
                               size_t step) {
    struct reading reading = {.verdict = BODY_MORE};
    struct body_reader reader;
    body_reader_init(&reader, framing, n);
    for (size_t at = 0, piece = cut; reading.verdict == BODY_MORE; piece = step) {
        struct str next = str_first(str_skip(bytes, at), piece);
        feed(&reader, &reading, next);
        at += next.n;
        if (at == bytes.n)
            break;
    }
    must(body_reader_is_done(&reader) == (reading.verdict == BODY_DONE));
    return reading;
}

static void is_same(const struct reading *whole, struct reading cut) {
    must(whole->verdict == cut.verdict && whole->used_bytes == cut.used_bytes);
    must((whole->data.at == NULL) == (cut.data.at == NULL));
    if (cut.data.at)
        must(str_eq(buffer_bytes(&whole->data), buffer_bytes(&cut.data)));
    buffer_release(&cut.data);
}

static void read_all_ways(enum framing framing, uint64_t n, struct str bytes) {
    struct reading whole = read_cut(framing, n, bytes, bytes.n, bytes.n);
    must(buffer_length(&whole.data) <= bytes.n);
    for (size_t cut = 0; cut < bytes.n; cut += cut_stride(bytes.n))
        is_same(&whole, read_cut(framing, n, bytes, cut, bytes.n));
    is_same(&whole, read_cut(framing, n, bytes, 0, 1));
    buffer_release(&whole.data);
}

static void written_is_read_back(struct str bytes) {
    struct buffer out = {0};
    size_t first = bytes.n / 3;
    if (first > 0)
        must(body_write_chunk(&out, str_first(bytes, first)) == 0);
    if (bytes.n > first)
        must(body_write_chunk(&out, str_skip(bytes, first)) == 0);
    must(body_write_end(&out) == 0);
    struct reading reading = read_cut(FRAMING_CHUNKED, 0, buffer_bytes(&out), bytes.n, 7);
    must(reading.verdict == BODY_DONE && str_eq(buffer_bytes(&reading.data), bytes));
    must(reading.used_bytes == buffer_length(&out));
    buffer_release(&reading.data);
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str bytes = {(const char *)data, size};
    read_all_ways(FRAMING_CHUNKED, 0, bytes);
    read_all_ways(FRAMING_LENGTH, size / 2, bytes);
    read_all_ways(FRAMING_LENGTH, size + 1, bytes);
    read_all_ways(FRAMING_UNTIL_CLOSE, 0, bytes);
    read_all_ways(FRAMING_NONE, 0, bytes);
    written_is_read_back(bytes);
    return 0;
}
