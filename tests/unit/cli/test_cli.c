/* SPDX-License-Identifier: MIT */
/* The commands as a shell sees them: arguments in; an exit code, standard output and standard error out. */
#include "cli/cli.h"

#include "base/json.h"
#include "io/service.h"
#include "suite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

static char said[1 << 16], complained[1 << 14], folder[64];

/* Standard stream `fd` becomes a file; returns what it was. */
static int divert(int fd, FILE *file) {
    int saved = dup(fd);
    ck_assert_int_ge(dup2(fileno(file), fd), 0);
    return saved;
}

static void restore(int fd, int saved, FILE *file, char *text, size_t size) {
    fflush(fd == STDOUT_FILENO ? stdout : stderr);
    ck_assert_int_ge(dup2(saved, fd), 0);
    close(saved);
    ssize_t n = pread(fileno(file), text, size - 1, 0);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    fclose(file);
}

/* `jotgate ...` up to NULL; the exit code. What it printed is in `said` and `complained`. */
static int run(const char *first, ...) {
    char *arguments[ARGUMENTS_MAX] = {(char *)"jotgate"};
    int n = 1;
    va_list list;
    va_start(list, first);
    for (const char *next = first; next; next = va_arg(list, const char *))
        arguments[n++] = (char *)next;
    va_end(list);
    FILE *out = tmpfile(), *err = tmpfile();
    int saved_out = divert(STDOUT_FILENO, out), saved_err = divert(STDERR_FILENO, err);
    int code = cli_main(n, arguments);
    restore(STDOUT_FILENO, saved_out, out, said, sizeof(said));
    restore(STDERR_FILENO, saved_err, err, complained, sizeof(complained));
    return code;
}
#define RUN(...)                run(__VA_ARGS__, NULL)
#define ASSERT_SAID(text)       ck_assert_msg(strstr(said, text), "%s", said)
#define ASSERT_COMPLAINED(text) ck_assert_msg(strstr(complained, text), "%s", complained)

static const char *at(const char *name) {
    static char path[2][128];
    static size_t next;
    next = !next;
    snprintf(path[next], sizeof(path[next]), "%s/%s", folder, name);
    return path[next];
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(at(name), "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void begin(void) {
    static const char *const names[] = {"SUPABASE_URL",
                                        "SUPABASE_JWT_ISSUER",
                                        "SUPABASE_JWT_SECRET",
                                        "SUPABASE_SECRET_KEY",
                                        "FLY_APP_NAME",
                                        "LIMITS",
                                        "PORT"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    snprintf(folder, sizeof(folder), "/tmp/jotgate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void end(void) {
    static const char *const names[] = {"key.pem", "jwks.json", "settings.yaml", "tokens", "large"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(at(names[i]));
    ck_assert_int_eq(rmdir(folder), 0);
}

/* ---- which command */

START_TEST(the_version_is_one_line) {
    ck_assert_int_eq(RUN("version"), EXIT_OK);
    ck_assert_str_eq(said, "jotgate " JG_VERSION "\n");
    ck_assert_int_eq(RUN("--version"), EXIT_OK);
    ck_assert_str_eq(said, "jotgate " JG_VERSION "\n");
}
END_TEST

START_TEST(every_command_has_help) {
    static const char *const names[] = {"run",     "demo",  "check",  "verify",  "mint", "jwks",
                                        "apikeys", "usage", "health", "version", "help"};
    ck_assert_int_eq(RUN("help"), EXIT_OK);
    static char all[sizeof(said)];
    memcpy(all, said, sizeof(all));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_ptr_nonnull(strstr(all, names[i]));
        ck_assert_int_eq(RUN("help", names[i]), EXIT_OK);
        ASSERT_SAID("usage: jotgate ");
        ck_assert_int_eq(RUN(names[i], "--help"), EXIT_OK);
        ASSERT_SAID("usage: jotgate ");
    }
    ck_assert_int_eq(RUN("--help"), EXIT_OK);
    ck_assert_str_eq(said, all);
}
END_TEST

START_TEST(what_is_no_command_is_a_usage_error) {
    ck_assert_int_eq(RUN("serve"), EXIT_USAGE);
    ck_assert_str_eq(said, "");
    ASSERT_COMPLAINED("there is no command 'serve'");
    ck_assert_int_eq(RUN("help", "serve"), EXIT_USAGE);
    ck_assert_int_eq(RUN("--nonsense"), EXIT_USAGE);
    ck_assert_int_eq(RUN("demo", "--nonsense"), EXIT_USAGE);
    ck_assert_int_eq(RUN("check", "-c"), EXIT_USAGE);
    ck_assert_int_eq(RUN("jwks", "refresh", "more"), EXIT_USAGE);
    ck_assert_int_eq(RUN("health", "more"), EXIT_USAGE);
}
END_TEST

/* One line that says what and what is expected, and one that leads to the help; nothing is done. */
static const struct {
    const char *arguments[9], *why;
} wrong_orders[] = {
    {{"run", "-c"}, "-c: expected FILE behind it"},
    {{"run", "-c", "a", "-c", "b"}, "-c is there twice"},
    {{"run", "--nonsense"}, "there is no option '--nonsense'; expected [-c FILE]"},
    {{"check", "a.yaml"}, "a word that belongs to no option; expected [-c FILE]"},
    {{"check", "-c", "a", "-c", "b"}, "-c is there twice"},
    {{"health", "-c", "a", "-c", "b"}, "-c is there twice"},
    {{"health", "more"}, "expected [-c FILE]"},
    {{"jwks", "refetch"}, "refresh: expected this word and no other"},
    {{"jwks", "refresh", "refresh"}, "refresh is there twice"},
    {{"jwks", "-c"}, "-c: expected FILE behind it"},
    {{"version", "more"}, "expected nothing behind it"},
    {{"help", "run", "check"}, "expected one COMMAND"},
    {{"demo", "--once", "--once"}, "--once is there twice"},
    {{"demo", "--listen"}, "--listen: expected ADDRESS behind it"},
    {{"demo", "--listen", "localhost:1"}, "--listen: expected ADDRESS:PORT"},
    {{"demo", "8080"}, "expected [--listen ADDRESS] [--once]"},
    {{"usage"}, "SUBJECT is missing: a token's sub"},
    {{"usage", "--reset"}, "SUBJECT is missing"},
    {{"usage", ""}, "SUBJECT: expected a token's sub, of 1 to 256 bytes"},
    {{"usage", "ada", "bob"}, "SUBJECT is there twice"},
    {{"usage", "ada", "--subject", "bob"}, "there is no option '--subject'; expected SUBJECT"},
    {{"usage", "ada", "-c"}, "-c: expected FILE"},
    {{"usage", "ada", "--reset", "--reset"}, "--reset is there twice"},
    {{"usage", "ada", "--grant"}, "--grant: expected POLICY=N behind it"},
    {{"usage", "ada", "--grant", "daily"}, "--grant: expected POLICY=N, like daily=5"},
    {{"usage", "ada", "--grant", "=5"}, "--grant: expected POLICY=N, like daily=5"},
    {{"usage", "ada", "--grant", "daily="}, "a whole number from 1 to 1000000000"},
    {{"usage", "ada", "--grant", "daily=0"}, "a whole number from 1 to 1000000000"},
    {{"usage", "ada", "--grant", "daily=-5"}, "a whole number from 1 to 1000000000"},
    {{"usage", "ada", "--grant", "daily=1000000001"}, "a whole number from 1 to 1000000000"},
    {{"usage", "ada", "--grant", "daily=many"}, "a whole number from 1 to 1000000000"},
    {{"usage", "ada", "--grant", "a=1", "--grant", "b=1"}, "--grant is there twice"},
    {{"usage", "ada", "--reset", "--grant", "daily=5"}, "exclude each other"},
    {{"usage", "ada", "--grant", "daily=5", "--reset"}, "exclude each other"},
    {{"verify"}, "TOKEN is missing: a token, or '-'"},
    {{"verify", "a.b.c", "d.e.f"}, "TOKEN is there twice"},
    {{"verify", "--alg", "none", "a.b.c"}, "--alg: expected algorithms"},
    {{"verify", "--alg", "", "a.b.c"}, "--alg: expected algorithms"},
    {{"verify", "--alg", "ES256", "--alg", "RS256", "a.b.c"}, "--alg is there twice"},
    {{"verify", "--jwks", "a", "--jwks", "b", "a.b.c"}, "--jwks is there twice"},
    {{"verify", "--signature-only", "--issuer", "i", "a.b.c"}, "looks at no claims"},
    {{"verify", "--key", "k", "a.b.c"}, "there is no option '--key'"},
    {{"mint", "--key", "k"}, "--alg is missing"},
    {{"mint", "--alg", "ES256"}, "one of --key and --secret-env is needed"},
    {{"mint", "--alg", "none", "--key", "k"}, "--alg: expected an algorithm"},
    {{"mint", "--alg", "ES256", "--alg", "RS256", "--key", "k"}, "--alg is there twice"},
    {{"mint", "--alg", "ES256", "--key", "k", "--secret-env", "X"}, "one of --key and"},
    {{"mint", "--alg", "ES256", "--new-key", "k", "--sub", "ada"}, "signs nothing"},
    {{"mint", "--alg", "ES256", "--key", "k", "--sub", "a", "--sub", "b"}, "--sub is there twice"},
    {{"mint", "--alg", "ES256", "--key", "k", "--ttl", "soon"}, "--ttl: expected a duration"},
    {{"mint", "--alg", "ES256", "--key", "k", "--count", "0"}, "--count: expected a whole number"},
    {{"mint", "--alg", "ES256", "--key", "k", "--claim", "x"}, "--claim: expected NAME=VALUE"},
    {{"mint", "--alg", "ES256", "--key", "k", "--claim", "=x"}, "--claim: expected NAME=VALUE"},
    {{"mint", "--alg", "ES256", "--claim", "a=1", "--claim", "a=2"},
     "--claim: this claim is there"},
    {{"mint", "--alg", "ES256", "--key"}, "--key: expected FILE behind it"},
    {{"mint", "ES256"}, "a word that belongs to no option; expected --alg A [--key FILE]"},
};

START_TEST(whatever_is_wrong_with_arguments_is_told) {
    for (size_t i = 0; i < sizeof(wrong_orders) / sizeof(wrong_orders[0]); i++) {
        const char *const *a = wrong_orders[i].arguments;
        char help[64];
        snprintf(help, sizeof(help), "\nTry 'jotgate help%s%s'.\n",
                 strcmp(a[0], "help") == 0 ? "" : " ", strcmp(a[0], "help") == 0 ? "" : a[0]);
        int code = RUN(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
        ck_assert_msg(code == EXIT_USAGE, "row %zu: %d", i, code);
        ck_assert_str_eq(said, "");
        ASSERT_COMPLAINED(wrong_orders[i].why);
        ck_assert_ptr_eq(strchr(complained, '\n'), strstr(complained, help));
    }
}
END_TEST

START_TEST(a_subject_has_at_most_256_bytes) {
    char subject[258];
    memset(subject, 'x', sizeof(subject));
    subject[257] = '\0';
    ck_assert_int_eq(RUN("usage", subject), EXIT_USAGE);
    ASSERT_COMPLAINED("SUBJECT: expected a token's sub, of 1 to 256 bytes");
}
END_TEST

START_TEST(a_grant_names_a_limit_that_is_there) {
    begin();
    setenv("JOTGATE_ADMIN_TOKEN", "0123456789012345678901234567890123456789", 1);
    write_file(
        "settings.yaml",
        "listen: \"127.0.0.1:1\"\nsupabase: { url: \"http://a\" }\n"
        "plans: { default: a, tiers: {\n"
        "  a: { default: [ { name: daily, quota: 5/day }, { name: now, concurrent: 2 } ] },\n"
        "  b: { default: [ { name: daily, quota: 9/day } ],\n"
        "       ai: [ { name: burst, rate: 1/minute } ] } } }\n"
        "limits: { per_ip: { key: ip, rate: 5/minute } }\n");
    static const char *const unknown[] = {"weekly=1", "per_ip=1", "now=1", "b/daily=1", "DAILY=1"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        ck_assert_int_eq(RUN("usage", "ada", "--grant", unknown[i], "-c", at("settings.yaml")),
                         EXIT_USAGE);
        ASSERT_COMPLAINED("; expected one of: daily, burst\n");
    }
    static const char *const known[] = {"daily=1", "b/default/daily=1", "burst=1", "b/ai/burst=1"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ck_assert_int_eq(RUN("usage", "ada", "--grant", known[i], "-c", at("settings.yaml")),
                         EXIT_REFUSED);
        ASSERT_COMPLAINED("no answer on 127.0.0.1:1");
    }
    unsetenv("JOTGATE_ADMIN_TOKEN");
    end();
}
END_TEST

START_TEST(usage_needs_the_token_and_a_gateway) {
    begin();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("PORT", "1", 1);
    unsetenv("JOTGATE_ADMIN_TOKEN");
    ck_assert_int_eq(RUN("usage", "ada"), EXIT_USAGE);
    ASSERT_COMPLAINED("JOTGATE_ADMIN_TOKEN");
    setenv("JOTGATE_ADMIN_TOKEN", "0123456789012345678901234567890123456789", 1);
    ck_assert_int_eq(RUN("usage", "ada"), EXIT_REFUSED);
    ASSERT_COMPLAINED("no answer on");
    ck_assert_ptr_null(strstr(complained, "0123456789"));
    unsetenv("JOTGATE_ADMIN_TOKEN");
    end();
}
END_TEST

/* Nothing of these comes as far as Redis. */
START_TEST(api_keys_are_ordered_in_words_that_make_sense) {
    static const struct {
        const char *arguments[5], *why;
    } orders[] = {
        {{NULL}, "expected create, list or revoke"},
        {{"destroy"}, "expected create, list or revoke"},
        {{"create"}, "--subject is missing: whom the key speaks for"},
        {{"create", "--subject"}, "--subject: expected S behind it"},
        {{"create", "--subject", ""}, "--subject: expected UTF-8 text"},
        {{"create", "--subject", "a\nb"}, "--subject: expected UTF-8 text"},
        {{"create", "--subject", "ada", "--plan", "gold"}, "no tier of 'plans'"},
        {{"create", "--subject", "a", "--subject", "b"}, "--subject is there twice"},
        {{"create", "--expires", "2020-01-01"}, "still to come"},
        {{"create", "--expires", "0s"}, "still to come"},
        {{"create", "--expires", "2030-01-01x"}, "expected a time"},
        {{"create", "--expires", "soon"}, "expected a time"},
        {{"create", "--scopes", "read,,write"}, "--scopes: expected"},
        {{"create", "--scopes", "read write"}, "--scopes: expected"},
        {{"list", "--plan", "pro"}, "no option '--plan'; expected [--subject S] [-c FILE]"},
        {{"revoke"}, "KEY|ID is missing: a key"},
        {{"revoke", "abcde"}, "expected a key"},
        {{"revoke", "ABCDEF"}, "expected a key"},
        {{"revoke", "abcdef", "abcdef"}, "KEY|ID is there twice"},
        {{"revoke", "jg_short"}, "needs Redis"},
        {{"list"}, "needs Redis"},
        {{"create", "--subject", "ada", "--expires", "9999-12-31"}, "needs Redis"},
    };
    begin();
    unsetenv("REDIS_URL");
    setenv("SUPABASE_URL", "http://127.0.0.1:9", 1);
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        const char *const *a = orders[i].arguments;
        ck_assert_int_eq(RUN("apikeys", a[0], a[1], a[2], a[3], a[4]), EXIT_USAGE);
        ck_assert_str_eq(said, "");
        ASSERT_COMPLAINED(orders[i].why);
    }
    ck_assert_int_eq(RUN("apikeys", "list", "-c", "/nowhere"), EXIT_USAGE);
    ASSERT_COMPLAINED("/nowhere");
    ck_assert_int_eq(RUN("apikeys", "list", "jg_never-shown"), EXIT_USAGE);
    ck_assert_ptr_null(strstr(complained, "never-shown"));
    end();
}
END_TEST

/* ---- settings */

START_TEST(check_prints_what_takes_effect_and_masks_secrets) {
    begin();
    setenv("SUPABASE_URL", "https://abc.supabase.co", 1);
    setenv("SUPABASE_SECRET_KEY", "sb_secret_hidden", 1);
    RUN("check");
    ASSERT_SAID("https://abc.supabase.co");
    ck_assert_ptr_null(strstr(said, "hidden"));
    ck_assert_ptr_null(strstr(complained, "hidden"));
    end();
}
END_TEST

START_TEST(settings_that_cannot_be_read_are_told_by_line) {
    begin();
    write_file("settings.yaml", "supabase: { url: \"http://a\" }\nnonsense: 1\n");
    ck_assert_int_eq(RUN("check", "-c", at("settings.yaml")), EXIT_USAGE);
    ASSERT_COMPLAINED("settings.yaml:2:");
    ck_assert_int_eq(RUN("run", "-c", at("settings.yaml")), EXIT_USAGE);
    ck_assert_int_eq(RUN("check", "-c", at("missing")), EXIT_USAGE);
    ASSERT_COMPLAINED("No such file");
    end();
}
END_TEST

START_TEST(a_gateway_that_is_not_there_is_not_healthy) {
    begin();
    write_file("settings.yaml", "listen: \"unix:/nowhere/at/all\"\nadmin: "
                                "\"127.0.0.1:1\"\nsupabase: { url: \"http://a\" }\n");
    ck_assert_int_eq(RUN("health", "-c", at("settings.yaml")), EXIT_REFUSED);
    ASSERT_COMPLAINED("no answer on unix:/nowhere/at/all");
    ck_assert_int_eq(RUN("jwks", "-c", at("settings.yaml")), EXIT_REFUSED);
    end();
}
END_TEST

/* ---- tokens */

static const char *first_line(void) {
    static char line[4096];
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(said, "\n"), said);
    return line;
}

/* A key pair: key.pem, and its public half in jwks.json. */
static void make_keys(const char *algorithm) {
    char set[4096];
    ck_assert_int_eq(RUN("mint", "--alg", algorithm, "--new-key", at("key.pem")), EXIT_OK);
    snprintf(set, sizeof(set), "{\"keys\":[%s]}", first_line());
    write_file("jwks.json", set);
}

START_TEST(what_mint_signs_verify_believes) {
    static const char *const algorithms[] = {"ES256", "RS256", "EdDSA"};
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        begin();
        make_keys(algorithms[i]);
        ck_assert_int_eq(RUN("mint", "--alg", algorithms[i], "--key", at("key.pem"), "--sub", "ada",
                             "--claim", "n=7", "--claim", "iss=https://id.test"),
                         EXIT_OK);
        const char *token = first_line();
        ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), token), EXIT_OK);
        ASSERT_SAID("{\"ok\":true,\"header\":{");
        ASSERT_SAID("\"sub\":\"ada\"");
        ASSERT_SAID("\"n\":7");
        ASSERT_SAID("\"role\":\"authenticated\"");
        ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), "--issuer", "https://id.test",
                             "--audience", "authenticated", token),
                         EXIT_OK);
        end();
    }
}
END_TEST

START_TEST(verify_refuses_and_says_why) {
    begin();
    make_keys("ES256");
    ck_assert_int_eq(
        RUN("mint", "--alg", "ES256", "--key", at("key.pem"), "--claim", "iss=https://id.test"),
        EXIT_OK);
    const char *token = first_line();
    ck_assert_int_eq(
        RUN("verify", "--jwks", at("jwks.json"), "--issuer", "https://other.test", token),
        EXIT_REFUSED);
    ASSERT_SAID("{\"ok\":false,\"code\":\"bad_jwt\",\"reason\":\"the token's issuer is not trusted "
                "here\"}");
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), "--audience", "other", token),
                     EXIT_REFUSED);
    ASSERT_SAID("the token is for another audience");
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), "--alg", "RS256", token),
                     EXIT_REFUSED);
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), "nonsense"), EXIT_REFUSED);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", at("key.pem"), "--ttl", "-1h"),
                     EXIT_OK);
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), first_line()), EXIT_REFUSED);
    ASSERT_SAID("\"code\":\"token_expired\"");
    end();
}
END_TEST

START_TEST(verify_answers_every_line) {
    begin();
    make_keys("ES256");
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", at("key.pem"), "--count", "2"),
                     EXIT_OK);
    char lines[8192];
    snprintf(lines, sizeof(lines), "%s\nbroken\n", said);
    write_file("tokens", lines);
    ck_assert_ptr_nonnull(freopen(at("tokens"), "r", stdin));
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), "-"), EXIT_REFUSED);
    static const char *const expected[] = {"true", "true", "false", "false"};
    const char *line = said;
    for (size_t i = 0; i < 4; i++, line = strchr(line, '\n') + 1)
        ck_assert_int_eq(strncmp(line + strlen("{\"ok\":"), expected[i], strlen(expected[i])), 0);
    ck_assert_str_eq(line, "");
    end();
}
END_TEST

START_TEST(a_secret_signs_and_verifies_by_a_local_file) {
    begin();
    setenv("THE_SECRET", "0123456789abcdef0123456789abcdef", 1);
    ck_assert_int_eq(RUN("mint", "--alg", "HS256", "--secret-env", "THE_SECRET"), EXIT_OK);
    const char *token = first_line();
    ck_assert_ptr_null(strstr(complained, "0123456789abcdef"));
    write_file("jwks.json",
               "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}");
    ck_assert_int_eq(RUN("verify", "--jwks", at("jwks.json"), token), EXIT_OK);
    ck_assert_int_eq(RUN("mint", "--alg", "HS256", "--secret-env", "NOT_SET"), EXIT_USAGE);
    ASSERT_COMPLAINED("NOT_SET");
    setenv("SHORT", "short", 1);
    ck_assert_int_eq(RUN("mint", "--alg", "HS256", "--secret-env", "SHORT"), EXIT_USAGE);
    end();
}
END_TEST

START_TEST(a_new_key_is_private_and_overwrites_none) {
    struct stat file;
    begin();
    make_keys("ES256");
    ck_assert_int_eq(stat(at("key.pem"), &file), 0);
    ck_assert_int_eq(file.st_mode & 0777, 0600);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--new-key", at("key.pem")), EXIT_USAGE);
    ASSERT_COMPLAINED("must not exist");
    end();
}
END_TEST

START_TEST(orders_that_cannot_be_carried_out_are_usage_errors) {
    begin();
    make_keys("ES256");
    const char *key = at("key.pem");
    ck_assert_int_eq(RUN("mint", "--key", key), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256"), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "none", "--key", key), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", key, "--secret-env", "X"), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", key, "--ttl", "soon"), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", key, "--count", "0"), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key", key, "--claim", "novalue"), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "RS256", "--key", key), EXIT_USAGE);
    ck_assert_int_eq(RUN("mint", "--alg", "ES256", "--key"), EXIT_USAGE);
    ck_assert_int_eq(RUN("verify"), EXIT_USAGE);
    ck_assert_int_eq(RUN("verify", "--jwks", at("missing"), "a.b.c"), EXIT_USAGE);
    ck_assert_int_eq(RUN("verify", "--alg", "none", "a.b.c"), EXIT_USAGE);
    ck_assert_int_eq(RUN("verify", "a.b.c", "d.e.f"), EXIT_USAGE);
    end();
}
END_TEST

/* ---- what the commands share */

START_TEST(a_file_is_read_whole_or_not_at_all) {
    struct buffer text = {0};
    begin();
    write_file("tokens", "one\ntwo");
    ck_assert_int_eq(cli_read(at("tokens"), &text), 0);
    ck_assert(str_eq(buffer_bytes(&text), STR("one\ntwo")));
    ck_assert_int_eq(cli_read(at("missing"), &text), -ENOENT);
    ck_assert_int_eq(cli_read(folder, &text), -EISDIR);
    write_file("large", "");
    ck_assert_int_eq(truncate(at("large"), 9 << 20), 0);
    ck_assert_int_eq(cli_read(at("large"), &text), -EFBIG);
    buffer_release(&text);
    end();
}
END_TEST

static void echo(void *arg, const struct service_request *request, struct service_answer *answer) {
    (void)arg;
    answer->status = str_eq(request->path, STR("/teapot")) ? 418 : 200;
    ck_assert_int_eq(buffer_append(&answer->body, service_field(request, "x-mine")), 0);
}

START_TEST(one_get_gives_status_and_body) {
    struct endpoint listen;
    struct service *service;
    struct buffer body = {0};
    char address[64];
    ck_assert(endpoint_parse(STR(":0"), &listen));
    ck_assert_int_eq(service_start(&service, &listen, echo, NULL), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", service_port(service));
    ck_assert_int_eq(cli_get(str_of(address), STR("/x"), STR("X-Mine: yes\r\n"), &body), 200);
    ck_assert(str_eq(buffer_bytes(&body), STR("yes")));
    ck_assert_int_eq(cli_get(str_of(address), STR("/teapot"), STR_NONE, &body), 418);
    snprintf(address, sizeof(address), ":%u",
             service_port(service)); /* every address: loopback is one */
    ck_assert_int_eq(cli_get(str_of(address), STR("/x"), STR_NONE, &body), 200);
    service_stop(service);
    ck_assert_int_eq(cli_get(str_of(address), STR("/x"), STR_NONE, &body), -ECONNREFUSED);
    ck_assert_int_eq(cli_get(STR("nonsense"), STR("/x"), STR_NONE, &body), -EINVAL);
    buffer_release(&body);
}
END_TEST

START_TEST(a_usage_error_points_to_the_help) {
    begin();
    FILE *err = tmpfile();
    int saved = divert(STDERR_FILENO, err);
    ck_assert_int_eq(cli_usage("mint", "cannot use '%s'", "x"), EXIT_USAGE);
    restore(STDERR_FILENO, saved, err, complained, sizeof(complained));
    ck_assert_str_eq(complained, "jotgate mint: cannot use 'x'\nTry 'jotgate help mint'.\n");
    end();
}
END_TEST

SUITE_MAIN("cli/cli", the_version_is_one_line, every_command_has_help,
           what_is_no_command_is_a_usage_error, whatever_is_wrong_with_arguments_is_told,
           a_subject_has_at_most_256_bytes, a_grant_names_a_limit_that_is_there,
           usage_needs_the_token_and_a_gateway, api_keys_are_ordered_in_words_that_make_sense,
           check_prints_what_takes_effect_and_masks_secrets,
           settings_that_cannot_be_read_are_told_by_line,
           a_gateway_that_is_not_there_is_not_healthy, what_mint_signs_verify_believes,
           verify_refuses_and_says_why, verify_answers_every_line,
           a_secret_signs_and_verifies_by_a_local_file, a_new_key_is_private_and_overwrites_none,
           orders_that_cannot_be_carried_out_are_usage_errors, a_file_is_read_whole_or_not_at_all,
           one_get_gives_status_and_body, a_usage_error_points_to_the_help)
