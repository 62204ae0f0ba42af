/* SPDX-License-Identifier: MIT */
/* JSON Web Keys as bytes. */
#include "material.h"

#include "base/base64url.h"
#include <assert.h>

static const struct {
    const char *name;
    enum material_kind kind;
    size_t bytes;
} CURVES[] = {
    [CURVE_P256] = {"P-256", MATERIAL_EC, 32},
    [CURVE_P384] = {"P-384", MATERIAL_EC, 48},
    [CURVE_P521] = {"P-521", MATERIAL_EC, 66},
    [CURVE_ED25519] = {"Ed25519", MATERIAL_OKP, 32},
};
#define N_CURVES (sizeof(CURVES) / sizeof(CURVES[0]))

const char *curve_name(enum material_curve curve) {
    assert(curve > CURVE_NONE && curve < N_CURVES);
    return CURVES[curve].name;
}

size_t curve_bytes(enum material_curve curve) {
    assert(curve > CURVE_NONE && curve < N_CURVES);
    return CURVES[curve].bytes;
}

/* What each type's members are called, in the thumbprint's (alphabetical) order, and where they go. */
/* clang-format off */
#define AT(member) offsetof(struct key_material, member)
static const struct member {
    const char *name;
    size_t at;
} PUBLIC_MEMBERS[][2] = {
    [MATERIAL_RSA] = {{"e", AT(e)}, {"n", AT(n)}},
    [MATERIAL_EC]  = {{"x", AT(x)}, {"y", AT(y)}},
    [MATERIAL_OKP] = {{"x", AT(x)}},
    [MATERIAL_OCT] = {{"k", AT(k)}},
}, PRIVATE_MEMBERS[] = {
    {"d", AT(d)}, {"p", AT(p)}, {"q", AT(q)}, {"dp", AT(dp)}, {"dq", AT(dq)}, {"qi", AT(qi)},
};
#undef AT
/* clang-format on */

static struct str *slot(struct key_material *m, const struct member *member) {
    return (struct str *)((char *)m + member->at);
}

/* Absent stays absent. */
static const char *read_bytes(struct str *out, const struct node *node, const struct member *member,
                              struct arena *arena) {
    const struct node *value = node_member(node, member->name);
    struct str text = node_string(value);
    if (!value)
        return NULL;
    if (!text.at)
        return "a part of it is not a string";
    unsigned char *room = arena_alloc(arena, BASE64URL_DECODED_MAX(text.n));
    if (!room)
        return "memory is out";
    size_t n;
    if (!base64url_decode(text, room, &n))
        return "a part of it is not strict base64url";
    *out = (struct str){(const char *)room, n};
    return NULL;
}

static const char *read_members(struct key_material *m, const struct node *node,
                                struct arena *arena) {
    for (size_t i = 0; i < 2 && PUBLIC_MEMBERS[m->kind][i].name; i++) {
        const struct member *member = &PUBLIC_MEMBERS[m->kind][i];
        const char *why = read_bytes(slot(m, member), node, member, arena);
        if (why)
            return why;
        if (slot(m, member)->n == 0)
            return "a part of it is missing";
    }
    for (size_t i = 0; i < sizeof(PRIVATE_MEMBERS) / sizeof(PRIVATE_MEMBERS[0]); i++) {
        const struct member *member = &PRIVATE_MEMBERS[i];
        const char *why = read_bytes(slot(m, member), node, member, arena);
        if (why)
            return why;
    }
    return NULL;
}

static const char *read_curve(struct key_material *m, const struct node *node) {
    struct str name = node_string(node_member(node, "crv"));
    for (size_t i = 1; i < N_CURVES; i++)
        if (CURVES[i].kind == m->kind && str_eq(name, str_of(CURVES[i].name)))
            m->curve = (enum material_curve)i;
    return m->curve ? NULL : "its curve is unknown";
}

/* RFC 7518 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate". */
static bool has_width(struct str bytes, size_t width) { return bytes.n == 0 || bytes.n == width; }

static const char *check_widths(const struct key_material *m) {
    if (!m->curve)
        return NULL;
    size_t width = curve_bytes(m->curve);
    if (has_width(m->x, width) && has_width(m->y, width) && has_width(m->d, width))
        return NULL;
    return "a coordinate of it has the wrong length";
}

static void skip_zeros(struct str *number) {
    while (number->n > 0 && number->at[0] == 0)
        *number = str_skip(*number, 1);
}

static bool read_optional_string(struct str *out, const struct node *node, const char *name) {
    const struct node *value = node_member(node, name);
    *out = node_string(value);
    return !value || out->at;
}

static bool read_kind(struct key_material *m, struct str kty) {
    static const char *const NAMES[] = {"RSA", "EC", "OKP", "oct"};
    for (unsigned i = 0; i < 4; i++)
        if (str_eq(kty, str_of(NAMES[i]))) {
            m->kind = (enum material_kind)i;
            return true;
        }
    return false;
}

const char *material_read(struct key_material *m, const struct node *node, struct arena *arena) {
    *m = (struct key_material){0};
    if (node_kind(node) != NODE_OBJECT)
        return "it is not an object";
    if (!read_optional_string(&m->kid, node, "kid"))
        return "its kid is not a string";
    if (!read_optional_string(&m->alg, node, "alg"))
        return "its alg is not a string";
    if (!read_kind(m, node_string(node_member(node, "kty"))))
        return "its type is unknown";
    const char *why = NULL;
    if (m->kind == MATERIAL_EC || m->kind == MATERIAL_OKP)
        why = read_curve(m, node);
    if (!why)
        why = read_members(m, node, arena);
    if (!why)
        why = check_widths(m);
    skip_zeros(&m->n);
    skip_zeros(&m->e);
    return why;
}

void material_wipe(struct key_material *m) {
    struct str *secrets[] = {&m->k, &m->d, &m->p, &m->q, &m->dp, &m->dq, &m->qi};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (secrets[i]->n > 0)
            bytes_wipe((void *)secrets[i]->at, secrets[i]->n);
}
