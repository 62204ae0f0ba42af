/* SPDX-License-Identifier: MIT */
/* The section `payment`: which states of a subscription cost its holder the plan, or the door. */
#include "read.h"

struct payment_section {
    struct str claim;
    struct strings downgrade, refuse;
};

/* clang-format off */
static const struct entry entries[] = {
    {"claim",     read_string,          offsetof(struct payment_section, claim),     "!"},
    {"downgrade", read_strings_or_none, offsetof(struct payment_section, downgrade), NULL},
    {"refuse",    read_strings_or_none, offsetof(struct payment_section, refuse),    NULL},
};
/* clang-format on */

bool read_payment(struct reader *r, const struct branch *root, struct settings *s) {
    const struct branch *b = tree_member(root, "payment");
    struct payment_section read = {0};
    if (!b)
        return true;
    if (!READ_SECTION(r, b, entries, &read) ||
        !read_claim_path(r, tree_member(b, "claim"), read.claim, &s->claim_paths,
                         &s->payment.claim_path))
        return false;
    for (size_t i = 0; i < read.refuse.n; i++)
        for (size_t j = 0; j < read.downgrade.n; j++)
            if (str_eq(read.refuse.list[i], read.downgrade.list[j])) {
                reader_error(r, tree_member(b, "refuse"), "'" STR_FMT "' is in downgrade too",
                             STR_ARG(str_first(read.refuse.list[i], 60)));
                return false;
            }
    s->payment.has_claim = true;
    s->payment.downgrade = read.downgrade.list;
    s->payment.n_downgrade = read.downgrade.n;
    s->payment.refuse = read.refuse.list;
    s->payment.n_refuse = read.refuse.n;
    return true;
}
