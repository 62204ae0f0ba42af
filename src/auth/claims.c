/* SPDX-License-Identifier: MIT */
/* Claims are read twice in the same order: first to measure, then to copy into one allocation.
 *
 *   | struct claims | texts: aud..., path 0..., path 1... | starts: one index a path, and the end | bytes of all texts |
 */
#include "auth/claims.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct claims {
    unsigned references;
    size_t bytes;
    int64_t expires_s, not_before_s, issued_s;
    struct str issuer, subject, role, session, id;
    bool is_anonymous;
    size_t n_audiences, n_paths;
    struct str *texts;
    size_t *starts;
};

int claim_paths_add(struct claim_paths *paths, struct str path) {
    for (size_t i = 0; i < paths->n; i++)
        if (str_eq(paths->list[i], path))
            return (int)i;
    if (paths->n == CLAIM_PATHS_MAX)
        return -ENOSPC;
    paths->list[paths->n] = path;
    return (int)paths->n++;
}

/* The registered claims as they stand in the document, their types checked. */
struct registered {
    struct str issuer, subject, role, session, id;
    int64_t expires_s, not_before_s, issued_s;
};

static bool has_controls(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return true;
    return false;
}

/* A time that a double cannot hold to the second is no time (and leaves room to add a leeway). */
#define TIME_FAR (INT64_C(1) << 53)

/* RFC 7519 2, NumericDate: "a JSON numeric value"; non-integer values can be represented. */
static bool read_time(const struct node *payload, const char *name, int64_t *time_s) {
    const struct node *node = node_member(payload, name);
    double number;
    *time_s = CLAIM_NO_TIME;
    if (!node)
        return true;
    if (!node_number(node, &number) || number > (double)TIME_FAR || number < -(double)TIME_FAR)
        return false;
    *time_s = (int64_t)number;
    return true;
}

/* Text without control characters, which would travel into keys, headers and logs. */
static bool read_text(const struct node *payload, const char *name, struct str *text) {
    const struct node *node = node_member(payload, name);
    *text = node_string(node);
    return !node || (text->at && !has_controls(*text));
}

/* RFC 7519 4.1.3: "an array of case-sensitive strings", or, for one audience, a string. */
static bool audience_is_good(const struct node *audience) {
    if (!audience || node_kind(audience) == NODE_STRING)
        return true;
    for (size_t i = 0; i < node_count(audience); i++)
        if (node_kind(node_at(audience, i)) != NODE_STRING)
            return false;
    return node_kind(audience) == NODE_ARRAY;
}

static const char *read_registered(struct registered *known, const struct node *payload) {
    if (node_kind(payload) != NODE_OBJECT)
        return "the token's payload is not a JSON object";
    if (!read_text(payload, "iss", &known->issuer))
        return "the token's iss is not a string, or has control characters";
    if (!read_text(payload, "sub", &known->subject))
        return "the token's sub is not a string, or has control characters";
    known->role = node_string(node_member(payload, "role"));
    if (has_controls(known->role))
        return "the token's role has control characters";
    known->session = node_string(node_member(payload, "session_id"));
    known->id = node_string(node_member(payload, "jti"));
    if (!audience_is_good(node_member(payload, "aud")))
        return "the token's aud is neither a string nor an array of strings";
    if (!read_time(payload, "exp", &known->expires_s))
        return "the token's exp is not a time";
    if (!read_time(payload, "nbf", &known->not_before_s))
        return "the token's nbf is not a time";
    if (!read_time(payload, "iat", &known->issued_s))
        return "the token's iat is not a time";
    return NULL;
}

/* Counts, and copies as well once there is somewhere to copy to. */
struct filler {
    struct str *texts;
    size_t *starts;
    char *bytes;
    size_t n_texts, n_bytes;
};

static struct str keep(struct filler *f, struct str s) {
    struct str kept = STR_NONE;
    if (f->bytes && s.n > 0) {
        kept = (struct str){f->bytes + f->n_bytes, s.n};
        memcpy(f->bytes + f->n_bytes, s.at, s.n);
    }
    f->n_bytes += s.n;
    return kept;
}

static void keep_text(struct filler *f, struct str s) {
    struct str kept = keep(f, s);
    if (f->texts)
        f->texts[f->n_texts] = kept;
    f->n_texts++;
}

static void keep_scalar(struct filler *f, const struct node *node) {
    char digits[24];
    int64_t number;
    if (node_kind(node) == NODE_STRING) {
        keep_text(f, node_string(node));
    } else if (node_kind(node) == NODE_BOOL) {
        keep_text(f, node_bool(node) ? STR("true") : STR("false"));
    } else if (node_int(node, &number)) {
        int n = snprintf(digits, sizeof(digits), "%" PRId64, number);
        keep_text(f, (struct str){digits, (size_t)n});
    }
}

static void keep_values(struct filler *f, const struct node *node) {
    if (node_kind(node) != NODE_ARRAY) {
        keep_scalar(f, node);
        return;
    }
    for (size_t i = 0; i < node_count(node); i++)
        keep_scalar(f, node_at(node, i));
}

static void fill_lists(struct filler *f, const struct node *payload,
                       const struct claim_paths *paths) {
    keep_values(f, node_member(payload, "aud"));
    for (size_t i = 0; i < paths->n; i++) {
        if (f->starts)
            f->starts[i] = f->n_texts;
        keep_values(f, node_path(payload, paths->list[i]));
    }
    if (f->starts)
        f->starts[paths->n] = f->n_texts;
}

static void fill(struct claims *claims, struct filler *f, const struct registered *known,
                 const struct node *payload, const struct claim_paths *paths) {
    claims->issuer = keep(f, known->issuer);
    claims->subject = keep(f, known->subject);
    claims->role = keep(f, known->role);
    claims->session = keep(f, known->session);
    claims->id = keep(f, known->id);
    fill_lists(f, payload, paths);
}

int claims_new(struct claims **out, const struct node *payload, const struct claim_paths *paths,
               const char **why) {
    struct registered known = {0};
    *why = read_registered(&known, payload);
    if (*why)
        return -EINVAL;

    struct claims measured;
    struct filler size = {0};
    fill(&measured, &size, &known, payload, paths);
    size_t bytes = sizeof(struct claims) + size.n_texts * sizeof(struct str) +
                   (paths->n + 1) * sizeof(size_t) + size.n_bytes;
    struct claims *claims = calloc(1, bytes);
    *why = "memory is out";
    if (!claims)
        return -ENOMEM;

    claims->references = 1;
    claims->bytes = bytes;
    claims->expires_s = known.expires_s;
    claims->not_before_s = known.not_before_s;
    claims->issued_s = known.issued_s;
    claims->is_anonymous = node_bool(node_member(payload, "is_anonymous"));
    claims->texts = (struct str *)(claims + 1);
    claims->starts = (size_t *)(claims->texts + size.n_texts);
    struct filler copy = {claims->texts, claims->starts, (char *)(claims->starts + paths->n + 1), 0,
                          0};
    fill(claims, &copy, &known, payload, paths);
    assert(copy.n_texts == size.n_texts && copy.n_bytes == size.n_bytes);
    claims->n_paths = paths->n;
    claims->n_audiences = claims->starts[0];
    *why = NULL;
    *out = claims;
    return 0;
}

struct claims *claims_ref(struct claims *claims) {
    assert(claims->references > 0);
    claims->references++;
    return claims;
}

void claims_unref(struct claims *claims) {
    if (!claims)
        return;
    assert(claims->references > 0);
    if (--claims->references == 0)
        free(claims);
}

size_t claims_bytes(const struct claims *claims) { return claims->bytes; }

struct str claims_issuer(const struct claims *claims) {
    return claims->issuer;
}
struct str claims_subject(const struct claims *claims) {
    return claims->subject;
}
struct str claims_role(const struct claims *claims) {
    return claims->role;
}
struct str claims_session(const struct claims *claims) {
    return claims->session;
}
struct str claims_id(const struct claims *claims) {
    return claims->id;
}
bool claims_is_anonymous(const struct claims *claims) { return claims->is_anonymous; }
int64_t claims_expires_s(const struct claims *claims) { return claims->expires_s; }
int64_t claims_not_before_s(const struct claims *claims) { return claims->not_before_s; }
int64_t claims_issued_s(const struct claims *claims) { return claims->issued_s; }
size_t claims_audience_count(const struct claims *claims) { return claims->n_audiences; }

struct str claims_audience(const struct claims *claims, size_t index) {
    assert(index < claims->n_audiences);
    return claims->texts[index];
}

size_t claims_value_count(const struct claims *claims, size_t path_index) {
    assert(path_index < claims->n_paths);
    return claims->starts[path_index + 1] - claims->starts[path_index];
}

struct str claims_value(const struct claims *claims, size_t path_index, size_t index) {
    assert(index < claims_value_count(claims, path_index));
    return claims->texts[claims->starts[path_index] + index];
}
