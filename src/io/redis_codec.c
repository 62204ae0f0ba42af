/* SPDX-License-Identifier: MIT */
/* hiredis' reader, and nothing else of it.
 *
 * The reader calls us to make each object, so a reply is built in an arena at once, in our own
 * shape, and what a server may make us allocate is bounded here: versions before 1.0 take an array
 * of two thousand million elements at its word. */
#include "io/redis_codec.h"
#include "base/arena.h"
#include "base/pen.h"
#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#define ELEMENT_BYTES_LEAST 4 /* ":1\r\n" */
#define DEPTH_MAX           6 /* arrays in one another */

struct redis_decoder {
    redisReader *reader;
    struct arena arena;
    size_t max_bytes;
    size_t n_bytes;    /* since the last whole reply */
    size_t n_elements; /* of the reply that is being read */
    bool is_huge, is_bad;
};

/* ---- commands */

/* "*2\r\n$3\r\nGET\r\n$1\r\na\r\n": ours, for hiredis allocates each and prints it with sprintf. */
#define FRAME_MAX (PEN_U64_MAX + 5) /* of an argument, or of all: '$', a number, CR LF twice */

int redis_encode(struct buffer *out, const struct str *arguments, size_t n) {
    size_t bytes = FRAME_MAX;
    char *room;
    assert(n > 0 && n <= REDIS_ARGUMENTS_MAX);
    for (size_t i = 0; i < n; i++)
        bytes += arguments[i].n + FRAME_MAX;
    TRY(buffer_reserve(out, bytes, &room));
    char *at = pen_str(pen_u64(pen_byte(room, '*'), n), STR("\r\n"));
    for (size_t i = 0; i < n; i++) {
        at = pen_str(pen_u64(pen_byte(at, '$'), arguments[i].n), STR("\r\n"));
        at = pen_str(pen_str(at, arguments[i]), STR("\r\n"));
    }
    buffer_commit(out, (size_t)(at - room));
    return 0;
}

/* ---- objects, made as the reader comes to them; NULL makes it give up */

static struct redis_reply *make(const redisReadTask *task, enum reply_kind kind) {
    struct redis_decoder *decoder = task->privdata;
    struct redis_reply *reply;
    if (task->parent) {
        /* Its parent has reserved the place. */
        struct redis_reply *parent = task->parent->obj;
        assert((size_t)task->idx < parent->n);
        reply = (struct redis_reply *)(uintptr_t)&parent->list[task->idx];
    } else {
        reply = arena_alloc(&decoder->arena, sizeof(*reply));
    }
    if (reply)
        *reply = (struct redis_reply){.kind = kind};
    return reply;
}

static void *make_text(const redisReadTask *task, char *text, size_t n) {
    struct redis_decoder *decoder = task->privdata;
    enum reply_kind kind;
    if (task->type == REDIS_REPLY_STRING)
        kind = REPLY_STRING;
    else if (task->type == REDIS_REPLY_STATUS)
        kind = REPLY_STATUS;
    else if (task->type == REDIS_REPLY_ERROR)
        kind = REPLY_ERROR;
    else
        return NULL; /* RESP3, which nobody asked for */
    struct redis_reply *reply = make(task, kind);
    if (!reply)
        return NULL;
    reply->text = arena_copy(&decoder->arena, (struct str){text, n});
    return reply->text.at ? reply : NULL;
}

/* From 1.1 on the reader takes arrays in arrays without end, and whoever walks a reply recurses. */
static bool is_too_deep(const redisReadTask *task) {
    unsigned depth = 0;
    for (const redisReadTask *parent = task->parent; parent; parent = parent->parent)
        depth++;
    return depth >= DEPTH_MAX;
}

static void *make_array_of(const redisReadTask *task, size_t n) {
    struct redis_decoder *decoder = task->privdata;
    if (task->type != REDIS_REPLY_ARRAY || is_too_deep(task))
        return NULL;
    if (n > decoder->max_bytes / ELEMENT_BYTES_LEAST - decoder->n_elements) {
        decoder->is_huge = true;
        return NULL;
    }
    decoder->n_elements += n;
    struct redis_reply *reply = make(task, REPLY_ARRAY);
    struct redis_reply *list =
        reply ? arena_zalloc(&decoder->arena, (n ? n : 1) * sizeof(*list)) : NULL;
    if (!list)
        return NULL;
    reply->n = n;
    reply->list = list;
    return reply;
}

static void *make_integer(const redisReadTask *task, long long integer) {
    struct redis_reply *reply = make(task, REPLY_INTEGER);
    if (reply)
        reply->integer = integer;
    return reply;
}

static void *make_nil(const redisReadTask *task) { return make(task, REPLY_NIL); }

#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t n) { return make_array_of(task, n); }
static void *refuse_double(const redisReadTask *task, double real, char *text, size_t n) {
    (void)task, (void)real, (void)text, (void)n;
    return NULL;
}
static void *refuse_bool(const redisReadTask *task, int value) {
    (void)task, (void)value;
    return NULL;
}
#else
static void *make_array(const redisReadTask *task, int n) {
    return n < 0 ? NULL : make_array_of(task, (size_t)n);
}
#endif

static void free_nothing(void *reply) { (void)reply; } /* the arena's reset does */

static redisReplyObjectFunctions functions = {
    .createString = make_text,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = refuse_double,
    .createBool = refuse_bool,
#endif
    .freeObject = free_nothing,
};

/* ---- the stream */

struct redis_decoder *redis_decoder_new(size_t max_bytes) {
    struct redis_decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return NULL;
    decoder->max_bytes = max_bytes;
    decoder->reader = redisReaderCreateWithFunctions(&functions);
    if (!decoder->reader) {
        free(decoder);
        return NULL;
    }
    decoder->reader->privdata = decoder;
    arena_init(&decoder->arena);
    return decoder;
}

void redis_decoder_free(struct redis_decoder *decoder) {
    if (!decoder)
        return;
    redisReaderFree(decoder->reader);
    arena_fini(&decoder->arena);
    free(decoder);
}

int redis_decoder_feed(struct redis_decoder *decoder, struct str bytes) {
    if (decoder->is_bad || decoder->is_huge || bytes.n == 0)
        return 0;
    if (redisReaderFeed(decoder->reader, bytes.at, bytes.n) != REDIS_OK)
        return -ENOMEM;
    decoder->n_bytes += bytes.n;
    return 0;
}

static enum redis_decoded give_up(struct redis_decoder *decoder) {
    decoder->is_bad = !decoder->is_huge;
    return decoder->is_huge ? REDIS_DECODED_HUGE : REDIS_DECODED_BAD;
}

enum redis_decoded redis_decode(struct redis_decoder *decoder, const struct redis_reply **reply) {
    void *made = NULL;
    *reply = NULL;
    if (decoder->is_bad || decoder->is_huge)
        return give_up(decoder);
    if (decoder->reader->ridx == -1)
        arena_reset(&decoder->arena);
    if (redisReaderGetReply(decoder->reader, &made) != REDIS_OK)
        return give_up(decoder);
    if (!made) {
        decoder->is_huge = decoder->n_bytes > decoder->max_bytes;
        return decoder->is_huge ? REDIS_DECODED_HUGE : REDIS_DECODED_MORE;
    }
    decoder->n_bytes = decoder->reader->len - decoder->reader->pos;
    decoder->n_elements = 0;
    *reply = made;
    return REDIS_DECODED;
}
