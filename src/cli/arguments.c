/* SPDX-License-Identifier: MIT */
#include "arguments.h"

#include "cli/cli.h"
#include <assert.h>
#include <stdio.h>

#define ROWS_MAX  16
#define KNOWN_MAX 512

static bool is_word(const char *text) { return text[0] != '-' || text[1] == '\0'; }

/* "[-c FILE] [--reset] SUBJECT" */
static const char *list_known(const struct argument *list, size_t n, char out[KNOWN_MAX]) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && used < KNOWN_MAX; i++) {
        bool must = list[i].needed;
        int more = snprintf(out + used, KNOWN_MAX - used, "%s%s%s%s%s%s", i ? " " : "",
                            must ? "" : "[", list[i].name, list[i].value ? " " : "",
                            list[i].value ? list[i].value : "", must ? "" : "]");
        used += more > 0 ? (size_t)more : 0;
    }
    return out;
}

static const struct argument *find(const struct argument *list, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (is_word(text) ? is_word(list[i].name) : strcmp(list[i].name, text) == 0)
            return &list[i];
    return NULL;
}

static int refuse_unknown(const char *command, const struct argument *list, size_t n,
                          const char *text) {
    char known[KNOWN_MAX];
    list_known(list, n, known);
    if (is_word(text))
        return cli_usage(command, "a word that belongs to no option; expected %s", known);
    return cli_usage(command, "there is no option '%.60s'; expected %s", text, known);
}

static int read_one(const char *command, const struct argument *row, const char *value, bool again,
                    void *order) {
    if (again && !row->repeats)
        return cli_usage(command, "%s is there twice; give it once", row->name);
    if (row->value && !value)
        return cli_usage(command, "%s: expected %s behind it", row->name, row->value);
    const char *wrong = row->read(order, value);
    return wrong ? cli_usage(command, "%s: %s", row->name, wrong) : EXIT_OK;
}

int arguments_read(const char *command, const struct argument *list, size_t n, int argc,
                   char **argv, void *order) {
    bool given[ROWS_MAX] = {false};
    assert(n <= ROWS_MAX);
    for (int i = 1; i < argc; i++) {
        const struct argument *row = find(list, n, argv[i]);
        if (!row)
            return refuse_unknown(command, list, n, argv[i]);
        const char *value = is_word(row->name) ? argv[i] : NULL;
        if (row->value)
            value = ++i < argc ? argv[i] : NULL;
        int code = read_one(command, row, value, given[row - list], order);
        if (code != EXIT_OK)
            return code;
        given[row - list] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (list[i].needed && !given[i])
            return cli_usage(command, "%s is missing: %s", list[i].name, list[i].needed);
    return EXIT_OK;
}
