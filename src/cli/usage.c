/* SPDX-License-Identifier: MIT */
/* One subject's limits, seen and changed through the gateway that runs on this machine: it knows where they are counted. */
#include "arguments.h"
#include "auth/access.h"
#include "base/json.h"
#include "cli/cli.h"
#include "http/octets.h"
#include <stdio.h>

#define AMOUNT_MAX 1000000000

struct order {
    const char *file;
    struct str subject, policy;
    uint64_t amount; /* of a grant; 0: none */
    bool resets;
};

/* ---- arguments ---- */

static const char *read_file(void *order, const char *value) {
    ((struct order *)order)->file = value;
    return NULL;
}

static const char *read_subject(void *order, const char *value) {
    struct str subject = ((struct order *)order)->subject = str_of(value);
    return subject.n >= 1 && subject.n <= SUBJECT_MAX ? NULL
                                                      : "expected a token's sub, of 1 to 256 bytes";
}

static const char *read_reset(void *arg, const char *value) {
    struct order *order = arg;
    (void)value;
    order->resets = true;
    return order->amount > 0 ? "a grant and a reset exclude each other; give one" : NULL;
}

static const char *read_grant(void *arg, const char *text) {
    struct order *order = arg;
    struct str value = str_of(text);
    size_t equals = str_index(value, '=');
    order->policy = str_first(value, equals);
    if (order->resets)
        return "a grant and a reset exclude each other; give one";
    if (equals == 0 || equals == value.n)
        return "expected POLICY=N, like daily=5";
    if (!str_to_u64(str_skip(value, equals + 1), &order->amount) || order->amount < 1 ||
        order->amount > AMOUNT_MAX)
        return "what stands behind '=' is how many are given back: expected a whole number from 1 "
               "to 1000000000";
    return NULL;
}

static const struct argument arguments[] = {
    {"SUBJECT", NULL, .read = read_subject, .needed = "a token's sub"},
    {"--reset", NULL, .read = read_reset},
    {"--grant", "POLICY=N", .read = read_grant},
    {"-c", "FILE", .read = read_file},
};

static bool names_before(const struct settings *s, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (limit_policy_is_of_subjects(s->policies[k]) &&
            str_eq(s->policies[k]->name, s->policies[i]->name))
            return true;
    return false;
}

/* Told here, and not by the gateway alone: here are the names. */
static int check_policy(const struct settings *s, struct str name) {
    char known[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < s->n_policies; i++) {
        const struct limit_policy *policy = s->policies[i];
        if (!limit_policy_is_of_subjects(policy))
            continue;
        if (limit_policy_is_called(policy, name))
            return EXIT_OK;
        if (used < sizeof(known) && !names_before(s, i)) {
            int more = snprintf(known + used, sizeof(known) - used, "%s" STR_FMT, used ? ", " : "",
                                STR_ARG(policy->name));
            used += more > 0 ? (size_t)more : 0;
        }
    }
    return cli_usage("usage",
                     "--grant: no rate or quota that counts by subject is called '" STR_FMT
                     "'; expected one of: %s",
                     STR_ARG(str_first(name, 80)), used ? known : "(the settings have none)");
}

/* ---- asking ---- */

static int put_path(struct buffer *out, const struct order *order) {
    TRY(buffer_append(out, STR("/_jotgate/subjects/")));
    for (size_t i = 0; i < order->subject.n; i++) {
        char c = order->subject.at[i];
        TRY(octet_is(c, OCTET_ALNUM) ? buffer_append_byte(out, c)
                                     : buffer_printf(out, "%%%02X", (unsigned char)c));
    }
    return buffer_append(out, order->resets   ? STR("/reset")
                              : order->amount ? STR("/grant")
                                              : STR("/usage"));
}

static int put_grant(struct buffer *out, const struct order *order) {
    if (order->amount == 0)
        return 0;
    TRY(buffer_append(out, STR("{\"policy\":")));
    TRY(put_json_string(out, order->policy));
    return buffer_printf(out, ",\"n\":%llu}", (unsigned long long)order->amount);
}

static int ask(const struct settings *settings, const struct order *order, struct buffer *answer,
               char why[CLI_WHY_MAX]) {
    struct buffer path = {0}, field = {0}, body = {0};
    bool reads = !order->resets && order->amount == 0;
    int status = put_path(&path, order);
    snprintf(why, CLI_WHY_MAX, "out of memory");
    if (status == 0)
        status = buffer_printf(&field, "Authorization: Bearer " STR_FMT "\r\n",
                               STR_ARG(settings->admin_token));
    if (status == 0)
        status = put_grant(&body, order);
    if (status == 0)
        status = cli_ask(&(struct cli_request){.address = settings->listen,
                                               .tls = settings->tls,
                                               .n_tls = settings->n_tls,
                                               .method = reads ? STR("GET") : STR("POST"),
                                               .path = buffer_bytes(&path),
                                               .fields = buffer_bytes(&field),
                                               .body = buffer_bytes(&body)},
                         answer, why);
    bytes_wipe(field.at, field.size);
    buffer_release(&path);
    buffer_release(&field);
    buffer_release(&body);
    return status;
}

static int print_limits(const struct node *limits) {
    for (size_t i = 0; i < node_count(limits); i++) {
        struct buffer line = {0};
        if (put_json_node(&line, node_at(limits, i)) == 0)
            printf(STR_FMT "\n", STR_ARG(buffer_bytes(&line)));
        buffer_release(&line);
    }
    return EXIT_OK;
}

static int report(const struct settings *settings, int status, struct str answer,
                  const char *failure) {
    struct doc *doc = status > 0 ? doc_parse(answer, NULL) : NULL;
    const struct node *limits = node_member(doc ? doc_root(doc) : NULL, "limits");
    struct str why = node_string(node_member(doc ? doc_root(doc) : NULL, "message"));
    int code = EXIT_REFUSED;
    if (status == 200 && node_kind(limits) == NODE_ARRAY)
        code = print_limits(limits);
    else if (status < 0)
        fprintf(stderr, "jotgate usage: no answer on " STR_FMT ": %s\n", STR_ARG(settings->listen),
                failure);
    else
        fprintf(stderr, "jotgate usage: status %d: " STR_FMT "\n", status, STR_ARG(why));
    doc_free(doc);
    return code;
}

static int carry_out(const struct settings *settings, const struct order *order) {
    struct buffer answer = {0};
    char why[CLI_WHY_MAX];
    if (settings->admin_token.n == 0) {
        fputs("jotgate usage: JOTGATE_ADMIN_TOKEN is not set: the gateway's is needed\n", stderr);
        return EXIT_USAGE;
    }
    int status = ask(settings, order, &answer, why);
    int code = report(settings, status, buffer_bytes(&answer), why);
    buffer_release(&answer);
    return code;
}

int command_usage(int argc, char **argv) {
    struct order order = {0};
    int code = ARGUMENTS_READ("usage", arguments, argc, argv, &order);
    if (code != EXIT_OK)
        return code;
    struct settings *settings = cli_settings(order.file);
    if (!settings)
        return EXIT_USAGE;
    if (order.amount > 0)
        code = check_policy(settings, order.policy);
    if (code == EXIT_OK)
        code = carry_out(settings, &order);
    settings_unref(settings);
    return code;
}
