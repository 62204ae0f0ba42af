/* SPDX-License-Identifier: MIT */
#include "put.h"

#include "base/json.h"
#include <assert.h>

static bool is_plain(struct str s) {
    bool is_plain = s.n > 0 && ((s.at[0] | 32) >= 'a' && (s.at[0] | 32) <= 'z');
    for (size_t i = 0; is_plain && i < s.n; i++) {
        char c = s.at[i];
        is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '-' || c == '.';
    }
    return is_plain;
}

/* JSON's strings are YAML's. */
int put_text(struct buffer *out, struct str s) {
    return is_plain(s) ? buffer_append(out, s) : put_json_string(out, s);
}

int put_secret(struct buffer *out) { return buffer_append(out, STR("\"***\"")); }

/* A query may carry a key. */
int put_url(struct buffer *out, struct str url) {
    struct buffer shown = {0};
    size_t query = str_index(url, '?');
    int failure = buffer_append(&shown, str_first(url, query));
    if (failure == 0 && query < url.n)
        failure = buffer_append(&shown, STR("?***"));
    if (failure == 0)
        failure = put_text(out, buffer_bytes(&shown));
    buffer_release(&shown);
    return failure;
}

/* SCHEME://USER:PASSWORD@REST; no '/' can be in the login. */
int put_login_url(struct buffer *out, struct str url) {
    struct buffer shown = {0};
    size_t start = str_index(url, '/') + 2, at = start;
    while (at < url.n && url.at[at] != '/')
        at++;
    while (at > start && at <= url.n && url.at[at - 1] != '@')
        at--;
    if (at <= start || at > url.n)
        return put_text(out, url);
    int failure = buffer_append(&shown, str_first(url, start));
    if (failure == 0)
        failure = buffer_append(&shown, STR("***:***@"));
    if (failure == 0)
        failure = buffer_append(&shown, str_skip(url, at));
    if (failure == 0)
        failure = put_text(out, buffer_bytes(&shown));
    buffer_release(&shown);
    return failure;
}

struct unit_name {
    const char *name;
    uint64_t factor;
};

/* In the largest unit that divides it. */
static int put_number(struct buffer *out, uint64_t value, const struct unit_name *units, size_t n) {
    size_t i = 0;
    while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
        i++;
    TRY(buffer_append_u64(out, value / units[i].factor));
    return buffer_append(out, str_of(units[i].name));
}

int put_duration(struct buffer *out, int64_t ns) {
    static const struct unit_name units[] = {{"h", 3600 * (uint64_t)NS_PER_S},
                                             {"m", 60 * (uint64_t)NS_PER_S},
                                             {"s", NS_PER_S},
                                             {"ms", NS_PER_MS}};
    if (ns == 0)
        return buffer_append(out, STR("0s"));
    return put_number(out, (uint64_t)ns, units, 4);
}

int put_size(struct buffer *out, uint64_t bytes) {
    static const struct unit_name units[] = {
        {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"", 1}};
    return put_number(out, bytes, units, 4);
}

static int put_rate(struct buffer *out, const struct bucket_rule *rule) {
    static const struct unit_name units[] = {{"day", 86400 * (uint64_t)NS_PER_S},
                                             {"hour", 3600 * (uint64_t)NS_PER_S},
                                             {"minute", 60 * (uint64_t)NS_PER_S}};
    const char *period = "second";
    for (size_t i = 0; i < 3; i++)
        if ((uint64_t)rule->period_ns == units[i].factor)
            period = units[i].name;
    return buffer_printf(out, "rate: %lld/%s, burst: %lld", (long long)rule->count, period,
                         (long long)rule->burst);
}

static int put_quota(struct buffer *out, const struct window_rule *rule) {
    TRY(buffer_printf(out, "quota: %lld/%s, timezone: ", (long long)rule->limit,
                      window_kind_name(rule->kind)));
    TRY(put_text(out, rule->zone->name));
    return rule->anchor_day == 1 ? 0 : buffer_printf(out, ", anchor_day: %d", rule->anchor_day);
}

int put_amount(struct buffer *out, const struct limit_policy *policy) {
    if (policy->kind == LIMIT_CONCURRENT)
        return buffer_printf(out, "concurrent: %lld", (long long)policy->concurrent);
    return policy->kind == LIMIT_QUOTA ? put_quota(out, &policy->quota)
                                       : put_rate(out, &policy->rate);
}

int put_list(struct buffer *out, const struct str *list, size_t n) {
    TRY(buffer_append(out, STR("[")));
    for (size_t i = 0; i < n; i++) {
        TRY(buffer_append(out, i ? STR(", ") : STR("")));
        TRY(put_text(out, list[i]));
    }
    return buffer_append(out, STR("]"));
}

int put_networks(struct buffer *out, const struct cidr *list, size_t n) {
    TRY(buffer_append(out, STR("[")));
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX];
        int bits = list[i].bits - (ip_is_v4(&list[i].network) && list[i].bits >= 96 ? 96 : 0);
        size_t length = ip_text(&list[i].network, text);
        TRY(buffer_printf(out, "%s\"%.*s/%d\"", i ? ", " : "", (int)length, text, bits));
    }
    return buffer_append(out, STR("]"));
}

int put_claim(struct buffer *out, const struct settings *s, size_t path) {
    assert(path < s->claim_paths.n);
    return put_text(out, s->claim_paths.list[path]);
}

int put_rules(struct buffer *out, const struct settings *s, const struct claim_rule *rules,
              size_t n) {
    TRY(buffer_append(out, n ? STR("{ ") : STR("{")));
    for (size_t i = 0; i < n; i++) {
        TRY(buffer_append(out, i ? STR(", ") : STR("")));
        TRY(put_claim(out, s, rules[i].path_index));
        TRY(buffer_append(out, STR(": ")));
        TRY(put_list(out, rules[i].values, rules[i].n_values));
    }
    return buffer_append(out, n ? STR(" }") : STR("}"));
}
