/* SPDX-License-Identifier: MIT */
/* ${NAME} and ${NAME:-default} inside scalars, after the YAML was read: a variable's value is never syntax. */
#include "base/file.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

static bool read_secret_file(struct reader *r, const struct branch *at, struct str name,
                             const char *path, struct str *value) {
    struct buffer text = {0};
    int failure = file_read(path, SECRET_FILE_MAX, FILE_PATIENCE_NS, &text);
    if (failure == 0) {
        struct str secret = buffer_bytes(&text);
        while (str_ends(secret, STR("\n")) || str_ends(secret, STR("\r")))
            secret.n--;
        if (secret.n > 0)
            *value = arena_copy(r->arena, secret);
        else
            reader_error(r, at, STR_FMT "_FILE names a file that is empty", STR_ARG(name));
    } else {
        reader_error(r, at, STR_FMT "_FILE names a file that cannot be read: %s", STR_ARG(name),
                     failure == -EFBIG ? "larger than 64 KiB" : file_why(failure));
    }
    bytes_wipe(text.at, text.size);
    buffer_release(&text);
    return value->at;
}

static const char *variable(struct str name, const char *suffix) {
    char key[NAME_MAX_BYTES + 8];
    snprintf(key, sizeof(key), STR_FMT "%s", STR_ARG(name), suffix);
    const char *value = getenv(key);
    return value && (value[0] || !suffix[0]) ? value : NULL; /* NAME may be empty, a path not */
}

static bool is_set(struct str name) { return variable(name, "") || variable(name, "_FILE"); }

/* An environment variable, or the contents of the file that NAME_FILE names without a line end; at == NULL when neither is set. */
static bool read_variable(struct reader *r, const struct branch *at, struct str name,
                          struct str *value) {
    const char *text = variable(name, ""), *path = variable(name, "_FILE");
    *value = STR_NONE;
    if (text && path) {
        reader_error(r, at, "both " STR_FMT " and " STR_FMT "_FILE are set; keep one",
                     STR_ARG(name), STR_ARG(name));
        return false;
    }
    if (path)
        return read_secret_file(r, at, name, path, value);
    if (!text)
        return true;
    *value = arena_copy(r->arena, str_of(text));
    return value->at;
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
static bool is_unset_reference(const struct branch *b) {
    struct reference reference;
    struct str rest = b->text;
    return str_starts(rest, STR("${")) && take_reference(&rest, &reference) && rest.n == 0 &&
           reference.has_fallback && reference.fallback.n == 0 && !is_set(reference.name);
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
        *is_unset = is_unset_reference(branch);
    bool is_good = expand_all(r, branch, &out);
    if (is_good) {
        *value = arena_copy(r->arena, buffer_bytes(&out));
        is_good = value->at;
    }
    bytes_wipe(out.at, out.size);
    buffer_release(&out);
    return is_good;
}
