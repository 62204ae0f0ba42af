/* SPDX-License-Identifier: MIT */
/* A try-out on one machine: a stand-in Supabase on loopback, the gateway before it, and requests that show what it does.
 *
 *     curl ──► gateway (--listen) ──► stand-in (free port)
 *                  └── JWKS ────────────► /auth/v1/.well-known/jwks.json
 */
#include "arguments.h"
#include "auth/signer.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "io/service.h"
#include "server/server.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

#define DEMO_LIMIT    5
#define READY_LOOKS   100
#define READY_LOOK_NS 50000000L

struct demo {
    const char *listen;
    bool once;
    struct buffer jwks, good, expired, forged, busy;
    struct service *stand_in;
    char issuer[128];
};

/* ---- the stand-in ---- */

static int echo(struct buffer *out, const struct service_request *request) {
    struct str sub = service_field(request, "authorization");
    TRY(buffer_append(out, STR("{\"you_asked\":")));
    TRY(put_json_string(out, request->path));
    TRY(buffer_append(out, STR(",\"method\":")));
    TRY(put_json_string(out, request->method));
    TRY(buffer_append(out, STR(",\"with_a_token\":")));
    TRY(buffer_append(out, sub.at ? STR("true") : STR("false")));
    TRY(buffer_append(out, STR(",\"request_id\":")));
    TRY(put_json_string(out, service_field(request, "x-request-id")));
    return buffer_append(out, STR("}\n"));
}

static void handle(void *arg, const struct service_request *request,
                   struct service_answer *answer) {
    const struct demo *demo = arg;
    int failure;
    if (str_eq(request->path, STR("/auth/v1/.well-known/jwks.json")))
        failure = buffer_append(&answer->body, buffer_bytes(&demo->jwks));
    else if (str_eq(request->path, STR("/auth/v1/.well-known/openid-configuration")))
        failure = buffer_printf(&answer->body,
                                "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/.well-known/jwks.json\"}",
                                demo->issuer, demo->issuer);
    else
        failure = echo(&answer->body, request);
    if (failure < 0)
        answer->status = 500;
}

/* ---- tokens ---- */

static int sign(struct signer *signer, const struct demo *demo, const char *subject, int64_t ttl_s,
                struct buffer *token) {
    char claims[512];
    struct now now = clock_now();
    snprintf(claims, sizeof(claims),
             "{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":\"authenticated\",\"role\":\"authenticated\","
             "\"iat\":%lld,\"exp\":%lld}",
             demo->issuer, subject, (long long)(now_s(&now) - 7200),
             (long long)(now_s(&now) + ttl_s));
    return signer_sign(signer, str_of(claims), token);
}

/* One character of the signature is another one: its form is right, its sum is not. */
static void forge(struct buffer *token) {
    char *at = token->at + token->head + buffer_length(token) - 20;
    *at = *at == 'A' ? 'B' : 'A';
}

static int make_tokens(struct demo *demo, char why[160]) {
    struct buffer pem = {0}, jwk = {0};
    struct signer *signer = NULL;
    int failure = signer_new_key(ALGORITHM_ES256, &pem, &jwk);
    struct doc *doc = failure == 0 ? doc_parse(buffer_bytes(&jwk), why) : NULL;
    if (doc)
        failure = signer_new(&signer, ALGORITHM_ES256, buffer_bytes(&pem),
                             node_string(node_member(doc_root(doc), "kid")), why);
    if (failure == 0)
        failure =
            buffer_printf(&demo->jwks, "{\"keys\":[" STR_FMT "]}", STR_ARG(buffer_bytes(&jwk)));
    if (failure == 0 && signer) {
        failure = sign(signer, demo, "ada", 86400, &demo->good);
        if (failure == 0)
            failure = sign(signer, demo, "ada", -3600, &demo->expired);
        if (failure == 0)
            failure = sign(signer, demo, "ada", 86400, &demo->forged);
        if (failure == 0)
            failure = sign(signer, demo, "busy-bob", 86400, &demo->busy);
        if (failure == 0)
            forge(&demo->forged);
    }
    signer_free(signer);
    doc_free(doc);
    buffer_release(&pem);
    buffer_release(&jwk);
    return failure;
}

/* ---- requests ---- */

static void print_curl(const struct demo *demo, const char *what, const struct buffer *token) {
    printf("\n# %s\ncurl -i http://%s/rest/v1/todos -H 'Authorization: Bearer " STR_FMT "'\n", what,
           demo->listen, STR_ARG(buffer_bytes(token)));
}

static void print_curls(const struct demo *demo) {
    print_curl(demo, "a good token: 200", &demo->good);
    print_curl(demo, "an expired one: 401", &demo->expired);
    print_curl(demo, "a forged one: 401", &demo->forged);
    printf("\n# another user, more than %d calls a minute: 429\nfor i in $(seq %d); do curl -s -o "
           "/dev/null -w '%%{http_code}\\n' "
           "http://%s/rest/v1/todos -H 'Authorization: Bearer " STR_FMT "'; done\n",
           DEMO_LIMIT, DEMO_LIMIT + 1, demo->listen, STR_ARG(buffer_bytes(&demo->busy)));
    printf("\n# metrics, status\ncurl -s http://127.0.0.1:9091/metrics\n\n");
    fflush(stdout);
}

static int ask(const struct demo *demo, const struct buffer *token, struct buffer *body) {
    struct buffer fields = {0};
    int status = buffer_printf(&fields, "Authorization: Bearer " STR_FMT "\r\n",
                               STR_ARG(buffer_bytes(token)));
    buffer_clear(body);
    if (status == 0)
        status = cli_get(str_of(demo->listen), STR("/rest/v1/todos"), buffer_bytes(&fields), body);
    buffer_release(&fields);
    return status;
}

static bool show(const struct demo *demo, const char *what, const struct buffer *token,
                 size_t times, int expected) {
    struct buffer body = {0};
    int status = 0;
    for (size_t i = 0; i < times; i++)
        status = ask(demo, token, &body);
    printf("%-28s %d%s\n    " STR_FMT "\n", what, status, status == expected ? "" : "  UNEXPECTED",
           STR_ARG(str_trim(buffer_bytes(&body))));
    buffer_release(&body);
    return status == expected;
}

/* Alive at once; keys a moment later: a good token is not a 503 any more. */
static bool wait_until_ready(const struct demo *demo) {
    struct buffer body = {0};
    int status = 0;
    for (int i = 0; i < READY_LOOKS && status != 200 && status != 429; i++) {
        status = ask(demo, &demo->good, &body);
        if (status != 200)
            nanosleep(&(struct timespec){0, READY_LOOK_NS}, NULL);
    }
    buffer_release(&body);
    return status == 200;
}

static int show_all(const struct demo *demo) {
    if (!wait_until_ready(demo)) {
        fprintf(stderr, "jotgate demo: the gateway did not become ready\n");
        return EXIT_REFUSED;
    }
    bool ok = show(demo, "a good token", &demo->good, 1, 200);
    ok &= show(demo, "an expired token", &demo->expired, 1, 401);
    ok &= show(demo, "a forged token", &demo->forged, 1, 401);
    ok &= show(demo, "one call too many", &demo->busy, DEMO_LIMIT + 1, 429);
    fflush(stdout);
    return ok ? EXIT_OK : EXIT_REFUSED;
}

/* ---- life ---- */

static void report(void *arg, const char *line) {
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

static struct settings *demo_settings(const struct demo *demo) {
    struct buffer text = {0};
    struct settings *settings = NULL;
    int failure = buffer_printf(&text,
                                "listen: \"%s\"\nadmin: \"%s\"\nworkers: 1\ndrain: { delay: 0s, "
                                "timeout: 5s }\nlog: { level: %s }\n"
                                "supabase: { url: \"http://127.0.0.1:%u\" }\n"
                                "plans: { key: subject, default: demo, tiers: { demo: { default: "
                                "[ { name: burst, rate: %d/minute, burst: %d } ] } } }\n",
                                demo->listen, demo->once ? "" : "127.0.0.1:9091",
                                demo->once ? "warn" : "info",
                                (unsigned)service_port(demo->stand_in), DEMO_LIMIT, DEMO_LIMIT);
    if (failure == 0)
        failure = settings_parse(&settings, buffer_bytes(&text), "demo", report, NULL);
    buffer_release(&text);
    return failure == 0 ? settings : NULL;
}

static int live(const struct demo *demo) {
    struct server *server = NULL;
    char why[256] = "the log cannot be started";
    int code = EXIT_CANNOT_START;
    struct settings *settings = demo_settings(demo);
    if (!settings) {
        code = EXIT_USAGE; /* what is wrong was told: the environment has a say */
    } else if (log_start((enum log_format)settings->log_format,
                         (enum log_level)settings->log_level) == 0 &&
               server_start(&server, settings, why) == 0) {
        if (demo->once) {
            code = show_all(demo);
        } else {
            print_curls(demo);
            server_run(server);
            code = EXIT_OK;
        }
    } else {
        fprintf(stderr, "jotgate demo: %s\n", why);
    }
    server_free(server);
    settings_unref(settings);
    log_stop();
    return code;
}

static int start_stand_in(struct demo *demo) {
    struct endpoint endpoint;
    if (!endpoint_parse(STR("127.0.0.1:0"), &endpoint))
        return -EINVAL;
    TRY(service_start(&demo->stand_in, &endpoint, handle, demo));
    snprintf(demo->issuer, sizeof(demo->issuer), "http://127.0.0.1:%u/auth/v1",
             (unsigned)service_port(demo->stand_in));
    return 0;
}

static const char *read_listen(void *demo, const char *value) {
    ((struct demo *)demo)->listen = value;
    return settings_address_is_good(str_of(value))
               ? NULL
               : "expected ADDRESS:PORT like 127.0.0.1:8080 or [::1]:8080, or unix:/path";
}

static const char *read_once(void *demo, const char *value) {
    (void)value;
    ((struct demo *)demo)->once = true;
    return NULL;
}

int command_demo(int argc, char **argv) {
    static const struct argument arguments[] = {{"--listen", "ADDRESS", .read = read_listen},
                                                {"--once", NULL, .read = read_once}};
    struct demo demo = {.listen = "127.0.0.1:8080"};
    char why[160] = "";
    if (ARGUMENTS_READ("demo", arguments, argc, argv, &demo) != EXIT_OK)
        return EXIT_USAGE;
    int code = EXIT_CANNOT_START;
    int failure = start_stand_in(&demo);
    if (failure == 0)
        failure = make_tokens(&demo, why);
    if (failure == 0)
        code = live(&demo);
    else
        fprintf(stderr, "jotgate demo: cannot start the stand-in: %s %s\n", strerror(-failure),
                why);
    service_stop(demo.stand_in);
    buffer_release(&demo.jwks);
    buffer_release(&demo.good);
    buffer_release(&demo.expired);
    buffer_release(&demo.forged);
    buffer_release(&demo.busy);
    return code;
}
