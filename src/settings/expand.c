/* SPDX-License-Identifier: MIT */
/* ${NAME} and ${NAME:-default} inside scalars, after the YAML was read: a variable's value is never syntax. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_MAX_BYTES  128
#define SECRET_FILE_MAX (64 * 1024)

static bool is_name(struct str name) {
    if (name.n == 0 || name.n > NAME_MAX_BYTES || (name.at[0] >= '0' && name.at[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

/* How many bytes there are, up to `size`; -1 with errno. Reads on: it may be a pipe. */
static ssize_t read_file(const char *path, char *bytes, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n = 1;
    if (fd < 0)
        return -1;
    while (n > 0 && used < size) {
        n = read(fd, bytes + used, size - used);
        used += n > 0 ? (size_t)n : 0;
    }
    int failure = errno;
    close(fd);
    errno = failure;
    return n < 0 ? -1 : (ssize_t)used;
}

static bool read_secret_file(struct reader *r, const struct branch *at, const char *name,
                             const char *path, struct str *value) {
    char bytes[SECRET_FILE_MAX + 1];
    ssize_t n = read_file(path, bytes, sizeof(bytes));
    if (n < 0 || n > SECRET_FILE_MAX) {
        reader_error(r, at, "%s names a file that cannot be read: %s", name,
                     n < 0 ? strerror(errno) : "larger than 64 KiB");
        bytes_wipe(bytes, sizeof(bytes));
        return false;
    }
    while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
        n--;
    *value = arena_copy(r->arena, (struct str){bytes, (size_t)n});
    bytes_wipe(bytes, sizeof(bytes));
    return value->at;
}

bool read_variable(struct reader *r, const struct branch *at, struct str name, struct str *value) {
    char key[NAME_MAX_BYTES + 8];
    memcpy(key, name.at, name.n);
    memcpy(key + name.n, "_FILE", 6);
    const char *path = getenv(key);
    *value = STR_NONE;
    if (path && path[0]) {
        char plain[NAME_MAX_BYTES + 1];
        memcpy(plain, name.at, name.n);
        plain[name.n] = '\0';
        if (getenv(plain)) {
            reader_error(r, at, "both %s and %s are set; keep one", plain, key);
            return false;
        }
        return read_secret_file(r, at, key, path, value);
    }
    key[name.n] = '\0';
    const char *text = getenv(key);
    if (text)
        *value = arena_copy(r->arena, str_of(text));
    return true;
}

struct reference {
    struct str name, fallback;
    bool has_fallback;
};

/* "${NAME}" or "${NAME:-default}" at the front of *rest, which moves on. */
static bool take_reference(struct str *rest, struct reference *reference) {
    size_t end = str_index(*rest, '}');
    if (end == rest->n)
        return false;
    struct str inside = {rest->at + 2, end - 2};
    size_t colon = str_index(inside, ':');
    *reference = (struct reference){.name = str_first(inside, colon)};
    if (colon < inside.n) {
        if (!str_starts(str_skip(inside, colon), STR(":-")))
            return false;
        reference->has_fallback = true;
        reference->fallback = str_skip(inside, colon + 2);
    }
    *rest = str_skip(*rest, end + 1);
    return is_name(reference->name);
}

static bool expand_one(struct reader *r, const struct branch *b, const struct reference *reference,
                       struct buffer *out) {
    struct str value;
    if (!read_variable(r, b, reference->name, &value))
        return false;
    if (!value.at && !reference->has_fallback) {
        reader_error(r, b,
                     "the environment variable " STR_FMT
                     " is not set (or give a default: ${" STR_FMT ":-...})",
                     STR_ARG(reference->name), STR_ARG(reference->name));
        return false;
    }
    return buffer_append(out, value.n ? value : reference->fallback) == 0;
}

static bool expand_all(struct reader *r, const struct branch *b, struct buffer *out) {
    struct str rest = b->text;
    while (rest.n > 0) {
        struct reference reference;
        size_t n = 0;
        while (n < rest.n && !(rest.at[n] == '$' && n + 1 < rest.n && rest.at[n + 1] == '{'))
            n++;
        if (buffer_append(out, str_first(rest, n)) < 0)
            return false;
        rest = str_skip(rest, n);
        if (rest.n == 0)
            break;
        if (!take_reference(&rest, &reference)) {
            reader_error(r, b, "expected ${NAME} or ${NAME:-default}");
            return false;
        }
        if (!expand_one(r, b, &reference, out))
            return false;
    }
    return true;
}

/* One reference and nothing else, of a variable that is not set, with an empty default. */
static bool is_unset_reference(struct reader *r, const struct branch *b) {
    struct reference reference;
    struct str rest = b->text, value;
    return str_starts(rest, STR("${")) && take_reference(&rest, &reference) && rest.n == 0 &&
           reference.has_fallback && reference.fallback.n == 0 &&
           read_variable(r, b, reference.name, &value) && !value.at;
}

bool read_scalar(struct reader *r, const struct branch *branch, struct str *value, bool *is_unset) {
    struct buffer out = {0};
    *value = STR_NONE;
    if (branch->kind != BRANCH_SCALAR) {
        reader_error(r, branch, "expected one value, not a %s",
                     branch->kind == BRANCH_LIST ? "list" : "map");
        return false;
    }
    if (is_unset)
        *is_unset = is_unset_reference(r, branch);
    bool is_good = expand_all(r, branch, &out);
    if (is_good) {
        *value = arena_copy(r->arena, buffer_bytes(&out));
        is_good = value->at;
    }
    bytes_wipe(out.at, out.size);
    buffer_release(&out);
    return is_good;
}
