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
/* -c FILE and nothing else: *file, NULL without it. EXIT_OK, or EXIT_USAGE after having said why. */
int cli_file(const char *command, int argc, char **argv, const char **file) MUST_USE;
/* The settings of -c FILE, or of the environment alone; errors are on stderr. NULL: EXIT_USAGE. */
struct settings *cli_settings(const char *file) MUST_USE;
/* A whole file or standard input ("-"), at most 8 MiB, appended. -errno, -EFBIG. */
int cli_read(const char *path, struct buffer *out) MUST_USE;

/* One blocking question to a listener, here or elsewhere (health, jwks, usage, demo): status, or -errno with `why`. The answer's body is
 * appended to `answer`. Over TLS where `tls` says so: a server that has the key of none of these certificates is sent nothing. */
#define CLI_WHY_MAX 256
struct cli_request {
    struct str address;          /* "[::]:8080", ":8080": this machine */
    const struct tls_files *tls; /* n_tls of them; none: plain HTTP */
    size_t n_tls;
    struct str method, path;
    struct str fields; /* complete lines */
    struct str body;   /* with a Content-Length where it is not empty, and of POST always */
};
int cli_ask(const struct cli_request *request, struct buffer *answer,
            char why[CLI_WHY_MAX]) MUST_USE;
/* A plain GET; what failed says strerror. */
int cli_get(struct str address, struct str path, struct str fields, struct buffer *answer) MUST_USE;
