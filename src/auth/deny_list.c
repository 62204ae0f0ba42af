/* SPDX-License-Identifier: MIT */
/* One map, from a kind's letter and the value to the times. Nothing in it changes once others see it. */
#include "auth/deny_list.h"

#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* clang-format off */
static const struct {
    struct str prefix;
    char letter;
} kinds[] = {
    [DENY_SUBJECT] = {STR("subject:"),    's'},
    [DENY_ISSUED]  = {STR("issued:"),     'i'},
    [DENY_SESSION] = {STR("session_id:"), 'n'},
    [DENY_TOKEN]   = {STR("jti:"),        't'},
    [DENY_IP]      = {STR("ip:"),         'a'},
};
/* clang-format on */
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- names ---- */

/* An address is spelt as its subscriber's. */
static bool spell_ip(struct str value, char text[IP_TEXT_MAX], struct str *out) {
    struct ip ip;
    if (!ip_parse(value, &ip))
        return false;
    ip = ip_subscriber(&ip);
    *out = (struct str){text, ip_text(&ip, text)};
    return true;
}

int denial_name(struct buffer *out, enum deny_kind kind, struct str value, int64_t issued_s) {
    char text[IP_TEXT_MAX];
    if (value.n == 0 || value.n > DENIAL_VALUE_MAX ||
        (kind == DENY_IP && !spell_ip(value, text, &value)))
        return -EINVAL;
    TRY(buffer_append(out, kinds[kind].prefix));
    if (kind == DENY_ISSUED)
        TRY(buffer_printf(out, "%lld:", (long long)issued_s));
    return buffer_append(out, value);
}

struct denial {
    enum deny_kind kind;
    struct str value;
    int64_t issued_s;
};

static bool read_issued(struct denial *denial) {
    uint64_t issued_s;
    size_t colon = str_index(denial->value, ':');
    if (colon == denial->value.n || !str_to_u64(str_first(denial->value, colon), &issued_s) ||
        issued_s > INT64_MAX)
        return false;
    denial->issued_s = (int64_t)issued_s;
    denial->value = str_skip(denial->value, colon + 1);
    return true;
}

static bool read_name(struct str name, struct denial *denial) {
    for (size_t i = 0; i < N_KINDS; i++) {
        if (!str_starts(name, kinds[i].prefix))
            continue;
        *denial = (struct denial){(enum deny_kind)i, str_skip(name, kinds[i].prefix.n), 0};
        return (i != DENY_ISSUED || read_issued(denial)) && denial->value.n > 0 &&
               denial->value.n <= DENIAL_VALUE_MAX;
    }
    return false;
}

/* ---- the list ---- */

struct times {
    int64_t until_s, issued_s;
};
struct deny_list {
    atomic_uint references;
    struct map *map;
};

struct deny_list *deny_list_new(void) {
    struct deny_list *list = malloc(sizeof(*list));
    struct map *map = map_new();
    if (!list || !map) {
        free(list);
        map_free(map);
        return NULL;
    }
    atomic_init(&list->references, 1);
    list->map = map;
    return list;
}

struct deny_list *deny_list_ref(struct deny_list *list) {
    atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed);
    return list;
}

void deny_list_unref(struct deny_list *list) {
    struct str key;
    void *times;
    if (!list || atomic_fetch_sub_explicit(&list->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t cursor = 0; map_next(list->map, &cursor, &key, &times);)
        free(times);
    map_free(list->map);
    free(list);
}

size_t deny_list_count(const struct deny_list *list) { return map_count(list->map); }

static struct str key_of(enum deny_kind kind, struct str value, char room[DENIAL_VALUE_MAX + 1]) {
    room[0] = kinds[kind].letter;
    if (value.n > 0)
        memcpy(room + 1, value.at, value.n);
    return (struct str){room, value.n + 1};
}

static const struct times *find(const struct deny_list *list, enum deny_kind kind, struct str value,
                                int64_t now_s) {
    char room[DENIAL_VALUE_MAX + 1];
    if (value.n == 0 || value.n > DENIAL_VALUE_MAX || map_count(list->map) == 0)
        return NULL;
    const struct times *times = map_get(list->map, key_of(kind, value, room));
    return times && now_s < times->until_s ? times : NULL;
}

/* Of several for the same tokens, the latest says it all. */
int deny_list_add(struct deny_list *list, struct str name, int64_t until_s) {
    char room[DENIAL_VALUE_MAX + 1];
    struct denial denial;
    if (!read_name(name, &denial))
        return -EINVAL;
    struct str key = key_of(denial.kind, denial.value, room);
    struct times *times = map_get(list->map, key);
    if (times) {
        if (denial.issued_s >= times->issued_s)
            *times = (struct times){until_s, denial.issued_s};
        return 0;
    }
    times = malloc(sizeof(*times));
    if (!times)
        return -ENOMEM;
    *times = (struct times){until_s, denial.issued_s};
    int failure = map_put(list->map, key, times);
    if (failure < 0)
        free(times);
    return failure;
}

bool deny_list_has_ip(const struct deny_list *list, const struct ip *ip, int64_t now_s) {
    char text[IP_TEXT_MAX];
    if (map_count(list->map) == 0)
        return false;
    struct ip subscriber = ip_subscriber(ip);
    size_t n = ip_text(&subscriber, text);
    return find(list, DENY_IP, (struct str){text, n}, now_s);
}

enum deny_verdict deny_list_judge(const struct deny_list *list, struct str subject,
                                  const struct claims *claims, int64_t now_s) {
    if (find(list, DENY_SUBJECT, subject, now_s))
        return DENY_USER;
    const struct times *issued = find(list, DENY_ISSUED, subject, now_s);
    bool is_revoked = (issued && claims_issued_s(claims) <= issued->issued_s) ||
                      find(list, DENY_SESSION, claims_session(claims), now_s) ||
                      find(list, DENY_TOKEN, claims_id(claims), now_s);
    return is_revoked ? DENY_REVOKED : DENY_NOT;
}
