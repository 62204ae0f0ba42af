/* SPDX-License-Identifier: MIT */
/* What is kept is written first and told second: who reads because he was told finds what was written. */
#include "admin_calls.h"

#include "base/json.h"
#include "base/log.h"
#include "gateway/answer.h"
#include "gateway/lifetime.h"
#include "gateway/records.h"
#include "io/feed.h"
#include "settings/units.h"
#include <errno.h>

#define FOR_SECONDS_MAX (10LL * 365 * 24 * 3600)

static const char NOT_DONE[] = "Redis did not answer: send it again";
static const char FULL[] = "as many are kept as the settings allow (deny_list.max, subjects.max)";

/* ---- answers ---- */

void admin_audit(const struct admin_call *admin, struct str of) {
    char ip[IP_TEXT_MAX];
    struct str from = {ip, ip_text(&admin->x->client_ip, ip)};
    log_info("admin", F_TEXT("action", admin->action->name), F_STR("of", of), F_STR("ip", from),
             F_TEXT("request_id", admin->x->id));
}

void admin_answer(struct admin_call *admin, int failure) {
    struct exchange *x = admin->x;
    if (failure < 0)
        exchange_cut(x, "out of memory");
    else
        answer_json(x, 200, buffer_bytes(&x->gateway->scratch_body));
}

struct buffer *admin_body(struct admin_call *admin) {
    struct buffer *out = &admin->x->gateway->scratch_body;
    buffer_clear(out);
    return out;
}

static int put_or_null(struct buffer *out, const char *name, struct str text) {
    TRY(buffer_printf(out, ",\"%s\":", name));
    return text.n > 0 ? put_json_string(out, text) : buffer_append(out, STR("null"));
}

static int put_record(struct buffer *out, const struct admin_call *admin) {
    TRY(buffer_append(out, STR("{\"subject\":")));
    TRY(put_json_string(out, admin->subject));
    TRY(put_or_null(out, "plan", admin->record.plan));
    TRY(put_or_null(out, "status", admin->record.status));
    if (admin->record.anchor_day > 0)
        return buffer_printf(out, ",\"anchor_day\":%d}\n", admin->record.anchor_day);
    return buffer_append(out, STR(",\"anchor_day\":null}\n"));
}

static void answer_record(struct admin_call *admin) {
    admin_answer(admin, put_record(admin_body(admin), admin));
}

static struct gateway *gateway_of(const struct admin_call *admin) { return admin->x->gateway; }
static struct feed *feed_of(const struct admin_call *admin) { return admin->x->parts->feed; }

static bool has_gone_wrong(struct admin_call *admin, int failure) {
    if (failure == -ENOSPC)
        admin_refuse(admin->x, PROBLEM_OVERLOADED, FULL);
    else if (failure < 0)
        admin_refuse(admin->x, PROBLEM_OVERLOADED, NOT_DONE);
    return failure < 0;
}

static struct admin_call *call_of(struct redis_call *call) {
    return CONTAINER_OF(call, struct admin_call, call);
}

/* ---- the record ---- */

static const char *read_known(struct admin_call *admin, struct str json) {
    struct exchange *x = admin->x;
    const struct plans *plans = &x->settings->plans;
    const char *wrong = record_read(&admin->record, json, &x->arena);
    bool is_known = admin->record.plan.n == 0;
    for (size_t i = 0; i < plans->n_tiers && !is_known; i++)
        is_known = str_eq(plans->tiers[i].name, admin->record.plan);
    return wrong ? wrong : is_known ? NULL : "plan: expected one of the settings' plans.tiers";
}

static int ask_record(struct admin_call *admin, redis_on_done *on_done) {
    struct gateway *gateway = gateway_of(admin);
    char key[RECORD_KEY_MAX];
    if (!records_key(gateway->first->redis.prefix, admin->subject, key))
        return -ENOMEM;
    const struct str arguments[] = {STR("GET"), str_of(key)};
    return redis_call(gateway->redis, &admin->call, str_of(key), arguments, 2, on_done);
}

/* What is no record was not written by us: it says nothing. */
static void know(struct admin_call *admin, struct str json) {
    if (json.n > 0 && record_read(&admin->record, json, &admin->x->arena))
        admin->record = (struct record){0};
    admin->then(admin);
}

static void on_got(struct redis_call *call, enum redis_verdict verdict,
                   const struct redis_reply *reply) {
    struct admin_call *admin = call_of(call);
    if (!has_gone_wrong(admin, verdict == REDIS_ANSWERED ? 0 : -EIO))
        know(admin, reply->kind == REPLY_STRING ? reply->text : STR_NONE);
}

void admin_recall(struct admin_call *admin, void (*then)(struct admin_call *admin)) {
    admin->then = then;
    if (gateway_of(admin)->redis)
        (void)!has_gone_wrong(admin, ask_record(admin, on_got));
    else
        know(admin, feed_kept(feed_of(admin), admin->subject, &admin->x->arena));
}

void admin_get(struct admin_call *admin) { admin_recall(admin, answer_record); }

static void on_told(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct admin_call *admin = call_of(call);
    (void)reply;
    if (has_gone_wrong(admin, verdict == REDIS_ANSWERED ? 0 : -EIO))
        return;
    admin_audit(admin, admin->subject);
    answer_record(admin);
}

static void on_kept(struct redis_call *call, enum redis_verdict verdict,
                    const struct redis_reply *reply) {
    struct admin_call *admin = call_of(call);
    (void)reply;
    int failure = verdict == REDIS_ANSWERED
                      ? feed_log_tell(feed_words(feed_of(admin)), gateway_of(admin)->redis,
                                      &admin->call, FEED_SUBJECT, admin->subject, on_told)
                      : -EIO;
    (void)!has_gone_wrong(admin, failure);
}

static int keep_here(struct admin_call *admin, struct str json) {
    TRY(feed_keep(feed_of(admin), admin->subject, json, admin->x->settings->most_records));
    return feed_enter(feed_of(admin), FEED_SUBJECT, admin->subject, 0);
}

void admin_put(struct admin_call *admin) {
    const char *wrong = read_known(admin, buffer_bytes(&admin->body));
    struct buffer *json = admin_body(admin);
    if (wrong) {
        admin_refuse(admin->x, PROBLEM_INVALID_BODY, wrong);
        return;
    }
    bool is_empty = record_is_empty(&admin->record);
    if (!is_empty && has_gone_wrong(admin, record_write(&admin->record, json)))
        return;
    struct str text = buffer_bytes(json);
    if (gateway_of(admin)->redis) {
        (void)!has_gone_wrong(admin, records_keep(gateway_of(admin)->records, &admin->call,
                                                  admin->subject, text, on_kept));
        return;
    }
    if (has_gone_wrong(admin, keep_here(admin, text)))
        return;
    admin_audit(admin, admin->subject);
    answer_record(admin);
}

const char *admin_unreadable(struct admin_call *admin, const char *why) {
    const char *text =
        arena_printf(&admin->x->arena, "the body: expected a JSON object; %s", why).at;
    return text ? text : "the body: expected a JSON object";
}

/* ---- the deny-list ---- */

static int put_denial(struct buffer *out, const struct admin_call *admin) {
    char until[25];
    clock_rfc3339(admin->until_s * NS_PER_S, until);
    TRY(buffer_append(out, STR("{\"denied\":")));
    TRY(put_json_string(out, admin->name));
    return buffer_printf(out, ",\"until\":\"%s\"}\n", until);
}

static void answer_denial(struct admin_call *admin) {
    admin_audit(admin, admin->name);
    admin_answer(admin, put_denial(admin_body(admin), admin));
}

static void on_denied(struct redis_call *call, enum redis_verdict verdict,
                      const struct redis_reply *reply) {
    struct admin_call *admin = call_of(call);
    int failure = verdict != REDIS_ANSWERED ? -EIO : reply->integer == 0 ? -ENOSPC : 0;
    if (!has_gone_wrong(admin, failure))
        answer_denial(admin);
}

static void deny(struct admin_call *admin) {
    struct feed *feed = feed_of(admin);
    if (!gateway_of(admin)->redis) {
        if (!has_gone_wrong(admin, feed_enter(feed, FEED_DENY, admin->name, admin->until_s)))
            answer_denial(admin);
        return;
    }
    (void)!has_gone_wrong(admin, feed_log_deny(feed_words(feed), gateway_of(admin)->redis,
                                               &admin->call, admin->name, admin->until_s,
                                               feed_most_denials(feed), on_denied));
}

/* False: -EINVAL was told, or memory is out. */
static bool name_denial(struct admin_call *admin, enum deny_kind kind, struct str value,
                        int64_t issued_s) {
    struct buffer *name = admin_body(admin);
    int failure = denial_name(name, kind, value, issued_s);
    admin->name = failure < 0 ? STR_NONE : arena_copy(&admin->x->arena, buffer_bytes(name));
    if (admin->name.at)
        return true;
    if (failure == -EINVAL)
        admin_refuse(admin->x, PROBLEM_INVALID_BODY,
                     kind == DENY_IP ? "ip: expected an address like 192.0.2.1 or 2001:db8::1"
                                     : "the body: expected a value of 1 to 256 bytes");
    else
        admin_refuse(admin->x, PROBLEM_OVERLOADED, "out of memory");
    return false;
}

void admin_revoke(struct admin_call *admin) {
    const struct now *now = exchange_now(admin->x);
    admin->until_s = now_s(now) + admin->x->settings->deny_list.keep_s;
    if (name_denial(admin, DENY_ISSUED, admin->subject, now_s(now)))
        deny(admin);
}

struct denial_asked {
    enum deny_kind kind;
    struct str value; /* of which there is to be one */
    int64_t for_s;
};

static const char ONE_OF[] =
    "the body: expected one of subject, session_id, jti and ip, and perhaps for";

static const char *read_denial_member(struct denial_asked *asked, struct str name,
                                      const struct node *value) {
    static const struct {
        struct str name;
        enum deny_kind kind;
        const char *wrong;
    } kinds[] = {
        {STR("subject"), DENY_SUBJECT, "subject: expected a string that is not empty"},
        {STR("session_id"), DENY_SESSION, "session_id: expected a string that is not empty"},
        {STR("jti"), DENY_TOKEN, "jti: expected a string that is not empty"},
        {STR("ip"), DENY_IP, "ip: expected an address, as a string that is not empty"}};
    const char *why;
    int64_t ns;
    if (str_eq(name, STR("for"))) {
        if (!unit_duration(node_string(value), &ns, &why) || ns / NS_PER_S > FOR_SECONDS_MAX)
            return "for: expected a duration like 90s, 30m or 24h; 0s lifts the denial";
        asked->for_s = ns / NS_PER_S;
        return NULL;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_eq(kinds[i].name, name) && asked->value.n == 0) {
            asked->kind = kinds[i].kind;
            asked->value = node_string(value);
            return asked->value.n > 0 ? NULL : kinds[i].wrong;
        }
    return ONE_OF;
}

static const char *read_denial(struct denial_asked *asked, const struct doc *doc) {
    const struct node *root = doc_root(doc), *value;
    const char *wrong = NULL;
    void *cursor = NULL;
    struct str name;
    if (node_kind(root) != NODE_OBJECT)
        return "the body: expected one JSON object";
    while (!wrong && node_next(root, &cursor, &name, &value))
        wrong = read_denial_member(asked, name, value);
    return wrong ? wrong : asked->value.n ? NULL : ONE_OF;
}

void admin_deny(struct admin_call *admin) {
    struct denial_asked asked = {.for_s = admin->x->settings->deny_list.keep_s};
    char why[160];
    struct doc *doc = doc_parse(buffer_bytes(&admin->body), why);
    const char *wrong = doc ? read_denial(&asked, doc) : admin_unreadable(admin, why);
    bool is_named = false;
    if (wrong) {
        admin_refuse(admin->x, PROBLEM_INVALID_BODY, wrong);
    } else {
        admin->until_s = now_s(exchange_now(admin->x)) + asked.for_s;
        is_named = name_denial(admin, asked.kind, asked.value, 0);
    }
    doc_free(doc);
    if (is_named)
        deny(admin);
}
