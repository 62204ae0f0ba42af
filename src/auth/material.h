/* SPDX-License-Identifier: MIT */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "base/result.h"

/* A JSON Web Key (RFC 7517, RFC 7518 6, RFC 8037 2) as bytes: its form is checked, whether its numbers make a good key is
 * signature.h's to say. */
enum material_kind { MATERIAL_RSA, MATERIAL_EC, MATERIAL_OKP, MATERIAL_OCT };
enum material_curve { CURVE_NONE, CURVE_P256, CURVE_P384, CURVE_P521, CURVE_ED25519 };

struct key_material {
    enum material_kind kind;
    enum material_curve curve;      /* EC and OKP */
    struct str kid, alg;            /* at == NULL when absent */
    struct str n, e;                /* RSA, big endian without leading zeros */
    struct str x, y;                /* EC and OKP (x), of the curve's exact width */
    struct str k;                   /* oct */
    struct str d, p, q, dp, dq, qi; /* the private parts; empty in a public key */
};

/* Bytes are in the arena, kid and alg borrow from the document. NULL when read, else a constant reason. */
const char *material_read(struct key_material *material, const struct node *node,
                          struct arena *arena) MUST_USE;
/* Wipes what is secret. */
void material_wipe(struct key_material *material);

const char *curve_name(enum material_curve curve); /* "P-256" */
size_t curve_bytes(enum material_curve curve);     /* of a coordinate */
