/* SPDX-License-Identifier: MIT */
#pragma once
/* An owner of upstream calls that notes what it hears. */
#include "io/upstream.h"
#include "rig.h"
#include "travel.h"

struct asker {
    struct upstream_call *call;
    int n_head, n_failed, n_writable, n_continue;
    enum upstream_failure failure;
    const char *reason;
    bool reads_by_hand;
    struct buffer body;
    enum upstream_body state; /* what the last read said */
};

static void asker_read(struct asker *asker) {
    struct str data;
    while ((asker->state = upstream_read_body(asker->call, &data)) == UPSTREAM_BODY_DATA) {
        ck_assert_uint_gt(data.n, 0);
        ck_assert_int_eq(buffer_append(&asker->body, data), 0);
        upstream_consume_body(asker->call, data.n);
    }
}
static void asker_on_head(void *owner, struct upstream_call *call) {
    struct asker *asker = owner;
    ck_assert_ptr_eq(call, asker->call);
    asker->n_head++;
    if (!asker->reads_by_hand)
        asker_read(asker);
}
static void asker_on_continue(void *owner, struct upstream_call *call) {
    struct asker *asker = owner;
    ck_assert_ptr_eq(call, asker->call);
    ck_assert_int_eq(asker->n_head + asker->n_failed, 0);
    asker->n_continue++;
}
static void asker_on_body(void *owner, struct upstream_call *call) {
    struct asker *asker = owner;
    ck_assert_ptr_eq(call, asker->call);
    ck_assert_int_eq(asker->n_head, 1);
    asker_read(asker);
}
static void asker_on_writable(void *owner, struct upstream_call *call) {
    struct asker *asker = owner;
    ck_assert_ptr_eq(call, asker->call);
    asker->n_writable++;
}
static void asker_on_failed(void *owner, struct upstream_call *call, enum upstream_failure failure,
                            const char *reason) {
    struct asker *asker = owner;
    ck_assert_ptr_eq(call, asker->call);
    ck_assert_int_eq(asker->n_head, 0);
    asker->n_failed++;
    asker->failure = failure;
    asker->reason = reason;
}
static const struct upstream_events asker_events = {asker_on_head, asker_on_continue, asker_on_body,
                                                    asker_on_writable, asker_on_failed};

__attribute__((unused)) static bool asker_is_done(const struct asker *asker) {
    return asker->n_failed > 0 || (asker->n_head > 0 && (asker->state == UPSTREAM_BODY_END ||
                                                         asker->state == UPSTREAM_BODY_BROKEN));
}
__attribute__((unused)) static bool asker_got(const struct asker *asker, const char *body) {
    return str_eq(buffer_bytes(&asker->body), str_of(body));
}
__attribute__((unused)) static void asker_finish(struct asker *asker) {
    upstream_finish(asker->call);
    buffer_release(&asker->body);
    *asker = (struct asker){0};
}
