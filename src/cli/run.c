/* SPDX-License-Identifier: MIT */
/* The two ways to look at settings: start with them, or check them. */
#include "cli/cli.h"

#include "base/log.h"
#include "io/tls_server.h"
#include "server/server.h"
#include <errno.h>
#include <stdio.h>

/* What `check` would say is said at the start, too: nobody runs `check` for the environment alone. */
static void log_finding(void *arg, const char *line) {
    (void)arg;
    log_warn("settings", F_TEXT("finding", line));
}

/* The certificates are read as a start would read them. False when it could not be one. */
static bool lint_tls(const struct settings *settings, settings_report *report, size_t *findings) {
    char why[TLS_WHY_MAX];
    struct now now = clock_now();
    if (settings->n_tls == 0)
        return true;
    struct tls_server *tls = tls_server_new(settings, NULL, why);
    if (tls)
        *findings += tls_server_lint(tls, settings, now_s(&now), report, NULL);
    else
        report(NULL, why);
    tls_server_unref(tls);
    return tls != NULL;
}

int command_run(int argc, char **argv) {
    const char *file;
    char why[256];
    struct server *server = NULL;
    if (cli_file("run", argc, argv, &file) != EXIT_OK)
        return EXIT_USAGE;
    struct settings *settings = cli_settings(file);
    if (!settings)
        return EXIT_USAGE;
    int failure =
        log_start((enum log_format)settings->log_format, (enum log_level)settings->log_level);
    if (failure == 0) {
        settings_lint(settings, log_finding, NULL);
        failure = server_start(&server, settings, why);
    } else {
        snprintf(why, sizeof(why), "cannot start the log: %s", strerror(-failure));
    }
    settings_unref(settings); /* the server's now, until it has others */
    if (failure < 0)
        log_error("cannot start", F_TEXT("why", why));
    else
        server_run(server);
    server_free(server);
    log_stop();
    if (failure < 0)
        fprintf(stderr, "jotgate: %s\n", why);
    return failure < 0 ? EXIT_CANNOT_START : EXIT_OK;
}

static void print_finding(void *arg, const char *line) {
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

int command_check(int argc, char **argv) {
    const char *file;
    struct buffer text = {0};
    if (cli_file("check", argc, argv, &file) != EXIT_OK)
        return EXIT_USAGE;
    struct settings *settings = cli_settings(file);
    if (!settings)
        return EXIT_USAGE;
    size_t findings = settings_lint(settings, print_finding, NULL);
    if (!lint_tls(settings, print_finding, &findings)) {
        settings_unref(settings);
        return EXIT_USAGE;
    }
    if (settings_print(settings, &text) == 0)
        fwrite(text.at + text.head, 1, buffer_length(&text), stdout);
    buffer_release(&text);
    settings_unref(settings);
    return findings > 0 ? EXIT_REFUSED : EXIT_OK;
}
