/* SPDX-License-Identifier: MIT */
/* trust.client_ip: auto | fly | peer | { header: NAME, from: [CIDR] } | { x-forwarded-for: N } */
#include "read.h"

#include "http/fields.h"
#include <stdlib.h>

static bool read_header(struct reader *r, const struct branch *b, struct trust *trust) {
    static const struct entry entries[] = {
        {"header", read_string, 0, "!"},
        {"from", read_cidrs, sizeof(struct str), "!"},
    };
    struct {
        struct str header;
        struct cidrs from;
    } read = {0};
    if (!READ_SECTION(r, b, entries, &read))
        return false;
    if (!is_token(read.header)) {
        reader_error(r, b, "expected a header's name");
        return false;
    }
    *trust = (struct trust){
        .kind = TRUST_HEADER, .header = read.header, .from = read.from.list, .n_from = read.from.n};
    return true;
}

bool read_trust(struct reader *r, const struct branch *b, void *target) {
    static const char *const names[] = {"auto", "fly", "peer"};
    static const enum trust_kind kinds[] = {TRUST_PEER, TRUST_FLY, TRUST_PEER};
    struct trust *trust = target;
    int choice;
    if (b->kind == BRANCH_MAP && tree_member(b, "x-forwarded-for")) {
        static const struct entry entries[] = {{"x-forwarded-for", read_count, 0, "!"}};
        trust->kind = TRUST_FORWARDED_FOR;
        return READ_SECTION(r, b, entries, &trust->hops);
    }
    if (b->kind == BRANCH_MAP)
        return read_header(r, b, trust);
    if (!read_choice(r, b, names, 3, &choice))
        return false;
    trust->kind = kinds[choice];
    const char *fly = getenv("FLY_APP_NAME");
    if (choice == 0 && fly && fly[0]) /* empty: elsewhere, by a file that passes the name on */
        trust->kind = TRUST_FLY;
    return true;
}
