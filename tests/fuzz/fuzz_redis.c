/* SPDX-License-Identifier: MIT */
/* Any bytes as what Redis answers: cut anywhere, the replies and the verdict are those of all bytes at once; and what is decoded
 * stays within its bounds. */
#include "base/buffer.h"
#include "io/redis_codec.h"
#include "must.h"

#define MAX_BYTES 4096

struct reading {
    enum redis_decoded verdict;
    struct buffer told; /* every reply, written down */
};

static void tell(struct buffer *out, const struct redis_reply *reply, size_t depth) {
    must(depth < 10);
    must(reply->n <= MAX_BYTES / 4);
    must(buffer_printf(out, "%d %lld %zu ", (int)reply->kind, (long long)reply->integer,
                       reply->n) == 0);
    if (reply->text.at)
        must(reply->text.at[reply->text.n] == '\0');
    must(buffer_append(out, reply->text) == 0);
    for (size_t i = 0; i < reply->n; i++)
        tell(out, &reply->list[i], depth + 1);
    must(buffer_append(out, STR("\n")) == 0);
}

static void feed(struct redis_decoder *decoder, struct reading *reading, struct str piece) {
    const struct redis_reply *reply;
    char *block = block_of(piece);
    must(redis_decoder_feed(decoder, (struct str){block, piece.n}) == 0);
    free(block);
    while ((reading->verdict = redis_decode(decoder, &reply)) == REDIS_DECODED)
        tell(&reading->told, reply, 0);
    must(!reply);
}

/* The first piece has `cut` bytes, each other one `step`. */
static struct reading read_cut(struct str bytes, size_t cut, size_t step) {
    struct reading reading = {.verdict = REDIS_DECODED_MORE};
    struct redis_decoder *decoder = redis_decoder_new(MAX_BYTES);
    must(decoder);
    for (size_t at = 0, piece = cut; reading.verdict == REDIS_DECODED_MORE; piece = step) {
        struct str next = str_first(str_skip(bytes, at), piece);
        feed(decoder, &reading, next);
        at += next.n;
        if (at == bytes.n)
            break;
    }
    redis_decoder_free(decoder);
    return reading;
}

static void is_same(const struct reading *whole, struct reading cut) {
    must(whole->verdict == cut.verdict);
    must(str_eq(buffer_bytes(&whole->told), buffer_bytes(&cut.told)));
    buffer_release(&cut.told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str bytes = {(const char *)data, size < MAX_BYTES ? size : MAX_BYTES};
    struct reading whole = read_cut(bytes, bytes.n, bytes.n);
    for (size_t cut = 0; cut < bytes.n; cut += cut_stride(bytes.n))
        is_same(&whole, read_cut(bytes, cut, bytes.n));
    is_same(&whole, read_cut(bytes, 0, 1));
    buffer_release(&whole.told);
    return 0;
}
