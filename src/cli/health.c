/* SPDX-License-Identifier: MIT */
/* Questions to the gateway that runs on this machine: is it alive, what keys does it hold. */
#include "arguments.h"
#include "base/json.h"
#include "cli/cli.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_LOOKS   100
#define REFRESH_LOOK_NS 100000000L

/* The listener of the gateway of these settings. Alone in a container there may be no more than PORT. False: the settings of `file` are
 * no good. */
static bool find_listener(const char *file, struct settings **settings, char fallback[32],
                          struct cli_request *request) {
    const char *port = getenv("PORT");
    *settings = NULL;
    if (file)
        *settings = cli_settings(file);
    else if (settings_load(settings, NULL, NULL, NULL) < 0)
        snprintf(fallback, 32, "127.0.0.1:%.5s", port && port[0] ? port : "8080");
    request->address = *settings ? (*settings)->listen : str_of(fallback);
    request->tls = *settings ? (*settings)->tls : NULL;
    request->n_tls = *settings ? (*settings)->n_tls : 0;
    return *settings || !file;
}

int command_health(int argc, char **argv) {
    const char *file;
    struct cli_request request = {.method = STR("GET"), .path = STR("/_jotgate/health")};
    struct buffer body = {0};
    struct settings *settings;
    char fallback[32] = "", why[CLI_WHY_MAX];
    if (cli_file("health", argc, argv, &file) != EXIT_OK)
        return EXIT_USAGE;
    if (!find_listener(file, &settings, fallback, &request))
        return EXIT_USAGE;
    int status = cli_ask(&request, &body, why);
    if (status == 200)
        puts("ok");
    else if (status < 0)
        fprintf(stderr, "jotgate health: no answer on " STR_FMT ": %s\n", STR_ARG(request.address),
                why);
    else
        fprintf(stderr, "jotgate health: status %d on " STR_FMT "\n", status,
                STR_ARG(request.address));
    buffer_release(&body);
    settings_unref(settings);
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

static bool name_of_process(int64_t pid, char name[32]) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%lld/comm", (long long)pid);
    FILE *file = fopen(path, "re");
    bool is_known = file && fgets(name, 32, file);
    if (file)
        fclose(file);
    return is_known;
}

/* Who answered may stand in another container or on another machine, behind a forwarded port, and its number be another's here,
 * who would die of the signal. */
static bool is_gateway_here(int64_t pid) {
    char name[32], own[32];
    return pid > 1 && pid <= INT_MAX && name_of_process(pid, name) &&
           name_of_process(getpid(), own) && strcmp(name, own) == 0;
}

static bool signal_gateway(const struct doc *status) {
    int64_t pid = 0;
    bool is_told = node_int(node_member(doc_root(status), "pid"), &pid);
    if (!is_told || !is_gateway_here(pid))
        fprintf(stderr,
                "jotgate jwks: who answers is no gateway of this machine or container "
                "(pid %lld): ask where it runs; nothing was signalled\n",
                (long long)pid);
    else if (kill((pid_t)pid, SIGUSR1) == 0)
        return true;
    else
        fprintf(stderr, "jotgate jwks: cannot signal the gateway: %s\n", strerror(errno));
    return false;
}

/* The running gateway fetches at SIGUSR1; its own counter says when it has. Takes `before`; NULL: it has not. */
static struct doc *refresh(struct str admin, struct doc *before) {
    int64_t fetches = total_fetches(before);
    bool is_signalled = signal_gateway(before);
    doc_free(before);
    if (!is_signalled)
        return NULL;
    for (int i = 0; i < REFRESH_LOOKS; i++) {
        struct doc *after = fetch_status(admin);
        if (after && total_fetches(after) > fetches)
            return after;
        doc_free(after);
        nanosleep(&(struct timespec){0, REFRESH_LOOK_NS}, NULL);
    }
    fprintf(stderr, "jotgate jwks: the gateway has not fetched within 10 seconds\n");
    return NULL;
}

struct look {
    const char *file;
    bool refreshes;
};

static const char *read_file(void *look, const char *value) {
    ((struct look *)look)->file = value;
    return NULL;
}

static const char *read_refresh(void *look, const char *value) {
    ((struct look *)look)->refreshes = true;
    return strcmp(value, "refresh") == 0 ? NULL : "expected this word and no other";
}

int command_jwks(int argc, char **argv) {
    static const struct argument arguments[] = {{"refresh", NULL, .read = read_refresh},
                                                {"-c", "FILE", .read = read_file}};
    struct look look = {0};
    if (ARGUMENTS_READ("jwks", arguments, argc, argv, &look) != EXIT_OK)
        return EXIT_USAGE;
    struct settings *settings = cli_settings(look.file);
    if (!settings)
        return EXIT_USAGE;
    struct doc *doc = fetch_status(settings->admin);
    if (doc && look.refreshes)
        doc = refresh(settings->admin, doc);
    int code = doc ? print_issuers(doc) : EXIT_REFUSED;
    doc_free(doc);
    settings_unref(settings);
    return code;
}
