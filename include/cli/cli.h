/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/buffer.h"
#include "settings/settings.h"

/* The commands. Each takes its own arguments (argv[0] is the command's name) and returns an exit code. */
enum exit_code { EXIT_OK = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_CANNOT_START = 3 };

/* Chooses the command by argv[1] (`run` when there is none or it begins with '-'). */
int cli_main(int argc, char **argv);

int command_run(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_check(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_mint(int argc, char **argv);
int command_jwks(int argc, char **argv);
int command_usage(int argc, char **argv);
int command_apikeys(int argc, char **argv);
int command_health(int argc, char **argv);

/* ---- what commands share ---- */

/* "jotgate COMMAND: text" on stderr, with a pointer to the help; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *format, ...) PRINTF(2, 3);
/* The settings of -c FILE, or of the environment alone; errors are on stderr. NULL: EXIT_USAGE. */
struct settings *cli_settings(const char *file) MUST_USE;
/* A whole file or standard input ("-"), at most 8 MiB, appended. -errno, -EFBIG. */
int cli_read(const char *path, struct buffer *out) MUST_USE;

/* One blocking question to loopback or another address for tools (health, jwks, usage, demo): status, or -errno. The answer's body is
 * appended to `answer`. */
struct cli_request {
    struct str method, path;
    struct str fields; /* complete lines */
    struct str body;   /* with a Content-Length where it is not empty, and of POST always */
};
int cli_ask(struct str address, const struct cli_request *request, struct buffer *answer) MUST_USE;
int cli_get(struct str address, struct str path, struct str fields, struct buffer *answer) MUST_USE;
