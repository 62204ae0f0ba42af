/* SPDX-License-Identifier: MIT */
/* Questions to the gateway that runs on this machine: is it alive, what keys does it hold. */
#include "cli/cli.h"

#include "base/json.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REFRESH_LOOKS   100
#define REFRESH_LOOK_NS 100000000L

/* Where the gateway of these settings listens. Alone in a container there may be no more than PORT. */
static bool find_listener(const char *file, char address[160]) {
    struct settings *settings = NULL;
    const char *port = getenv("PORT");
    if (file)
        settings = cli_settings(file);
    else if (settings_load(&settings, NULL, NULL, NULL) < 0)
        snprintf(address, 160, "127.0.0.1:%s", port && port[0] ? port : "8080");
    if (settings)
        snprintf(address, 160, STR_FMT, STR_ARG(settings->listen));
    bool is_found = settings || !file;
    settings_unref(settings);
    return is_found;
}

int command_health(int argc, char **argv) {
    const char *file = argc == 3 && strcmp(argv[1], "-c") == 0 ? argv[2] : NULL;
    struct buffer body = {0};
    char address[160];
    if (argc != 1 && !file)
        return cli_usage("health", "expected nothing or -c FILE");
    if (!find_listener(file, address))
        return EXIT_USAGE;
    int status = cli_get(str_of(address), STR("/_jotgate/health"), STR_NONE, &body);
    if (status == 200)
        puts("ok");
    else if (status < 0)
        fprintf(stderr, "jotgate health: no answer on %s: %s\n", address, strerror(-status));
    else
        fprintf(stderr, "jotgate health: status %d on %s\n", status, address);
    buffer_release(&body);
    return status == 200 ? EXIT_OK : EXIT_REFUSED;
}

static struct doc *fetch_status(struct str admin) {
    struct buffer body = {0};
    int status = cli_get(admin, STR("/status"), STR_NONE, &body);
    struct doc *doc = status == 200 ? doc_parse(buffer_bytes(&body), NULL) : NULL;
    buffer_release(&body);
    if (!doc)
        fprintf(stderr, "jotgate jwks: no status on the admin listener " STR_FMT ": %s\n",
                STR_ARG(admin), status < 0 ? strerror(-status) : "unexpected answer");
    return doc;
}

static int64_t total_fetches(const struct doc *doc) {
    const struct node *issuers = node_member(doc_root(doc), "issuers");
    int64_t total = 0, n;
    for (size_t i = 0; i < node_count(issuers); i++)
        if (node_int(node_member(node_at(issuers, i), "fetches"), &n))
            total += n;
    return total;
}

static int print_issuers(const struct doc *doc) {
    const struct node *issuers = node_member(doc_root(doc), "issuers");
    int code = EXIT_OK;
    for (size_t i = 0; i < node_count(issuers); i++) {
        struct buffer line = {0};
        const struct node *issuer = node_at(issuers, i);
        if (put_json_node(&line, issuer) == 0)
            printf(STR_FMT "\n", STR_ARG(buffer_bytes(&line)));
        if (node_string(node_member(issuer, "error")).n > 0)
            code = EXIT_REFUSED;
        buffer_release(&line);
    }
    return code;
}

/* The running gateway fetches at SIGUSR1; its own counter says when it has. */
static struct doc *refresh(struct str admin, struct doc *before) {
    int64_t pid, fetches = total_fetches(before);
    if (!node_int(node_member(doc_root(before), "pid"), &pid) || kill((pid_t)pid, SIGUSR1) < 0) {
        fprintf(stderr, "jotgate jwks: cannot signal the gateway: %s\n", strerror(errno));
        return before;
    }
    for (int i = 0; i < REFRESH_LOOKS; i++) {
        struct doc *after = fetch_status(admin);
        if (after && total_fetches(after) > fetches) {
            doc_free(before);
            return after;
        }
        doc_free(after);
        nanosleep(&(struct timespec){0, REFRESH_LOOK_NS}, NULL);
    }
    fprintf(stderr, "jotgate jwks: the gateway has not fetched within 10 seconds\n");
    return before;
}

int command_jwks(int argc, char **argv) {
    bool refreshes = argc > 1 && strcmp(argv[1], "refresh") == 0;
    int first = refreshes ? 2 : 1;
    const char *file = argc == first + 2 && strcmp(argv[first], "-c") == 0 ? argv[first + 1] : NULL;
    if (argc != first && !file)
        return cli_usage("jwks", "expected nothing, 'refresh', or -c FILE");
    struct settings *settings = cli_settings(file);
    if (!settings)
        return EXIT_USAGE;
    struct doc *doc = fetch_status(settings->admin);
    if (doc && refreshes)
        doc = refresh(settings->admin, doc);
    int code = doc ? print_issuers(doc) : EXIT_REFUSED;
    doc_free(doc);
    settings_unref(settings);
    return code;
}
