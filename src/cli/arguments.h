/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A command's arguments as a table. Whatever is unknown, missing, given twice or not as expected is told, never passed over. */
struct argument {
    const char *
        name; /* "--reset", "-c"; of a word that stands by itself, its name in the help: "SUBJECT" */
    const char *value; /* what stands behind it, as the help calls it: "FILE"; NULL: nothing */
    const char *(*read)(void *order, const char *value); /* NULL: taken; else what was expected */
    bool repeats;                                        /* else once at most */
    const char *needed; /* what it is for, where it must be there */
};

/* Reads argv[1..argc). EXIT_OK, or EXIT_USAGE after a line on stderr that says what is wrong and what was expected; values, which may
 * be secrets, are not repeated. At most 16 rows. */
int arguments_read(const char *command, const struct argument *list, size_t n, int argc,
                   char **argv, void *order);
#define ARGUMENTS_READ(command, list, argc, argv, order) \
    arguments_read(command, list, sizeof(list) / sizeof((list)[0]), argc, argv, order)
