/* SPDX-License-Identifier: MIT */
/* Any bytes as a target, a host and a query: the forms of a path are simple, stay so when they are spelt otherwise, and one
 * more layer of encoding moves `normal` to `twice`. */
#include "base/buffer.h"
#include "http/target.h"
#include "must.h"

static bool is_simple(struct str path) {
    if (path.n == 0 || path.at[0] != '/')
        return false;
    for (struct str rest = str_skip(path, 1), segment; str_split(&rest, '/', &segment);) {
        bool is_last = rest.at == NULL;
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")) || (segment.n == 0 && !is_last))
            return false;
        for (size_t i = 0; i < segment.n; i++)
            if (strchr("\\;\x7f", segment.at[i]) || (unsigned char)segment.at[i] < 0x20)
                return false;
    }
    return true;
}

/* `path` with its marked bytes as %XX; a NULL mark is every byte. The first byte, '/', stays. */
static void put_encoded(struct buffer *out, struct str path, const char *mark) {
    must(buffer_append_byte(out, '/') == 0);
    for (size_t i = 1; i < path.n; i++) {
        bool is_marked = !mark || path.at[i] == *mark;
        must((is_marked ? buffer_printf(out, "%%%02x", (unsigned char)path.at[i])
                        : buffer_append_byte(out, path.at[i])) == 0);
    }
}

static void other_spellings_agree(const struct target *target, struct arena *arena) {
    struct target other;
    struct buffer spelt = {0};
    put_encoded(&spelt, target->path, "%");
    must(target_parse(&other, STR("GET"), buffer_bytes(&spelt), arena) == TARGET_OK);
    must(str_eq(other.twice, target->normal));
    buffer_clear(&spelt);
    put_encoded(&spelt, target->normal, NULL);
    must(target_parse(&other, STR("GET"), buffer_bytes(&spelt), arena) == TARGET_OK);
    must(str_eq(other.normal, target->normal));
    buffer_release(&spelt);
}

static void parse(struct str method, struct str raw) {
    struct arena arena;
    struct target target;
    arena_init(&arena);
    if (target_parse(&target, method, raw, &arena) == TARGET_OK) {
        bool is_asterisk = str_eq(target.path, STR("*"));
        must(!is_asterisk || str_eq(method, STR("OPTIONS")));
        must(is_asterisk || (is_simple(target.normal) && is_simple(target.twice)));
        must(!target.authority.at || host_is_valid(target.authority));
        must(str_eq(target.normal, target.twice) == (target.normal.at == target.twice.at));
        if (!is_asterisk)
            other_spellings_agree(&target, &arena);
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *block = block_of((struct str){(const char *)data, size});
    struct str raw = {block, size};
    size_t count;
    parse(STR("GET"), raw);
    parse(STR("OPTIONS"), raw);
    bool is_host = host_is_valid(raw);
    must(!is_host ||
         (size > 0 && size <= 255 + 6 && !memchr(block, '@', size) && !memchr(block, '/', size)));
    struct str value = query_value(raw, STR("apikey"), &count);
    must((value.at != NULL) == (count > 0) && count <= size / 6);
    free(block);
    return 0;
}
