/* SPDX-License-Identifier: MIT */
/* One table of commands: what runs, and what its help says. */
#include "cli/cli.h"

#include "base/json.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int command_version(int argc, char **argv);
static int command_help(int argc, char **argv);

/* clang-format off */
static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary, *help;
} commands[] = {
    {"run", command_run, "start the gateway (also without any command)",
     "usage: jotgate [run] [-c FILE]\n\n"
     "Starts the gateway. Without FILE everything comes from the environment: SUPABASE_URL names the project, and the\n"
     "built-in Supabase routes apply. SIGTERM and SIGINT drain and stop; a second one stops at once.\n\n"
     "  -c FILE   settings (YAML); config/jotgate.yaml documents every one\n\n"
     "Exit: 0 stopped, 2 unreadable settings, 3 cannot start (port taken).\n"},
    {"demo", command_demo, "try it: a stand-in Supabase and the gateway before it",
     "usage: jotgate demo [--listen ADDRESS] [--once]\n\n"
     "Starts a stand-in Supabase on loopback (an issuer with a fresh ES256 key served as JWKS over HTTP, and an upstream that echoes),\n"
     "the gateway before it with limits in memory, and prints ready-made curl lines.\n\n"
     "  --listen ADDRESS   where the gateway listens; default 127.0.0.1:8080\n"
     "  --once             sends the requests itself, prints each answer, exits 0 when all are as they should be\n"},
    {"check", command_check, "read the settings, say what is wrong or odd, print them",
     "usage: jotgate check [-c FILE]\n\n"
     "Reads and lints the settings, then prints them as they take effect (secrets masked) and the route table.\n\n"
     "Exit: 0 good, 1 findings, 2 unreadable; errors are file:line:column: setting: text, findings file: text.\n"},
    {"verify", command_verify, "verify tokens offline and say why not",
     "usage: jotgate verify [--jwks FILE|URL] [--issuer I] [--audience A] [--alg A,...] [--signature-only] TOKEN | -\n\n"
     "One line of JSON a token; '-' reads tokens from standard input, one a line, and answers each line.\n"
     "Without --jwks the keys are the project's (SUPABASE_URL). A FILE may hold a JWKS or one JWK, also symmetric ones.\n\n"
     "  --issuer I         the token's iss must be I\n"
     "  --audience A       A must be in the token's aud\n"
     "  --alg A,...        only these algorithms; otherwise every one that the key allows\n"
     "  --signature-only   stop below the claims: the payload may be any bytes\n\n"
     "Exit: 0 all valid, 1 some are not, 2 usage or unreadable keys.\n"},
    {"mint", command_mint, "sign tokens for tests and load generators",
     "usage: jotgate mint --alg A --key FILE | --secret-env NAME [options]\n"
     "       jotgate mint --new-key FILE --alg A\n\n"
     "  --key FILE          a private key, PEM or JWK;  --secret-env NAME: the HMAC secret is in this variable\n"
     "  --sub S  --role R   default: a random UUID, authenticated\n"
     "  --ttl D             default 1h; negative ones are expired tokens\n"
     "  --claim K=V         any claim; V is JSON, else a string; may be repeated; wins over the defaults\n"
     "  --kid K             in the header\n"
     "  --count N           so many tokens, one a line\n"
     "  --new-key FILE      writes a new private key (PEM, mode 0600) and prints its public JWK\n"},
    {"jwks", command_jwks, "what keys the running gateway holds; refresh: fetch now",
     "usage: jotgate jwks [refresh] [-c FILE]\n\n"
     "Asks the running gateway's admin listener which key sets it holds and how old they are. 'refresh' makes it fetch them now,\n"
     "whatever the cooldown, and waits for the outcome. Run it on the gateway's machine, with the gateway's settings.\n"},
    {"usage", command_usage, "what a subject has used of every limit; reset it, or give some back",
     "usage: jotgate usage SUBJECT [--reset | --grant POLICY=N] [-c FILE]\n\n"
     "Asks the running gateway what SUBJECT (a token's sub) has used of every limit that counts by subject, in every plan, wherever it is counted,\n"
     "memory or Redis: one line of JSON a limit. Run it on the gateway's machine, with its settings and its JOTGATE_ADMIN_TOKEN. Over TLS only who\n"
     "has the key of a certificate under the settings' 'tls' is told the token.\n\n"
     "  --reset            first forgets what was used of all of them, debts included\n"
     "  --grant POLICY=N   first gives back up to N of what was used of POLICY: a limit's name (daily), or its id (free/default/daily)\n\n"
     "Exit: 0 done, 1 the gateway refused or did not answer, 2 usage or settings.\n"},
    {"apikeys", command_apikeys, "make, list and revoke the gateway's own API keys",
     "usage: jotgate apikeys create --subject S [--plan P] [--expires E] [--scopes A,B] [--name N] [-c FILE]\n"
     "       jotgate apikeys list [--subject S] [-c FILE]\n"
     "       jotgate apikeys revoke KEY | ID [-c FILE]\n\n"
     "The gateways' own API keys (jg_...), for routes with access: apikey. They are kept in Redis (REDIS_URL, or redis.url of the settings),\n"
     "for every gateway that uses it; only a key's SHA-256 is kept, which is its id.\n\n"
     "create prints the key, once.\n"
     "  --subject S    whom it speaks for: the user's id (sub); name:sub for another issuer than the first\n"
     "  --plan P       one of the settings' plans; default: as for any user\n"
     "  --expires E    12h, 90d, 2027-01-31, 2027-01-31T12:00:00Z, never; default never\n"
     "  --scopes A,B   its claim 'scope', for 'require' of routes and for the upstream\n"
     "  --name N       for people\n"
     "revoke takes the key, its id, or the first 6 or more digits of that. Every gateway refuses the key within a second, and ends the event\n"
     "streams and WebSockets that it opened.\n\n"
     "Exit: 0 done, 1 Redis does not answer or knows no such key, 2 usage or unreadable settings.\n"},
    {"health", command_health, "exit 0 when the gateway on this machine is alive",
     "usage: jotgate health [-c FILE]\n\nAsks /_jotgate/health on the address that the settings listen on. For HEALTHCHECK.\n"},
    {"version", command_version, "print the version", "usage: jotgate version\n"},
    {"help", command_help, "help [COMMAND]", "usage: jotgate help [COMMAND]\n"},
};
/* clang-format on */
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_named(const char *name) {
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int command_version(int argc, char **argv) {
    (void)argv;
    if (argc > 1)
        return cli_usage("version", "expected nothing behind it");
    puts("jotgate " JG_VERSION);
    return EXIT_OK;
}

static int command_help(int argc, char **argv) {
    if (argc > 2)
        return cli_usage("help", "expected one COMMAND, not more");
    if (argc > 1) {
        const struct command *command = command_named(argv[1]);
        if (!command)
            return cli_usage("help", "there is no command '%s'", argv[1]);
        fputs(command->help, stdout);
        return EXIT_OK;
    }
    puts("jotgate: the gateway in front of Supabase: verifies tokens, limits callers, forwards.\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-8s  %s\n", commands[i].name, commands[i].summary);
    puts("\nThe shortest way in: SUPABASE_URL=https://abc.supabase.co jotgate");
    puts("'jotgate help COMMAND' says more. Exit codes: 0 ok, 1 refused or findings, 2 usage or "
         "settings, 3 cannot start.");
    return EXIT_OK;
}

static bool asks_for_help(const char *argument) {
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* Who starts us without a standard file (`>&-`) gets it all the same: the next socket would have its number,
 * and be sent what was meant for it. */
static void hold_standard_files(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int cli_main(int argc, char **argv) {
    hold_standard_files();
    json_seed();
    if (argc > 1 && asks_for_help(argv[1]))
        return command_help(1, argv);
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return command_version(argc - 1, argv + 1);
    if (argc < 2 || argv[1][0] == '-')
        return command_run(argc, argv);
    const struct command *command = command_named(argv[1]);
    if (!command)
        return cli_usage("help", "there is no command '%s'", argv[1]);
    if (argc > 2 && asks_for_help(argv[2])) {
        fputs(command->help, stdout);
        return EXIT_OK;
    }
    return command->run(argc - 1, argv + 1);
}

int cli_usage(const char *command, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "jotgate %s: ", command);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\nTry 'jotgate help%s%s'.\n", strcmp(command, "help") == 0 ? "" : " ",
            strcmp(command, "help") == 0 ? "" : command);
    va_end(list);
    return EXIT_USAGE;
}

static void report_to_stderr(void *arg, const char *line) {
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

struct settings *cli_settings(const char *file) {
    struct settings *settings = NULL;
    int failure = settings_load(&settings, file, report_to_stderr, NULL);
    if (failure < 0 && failure != -EINVAL)
        fprintf(stderr, "%s: %s\n", file ? file : "environment", strerror(-failure));
    return failure < 0 ? NULL : settings;
}
