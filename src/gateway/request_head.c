/* SPDX-License-Identifier: MIT */
/* What the client sent is never passed on as bytes: the head is written anew from validated parts. First the caller's end-to-end fields,
 * less those that belong to the gateway; then the gateway's own, so that no Connection token of the caller can take one away. */
#include "gateway/request_head.h"

#include "base/pen.h"
#include "gateway_internal.h"

bool request_head_loops(const struct exchange *x) {
    struct fields fields = exchange_fields(x);
    for (size_t i = 0; i < fields.n; i++)
        if (fields.list[i].id == FIELD_VIA && str_contains(fields.list[i].value, x->parts->via_id))
            return true;
    return false;
}

/* The raw path below the stripped prefix. A prefix ends at a segment, so what is left is empty or starts with '/'. */
static struct str path_below(const struct exchange *x) {
    struct str path = x->target.path;
    if (x->route->strip.n > 0 && str_starts(path, x->route->strip))
        path = str_skip(path, x->route->strip.n);
    return path;
}

static int put_request_line(struct buffer *out, const struct exchange *x) {
    struct str path = path_below(x);
    TRY(buffer_append(out, client_head(x->client)->method));
    TRY(buffer_append_byte(out, ' '));
    TRY(buffer_append(out, x->route->upstream->base_path));
    if (path.n == 0 || (path.at[0] != '/' && path.at[0] != '*'))
        TRY(buffer_append_byte(out, '/'));
    TRY(buffer_append(out, path));
    if (x->target.query.at) {
        TRY(buffer_append_byte(out, '?'));
        TRY(buffer_append(out, x->target.query));
    }
    TRY(buffer_append(out, STR(" HTTP/1.1\r\n")));
    return put_field(out, STR("host"), x->route->upstream->host_header);
}

static int put_bearer(struct buffer *out, struct str token) {
    TRY(buffer_append(out, STR("authorization: Bearer ")));
    TRY(buffer_append(out, token));
    return buffer_append(out, STR("\r\n"));
}

/* Some of Supabase's parts take only "Bearer", capital B and one space, for a token: the caller's spelling is mended. */
static int put_authorization(struct buffer *out, const struct exchange *x,
                             const struct field *field) {
    if (x->route->credential == CREDENTIAL_SERVICE || x->credentials.hides_authorization ||
        x->user_token.n > 0)
        return 0;
    if (!x->credentials.bearer.at)
        return put_field(out, STR("authorization"), field->value);
    return put_bearer(out, x->credentials.bearer);
}

static int put_callers_field(struct buffer *out, const struct exchange *x,
                             const struct field *field, struct fields fields) {
    bool as_service = x->route->credential == CREDENTIAL_SERVICE;
    if (field->id == FIELD_HOST || field_is_hop_by_hop(field, fields) ||
        field_is_gateway_owned(field->name))
        return 0;
    if (field->id == FIELD_AUTHORIZATION)
        return put_authorization(out, x, field);
    if (field->id == FIELD_APIKEY &&
        (as_service || x->replaces_apikey || x->credentials.hides_apikey))
        return 0;
    if (field->id == FIELD_USER_AGENT &&
        as_service) /* hosted Supabase refuses secret keys from browsers */
        return 0;
    if ((field->id == FIELD_TRACEPARENT || field->id == FIELD_TRACESTATE) && x->traceparent[0])
        return 0;
    return put_field(out, field->name, field->value);
}

static bool is_legacy_anon(const struct exchange *x) {
    const struct project_keys *project = &x->settings->project;
    return project->anon.n > 0 && x->credentials.apikey.at &&
           str_eq_secret(x->credentials.apikey, project->anon);
}

/* fill: a project key where the caller sent none. replace: the publishable key instead of the legacy anon key, too. */
static struct str apikey_to_add(struct exchange *x) {
    const struct project_keys *project = &x->settings->project;
    struct str own = project->publishable.n ? project->publishable : project->anon;
    bool is_absent = !x->credentials.apikey.at;
    switch (x->route->apikey) {
    case APIKEY_KEEP:
        return STR_NONE;
    case APIKEY_REPLACE:
        x->replaces_apikey = is_legacy_anon(x) && !x->credentials.apikey_in_query;
        return is_absent || x->replaces_apikey ? own : STR_NONE;
    case APIKEY_FILL:
        return is_absent ? own : STR_NONE;
    }
    return STR_NONE;
}

static int put_credentials(struct buffer *out, const struct exchange *x, struct str apikey) {
    const struct project_keys *project = &x->settings->project;
    if (x->user_token.n > 0)
        TRY(put_bearer(out, x->user_token));
    if (x->route->credential != CREDENTIAL_SERVICE)
        return apikey.n ? put_field(out, STR("apikey"), apikey) : 0;
    struct str key = project->secret.n ? project->secret : project->service_role;
    TRY(put_field(out, STR("apikey"), key));
    if (!project->secret.n) /* a legacy key is a token of its own */
        TRY(put_bearer(out, key));
    TRY(put_field(out, STR("user-agent"), STR("jotgate/" JG_VERSION)));
    return put_field(out, STR("x-jotgate-sub"), x->caller.subject);
}

static bool is_traceparent(struct str value) {
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    bool trace_is_zero = true, span_is_zero = true;
    if (value.n < 55 || (value.n > 55 && value.at[55] != '-') || str_starts(value, STR("ff")) ||
        (value.n > 55 && str_starts(value, STR("00"))))
        return false;
    for (size_t i = 0; i < 55; i++) {
        char c = value.at[i];
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (shape[i] == '-' ? c != '-' : !is_hex)
            return false;
        trace_is_zero &= i < 3 || i > 34 || c == '0';
        span_is_zero &= i < 36 || i > 51 || c == '0';
    }
    return !trace_is_zero && !span_is_zero;
}

/* W3C Trace Context: a valid one passes as it is; otherwise a new trace begins here. */
static void choose_trace(struct exchange *x) {
    struct fields fields = exchange_fields(x);
    const struct field *sent = fields_find(fields, FIELD_TRACEPARENT);
    if (sent && fields_count(fields, FIELD_TRACEPARENT) == 1 && is_traceparent(sent->value))
        return;
    unsigned char trace[16], span[8];
    gateway_random(x->gateway, trace, sizeof(trace));
    gateway_random(x->gateway, span, sizeof(span));
    trace[0] |= 1; /* neither may be all zeros */
    span[0] |= 1;
    char *at = pen_hex(pen_str(x->traceparent, STR("00-")), trace, sizeof(trace));
    at = pen_hex(pen_byte(at, '-'), span, sizeof(span));
    *pen_str(at, STR("-00")) = '\0';
}

static struct str port_of(const struct exchange *x) {
    size_t colon = x->host.n;
    while (colon > 0 && x->host.at[colon - 1] != ':' && x->host.at[colon - 1] != ']')
        colon--;
    if (colon > 0 && x->host.at[colon - 1] == ':')
        return str_skip(x->host, colon);
    return x->is_https ? STR("443") : STR("80");
}

static int put_forwarded(struct buffer *out, const struct exchange *x) {
    char text[IP_TEXT_MAX];
    struct str ip = {text, ip_text(&x->client_ip, text)};
    struct str proto = x->is_https ? STR("https") : STR("http");
    bool is_v4 = ip_is_v4(&x->client_ip);
    TRY(put_field(out, STR("x-forwarded-for"), ip));
    TRY(put_field(out, STR("x-forwarded-proto"), proto));
    if (x->host.n > 0) {
        TRY(put_field(out, STR("x-forwarded-host"), x->host));
        TRY(put_field(out, STR("x-forwarded-port"), port_of(x)));
    }
    if (x->route->strip.n > 0)
        TRY(put_field(out, STR("x-forwarded-prefix"), x->route->strip));
    TRY(buffer_append(out, is_v4 ? STR("forwarded: for=") : STR("forwarded: for=\"[")));
    TRY(buffer_append(out, ip));
    TRY(buffer_append(out, is_v4 ? STR(";proto=") : STR("]\";proto=")));
    TRY(buffer_append(out, proto));
    if (x->host.n > 0) {
        TRY(buffer_append(out, STR(";host=\"")));
        TRY(buffer_append(out, x->host));
        TRY(buffer_append_byte(out, '"'));
    }
    return buffer_append(out, STR("\r\n"));
}

/* Via: what others wrote, then our own name; so a loop is seen at its second pass. */
static int put_via(struct buffer *out, const struct exchange *x) {
    struct fields fields = exchange_fields(x);
    TRY(buffer_append(out, STR("via: ")));
    for (size_t i = 0; i < fields.n; i++) {
        if (fields.list[i].id != FIELD_VIA || fields.list[i].value.n == 0)
            continue;
        TRY(buffer_append(out, fields.list[i].value));
        TRY(buffer_append(out, STR(", ")));
    }
    TRY(buffer_append(out, client_head(x->client)->minor ? STR("1.1 ") : STR("1.0 ")));
    TRY(buffer_append(out, x->parts->via_id));
    return buffer_append(out, STR("\r\n"));
}

static int put_framing(struct buffer *out, const struct head *head) {
    if (head->expects_continue)
        TRY(put_field(out, STR("expect"), STR("100-continue")));
    switch (head->framing) {
    case FRAMING_LENGTH:
        return buffer_printf(out, "content-length: %llu\r\n", (unsigned long long)head->body_bytes);
    case FRAMING_CHUNKED:
        return buffer_append(out, STR("transfer-encoding: chunked\r\n"));
    case FRAMING_NONE:
    case FRAMING_UNTIL_CLOSE:
        break;
    }
    return 0;
}

static int put_head(struct buffer *out, struct exchange *x) {
    const struct head *head = client_head(x->client);
    struct str apikey = apikey_to_add(x);
    choose_trace(x);
    TRY(put_request_line(out, x));
    for (size_t i = 0; i < head->fields.n; i++)
        TRY(put_callers_field(out, x, &head->fields.list[i], head->fields));
    TRY(put_credentials(out, x, apikey));
    TRY(put_forwarded(out, x));
    TRY(put_via(out, x));
    TRY(put_field(out, STR("x-request-id"), str_of(x->id)));
    if (x->traceparent[0])
        TRY(put_field(out, STR("traceparent"), str_of(x->traceparent)));
    if (x->asks_for_websocket)
        TRY(buffer_append(out, STR("connection: upgrade\r\nupgrade: websocket\r\n")));
    TRY(put_framing(out, head));
    return buffer_append(out, STR("\r\n"));
}

struct str request_head_write(struct exchange *x) {
    struct buffer *scratch = &x->gateway->scratch;
    buffer_clear(scratch);
    if (put_head(scratch, x) < 0)
        return STR_NONE;
    return arena_copy(&x->arena, buffer_bytes(scratch));
}
