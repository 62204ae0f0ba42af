/* SPDX-License-Identifier: MIT */
/* One subject's limits, seen and changed through the gateway that runs on this machine: it knows where they are counted. */
#include "cli/cli.h"

#include "base/json.h"
#include "http/octets.h"
#include <stdio.h>

#define SUBJECT_MAX 256
#define AMOUNT_MAX  1000000000

struct order {
    const char *file;
    struct str subject, policy;
    uint64_t amount; /* of a grant; 0: none */
    bool resets;
};

static bool read_grant(struct order *order, const char *text) {
    struct str value = str_of(text);
    size_t equals = str_index(value, '=');
    order->policy = str_first(value, equals);
    return equals > 0 && equals < value.n &&
           str_to_u64(str_skip(value, equals + 1), &order->amount) && order->amount >= 1 &&
           order->amount <= AMOUNT_MAX;
}

static bool read_argument(struct order *order, int argc, char **argv, int *i) {
    const char *text = argv[*i];
    if (strcmp(text, "--reset") == 0)
        return order->resets = true;
    if (text[0] != '-' && !order->subject.at) {
        order->subject = str_of(text);
        return order->subject.n >= 1 && order->subject.n <= SUBJECT_MAX;
    }
    if (*i + 1 == argc)
        return false;
    const char *value = argv[++*i];
    if (strcmp(text, "-c") == 0)
        return !order->file && (order->file = value);
    return strcmp(text, "--grant") == 0 && order->amount == 0 && read_grant(order, value);
}

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

int command_usage(int argc, char **argv) {
    struct order order = {0};
    struct buffer answer = {0};
    for (int i = 1; i < argc; i++)
        if (!read_argument(&order, argc, argv, &i))
            return cli_usage("usage", "cannot use '%s'", argv[i < argc ? i : argc - 1]);
    if (!order.subject.at || (order.resets && order.amount > 0))
        return cli_usage("usage", "expected a SUBJECT, and one of --reset and --grant POLICY=N");
    struct settings *settings = cli_settings(order.file);
    if (!settings)
        return EXIT_USAGE;
    int code = EXIT_USAGE;
    if (settings->admin_token.n == 0) {
        fputs("jotgate usage: JOTGATE_ADMIN_TOKEN is not set: the gateway's is needed\n", stderr);
    } else {
        char why[CLI_WHY_MAX];
        int status = ask(settings, &order, &answer, why);
        code = report(settings, status, buffer_bytes(&answer), why);
    }
    buffer_release(&answer);
    settings_unref(settings);
    return code;
}
